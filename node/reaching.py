"""How a message to another site ends: answered, refused (why, by whom), or not delivered (why, at which step)."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any, Literal

from capabilities.refusal import Reason, Refusal

Step = Literal["address", "resolve", "connect", "tls", "http", "answer", "clock"]
HINTS: dict[str, str] = {
    "address": "`./dms peers list` shows the sites that are known here; `./dms join LINK` makes one known",
    "resolve": "check the name in the address",
    "connect": "is the site up there, is this its port, and may this machine connect to it?",
    "tls": "its certificate must be good for the name in the address; DMS_PEER_CA names further authorities",
    "http": "is there a DMS site behind this address?",
    "answer": "what was asked may have happened; ask again if that does no harm",
    "clock": "set the clocks: both sites should take their time from the network",
}


class Unreachable(Refusal):
    """The message did not arrive, or nothing shows that it has; `step` is where it ended."""

    def __init__(
        self, step: Step, detail: str, *, address: str = "", again: bool = False, **more: Any
    ) -> None:
        if address:
            more["address"] = address
        code, status = ("no_answer", 504) if step == "answer" else ("unreachable", 502)
        super().__init__(code, detail, status=status, hint=HINTS[step], step=step, **more)
        self.step = step
        # Whether sending the same message again is safe: it has certainly not been handled.
        self.again = again


class RefusedThere(Refusal):
    """The other site says no, in these words; `signed`: it is certain that they are its own."""

    def __init__(self, document: Any, who: str, *, signed: bool, status: int = 403) -> None:
        found = document if isinstance(document, dict) else {}
        code = str(found.get("type", "")).rpartition(":")[2] or "refused"
        detail = str(found.get("detail") or found.get("error") or found.get("title") or "no reason given")
        reasons = tuple(
            Reason(str(item.get("check", "")), str(item.get("message", "")), str(item.get("path", "")))
            for item in (found.get("errors") or ())
            if isinstance(item, dict)
        )
        told = found.get("status")
        super().__init__(
            code[:64],
            f"{who} refuses: {detail}"[:2000],
            status=told if isinstance(told, int) and 400 <= told < 600 else status,
            hint=str(found.get("hint", ""))[:1000],
            reasons=reasons,
            by=who,
            signed=signed,
            **{name: found[name] for name in ("capability", "now_ns", "expires_ns") if name in found},
        )


def step_of(fault: BaseException) -> Step:
    """Return the step at which a connection failed, by what lies behind the exception."""
    for cause in causes(fault):
        if isinstance(cause, socket.gaierror):
            return "resolve"
        if isinstance(cause, ssl.SSLError):
            return "tls"
    return "connect"


def causes(fault: BaseException) -> Iterator[BaseException]:
    """Yield the exception and whatever it comes from."""
    seen: BaseException | None = fault
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
