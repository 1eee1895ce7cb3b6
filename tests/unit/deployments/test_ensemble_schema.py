"""The JSON Schema agrees with the parser: same members, and it accepts what the parser accepts clean."""

from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from deployments.ensemble import (
    allocations,
    execution,
    extras,
    healthcheck,
    lifetime,
    nodes,
    parse,
    resources,
    volumes,
)
from deployments.ensemble.load import load
from deployments.ensemble.parse import ROOT
from deployments.ensemble.problems import Report
from deployments.ensemble.schema import ensemble_schema
from deployments.ensemble.tree import plain

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.yaml"))
SCHEMA = ensemble_schema()
ALLOCATION = SCHEMA["properties"]["allocations"]["additionalProperties"]["properties"]
NODE = SCHEMA["properties"]["nodes"]["additionalProperties"]["properties"]
RESOURCES = SCHEMA["properties"]["resources"]["additionalProperties"]["properties"]


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("properties", "shape"),
    [
        (SCHEMA["properties"], ROOT),
        (ALLOCATION, allocations.ALLOCATION),
        (ALLOCATION["healthcheck"]["properties"], healthcheck.HEALTHCHECK),
        (ALLOCATION["healthcheck"]["properties"]["response"]["properties"], healthcheck.RESPONSE),
        (ALLOCATION["restart"]["properties"], lifetime.RESTART),
        (ALLOCATION["keys"]["items"]["properties"], allocations._KEY),
        (ALLOCATION["volume"]["items"]["properties"], volumes._VOLUME),
        (NODE, nodes._NODE),
        (NODE["ports"]["items"]["properties"], nodes._PORT),
        (NODE["location"]["properties"]["accept"]["items"]["properties"], nodes._PLACE),
        (RESOURCES, resources._RESOURCES),
        (RESOURCES["cpu"]["properties"], resources._CPU),
        (RESOURCES["ram"]["properties"], resources._RAM),
        (RESOURCES["disk"]["properties"], resources._DISK),
        (RESOURCES["gpus"]["items"]["properties"], resources._GPU),
        (SCHEMA["properties"]["edges"]["items"]["properties"], extras._EDGE),
        (SCHEMA["$defs"]["supervisor"]["properties"], extras._SUPERVISOR),
        (SCHEMA["properties"]["contracts"]["additionalProperties"]["properties"], extras._CONTRACT),
    ],
)
def test_schema_has_exactly_the_parsers_members(properties, shape):
    assert set(properties) == shape.known


def test_schema_has_the_members_of_every_execution():
    known = {name for shape in execution.SHAPES.values() for name in shape.known}
    assert set(ALLOCATION["execution"]["properties"]) == known


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_schema_accepts_the_examples(path):
    text = path.read_text()
    assert parse(text).errors == ()
    root = load(text, Report())
    assert root is not None
    jsonschema.validate(plain(root), SCHEMA)
