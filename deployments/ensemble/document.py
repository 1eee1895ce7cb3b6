"""An ensemble as the reference's V1 JSON and back: sizes in bytes, scripts in base64, intervals in ns."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from deployments.ensemble import model
from deployments.ensemble.units import centicores


def ensemble_document(ensemble: model.Ensemble) -> dict[str, Any]:
    """Return `{"V1": {...}}`; optional members only when they are set."""
    body: dict[str, Any] = {
        "allocations": {name: allocation_document(spec) for name, spec in ensemble.allocations.items()},
        "nodes": {name: node_document(spec) for name, spec in ensemble.nodes.items()},
        "edges": [
            {"S": edge.source, "T": edge.target, "rtt": edge.rtt_ms, "bw": edge.bw_kbps}
            for edge in ensemble.edges
        ],
        "supervisor": _supervisor_document(ensemble.supervisor) if ensemble.supervisor else None,
        "keys": dict(ensemble.keys),
        "scripts": {name: base64.b64encode(text).decode() for name, text in ensemble.scripts.items()},
        "subnet": None if ensemble.subnet_join is None else {"join": ensemble.subnet_join},
        "exclude_peers": list(ensemble.exclude_peers),
        "metadata": dict(ensemble.metadata),
        "contracts": {name: _set(asdict(spec)) for name, spec in ensemble.contracts.items()},
        "escalation_strategy": ensemble.escalation_strategy,
        "max_runtime": ensemble.max_runtime_ns,
    }
    return {"V1": {key: value for key, value in body.items() if value or key in ("allocations", "nodes")}}


def allocation_document(spec: model.AllocationSpec) -> dict[str, Any]:
    """Return one allocation's JSON object."""
    body: dict[str, Any] = {
        "type": spec.type,
        "executor": spec.executor,
        "resources": resources_document(spec.resources),
        "execution": {"type": spec.execution.type, "params": dict(spec.execution.params)},
        "dns_name": spec.dns_name,
        "failure_recovery": spec.failure_recovery,
        "depends_on": list(spec.depends_on),
        "ready_when": "" if spec.ready_when == model.STARTED else spec.ready_when,
        "provision": list(spec.provision),
        "keys": [_set(asdict(key)) for key in spec.keys],
        "volume": [_volume_document(volume) for volume in spec.volumes],
        "healthcheck": _healthcheck_document(spec.healthcheck) if spec.healthcheck else None,
        "restart": _restart_document(spec.restart) if spec.restart else None,
        "retry": spec.retry,
        "max_runtime": spec.max_runtime_ns,
    }
    required = ("type", "executor", "resources", "execution", "dns_name", "failure_recovery")
    return {key: value for key, value in body.items() if value or key in required}


def resources_document(spec: model.ResourceSpec) -> dict[str, Any]:
    """Return the wanted resources' JSON object: cores as a number, everything else in base units."""
    whole, hundredths = divmod(spec.cpu_centicores, 100)
    cores: int | float = spec.cpu_centicores / 100 if hundredths else whole
    gpus = [
        _set(
            {
                "vendor": gpu.vendor,
                "model": gpu.model,
                "vram": gpu.vram_bytes,
                "pci_address": gpu.pci_address,
                "uuid": gpu.uuid,
            }
        )
        | ({} if gpu.index is None else {"index": gpu.index})
        for gpu in spec.gpus
    ]
    return {
        "cpu": {"cores": cores} | dict(spec.details.get("cpu", {})),
        "ram": {"size": spec.ram_bytes} | dict(spec.details.get("ram", {})),
        "disk": {"size": spec.disk_bytes} | dict(spec.details.get("disk", {})),
        "gpus": gpus,
    }


def node_document(spec: model.NodeSpec) -> dict[str, Any]:
    """Return one node's JSON object."""
    body: dict[str, Any] = {
        "allocations": list(spec.allocations),
        "ports": [
            {"public": port.public, "private": port.private, "allocation": port.allocation}
            | ({} if port.protocol == "tcp" else {"protocol": port.protocol})
            for port in spec.ports
        ],
        "location": _location_document(spec.location) if spec.location else None,
        "peer": spec.peer,
        "redundancy": spec.redundancy,
        "failure_recovery": spec.failure_recovery,
    }
    return {key: value for key, value in body.items() if value or key == "allocations"}


def _set(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value}


def _location_document(spec: model.LocationSpec) -> dict[str, Any]:
    return {
        "accept": [_set(asdict(place)) for place in spec.accept],
        "reject": [_set(asdict(place)) for place in spec.reject],
    }


def _supervisor_document(spec: model.SupervisorSpec) -> dict[str, Any]:
    return {
        "strategy": spec.strategy,
        "allocations": list(spec.allocations),
        "children": [_supervisor_document(child) for child in spec.children],
    }


def _volume_document(spec: model.VolumeSpec) -> dict[str, Any]:
    return _set(asdict(spec) | {"servers": list(spec.servers)}) | {"read_only": spec.read_only}


def _healthcheck_document(spec: model.HealthcheckSpec) -> dict[str, Any]:
    response = _set({"type": spec.response_type, "value": spec.response_value})
    return _set(
        {
            "type": spec.type,
            "exec": list(spec.exec),
            "endpoint": spec.endpoint,
            "port": spec.port,
            "status": spec.status,
            "response": response,
            "interval": spec.interval_ns,
            "timeout": spec.timeout_ns,
            "retries": spec.retries,
            "start_period": spec.start_period_ns,
        }
    )


