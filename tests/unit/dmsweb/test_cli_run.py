"""`run` without a site: the options become an ensemble that validates, or a sentence."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.ensemble import parse
from dmsweb.cli.main import run
from dmsweb.cli.run import literal
from dmsweb.cli.single import Single, Unclear, port, volume


def single(**changes) -> Single:
    given: dict[str, Any] = {
        "executor": "docker",
        "image": "dms.local/base:1",
        "command": ["true"],
        "cpu": 0.5,
    }
    return Single(**(given | {"ram": "64MiB", "disk": "64MiB"} | changes))


def test_everything_is_carried():
    tree = single(
        gpus=2, environment=["A=1"], ports=["53/udp", "20000:80"], volumes=["data:/d:ro"], name="mine"
    ).ensemble()
    ensemble = parse(json.dumps(tree)).required()
    spec, node = ensemble.allocations["main"], ensemble.nodes["here"]
    assert (spec.type, len(spec.resources.gpus), spec.resources.ram_bytes) == ("task", 2, 64 << 20)
    assert spec.execution.params["environment"] == ["A=1"]
    assert [(p.public, p.private, p.protocol) for p in node.ports] == [(0, 53, "udp"), (20000, 80, "tcp")]
    assert (spec.volumes[0].src, spec.volumes[0].read_only) == ("data", True)
    assert ensemble.metadata["name"] == "mine"


@given(st.lists(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))), min_size=1))
def test_the_words_of_the_command_arrive_as_they_are(words):
    # Only a template's mark is refused, as everywhere in ensembles.
    if any("{{" in word or "{$" in word for word in words):
        return
    parsed = parse(literal(single(command=words).ensemble()))
    assert parsed.required().allocations["main"].execution.params["cmd"] == words


@pytest.mark.parametrize("text", ["", "a", "1:2:3", "80/sctp", "x:80"])
def test_a_port_that_is_none_is_explained(text):
    with pytest.raises(Unclear, match="PRIVATE"):
        port(text)


@pytest.mark.parametrize("text", ["", "data", "data:d", ":/d", "data:/d:x"])
def test_a_volume_that_is_none_is_explained(text):
    with pytest.raises(Unclear, match="NAME:/path"):
        volume(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give an image"),
        (["--executor", "process"], "give the command"),
        (["-d", "--rm", "x"], "--detach"),
        (["-e", "X", "x"], "KEY=VALUE"),
    ],
)
def test_wrong_usage(capsys, arguments, said):
    assert run(["run", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_our_own_failures_have_their_own_code(capsys, tmp_path):
    assert run(["run", "--home", str(tmp_path), "dms.local/base:1", "--", "true"]) == 125
    assert "./dms up" in capsys.readouterr().err
