"""What may be asked of a log, in whatever way it is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from capabilities.refusal import Reason, Refusal
from deployments import spans

STREAMS = ("both", "stdout", "stderr")
PREVIOUS = -1
SEARCH_MAX = 200
CONTEXT_MAX = 50
TRUE, FALSE = frozenset({"1", "true", "yes"}), frozenset({"", "0", "false", "no"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """A part of a log. `attempt`: 0 the newest, -1 the one before it, else its number.

    `tail` counts lines of the log, before `search` picks from them; `context` is lines around each match.
    """

    stream: str = "both"
    tail: int | None = None
    follow: bool = False
    since: datetime | None = None
    until: datetime | None = None
    search: str = ""
    ignore_case: bool = False
    context: int = 0
    timestamps: bool = False
    attempt: int = 0

    @property
    def since_ns(self) -> int | None:
        """The first moment that is wanted, in nanoseconds since the epoch."""
        return None if self.since is None else nanoseconds(self.since)

    @property
    def until_ns(self) -> int | None:
        """The last moment that is wanted, in nanoseconds since the epoch."""
        return None if self.until is None else nanoseconds(self.until)


@dataclass(frozen=True, slots=True)
class Download:
    """How a log is to be handed over: shown, or as a file, perhaps compressed."""

    as_file: bool = False
    gzip: bool = False


def nanoseconds(moment: datetime) -> int:
    """Return the moment in nanoseconds since the epoch, exactly."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1_000


def from_params(params: Mapping[str, str], now: datetime) -> LogQuery:
    """Return the query that URL parameters say; Refusal with everything that is wrong with them."""
    reading = _Reading(params, now)
    query = LogQuery(
        stream=reading.stream(),
        tail=reading.number("tail", most=10**9),
        follow=reading.flag("follow"),
        since=reading.point("since"),
        until=reading.point("until"),
        search=params.get("search", "")[: SEARCH_MAX + 1],
        ignore_case=reading.flag("ignore_case"),
        context=reading.number("context", most=CONTEXT_MAX) or 0,
        timestamps=reading.flag("timestamps"),
        attempt=reading.attempt(),
    )
    if len(query.search) > SEARCH_MAX:
        reading.wrong(
            "length", "search", f"search: longer than {SEARCH_MAX} characters", "search for a part of it"
        )
    reading.refuse()
    return query


def download(params: Mapping[str, str]) -> Download:
    """Return how the log is to be handed over."""
    reading = _Reading(params, datetime.now(UTC))
    found = Download(as_file=reading.flag("download"), gzip=reading.flag("gzip"))
    reading.refuse()
    return found


class _Reading:
    """Reads parameters and remembers what is wrong with them."""

    def __init__(self, params: Mapping[str, str], now: datetime) -> None:
        self.params, self.now = params, now
        self.reasons: list[Reason] = []

    def wrong(self, check: str, name: str, message: str, hint: str) -> None:
        self.reasons.append(Reason(check, message, name, hint=hint))

    def refuse(self) -> None:
        if self.reasons:
            text = "; ".join(reason.message for reason in self.reasons)
            raise Refusal("invalid_request", text, reasons=tuple(self.reasons))

    def stream(self) -> str:
        found = self.params.get("stream", "") or "both"
        if found not in STREAMS:
            self.wrong("choice", "stream", "stream: unknown", " or ".join(STREAMS))
        return found

    def number(self, name: str, *, most: int) -> int | None:
        text = self.params.get(name, "")
        found = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        if text and (found is None or found > most):
            self.wrong("number", name, f"{name}: not a number of lines", f"{name}=10, at most {most}")
        return found

    def flag(self, name: str) -> bool:
        word = self.params.get(name, "").lower()
        if word not in TRUE | FALSE:
            self.wrong("boolean", name, f"{name}: neither true nor false", f"{name}=true")
        return word in TRUE

    def point(self, name: str) -> datetime | None:
        text = self.params.get(name, "")
        if not text:
            return None
        try:
            return spans.point(name, text, self.now)
        except Refusal as refusal:
            self.wrong("time", name, refusal.detail, refusal.hint)
            return None

    def attempt(self) -> int:
        text = self.params.get("attempt", "")
        if text in ("", "newest"):
            return 0
        if text in ("previous", str(PREVIOUS)):
            return PREVIOUS
        if text.isascii() and text.isdigit() and 0 < len(text) < 10:
            return int(text)
        self.wrong(
            "number", "attempt", "attempt: not the number of an attempt", "attempt=2, or attempt=previous"
        )
        return 0
