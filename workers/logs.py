"""Logs of allocations: live from the executor while an attempt runs, from the kept files once it has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments import states
from deployments.logquery import PREVIOUS, LogQuery
from deployments.logtext import Piece, notice, rendered
from deployments.models import Allocation
from workers import logfiles
from workers.executors.base import ExecutorError
from workers.kept import attempt_folder, folder_of, keep_logs, kept_attempts, live

__all__ = ["AllocationLogs", "folder_of", "keep_logs"]
logger = logging.getLogger(__name__)
FOLLOW_PAUSE_S = 0.5
LOOKED_AT = ("status", "execution_id", "attempt")


def never() -> bool:
    """Go on."""
    return False


class AllocationLogs:
    """The `LogSource` of this site."""

    def read(
        self, allocation_id: str, query: LogQuery, *, stopped: Callable[[], bool] = never
    ) -> Iterator[bytes]:
        """Yield chunks; see `deployments.outside.LogSource`."""
        allocation = Allocation.objects.select_related("node__identity").get(pk=allocation_id)
        return rendered(
            self._pieces(allocation, self._resolved(allocation, query), stopped),
            query,
            matches_max=NUMBERS.log_search_matches_max,
            search_max_s=NUMBERS.log_search_max_s,
        )

    def attempts(self, allocation_id: str) -> list[int]:
        """Return the attempts whose logs can be read, oldest first."""
        allocation = Allocation.objects.get(pk=allocation_id)
        known = set(kept_attempts(allocation))
        return sorted(known | {allocation.attempt} - {0})

    def write(self, allocation_id: str) -> str:
        """Write both logs as they are now and return their folder."""
        allocation = Allocation.objects.select_related("node__identity").get(pk=allocation_id)
        if allocation.status not in states.ALLOCATION_TERMINAL:
            keep_logs(allocation)
        return str(folder_of(allocation))

    def _resolved(self, allocation: Allocation, query: LogQuery) -> LogQuery:
        """Return the query with the attempt's number; 0 stays: the newest, whichever comes. Refusal `not_found`."""
        wanted = query.attempt
        if wanted == 0:
            return query
        known = sorted({*kept_attempts(allocation), allocation.attempt} - {0})
        if wanted == PREVIOUS:
            earlier = [number for number in known if number < allocation.attempt]
            wanted = earlier[-1] if earlier else 0
        if wanted not in known:
            kept = ", ".join(map(str, known)) or "none, nothing has been started"
            which = f"attempt {query.attempt}" if query.attempt > 0 else "an attempt before this one"
            raise Refusal(
                "not_found", f"there is no log of {which}", status=404, hint=f"attempts with a log: {kept}"
            )
        return replace(query, attempt=wanted)

    def _pieces(
        self, allocation: Allocation, query: LogQuery, stopped: Callable[[], bool]
    ) -> Iterator[list[Piece]]:
        """Yield one attempt, or with `follow` the present one and those that come after it, until the end.

        What has not been started yet is waited for, and what ends meanwhile is read as kept.
        """
        following = query.follow and query.attempt in (0, allocation.attempt)
        if not following:
            yield from self._attempt(allocation, replace(query, follow=False), stopped)
            return
        read = 0
        while not stopped():
            over = allocation.status in states.ALLOCATION_TERMINAL
            if allocation.attempt > read and (over or allocation.status != Allocation.Status.PENDING):
                if read:
                    yield [notice(f"attempt {allocation.attempt} begins")]
                    query = replace(query, tail=None, since=None)
                read = allocation.attempt
                yield from self._attempt(allocation, query, stopped)
            elif over:
                return
            else:
                time.sleep(FOLLOW_PAUSE_S)
            if query.attempt or over:
                return
            allocation.refresh_from_db(fields=LOOKED_AT)

    def _attempt(
        self, allocation: Allocation, query: LogQuery, stopped: Callable[[], bool]
    ) -> Iterator[list[Piece]]:
        attempt = query.attempt or allocation.attempt
        if attempt == allocation.attempt and allocation.status not in states.ALLOCATION_TERMINAL:
            begun = False
            try:
                for batch in live(allocation, query, stopped):
                    begun = True
                    yield batch
            except ExecutorError as error:
                logger.info("log of %s: %s", allocation.pk, error.detail)
            if begun:
                return
        # It may have ended, been kept and removed between the look at the row and the look at the execution.
        yield from logfiles.read(
            attempt_folder(allocation, attempt),
            query.stream,
            tail=query.tail,
            since_ns=query.since_ns,
            until_ns=query.until_ns,
        )
