"""Properties: the round trip through V1 JSON, levels of dependencies, exact units."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.ensemble import Cycle, Ensemble, levels, parse_document, units
from deployments.ensemble.graph import levels_of
from deployments.ensemble.model import READY_WHEN

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)

DURATIONS = st.one_of(
    st.integers(10**6, 10**18),
    st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 50), st.sampled_from("smhd")),
)
RESPONSES = st.fixed_dictionaries({"value": WORDS, "type": st.sampled_from(["equals", "contains", "string"])})
CHECKS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("command"), "exec": st.just(["true"])},
        optional={"response": RESPONSES, "interval": DURATIONS, "start_period": st.just("1h")},
    ),
    st.fixed_dictionaries(
        {"type": st.just("http"), "endpoint": st.sampled_from(["/", "http://localhost/x?y=1"])},
        optional={"port": st.just(80), "status": st.sampled_from([200, "3xx"]), "retries": st.integers(1, 9)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("tcp"), "port": st.integers(1, 65535)}, optional={"timeout": st.just("1.5s")}
    ),
)
RESTARTS = st.fixed_dictionaries(
    {}, optional={"max": st.integers(0, 9), "within": DURATIONS, "backoff": st.just("10ms")}
)


@st.composite
def documents(draw):
    """Valid ensembles as a person could write them."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    sizes = st.sampled_from([1, 0.5, "512MiB", "2 GB", "1e3MB", 3])
    allocations = {}
    for index, name in enumerate(names):
        kind = draw(st.sampled_from(["docker", "process", "containerd"]))
        execution = {"type": kind, "cmd": ["run", *draw(st.lists(WORDS, max_size=2))]}
        if kind != "process":
            execution["image"] = draw(
                st.sampled_from(["alpine", "r.example.com:5000/a/b:1.2", "x@sha256:" + "a" * 64])
            )
        job = draw(st.sampled_from(["task", "service"]))
        allocations[name] = {
            "type": job,
            "executor": kind,
            "execution": execution,
            "resources": {
                "cpu": {"cores": draw(st.decimals("0.01", "64", places=2).map(float))},
                "ram": {"size": draw(sizes)},
                "disk": {"size": draw(sizes)},
                "gpus": draw(
                    st.lists(st.fixed_dictionaries({"vendor": st.just("amd"), "vram": sizes}), max_size=2)
                ),
            },
            "depends_on": draw(st.lists(st.sampled_from(names[:index]), unique=True)) if index else [],
            "max_runtime": draw(st.none() | DURATIONS),
            "restart": draw(st.none() | RESTARTS),
            "ready_when": draw(st.sampled_from(READY_WHEN)) if job == "task" else "started",
            "retry": draw(st.integers(0, 3)) if job == "task" else 0,
            "healthcheck": None if kind == "process" else draw(st.none() | CHECKS),
        }
    return {
        "allocations": allocations,
        "nodes": {"n": {"allocations": names, "redundancy": draw(st.integers(0, 3))}},
        "metadata": draw(st.dictionaries(NAMES, WORDS, max_size=2)),
        "scripts": draw(st.dictionaries(NAMES, WORDS, max_size=2)),
        "subnet": {"join": draw(st.booleans())},
        "max_runtime": draw(st.none() | DURATIONS),
    }


@given(documents())
@settings(max_examples=100)
def test_document_round_trip(document):
    parsed = parse_document(document)
    assert parsed.errors == ()
    ensemble = parsed.required()
    written = json.loads(json.dumps(ensemble.document()))
    assert Ensemble.from_document(written) == ensemble
    assert Ensemble.from_document(written).document() == written
    assert parse_document(written).required() == ensemble


@given(documents())
@settings(max_examples=50)
def test_levels_rise_along_dependencies(document):
    ensemble = parse_document(document).required()
    found = levels(ensemble)
    for name, spec in ensemble.allocations.items():
        assert found[name] == max((found[other] + 1 for other in spec.depends_on), default=0)


@given(st.dictionaries(st.integers(0, 8).map(str), st.sets(st.integers(0, 8).map(str)), max_size=9))
def test_levels_or_a_true_cycle(graph):
    try:
        found = levels_of(graph)
    except Cycle as cycle:
        for name, other in zip(cycle.names, cycle.names[1:], strict=False):
            assert other in graph[name]
        assert cycle.names[0] == cycle.names[-1]
    else:
        assert all(found[name] > found[other] for name in graph for other in graph[name] & graph.keys())


@given(st.decimals("0.001", "1000000", places=3), st.sampled_from(sorted(units.SIZES)), st.booleans())
def test_quantities_are_exact_and_rounded_up(value, unit, blank):
    text = f"{value}{' ' if blank else ''}{unit.upper()}"
    exact = value * units.SIZES[unit]
    found = units.quantity(text, units.SIZES, 1)
    assert found >= exact
    assert found - exact < 1


@given(st.integers(1, 10**6), st.integers(0, 59), st.integers(0, 59))
def test_durations(hours, minutes, seconds):
    assert (
        units.duration_ns(f"{hours}h{minutes}m{seconds}s") == (hours * 3600 + minutes * 60 + seconds) * 10**9
    )


@pytest.mark.parametrize("text", ["", "s", "1", "1x", "1s 2", "-1s", "9" * 70 + "s"])
def test_bad_durations(text):
    with pytest.raises(units.UnitFault):
        units.duration_ns(text)


def test_clocks_and_centicores():
    assert units.quantity("2.4", units.CLOCKS, units.GHZ) == 2_400_000_000
    assert units.quantity("800 MHz", units.CLOCKS, units.GHZ) == 800_000_000
    assert units.centicores(Decimal("0.001")) == 1
    assert units.centicores(Decimal("1.25")) == 125
