"""The first start makes keys, node, administrator and local token; every later one finds them."""

from __future__ import annotations

import stat
import uuid

import pytest
from django.conf import settings

from capabilities import custody, keystore, selectors
from capabilities.did import did_of
from capabilities.keys import KeyType
from capabilities.services import identity_for_user, is_root
from dmsweb.accounts.models import User
from dmsweb.prepare import prepare
from node.models import Node

pytestmark = pytest.mark.django_db(databases=["default", "nonces"])


def test_everything_is_made_once_and_kept_private() -> None:
    selectors.forget()
    first = prepare(lambda text: None)
    node = Node.objects.get()
    key = custody.node_key()
    assert key.public.type == KeyType.Ed25519
    assert uuid.UUID(str(node.pk))
    assert (first.did, first.peer_id) == (did_of(key.public), key.public.peer_id())
    assert (node.identity.did, node.peer_id, node.cid) == (first.did, first.peer_id, key.public.cid())
    assert first.keys == {"dms": key.marshal().hex()}
    document = keystore.read(settings.DMS_HOME.path("key", "dms.json"))
    assert (document["id"], document["version"], document["crypto"]["kdfparams"]["n"]) == ("dms", 3, 262144)
    admin = User.objects.get(username="admin")
    assert is_root(identity_for_user(admin))
    assert first.admin_password
    assert admin.check_password(first.admin_password)
    for name in ("secrets/passphrase", "secrets/site", "secrets/cli-token", "key/dms.json"):
        assert stat.S_IMODE(settings.DMS_HOME.path(name).stat().st_mode) == 0o600, name
    for name in ("secrets", "key", "cap", "db", "run"):
        assert stat.S_IMODE(settings.DMS_HOME.path(name).stat().st_mode) == 0o700, name

    again = prepare(lambda text: None)
    assert again.admin_password is None
    assert again.keys == first.keys
    assert (Node.objects.count(), User.objects.count()) == (1, 1)
