"""Known sites as rows: made, changed by what was seen of them, ended; and what this site says of itself."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from django.conf import settings
from django.utils import timezone

from capabilities import custody
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.addresses import AddressRecord, address_check, clock_words
from node.live import changed
from node.models import Node, Peer
from node.selectors import local_node
from node.services.machine import node_event


def own_addresses() -> list[str]:
    """Return where this site can be reached: DMS_ADVERTISE, else DMS_PUBLIC_URL, else where it listens."""
    said = [part.strip() for part in os.environ.get("DMS_ADVERTISE", "").split(",") if part.strip()]
    if not said and settings.DMS_PUBLIC_URL:
        said = [settings.DMS_PUBLIC_URL]
    if not said:
        try:
            said = [str(json.loads(settings.DMS_HOME.path("run", "site.json").read_text())["url"])]
        except (OSError, ValueError, KeyError, TypeError):
            said = []
    return [address_check(address, plain=True) for address in said[: NUMBERS.peer_addresses_max]]


def own_record() -> AddressRecord:
    """Return this site's address record, signed now."""
    node = local_node()
    nodes = Node.objects.select_related("identity").order_by("created_at")[: NUMBERS.peer_addresses_max]
    return AddressRecord.issue(
        custody.node_key(),
        name=node.name,
        peers={row.peer_id: row.identity.did for row in nodes},
        addresses=own_addresses(),
        now_ns=time.time_ns(),
    )


def peer_learn(record: AddressRecord, via: str) -> Peer:
    """Make the site that signed `record` known, or take over what it says now when that is newer."""
    known = Peer.objects.filter(did=record.did).first()
    if known is None:
        if Peer.objects.count() >= NUMBERS.peers_max:
            raise Refusal(
                "too_many_peers",
                f"this site knows {NUMBERS.peers_max} sites already",
                status=409,
                hint="end some of them: ./dms peers end DID",
            )
        known, _ = Peer.objects.get_or_create(did=record.did, defaults={"via": via})
    values: dict[str, Any] = {}
    if via != Peer.Via.HELLO:
        values["via"] = via
    if known.record is None or int(known.record.get("issued", 0)) <= record.issued_ns:
        values |= {
            "name": record.name.replace("\x00", ""),
            "addresses": list(record.addresses),
            "record": record.document(),
        }
    Peer.objects.filter(pk=known.pk).update(**values)
    for name, value in values.items():
        setattr(known, name, value)
    told()
    return known


def peer_seen(peer: Peer, *, address: str = "", rtt_ms: float | None = None) -> None:
    """Note that the site has answered, or has asked us."""
    values: dict[str, Any] = {"last_seen_at": timezone.now(), "last_error": "", "last_error_at": None}
    if address:
        values["used_address"] = address
    if rtt_ms is not None:
        values["rtt_ms"] = rtt_ms
    Peer.objects.filter(pk=peer.pk).update(**values)
    told()


def peer_failed(peer: Peer, why: str) -> None:
    """Note that the site could not be reached."""
    Peer.objects.filter(pk=peer.pk).update(last_error=why[:500], last_error_at=timezone.now())
    told()


def clock_note(peer: Peer, offset_ms: int) -> str:
    """Keep how far the site's clock differs; say it on the timeline when it begins or ends to matter."""
    before, after = clock_words(peer.clock_offset_ms), clock_words(offset_ms)
    Peer.objects.filter(pk=peer.pk).update(clock_offset_ms=offset_ms)
    peer.clock_offset_ms = offset_ms
    if bool(before) != bool(after):
        text = f"{peer}: {after or 'its clock agrees with ours again'}"
        node_event(local_node(), "clock", text, peer=peer.did, offset_ms=offset_ms)
    return after


def told() -> None:
    """Tell open pages that something of the known sites changed."""
    changed(*(f"node.{pk}" for pk in Node.objects.values_list("pk", flat=True)[:10]))
