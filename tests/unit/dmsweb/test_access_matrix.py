"""The access matrix: every route, socket and behavior against everybody who may come; one without a line here fails.

Who comes: nobody; a viewer and a deployer of the team that the deployment belongs to; a deployer of another team; an
operator; an administrator; and a revoked API token. A line says from which role on something is allowed, what strangers
hear, and to whom it is open.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import get_resolver

from capabilities.models import AuditEntry
from deployments.models import Allocation, Deployment
from dmsweb.accounts.invitations import invite
from dmsweb.accounts.services import user_create
from dmsweb.accounts.tokens import token_create, token_revoke
from dmsweb.asgi import application
from dmsweb.routing import websocket_urlpatterns
from node import door
from node.registry import REGISTRY
from tests.unit.dmsweb.conftest import PASSWORD
from tests.unit.dmsweb.sockets import Socket

RANKS = ("viewer", "deployer", "operator", "admin")
# `stranger` is the deployer of another team.
WHO = ("anonymous", "revoked", "stranger", *RANKS)
START = "(start)"
NAMES = {
    "a": "anonymous",
    "r": "revoked",
    "s": "stranger",
    "v": "viewer",
    "d": "deployer",
    "o": "operator",
    "A": "admin",
}
EVERYBODY, LOGGED_IN = "arsvdoA", "svdoA"
# From a role on. Where it is about the team's deployment the stranger is left out: for her it does not exist.
V, D, OP, A = LOGGED_IN, "sdoA", "oA", "A"
TEAM_V, TEAM_D = "vdoA", "doA"
# A token that is not valid is an error also where none is needed; and what is there for nobody without more.
NO_BAD_TOKEN, NOBODY = "asvdoA", ""


def _lines(text: str) -> dict[str, str]:
    """Read `who: word word ..` lines."""
    found: dict[str, str] = {}
    for line in text.strip().splitlines():
        who, _, words = line.partition(":")
        found |= dict.fromkeys(words.split(), globals()[who.strip()])
    return found


BEHAVIORS = _lines("""
A: /broadcast/hello /dms/cap/anchor /dms/cap/delegate /dms/cap/grant /dms/cap/list /dms/cap/provide/anchor
A: /dms/cap/remove /dms/cap/renew /dms/cap/require/anchor /dms/cap/revoke /dms/cap/revoke/anchor
A: /dms/cap/revoke/broadcast /dms/node/peers/accept /dms/node/peers/broadcast
A: /dms/node/peers/deliver /dms/node/peers/end /dms/node/peers/invite /dms/node/peers/invite/end
A: /dms/node/peers/invoke /dms/node/peers/join /dms/node/peers/join/preview /dms/organisation/new
A: /dms/role/list /dms/role/remove /dms/role/set /dms/user/add /dms/user/disable /dms/user/enable
A: /dms/user/invitation/list /dms/user/invitation/revoke /dms/user/invite /dms/user/list /dms/user/role
D: /dms/node/allocation/exec /dms/node/allocation/restart /dms/node/allocation/stop /dms/node/container/start
D: /dms/node/container/stop /dms/node/deployment/delete /dms/node/deployment/new /dms/node/deployment/plan
D: /dms/node/deployment/prune /dms/node/deployment/shutdown /dms/node/deployment/team
V: /dms/cap/check /dms/cap/inspect
V: /dms/node/allocation/stats /dms/node/allocations/list /dms/node/benchmark/status /dms/node/capability/get
V: /dms/node/container/list /dms/node/deployment/info /dms/node/deployment/list /dms/node/deployment/logs
V: /dms/node/deployment/manifest /dms/node/deployment/status /dms/node/hardware/spec /dms/node/hardware/usage
V: /dms/node/onboarding/status /dms/node/quota/get /dms/node/resources/allocated /dms/node/resources/free
V: /dms/node/resources/onboarded /dms/organisation/member /dms/organisation/remove /dms/team/list
V: /dms/team/member /dms/team/new /dms/team/remove /dms/token/list /dms/token/new /dms/token/revoke
V: /public/hello /public/status
OP: /dms/node/benchmark /dms/node/capability/set /dms/node/drain /dms/node/logger/config
OP: /dms/node/logger/status /dms/node/metrics/get /dms/node/onboarding/offboard /dms/node/onboarding/onboard
OP: /dms/node/peers/list /dms/node/peers/ping /dms/node/peers/self /dms/node/preferences/get
OP: /dms/node/preferences/set /dms/node/quota/list /dms/node/quota/set
""")
ROUTES = _lines(r"""
EVERYBODY: account/connections/login/cancelled/ account/email/confirm/ account/email/confirm/(?P<key>[-:\w]+)/
EVERYBODY: account/inactive/ account/oidc/<str:provider_id>/login/
EVERYBODY: account/oidc/<str:provider_id>/login/callback/ account/password/reset/
EVERYBODY: account/password/reset/done/ account/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/
EVERYBODY: account/password/reset/sent/ account/signup/ api/<path:path> api/v1/actor/broadcast
EVERYBODY: api/v1/actor/handle api/v1/actor/invoke api/v1/actor/send invited/<str:secret>/ join/ livez login/
EVERYBODY: login/link/<str:token> logout/ readyz
OP: metrics nodes/<uuid:pk>/benchmark/ nodes/<uuid:pk>/capability/ nodes/<uuid:pk>/drain/
OP: nodes/<uuid:pk>/offboard/ nodes/<uuid:pk>/onboard/ peers/ping/
NO_BAD_TOKEN: api/docs/ api/schema/
V: (start) account/2fa/ account/2fa/authenticate/ account/2fa/reauthenticate/ account/2fa/recovery-codes/
V: account/2fa/recovery-codes/download/ account/2fa/recovery-codes/generate/ account/2fa/totp/activate/
V: account/2fa/totp/deactivate/ account/2fa/webauthn/ account/2fa/webauthn/add/
V: account/2fa/webauthn/keys/<int:pk>/edit/ account/2fa/webauthn/keys/<int:pk>/remove/
V: account/2fa/webauthn/login/ account/2fa/webauthn/reauthenticate/ account/connections/ account/email/
V: account/logins/ account/password/change/ account/password/set/ account/quota/ account/reauthenticate/
V: account/security/ account/tokens/ account/tokens/<str:key>/revoke/ api/v1/<path:path> api/v1/allocations/
V: api/v1/audit/ api/v1/audit/(?P<pk>[/.]+)/ api/v1/behaviors/ api/v1/bids/ api/v1/bids/(?P<pk>[/.]+)/
V: api/v1/deployments/ api/v1/events/ api/v1/events/(?P<pk>[/.]+)/ api/v1/events/export/ api/v1/exec-sessions/
V: api/v1/exec-sessions/(?P<pk>[/.]+)/ api/v1/grants/ api/v1/grants/(?P<pk>[/.]+)/ api/v1/invitations/
V: api/v1/invitations/(?P<pk>[/.]+)/ api/v1/me/ api/v1/node-events/ api/v1/node-events/(?P<pk>[/.]+)/
V: api/v1/node-events/export/ api/v1/nodes/ api/v1/nodes/(?P<pk>[/.]+)/ api/v1/nodes/(?P<pk>[/.]+)/benchmarks/
V: api/v1/nodes/(?P<pk>[/.]+)/events/ api/v1/nodes/(?P<pk>[/.]+)/foreign/ api/v1/nodes/(?P<pk>[/.]+)/ledger/
V: api/v1/nodes/(?P<pk>[/.]+)/samples/ api/v1/outgoing/ api/v1/outgoing/(?P<pk>[/.]+)/ api/v1/peers/
V: api/v1/peers/(?P<did>did:[/]+)/ api/v1/ports/ api/v1/ports/(?P<pk>[/.]+)/ api/v1/reservations/
V: api/v1/reservations/(?P<allocation_id>[/]+)/ api/v1/tokens/ api/v1/tokens/(?P<token_key>[0-9a-f]+)/
V: api/v1/tombstones/ api/v1/tombstones/(?P<pk>[/]+)/ audit/ bar/ deployments/ deployments/check/
V: capabilities/ capabilities/do/
V: deployments/new/ jobs/ jobs/<str:pk>/stop/ nodes/ nodes/<uuid:pk>/ nodes/<uuid:pk>/samples/ peers/ teams/
TEAM_V: api/v1/allocations/(?P<pk>[/]+)/ api/v1/allocations/(?P<pk>[/]+)/attempts/
TEAM_V: api/v1/allocations/(?P<pk>[/]+)/logs/ api/v1/allocations/(?P<pk>[/]+)/samples/
TEAM_V: api/v1/deployments/(?P<pk>[/]+)/ api/v1/deployments/(?P<pk>[/]+)/events/ deployments/<str:pk>/
TEAM_V: deployments/<str:pk>/stats/ deployments/<str:pk>/stats/series/
TEAM_D: deployments/<str:pk>/allocation/ deployments/<str:pk>/delete/ deployments/<str:pk>/shutdown/
TEAM_D: deployments/<str:pk>/terminal/<str:allocation>/
A: deployments/<str:pk>/team/ peers/end/ peers/invitations/<int:pk>/end/ peers/invite/ peers/join/ people/
A: people/do/
NOBODY: account/connections/login/error/ account/connections/signup/
""")
SOCKETS = _lines("""
V: ws/live/ ws/exec/<str:ticket>/
TEAM_V: ws/logs/<path:allocation>/
NOBODY: (other)
""")
# Routes that only take a POST, or do what they are for by one; with what is sent.
POSTS: dict[str, dict[str, str]] = {
    "account/tokens/<str:key>/revoke/": {},
    "api/v1/actor/broadcast": {},
    "api/v1/actor/invoke": {},
    "api/v1/actor/send": {},
    "deployments/<str:pk>/allocation/": {"act": "stop", "allocation": "hello"},
    "deployments/<str:pk>/delete/": {},
    "deployments/<str:pk>/shutdown/": {},
    "deployments/<str:pk>/team/": {},
    "deployments/check/": {"source": "x"},
    "jobs/<str:pk>/stop/": {},
    "logout/": {},
    "nodes/<uuid:pk>/benchmark/": {},
    "nodes/<uuid:pk>/drain/": {},
    "nodes/<uuid:pk>/offboard/": {},
    "peers/end/": {"did": "did:key:zNobody"},
    "peers/invitations/<int:pk>/end/": {},
    "peers/invite/": {},
    "peers/join/": {"link": "x"},
    "peers/ping/": {"did": "did:key:zNobody"},
    "capabilities/do/": {"do": "/dms/cap/inspect", "token": "{}"},
    "people/do/": {"do": "/dms/user/role", "name": "viewer", "role": "viewer"},
}


@dataclass
class Scene:
    """A site with a team's deployment, and a client for each who comes."""

    deployment: Deployment
    node: str
    clients: dict[str, Client] = field(default_factory=dict)
    bearers: dict[str, Client] = field(default_factory=dict)
    revoked: str = ""
    invitation: str = ""

    def client(self, who: str, path: str) -> Client:
        """Return who comes as browser or, below /api/ and for the revoked token, with a token."""
        if path.startswith("/api/") or path == "/metrics":
            return self.bearers[who]
        return self.clients[who]


