"""The verdicts on ensembles that real users wrote, and on our own examples."""

import json
import os
from pathlib import Path

import pytest

from deployments.ensemble import Ensemble, Parsed, parse, parse_document
from deployments.ensemble.marks import fill

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = Path(os.environ.get("DMS_SHARED") or ROOT.parent / "shared") / "ensembles"

needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"no shared data in {SAMPLES.parent}: set DMS_SHARED"
)

VERDICTS = {
    "docs__deployments__README__basic": ([], ["`dnsname`"]),
    "docs__ensemble__README__scenario1-single-service": ([], []),
    "docs__ensemble__README__scenario2-single-task": ([], []),
    "docs__ensemble__README__scenario3-multi-node-gpu-subnet": ([], []),
    "examples__docker_hello": ([], []),
    "examples__docker_nginx": (["allocations.alloc1.type"], ["`dnsname`", "8080"]),
    "examples__multiple_allocation": (
        ["allocations.alloc1.type", "allocations.alloc2.type"],
        ["8080", "8080"],
    ),
    "examples__firefly": ([], ["`volume` is a map", "`volume` is a map"]),
    "tests__acceptance__testdata__ensembles__multiple_nginx": ([], ["unknown root key `nginx_wrapper`"]),
    "tests__acceptance__testdata__ensembles__containerd_hello": ([], []),
}


def sample(name: str) -> Parsed:
    return parse((SAMPLES / f"{name}.yaml").read_bytes())


@needs_samples
@pytest.mark.parametrize("name", VERDICTS)
def test_sample_has_exactly_the_expected_errors_and_warnings(name):
    errors, warnings = VERDICTS[name]
    parsed = sample(name)
    assert [error.path for error in parsed.errors] == errors
    assert len(parsed.warnings) == len(warnings)
    for warning, expected in zip(parsed.warnings, warnings, strict=True):
        assert expected in warning.message
    assert (parsed.ensemble is not None) == (not errors)
    for problem in (*parsed.errors, *parsed.warnings):
        assert problem.line > 0
        assert problem.column > 0
        assert problem.hint


@needs_samples
def test_file_with_many_errors_gets_all_of_them_at_once():
    parsed = sample("dms__jobs__ensemble_md__all-fields")
    assert parsed.ensemble is None
    paths = [error.path for error in parsed.errors]
    for expected in (
        "allocations.alloc1.type",
        "allocations.alloc1.execution.environment[0]",
        "allocations.alloc1.healthcheck",
        "nodes.node1.ports.public",
        "edges[0]",
        "supervisor.allocations[1]",
        "supervisor.children[0].allocations[0]",
    ):
        assert expected in paths
    assert [error.line for error in parsed.errors] == sorted(error.line for error in parsed.errors)


@needs_samples
def test_template_names_each_unfilled_mark():
    parsed = sample("template_n8n")
    said = " ".join(error.message for error in parsed.errors)
    for name in ("cpu_cores", "ram_size", "disk_size", "public_port", "peer_id"):
        assert name in said
    assert len(parsed.errors) == 5


@needs_samples
def test_template_filled_from_its_forms_defaults_is_valid():
    form = json.loads((SAMPLES / "template_n8n.form.json").read_text())
    values = {name: str(field["default"]) for name, field in form["fields"].items()}
    text = fill((SAMPLES / "template_n8n.yaml").read_text(), values | {"peer_id": ""})
    parsed = parse(text)
    assert parsed.errors == ()
    assert parsed.ensemble is not None
    spec = parsed.ensemble.allocations["n8n"]
    assert spec.resources.cpu_centicores == 50
    assert spec.resources.ram_bytes == 1 << 29
    assert parsed.ensemble.nodes["big-bertha"].ports[0].public == 17000


@needs_samples
def test_sample_values_are_typed():
    parsed = sample("docs__ensemble__README__scenario3-multi-node-gpu-subnet")
    ensemble = parsed.required()
    nginx = ensemble.allocations["nginx1"]
    assert (nginx.type, nginx.executor, nginx.dns_name) == ("service", "docker", "alloc1")
    assert nginx.resources.cpu_centicores == 100
    assert nginx.resources.ram_bytes == 1 << 30
    assert nginx.resources.gpus[0].vendor == "NVIDIA"
    assert nginx.resources.gpus[0].vram_bytes == 2 << 30
    assert nginx.healthcheck is not None
    assert nginx.healthcheck.response_value == "200"
    assert nginx.execution.params["image"] == "nginxdemos/hello:plain-text"
    assert ensemble.nodes["node2"].ports[0].private == 80
    assert ensemble.subnet_join is True
    assert not ensemble.only_tasks


@needs_samples
@pytest.mark.parametrize("name", [name for name, (errors, _) in VERDICTS.items() if not errors])
def test_document_reads_back_as_the_same_ensemble(name):
    ensemble = sample(name).required()
    document = json.loads(json.dumps(ensemble.document()))
    assert Ensemble.from_document(document) == ensemble
    assert parse_document(document).required() == ensemble
    assert parse(json.dumps(document)).required() == ensemble


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_examples_are_valid_without_warnings_and_say_what_they_show(path):
    text = path.read_text()
    assert text.startswith("# ")
    parsed = parse(text)
    assert [problem.document() for problem in (*parsed.errors, *parsed.warnings)] == []
