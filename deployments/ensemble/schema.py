"""The JSON Schema of an ensemble file: for editors that complete and for the documentation.

It describes the modern form as people write it. `parse` is what decides: it also accepts older forms, and
knows the rules between members that a schema cannot say.
"""

from __future__ import annotations

from typing import Any

from deployments.ensemble import model
from deployments.ensemble.healthcheck import STATUS
from deployments.ensemble.names import HOST_NAME, LABEL, NODE_NAME, VARIABLE
from deployments.ensemble.nodes import LOWEST_PUBLIC, MAX_PORT, MAX_REDUNDANCY
from deployments.ensemble.volumes import TYPES as VOLUME_TYPES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def _text(description: str, pattern: str = "") -> Schema:
    return _TEXT | {"description": description} | ({"pattern": f"^{pattern}$"} if pattern else {})


def _list(items: Schema, description: str, **more: Any) -> Schema:
    return {"type": "array", "items": items, "description": description} | more


def _one_of(words: tuple[str, ...], description: str, default: str = "") -> Schema:
    return {"enum": list(words), "description": description} | ({"default": default} if default else {})


def _map(properties: Schema, description: str, *required: str) -> Schema:
    found: Schema = {"type": "object", "description": description, "properties": properties}
    return found | ({"required": list(required)} if required else {})


def _amount(description: str, unit: str) -> Schema:
    return {
        "description": f"{description}; a bare number is in {unit}",
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": r"^\s*[+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\s*[A-Za-z]*\s*$"},
        ],
    }


def _duration(description: str) -> Schema:
    return {
        "description": f"{description}, such as 30s; a bare number is nanoseconds",
        "anyOf": [_COUNT, _TEXT],
    }


def _resources() -> Schema:
    size = _amount("how much, such as 1, 512MiB or 2GB", "GiB")
    clock = _amount("such as 2.4GHz", "GHz")
    speed = _amount("bytes a second", "bytes")
    cpu = _map(
        {
            "cores": {"type": "number", "exclusiveMinimum": 0, "description": "cores, such as 1 or 0.5"},
            "architecture": {"type": "string"},
            "clock_speed": clock,
            "model": {"type": "string"},
            "vendor": {"type": "string"},
            "threads": _COUNT,
            "cache_size": _amount("cache", "bytes"),
        },
        "processor",
        "cores",
    )
    ram = _map({"size": size, "clock_speed": clock, "type": {"type": "string"}}, "memory", "size")
    disk_texts = {key: {"type": "string"} for key in ("type", "model", "vendor", "interface")}
    disk = _map({"size": size, **disk_texts, "read_speed": speed, "write_speed": speed}, "disk", "size")
    gpu = _map(
        {
            "vendor": _text("NVIDIA, AMD or Intel"),
            "model": _TEXT,
            "vram": size,
            "index": _COUNT,
            "pci_address": _TEXT,
            "uuid": _TEXT,
        },
        "one GPU; what is left out does not matter",
    )
    return _map({"cpu": cpu, "ram": ram, "disk": disk, "gpus": _list(gpu, "one item a GPU")}, "what it needs")


def _execution() -> Schema:
    words = {"type": "string"}
    pair = {"type": "string", "pattern": f"^{VARIABLE.pattern}="}
    properties = {
        "type": _one_of(model.EXECUTORS, "equal to the executor"),
        "image": _text("docker, containerd: registry/name:tag, also with a digest"),
        "entrypoint": _list(words, "the program, word by word"),
        "cmd": _list(words, "the command or the program's arguments, word by word"),
        "environment": _list(pair, "KEY=VALUE entries"),
        "working_directory": _TEXT,
        "user": {"type": ["string", "integer"]},
        "privileged": {"type": "boolean", "description": "refused unless the node's owner allows it"},
        "restart_policy": _one_of(("no", "on-failure", "always", "unless-stopped"), "docker's own"),
        "runtime": _one_of(("runc", "kata"), "containerd", "runc"),
        "kernel_image": _text("firecracker"),
        "root_file_system": _text("firecracker"),
        "kernel_args": words,
        "initrd": words,
        "mmds_message": words,
    }
    return _map(properties, "how it is started", "type")


