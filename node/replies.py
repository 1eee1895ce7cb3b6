"""One-shot replies: the behaviors `/dms/actor/replyto/<nonce>` that exist until one answer has come."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from capabilities.refusal import Refusal
from node.envelope import Envelope

REPLY_TO = "/dms/actor/replyto/"


@dataclass(frozen=True, slots=True)
class Awaited:
    """A reply that is waited for: from whom, until when."""

    sender: str
    expires_ns: int
    future: Future[Envelope] = field(default_factory=Future)


class Replies:
    """The replies an actor waits for, by path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awaited: dict[str, Awaited] = {}

    def __len__(self) -> int:
        return len(self._awaited)

    def expect(self, question: Envelope) -> Future[Envelope]:
        """Wait for the one reply to `question`, from its receiver, until it expires."""
        awaited = Awaited(question.to.id_text(), question.expires_ns)
        with self._lock:
            self._awaited[question.reply_to] = awaited
        return awaited.future

    def forget(self, path: str) -> None:
        """Stop waiting for the reply at `path`."""
        with self._lock:
            self._awaited.pop(path, None)

    def deliver(self, reply: Envelope, now_ns: int) -> None:
        """Hand a verified reply to whoever waits for it; Refusal when nobody does, or not from this sender.

        Only the receiver of the question may answer it; a stranger's attempt does not use the path up.
        """
        with self._lock:
            self._sweep(now_ns)
            awaited = self._awaited.get(reply.behavior)
            if awaited is None:
                raise Refusal(
                    "unknown_behavior",
                    f"no reply is awaited at {reply.behavior}",
                    status=404,
                    hint="it has been answered already, or its question has expired",
                )
            if awaited.sender != reply.sender.id_text():
                raise Refusal(
                    "not_authorized",
                    f"{reply.sender.id_did} was not asked at {reply.behavior}",
                    status=403,
                    hint="only the receiver of the question may reply",
                    capability=reply.behavior,
                )
            del self._awaited[reply.behavior]
        if awaited.future.set_running_or_notify_cancel():
            awaited.future.set_result(reply)

    def _sweep(self, now_ns: int) -> None:
        over = [path for path, awaited in self._awaited.items() if awaited.expires_ns < now_ns]
        for path in over:
            self._awaited.pop(path).future.cancel()
