"""The pages of other sites and of jobs: what is offered to whom, and what the buttons do."""

from __future__ import annotations

import pytest
from django.test import Client

from capabilities.models import Token
from capabilities.services import revoke
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance
from node.invitations import Link
from node.models import Invitation, Peer
from node.outside import OUTSIDE
from node.services.peers import peer_learn
from tests.unit.node.other_site import Other


@pytest.fixture(autouse=True)
def somewhere(monkeypatch):
    monkeypatch.setenv("DMS_ADVERTISE", "http://127.0.0.1:8765")
    monkeypatch.setattr(OUTSIDE, "probe", None)


def said(answer) -> str:
    return str(answer.content.decode())


def test_the_empty_page_teaches_who_may_see_it_and_tells_others(people):
    page = said(people.client("alice").get("/peers/"))
    assert "./dms invite" in page
    assert 'href="/peers/"' in page
    page = said(people.client("bob").get("/peers/"))
    assert "/dms/node/peers/list" in page
    assert "Make a link" not in page
    assert 'href="/peers/"' not in said(people.client("bob").get("/"))
    assert Client().get("/peers/").status_code == 302


def test_an_invitation_is_made_shown_once_and_taken_back(people):
    client = people.client("alice")
    page = said(client.post("/peers/invite/", {"note": "lab", "days": "2", "can": ["/dms/node/resources"]}))
    row = Invitation.objects.get()
    assert (row.note, row.state) == ("lab", "open")
    link = page.split('id="invitation-link"')[1].split(">")[1].split("<")[0]
    assert Link.parse(link).holder == row.did
    assert "invitation-link" not in said(client.get("/peers/invite/"))
    again = said(client.get("/peers/"))
    assert "invitation-link" not in again
    assert "lab" in again
    client.post(f"/peers/invitations/{row.pk}/end/")
    row.refresh_from_db()
    assert row.state == "ended"
    assert client.post("/peers/invite/", {"days": "x"}).status_code == 422
    assert client.post("/peers/invite/", {"days": "4000"}).status_code == 400


def test_a_link_that_is_none_is_refused_on_the_page(people):
    answer = people.client("alice").post("/peers/join/", {"link": "http://127.0.0.1:1/join/#x"})
    assert answer.status_code == 400
    assert 'role="alert"' in said(answer)
    assert people.client("bob").post("/peers/join/", {"link": "x"}).status_code == 403
    assert people.client("alice").get("/peers/join/").status_code == 302


def test_the_page_of_a_link_is_open_and_holds_no_secret(people):
    answer = Client().get("/join/")
    assert answer.status_code == 200
    assert "./dms join" in said(answer)
    assert answer["Cache-Control"].count("no-store") == 1


def test_a_known_site_is_shown_and_ended(people):
    other = Other(name="<b>lab</b>")
    peer_learn(other.record(), Peer.Via.JOINED)
    Peer.objects.update(clock_offset_ms=15_000, last_error="no connection", last_error_at="2026-01-01T00:00Z")
    client = people.client("alice")
    page = said(client.get("/peers/"))
    assert "&lt;b&gt;lab" in page
    assert "15 s ahead of ours" in page
    assert "no connection" in page
    people.client("bob").post("/peers/end/", {"did": other.did})
    assert Peer.objects.exists()
    client.post("/peers/end/", {"did": other.did})
    assert not Peer.objects.exists()


def test_jobs_say_who_runs_what_under_which_token_and_stop_it(people):
    deployment = people.deploy("bob")
    deployment_advance(deployment.pk)
    assert Allocation.objects.filter(deployment=deployment).exists()
    page = said(people.client("alice").get("/jobs/"))
    token = Token.objects.get(subject=people.identity("bob").did, revoked_at=None)
    assert "of-bob" in page
    assert f"token {token.pk}" in page
    assert "of-bob" not in said(people.client("charlie").get("/jobs/"))
    assert people.client("charlie").post(f"/jobs/{deployment.pk}/stop/").status_code == 404
    revoke(token)
    assert "no token that still counts" in said(people.client("alice").get("/jobs/"))
    assert people.client("alice").post(f"/jobs/{deployment.pk}/stop/").status_code == 302
    assert Deployment.objects.get().stop_wanted


def test_jobs_teach_when_nothing_runs(people):
    assert "Nothing runs here" in said(people.client("bob").get("/jobs/"))