@pytest.fixture
def scene(people: Any) -> Iterator[Scene]:
    cache.clear()
    users = {"admin": people.alice, "deployer": people.bob, "stranger": people.charlie}
    for name in ("viewer", "operator"):
        users[name] = user_create(name, PASSWORD, role=name)
    admin = people.identity("alice")

    def ask(path: str, **payload: str) -> None:
        door.invoke(identity=admin, path=path, payload=payload, source="rest")

    for name in ("ours", "theirs"):
        ask("/dms/organisation/new", Name=name)
        ask("/dms/team/new", Name=f"{name}/team")
    for organisation, role in (("ours", "viewer"), ("ours", "deployer"), ("theirs", "stranger")):
        user = users[role].username
        ask("/dms/organisation/member", Organisation=organisation, User=user)
        ask(
            "/dms/team/member",
            Team=f"{organisation}/team",
            User=user,
            Role=role.replace("stranger", "deployer"),
        )
    # It is the administrator's, shared with the team.
    deployment = people.deploy("alice")
    allocation = Allocation.objects.create(
        id=f"{deployment.pk}_here.hello",
        deployment=deployment,
        owner=deployment.owner,
        node=people.node,
        ensemble_node="here",
        name="hello",
        type="task",
        executor="process",
        spec={},
    )
    assert str(allocation) == "here.hello"
    ask("/dms/node/deployment/team", ID=deployment.pk, Team="ours/team")
    made = Scene(deployment, str(people.node.pk))
    made.clients = {"anonymous": Client()}
    made.bearers = {"anonymous": Client()}
    for name, user in users.items():
        made.clients[name] = Client()
        made.clients[name].force_login(user)
        made.bearers[name] = Client(headers={"authorization": f"Bearer {token_create(user, name)}"})
    made.invitation = invite(by=admin, role="viewer")[1].split("/")[2]
    made.revoked = token_create(people.alice, "revoked")
    token_revoke(people.alice, made.revoked[:15])
    made.clients["revoked"] = made.bearers["revoked"] = Client(
        headers={"authorization": f"Bearer {made.revoked}"}
    )
    yield made
    cache.clear()


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever a probe has changed."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def routes() -> dict[str, str]:
    """Return every route outside the admin with its pattern's text as the key."""
    found: dict[str, str] = {}

    def walk(patterns: Any, before: str) -> None:
        for pattern in patterns:
            text = before + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                walk(pattern.url_patterns, text)
            else:
                key = text.replace("^", "").replace("/?$", "/").replace("$", "")
                found[key or START] = text

    walk(get_resolver().url_patterns, "")
    return {key: text for key, text in found.items() if not key.startswith("admin/")}


