"""Sockets that end with what let them in: shut out, logged out, or a revoked token, each at once."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.db import database_sync_to_async

from capabilities.numbers import NUMBERS
from dmsweb.pages.entrance import Entrance

LET_OUT = 4401


def account_group(user_pk: int) -> str:
    """Return the live group that says: look again at whether this account's sockets may go on."""
    return f"account.{user_pk}"


class Watched:
    """Mixed into a consumer: call `watch` when it is accepted and `unwatch` when it ends.

    A change of the account is told through its group; whatever a lost message left open is found by looking
    again from time to time.
    """

    channel_layer: Any
    channel_name: str
    close: Any
    who: Entrance | None = None
    _watching: asyncio.Task[None] | None = None

    async def watch(self, who: Entrance) -> None:
        """Begin to watch over the socket that `who` has opened."""
        self.who = who
        await self.channel_layer.group_add(account_group(who.user), self.channel_name)
        self._watching = asyncio.create_task(self._look_again())

    async def unwatch(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
        if self.who is not None:
            await self.channel_layer.group_discard(account_group(self.who.user), self.channel_name)

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(NUMBERS.socket_recheck_s)
            await self.still_welcome()

    async def live_changed(self, event: dict[str, Any]) -> None:
        """Look at once when the account has changed."""
        if self.who is not None and event["group"] == account_group(self.who.user):
            await self.still_welcome()

    async def still_welcome(self) -> bool:
        """End the socket unless its person may go on."""
        if self.who is not None and await database_sync_to_async(self.may_go_on)(self.who):
            return True
        await self.close(LET_OUT)
        return False

    def may_go_on(self, who: Entrance) -> bool:
        """Say whether the socket may go on; consumers add what else theirs takes."""
        return who.holds()
