"""A command inside an allocation over a WebSocket, begun with a ticket of /dms/node/allocation/exec.

Binary messages are bytes, both ways. Text messages are JSON:

    from the browser    {"resize": [rows, columns]}  {"signal": "INT"}  {"eof": true}  {"shown": bytes}
    from the site       {"started": {...}}           what runs where, and how much input may be on its way
                        {"stream": "stderr"}         what follows is of this stream (stdout at first)
                        {"taken": bytes}             so much more of the input has been taken
                        {"exit": code, "reason": ""} the end, the last message
                        {"error": {problem}}         the end without an exit code

Output is read only as fast as the other side takes it, so that a command that floods is held up, not kept in memory.
A browser takes in whatever comes: with `?window=BYTES` no more output is sent than that beyond what it has shown.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import connections

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.services import authorize
from deployments.exec_door import SIZE_MAX
from deployments.models import Allocation, ExecSession
from deployments.outside import OUTSIDE, Terminal, Unopened
from deployments.selectors import allocations_visible_to, lacks_on
from deployments.services.execs import EXEC, command_of, exec_begin, exec_end, exec_seen
from dmsweb.pages.entrance import Entrance, entrance
from dmsweb.pages.watched import account_group

logger = logging.getLogger(__name__)
T = TypeVar("T")
STOPPED = 1012  # how the server closes when it stops
ENDED = 1000
REFUSED = 4403
_threads = ThreadPoolExecutor(NUMBERS.exec_sessions_max * 2 + 8, thread_name_prefix="terminal")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do what blocks in a thread of the terminals' own."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)


def _alone(work: Callable[..., T], *arguments: Any) -> T:
    """Do what reads rows too: the thread's connections are not kept."""
    try:
        return work(*arguments)
    finally:
        connections.close_all()


