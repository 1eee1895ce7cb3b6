"""Roles as sets of paths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from capabilities.chains import covered
from capabilities.roleset import (
    ADMIN,
    BUILT_IN,
    DEPLOYER,
    OPERATOR,
    VIEWER,
    missing,
    name_faults,
    normal,
    path_faults,
    same,
)

SEGMENTS = st.lists(st.sampled_from(["dms", "node", "a", "ab", "b"]), min_size=0, max_size=4)
PATHS = st.lists(SEGMENTS.map(lambda parts: "/" + "/".join(parts)), max_size=8)


@given(PATHS)
def test_the_normal_form_allows_the_same_with_nothing_twice(paths):
    short = normal(paths)
    assert covered(short, paths)
    assert covered(tuple(paths), short)
    assert normal(short) == short
    for path in short:
        assert not covered(tuple(other for other in short if other != path), [path])


@given(PATHS, PATHS)
def test_what_is_missing_is_what_is_not_covered(held, wanted):
    lacking = missing(held, wanted)
    assert covered((*held, *lacking), wanted)
    assert all(not covered(tuple(held), [path]) for path in lacking)
    assert same(held, (*held, *normal(held)))


def test_each_built_in_role_holds_what_the_one_before_it_holds():
    order = [BUILT_IN[name].capabilities for name in (VIEWER, DEPLOYER, OPERATOR, ADMIN)]
    for less, more in zip(order, order[1:], strict=False):
        assert missing(more, less) == ()
        assert missing(less, more) != ()
    for built in BUILT_IN.values():
        assert path_faults(built.capabilities) == []


def test_bad_names_and_paths_are_said():
    assert [name_faults(name) == [] for name in ("a", "on-call2", "A", "", "1a", "a b", "x" * 33)] == [
        True,
        True,
        False,
        False,
        False,
        False,
        False,
    ]
    for bad in ("", "dms", "/dms/", "//", "/a b", "/é", "/" + "a" * 300):
        assert path_faults([bad]), bad
    assert path_faults([])
    assert path_faults(["/"]) == []
