"""A refusal that speaks: what failed, where, and what would be right.

Every refusal in the product is an instance of `Refusal`, whichever room raises it. The adapters turn it into
an RFC 9457 problem document (REST), a signed error reply (actors), a sentence (pages) or an exit code (CLI).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reason:
    """One failed check: which (`check`), where (`path`, a field or subject), and what would pass (`hint`)."""

    check: str
    message: str
    path: str = ""
    needed: str = ""
    available: str = ""
    hint: str = ""

    def document(self) -> dict[str, str]:
        """Return the reason as a JSON object without its empty members."""
        fields = ("check", "message", "path", "needed", "available", "hint")
        return {name: value for name in fields if (value := getattr(self, name))}


class Refusal(Exception):
    """Raised by any check that says no.

    `code` is a stable snake_case name (the last segment of the problem's type); `status` the HTTP status that
    fits; `detail` one sentence for a person; `hint` what to do about it; `reasons` every single failed check.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int = 400,
        hint: str = "",
        reasons: tuple[Reason, ...] = (),
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.hint = hint
        self.reasons = reasons
        self.members = members

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 problem document."""
        document: dict[str, Any] = {
            "type": f"urn:dms:problem:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            document["hint"] = self.hint
        if self.reasons:
            document["errors"] = [reason.document() for reason in self.reasons]
        return document | self.members


def not_found(what: str, key: object) -> Refusal:
    """Return the answer for a thing that does not exist or that the caller may not see."""
    return Refusal("not_found", f"{what} {key} not found", status=404)
