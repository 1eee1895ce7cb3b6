"""Invitation links: read as they were written, refused when anything was changed."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.refusal import Refusal
from node.invitations import BASE, Link, offered, words_of

HOST, SECRET = PrivateKey.generate(), PrivateKey.generate()
LINK = Link(
    did_of(HOST.public),
    "lab",
    ("https://dms.example.org", "http://127.0.0.1:8765"),
    SECRET,
    1_700_000_000_000_000_000,
    1_800_000_000_000_000_000,
    BASE,
    (*BASE, "/dms/node/resources"),
).sign(HOST)
TEXT = LINK.text()


def test_a_link_is_read_as_it_was_written_also_when_it_was_broken_into_lines():
    assert Link.parse(TEXT).text() == TEXT
    assert Link.parse(f"  {TEXT[:80]}\n{TEXT[80:]} ").text() == TEXT
    assert TEXT.startswith("https://dms.example.org/join/#")
    assert LINK.holder == did_of(SECRET.public)


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="ascii"))
def test_no_letter_can_be_changed(position, letter):
    changed = TEXT[:position] + letter + TEXT[position + 1 :]
    try:
        found = Link.parse(changed)
    except Refusal as refused:
        assert refused.code in ("bad_invitation", "bad_address", "plain_http")
    else:
        assert found.text() == TEXT


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text):
    for candidate in (
        text,
        f"https://x/join/#{text}",
        "#" + base64.urlsafe_b64encode(text.encode()).decode(),
    ):
        with pytest.raises(Refusal):
            Link.parse(candidate)


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3))
)
def test_any_member_of_another_form_is_refused(value):
    packed = TEXT.partition("#")[2]
    document = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    for member in document:
        changed = document | {member: value}
        if changed == document:
            continue
        text = "#" + base64.urlsafe_b64encode(json.dumps(changed).encode()).decode()
        with pytest.raises(Refusal):
            Link.parse(text)


def test_what_is_always_given_comes_first_and_nothing_twice():
    assert offered([]) == BASE
    assert offered(["/dms/node/resources", "/public/hello", "/public"]) == (*BASE, "/dms/node/resources")
    for path in ("/", "/dms", "/dms/cap", "/dms/cap/anchor", "dms", "/dms/", ""):
        with pytest.raises(Refusal):
            offered([path])
    with pytest.raises(Refusal):
        offered([f"/x{number}" for number in range(40)])
    with pytest.raises(Refusal, match="slash") as refused:
        offered(["dms/node"], "Want")
    assert (refused.value.code, refused.value.reasons[0].path) == ("invalid_request", "Want")


def test_every_path_has_words():
    for path in (*BASE, "/dms/node/resources"):
        assert path not in words_of(path)
    assert "/somewhere" in words_of("/somewhere")