def _volume() -> Schema:
    return _map(
        {
            "type": _one_of(VOLUME_TYPES, "kind of volume"),
            "name": _TEXT,
            "src": _text("local: a volume's name, or an absolute path"),
            "mount_destination": _text("where it appears, absolute", "/.*"),
            "read_only": {"type": "boolean", "default": False},
            "servers": _list(_TEXT, "glusterfs"),
            "client_private_key": {"type": "string"},
            "client_pem": {"type": "string"},
            "client_ca": {"type": "string"},
        },
        "a folder that outlives the allocation",
    )


def _allocation() -> Schema:
    healthcheck = _map(
        {
            "type": _one_of(model.CHECKS, "kind of check"),
            "exec": _list(_TEXT, "command: run inside; it succeeds with exit code 0"),
            "endpoint": _text("http: the path, or the URL of the allocation itself, to get"),
            "port": {"type": "integer", "minimum": 1, "maximum": MAX_PORT, "description": "tcp, http: port"},
            "status": {
                "description": "http: the status that is well, such as 200 or 2xx (the default)",
                "anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, _text("", STATUS.pattern)],
            },
            "response": _map(
                {
                    "type": _one_of(("string", *model.EXPECTATIONS), "how it is compared"),
                    "value": {"type": "string"},
                },
                "what the answer holds",
            ),
            "interval": _duration("from one check to the next"),
            "timeout": _duration("how long an answer may take"),
            "retries": _COUNT | {"minimum": 1, "description": "failures in a row that make it unhealthy"},
            "start_period": _duration("failures do not count for so long, unless it was healthy before"),
        },
        "how to see that it works",
        "type",
    )
    key = _map(
        {"type": _one_of(("ssh", "gpg"), "kind of key"), "file": _TEXT, "dest": _TEXT},
        "a key",
        "type",
        "file",
    )
    resources = {"anyOf": [_resources(), _text("the name of a template in the root's resources")]}
    volume = _volume()
    return _map(
        {
            "type": _one_of(model.ALLOCATION_TYPES, "service runs on, task runs once"),
            "executor": _one_of(model.EXECUTORS, "what runs it"),
            "resources": resources,
            "execution": _execution(),
            "dns_name": _text("its name for the others; default: the allocation's name", HOST_NAME.pattern),
            "volume": _list(volume, "volumes"),
            "volumes": {
                "description": "name:mountpoint items, or maps that refine the root's volumes",
                "anyOf": [
                    {"type": "array", "items": {"anyOf": [_TEXT, volume]}},
                    {"type": "object", "additionalProperties": volume},
                ],
            },
            "healthcheck": healthcheck,
            "failure_recovery": _one_of(model.ALLOCATION_RECOVERIES, "what a failure does", "stay_down"),
            "depends_on": _list(_TEXT, "allocations on the same node that start before"),
            "ready_when": _one_of(
                model.READY_WHEN, "task: what depends on it waits for its start or its end", model.STARTED
            ),
            "provision": _list(_TEXT, "scripts of the root, run in this order before the start"),
            "keys": _list(key, "keys put inside"),
            "restart": _map(
                {
                    "max": _COUNT | {"description": "restarts within the time; one more escalates"},
                    "within": _duration("the time in which they count"),
                    "backoff": _duration("the pause before the first; doubled each time"),
                    "backoff_max": _duration("the longest pause"),
                },
                "how often it may be started again",
            ),
            "retry": _COUNT | {"description": "task: how often it is run again after a failure"},
            "max_runtime": _duration("the longest time that it may run"),
        },
        "one workload",
        "type",
        "executor",
        "resources",
        "execution",
    )


