"""Teams: members see what is shared with them and act on it as their role there says; strangers get 404."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from capabilities.models import Organisation, TeamMembership
from capabilities.refusal import Refusal
from deployments.models import Deployment
from deployments.selectors import allocations_visible_to, visible_to
from dmsweb.accounts.roles import role_assign
from dmsweb.accounts.services import user_create
from dmsweb.pages.consumers import allowed_groups
from node import door

SHUTDOWN = "/dms/node/deployment/shutdown"
STATUS = "/dms/node/deployment/status"


def ask(identity, path, **payload):
    return door.invoke(identity=identity, path=path, payload=payload, source="rest").wire()


@pytest.fixture
def lab(people):
    """bob owns the organisation; charlie is in its team as a viewer, dora in none of its teams."""
    user_create("dora")
    alice, bob = people.identity("alice"), people.identity("bob")
    ask(alice, "/dms/organisation/new", Name="lab")
    ask(alice, "/dms/organisation/member", Organisation="lab", User="bob", Level="owner")
    ask(alice, "/dms/organisation/member", Organisation="lab", User="alice", Level="")
    ask(bob, "/dms/team/new", Name="lab/vision")
    for name in ("charlie", "dora"):
        ask(bob, "/dms/organisation/member", Organisation="lab", User=name)
    ask(bob, "/dms/team/member", Team="lab/vision", User="bob", Role="deployer")
    ask(bob, "/dms/team/member", Team="lab/vision", User="charlie", Role="viewer")
    return people


def shared(people):
    deployment = people.deploy("bob")
    ask(people.identity("bob"), "/dms/node/deployment/team", ID=deployment.pk, Team="lab/vision")
    deployment.refresh_from_db()
    return deployment


def test_members_see_it_and_act_as_their_role_says(lab):
    deployment = shared(lab)
    charlie = lab.identity("charlie")
    assert ask(charlie, STATUS, ID=deployment.pk)["Status"]
    assert deployment in visible_to(charlie)
    page = lab.client("charlie").get(f"/deployments/{deployment.pk}/")
    assert page.status_code == 200
    assert b"team lab/vision" in page.content
    assert b"stop-dialog" not in page.content
    with pytest.raises(Refusal) as caught:
        ask(charlie, SHUTDOWN, ID=deployment.pk)
    assert (caught.value.status, caught.value.members["capability"]) == (403, SHUTDOWN)
    assert "viewer" in caught.value.detail
    ask(lab.identity("bob"), "/dms/team/member", Team="lab/vision", User="charlie", Role="deployer")
    assert b"stop-dialog" in lab.client("charlie").get(f"/deployments/{deployment.pk}/").content
    ask(charlie, SHUTDOWN, ID=deployment.pk)
    deployment.refresh_from_db()
    assert deployment.stop_wanted or deployment.status in {"ShuttingDown", "Completed"}


def test_strangers_and_who_has_left_get_404(lab):
    from capabilities.services import identity_for_user
    from dmsweb.accounts.models import User

    deployment = shared(lab)
    dora = identity_for_user(User.objects.get(username="dora"))
    for identity in (dora,):
        with pytest.raises(Refusal) as caught:
            ask(identity, STATUS, ID=deployment.pk)
        assert caught.value.status == 404
    charlie = lab.identity("charlie")
    ask(charlie, "/dms/team/member", Team="lab/vision", User="charlie", Role="")
    assert lab.client("charlie").get(f"/deployments/{deployment.pk}/").status_code == 404
    assert deployment not in visible_to(lab.identity("charlie"))


def test_a_team_gives_nothing_that_the_own_role_does_not_hold(lab):
    deployment = shared(lab)
    ask(lab.identity("bob"), "/dms/team/member", Team="lab/vision", User="charlie", Role="deployer")
    role_assign(lab.charlie, "viewer")
    with pytest.raises(Refusal) as caught:
        ask(lab.identity("charlie"), SHUTDOWN, ID=deployment.pk)
    assert caught.value.members["capability"] == SHUTDOWN


def test_only_the_owner_shares_and_removing_the_team_ends_it(lab):
    deployment = shared(lab)
    ask(lab.identity("bob"), "/dms/team/member", Team="lab/vision", User="charlie", Role="deployer")
    with pytest.raises(Refusal, match="only she"):
        ask(lab.identity("charlie"), "/dms/node/deployment/team", ID=deployment.pk)
    with pytest.raises(Refusal, match="not found"):
        ask(lab.identity("bob"), "/dms/node/deployment/team", ID=deployment.pk, Team="other/team")
    ask(lab.identity("bob"), "/dms/team/remove", Name="lab/vision")
    deployment.refresh_from_db()
    assert deployment.team is None
    assert deployment not in visible_to(lab.identity("charlie"))
    assert Deployment.objects.filter(owner=lab.identity("bob")).exists()


def test_the_organisation_is_changed_by_who_looks_after_it(lab):
    bob, charlie = lab.identity("bob"), lab.identity("charlie")
    for path, payload in (
        ("/dms/team/new", {"Name": "lab/mine"}),
        ("/dms/team/member", {"Team": "lab/vision", "User": "charlie", "Role": "deployer"}),
        ("/dms/organisation/member", {"Organisation": "lab", "User": "charlie", "Level": "owner"}),
        ("/dms/organisation/remove", {"Name": "lab"}),
    ):
        with pytest.raises(Refusal) as caught:
            ask(charlie, path, **payload)
        assert (caught.value.status, "bob" in caught.value.hint) == (403, True), path
    ask(bob, "/dms/organisation/member", Organisation="lab", User="charlie", Level="admin")
    ask(charlie, "/dms/team/new", Name="lab/mine")
    with pytest.raises(Refusal):
        ask(charlie, "/dms/organisation/member", Organisation="lab", User="charlie", Level="owner")
    with pytest.raises(Refusal) as caught:
        ask(bob, "/dms/organisation/member", Organisation="lab", User="bob", Level="")
    assert caught.value.code == "last_owner"
    with pytest.raises(Refusal) as caught:
        ask(bob, "/dms/team/member", Team="lab/vision", User="alice", Role="viewer")
    assert caught.value.code == "not_a_member"
    with pytest.raises(Refusal) as caught:
        ask(bob, "/dms/organisation/new", Name="another")
    assert caught.value.members["capability"] == "/dms/organisation/new"


def test_whoever_leaves_the_organisation_leaves_its_teams(lab):
    ask(lab.identity("bob"), "/dms/organisation/member", Organisation="lab", User="charlie", Level="")
    assert not TeamMembership.objects.filter(identity=lab.identity("charlie")).exists()
    assert ask(lab.identity("charlie"), "/dms/team/list")["Organisations"] == []


def test_lists_ask_no_more_for_a_team(lab):
    for _ in range(3):
        shared(lab)
    charlie = lab.client("charlie")
    charlie.get("/deployments/")
    with CaptureQueriesContext(connection) as few:
        charlie.get("/deployments/")
    for _ in range(4):
        shared(lab)
    with CaptureQueriesContext(connection) as many:
        page = charlie.get("/deployments/")
    assert len(many) == len(few)
    assert page.content.count(b'id="row-') == 7
    assert len(set(visible_to(lab.identity("charlie")))) == visible_to(lab.identity("charlie")).count() == 7
    assert not allocations_visible_to(lab.identity("charlie")).exists()


def test_live_groups_of_a_team_are_for_its_members(lab):
    team = TeamMembership.objects.filter(identity=lab.identity("charlie")).get().team_id
    group = f"team.{team}"
    assert allowed_groups(lab.identity("charlie"), [group]) == [group]
    assert allowed_groups(lab.identity("alice"), [group]) == []


def test_the_page_shows_and_changes_teams(lab):
    page = lab.client("bob").get("/teams/")
    assert page.status_code == 200
    assert b"lab/vision" in page.content
    assert b"<select" not in lab.client("charlie").get("/teams/").content
    form = {"do": "/dms/team/member", "name": "lab/vision", "user": "dora", "place": "viewer"}
    assert lab.client("bob").post("/people/do/", form)["Location"] == "/teams/"
    assert TeamMembership.objects.filter(identity__name="dora").exists()
    lab.client("bob").post("/people/do/", {"do": "/dms/team/new", "organisation": "lab", "name": "sound"})
    assert Organisation.objects.get().teams.count() == 2
    deployment = lab.deploy("bob")
    lab.client("bob").post(f"/deployments/{deployment.pk}/team/", {"team": "lab/vision"})
    deployment.refresh_from_db()
    assert str(deployment.team) == "lab/vision"
