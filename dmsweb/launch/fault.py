"""Why a site cannot start: one sentence for a person, and what to do about it."""

from __future__ import annotations


class StartFault(Exception):
    """The site cannot start. `hint` says what would make it start."""

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
