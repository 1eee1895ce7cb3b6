"""Requests and responses about people: accounts and roles."""

from __future__ import annotations

from pydantic import Field

from node.message import Message


class RoleEntry(Message):
    """A role with what it holds."""

    name: str = Field(alias="Name")
    title: str = Field("", alias="Title")
    capabilities: list[str] = Field(alias="Capabilities")
    built_in: bool = Field(False, alias="BuiltIn", description="Kept up to date by each release.")
    holders: int = Field(0, alias="Holders")


class RoleListResponse(Message):
    """Every role there is."""

    roles: list[RoleEntry] = Field(alias="Roles")


class RoleSetRequest(Message):
    """A role of one's own; an existing one is changed, and so is what its holders may do."""

    name: str = Field(alias="Name")
    capabilities: list[str] = Field(alias="Capabilities")
    title: str = Field("", alias="Title", max_length=200)


class RoleNameRequest(Message):
    """Which role."""

    name: str = Field(alias="Name")


class AccountEntry(Message):
    """An account."""

    name: str = Field(alias="Name")
    did: str = Field("", alias="DID")
    role: str = Field("", alias="Role", description="Empty when it has none.")
    admin: bool = Field(False, alias="Admin")
    active: bool = Field(True, alias="Active")


class UserListResponse(Message):
    """Every account."""

    users: list[AccountEntry] = Field(alias="Users")


class UserNameRequest(Message):
    """Which account."""

    name: str = Field(alias="Name", max_length=150)


class UserAddRequest(Message):
    """A new account; a login link lets her in."""

    name: str = Field(alias="Name", max_length=150)
    role: str = Field("deployer", alias="Role")


class UserRoleRequest(Message):
    """Which account, and the role it gets; without one the answer says which it has."""

    name: str = Field(alias="Name", max_length=150)
    role: str = Field("", alias="Role")
