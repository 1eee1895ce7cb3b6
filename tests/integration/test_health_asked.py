"""Health checks asked of real containers and sandboxes: good answers, bad ones, hostile ones, all bounded."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from deployments.ensemble.model import HealthcheckSpec
from tests.integration.docker_rig import Rig, wait_for
from tests.integration.process_site import Bench, process_bench
from workers.executors.base import Cause, ExecutorError
from workers.executors.inside import TookTooLong
from workers.health.ask import Answer, Asked, ask
from workers.health.wire import NotItsOwn, bridge_of

LIMIT_S = 20.0  # of one question here: a loaded machine answers late, a hostile one never
SERVE = 'mkdir /tmp/w && cd /tmp/w && echo "$BODY" > health && exec httpd -f -p 8080 -h /tmp/w'
OK = "HTTP/1.1 200 OK\\r\\n"
# What answers every connection with the output of a command.
TRICK = 'printf %s "$ANSWER" > /tmp/answer; chmod 755 /tmp/answer; exec nc -ll -p 8080 -e sh /tmp/answer'


def asked_of(rig: Rig, execution_id: str, timeout_s: float = LIMIT_S, **check: Any) -> Answer:
    """Ask the container once."""
    spec = HealthcheckSpec(**check)
    address = rig.docker.inspect(execution_id).priv_addr
    return ask(Asked(execution_id, "a", "web", spec), rig.docker, address, timeout_s=timeout_s)


def tricky(rig: Rig, answer: str) -> str:
    """Start a container that answers every connection on 8080 with the output of `answer`, a shell script."""
    name = rig.start("sh", "-c", TRICK, params={"environment": [f"ANSWER={answer}"]})
    wait_for(lambda: asked_of(rig, name, type="tcp", port=8080).good, "it listens")
    return name


@pytest.fixture
def web(rig: Rig) -> str:
    """A container that serves /health with the body `all is well` on port 8080."""
    name = rig.start("sh", "-c", SERVE, params={"environment": ["BODY=all is well"]})
    wait_for(lambda: asked_of(rig, name, type="tcp", port=8080).good, "it listens")
    return name


def test_http_answers(rig: Rig, web: str) -> None:
    found = asked_of(rig, web, type="http", endpoint="/health", port=8080)
    assert found.good is True
    assert found.text.startswith("GET /health -> 200 after ")
    found = asked_of(
        rig, web, type="http", endpoint="http://localhost:8080/health", response_value="all is well"
    )
    assert found.good is True
    found = asked_of(rig, web, type="http", endpoint="http://web:8080/nothing")
    assert (found.good, found.text.split(" after ")[0]) == (False, "GET /nothing -> 404")
    assert asked_of(rig, web, type="http", endpoint="/nothing", port=8080, status="404").good is True
    found = asked_of(rig, web, type="http", endpoint="/health", port=8080, response_value="all")
    assert found.good is False
    assert '"all is well" is not "all"' in found.text
    contains: dict[str, Any] = {"response_type": "contains", "response_value": "is we"}
    assert asked_of(rig, web, type="http", endpoint="/health", port=8080, **contains).good is True
    found = asked_of(rig, web, type="http", endpoint="/health", port=8081)
    assert (found.good, "refused" in found.text) == (False, True)


def test_command_answers(rig: Rig, web: str) -> None:
    words = ("sh", "-c", "wget -q -O - http://127.0.0.1:8080/health; echo aside >&2")
    found = asked_of(rig, web, type="command", exec=words, response_value="is well")
    assert (found.good, found.text.split(" after ")[0]) == (True, "exit code 0")
    assert asked_of(rig, web, type="command", exec=words, response_value="aside").good is True
    found = asked_of(rig, web, type="command", exec=words, response_value="ill")
    assert found.good is False
    assert 'does not contain "ill"' in found.text
    found = asked_of(rig, web, type="command", exec=("sh", "-c", "echo no good; exit 3"))
    assert found.good is False
    assert "exit code 3" in found.text and "no good" in found.text
    assert asked_of(rig, web, type="command", exec=("no-such-program",)).good is False


def test_tcp_answers(rig: Rig) -> None:
    name = tricky(rig, "echo 220 hello")
    assert asked_of(rig, name, type="tcp", port=8080, response_value="220 ").good is True
    found = asked_of(rig, name, type="tcp", port=8080, response_value="250 ")
    assert (found.good, '"220 hello" does not contain "250"' in found.text) == (False, True)
    assert asked_of(rig, name, type="tcp", port=9).good is False


def test_a_command_that_hangs_is_ended_with_what_it_started(rig: Rig, web: str) -> None:
    line = ("sh", "-c", "sleep 4321 & sleep 4322")
    found = asked_of(rig, web, timeout_s=1.0, type="command", exec=line)
    assert found.good is False
    assert "no answer within 1000 ms" in found.text

    def left() -> bytes:
        return rig.docker.run_inside(web, ["ps", "-o", "args"], timeout_s=LIMIT_S, max_bytes=10_000)[1]

    wait_for(lambda: b"sleep 432" not in left(), "nothing of the command is left")
    assert rig.running(web)


def test_output_without_end_is_bounded(rig: Rig, web: str) -> None:
    with pytest.raises(TookTooLong) as caught:
        rig.docker.run_inside(web, ["yes"], timeout_s=1.0, max_bytes=1000)
    assert len(caught.value.output) == 1000
    code, output = rig.docker.run_inside(
        web, ["sh", "-c", "yes | head -c 300000; exit 4"], timeout_s=LIMIT_S, max_bytes=1000
    )
    assert (code, len(output)) == (4, 1000)


def test_commands_have_no_more_rights_than_the_workload(rig: Rig) -> None:
    name = rig.start("sleep", "600", params={"user": "12345"})
    look = "grep -E 'Cap(Eff|Bnd)|NoNewPrivs'"
    script = f"id -u; {look} /proc/self/status; echo -; {look} /proc/1/status"
    code, output = rig.docker.run_inside(name, ["sh", "-c", script], timeout_s=LIMIT_S, max_bytes=10_000)
    mine, theirs = output.decode().split("-\n")
    assert (code, mine.splitlines()[0]) == (0, "12345")
    assert mine.splitlines()[1:] == theirs.splitlines()


def test_a_redirect_elsewhere_is_an_answer_and_not_followed(rig: Rig) -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as elsewhere:
        elsewhere.setblocking(False)
        port = elsewhere.getsockname()[1]
        head = (
            f"HTTP/1.1 302 Found\\r\\nLocation: http://172.17.0.1:{port}/\\r\\nContent-Length: 0\\r\\n\\r\\n"
        )
        name = tricky(rig, f"printf '{head}'")
        found = asked_of(rig, name, type="http", endpoint="/", port=8080)
        assert found.good is False
        assert "302" in found.text and "not followed" in found.text
        assert asked_of(rig, name, type="http", endpoint="/", port=8080, status="3xx").good is True
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize(
    "answer",
    [
        f"printf '{OK}\\r\\n'; exec yes",
        f"printf '{OK}Transfer-Encoding: chunked\\r\\n\\r\\n'; while true; do printf '1\\r\\na\\r\\n'; done",
        f"printf '{OK}'; while true; do echo 'X: y'; done",
        "while true; do printf 'HTTP/1.1 100 Continue\\r\\n\\r\\n'; done",
        "exec yes",
    ],
    ids=["body", "chunks", "headers", "continues", "no-http"],
)
def test_an_answer_without_end_is_bounded(rig: Rig, answer: str) -> None:
    name = tricky(rig, answer)
    found = asked_of(rig, name, type="http", endpoint="/", port=8080, response_value="ok")
    assert found.good is False
    assert len(found.text) < 400


@pytest.mark.parametrize(
    "answer",
    [
        "sleep 600",
        "while true; do printf H; sleep 0.2; done",
        f"printf '{OK}\\r\\n'; while true; do printf x; sleep 0.2; done",
    ],
    ids=["silence", "dripping-head", "dripping-body"],
)
def test_a_slow_answer_ends_with_the_time_out(rig: Rig, answer: str) -> None:
    name = tricky(rig, answer)
    began = time.monotonic()
    found = asked_of(rig, name, timeout_s=1.5, type="http", endpoint="/", port=8080, response_value="ok")
    assert found.good is False
    assert "no answer within 1500 ms" in found.text
    assert time.monotonic() - began < LIMIT_S


def test_nothing_but_the_allocation_itself_is_asked(rig: Rig, web: str) -> None:
    host = "http://10.1.2.3:8080/health"
    found = asked_of(rig, web, type="http", endpoint=host)
    assert (found.good, "not the allocation itself" in found.text) == (False, True)
    for address in ("127.0.0.1", "169.254.169.254", "192.0.2.1", "0.0.0.0", "", "::1", "224.0.0.1"):
        spec = HealthcheckSpec("tcp", port=22)
        found = ask(Asked(web, "a", "a", spec), rig.docker, address, timeout_s=LIMIT_S)
        assert (found.good, "not asked" in found.text) == (False, True), address
    gateway = rig.docker.inspect(web).priv_addr.rpartition(".")[0] + ".1"
    with pytest.raises(NotItsOwn, match="this machine's own"):
        bridge_of(gateway)


def test_what_has_ended_is_not_called_ill(rig: Rig, web: str) -> None:
    rig.docker.kill(web, Cause.UNHEALTHY, "3 failures in a row")
    ended = rig.ended(web)
    assert (ended.cause, ended.detail) == (Cause.UNHEALTHY, "3 failures in a row")
    assert asked_of(rig, web, type="command", exec=("true",)).good is None


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An executor of sandboxed processes."""
    with process_bench("bwrap") as made:
        yield made