def path_of(scene: Scene, route: str) -> str:
    """Return an address that the route matches: of the team's deployment or the node where it is about one."""
    known = {
        "deployments": scene.deployment.pk,
        "nodes": scene.node,
        "allocations": f"{scene.deployment.pk}_here.hello",
        "peers": "did:key:zNobody",
    }
    kind = route.removeprefix("api/v1/").split("/")[0]
    route = "" if route == START else route
    route = route.replace("<str:secret>", scene.invitation)
    path = re.sub(
        r"\(\?P<(\w+)>(?:[^()]|\([^)]*\))*\)|<(?:\w+:)?(\w+)>", lambda m: _value(m, known.get(kind)), route
    )
    return "/" + path


def _value(match: re.Match[str], key: str | None) -> str:
    name = match.group(1) or match.group(2)
    if match.group(0).startswith("<int:"):
        return "1"
    fixed = {
        "token_key": "abc",
        "allocation": "here.hello",
        "allocation_id": "x",
        "provider_id": "oidc",
        "uidb36": "1",
    }
    return fixed.get(name) or key or ("nothing" if name in {"path", "secret", "token", "key"} else "1")


def refused(scene: Scene, who: str, path: str, body: dict[str, str] | None) -> bool:
    """Say whether the site refuses: with a status, by asking to log in, or in words after a POST."""
    before = AuditEntry.objects.count()
    client = scene.client(who, path)
    # The rows are put back after each probe, so the login must be, too.
    cookies = copy.copy(client.cookies)
    answer = client.get(path) if body is None else client.post(path, body)
    client.cookies = cookies
    if answer.status_code == 302 and answer["Location"].startswith("/login/") and path != "/logout/":
        return True
    if answer.status_code in {401, 403}:
        return True
    if answer.status_code == 404:
        return scene.deployment.pk in path or scene.node in path
    told = AuditEntry.objects.order_by("-pk")[: AuditEntry.objects.count() - before]
    return any(entry.reason.startswith("not_authorized") for entry in told)


