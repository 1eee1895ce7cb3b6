"""`./dms actor msg` in the name of a hardware wallet: a fresh key signs, and the wallet says that it may."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capabilities import keystore
from capabilities.custody import node_key
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.services import root_add
from capabilities.tokens import Token, issue
from dmsweb.cli.key import key_path, passphrase_of
from dmsweb.cli.key_ledger import ledger_of
from dmsweb.cli.session import Session
from dmsweb.cli.signing import signed_envelope
from node.door import receive
from node.envelope import Envelope
from tests.support import ledger_cli
from tests.unit.node.doorway import DAY_NS, NS, House, content, house

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "nonces"])


class Local(Session):
    """The command line at the site of the test's node."""

    handle: dict[str, Any]

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Answer the one question that is asked."""
        assert path == "/actor/handle"
        return self.handle


@pytest.fixture
def here() -> Iterator[House]:
    with house() as made:
        yield made


@pytest.fixture
def session(here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("DMS_LEDGER_CLI", str(ledger_cli.install(tmp_path)))
    made = Local()
    made.handle = here.handle.document()
    return made


def asked(session: Session, *held: Token, path: str = "/test/who", name: str = "ledger:1") -> Envelope:
    made = signed_envelope(
        session, path, {}, name=name, dest="", topic="", reply=True, expiry_s=None, held=held
    )
    return Envelope.from_document(made)


def test_a_root_on_a_wallet(here: House, session: Session) -> None:
    did = did_of(ledger_of(session, "ledger:1").public)
    root_add(did)
    envelope = asked(session)
    assert envelope.sender.did == did
    assert envelope.sender.id_did != did
    assert 200 * NS < envelope.expires_ns - time.time_ns() < 301 * NS
    # Whoever answers knows for whom the fresh key speaks.
    assert content(receive(envelope.to_json())) == {"Text": did}


def test_what_was_given_to_a_wallet_goes_along(here: House, session: Session) -> None:
    did = did_of(ledger_of(session, "ledger:1").public)
    refused = content(receive(asked(session).to_json()))
    assert refused["status"] == 403
    until = time.time_ns() + DAY_NS
    given = issue(
        node_key(), action="delegate", subject=did, capabilities=["/test/who"], expires_ns=until, depth=2
    )
    assert content(receive(asked(session, given).to_json())) == {"Text": did}
    assert content(receive(asked(session, given, path="/test/echo").to_json()))["status"] == 403


def test_a_key_of_the_keystore_speaks_for_itself(here: House, session: Session) -> None:
    key = PrivateKey.generate()
    root_add(did_of(key.public))
    path = key_path(session, "carol")
    keystore.write(path, keystore.seal("carol", key, passphrase_of(session)))
    try:
        envelope = asked(session, name="carol")
    finally:
        path.unlink()
    assert envelope.sender.did == envelope.sender.id_did == did_of(key.public)
    assert envelope.expires_ns - time.time_ns() < 31 * NS
    assert content(receive(envelope.to_json())) == {"Text": envelope.sender.did}


def test_what_the_wallet_signed_serves_nobody_else(here: House, session: Session) -> None:
    root_add(did_of(ledger_of(session, "ledger:1").public))
    good, thief = asked(session), PrivateKey.generate()
    stolen = replace(good, sender=replace(good.sender, public_key=thief.public), nonce=good.nonce + 1)
    assert content(receive(stolen.sign(thief).to_json()))["status"] == 403
    assert "Text" in content(receive(good.to_json()))
