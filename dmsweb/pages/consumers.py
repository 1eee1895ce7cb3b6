"""WebSockets of the pages: which groups changed. Refused before they are accepted, checked again for each group."""

from __future__ import annotations

from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.services import sees_all
from capabilities.teams import team_ids
from deployments.selectors import visible_to
from dmsweb.pages.entrance import entrance
from dmsweb.pages.watched import Watched
from node.visible import nodes_visible_to


def allowed_groups(identity: Identity, groups: list[str]) -> list[str]:
    """Return those of `groups` whose object `identity` may see; two queries however many there are."""
    wanted: dict[str, set[str]] = {}
    for group in groups:
        kind, _, key = group.partition(".")
        wanted.setdefault(kind, set()).add(key)
    allowed = {f"identity.{identity.pk}"}
    if wanted.get("team"):
        allowed |= {f"team.{key}" for key in team_ids(identity)}
    deployments = wanted.get("deployment", set()) | wanted.get("stats", set())
    if deployments:
        keys = visible_to(identity).filter(pk__in=deployments).values_list("pk", flat=True)
        allowed |= {f"{kind}.{key}" for key in keys for kind in ("deployment", "stats")}
    if wanted.get("node"):
        allowed |= {f"node.{key}" for key in nodes_visible_to(identity).values_list("pk", flat=True)}
    if sees_all(identity):
        allowed |= {group for group in groups if group.startswith("identity.")}
    return [group for group in groups if group in allowed]


class LiveConsumer(Watched, AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Takes {"subscribe": [groups]}, answers {"subscribed", "refused"}, sends {"changed": [group]}."""

    async def connect(self) -> None:
        """Accept a person who is logged in; anybody else is refused before the handshake ends."""
        self.groups_held: set[str] = set()
        who = await database_sync_to_async(entrance)(self.scope)
        if who is None:
            await self.close()
            return
        self.identity = who.identity
        await self.accept()
        await self.watch(who)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Replace the subscriptions by the ones asked for, as far as they are allowed."""
        asked = content.get("subscribe") if isinstance(content, dict) else None
        if not isinstance(asked, list) or len(asked) > NUMBERS.live_groups_max:
            await self.send_json(
                {"error": f'send {{"subscribe": [at most {NUMBERS.live_groups_max} groups]}}'}
            )
            return
        groups = list(dict.fromkeys(str(group)[:99] for group in asked))
        allowed = await self._hold(groups)
        await self.send_json(
            {"subscribed": allowed, "refused": [g for g in groups if g not in self.groups_held]}
        )

    async def _hold(self, groups: list[str]) -> list[str]:
        """Be in those of the groups that the person may see, and in no others."""
        allowed: list[str] = await database_sync_to_async(allowed_groups)(self.identity, groups)
        for group in self.groups_held - set(allowed):
            await self.channel_layer.group_discard(group, self.channel_name)
        for group in set(allowed) - self.groups_held:
            await self.channel_layer.group_add(group, self.channel_name)
        self.groups_held = set(allowed)
        return allowed

    async def still_welcome(self) -> bool:
        """End the socket unless its person may go on, and leave the groups that she may see no more."""
        welcome = await super().still_welcome()
        if welcome:
            await self._hold(sorted(self.groups_held))
        return welcome

    async def live_changed(self, event: dict[str, Any]) -> None:
        """Pass on that a group changed."""
        await super().live_changed(event)
        if event["group"] in self.groups_held:
            await self.send_json({"changed": [event["group"]]})

    async def disconnect(self, code: int) -> None:
        """Leave the groups."""
        await self.unwatch()
        for group in self.groups_held:
            await self.channel_layer.group_discard(group, self.channel_name)
