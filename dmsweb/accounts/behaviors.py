"""The doors to people: accounts, and the roles that say what each may do."""

from __future__ import annotations

from capabilities.models import Role
from dmsweb.accounts import messages, roles, services
from dmsweb.accounts.models import User
from node.message import Empty
from node.registry import Call, behavior


def _role(role: Role) -> messages.RoleEntry:
    return messages.RoleEntry(
        name=role.name,
        title=role.title,
        capabilities=role.capabilities,
        built_in=role.built_in,
        holders=role.holdings.count(),
    )


def _account(user: User) -> messages.AccountEntry:
    return messages.AccountEntry(
        name=user.username,
        did=user.identity.did,
        role=roles.role_of(user.identity),
        admin=user.is_superuser,
        active=user.is_active,
    )


@behavior("/dms/role/list", request=Empty, response=messages.RoleListResponse)
def role_list(call: Call, request: Empty) -> messages.RoleListResponse:
    """List the roles and the capabilities each holds."""
    return messages.RoleListResponse(roles=[_role(role) for role in roles.roles()])


@behavior("/dms/role/set", request=messages.RoleSetRequest, response=messages.RoleEntry, changes=True)
def role_set(call: Call, request: messages.RoleSetRequest) -> messages.RoleEntry:
    """Make a role, or change one: whoever has it may do what it holds now, at once."""
    return _role(roles.role_set(request.name, request.capabilities, request.title, by=call.invoker))


@behavior("/dms/role/remove", request=messages.RoleNameRequest, response=Empty, changes=True)
def role_remove(call: Call, request: messages.RoleNameRequest) -> Empty:
    """Remove a role that nobody has."""
    roles.role_remove(request.name, by=call.invoker)
    return Empty()


@behavior("/dms/user/list", request=Empty, response=messages.UserListResponse)
def user_list(call: Call, request: Empty) -> messages.UserListResponse:
    """List the accounts with their DID and role."""
    return messages.UserListResponse(
        users=[messages.AccountEntry.model_validate(row) for row in services.users()]
    )


@behavior("/dms/user/add", request=messages.UserAddRequest, response=messages.AccountEntry, changes=True)
def user_add(call: Call, request: messages.UserAddRequest) -> messages.AccountEntry:
    """Make an account with a role; it is entered by a login link or an invitation."""
    return _account(services.user_create(request.name, role=request.role, by=call.invoker))


@behavior("/dms/user/role", request=messages.UserRoleRequest, response=messages.AccountEntry, changes=True)
def user_role(call: Call, request: messages.UserRoleRequest) -> messages.AccountEntry:
    """Give an account another role, which counts at once; without a role, say which it has."""
    user = services.user_get(request.name)
    if request.role:
        roles.role_assign(user, request.role, by=call.invoker)
    return _account(user)


@behavior("/dms/user/disable", request=messages.UserNameRequest, response=messages.AccountEntry, changes=True)
def user_disable(call: Call, request: messages.UserNameRequest) -> messages.AccountEntry:
    """Shut an account out by every way in, at once: logins, sockets, tokens; what it owns stays."""
    return _account(services.user_switch(services.user_get(request.name), active=False, by=call.invoker))


@behavior("/dms/user/enable", request=messages.UserNameRequest, response=messages.AccountEntry, changes=True)
def user_enable(call: Call, request: messages.UserNameRequest) -> messages.AccountEntry:
    """Let a disabled account in again."""
    return _account(services.user_switch(services.user_get(request.name), active=True, by=call.invoker))
