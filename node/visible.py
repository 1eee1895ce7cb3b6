"""What of this room an identity may see. Every view and API obtains its rows here; the rest does not exist."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from capabilities.models import Identity
from capabilities.services import authorize, bound_to, sees_all
from node.models import (
    BenchmarkRun,
    ForeignContainer,
    Invitation,
    Node,
    NodeEvent,
    Onboarding,
    Outgoing,
    Peer,
    PortReservation,
    Reservation,
    UsageSample,
)

# Whoever may ask what the machine is, sees it in lists too.
SEES_NODES = "/dms/node/hardware"
SEES_PEERS = "/dms/node/peers/list"
SEES_INVITATIONS = "/dms/node/peers/invite"


def nodes_visible_to(identity: Identity) -> QuerySet[Node]:
    """Return the site's nodes for whoever may ask about their hardware; `onboarded` tells whether each is."""
    if not authorize(identity, SEES_NODES).allowed:
        return Node.objects.none()
    onboarding = Onboarding.objects.filter(node=OuterRef("pk"))
    return Node.objects.select_related("identity").annotate(onboarded=Exists(onboarding))


def samples_visible_to(identity: Identity) -> QuerySet[UsageSample]:
    """Return the usage samples of the nodes the identity sees."""
    if not authorize(identity, SEES_NODES).allowed:
        return UsageSample.objects.none()
    return UsageSample.objects.all()


def benchmarks_visible_to(identity: Identity) -> QuerySet[BenchmarkRun]:
    """Return the measurements of the nodes the identity sees."""
    if not authorize(identity, SEES_NODES).allowed:
        return BenchmarkRun.objects.none()
    return BenchmarkRun.objects.all()


def reservations_visible_to(identity: Identity) -> QuerySet[Reservation]:
    """Return the ledger's lines: all, or those held for the identity's own allocations."""
    rows = Reservation.objects.select_related("node", "owner")
    if only := bound_to(identity):
        rows = rows.filter(deployment_id=only)
    return rows if sees_all(identity) else rows.filter(owner=identity)


def ports_visible_to(identity: Identity) -> QuerySet[PortReservation]:
    """Return the ports held: all for whoever sees everybody's, else those of the identity's own allocations."""
    rows = PortReservation.objects.select_related("node")
    if sees_all(identity) and not bound_to(identity):
        return rows
    own = reservations_visible_to(identity).values("allocation_id")
    return rows.filter(allocation_id__in=own)


def foreign_visible_to(identity: Identity) -> QuerySet[ForeignContainer]:
    """Return the containers that are not the nodes' own: to who sees everybody's: their names are other people's."""
    rows = ForeignContainer.objects.select_related("node")
    return rows if sees_all(identity) and not bound_to(identity) else rows.none()


def node_events_visible_to(identity: Identity) -> QuerySet[NodeEvent]:
    """Return the nodes' timelines: all, or what the identity itself and the nodes did."""
    rows = NodeEvent.objects.select_related("node")
    if bound_to(identity):
        return rows.none()
    return rows if sees_all(identity) else rows.filter(actor__in=["", identity.did])


def peers_visible_to(identity: Identity) -> QuerySet[Peer]:
    """Return the known sites for whoever may list them."""
    return Peer.objects.all() if authorize(identity, SEES_PEERS).allowed else Peer.objects.none()


def outgoing_visible_to(identity: Identity) -> QuerySet[Outgoing]:
    """Return what is on its way to the sites that the identity sees."""
    return Outgoing.objects.select_related("peer").filter(peer__in=peers_visible_to(identity))


def invitations_visible_to(identity: Identity) -> QuerySet[Invitation]:
    """Return the invitations: all for a root, else those that the identity has made."""
    rows = Invitation.objects.select_related("created_by")
    if sees_all(identity):
        return rows
    return rows.filter(created_by=identity) if authorize(identity, SEES_INVITATIONS).allowed else rows.none()
