"""Signed envelopes against a running site: over REST and with the command line, locally and from elsewhere."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from capabilities.tokens import TokenList
from dmsweb.cli.client import Answered
from tests.support.envelopes import Signer, client_of, tampered
from tests.support.require import ROOT
from tests.support.site import Site

EXAMPLES = ROOT / "examples"
HELLO_TOPIC = "/nunet/hello"


@pytest.fixture(scope="module")
def root(site: Site) -> Signer:
    return Signer.of_node(site)


def refusal_of(site: Site, *args: str, stdin: str | None = None) -> tuple[int, str]:
    done = site.cli(*args, check=False, stdin=stdin)
    return done.returncode, done.stdout + done.stderr


def test_the_handle_names_the_node(site: Site, root: Signer) -> None:
    status = site.json("status")
    handle = root.node()
    assert (handle.did, handle.host, handle.inbox) == (status["did"], status["peer_id"], "root")
    with client_of(site, "") as nobody:
        assert nobody.get("/actor/handle").json() == handle.document()
        # The envelope alone says who asks.
        assert nobody.post("/actor/invoke", content=b"{}").status_code == 400
        assert nobody.get("/nodes/").status_code == 401


def test_a_root_is_answered_with_a_signed_reply(root: Signer) -> None:
    assert root.invoke(root.envelope("/public/hello")) == {"DID": {"uri": root.did}}
    sent = root.post("send", root.envelope("/public/hello", reply=False))
    assert (sent.status_code, sent.json()) == (200, {"message": "message sent"})


@pytest.mark.parametrize("away", [False, True])
def test_the_command_line_signs_and_sends(site: Site, root: Signer, away: bool) -> None:
    where = ("--url", site.url, "--token", site.token) if away else ()
    signed = site.json("actor", "msg", "/public/hello", "--invoke", *where)
    reply = site.json("actor", "invoke", "-", *where, stdin=json.dumps(signed))
    assert reply["from"] == root.node().document()
    assert (reply["to"], reply["be"]) == (signed["from"], signed["opt"]["cont"])
    assert site.json("actor", "cmd", "/public/hello", *where) == {"DID": {"uri": root.did}}
    if away:
        unasked = site.cli("actor", "msg", "/public/hello", *where).stdout
        assert site.json("actor", "send", "-", *where, stdin=unasked) == {"message": "message sent"}


def test_a_broadcast_is_answered_by_each_node(site: Site, root: Signer) -> None:
    signed = site.json("actor", "msg", "/broadcast/hello", "--broadcast", HELLO_TOPIC)
    replies = site.json("actor", "broadcast", "-", stdin=json.dumps(signed))
    assert [reply["from"]["did"]["uri"] for reply in replies] == [root.did]
    asked = root.envelope("/broadcast/hello", topic=HELLO_TOPIC)
    answer = root.post("broadcast", asked)
    assert [root.said(one, asked) for one in answer.json()] == [{"DID": {"uri": root.did}}]


def test_what_is_no_broadcast_is_a_bad_request(site: Site, root: Signer) -> None:
    answer = root.post("broadcast", root.envelope("/public/hello"))
    assert answer.status_code == 400
    assert answer.json()["error"] == "message is not a broadcast message"
    signed = site.json("actor", "msg", "/public/hello", "--invoke")
    code, text = refusal_of(site, "actor", "broadcast", "-", stdin=json.dumps(signed))
    assert code == 1
    assert "not a broadcast" in text
    without = root.post("invoke", root.envelope("/public/hello", reply=False))
    assert (without.status_code, "no behavior to reply to" in without.json()["detail"]) == (400, True)


def test_each_check_that_fails_is_named_in_a_signed_reply(root: Signer) -> None:
    late = root.invoke(root.envelope("/public/hello", ahead_s=-5))
    assert late["type"].endswith(":message_expired")
    assert late["expires_ns"] < late["now_ns"]
    ahead = root.invoke(root.envelope("/public/hello", ahead_s=3600))
    assert "s ahead of the clock here" in ahead["detail"]
    assert "600" in ahead["hint"]
    unknown = root.invoke(root.envelope("/public/helo"))
    assert (unknown["status"], "/public/hello" in unknown["hint"]) == (404, True)
    bad = root.invoke(root.envelope("/dms/node/deployment/status", {"ID": 5}))
    assert [error["path"] for error in bad["errors"]] == ["ID"]
    wrong = root.invoke(root.envelope("/broadcast/hello", topic="/nunet/other"))
    assert HELLO_TOPIC in wrong["detail"]


def test_what_names_no_sender_for_certain_is_refused_without_a_reply(root: Signer) -> None:
    answer = root.post("invoke", tampered(root.envelope("/public/hello")))
    assert answer.status_code == 401
    assert answer.json()["type"].endswith(":signature_verification_failed")
    other = Signer(root.site)
    misled = root.envelope("/public/hello").document() | {"to": other.envelope("/x").sender.document()}
    assert root.post("invoke", json.dumps(misled).encode()).status_code == 404


def test_a_stranger_needs_a_capability_and_gets_along_with_one(site: Site, root: Signer) -> None:
    stranger = Signer(site)
    refused = stranger.invoke(stranger.envelope("/public/hello"))
    assert (refused["status"], refused["capability"]) == (403, "/public/hello")
    assert stranger.did in refused["detail"]
    (granted,) = TokenList.of_document(
        site.json("cap", "grant", stranger.did, "/public", "--days", "1")
    ).tokens
    assert (granted.subject, tuple(granted.capabilities)) == (stranger.did, ("/public",))
    assert stranger.invoke(stranger.envelope("/public/hello")) == {"DID": {"uri": root.did}}
    other = stranger.invoke(stranger.envelope("/dms/node/resources/free"))
    assert (other["status"], other["capability"]) == (403, "/dms/node/resources/free")
    listed = [item for item in site.json("cap", "list")["items"] if item["subject"] == stranger.did]
    site.cli("cap", "revoke", str(listed[0]["id"]))
    assert stranger.invoke(stranger.envelope("/public/hello"))["status"] == 403


def test_what_a_key_deploys_is_its_own(site: Site, root: Signer) -> None:
    owner, other = Signer(site), Signer(site)
    for signer in (owner, other):
        site.cli("cap", "grant", signer.did, "/dms/node/deployment", "--days", "1")
    new = {"Ensemble": (EXAMPLES / "hello.yaml").read_text()}
    made = owner.invoke(owner.envelope("/dms/node/deployment/new", new, ahead_s=3000))
    assert made["Status"] == "OK", made
    asked = {"ID": made["EnsembleID"]}
    for signer in (owner, root):
        assert "Status" in signer.invoke(signer.envelope("/dms/node/deployment/status", asked))
    for path in ("status", "info", "manifest", "shutdown"):
        assert other.invoke(other.envelope(f"/dms/node/deployment/{path}", asked))["status"] == 404
    listed = other.invoke(other.envelope("/dms/node/deployment/list"))
    assert (listed["Deployments"], listed["Total"]) == ({}, 0)


def test_a_key_of_the_keystore_brings_the_tokens_it_was_given(
    site: Site, root: Signer, tmp_path: Path
) -> None:
    did = site.json("key", "new", "carol")["did"]
    denied = site.json("actor", "msg", "/public/hello", "--invoke", "--context", "carol")
    code, text = refusal_of(site, "actor", "invoke", "-", stdin=json.dumps(denied))
    assert code == 1
    assert "not_authorized" in text or "/public/hello" in text
    tokens = tmp_path / "carol.cap"
    tokens.write_text(site.cli("cap", "grant", did, "/public", "--json").stdout)
    signed = site.json("actor", "msg", "/public/hello", "--invoke", "-c", "carol", "--cap", str(tokens))
    assert signed["cap"]
    said = site.cli("actor", "invoke", "-", "--message", stdin=json.dumps(signed))
    assert json.loads(said.stdout) == {"DID": {"uri": root.did}}


def test_an_answer_that_comes_too_late_is_408(site: Site, root: Signer) -> None:
    with nothing_can_be_written(site):
        answer = root.post("invoke", root.envelope("/public/hello", ahead_s=1.0))
    assert (answer.status_code, answer.json()) == (408, {"error": "request timeout"})
    # Which the command line tells from a refusal.
    assert Answered(answer.json(), answer.status_code).code == "timed_out"


@contextmanager
def nothing_can_be_written(site: Site) -> Iterator[None]:
    """Hold the gate of the nonces' database, so that a message is taken in but gets no further."""
    with (site.home / "db" / "nonces.sqlite3.gate").open("a") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def test_a_replay_is_refused_also_after_a_restart(site: Site, root: Signer) -> None:
    once = root.envelope("/public/hello", ahead_s=300)
    assert "DID" in root.invoke(once)
    again = root.invoke(once)
    assert (again["status"], again["type"]) == (409, "urn:dms:problem:message_replayed")
    site.cli("down")
    site.up()
    after = root.invoke(once)
    assert (after["status"], after["type"]) == (409, "urn:dms:problem:message_replayed")
    assert "DID" in root.invoke(root.envelope("/public/hello"))
