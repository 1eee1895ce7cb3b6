"""What an API token lets through: never more than chosen, never more than the token it was made with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from capabilities.scope import OF_A_DEPLOYMENT, Scope
from node.registry import REGISTRY

PATH = st.lists(st.sampled_from(["dms", "node", "deployment", "list", "a"]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
PATHS = st.lists(PATH, max_size=4).map(tuple)
MOMENT = st.none() | st.integers(0, 100).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n))
SCOPE = st.builds(Scope, PATHS, st.sampled_from(["", "one", "two"]), MOMENT)


@given(SCOPE, SCOPE, PATH)
def test_a_token_made_with_a_token_lets_nothing_more_through(first, second, path):
    if not first.beyond(second.capabilities, second.deployment, second.until):
        assert not (first.lacks(path) and not second.lacks(path))
        assert first.until is None or (second.until is not None and second.until <= first.until)
        assert not first.deployment or first.deployment == second.deployment


def test_a_token_for_a_deployment_makes_nothing_new_and_leaves_the_machine_alone():
    scope = Scope(deployment="d" * 64)
    assert not scope.whole
    for path in ("/dms/node/deployment/new", "/dms/node/drain", "/dms/user/add", "/dms/token/new", "/dms/me"):
        assert "alone" in scope.lacks(path)
    assert scope.lacks("/dms/node/deployment/logs") == ""
    assert "covers only" in Scope(("/dms/node/deployment/list",)).lacks("/dms/node/deployment/listing")
    assert Scope().whole
    assert Scope(("/",)).whole


def test_what_is_listed_as_of_a_deployment_is_there():
    paths = [entry.path for entry in REGISTRY]
    later = {"/dms/node/deployment/update"}
    for listed in set(OF_A_DEPLOYMENT) - later:
        assert any(path == listed or path.startswith(listed + "/") for path in paths), listed