def test_commands_inside_a_sandbox(bench: Bench) -> None:
    run = bench.start("sh", "-c", "echo fine > state; exec sleep 600").execution_id
    wait_for(
        lambda: bench.executor.run_inside(run, ["cat", "state"], timeout_s=LIMIT_S, max_bytes=99)[0] == 0,
        "state",
    )

    def answer(*words: str, value: str = "", timeout_s: float = LIMIT_S) -> Answer:
        spec = HealthcheckSpec("command", exec=words, response_value=value)
        return ask(Asked(run, "a", "a", spec), bench.executor, "", timeout_s=timeout_s)

    assert answer("cat", "state", value="fine").good is True
    assert answer("cat", "state", value="ill").good is False
    assert answer("sh", "-c", "exit 5").good is False
    found = answer("sh", "-c", "sleep 4323 & sleep 4324", timeout_s=1.0)
    assert (found.good, "no answer within" in found.text) == (False, True)

    def left() -> bytes:
        return bench.executor.run_inside(
            run, ["sh", "-c", "cat /proc/[0-9]*/cmdline"], timeout_s=LIMIT_S, max_bytes=10_000
        )[1]

    wait_for(lambda: b"\x00432" not in left(), "nothing of the command is left")
    code, output = bench.executor.run_inside(
        run,
        ["sh", "-c", "id -u; ls /proc/1/root/root; yes | head -c 200000"],
        timeout_s=LIMIT_S,
        max_bytes=2000,
    )
    assert (code, len(output)) == (0, 2000)
    assert b"65534\n" in output  # what it says on the other stream may come first
    bench.executor.kill(run, Cause.UNHEALTHY, "hangs")
    assert bench.ended(run).cause is Cause.UNHEALTHY
    assert answer("true").good is None


def test_many_commands_at_once(bench: Bench) -> None:
    run = bench.start("sleep", "600").execution_id
    codes: list[int] = []

    def one() -> None:
        try:
            codes.append(bench.executor.run_inside(run, ["sh", "-c", "exit 7"], timeout_s=60, max_bytes=9)[0])
        except (ExecutorError, TookTooLong):
            codes.append(-1)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [7] * 12
