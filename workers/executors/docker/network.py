"""The private bridge of a deployment: made once, shared by its containers, removed with it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import psutil
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from workers.executors.base import LABEL, Cause, ExecutorError
from workers.executors.docker.engine import Engine, words
from workers.executors.docker.subnets import free_subnet

POOL_VARIABLE = "DMS_DOCKER_SUBNETS"
POOL_DEFAULT = "10.213.0.0/16"
PREFIX = 24
TRIES = 5


def network_name(node_did: str, deployment_id: str) -> str:
    """Return the network's name: short, and different for each node that shares the engine."""
    return "dms-" + hashlib.sha256(f"{node_did}\0{deployment_id}".encode()).hexdigest()[:20]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the engine itself would make two networks of one name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Networks:
    """The networks of one node; those known to exist are remembered until a start proves otherwise."""

    def __init__(self, engine: Engine, node_did: str, lock_path: Path) -> None:
        self._engine = engine
        self._node_did = node_did
        self._lock_path = lock_path
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def ensure(self, deployment_id: str) -> str:
        """Return the name of the deployment's network, made when it does not exist."""
        name = network_name(self._node_did, deployment_id)
        if name in self._known:
            return name
        with self._lock:
            if name not in self._known:
                with locked(self._lock_path), self._engine.errors("making the deployment's network"):
                    if not self._exists(name):
                        self._create(name, deployment_id)
                self._known.add(name)
        return name

    def forget(self, deployment_id: str) -> None:
        """Look again before the next use."""
        self._known.discard(network_name(self._node_did, deployment_id))

    def remove(self, deployment_id: str) -> None:
        """Remove the deployment's network; harmless when it is gone, refused while executions are in it."""
        self.forget(deployment_id)
        client = self._engine.client()
        with self._engine.errors("removing the deployment's network"):
            try:
                client.remove_network(network_name(self._node_did, deployment_id))
            except NotFound:
                return
            except APIError as error:
                if "active endpoints" in words(error):
                    detail = (
                        f"the deployment's network is in use: {words(error)}; remove its executions first"
                    )
                    raise ExecutorError(Cause.START_FAILED, detail, transient=True) from error
                raise

    def deployments(self, node_did: str) -> list[str]:
        """Return the ids of the deployments that have a network with the node's label."""
        with self._engine.errors("listing networks", Cause.ENGINE_UNREACHABLE):
            found = self._engine.client().networks(filters={"label": [f"{LABEL}.node={node_did}"]})
        ids = [(network.get("Labels") or {}).get(f"{LABEL}.deployment") for network in found]
        return [deployment_id for deployment_id in ids if deployment_id]

    def _exists(self, name: str) -> bool:
        # The engine's filter matches parts of names.
        return any(net["Name"] == name for net in self._engine.client().networks(names=[name]))

    def _create(self, name: str, deployment_id: str) -> None:
        labels = {f"{LABEL}.node": self._node_did, f"{LABEL}.deployment": deployment_id}
        addresses: IPAMConfig | None = None
        refused: list[IPv4Network] = []
        for _ in range(TRIES):
            try:
                self._engine.client().create_network(
                    name, driver="bridge", labels=labels, check_duplicate=True, ipam=addresses
                )
                return
            except APIError as error:
                text = words(error)
                if "address pool" not in text and "Pool overlaps" not in text:
                    raise
                # The engine's default pool holds about thirty bridges; smaller ones of our own go on from there.
                subnet = self._free_subnet(refused)
                if subnet is None:
                    break
                refused.append(subnet)
                addresses = IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))])
        detail = (
            f"address_pool_exhausted: no free addresses for another network; shut deployments down, add "
            f"default-address-pools to the engine's configuration, or set {POOL_VARIABLE} to a larger range"
        )
        raise ExecutorError(Cause.START_FAILED, detail, transient=True)

    def _free_subnet(self, refused: list[IPv4Network]) -> IPv4Network | None:
        taken = list(refused)
        for network in self._engine.client().networks():
            for config in (network.get("IPAM") or {}).get("Config") or ():
                if "." in str(config.get("Subnet", "")):
                    taken.append(IPv4Network(config["Subnet"], strict=False))
        for addresses in psutil.net_if_addrs().values():
            for entry in addresses:
                if entry.family.name == "AF_INET" and entry.netmask:
                    taken.append(IPv4Network(f"{entry.address}/{entry.netmask}", strict=False))
        pool = IPv4Network(os.environ.get(POOL_VARIABLE) or POOL_DEFAULT)
        return free_subnet(pool, max(PREFIX, pool.prefixlen), taken)
