"""The identity provider that lets people in, where one is named."""

from __future__ import annotations

import json
import os
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from dmsweb.accounts.oidc_discovery import Distrusted, discovered, discovery_address
from dmsweb.launch.doctor.check import TIMEOUT_S, Check

NAME = "oidc"
COST = "nobody gets in through it; passwords, passkeys and links work"
DOCUMENT_MAX_BYTES = 1 << 20
NEAR = ("localhost", "127.0.0.1", "::1")


def provider() -> Check:
    """The provider answers, speaks for its name, and this site is known to it by an id."""
    issuer = os.environ.get("DMS_OIDC_ISSUER", "")
    if not issuer:
        return Check(NAME, True, "no identity provider is named (DMS_OIDC_ISSUER)")
    if not os.environ.get("DMS_OIDC_CLIENT_ID"):
        return _lack(
            f"{issuer} without DMS_OIDC_CLIENT_ID", "set the id that the provider knows this site by"
        )
    where = urlsplit(issuer)
    if where.scheme not in ("https", "http") or not where.hostname:
        return _lack(f"DMS_OIDC_ISSUER={issuer} is no address", "give https://HOST/...")
    if where.scheme == "http" and where.hostname not in NEAR:
        return _lack(f"{issuer} is without TLS: whoever is on the way can log in as anybody", "use https://")
    address = discovery_address(issuer)
    try:
        with urlopen(address, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http and https alone, see above
            discovered(json.loads(answer.read(DOCUMENT_MAX_BYTES)), issuer)
    except Distrusted as error:
        return _lack(f"{issuer}: {error}", "give DMS_OIDC_ISSUER as the provider writes it")
    except URLError as error:
        return _lack(
            f"{address} cannot be read ({error.reason})", "correct DMS_OIDC_ISSUER, or mend the way there"
        )
    except (OSError, ValueError) as error:
        return _lack(f"{address} cannot be read ({error})", "correct DMS_OIDC_ISSUER, or mend the provider")
    return Check(NAME, True, issuer)


def _lack(detail: str, hint: str) -> Check:
    return Check(NAME, False, detail, COST, hint)