class Ended(Exception):
    """The session is over before its command: `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class TerminalConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Carries one session from its ticket to its end."""

    async def connect(self) -> None:
        """Refuse strangers before the handshake ends; whom the site knows hears why a ticket is refused."""
        self.running: asyncio.Task[None] | None = None
        self.terminal: Terminal | None = None
        self.size: tuple[int, int] | None = None
        self.close_code = ENDED
        self.inputs: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.waiting = 0
        self.room = asyncio.Event()
        self.shown = asyncio.Event()
        self.bytes_in = self.bytes_out = self.bytes_shown = 0
        self.look = asyncio.Event()
        self.account = ""
        asked = parse_qs(self.scope["query_string"].decode()).get("window", [""])[0]
        self.out_window = max(int(asked), 4_096) if asked.isdecimal() and len(asked) < 12 else 0
        who = await database_sync_to_async(entrance)(self.scope)
        if who is None:
            await self.close()
            return
        await self.accept()
        try:
            ticket = self.scope["url_route"]["kwargs"]["ticket"]
            self.session = await database_sync_to_async(exec_begin)(ticket, who.identity)
        except Refusal as refusal:
            await self._refuse(refusal)
            return
        lost = await database_sync_to_async(withdrawn)(who, self.session)
        if lost is not None:
            await database_sync_to_async(exec_end)(
                self.session, exit_code=None, reason=lost.code, bytes_in=0, bytes_out=0
            )
            await self._refuse(lost)
            return
        self.account = account_group(who.user)
        await self.channel_layer.group_add(self.account, self.channel_name)
        self.running = asyncio.create_task(self._run(who))

    async def live_changed(self, event: dict[str, Any]) -> None:
        """Look at once when the account has changed."""
        self.look.set()

    async def _run(self, who: Entrance) -> None:
        """Open the terminal, carry it, and note how it ended, whatever happens."""
        code: int | None = None
        reason = "lost"
        try:
            terminal = await self._open()
            code = await self._carry(who, terminal)
            reason = ""
            if code >= 128 and not await in_thread(_alone, self._runs):
                reason = "allocation_ended"
        except Ended as ended:
            reason = ended.refusal.code
            with suppress(Exception):
                await self._refuse(ended.refusal)
        except asyncio.CancelledError:
            reason = "site_stopped" if self.close_code == STOPPED else "closed"
        except OSError:
            reason = "closed"  # the socket went while something was being sent
        except Exception as error:
            logger.exception("exec session %s", self.session.pk)
            with suppress(Exception):
                await self._refuse(Refusal("exec_failed", f"the terminal broke: {error}", status=500))
        finally:
            await asyncio.shield(self._finish(code, reason))
        if code is not None:
            with suppress(Exception):
                await self._say({"exit": code, "reason": reason})
                await self.close(ENDED)

    async def _finish(self, code: int | None, reason: str) -> None:
        if self.terminal is not None:
            try:
                await in_thread(self.terminal.close)
            except Exception as error:  # noqa: BLE001 - the end must be noted whatever the engine says
                logger.warning("closing the terminal of session %s: %s", self.session.pk, error)
        await database_sync_to_async(exec_end)(
            self.session, exit_code=code, reason=reason, bytes_in=self.bytes_in, bytes_out=self.bytes_out
        )

    async def _open(self) -> Terminal:
        source = OUTSIDE.terminals
        if source is None:
            raise Ended(Refusal("exec_unavailable", "this process cannot reach into allocations", status=503))
        opening = asyncio.ensure_future(
            in_thread(_alone, source.open, self.session.allocation_id, command_of(self.session))
        )
        try:
            terminal: Terminal = await asyncio.shield(opening)
            self.terminal = terminal
        except asyncio.CancelledError:
            # Its person has gone meanwhile; what is being begun must be ended all the same.
            with suppress(Unopened):
                self.terminal = await opening
            raise
        except Unopened as fault:
            raise Ended(Refusal(fault.code, fault.detail, status=409)) from fault
        self.moved = asyncio.get_running_loop().time()
        if self.size is not None:
            await in_thread(terminal.resize, *self.size)
        await database_sync_to_async(self._seen)(terminal)
        await self._say(
            {
                "started": {
                    "allocation": str(self.session.allocation),
                    "tty": self.session.tty,
                    "window": NUMBERS.exec_window_bytes,
                }
            }
        )
        return terminal

    async def _carry(self, who: Entrance, terminal: Terminal) -> int:
        """Carry bytes both ways until the command ends; Ended when something else ends the session."""
        tasks = [
            asyncio.create_task(work)
            for work in (self._output(terminal), self._input(terminal), self._watch(who, terminal))
        ]
        output = tasks[0]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            while not output.done() and not tasks[2].done():
                # The input is over before the command: that is nothing special.
                await asyncio.wait([output, tasks[2]], return_when=asyncio.FIRST_COMPLETED)
            if tasks[2].done():
                await tasks[2]
            await output
            return await in_thread(terminal.wait)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _output(self, terminal: Terminal) -> None:
        stream = "stdout"
        while (piece := await in_thread(terminal.read)) is not None:
            name, chunk = piece
            if name != stream:
                stream = name
                await self._say({"stream": stream})
            while self.out_window and self.bytes_out - self.bytes_shown > self.out_window:
                self.shown.clear()
                await self.shown.wait()
            await self.send(bytes_data=chunk)
            self.bytes_out += len(chunk)
            self.moved = asyncio.get_running_loop().time()

    async def _input(self, terminal: Terminal) -> None:
        while (chunk := await self.inputs.get()) is not None:
            await in_thread(terminal.write, chunk)
            self.waiting -= len(chunk)
            self.bytes_in += len(chunk)
            self.room.set()
            self.moved = asyncio.get_running_loop().time()
            await self._say({"taken": len(chunk)})
        await in_thread(terminal.close_input)

    async def _watch(self, who: Entrance, terminal: Terminal) -> None:
        """Look every few seconds whether the session may go on; Ended when it may not."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.look.wait(), NUMBERS.exec_recheck_s)
            self.look.clear()
            if asyncio.get_running_loop().time() - self.moved > NUMBERS.exec_idle_s:
                text = f"nothing was typed or written for {NUMBERS.exec_idle_s:g} s"
                raise Ended(Refusal("idle", text, status=408))
            refusal = await database_sync_to_async(withdrawn)(who, self.session)
            if refusal is not None:
                raise Ended(refusal)
            await database_sync_to_async(self._seen)(terminal)

    def _seen(self, terminal: Terminal) -> None:
        exec_seen(self.session, bytes_in=self.bytes_in, bytes_out=self.bytes_out, handle=terminal.handle)

    def _runs(self) -> bool:
        return OUTSIDE.terminals is not None and OUTSIDE.terminals.runs(self.session.allocation_id)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take input, or an instruction."""
        if self.running is None or self.running.done():
            return
        if bytes_data is not None:
            await self._take(bytes_data)
            return
        try:
            await self._instructed(json.loads(text_data or ""))
        except (ValueError, TypeError, AttributeError) as error:
            await self._say({"warning": f"not understood: {error}"})

    async def _take(self, data: bytes) -> None:
        """Queue input. Who sends more than the window waits here, and not for ever: the socket is deaf meanwhile."""
        self.waiting += len(data)
        self.inputs.put_nowait(data)
        try:
            async with asyncio.timeout(NUMBERS.exec_input_stall_s):
                while self.waiting > NUMBERS.exec_window_bytes + len(data) and not self._over():
                    self.room.clear()
                    await self.room.wait()
        except TimeoutError:
            text = f"more than {NUMBERS.exec_window_bytes} bytes of input wait, and the command takes none"
            await self._refuse(Refusal("input_stalled", text, status=429, hint="count the `taken` messages"))

    def _over(self) -> bool:
        return self.running is None or self.running.done()

    async def _instructed(self, message: dict[str, Any]) -> None:
        if "eof" in message:
            self.inputs.put_nowait(None)
        elif "shown" in message:
            self.bytes_shown += int(message["shown"])
            self.shown.set()
        elif "resize" in message:
            rows, columns = (int(number) for number in message["resize"])
            if not (1 <= rows <= SIZE_MAX and 1 <= columns <= SIZE_MAX):
                raise ValueError(f"a window of {rows} x {columns}")
            self.size = (rows, columns)
            if self.terminal is not None:
                await in_thread(self.terminal.resize, rows, columns)
        elif "signal" in message:
            if self.terminal is not None:
                await in_thread(self.terminal.signal, str(message["signal"]))
        else:
            raise ValueError("expected resize, signal or eof")

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))

    async def _refuse(self, refusal: Refusal) -> None:
        await self._say({"error": refusal.problem()})
        await self.close(REFUSED)

    async def disconnect(self, code: int) -> None:
        """End the command: its person has gone, or the site stops."""
        self.close_code = code
        self.room.set()
        if self.account:
            await self.channel_layer.group_discard(self.account, self.channel_name)
        if self.running is not None and not self.running.done():
            self.running.cancel()
            await asyncio.wait([self.running])


def withdrawn(who: Entrance, session: ExecSession) -> Refusal | None:
    """Return why the session may not go on, None while it may."""
    if not who.holds():
        return Refusal("logged_out", "you have been logged out, or your token was revoked", status=401)
    decision = authorize(who.identity, EXEC)
    if not decision.allowed:
        return Refusal(
            "not_authorized",
            f"you may no longer invoke {EXEC}: {decision.why}",
            status=403,
            hint=f"ask an administrator of this node for the capability {EXEC}",
            capability=EXEC,
        )
    lacks = lacks_on(who.identity, session.allocation.deployment, EXEC)
    if lacks:
        return Refusal(
            "not_authorized", f"you may no longer invoke {EXEC}: {lacks}", status=403, capability=EXEC
        )
    row = allocations_visible_to(who.identity).filter(pk=session.allocation_id)
    found = row.values_list("status", "execution_id").first()
    if found is None:
        return Refusal("not_found", "the allocation is no longer there", status=404)
    if found != (Allocation.Status.RUNNING, session.execution_id):
        return Refusal("allocation_ended", "the allocation has ended, or was started anew", status=409)
    return None
