"""Capabilities through the door: contexts shown, anchors all or nothing, roots never, grants only of what one holds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from capabilities import contexts, keystore, selectors, services
from capabilities.chains import ChainCache
from capabilities.context import permits
from capabilities.custody import key_path, passphrase
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import Anchor, AuditEntry, Identity
from capabilities.models import Token as TokenRow
from capabilities.refusal import Refusal
from capabilities.scope import Scope
from capabilities.tokens import Token, TokenFault, TokenList, issue, revoke, verify
from node import door
from tests.unit.node.doorway import House, house

pytestmark = pytest.mark.django_db
HOUR_NS = 3600 * 10**9
ORG, EVE = PrivateKey.generate(), PrivateKey.generate()
PEERS = "/dms/node/peers"


@pytest.fixture
def here() -> Iterator[House]:
    with house() as made:
        yield made


def call(invoker: Identity, path: str, **request: Any) -> dict[str, Any]:
    return door.invoke(identity=invoker, path=path, payload=request, source="rest").wire()


def listed(*found: Token) -> dict[str, Any]:
    return TokenList(found).document()


def signed(key: PrivateKey, subject: str, *paths: str, **more: Any) -> Token:
    more.setdefault("expires_ns", time.time_ns() + HOUR_NS)
    return issue(key, action="delegate", subject=subject, capabilities=paths, **more)


def refused(invoker: Identity, path: str, **request: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(invoker, path, **request)
    return caught.value


def test_anchors_are_all_or_nothing_and_a_message_never_adds_a_root(here: House) -> None:
    good = signed(here.key, did_of(ORG.public), PEERS)
    given = signed(ORG, here.node.identity.did, "/dms")
    altered = replace(given, capabilities=("/",))
    fault = refused(here.root, "/dms/cap/anchor", Require=listed(good), Provide=listed(altered))
    assert "signature" in fault.detail
    root = refused(here.root, "/dms/cap/anchor", Root=[{"uri": did_of(EVE.public)}])
    assert (root.code, root.status, root.reasons[0].path) == ("root_not_by_message", 403, "Root")
    roots = set(Anchor.objects.values_list("kind", flat=True))
    assert roots == {"root"}
    assert call(here.root, "/dms/cap/anchor", Require=listed(good), Provide=given.document())["OK"]
    shown = call(here.root, "/dms/cap/list")
    assert shown["Require"] == listed(good)
    assert shown["Provide"] == listed(given)
    assert shown["Roots"] == [{"uri": here.root.did}]
    assert shown["DID"] == {"uri": here.node.identity.did}
    malformed = refused(here.root, "/dms/cap/require/anchor", Token={"tok": [{"dms": {"act": "eat"}}]})
    assert malformed.reasons[0].path == "Token"
    assert AuditEntry.objects.filter(path="/dms/cap/anchor", outcome="allowed").count() == 1


def test_a_revocation_ends_what_rests_on_it_at_once(here: House) -> None:
    trusted = signed(here.key, did_of(ORG.public), "/dms", expires_ns=time.time_ns() + 2 * HOUR_NS)
    call(here.root, "/dms/cap/require/anchor", Token=listed(trusted))
    given = signed(ORG, did_of(EVE.public), "/dms/node")
    derived = signed(EVE, here.person.did, PEERS, chain=given, expires_ns=given.expires_ns)
    context = selectors.site_context()
    assert permits(context, here.person.did, PEERS, [derived], time.time_ns()).allowed
    revocation = revoke(ORG, given)
    call(here.root, "/dms/cap/revoke/anchor", Token=listed(revocation))
    context = selectors.site_context()
    decision = permits(context, here.person.did, PEERS, [derived], time.time_ns())
    assert not decision.allowed
    assert "revoked" in decision.why
    foreign = replace(revocation, issuer=did_of(EVE.public))
    assert "signature" in refused(here.root, "/dms/cap/revoke/anchor", Token=listed(foreign)).detail


def test_only_roots_grant_in_the_nodes_name_and_nobody_hands_on_more_than_she_holds(here: House) -> None:
    subject = did_of(EVE.public)
    services.grant(here.node.identity, here.person.did, ["/dms/cap", "/dms/node"], timedelta(days=1))
    assert refused(here.person, "/dms/cap/grant", Subject=subject, Capabilities=["/"]).status == 403
    too_much = refused(here.person, "/dms/cap/delegate", Subject=subject, Capabilities=["/dms"])
    assert too_much.code == "not_authorized"
    assert "/dms/cap, /dms/node" in too_much.detail
    made = call(
        here.person, "/dms/cap/delegate", Subject=subject, Capabilities=[PEERS], LifetimeSeconds=10**9
    )
    (token,) = TokenList.of_document(made["Token"]).tokens
    assert token.issuer == here.person.did
    assert token.chain is not None
    assert token.expires_ns <= token.chain.expires_ns
    eve = services.identity_for_peer(subject)
    assert services.authorize(eve, f"{PEERS}/list").allowed
    assert not services.authorize(eve, "/dms/node/hardware").allowed
    # To trust somebody for what one may not do would be a way to do it.
    own = signed(EVE, here.person.did, "/")
    assert refused(here.person, "/dms/cap/require/anchor", Token=listed(own)).status == 403
    # What hers rests on is taken back, and it ends with that.
    row = TokenRow.objects.get(subject=here.person.did, capabilities=["/dms/cap", "/dms/node"])
    assert refused(here.person, "/dms/cap/revoke", ID=row.pk).status == 404
    assert call(here.root, "/dms/cap/revoke", ID=row.pk)["Token"]["tok"]
    assert not services.authorize(eve, f"{PEERS}/list").allowed


def test_an_api_token_hands_on_no_more_than_it_lets_through(here: House) -> None:
    services.grant(here.node.identity, here.person.did, ["/dms/cap", "/dms/node"], timedelta(days=9))
    until = timezone.now() + timedelta(hours=1)
    person = services.narrowed(here.person, Scope(("/dms/cap/delegate", PEERS), until=until))
    asked = {"Subject": did_of(EVE.public), "LifetimeSeconds": 86_400.0}
    fault = refused(person, "/dms/cap/delegate", Capabilities=["/dms/node/hardware"], **asked)
    assert "the API token in use covers only" in fault.detail
    made = call(person, "/dms/cap/delegate", Capabilities=[PEERS], **asked)
    (token,) = TokenList.of_document(made["Token"]).tokens
    assert token.expires_ns <= until.timestamp() * 10**9


def test_why_not_is_answered_with_a_command_that_helps(here: House) -> None:
    eve = did_of(EVE.public)
    asked = {"Who": eve, "Can": PEERS}
    no = call(here.root, "/dms/cap/check", **asked)
    assert not no["Allowed"]
    assert no["Commands"] == [f"here: ./dms cap grant {eve} {PEERS}"]
    call(here.root, "/dms/cap/grant", Subject=eve, Capabilities=["/dms/node"], Depth=3)
    yes = call(here.root, "/dms/cap/check", **asked)
    assert yes["Allowed"]
    assert [link["holds"] for link in yes["Chain"]] == [True]
    assert yes["Chain"][0]["depth"] == 3
    services.grant(here.node.identity, here.person.did, ["/dms/cap"], timedelta(days=1))
    assert refused(here.person, "/dms/cap/check", **asked).hint.endswith(here.person.did)
    assert call(here.person, "/dms/cap/check", Who=here.person.did, Can="/dms/cap/list")["Allowed"]
    assert refused(here.root, "/dms/cap/check", Who="did:key:zz", Can=PEERS).reasons[0].path == "Who"
    there = call(here.root, "/dms/cap/check", Who=here.node.identity.did, Can=PEERS, On=eve)
    assert not there["Allowed"]
    assert f"./dms invite --can {PEERS}" in there["Commands"][0]


def test_contexts_of_other_keys_and_their_files(here: House) -> None:
    path = key_path("alice")
    keystore.write(path, keystore.seal("alice", ORG, passphrase()))
    try:
        made = contexts.context_new("alice")
        assert made.did == did_of(ORG.public)
        given = signed(EVE, made.did, "/dms")
        contexts.anchors_add("alice", roots=[did_of(EVE.public)], provide=[given])
        # They say nothing about what the node lets anybody do.
        assert not services.authorize(services.identity_for_peer(did_of(EVE.public)), "/dms/node").allowed
        assert refused(here.person, "/dms/cap/list", Context="alice").status in (403, 404)
        assert call(here.root, "/dms/cap/list", Context="alice")["Provide"] == listed(given)
        for _ in range(8):
            file = contexts.context_save("alice")
        assert oct(file.stat().st_mode & 0o777) == "0o600"
        assert len(list(file.parent.glob("alice.cap*"))) == 1 + 5
        saved = json.loads(file.read_bytes())
        assert list(saved) == ["did", "roots", "require", "provide", "revoke"]
        assert contexts.anchors_remove("alice", roots=[did_of(EVE.public)], provide=[given]) == 2
        assert not Anchor.objects.filter(context="alice").exists()
        # As older files of the reference are: capitals, and lists missing.
        older = {
            name.capitalize(): value for name, value in saved.items() if name not in ("revoke", "require")
        }
        older["DID"] = older.pop("Did")
        held = contexts.context_load("alice", json.dumps(older).encode())
        assert held.provide == (given,)
        assert held.roots == {did_of(EVE.public)}
        with pytest.raises(Refusal, match="the file belongs to"):
            contexts.context_load("dms", file.read_bytes())
        with pytest.raises(Refusal, match="there is a context alice already"):
            contexts.context_new("alice")
        with pytest.raises(Refusal, match="cannot be the name"):
            contexts.context_new("../alice")
        with pytest.raises(Refusal) as unknown:
            contexts.context_get("nobody")
        assert "there are: dms, alice" in unknown.value.hint
    finally:
        path.unlink()
        for old in path.parent.parent.glob("cap/alice.cap*"):
            old.unlink()


def test_a_thousand_revocations_are_anchored_in_one_go(here: House) -> None:
    given = [signed(ORG, did_of(EVE.public), "/dms") for _ in range(1000)]
    contexts.anchors_add("dms", revoke=[revoke(ORG, one) for one in given])
    context = selectors.site_context()
    assert len(context.anchors.revoked) == 1000
    for one in (given[0], given[-1]):
        with pytest.raises(TokenFault, match="revoked"):
            verify(one, now_ns=time.time_ns(), revoked=context.anchors.revoked, cache=ChainCache())