def _node() -> Schema:
    place = _map(
        {
            "continent": _one_of(model.CONTINENTS, "continent"),
            "country": _text("ISO code"),
            "city": _text("needs country"),
            "asn": _COUNT,
            "isp": _TEXT,
        },
        "a place",
        "continent",
    )
    public = {"anyOf": [{"const": 0}, {"type": "integer", "minimum": LOWEST_PUBLIC, "maximum": MAX_PORT}]}
    port = _map(
        {
            "public": public | {"description": "the node's port; 0: any free one"},
            "private": {"type": "integer", "minimum": 1, "maximum": MAX_PORT},
            "allocation": _text("who listens"),
            "protocol": _one_of(model.PROTOCOLS, "protocol", "tcp"),
        },
        "a port",
        "public",
        "private",
        "allocation",
    )
    return _map(
        {
            "allocations": _list(_TEXT, "what sits on it", minItems=1),
            "ports": _list(port, "ports led to allocations"),
            "location": _map(
                {"accept": _list(place, "only there"), "reject": _list(place, "never there")}, "where"
            ),
            "peer": _text("the peer id of the one machine it may be on"),
            "redundancy": {"type": "integer", "minimum": 0, "maximum": MAX_REDUNDANCY, "default": 0},
            "failure_recovery": _one_of(model.NODE_RECOVERIES, "what the node's failure does", "stay_down"),
        },
        "what sits together on one machine",
        "allocations",
    )


def ensemble_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an ensemble file."""
    edge = _map(
        {
            "edges": _list(_TEXT, "the two nodes", minItems=2, maxItems=2),
            "S": _TEXT,
            "T": _TEXT,
            "rtt": {"type": "number", "minimum": 0, "description": "round trip at most, ms"},
            "bw": {"type": "number", "minimum": 0, "description": "bandwidth at least, Kbit/s"},
        },
        "a constraint between two nodes",
    )
    did = _text("a DID", "did:.+")
    contract = _map({"did": did, "host": did, "provider": _TEXT, "requestor": _TEXT}, "a contract", "did")
    texts = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
    supervisor = _map(
        {
            "strategy": _one_of(model.STRATEGIES, "strategy"),
            "allocations": _list(_TEXT, "allocations"),
            "children": _list({"$ref": "#/$defs/supervisor"}, "groups below"),
        },
        "a supervision tree",
    )

    def named(values: Schema, description: str, pattern: str) -> Schema:
        return {
            "type": "object",
            "description": description,
            "minProperties": 1,
            "propertyNames": {"pattern": f"^{pattern}$"},
            "additionalProperties": values,
        }

    properties = {
        "version": _one_of(("V1",), "the format's version", "V1"),
        "allocations": named(_allocation(), "the workloads by name", LABEL.pattern),
        "nodes": named(_node(), "the nodes by name", NODE_NAME.pattern),
        "resources": {
            "type": "object",
            "description": "templates by name",
            "additionalProperties": _resources(),
        },
        "volumes": {"type": "object", "description": "templates by name", "additionalProperties": _volume()},
        "edges": _list(edge, "constraints between nodes"),
        "supervisor": {"$ref": "#/$defs/supervisor"},
        "scripts": texts | {"description": "provisioning scripts by name"},
        "keys": texts | {"description": "named keys"},
        "subnet": _map({"join": {"type": "boolean"}}, "the ensemble's private network", "join"),
        "exclude_peers": _list(_TEXT, "peer ids that are not asked"),
        "metadata": texts | {"description": "free texts; name is what people see"},
        "contracts": {"type": "object", "additionalProperties": contract},
        "escalation_strategy": _one_of(model.ESCALATIONS, "when recovery fails"),
        "max_runtime": _duration("the longest time from Running to its end"),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ensemble",
        **_map(properties, "what shall run, where, and under which constraints", "allocations", "nodes"),
        "$defs": {"supervisor": supervisor},
    }
