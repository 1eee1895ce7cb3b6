"""Ensembles: YAML or JSON to a typed, checked description of what shall run where. No Django here.

parsed = parse(text)            # never raises; every error with path, line, column and hint
ensemble = parsed.required()    # or the Refusal `invalid_ensemble`
ensemble.document()             # the V1 JSON; Ensemble.from_document reads it back
levels(ensemble)                # {allocation: level} by depends_on
"""

from deployments.ensemble.graph import Cycle, levels
from deployments.ensemble.model import (
    AllocationSpec,
    EdgeSpec,
    Ensemble,
    NodeSpec,
    PortSpec,
    ResourceSpec,
    VolumeSpec,
)
from deployments.ensemble.parse import Parsed, parse, parse_document
from deployments.ensemble.problems import Problem

__all__ = [
    "AllocationSpec",
    "Cycle",
    "EdgeSpec",
    "Ensemble",
    "NodeSpec",
    "Parsed",
    "PortSpec",
    "Problem",
    "ResourceSpec",
    "VolumeSpec",
    "levels",
    "parse",
    "parse_document",
]