def _restart_document(spec: model.RestartSpec) -> dict[str, Any]:
    return {
        "max": spec.max,
        "within": spec.within_ns,
        "backoff": spec.backoff_ns,
        "backoff_max": spec.backoff_max_ns,
    }


def ensemble_of(document: Mapping[str, Any]) -> model.Ensemble:
    """Return the ensemble of a V1 document (with or without the `V1` around it). Raises ValueError."""
    body = document.get("V1", document)
    try:
        supervisor = body.get("supervisor")
        return model.Ensemble(
            allocations={name: allocation_of(name, spec) for name, spec in body["allocations"].items()},
            nodes={name: _node_of(name, spec) for name, spec in body["nodes"].items()},
            edges=tuple(
                model.EdgeSpec(edge["S"], edge["T"], edge.get("rtt", 0), edge.get("bw", 0))
                for edge in body.get("edges", ())
            ),
            supervisor=_supervisor_of(supervisor) if supervisor else None,
            scripts={
                name: base64.b64decode(text, validate=True) for name, text in body.get("scripts", {}).items()
            },
            keys=dict(body.get("keys", {})),
            subnet_join=body["subnet"]["join"] if body.get("subnet") else None,
            exclude_peers=tuple(body.get("exclude_peers", ())),
            metadata=dict(body.get("metadata", {})),
            contracts={name: model.ContractSpec(**spec) for name, spec in body.get("contracts", {}).items()},
            escalation_strategy=body.get("escalation_strategy", ""),
            max_runtime_ns=body.get("max_runtime", 0),
        )
    except (KeyError, TypeError, AttributeError, ArithmeticError, binascii.Error) as fault:
        raise ValueError(f"not a V1 ensemble document: {type(fault).__name__}: {fault}") from None


def allocation_of(name: str, body: Mapping[str, Any]) -> model.AllocationSpec:
    """Return the allocation of its JSON object. KeyError, TypeError when it is not one."""
    execution = body["execution"]
    check, restart = body.get("healthcheck"), body.get("restart")
    return model.AllocationSpec(
        name=name,
        type=body["type"],
        executor=body["executor"],
        resources=_resources_of(body["resources"]),
        execution=model.Execution(execution["type"], dict(execution["params"])),
        dns_name=body["dns_name"],
        volumes=tuple(
            model.VolumeSpec(**{**volume, "servers": tuple(volume.get("servers", ()))})
            for volume in body.get("volume", ())
        ),
        healthcheck=healthcheck_of(check) if check else None,
        failure_recovery=body["failure_recovery"],
        depends_on=tuple(body.get("depends_on", ())),
        ready_when=body.get("ready_when", model.STARTED),
        provision=tuple(body.get("provision", ())),
        keys=tuple(model.KeySpec(**key) for key in body.get("keys", ())),
        restart=_restart_of(restart) if restart else None,
        retry=body.get("retry", 0),
        max_runtime_ns=body.get("max_runtime", 0),
    )


def _resources_of(body: Mapping[str, Any]) -> model.ResourceSpec:
    details = {
        part: {key: value for key, value in body[part].items() if key not in ("cores", "size")}
        for part in ("cpu", "ram", "disk")
    }
    gpus = []
    for gpu in body.get("gpus", ()):
        members = {key: value for key, value in gpu.items() if key != "vram"}
        gpus.append(model.GpuSpec(**members, vram_bytes=gpu.get("vram", 0)))
    return model.ResourceSpec(
        cpu_centicores=centicores(Decimal(str(body["cpu"]["cores"]))),
        ram_bytes=body["ram"]["size"],
        disk_bytes=body["disk"]["size"],
        gpus=tuple(gpus),
        details={part: members for part, members in details.items() if members},
    )


def _restart_of(body: Mapping[str, Any]) -> model.RestartSpec:
    return model.RestartSpec(body["max"], body["within"], body["backoff"], body["backoff_max"])


def healthcheck_of(body: Mapping[str, Any]) -> model.HealthcheckSpec:
    """Return the health check of its JSON object. KeyError when it is not one."""
    response = body.get("response", {})
    return model.HealthcheckSpec(
        type=body["type"],
        exec=tuple(body.get("exec", ())),
        endpoint=body.get("endpoint", ""),
        port=body.get("port", 0),
        status=body.get("status", ""),
        response_type=response.get("type", ""),
        response_value=response.get("value", ""),
        interval_ns=body.get("interval", 0),
        timeout_ns=body.get("timeout", 0),
        retries=body.get("retries", 0),
        start_period_ns=body.get("start_period", 0),
    )


def _node_of(name: str, body: Mapping[str, Any]) -> model.NodeSpec:
    place = body.get("location")
    return model.NodeSpec(
        name=name,
        allocations=tuple(body["allocations"]),
        ports=tuple(model.PortSpec(**port) for port in body.get("ports", ())),
        location=model.LocationSpec(
            tuple(model.Place(**item) for item in place.get("accept", ())),
            tuple(model.Place(**item) for item in place.get("reject", ())),
        )
        if place
        else None,
        peer=body.get("peer", ""),
        redundancy=body.get("redundancy", 0),
        failure_recovery=body.get("failure_recovery", "stay_down"),
    )


def _supervisor_of(body: Mapping[str, Any]) -> model.SupervisorSpec:
    return model.SupervisorSpec(
        body.get("strategy", ""),
        tuple(body.get("allocations", ())),
        tuple(_supervisor_of(child) for child in body.get("children", ())),
    )