def outcome(scene: Scene, path: str, body: dict[str, str] | None) -> str:
    found = ""
    for letter, who in NAMES.items():
        with undone():
            if not refused(scene, who, path, body):
                found += letter
    return found


def behavior_outcome(scene: Scene, path: str) -> str:
    found = ""
    for letter, who in NAMES.items():
        with undone():
            answer = scene.bearers[who].post(
                f"/api/v1{path}", json.dumps({"NoSuchMember": 1}), content_type="application/json"
            )
        if answer.status_code == 400:
            found += letter
        elif who == "anonymous" or who == "revoked":
            assert answer.status_code == 401, (path, who)
        else:
            assert (answer.status_code, answer.json()["capability"]) == (403, path), (path, who)
    return found


@pytest.mark.django_db(databases="__all__")
def test_every_behavior_is_allowed_or_refused_as_the_roles_say(scene: Scene) -> None:
    declared = {entry.path for entry in REGISTRY if not entry.path.startswith("/test/")}
    assert declared - set(BEHAVIORS) == set(), "say in BEHAVIORS who may"
    assert set(BEHAVIORS) - declared == set(), "gone"
    found = {path: behavior_outcome(scene, path) for path in sorted(declared)}
    assert {path: who for path, who in found.items() if who != BEHAVIORS[path]} == {}


