"""Each lack is named with its cost and how to mend it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from dmsweb.home import Home
from dmsweb.launch import table
from dmsweb.launch.doctor import containers, examine, gpu, host, identity, sandbox
from dmsweb.launch.doctor.check import tried
from dmsweb.launch.fault import StartFault
from tests.support.identity_provider import identity_provider

NAMES = ["python", "redis", "disk", "ports", "memory", "clock", "proxy", "docker"]
NAMES += ["user_namespaces", "sandbox", "gpu", "oidc"]


def test_every_check_has_its_members(tmp_path: Path) -> None:
    checks = examine(Home(tmp_path / "home"))
    names = [check.name for check in checks]
    assert names == NAMES
    for check in checks:
        assert set(check.document()) >= {"name", "ok", "detail", "cost", "hint"}
        assert check.detail
        assert check.ok or (check.cost and check.hint)


def test_a_docker_host_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    check = containers.engine()
    assert not check.ok
    assert "no such file" in check.detail
    assert check.hint == "correct or unset DOCKER_HOST"
    monkeypatch.setenv("DOCKER_HOST", "gopher://x")
    assert "not understood" in containers.engine().detail


def test_podmans_socket_is_pointed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "podman").mkdir()
    path = tmp_path / "podman" / "podman.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            link, _ = listener.accept()
            link.recv(1024)
            link.sendall(
                b'HTTP/1.0 200 OK\r\n\r\n{"Version": "5.0", "Components": [{"Name": "Podman Engine"}]}'
            )
            link.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        monkeypatch.setattr(containers, "DEFAULT_SOCKET", str(tmp_path / "docker-none.sock"))
        check = containers.engine()
        thread.join(5)
    assert check.detail.startswith("Podman 5.0")
    assert check.hint == f"export DOCKER_HOST=unix://{path}"


def test_something_else_on_the_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "closed.sock"))
    monkeypatch.setattr(containers, "DEFAULT_SOCKET", str(tmp_path / "closed.sock"))
    assert "refused" in containers.engine().detail


def test_the_group_is_named_when_the_socket_may_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(containers, "_answers", refused)
    monkeypatch.setattr(containers, "DEFAULT_SOCKET", "/dev/null")
    check = containers.engine()
    assert not check.ok
    assert "usermod -aG root" in check.hint


@pytest.mark.parametrize(
    ("environment", "ok"),
    [
        ({}, True),
        ({"HTTP_PROXY": "http://p:1"}, False),
        ({"https_proxy": "http://p:1", "NO_PROXY": "localhost, 127.0.0.1"}, True),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, True),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "localhost"}, False),
    ],
)
def test_a_proxy_must_not_catch_this_machine(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], ok: bool
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert host.proxy().ok is ok


def test_a_taken_port_is_found(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        table.write_json(home.path("run", "last.json"), {"port": port})
        assert not host.port(home, None).ok
    assert host.port(home, None).ok


def test_no_redis_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise StartFault("no Redis", "install redis-server")

    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(host, "broker_program", none)
    check = host.broker()
    assert (check.ok, check.needed, check.hint) == (False, True, "install redis-server")


def test_a_disk_below_the_least_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 20})())
    check = host.disk(Home(tmp_path / "a" / "b"))
    assert (check.ok, check.needed) == (False, True)


def test_no_sandbox_says_which_step_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "tried", lambda command: "Operation not permitted")
    assert not sandbox.user_namespaces().ok
    assert "Operation not permitted" in sandbox.sandbox().detail


def test_a_gpu_without_the_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(gpu, "ask", lambda path, question: {"Runtimes": {"runc": {}}})
    check = gpu._nvidia()
    assert not check.ok
    assert "nvidia-ctk" in check.hint
    monkeypatch.setattr(gpu, "ask", lambda path, question: {"Runtimes": {"nvidia": {}}})
    assert gpu._nvidia().ok


def test_a_command_that_hangs_or_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmsweb.launch.doctor.check.TIMEOUT_S", 0.05)
    assert tried(["sleep", "5"]) == "sleep does not answer"
    assert tried(["no-such-program"]) == "no-such-program: No such file or directory"
    assert tried(["true"]) is None


def test_the_identity_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(**changes: str) -> str:
        for name, value in changes.items():
            monkeypatch.setenv(f"DMS_OIDC_{name}", value)
        check = identity.provider()
        assert check.ok or (check.cost and check.hint)
        return f"{'' if check.ok else 'lacks: '}{check.detail}"

    monkeypatch.delenv("DMS_OIDC_ISSUER", raising=False)
    monkeypatch.delenv("DMS_OIDC_CLIENT_ID", raising=False)
    assert told().startswith("no identity provider")
    with identity_provider() as running:
        assert "without DMS_OIDC_CLIENT_ID" in told(ISSUER=running.url)
        assert told(CLIENT_ID="dms") == running.url
        running.changed_document = {"issuer": "https://other.example"}
        assert "speaks for https://other.example" in told()
        running.changed_document = {"jwks_uri": ""}
        assert "lacks jwks_uri" in told()
    assert "cannot be read" in told()
    assert "without TLS" in told(ISSUER="http://id.example")
    assert "is no address" in told(ISSUER="id.example")
