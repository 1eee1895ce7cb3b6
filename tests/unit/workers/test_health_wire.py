"""Whatever bytes a service answers with, a check ends with a verdict. A socket pair stands in for the connection."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.ensemble.model import HealthcheckSpec
from workers.health import ask as module
from workers.health.ask import Asked, ask
from workers.health.wire import NotItsOwn, Wire, bridge_of

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 500 No\r\n",
        b"HTTP/9.9 200\r\n",
        b"HTTP/1.1 abc\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: many\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Location: http://elsewhere/\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"zz\r\n",
        b"0\r\n\r\n",
        b"hello",
        b"\x00\xff\xfe",
        b"x" * 70_000,
        b"X: y\r\n" * 150,
    ]
)


class Given(Wire):
    """A wire whose other side has said all it will say."""

    answer = b""

    def __init__(self, address: str, port: int, *, deadline: float, max_bytes: int) -> None:
        self._deadline, self._left = deadline, max_bytes
        self._socket, other = socket.socketpair()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        other.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            other.sendall(self.answer)
        other.shutdown(socket.SHUT_WR)
        self._other = other

    def close(self) -> None:
        super().close()
        self._other.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=8).map(b"".join),
    st.sampled_from(["http", "tcp"]),
    st.sampled_from(["", "hello"]),
)
def test_every_answer_gets_a_verdict(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, kind: str, value: str
) -> None:
    monkeypatch.setattr(Given, "answer", answer)
    monkeypatch.setattr(module, "Wire", Given)
    spec = HealthcheckSpec(kind, endpoint="/", port=80, response_value=value)
    executor: Any = None
    began = time.monotonic()
    found = ask(Asked("e", "a", "a", spec), executor, "10.0.0.2", timeout_s=20)
    assert found.good in (True, False)
    assert found.text.isprintable() and len(found.text) < 400
    assert time.monotonic() - began < 20
    if kind == "tcp":
        assert found.good is (value.encode() in answer[:65_536])
    elif found.good:
        assert b"200" in answer


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "::1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "web", "10.1"]
)
def test_addresses_that_are_nobodys_own(address: str) -> None:
    with pytest.raises(NotItsOwn):
        bridge_of(address)
