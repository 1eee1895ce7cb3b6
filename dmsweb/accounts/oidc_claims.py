"""What an identity provider says about a person, believed only after every check of OpenID Connect.

Knows no Django and no network: tokens come in, claims or `Distrusted` come out.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Any

import jwt

from capabilities.numbers import NUMBERS
from dmsweb.accounts.oidc_discovery import Distrusted

# No "none", and nothing symmetric: the client secret, or a public key read as one, must not sign.
SIGNED_WITH = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def nonce_of(verifier: str) -> str:
    """Return the nonce of a login: derived from its PKCE verifier, which only the browser's session knows."""
    return hashlib.sha256(b"dms oidc nonce:" + verifier.encode()).hexdigest()


def claims_of(id_token: Any, keys: Any, *, issuer: str, client: str, nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token signed by one of `keys` for this site and this login; Distrusted otherwise."""
    if not isinstance(id_token, str) or not id_token:
        raise Distrusted("it sent no ID token")
    try:
        header = jwt.get_unverified_header(id_token)
        algorithm = header.get("alg")
        if algorithm not in SIGNED_WITH:
            raise Distrusted(f"its ID token is signed with {str(algorithm)[:20]}, which is not accepted here")
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key=_key(keys, header.get("kid")),
            algorithms=[algorithm],
            issuer=issuer,
            audience=client,
            leeway=NUMBERS.oidc_clock_leeway_s,
            options={"require": ["iss", "aud", "exp", "iat", "sub"]},
        )
    except jwt.InvalidIssuerError:
        raise Distrusted("its ID token was issued by somebody else") from None
    except jwt.InvalidAudienceError:
        raise Distrusted("its ID token is for another site") from None
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        raise Distrusted("its ID token does not count now: one of the two clocks is wrong") from None
    except jwt.InvalidSignatureError:
        raise Distrusted("the signature of its ID token is wrong") from None
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise Distrusted(f"its ID token cannot be read ({error})") from None
    parties = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if (len(parties) > 1 or "azp" in claims) and claims.get("azp") != client:
        raise Distrusted("its ID token is for another site")
    if not compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise Distrusted("its ID token belongs to another login")
    return claims


def same_person(claims: dict[str, Any], told: Any) -> dict[str, Any]:
    """Return what the provider tells about the person, when it is the one of the ID token; Distrusted otherwise."""
    if not isinstance(told, dict) or told.get("sub") != claims["sub"]:
        raise Distrusted("it tells about another person than the one who logged in")
    return told


def _key(keys: Any, kid: Any) -> Any:
    if not isinstance(keys, dict):
        raise Distrusted("its keys are no JSON object")
    usable = [key for key in jwt.PyJWKSet.from_dict(keys).keys if key.public_key_use != "enc"]
    found = [key for key in usable if kid is None or key.key_id == kid]
    if not found or (kid is None and len(found) > 1):
        raise Distrusted("it does not publish the key that signed its ID token")
    return found[0].key
