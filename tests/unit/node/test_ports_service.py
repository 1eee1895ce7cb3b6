"""`PortAllocator` on rows, and the bugs of the reference it does not have."""

from random import Random

import pytest

from capabilities.refusal import Refusal
from node.models import Node
from node.outside import OUTSIDE
from node.ports import PortRange
from node.services.ports import PortAllocator
from tests.unit.node.machines import StillProbe, make_node

pytestmark = pytest.mark.django_db


@pytest.fixture
def node() -> Node:
    return make_node()


def allocator(node: Node, low: int, high: int) -> PortAllocator:
    return PortAllocator(node, allowed=PortRange(low, high), random=Random(3))


def test_a_reserved_port_can_be_reserved_again_after_release(node: Node) -> None:
    ports = allocator(node, 8000, 8100)
    ports.allocate_ports("a", [8081])
    assert ports.allocated([8080, 8081])
    ports.release("a")
    ports.release("a")
    assert not ports.allocated([8081])
    ports.allocate_ports("b", [8081])
    assert ports.get_allocation("b") == [8081]


def test_a_refused_list_changes_nothing_and_frees_nobody_elses_port(node: Node) -> None:
    ports = allocator(node, 8000, 8100)
    ports.allocate_ports("other", [8001])
    with pytest.raises(Refusal, match="cannot allocate port 8001: port 8001 is already reserved"):
        ports.allocate_ports("mine", [8000, 8001])
    assert ports.get_allocation("other") == [8001]
    assert not ports.allocated([8000])


def test_the_same_allocation_asking_again_adds_and_releases_all(node: Node) -> None:
    ports = allocator(node, 8000, 8100)
    ports.allocate_ports("a", [8001])
    ports.allocate_ports("a", [8001, 8002])
    drawn = ports.allocate_random("a", 2)
    assert ports.get_allocation("a") == [8001, 8002, *drawn]
    ports.release("a")
    assert not ports.allocated([8001, 8002, *drawn])


def test_ports_available_counts_the_range(node: Node) -> None:
    ports = allocator(node, 8001, 8005)
    assert ports.ports_available(5)
    ports.allocate_random("a", 3)
    assert not ports.ports_available(3)
    assert ports.ports_available(2)


def test_four_of_six_and_then_three_fails_and_leaves_two(node: Node) -> None:
    ports = allocator(node, 8000, 8005)
    ports.allocate_random("a", 4)
    with pytest.raises(Refusal, match="failed to allocate 3 ports"):
        ports.allocate_random("b", 3)
    assert ports.ports_available(2)
    with pytest.raises(Refusal, match="port allocation ID not found: b"):
        ports.get_allocation("b")


def test_ports_busy_on_the_host_are_refused_and_not_drawn(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OUTSIDE, "probe", StillProbe(busy=frozenset({8000, 8001})))
    ports = allocator(node, 8000, 8002)
    with pytest.raises(Refusal, match="port 8000 is not free"):
        ports.allocate_ports("a", [8000])
    assert ports.allocate_random("a", 1) == [8002]


def test_two_nodes_hold_the_same_port_without_each_other(node: Node) -> None:
    allocator(node, 8000, 8005).allocate_ports("a", [8000])
    allocator(make_node("other"), 8000, 8005).allocate_ports("b", [8000])


def test_no_static_ports_is_no_request(node: Node) -> None:
    allocator(node, 8000, 8005).allocate_ports("a", [])
    assert not allocator(node, 8000, 8005).held()
