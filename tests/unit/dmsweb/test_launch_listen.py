"""The listening socket and what is said when there is none."""

from __future__ import annotations

import socket

import pytest

from dmsweb.launch.fault import StartFault
from dmsweb.launch.listen import listening, reachable, site_url


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartFault, match=f"port {port} on 127.0.0.1 is in use"):
            listening("127.0.0.1", port)


def test_port_zero_takes_the_remembered_one_when_it_is_free() -> None:
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listening("127.0.0.1", 0, remembered=port) as second:
            assert second.getsockname()[1] != port
    with listening("127.0.0.1", 0, remembered=port) as third:
        assert third.getsockname()[1] == port


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartFault, match="not an address of this machine"):
        listening("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("bind", "url", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", "127.0.0.1"),
        ("0.0.0.0", "http://127.0.0.1:80", "127.0.0.1"),
        ("::", "http://[::1]:80", "::1"),
        ("fe80::1", "http://[fe80::1]:80", "fe80::1"),
    ],
)
def test_the_address_for_this_machine(bind: str, url: str, address: str) -> None:
    assert site_url(bind, 80) == url
    assert reachable(bind) == address
