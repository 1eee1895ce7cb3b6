"""The doors to API tokens: one's own; a root of the node names other accounts, too."""

from __future__ import annotations

from pydantic import Field

from capabilities.refusal import Refusal
from dmsweb.accounts import services, tokens
from dmsweb.accounts.models import ApiToken, User
from node.message import Empty, Message
from node.registry import Call, behavior


class TokenNewRequest(Message):
    """What the token is for."""

    name: str = Field("", alias="Name", description="What it is for.")
    capabilities: list[str] = Field(
        default_factory=list, alias="Capabilities", description="Paths; none: all that its owner may do."
    )
    days: float | None = Field(None, alias="Days", gt=0, description="How long it counts.")
    deployment: str = Field("", alias="Deployment", description="The only one it is for: id or name.")
    user: str = Field("", alias="User", description="Whose; the caller's when left out.")


class TokenEntry(Message):
    """A token, never its text."""

    key: str = Field(alias="Key", description="The text's first characters.")
    name: str = Field("", alias="Name")
    capabilities: list[str] = Field(default_factory=list, alias="Capabilities")
    deployment: str = Field("", alias="Deployment")
    created_at: str = Field(alias="CreatedAt")
    expires_at: str | None = Field(None, alias="ExpiresAt")


class TokenNewResponse(TokenEntry):
    """The token with its text, shown this once."""

    token: str = Field(alias="Token")


class TokenListResponse(Message):
    """The caller's tokens that count."""

    tokens: list[TokenEntry] = Field(alias="Tokens")


class TokenRevokeRequest(Message):
    """Which token."""

    key: str = Field(alias="Key", max_length=64)
    user: str = Field("", alias="User", description="Whose; the caller's when left out.")


def _entry(row: ApiToken) -> dict[str, object]:
    return {
        "Key": row.token_key,
        "Name": row.name,
        "Capabilities": row.capabilities,
        "Deployment": row.deployment,
        "CreatedAt": row.created.isoformat(),
        "ExpiresAt": row.expiry.isoformat() if row.expiry else None,
    }


def _owner(call: Call, name: str) -> User:
    own = call.invoker.user
    if not name or (own is not None and name == own.get_username()):
        if own is None:
            raise Refusal(
                "no_account",
                f"{call.invoker} has no account here, so no tokens",
                status=409,
                hint="name a User",
            )
        return User.objects.get(pk=own.pk)
    if not call.is_root:
        raise Refusal(
            "not_authorized",
            f"the tokens of {name[:80]} are for her and for administrators",
            status=403,
            hint="leave User out for tokens of your own",
        )
    return services.user_get(name)


@behavior("/dms/token/new", request=TokenNewRequest, response=TokenNewResponse, changes=True)
def token_new(call: Call, request: TokenNewRequest) -> TokenNewResponse:
    """Make an API token that covers chosen capabilities, until it ends, perhaps for one deployment alone."""
    owner = _owner(call, request.user)
    text = tokens.token_create(
        owner,
        request.name or "token",
        capabilities=request.capabilities,
        days=request.days,
        deployment=request.deployment,
        by=call.invoker,
    )
    return TokenNewResponse.model_validate(_entry(tokens.token_find(text)) | {"Token": text})


@behavior("/dms/token/list", request=Empty, response=TokenListResponse)
def token_list(call: Call, request: Empty) -> TokenListResponse:
    """List the caller's API tokens that count."""
    rows = tokens.tokens_live(_owner(call, ""))
    return TokenListResponse(tokens=[TokenEntry.model_validate(_entry(row)) for row in rows])


@behavior("/dms/token/revoke", request=TokenRevokeRequest, response=Empty, changes=True)
def token_revoke(call: Call, request: TokenRevokeRequest) -> Empty:
    """Revoke an API token at once: REST, sockets and terminals that came with it end."""
    tokens.token_revoke(_owner(call, request.user), request.key)
    return Empty()
