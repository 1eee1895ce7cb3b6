"""Who stands behind a WebSocket: a login of this site's pages, or an API token; and whether that still holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework.exceptions import AuthenticationFailed

from capabilities.models import Identity
from capabilities.services import identity_for_user, narrowed
from dmsweb.accounts.models import ApiToken, User
from dmsweb.api.auth import BearerToken

SCHEME = b"bearer "


@dataclass(frozen=True, slots=True)
class Entrance:
    """An identity, and what let it in."""

    identity: Identity
    user: int
    token: str = ""
    session: str = ""

    def holds(self) -> bool:
        """Say whether it would still be let in: account active, token neither revoked nor over, not logged out."""
        user = User.objects.filter(pk=self.user, is_active=True).first()
        if user is None:
            return False
        if self.token:
            # Without an expiry it never ends, as the local command line's.
            lasting = Q(expiry=None) | Q(expiry__gt=timezone.now())
            return bool(ApiToken.objects.filter(lasting, pk=self.token, revoked_at=None).exists())
        store = import_module(settings.SESSION_ENGINE).SessionStore(self.session)
        # A changed password ends every login: the hash is over it.
        kept = str(store.get(HASH_SESSION_KEY, ""))
        return bool(constant_time_compare(kept, user.get_session_auth_hash()))


def entrance(scope: Mapping[str, Any]) -> Entrance | None:
    """Return who opened the WebSocket, None for nobody this site knows."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return _by_token(value)
    user, session = scope.get("user"), scope.get("session")
    if user is None or not user.is_authenticated or session is None or not session.session_key:
        return None
    return Entrance(identity_for_user(user), user.pk, session=session.session_key)


def _by_token(header: bytes) -> Entrance | None:
    if header[: len(SCHEME)].lower() != SCHEME:
        return None
    try:
        user, row = BearerToken().authenticate_credentials(header[len(SCHEME) :].strip())
    except AuthenticationFailed:
        return None
    return Entrance(narrowed(identity_for_user(user), row.scope), user.pk, token=row.pk)
