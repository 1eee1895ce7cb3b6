"""The in-site door: whoever asks is checked in the same place, and every refusal speaks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from capabilities.models import AuditEntry, Token
from capabilities.refusal import Refusal
from capabilities.services import grant, revoke, root_remove
from node.dispatch import LIMITER
from node.door import invoke, may
from node.limiter import Limits
from tests.unit.node.doorway import house

pytestmark = pytest.mark.django_db(databases=["default", "nonces"])


@pytest.fixture
def here():
    with house() as made:
        yield made


def ask(here, identity, path="/test/echo", payload=None):
    return invoke(
        identity=identity, path=path, payload={"Text": "a"} if payload is None else payload, source="rest"
    )


def refused(*args, **kwargs) -> Refusal:
    with pytest.raises(Refusal) as caught:
        ask(*args, **kwargs)
    return caught.value


def test_a_root_may_do_everything(here):
    assert ask(here, here.root, payload={"text": "ab", "times": 2}).wire() == {"Text": "abab"}
    assert ask(here, here.node.identity).wire() == {"Text": "a"}


def test_others_need_a_token_and_are_told_which(here):
    refusal = refused(here, here.person)
    assert refusal.code == "not_authorized"
    assert refusal.status == 403
    assert refusal.problem()["capability"] == "/test/echo"
    assert "/test/echo" in refusal.detail
    assert "/test/echo" in refusal.hint
    assert not may(here.person, "/test/echo")
    entry = AuditEntry.objects.get(actor=here.person.did)
    assert (entry.outcome, entry.path, entry.source) == ("refused", "/test/echo", "rest")


def test_a_granted_token_opens_and_its_revocation_closes_at_once(here):
    grant(here.node.identity, here.person.did, ["/test"], timedelta(hours=1))
    assert ask(here, here.person).wire() == {"Text": "a"}
    revoke(Token.objects.get(owner=here.person, capabilities=["/test"]))
    assert refused(here, here.person).code == "not_authorized"


def test_an_expired_token_opens_nothing(here):
    grant(here.node.identity, here.person.did, ["/test"], timedelta(seconds=-1))
    assert refused(here, here.person).code == "not_authorized"


def test_a_root_taken_away_is_no_root_any_more(here):
    assert may(here.root, "/dms/anything")
    root_remove(here.root.did)
    assert not may(here.root, "/dms/anything")


def test_the_default_role_is_what_an_account_gets(here):
    for path in ("/public/hello", "/dms/node/deployment/new", "/dms/node/resources/free"):
        assert may(here.person, path)
    for path in ("/dms/node/onboarding/onboard", "/dms/cap/list", "/broadcast/hello", "/"):
        assert not may(here.person, path)


def test_an_unknown_behavior_is_named_with_what_comes_near(here):
    refusal = refused(here, here.root, "/test/ecko")
    assert refusal.code == "unknown_behavior"
    assert refusal.status == 404
    assert "/test/echo" in refusal.hint


def test_every_bad_field_is_named_at_once(here):
    refusal = refused(here, here.root, payload={"Times": 99, "Colour": "red"})
    assert refusal.code == "invalid_request"
    assert refusal.status == 400
    found = {error["path"]: error for error in refusal.problem()["errors"]}
    assert set(found) == {"Text", "Times", "Colour"}
    assert "Text" in found["Colour"]["hint"]
    assert found["Times"]["available"] == "99"


@pytest.mark.parametrize("payload", [[1], "text", 7, {"Text": "a\x00b"}, {"Text": {"a": ["\x00"]}}])
def test_what_is_no_request_at_all_is_refused(here, payload):
    assert refused(here, here.root, payload=payload).code == "invalid_request"


def test_a_fault_of_ours_says_nothing_but_a_request_id(here, caplog):
    refusal = refused(here, here.root, "/test/breaks")
    assert refusal.code == "internal_error"
    assert refusal.status == 500
    request_id = refusal.problem()["request_id"]
    assert "secret of the implementation" not in str(refusal.problem())
    assert request_id in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert AuditEntry.objects.get(outcome="failed").path == "/test/breaks"


def test_what_changes_something_is_audited_without_secrets(here):
    ask(here, here.root)
    assert not AuditEntry.objects.exists()
    ask(here, here.root, "/test/change")
    entry: AuditEntry = AuditEntry.objects.get()
    assert (entry.actor, entry.outcome, entry.request) == (here.root.did, "allowed", {"Text": "a"})
    refused(here, here.root, "/test/change", payload={"Password": "hunter2", "Text": "several\nlines: x"})
    entry = AuditEntry.objects.all()[0]
    assert "hunter2" not in str(entry.request)
    assert entry.request["Text"] == "(16 characters)"
    refused(here, here.root, "/test/change", payload={"Filler": "x" * 100_000})
    assert len(str(AuditEntry.objects.all()[0].request)) < 200


def test_public_behaviors_run_within_the_limiter(here):
    LIMITER.configure(Limits(public_allow=1, public_acquire=1))
    try:
        LIMITER.acquire("/public/hello")
        assert refused(here, here.person, "/public/hello", payload={}).code == "rate_limit_exceeded"
        LIMITER.release("/public/hello")
        assert ask(here, here.person, "/public/hello", payload={}).wire() == {
            "DID": {"uri": here.node.identity.did}
        }
    finally:
        LIMITER.configure(Limits())
    assert LIMITER.active()["public"] == 0


def test_status_tells_strangers_nothing_about_the_machine(here):
    assert ask(here, here.person, "/public/status", payload={}).wire() == {"Status": "OK"}
