"""Before and after in the audit log: whatever a behavior changes, however it does, and nothing that is secret."""

from __future__ import annotations

import json
import time

import pytest
from django.apps import apps
from django.utils import timezone

from capabilities import recorder
from capabilities.auditlog import entries
from capabilities.keys import PrivateKey
from capabilities.models import AuditEntry, AuditSeal, Organisation, Token
from capabilities.numbers import NUMBERS
from capabilities.recorder import Recorded, RecordedRows, recorded_models, recording
from capabilities.refusal import Refusal
from capabilities.seals import seal_next, verify
from capabilities.tokens import TokenList, issue
from dmsweb.accounts.models import ApiToken, User
from node.door import invoke
from node.models import Node

# What is written by workers, in masses, or says itself what happened.
NOT_RECORDED = {
    "capabilities": {"auditentry", "auditseal", "identity"},
    "node": {
        "benchmarkrun",
        "foreigncontainer",
        "nodeevent",
        "outgoing",
        "portreservation",
        "reservation",
        "seennonce",
        "usagesample",
    },
    "deployments": {
        "allocationattempt",
        "allocationsample",
        "allocationtombstone",
        "bid",
        "bidrequest",
        "deploymentevent",
        "execsession",
    },
    "accounts": {"loginlink"},
}
DRAIN = "/dms/node/drain"


def does(people, path, name="alice", **payload):
    invoke(identity=people.identity(name), path=path, payload=payload, source="rest")
    return AuditEntry.objects.filter(path=path).latest("pk").changes


def test_every_model_is_recorded_or_on_the_list_of_those_that_need_not_be():
    for app, left_out in NOT_RECORDED.items():
        models = {model._meta.model_name: model for model in apps.get_app_config(app).get_models()}
        assert {name for name, model in models.items() if model not in recorded_models()} == left_out
    for model in recorded_models() - {User}:
        assert isinstance(model._default_manager.all(), RecordedRows), model


def test_an_update_a_creation_and_a_removal(people):
    node = people.node
    told = does(people, DRAIN, Drain=True, Reason="new disks")
    (entry,) = [one for one in told if one["object"] == "node"]
    assert entry["key"] == str(node.pk)
    assert (entry["before"]["drain_reason"], entry["after"]["drain_reason"]) == ("", "new disks")
    assert entry["before"]["draining_at"] is None
    assert "hardware" not in entry["after"]

    told = does(people, "/dms/organisation/new", Name="lab")
    made = next(one for one in told if one["object"] == "organisation")
    assert (made["before"], made["after"]["name"]) == (None, "lab")
    told = does(people, "/dms/organisation/remove", Name="lab")
    gone = next(one for one in told if one["object"] == "organisation")
    assert (gone["before"]["name"], gone["after"]) == ("lab", None)


def test_a_deployment_is_noted_without_its_ensemble(people):
    deployment = people.deploy()
    told = does(people, "/dms/node/deployment/shutdown", "bob", ID=deployment.pk)
    row = next(one for one in told if one["object"] == "deployment")
    assert row["key"] == deployment.pk
    assert row["after"]["stop_wanted"] is True
    assert "ensemble" not in json.dumps(told)


def test_secrets_never_stand_there(people):
    told = does(people, "/dms/token/new", "bob", Name="laptop")
    text = json.dumps(told)
    row = ApiToken.objects.latest("created")
    assert next(one for one in told if one["object"] == "apitoken")["after"]["name"] == "laptop"
    assert row.digest not in text
    (entry,) = [one for one in told if one["object"] == "apitoken"]
    assert entry["key"] == row.token_key
    with recording() as noted:
        people.bob.set_password("correct horse battery two")
        people.bob.save()
    assert noted.document() == []


def test_what_is_refused_or_fails_has_changed_nothing(people):
    with pytest.raises(Refusal):
        does(people, "/dms/user/disable", Name="alice")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.outcome, entry.changes) == ("refused", [])


def test_reading_is_not_recorded_and_nothing_is_outside_of_a_recorder(people, django_assert_num_queries):
    rows = Organisation.objects.filter(name="none")
    with django_assert_num_queries(1):
        rows.update(name="still none")
    with recording(False) as noted:
        Node.objects.update(drain_reason="x")
    assert noted.document() == []
    assert recorder.taken() == []


def test_of_several_changes_the_first_before_and_the_last_after_count(people):
    with recording() as noted:
        lab = Organisation.objects.create(name="a")
        Organisation.objects.filter(pk=lab.pk).update(name="b")
        lab.refresh_from_db()
        lab.name = "c"
        lab.save()
        passing = Organisation.objects.create(name="passing")
        passing.delete()
        many = Organisation.objects.bulk_create([Organisation(name="x"), Organisation(name="y")])
        people.node.drain_reason = "not written"
        people.node.save(update_fields=["location"])
    told = noted.document()
    assert [(one["object"], one["key"]) for one in told] == [
        ("organisation", str(lab.pk)),
        *(("organisation", str(row.pk)) for row in many),
    ]
    assert (told[0]["before"], told[0]["after"]["name"]) == (None, "c")


