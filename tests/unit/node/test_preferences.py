"""The comparator of preferences: each policy's reasons, exact bounds, opening hours over midnight and summer time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.refusal import Reason
from node import preferences
from node.preferences import DAYS, Facts, Money, Policy, Unclear, compare, is_open, opens_at, read
from node.resources import Resources

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)  # a Thursday
GIB = 1 << 30
ALL = Resources(400, 16 * GIB, 100 * GIB)


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "owner": "did:key:z1",
        "executors": frozenset({"docker"}),
        "needed": Resources(100, GIB, GIB),
        "onboarded": ALL,
        "now": NOW,
    }
    return Facts(**values | changes)


def settings(**given: Any) -> dict[str, Any]:
    found, reasons = read(given)
    assert not reasons, reasons
    return found


def checks(given: dict[str, Any], **changes: Any) -> list[str]:
    return [reason.check for reason in compare(given, facts(**changes))]


def test_no_preference_refuses_nothing() -> None:
    assert compare({}, facts()) == []


def test_executors() -> None:
    (reason,) = compare(settings(executors=["process"]), facts())
    assert (reason.check, reason.needed, reason.available) == ("preferences.executors", "docker", "process")
    assert not checks(settings(executors=["docker", "process"]))


def test_the_share_of_one_owner_counts_what_they_hold() -> None:
    half = settings(owner_share=50)
    assert not checks(half, needed=Resources(200, GIB, GIB))
    (reason,) = compare(half, facts(needed=Resources(100, GIB, GIB), held=Resources(101, 0, 0)))
    assert (reason.check, reason.path) == ("preferences.owner_share", "cpu")
    assert ("2.01" in reason.needed, "2" in reason.available) == (True, True)


@given(st.integers(1, 100), st.integers(0, 500), st.integers(0, 500))
def test_the_share_is_exact(percent: int, held: int, needed: int) -> None:
    refused = "cpu" in {
        reason.path
        for reason in compare(
            settings(owner_share=percent),
            facts(needed=Resources(needed, 0, 0), held=Resources(held, 0, 0)),
        )
    }
    assert refused == ((held + needed) * 100 > ALL.cpu_centicores * percent)


@pytest.mark.parametrize(
    ("offered", "refused"), [(None, True), ("0.49 EUR", True), ("0.5 EUR", False), ("9 USD", True)]
)
def test_the_lowest_price(offered: str | None, refused: bool) -> None:
    money = Money.parse(offered) if offered else None
    assert bool(checks(settings(min_price={"amount": "0.50", "currency": "EUR"}), offered=money)) == refused


@given(st.decimals(0, 10**9, places=6), st.decimals(0, 10**9, places=6))
def test_prices_are_compared_exactly(least: Decimal, offered: Decimal) -> None:
    wanted = settings(min_price=f"{least:f} EUR")
    refused = bool(checks(wanted, offered=Money(offered, "EUR")))
    assert refused == (offered < least)


def test_owners() -> None:
    assert not checks(settings(owners={"allow": ["did:key:z1"]}))
    assert checks(settings(owners={"allow": ["did:key:z2"]})) == ["preferences.owners"]
    assert checks(settings(owners={"allow": ["did:key:z1"], "deny": ["did:key:z1"]}))
    assert not checks(settings(owners={"deny": ["did:key:z2"]}))


def hours(zone: str, *spans: tuple[str, str, list[str]]) -> dict[str, Any]:
    opened = [{"days": days, "from": begin, "to": end} for begin, end, days in spans]
    return dict(settings(opening_hours={"zone": zone, "open": opened})["opening_hours"])


def test_opening_hours_in_their_zone_and_over_midnight() -> None:
    office = hours("Europe/Berlin", ("08:00", "18:00", ["mon", "thu"]))
    assert is_open(office, datetime(2026, 11, 26, 7, 0, tzinfo=UTC))
    assert not is_open(office, datetime(2026, 11, 26, 6, 59, tzinfo=UTC))
    assert not is_open(office, datetime(2026, 11, 26, 17, 0, tzinfo=UTC))
    # In summer the same hour of the wall clock is another one of UTC.
    assert is_open(office, datetime(2026, 7, 2, 6, 0, tzinfo=UTC))
    night = hours("UTC", ("22:00", "06:00", ["thu"]))
    assert is_open(night, datetime(2026, 11, 26, 22, 0, tzinfo=UTC))
    assert is_open(night, datetime(2026, 11, 27, 5, 59, tzinfo=UTC))
    assert not is_open(night, datetime(2026, 11, 26, 5, 0, tzinfo=UTC))
    assert opens_at(night, NOW) == datetime(2026, 11, 26, 22, 0, tzinfo=UTC)


CLOCKS = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))
SPANS = st.lists(
    st.tuples(CLOCKS, CLOCKS, st.lists(st.sampled_from(DAYS), min_size=1)).filter(
        lambda span: span[0] != span[1]
    ),
    min_size=1,
    max_size=4,
)


@given(
    SPANS, st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.sampled_from(["UTC", "Asia/Tokyo"])
)
def test_the_next_opening_is_open_and_nothing_before_it(
    spans: list[Any], moment: datetime, zone: str
) -> None:
    setting, now = hours(zone, *spans), moment.replace(tzinfo=UTC)
    if is_open(setting, now):
        return
    opening = opens_at(setting, now)
    assert opening is not None
    assert is_open(setting, opening)
    probes = [now + (opening - now) * part / 7 for part in range(7)]
    assert not any(is_open(setting, probe) for probe in probes)
    assert opening - now <= timedelta(days=8)


def test_outside_the_hours_waiting_helps_and_elsewhere_not() -> None:
    closed = settings(opening_hours={"open": [{"days": ["sat"]}]}, executors=["process"])
    assert {reason.check for reason in compare(closed, facts())} == {
        "preferences.opening_hours",
        "preferences.executors",
    }
    assert [reason.check for reason in compare(closed, facts(), passing=False)] == ["preferences.executors"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("executors", "docker"),
        ("executors", [1]),
        ("owner_share", 101),
        ("owner_share", "half"),
        ("owner_share", True),
        ("min_price", {"amount": 0.5, "currency": "EUR"}),
        ("min_price", {"amount": "NaN", "currency": "EUR"}),
        ("min_price", {"amount": "-1", "currency": "EUR"}),
        ("min_price", "1 euro"),
        ("owners", {"allow": ["alice"]}),
        ("owners", {"block": []}),
        ("opening_hours", {"zone": "Mars/Base", "open": [{}]}),
        ("opening_hours", {"open": []}),
        ("opening_hours", {"open": [{"from": "8"}]}),
        ("opening_hours", {"open": [{"from": "08:00", "to": "08:00"}]}),
        ("opening_hours", {"open": [{"days": ["Monday"]}]}),
        ("colour", "blue"),
    ],
)
def test_a_setting_that_is_none_is_refused_with_its_name(name: str, value: Any) -> None:
    found, reasons = read({name: value})
    assert not found
    assert [reason.path for reason in reasons] == [f"Preferences.{name}"]


MEMBERS = ["allow", "deny", "zone", "open", "from", "to", "days", "amount", "currency"]
ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(MEMBERS), inner),
)


@given(st.dictionaries(st.sampled_from([*preferences.POLICIES, "other"]), ANYTHING))
def test_whatever_is_set_is_refused_or_can_be_judged(given_settings: dict[str, Any]) -> None:
    found, _ = read(given_settings)
    compare(found, facts())
    assert read(found) == (found, [])


def test_a_registered_policy_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_colour(value: Any) -> str:
        if value != "blue":
            raise Unclear("blue")
        return str(value)

    def judge(setting: str, asked: Facts) -> list[Reason]:
        return [Reason("preferences.colour", f"not {setting}")]

    monkeypatch.setattr(preferences, "POLICIES", dict(preferences.POLICIES))
    preferences.register(Policy("colour", "the colour", read_colour, judge))
    assert checks(settings(colour="blue")) == ["preferences.colour"]
    with pytest.raises(ValueError, match="two policies"):
        preferences.register(Policy("colour", "another", read_colour, judge))
