"""Follows the bounded logs that a shim keeps, to the end, across the moments when a file is replaced."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from capabilities.numbers import NUMBERS
from deployments.logquery import LogQuery
from deployments.logtext import NUMBERS_OF, Piece, notice
from workers import logfiles
from workers.pace import Pace

ENDED_ASKED_EVERY_S = 0.2
LEFT_BYTES = 65_536


class Tail:
    """One stream from its present end on."""

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.number = path, number
        self.part: logfiles.Part | None = None
        self.position = 0
        self.passed: int | None = None
        self.lost = 0

    def to_end(self) -> tuple[int, int]:
        """Stay at the end of what there is; return which file that is, and how long it is."""
        if not self._open():
            return 0, 0
        assert self.part is not None
        self.position = self.part.size
        return self.part.inode, self.position

    def more(self, most_bytes: int) -> Iterator[Piece]:
        """Yield what was added since; of more than `most_bytes` the end, and how much was left out."""
        while self._open():
            assert self.part is not None
            replaced = self._replaced()
            end = self.part.size
            if end > self.position:
                self.part.more_marks()
            if self.lost:
                yield skipped(self.lost)
                self.lost = 0
            if end - self.position > most_bytes:
                target = self.part.line_start(end - LEFT_BYTES)
                yield skipped(target - self.position)
                self.position = target
            for at, data in self.part.slices(self.position, end):
                yield at, self.number, data
            self.position = end
            if not replaced:
                return
            self.passed = self.part.before + end
            self.close()

    def close(self) -> None:
        """Give the file back."""
        if self.part is not None:
            self.part.close()
            self.part = None

    def _open(self) -> bool:
        if self.part is None:
            try:
                self.part = logfiles.Part(self.path)
            except FileNotFoundError:
                return False
            self.position = 0
            if self.passed is not None and self.part.before > self.passed:
                self.lost += self.part.before - self.passed
            self.passed = None
        return True

    def _replaced(self) -> bool:
        assert self.part is not None
        try:
            return self.path.stat().st_ino != os.fstat(self.part.handle).st_ino
        except FileNotFoundError:
            return False


def skipped(size: int) -> Piece:
    """Return the notice of a gap."""
    return notice(f"{size / 1e6:.1f} MB skipped: the log grows faster than it is read")


def read(
    folder: Path, query: LogQuery, *, ended: Callable[[], bool], stopped: Callable[[], bool]
) -> Iterator[list[Piece]]:
    """Yield what the query asks for of an execution's logs; with `follow` until `ended()` or `stopped()`."""
    tails = [Tail(folder / f"{logfiles.NAMES[number]}.log", number) for number in NUMBERS_OF[query.stream]]
    try:
        ends = dict(tail.to_end() for tail in tails) if query.follow else None
        yield from logfiles.read(
            folder, query.stream, tail=query.tail, since_ns=query.since_ns, until_ns=query.until_ns, ends=ends
        )
        if query.follow:
            yield from _follow(tails, query, ended, stopped)
    finally:
        for tail in tails:
            tail.close()


def _follow(
    tails: list[Tail], query: LogQuery, ended: Callable[[], bool], stopped: Callable[[], bool]
) -> Iterator[list[Piece]]:
    pace = Pace(NUMBERS.log_follow_bytes_per_s)
    asked, over = 0.0, False
    while not stopped():
        now = time.monotonic()
        if now - asked >= ENDED_ASKED_EVERY_S:
            over, asked = ended(), now
        pieces = [piece for tail in tails for piece in tail.more(NUMBERS.log_behind_max_bytes)]
        if len(tails) > 1:
            pieces.sort(key=lambda piece: piece[0])
        if pieces:
            yield pieces
        if over or (query.until_ns and time.time_ns() > query.until_ns):
            return
        size = sum(len(piece[2]) for piece in pieces)
        pause_s = pace.pause_s(size, time.monotonic())
        if pause_s or not pieces:
            time.sleep(max(pause_s, NUMBERS.log_follow_pause_s))