def test_too_much_is_cut_and_told(people, monkeypatch):
    with recording() as noted:
        Organisation.objects.bulk_create(
            Organisation(name=f"o{n}") for n in range(NUMBERS.audit_changes_max_rows + 9)
        )
    told = noted.document()
    assert len(told) == NUMBERS.audit_changes_max_rows + 1
    assert told[-1] == {"left_out": 9}


def test_a_command_line_notes_what_it_did_since_it_was_asked(people):
    recorder.begin()
    try:
        Organisation.objects.create(name="by hand")
        assert [one["after"]["name"] for one in recorder.taken()] == ["by hand"]
        assert recorder.taken() == []
    finally:
        recorder._at_work.set(None)


def test_changes_are_sealed_and_entries_of_before_verify_as_they_did(people):
    AuditEntry.objects.create(actor="did:x", path="/old", outcome="allowed", source="cli")
    does(people, DRAIN, Drain=True)
    seal_next()
    assert verify().faults == ()
    old, new = AuditEntry.objects.get(path="/old"), AuditEntry.objects.get(path=DRAIN)
    made_up: list[object] = [{"object": "node", "key": "1", "before": None, "after": {}}]
    for entry, forged in ((new, list[object]()), (old, made_up)):
        kept = entry.changes
        AuditEntry.objects.filter(pk=entry.pk).update(changes=forged)
        assert [(fault.entry, fault.what) for fault in verify().faults] == [
            (entry.pk, "the entry has been altered")
        ]
        AuditEntry.objects.filter(pk=entry.pk).update(changes=kept)
    assert verify().faults == ()


def test_the_newest_seals_are_verified_alone(people):
    for number in range(5):
        AuditEntry.objects.create(actor="did:x", path=f"/p{number}", outcome="allowed", source="cli")
        seal_next()
    assert verify(newest=2).seals == 2
    assert verify(newest=99).seals == 5
    AuditEntry.objects.filter(path="/p0").update(path="/forged")
    assert verify(newest=2).faults == ()
    assert len(verify().faults) == 1
    AuditEntry.objects.filter(path="/p4").delete()
    assert len(verify(newest=2).faults) == 1


def test_the_page_shows_what_changed_and_verifies(people):
    does(people, DRAIN, Drain=True, Reason="new disks")
    seal_next()
    client = people.client("alice")
    page = client.get("/audit/").content.decode()
    assert "<ins>new disks</ins>" in page
    assert "sealed up to" in page
    assert "Verified:" in client.get("/audit/", {"verify": "1"}).content.decode()
    assert "/dms/node/drain" in client.get("/audit/", {"q": str(people.node.pk)}).content.decode()
    AuditEntry.objects.filter(path=DRAIN).update(reason="forged")
    assert "not what was written" in client.get("/audit/", {"verify": "1"}).content.decode()
    others = people.client("bob").get("/audit/", {"verify": "1"}).content.decode()
    assert "sealed up to" not in others
    assert "not what was written" not in others


def test_rest_filters_as_the_command_line_does(people):
    deployment = people.deploy()
    does(people, "/dms/node/deployment/shutdown", "bob", ID=deployment.pk)
    does(people, DRAIN, Drain=True)
    client = people.client("alice")

    def found(**query):
        answer = client.get("/api/v1/audit/", query)
        assert answer.status_code == 200, answer.content
        return [row["path"] for row in answer.json()["items"]]

    assert found(path="/dms/node/deployment") == ["/dms/node/deployment/shutdown"]
    assert found(about=deployment.pk) == ["/dms/node/deployment/shutdown"]
    assert found(who=people.identity("alice").did) == [DRAIN]
    assert found(since=timezone.now().isoformat()) == []
    assert len(found(until=timezone.now().isoformat())) == 2
    assert [one["path"] for one in entries(about=str(people.node.pk))] == [DRAIN]
    refused = client.get("/api/v1/audit/", {"since": "yesterday", "outcome": "luck"})
    assert refused.status_code == 400
    assert {error["path"] for error in refused.json()["errors"]} == {"since", "outcome"}
    row = client.get("/api/v1/audit/", {"path": DRAIN}).json()["items"][0]
    assert row["changes"][0]["object"] == "node"


def test_anchors_of_one_call_are_told_apart(people):
    giver, node = PrivateKey.generate(), people.node.identity.did
    expires_ns = time.time_ns() + 10**15
    tokens = tuple(
        issue(giver, action="delegate", subject=node, capabilities=(path,), expires_ns=expires_ns)
        for path in ("/lab/a", "/lab/b", "/lab/c")
    )
    told = does(people, "/dms/cap/provide/anchor", Token=TokenList(tokens).document())
    assert [one["key"] for one in told] == [token.key for token in tokens]
    assert all(one["before"] is None and one["after"]["kind"] == "provide" for one in told)


def test_a_granted_token_is_noted_by_its_paths(people):
    told = does(
        people,
        "/dms/cap/grant",
        Subject=people.identity("bob").did,
        Capabilities=["/lab"],
        LifetimeSeconds=60,
    )
    row = next(one for one in told if one["object"] == "token")
    assert row["after"]["capabilities"] == ["/lab"]
    assert "document" not in row["after"]
    assert issubclass(Token, Recorded)
    assert AuditSeal not in recorded_models()
