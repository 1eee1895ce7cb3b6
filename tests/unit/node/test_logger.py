"""Lines as JSON with ids; settings as a whole or not at all; a target that fails costs nobody anything."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.models import AuditEntry
from capabilities.refusal import Refusal
from capabilities.services import root_add
from node.door import invoke
from node.logger import context, sending
from node.logger.lines import JsonLines, TextLines, plain
from node.logger.sending import Queue, Sender, body, otlp
from node.logger.settings import LoggerConfig
from node.models import LoggerSettings, Node, NodeEvent
from node.services import logger
from tests.support.collector import Collector, collector
from tests.support.services import wait_for
from tests.unit.node.machines import make_node


def record(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("some.room", logging.INFO, __file__, 1, message, args, None)
    vars(made).update(extra)
    return made


@given(
    st.text(), st.dictionaries(st.sampled_from(["a", "b", "level"]), st.text() | st.integers() | st.none())
)
def test_a_line_is_one_json_object_whatever_it_holds(message: str, extra: dict[str, Any]) -> None:
    with context.bind(request="r1", allocation="a1"):
        line = JsonLines().format(record("%s", message, **extra))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["request"], found["allocation"]) == (
        "info",
        "some.room",
        "r1",
        "a1",
    )
    assert found["message"] == message
    assert plain(line) == message


def test_ids_hold_inside_the_block_and_for_what_it_calls() -> None:
    @context.about("deployment")
    def inner(key: str) -> dict[str, str]:
        return dict(context.bound())

    with context.bind(request="r"):
        assert inner("d1") == {"request": "r", "deployment": "d1"}
        assert dict(context.bound()) == {"request": "r"}
        assert "[request=r]" in TextLines().format(record("hello"))
    assert not context.bound()
    with pytest.raises(ValueError, match="no log line has user"), context.bind(user="x"):
        pass


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise OSError("the disk is full")
    except OSError as error:
        made = record("writing failed")
        made.exc_info = (OSError, error, error.__traceback__)
    line = JsonLines().format(made)
    assert "Traceback" in json.loads(line)["exception"]
    assert plain(line) == "writing failed: OSError: the disk is full"


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        ({"level": "loud"}, ["level"]),
        ({"interval_s": 0, "level": "x"}, ["level", "interval"]),
        ({"elastic_enabled": True}, ["url"]),
        ({"url": "ftp://x"}, ["url"]),
        ({"url": "http://user:pw@x/"}, ["url"]),
        ({"url": "http://x:99999/"}, ["url"]),
        ({"apm_url": "http://"}, ["apm_url"]),
        ({"apm_url": "http://x?a=b"}, ["apm_url"]),
        ({"url": "http://x/i", "elastic_enabled": True, "apm_url": "http://y"}, ["apm_url"]),
        ({"api_key": "a\nb"}, ["api_key"]),
        ({"api_key": "é"}, ["api_key"]),
    ],
)
def test_every_fault_is_named(wanted: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        LoggerConfig().changed(wanted)
    assert [reason.path for reason in caught.value.reasons] == paths
    assert "pw" not in str(caught.value.problem())


def test_where_lines_go() -> None:
    nowhere = LoggerConfig()
    assert nowhere.target == ""
    assert nowhere.changed({"apm_url": "http://x:4318/"}).target == "http://x:4318/v1/logs"
    assert nowhere.changed({"url": "http://x/dms", "elastic_enabled": True}).target == "http://x/dms/_bulk"
    assert nowhere.changed({"url": "http://x/dms"}).target == ""


@pytest.fixture
def target() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    made = Sender(Queue())
    yield made
    made.configure(LoggerConfig())


def config(target: Collector, **changes: Any) -> LoggerConfig:
    return LoggerConfig(apm_url=target.url, interval_s=1, **changes)


def test_lines_reach_a_real_target_with_the_key(target: Collector, sender: Sender) -> None:
    sender.configure(config(target, api_key="k1"))
    with context.bind(request="r7"):
        logging.getLogger("some.room").warning("one %s", "line")
    wait_for(lambda: "one line" in target.messages, what="the line")
    assert target.headers["Authorization"] == "ApiKey k1"
    (found,) = [one for one in target.records if one["body"]["stringValue"] == "one line"]
    assert found["severityNumber"] == 13
    assert {"key": "request", "value": {"stringValue": "r7"}} in found["attributes"]


def test_a_dead_target_holds_nobody_up_and_what_is_dropped_is_counted(
    target: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "NUMBERS", SmallQueue())
    queue = Queue()
    made = Sender(queue)
    target.stop()
    made.configure(config(target))
    for number in range(50):
        logging.getLogger("some.room").warning("line %d", number)
    wait_for(lambda: queue.fault, what="a try that fails")
    assert len(queue) <= 10
    assert queue.dropped >= 40
    target.start()
    wait_for(lambda: "line 49" in target.messages, what="the newest lines")
    assert "line 0" not in target.messages
    made.configure(LoggerConfig())
    assert queue not in logging.getLogger().handlers


class SmallQueue:
    logger_queue_max = 10
    logger_batch_max = 4
    logger_timeout_s = 2.0
    logger_backoff_max_s = 1.0


def test_a_refusing_target_is_not_asked_the_same_again(target: Collector, sender: Sender) -> None:
    target.status = 400
    sender.configure(config(target))
    logging.getLogger("some.room").warning("bad")
    wait_for(lambda: target.asked >= 1, what="a try")
    target.status = 200
    logging.getLogger("some.room").warning("good")
    wait_for(lambda: "good" in target.messages, what="the next")
    assert "bad" not in target.messages


def test_elastic_gets_bulk_requests() -> None:
    sent = body(LoggerConfig(url="http://x/i", elastic_enabled=True), [{"time": "t", "message": "m"}])
    assert sent["content"] == b'{"index":{}}\n{"time": "t", "message": "m", "@timestamp": "t"}\n'
    assert otlp([])["resourceLogs"][0]["scopeLogs"][0]["logRecords"] == []


@pytest.fixture
def node(db: None) -> Iterator[Node]:
    made = make_node()
    root_add(made.identity.did)
    level = logging.getLogger().level
    yield made
    logger.apply(LoggerConfig())
    logging.getLogger().setLevel(level)


def call(node: Node, path: str, **payload: Any) -> dict[str, Any]:
    return invoke(identity=node.identity, path=path, payload=payload, node=node, source="rest").wire()


def test_the_behavior_changes_all_or_nothing_and_keeps_the_key_to_itself(node: Node) -> None:
    with pytest.raises(Refusal) as caught:
        call(node, "/dms/node/logger/config", level="debug", interval=0, url="x")
    assert [reason.path for reason in caught.value.reasons] == ["interval", "url"]
    assert not LoggerSettings.objects.exists()
    assert call(node, "/dms/node/logger/config", level="WARN", api_key="very secret", interval=7) == {
        "OK": True,
        "error": "",
    }
    assert logging.getLogger().level == logging.WARNING
    row = LoggerSettings.objects.get()
    assert row.sealed_api_key is not None
    assert b"very secret" not in bytes(row.sealed_api_key)
    assert logger.present(node)[0].api_key == "very secret"
    shown = call(node, "/dms/node/logger/status")
    assert (shown["level"], shown["interval"], shown["api_key"], shown["target"]) == ("warn", 7, "(set)", "")
    kept = str(list(AuditEntry.objects.values())) + str(list(NodeEvent.objects.values())) + str(shown)
    assert "very secret" not in kept
    call(node, "/dms/node/logger/config", api_key="")
    assert call(node, "/dms/node/logger/status")["api_key"] == ""
    assert LoggerSettings.objects.get().version == 2


def test_another_process_takes_the_change_up(node: Node) -> None:
    look = logger.Look()
    look.once()
    logger.change(node, {"level": "error"}, actor="")
    logging.getLogger().setLevel(logging.INFO)
    look.once()
    assert (look.seen, logging.getLogger().level) == (1, logging.ERROR)
