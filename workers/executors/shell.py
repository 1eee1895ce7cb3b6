"""What is run when somebody asks for a terminal, and with which environment. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from deployments.outside import Command

SHELL = ("/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi")
MARK = "DMS_EXEC"


def argv_of(command: Command) -> list[str]:
    """Return the words to run: the command's own, else a shell."""
    return list(command.argv or SHELL)


def additions(command: Command, present: Iterable[str], mark: str) -> dict[str, str]:
    """Return the variables that a terminal adds to those `present` in the workload's environment.

    `mark` names the terminal, so that whatever it started can be found again. Line editing needs a locale that
    knows UTF-8; one that the workload has chosen stays.
    """
    added = {MARK: mark}
    if command.tty:
        added["TERM"] = command.term
        if not {"LANG", "LC_ALL", "LC_CTYPE"} & set(present):
            added["LANG"] = "C.UTF-8"
    return added
