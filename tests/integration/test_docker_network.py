"""Ports of the host, the private bridge of a deployment, and names in it."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import IPv4Network

import pytest
from docker import DockerClient

from tests.integration.docker_rig import Rig, free_port, wait_for
from workers.executors.base import Cause, ExecutorError, PortBinding, State
from workers.executors.docker import network, spec

UDP_ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9000))
while True:
    s.sendto(*s.recvfrom(100))
"""


def test_tcp_and_udp_ports_reach_the_container(rig: Rig, machine_image: str) -> None:
    tcp, second, udp = free_port(), free_port(), free_port(socket.SOCK_DGRAM)
    serve = f"mkdir /tmp/www; echo served > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www & python3 -c '{UDP_ECHO}'"
    ports = (PortBinding(tcp, 8080), PortBinding(second, 8080), PortBinding(udp, 9000, "udp"))
    rig.start(params={"image": machine_image, "cmd": ["sh", "-c", serve]}, ports=ports)

    def fetched(port: int) -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as web:
                web.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"served" in web.makefile("rb").read()
        except OSError:
            return False

    wait_for(lambda: fetched(tcp) and fetched(second), "the page over TCP")

    def echoed() -> bool:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.settimeout(0.3)
            try:
                sender.sendto(b"ping", ("127.0.0.1", udp))
                return sender.recv(100) == b"ping"
            except OSError:
                return False

    wait_for(echoed, "the echo over UDP")


def test_a_taken_port_is_named_and_may_be_tried_again(rig: Rig) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        request = rig.request("true", ports=(PortBinding(port, 80),))
        with pytest.raises(ExecutorError, match=str(port)) as refusal:
            rig.docker.start(request)
        assert (refusal.value.cause, refusal.value.transient) == (Cause.START_FAILED, True)
    assert rig.docker.start(request).state in (State.RUNNING, State.EXITED)


def test_allocations_of_a_deployment_find_each_other_and_no_others(rig: Rig, other: Rig) -> None:
    page = "mkdir /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"
    web = rig.request("sh", "-c", page, dns_name="web")
    address = rig.docker.start(web).priv_addr
    assert address
    look = "timeout 5 wget -q -O - http://web/ && timeout 5 wget -q -O - http://web.internal/"
    found, log = rig.run("sh", "-c", f"for i in $(seq 50); do {look} && exit 0; sleep 0.1; done; exit 1")
    assert (found.cause, log[-14:]) == (Cause.COMPLETED, "served\nserved\n")
    foreign = (
        f"timeout 1 wget -q -O - http://{address}/ || timeout 1 wget -q -O - http://web/ || echo unreachable"
    )
    _, log = other.run("sh", "-c", foreign)
    assert "unreachable\n" in log and "served" not in log


def test_the_network_is_made_once_and_goes_with_the_deployment(rig: Rig, docker_client: DockerClient) -> None:
    marks = {"label": [f"dms.node={rig.node}"]}
    # Executors of several processes, so that only the lock between them can help.
    twins = [type(rig.docker)(rig.node, rig.home) for _ in range(4)]
    requests = [rig.request("sleep", "600", dns_name=f"a{n}") for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: pair[0].start(pair[1]), zip(twins, requests, strict=True)))
    (made,) = docker_client.networks.list(filters=marks)
    assert made.attrs["Labels"] == {"dms.node": rig.node, "dms.deployment": rig.deployment}
    assert rig.docker.deployments(rig.node) == [rig.deployment]
    with pytest.raises(ExecutorError, match="in use") as refusal:
        rig.docker.remove_deployment(rig.deployment)
    assert refusal.value.transient
    for request in requests:
        rig.docker.remove(request.execution_id)
    rig.docker.remove_deployment(rig.deployment)
    rig.docker.remove_deployment(rig.deployment)
    assert docker_client.networks.list(filters=marks) == [] == rig.docker.deployments(rig.node)
    # It is remembered as made by the twins, and made again when the start shows that it has gone.
    request = rig.request("sleep", "600")
    assert twins[0].start(request).state is State.RUNNING


def test_when_the_engines_addresses_are_used_up_smaller_networks_go_on(
    rig: Rig, docker_client: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docker.errors import APIError

    client = rig.docker._engine.client()
    genuine = client.create_network

    def exhausted(name: str, **options: object) -> object:
        if options["ipam"] is None:
            text = "could not find an available, non-overlapping IPv4 address pool among the defaults"
            raise APIError(text, explanation=text)
        return genuine(name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "create_network", exhausted)
    monkeypatch.setenv(network.POOL_VARIABLE, "10.219.8.0/23")
    networks = rig.docker._networks
    names = [networks.ensure(f"deployment-{number}") for number in range(2)]
    subnets = []
    for name in names:
        config = docker_client.networks.get(name).attrs["IPAM"]["Config"]
        subnets.append(IPv4Network(config[0]["Subnet"]))
    assert subnets == [IPv4Network("10.219.8.0/24"), IPv4Network("10.219.9.0/24")]
    with pytest.raises(ExecutorError, match="address_pool_exhausted") as refusal:
        networks.ensure("one-too-many")
    assert refusal.value.transient


def test_names_differ_between_nodes() -> None:
    assert spec.container_name("did:a", "x") != spec.container_name("did:b", "x")
    assert network.network_name("did:a", "x") != network.network_name("did:b", "x")