@pytest.mark.django_db(databases="__all__")
def test_every_route_is_allowed_or_refused_as_the_roles_say(scene: Scene) -> None:
    declared = set(routes())
    assert declared - set(ROUTES) == set(), "say in ROUTES who may"
    assert set(ROUTES) - declared == set(), "gone"
    found = {key: outcome(scene, path_of(scene, key), POSTS.get(key)) for key in sorted(declared)}
    assert {key: who for key, who in found.items() if who != ROUTES[key]} == {}


@pytest.mark.django_db(databases="__all__")
def test_the_admin_is_for_administrators(scene: Scene) -> None:
    paths = [f"/{text}" for text in admin_paths()]
    assert len(paths) > 100
    for who in ("anonymous", "viewer", "stranger", "operator", "revoked"):
        client = scene.clients[who]
        for path in paths:
            answer = client.get(path)
            assert (answer.status_code, "/login/" in answer.get("Location", "")) == (302, True), (who, path)
    assert scene.clients["admin"].get("/admin/").status_code == 200


def admin_paths() -> list[str]:
    found = []

    def walk(patterns: Any, before: str) -> None:
        for pattern in patterns:
            text = before + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                walk(pattern.url_patterns, text)
            elif pattern.name not in {"login", "logout", "view_on_site"} and "^" not in text:
                found.append(re.sub(r"<[^>]*>", "1", text))

    walk(get_resolver().url_patterns, "")
    return [text for text in found if text.startswith("admin/")]


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_every_socket_is_opened_or_refused_as_the_roles_say(scene: Scene) -> None:
    declared = {str(pattern.pattern) or "(other)" for pattern in websocket_urlpatterns}
    assert declared == set(SOCKETS), "say in SOCKETS who may"
    paths = {
        "ws/live/": "/ws/live/",
        "ws/exec/<str:ticket>/": "/ws/exec/nothing/",
        "ws/logs/<path:allocation>/": f"/ws/logs/{scene.deployment.pk}_here.hello/",
        "(other)": "/ws/other/",
    }
    found = {
        key: "".join(letter for letter, who in NAMES.items() if async_to_sync(opens)(scene, who, paths[key]))
        for key in paths
    }
    assert found == SOCKETS


async def opens(scene: Scene, who: str, path: str) -> bool:
    headers = [(b"origin", b"http://localhost")]
    if who == "revoked":
        headers.append((b"authorization", f"Bearer {scene.revoked}".encode()))
    cookies = scene.clients[who].cookies.items()
    headers.append((b"cookie", "; ".join(f"{name}={morsel.value}" for name, morsel in cookies).encode()))
    socket = Socket(application, path, headers)
    accepted = await socket.connect()
    await socket.disconnect()
    return accepted
