"""`user`: accounts, their roles, login links and API tokens; needs no running site.

What a behavior does is asked of it, in this process and as the node itself, so that it is checked and audited as
everywhere. Passwords and links are made straight in the site's database: whoever can read that needs no door.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from types import ModuleType
from typing import Any

import click

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from dmsweb.cli.output import Output, table
from dmsweb.cli.session import Session, verb, verbs
from dmsweb.launch.table import running_pid

ADMIN = "admin"

user = verbs("user", help="People who may log in, and their tokens.")


@verb("add", help="Make an account.", group=user)
@click.argument("name")
@click.option("--admin", is_flag=True, help="A root of this node: may do everything.")
@click.option("--role", default="deployer", show_default=True, help="What she may do; `./dms role list`.")
@click.option("--password", is_flag=True, help="Ask for a password; without one a login link lets her in.")
def add(session: Session, name: str, admin: bool, role: str, password: bool) -> None:
    """Make the account with its DID and print a one-time login link; at another site without one."""
    if session.url:
        _add_there(session, name, role=ADMIN if admin else role, password=password)
        return
    services = accounts(session)
    text = _password() if password else None
    if text is not None:
        services.password_check(text, services.User(username=name))
    made = ask(session, "/dms/user/add", {"Name": name, "Role": ADMIN if admin else role})
    person = services.user_get(name)
    if text is not None:
        services.password_set(person, text)
    link = _link(session, services.login_link_create(person))
    answer = {
        "name": name,
        "did": made["DID"],
        "admin": made["Admin"],
        "role": made["Role"],
        "login_url": link,
    }
    session.show(answer, lambda out: out.line(f"{name} may log in once with {link}"))


def _add_there(session: Session, name: str, *, role: str, password: bool) -> None:
    if password:
        raise not_there(session, "a password is set")
    made = ask(session, "/dms/user/add", {"Name": name, "Role": role})
    answer = {"name": name, "did": made["DID"], "admin": made["Admin"], "role": made["Role"]}
    hint = f"`./dms user login-link {name}` on its machine lets {name} in"
    session.show(answer, lambda out: out.line(f"made {name} at {session.url}; {hint}"))


@verb("list", help="The accounts there are.", group=user)
def listing(session: Session) -> None:
    """List the accounts."""
    found = ask(session, "/dms/user/list", {})["Users"]
    items = [{key.lower(): value for key, value in item.items()} for item in found]
    rows = [[item["name"], item["role"], "" if item["active"] else "disabled", item["did"]] for item in items]
    session.show(
        {"items": items, "total": len(items)}, lambda out: out.table(table(["name", "role", "", "did"], rows))
    )


@verb("role", help="Give an account a role; without ROLE: which it has.", group=user)
@click.argument("name")
@click.argument("role", default="")
def role_(session: Session, name: str, role: str) -> None:
    """Invoke /dms/user/role."""
    answer = ask(session, "/dms/user/role", {"Name": name, "Role": role})
    shown = {"name": name, "role": answer["Role"], "admin": answer["Admin"], "did": answer["DID"]}
    session.show(shown, lambda out: out.line(f"{name} is {answer['Role'] or 'without a role'}"))


@verb("invite", help="A link that makes one account, once.", group=user)
@click.option("--role", default="deployer", show_default=True, help="What she may do; `./dms role list`.")
@click.option("--name", default="", help="A name to begin with; she may choose another.")
@click.option("--days", type=click.FloatRange(0, min_open=True), default=None, help="How long it counts (7).")
@click.option("--team", default="", metavar="ORG/TEAM", help="A team that she joins, too.")
def invite(session: Session, role: str, name: str, days: float | None, team: str) -> None:
    """Invoke /dms/user/invite."""
    payload = {"Role": role, "Name": name, "Team": team} | ({} if days is None else {"Days": days})
    answer = ask(session, "/dms/user/invite", payload)
    link = answer["Link"]
    if link.startswith("/"):
        link = f"{session.url.rstrip('/')}{link}" if session.url else _link(session, link)
    shown = {"link": link, "role": answer["Role"], "expires_at": answer["ExpiresAt"], "id": answer["ID"]}
    session.show(shown, lambda out: out.line(link))


@verb("login-link", help="A link that logs in once.", group=user)
@click.argument("name", default=ADMIN)
def login_link(session: Session, name: str) -> None:
    """Print a one-time login link."""
    services = accounts(session)
    link = _link(session, services.login_link_create(services.user_get(name)))
    session.show({"name": name, "login_url": link}, lambda out: out.line(link))


@verb("token", help="A new API token; shown this once.", group=user)
@click.argument("name")
@click.option("--label", default="command line", help="What it is for.")
@click.option("--can", "paths", multiple=True, metavar="PATH", help="Only this; may be repeated.")
@click.option("--days", type=click.FloatRange(0, min_open=True), default=None, help="How long it counts.")
@click.option("--deployment", default="", metavar="ID", help="Only for this deployment: id or name.")
def token(
    session: Session, name: str, label: str, paths: tuple[str, ...], days: float | None, deployment: str
) -> None:
    """Invoke /dms/token/new."""
    payload = {"User": name, "Name": label, "Capabilities": list(paths), "Deployment": deployment}
    answer = ask(session, "/dms/token/new", payload | ({} if days is None else {"Days": days}))
    text = answer["Token"]
    shown = {
        "token": text,
        "key": answer["Key"],
        "capabilities": answer["Capabilities"],
        "deployment": answer["Deployment"],
        "expires_at": answer["ExpiresAt"],
    }
    session.show(shown, lambda out: out.line(text))


@verb("disable", help="Shut an account out at once; what it owns stays.", group=user)
@click.argument("name")
def disable(session: Session, name: str) -> None:
    """Switch the account off."""
    ask(session, "/dms/user/disable", {"Name": name})
    session.show({"name": name, "active": False}, lambda out: out.line(f"{name} is shut out"))


@verb("enable", help="Let a disabled account in again.", group=user)
@click.argument("name")
def enable(session: Session, name: str) -> None:
    """Switch the account on."""
    ask(session, "/dms/user/enable", {"Name": name})
    session.show({"name": name, "active": True}, lambda out: out.line(f"{name} may log in"))


@verb("password", help="Give an account another password.", group=user)
@click.argument("name")
def password(session: Session, name: str) -> None:
    """Ask for the password, or read it from standard input, and set it; her sessions end."""
    services = accounts(session)
    services.password_set(services.user_get(name), _password())
    session.show({"name": name, "changed": True}, lambda out: out.line(f"{name} has another password"))


LIMITS = (
    ("Deployments", "deployments", 1, ""),
    ("Cores", "cpu_centicores", 100, ""),
    ("Memory", "ram_bytes", 1 << 30, " GiB"),
    ("Disk", "disk_bytes", 1 << 30, " GiB"),
    ("GPUs", "gpus", 1, ""),
    ("RunningTimeSeconds", "running_time_s", 1, " s"),
)


@verb("quota", help="How much an account may ask for at once; no NAME: everybody's limits.", group=user)
@click.argument("name", default="")
@click.option("--deployments", default=None, help="Unfinished ones at once. For all: `unlimited`, `default`.")
@click.option("--cores", default=None, help="Cores.")
@click.option("--memory", default=None, help="Memory: 4GiB; a bare number is GiB.")
@click.option("--disk", default=None, help="Disk: 10GiB; a bare number is GiB.")
@click.option("--gpus", default=None, help="GPUs, or shares of them.")
@click.option("--running-time", default=None, help="Seconds that a deployment may run.")
def quota(session: Session, name: str, **limits: str | None) -> None:
    """Invoke /dms/node/quota/set, get or list; needs a running site."""
    names = {member.lower().replace("runningtimeseconds", "running_time"): member for member, *_ in LIMITS}
    payload: dict[str, Any] = {names[key]: value for key, value in limits.items() if value is not None}
    if not payload and not name:
        answer = session.call("/dms/node/quota/list", {})
        everybody = {"Name": "everybody", "Limits": answer["Everybody"], "Used": {}}
        session.show(answer, lambda out: _quota_table(out, [everybody, *answer["Quotas"]]))
        return
    path = "/dms/node/quota/set" if payload else "/dms/node/quota/get"
    answer = session.call(path, payload | {"Identity": name})
    session.show(answer, lambda out: _quota_table(out, [answer]))


def _quota_table(out: Output, quotas: list[dict[str, Any]]) -> None:
    def cell(item: dict[str, Any], field: str, scale: int, unit: str) -> str:
        limit, used = item["Limits"].get(field), item["Used"].get(field)
        text = "no limit" if limit is None else f"{limit / scale:g}{unit}"
        return text if used is None or item["Name"] == "everybody" else f"{used / scale:g} of {text}"

    rows = [[item["Name"], *(cell(item, *limit[1:]) for limit in LIMITS)] for item in quotas]
    out.table(table(["", "deployments", "cores", "memory", "disk", "gpus", "running time"], rows))


def ask(session: Session, path: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Invoke a behavior: at --url as whoever holds the token, else here as the node itself; needs no running site."""
    if session.url:
        return session.call(path, payload)
    accounts(session)
    from capabilities.selectors import site_identity
    from node.door import invoke
    from node.live import settle

    answer = invoke(identity=site_identity(), path=path, payload=payload, source="cli").wire()
    settle(NUMBERS.live_publish_timeout_s)
    return answer


