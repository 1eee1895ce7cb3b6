"""What no verb expected, as a refusal: the machine's own errors in a sentence, and faults of the program."""

from __future__ import annotations

import traceback

from capabilities.refusal import Refusal
from dmsweb.home import Home


def unexpected(error: Exception, home: Home) -> Refusal:
    """Return the refusal that says what `error` says; a fault of ours carries its traceback in `trace`."""
    if isinstance(error, OSError) and error.strerror:
        where = str(error.filename) if error.filename else ""
        text = f"{where}: {error.strerror}" if where else error.strerror
        if where.startswith(str(home.root)):
            return Refusal(
                "home_unusable",
                f"the home {home.root} cannot be used: {text}",
                hint="run as its owner, mend its rights or its disk, or choose another with DMS_HOME",
            )
        return Refusal("machine_error", text, hint="check that it exists and that you may use it")
    if isinstance(error, TimeoutError):
        return Refusal("timed_out", str(error) or "that took too long", hint="./dms status shows what runs")
    return Refusal(
        "internal_error",
        f"this failed unexpectedly ({type(error).__name__}: {error})",
        status=500,
        hint="this is a fault of dms, not yours: please report it with the command you gave",
        trace="".join(traceback.format_exception(error)),
    )
