"""Addresses of sites, and the record in which a site signs its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.keys import PrivateKey
from capabilities.refusal import Refusal
from node.addresses import AddressRecord, address_check, clock_offset_ns, clock_words

KEY = PrivateKey.generate()
NOW = 1_700_000_000_000_000_000
DAY = 86_400 * 1_000_000_000


def record() -> AddressRecord:
    return AddressRecord.issue(
        KEY, name="here", peers={"12D3KooW": "did:key:z"}, addresses=["https://dms.example.org"], now_ns=NOW
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://DMS.example.org/", "https://dms.example.org"),
        ("https://dms.example.org:8443/dms/?x=1#y", "https://dms.example.org:8443/dms"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("http://[::1]:8765/", "http://[::1]:8765"),
        ("http://localhost:1", "http://localhost:1"),
    ],
)
def test_an_address_is_kept_in_its_shortest_form(text, address):
    assert address_check(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dms.example.org",
        "ftp://dms.example.org",
        "https://",
        "https://user:pw@dms.example.org",
        "https://dms.example.org:port",
        "https://dms.example.org:99999",
        "https://d\u00e4ms.example.org",
        "https://dms.example.org/\nx",
        "https://" + "x" * 600,
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(Refusal) as refused:
        address_check(text)
    assert refused.value.code == "bad_address"


def test_plain_http_stays_on_this_machine():
    with pytest.raises(Refusal) as refused:
        address_check("http://192.0.2.1:8765")
    assert refused.value.code == "plain_http"
    assert "DMS_PEER_PLAIN_HTTP" in refused.value.hint
    assert address_check("http://192.0.2.1:8765", plain=True) == "http://192.0.2.1:8765"


def test_a_record_is_read_as_it_was_signed():
    made = record()
    assert AddressRecord.parse(made.document(), now_ns=NOW) == made


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "elsewhere"),
        ("addresses", ["https://evil.example.org"]),
        ("addresses", []),
        ("peers", {}),
        ("issued", NOW + 1),
        ("exp", NOW + 400 * DAY),
        ("did", {"uri": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"}),
        ("sig", ""),
    ],
)
def test_a_record_with_any_member_altered_is_refused(member, value):
    with pytest.raises(Refusal) as refused:
        AddressRecord.parse(record().document() | {member: value}, now_ns=NOW)
    assert "signature" in refused.value.detail


@pytest.mark.parametrize("document", [None, [], "x", {}, {"did": {"uri": "did:key:x"}}, {"addresses": [1]}])
def test_what_is_no_record_is_refused(document):
    with pytest.raises(Refusal) as refused:
        AddressRecord.parse(document, now_ns=NOW)
    assert refused.value.code == "bad_address_record"


def test_an_old_record_and_one_of_the_future_are_refused_by_the_signers_clock():
    with pytest.raises(Refusal, match="expired"):
        AddressRecord.parse(record().document(), now_ns=NOW + 31 * DAY)
    with pytest.raises(Refusal, match="future"):
        AddressRecord.parse(record().document(), now_ns=NOW - DAY)
    assert AddressRecord.parse(record().document(), now_ns=NOW - DAY, clock_off_ns=DAY)


@given(st.integers(0, 2**62), st.integers(-(2**40), 2**40), st.integers(0, 2**33), st.integers(0, 2**33))
def test_the_offset_is_right_within_half_of_what_the_ways_differ(sent, offset, there, back):
    read_there = sent + there + offset
    found = clock_offset_ns(sent, read_there, sent + there + back)
    assert abs(found - offset) <= abs(there - back) / 2 + 1


def test_a_clock_is_spoken_of_only_when_it_is_off():
    assert clock_words(None) == clock_words(9_000) == clock_words(-10_000) == ""
    assert clock_words(12_400) == "its clock is 12 s ahead of ours"
    assert clock_words(-90_000) == "its clock is 90 s behind ours"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBER = st.sampled_from(["did", "name", "peers", "addresses", "issued", "exp", "sig"])


@given(st.dictionaries(MEMBER, JSON, max_size=4))
def test_whatever_a_record_holds_it_is_read_or_refused(changes):
    with pytest.raises(Refusal):
        AddressRecord.parse(record().document() | {"sig": ""} | changes, now_ns=NOW)