def accounts(session: Session) -> ModuleType:
    """Return the accounts' services, with Django on the session's home and its tables in place.

    Raises Refusal when another site is meant: what was asked must not happen here instead.
    """
    if session.url:
        raise not_there(session, "this works")
    os.environ["DMS_HOME"] = str(session.home.root)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dmsweb.settings")
    # The answer is what was asked for; the door's own lines belong into the logs of a site.
    os.environ.setdefault("DMS_LOG_LEVEL", "WARNING")
    import django

    django.setup()
    if running_pid(session.home) is None:
        # No site, no pages that would wait for news.
        logging.getLogger("node.live").setLevel(logging.ERROR)
    from capabilities.recorder import begin
    from dmsweb.accounts import services
    from dmsweb.migrating import is_current
    from dmsweb.prepare import prepare

    if not is_current():
        prepared = prepare(session.output.log)
        if prepared.admin_password:
            session.output.log(f"the password of {ADMIN} is {prepared.admin_password}")
    begin()
    return services


def not_there(session: Session, what: str) -> Refusal:
    """Return the refusal of what needs the database of the site itself."""
    return Refusal(
        "not_over_url",
        f"{what} on the machine of the site alone, not at {session.url}",
        hint="run it there; or leave away --url and DMS_URL to do it at the site of this machine",
    )


def _link(session: Session, path: str) -> str:
    from django.conf import settings

    if settings.DMS_PUBLIC_URL:
        return f"{settings.DMS_PUBLIC_URL}{path}"
    try:
        site: Any = json.loads(session.home.path("run", "site.json").read_text())
    except (OSError, ValueError):
        return f"http://127.0.0.1:{settings.DMS_PORT}{path}"
    return f"{str(site['url']).rstrip('/')}{path}"


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return text
