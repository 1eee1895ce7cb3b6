"""The state machine of health checks, and what counts as a good answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments import health
from deployments.ensemble.model import HealthcheckSpec

PLANS = st.builds(
    health.Plan,
    interval_s=st.floats(0.5, 60),
    timeout_s=st.floats(0.1, 60),
    retries=st.integers(1, 5),
    start_period_s=st.floats(0, 120),
    starting_s=st.just(1.0),
)
ANSWERS = st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=60)


def played(plan, answers):
    """Yield the moment, the answer, and where it stood before and after, as the runner asks in time."""
    now, stands = 0.0, health.begin(plan, 0.0)
    for good, took in answers:
        at = now + took
        before, stands = stands, health.after(stands, plan, good=good, at=at)
        yield at, good, before, stands
        now = health.next_at(stands, plan, asked_at=now, answered_at=at)
        assert now >= at


@given(PLANS, ANSWERS)
def test_states_follow_the_answers(plan, answers):
    bad_in_a_row, ever_good = 0, False
    for at, good, before, stands in played(plan, answers):
        bad_in_a_row = 0 if good else bad_in_a_row + 1
        ever_good = ever_good or good
        if good:
            assert (stands.state, stands.failures) == (health.HEALTHY, 0)
        assert stands.failures <= bad_in_a_row
        assert (stands.state == health.UNHEALTHY) == (stands.failures >= plan.retries)
        if not ever_good:
            assert stands.state != health.HEALTHY
            if at < plan.start_period_s + plan.interval_s:
                assert (stands.state, stands.failures) == (health.STARTING, 0)
        if before.state == health.HEALTHY and not good:
            assert stands.failures == before.failures + 1


@given(PLANS)
def test_asking_often_at_the_start_uses_up_no_retries(plan):
    counted = [
        at
        for at, _, before, stands in played(plan, [(False, 0.0)] * 2000)
        if stands.failures > before.failures and before.state == health.STARTING
    ]
    assert len(counted) <= plan.retries
    gaps = [later - earlier for earlier, later in zip(counted, counted[1:], strict=False)]
    assert all(gap >= plan.interval_s * 0.999 for gap in gaps)
    if counted:
        assert counted[0] >= plan.start_period_s + plan.interval_s * 0.999


@given(PLANS, st.integers(0, 9), st.sampled_from([health.HEALTHY, health.UNHEALTHY, health.STARTING, ""]))
def test_a_restarted_worker_goes_on_from_what_was_written(plan, failures, state):
    begun = health.begin(plan, -1000.0, state=state, failures=failures)
    assert begun.state == (state or health.STARTING)
    after = health.after(begun, plan, good=False, at=0.0)
    assert after.failures == failures + 1
    assert (after.state == health.UNHEALTHY) == (failures + 1 >= plan.retries or state == health.UNHEALTHY)


@given(PLANS, st.floats(0, 100), st.floats(0, 30), st.sampled_from([health.STARTING, health.HEALTHY]))
def test_what_starts_is_asked_sooner_but_not_all_the_time(plan, asked, took, state):
    stands = health.Health(state, 0, 0.0)
    again = health.next_at(stands, plan, asked_at=asked, answered_at=asked + took)
    assert asked + took <= again <= max(asked + plan.interval_s, asked + took)
    if state == health.STARTING and took * 10 < plan.interval_s:
        assert again - asked >= took * 9.99


@given(PLANS, st.text(max_size=20))
def test_a_worker_that_begins_spreads_what_was_healthy(plan, name):
    healthy = health.begin(plan, 0.0, state=health.HEALTHY)
    assert 50.0 <= health.resumed_at(healthy, plan, now=50.0, name=name) < 50.0 + plan.interval_s
    assert health.resumed_at(health.begin(plan, 0.0), plan, now=50.0, name=name) == 50.0


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        ("pending", "", False),
        ("running", "", True),
        ("running", "starting", False),
        ("running", "unhealthy", False),
        ("running", "healthy", True),
        ("completed", "starting", True),
        ("completed", "healthy", True),
    ],
)
def test_what_depends_on_it_may_start(status, state, expected):
    assert health.ready(status, state, False) is expected
    assert health.ready(status, state, True) is (status == "completed")


@pytest.mark.parametrize(
    ("kind", "how", "value", "text", "fine"),
    [
        ("command", "", "", b"whatever", True),
        ("command", "string", "ok", b"it is ok here", True),
        ("command", "", "ok", b"no", False),
        ("http", "string", "ok", b" ok\n", True),
        ("http", "", "ok", b"it is ok", False),
        ("http", "contains", "ok", b"it is ok", True),
        ("http", "equals", "", b"x", False),
        ("tcp", "", "SSH", b"SSH-2.0", True),
        ("tcp", "starts_with", "SSH", b"xSSH", False),
        ("http", "contains", "gr\u00fcn", "gr\u00fcn".encode(), True),
    ],
)
def test_expected_answers(kind, how, value, text, fine):
    spec = HealthcheckSpec(kind, response_type=how, response_value=value)
    assert (health.fault_of(spec, text, cut=False) == "") is fine
    if health.decided(spec, text):
        assert (health.fault_of(spec, text, cut=True) == "") is fine


def test_an_answer_that_goes_on_equals_nothing():
    spec = HealthcheckSpec("http", response_value="ok")
    assert "is not" in health.fault_of(spec, b"ok", cut=True)


@given(st.binary(max_size=2000))
def test_answers_are_shown_short_and_printable(text):
    shown = health.shown(text)
    assert len(shown) <= health.EXCERPT + 3
    assert shown.isprintable()


@given(st.integers(100, 599))
def test_statuses(status):
    assert health.status_is_good("", status) is (200 <= status < 300)
    assert health.status_is_good(f"{status // 100}xx", status)
    assert health.status_is_good(str(status), status)
    assert not health.status_is_good("204" if status != 204 else "200", status)
