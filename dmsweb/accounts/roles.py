"""Roles as rows: giving one, changing what it holds, and bringing older accounts up to this release.

A role counts through the token that the node delegates over its paths to the person's DID; an administrator's DID is a
root of the node instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from capabilities.membership import Role, RoleHolding
from capabilities.models import Identity, Token
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal, not_found
from capabilities.roleset import ADMIN, BUILT_IN, DEPLOYER, missing, name_faults, normal, path_faults, same
from capabilities.selectors import rows_of, site_identity, tokens_of
from capabilities.services import grant, identity_for_user, is_root, revoke, root_add, root_remove
from dmsweb.accounts.models import User
from dmsweb.accounts.telling import identity_changed

LIFETIME = timedelta(seconds=NUMBERS.role_grant_lifetime_s)


def role_get(name: str) -> Role:
    """Return the role; Refusal with the names there are when there is none like it."""
    built = BUILT_IN.get(name)
    if built is not None:
        values = {"title": built.title, "capabilities": list(built.capabilities), "built_in": True}
        role, made = Role.objects.get_or_create(name=name, defaults=values)
        if not made and (role.capabilities != values["capabilities"] or not role.built_in):
            Role.objects.filter(pk=role.pk).update(**values)
            role.refresh_from_db()
        return role
    found = Role.objects.filter(name=name).first()
    if found is None:
        refusal = not_found("role", name[:80])
        names = {*BUILT_IN, *Role.objects.values_list("name", flat=True)}
        refusal.hint = f"one of {', '.join(sorted(names))}; `./dms role add NAME PATH...` makes another"
        raise refusal
    return found


def role_of(identity: Identity) -> str:
    """Return the name of the role that the identity holds, empty when it holds none."""
    return RoleHolding.objects.filter(identity=identity).values_list("role__name", flat=True).first() or ""


def may_give(giver: Identity | None, paths: Iterable[str], what: str) -> None:
    """Refuse to let anybody hand out, or take away, more than she holds herself; None is the site itself."""
    if giver is None or is_root(giver):
        return
    held = [path for token in tokens_of(giver.did) for path in token.capabilities]
    lacking = missing(held, paths)
    if lacking:
        raise Refusal(
            "not_authorized",
            f"{giver} may not give or take {what}: it holds {', '.join(lacking)}, which {giver} does not hold",
            status=403,
            hint=f"ask an administrator of this node for the capability {lacking[0]}",
            reasons=tuple(Reason("capability", f"{path} is missing", needed=path) for path in lacking),
            capability=lacking[0],
        )


def role_assign(user: User, name: str, *, by: Identity | None = None) -> RoleHolding:
    """Give the account this role in place of the one it has: the earlier token is revoked at once."""
    role = role_get(name)
    identity = identity_for_user(user)
    with transaction.atomic():
        present = RoleHolding.objects.select_related("role", "token").filter(identity=identity).first()
        may_give(by, role.capabilities, f"the role {role}")
        if present is not None:
            may_give(by, present.role.capabilities, f"the role {present.role}")
        if role.name != ADMIN:
            keep_one_administrator(user)
        _administer(user, identity, role.name == ADMIN)
        token = None if role.name == ADMIN else _delegate(identity, role)
        if present is not None and present.token is not None:
            revoke(present.token)
        holding, _ = RoleHolding.objects.update_or_create(
            identity=identity, defaults={"role": role, "token": token, "since": timezone.now()}
        )
        identity_changed(identity)
    return holding


def keep_one_administrator(user: User) -> None:
    """Refuse what would leave the site without anybody who may do everything."""
    others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    if user.is_superuser and not others.exists():
        raise Refusal(
            "last_administrator",
            f"{user} is the only administrator left",
            status=409,
            hint="`./dms user add NAME --admin` makes another one",
        )


def _administer(user: User, identity: Identity, admin: bool) -> None:
    if admin:
        root_add(identity.did)
    elif user.is_superuser:
        root_remove(identity.did)
    if (user.is_superuser, user.is_staff) != (admin, admin):
        user.is_superuser = user.is_staff = admin
        user.save(update_fields=["is_superuser", "is_staff"])


def _delegate(identity: Identity, role: Role) -> Token:
    token = grant(site_identity(), identity.did, role.capabilities, LIFETIME)
    return rows_of(token.key).get()


def roles() -> list[Role]:
    """Return every role, the built-in ones first, from the least to the most."""
    built = [role_get(name) for name in BUILT_IN]
    return built + list(Role.objects.exclude(name__in=BUILT_IN).order_by("name"))


def role_set(name: str, capabilities: Iterable[str], title: str = "", *, by: Identity | None = None) -> Role:
    """Make a role, or change what one holds: whoever has it gets another token at once, and loses the earlier."""
    given = list(capabilities)
    reasons = (*name_faults(name), *path_faults(given))
    if reasons:
        detail = "; ".join(reason.message for reason in reasons)
        raise Refusal("invalid_role", detail, status=422, hint=reasons[0].hint, reasons=reasons)
    if name in BUILT_IN:
        raise Refusal(
            "built_in_role",
            f"the role {name} is built in: each release says what it holds",
            status=409,
            hint="make a role of your own under another name",
        )
    paths = list(normal(given))
    may_give(by, paths, f"the role {name}")
    with transaction.atomic():
        present = Role.objects.select_for_update().filter(name=name).first()
        if present is not None:
            may_give(by, present.capabilities, f"the role {name}")
        role, _ = Role.objects.update_or_create(
            name=name, defaults={"capabilities": paths, "title": title[:200]}
        )
        _renew(role)
    return role


def role_remove(name: str, *, by: Identity | None = None) -> None:
    """Remove a role that nobody has; Refusal for a built-in one, and while somebody has it."""
    role = role_get(name)
    if role.built_in:
        raise Refusal("built_in_role", f"the role {name} is built in", status=409, hint="it stays")
    may_give(by, role.capabilities, f"the role {name}")
    with transaction.atomic():
        held = RoleHolding.objects.filter(role=role).select_related("identity")
        teams = role.team_memberships.select_related("identity", "team__organisation")
        holders = [str(row.identity) for row in held] + [f"{row.identity} in {row.team}" for row in teams]
        if holders:
            raise Refusal(
                "role_in_use",
                f"the role {name} is held by {', '.join(holders[:5])}",
                status=409,
                hint="give them another one first: `./dms user role NAME ROLE`",
            )
        role.delete()


def _renew(role: Role) -> int:
    """Give every holder a token over what the role holds now; a token somebody has revoked stays revoked."""
    count = 0
    now = timezone.now()
    for holding in role.holdings.select_related("identity", "token"):
        token = holding.token
        if role.name == ADMIN or token is None or token.revoked_at is not None:
            continue
        if same(token.capabilities, role.capabilities) and token.expires_at - now > LIFETIME / 2:
            continue
        with transaction.atomic():
            fresh = _delegate(holding.identity, role)
            RoleHolding.objects.filter(pk=holding.pk).update(token=fresh)
            revoke(token)
            identity_changed(holding.identity)
        count += 1
    return count


def roles_ensure() -> int:
    """Bring roles and their holders up to this release; return how many accounts got another token.

    Idempotent: built-in roles get the paths of this release, accounts from before there were roles get theirs, and
    tokens that cover less or more than their role, or are past half of their life, are replaced.
    """
    for user in User.objects.select_related("identity").filter(
        identity__holding=None, identity__isnull=False
    ):
        _adopt(user)
    return sum(_renew(role) for role in roles())


def _adopt(user: User) -> None:
    identity = user.identity
    if user.is_superuser:
        RoleHolding.objects.get_or_create(identity=identity, defaults={"role": role_get(ADMIN)})
        return
    valid = Token.objects.filter(
        owner=identity, action="delegate", revoked_at=None, expires_at__gt=timezone.now()
    )
    # What accounts were given before began with /public; other tokens were granted by hand, and stay as they are.
    token = next((row for row in valid.order_by("pk") if "/public" in row.capabilities), None)
    if token is not None:
        RoleHolding.objects.get_or_create(
            identity=identity, defaults={"role": role_get(DEPLOYER), "token": token}
        )
