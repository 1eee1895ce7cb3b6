"""Compose files to ensembles: what is carried, what is said to be lost, and that the result always validates."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.ensemble import parse
from deployments.translate import Translation, translate
from deployments.translate.environment import read_dotenv
from deployments.translate.interpolation import Unclear, interpolate
from tests.support.require import ROOT

SAMPLES = Path(os.environ.get("DMS_SHARED") or ROOT.parent / "shared") / "ensembles" / "compose"
OWN = sorted((ROOT / "examples" / "compose").glob("*.yaml"))


def of(text: str, **options: Any) -> Translation:
    done = translate(text, **({"project": "shop"} | options))
    assert done.text is not None, done.errors
    again = parse(done.text)
    assert again.ensemble == done.ensemble
    assert not [problem for problem in again.warnings if "provider" not in problem.message], again.warnings
    return done


def service(body: str, **options: Any) -> Translation:
    return of(
        "services:\n  web:\n    image: nginx:1\n" + "".join(f"    {line}\n" for line in body.splitlines()),
        **options,
    )


def spec(done: Translation, name: str = "web") -> Any:
    assert done.ensemble is not None
    return done.ensemble.allocations[name]


def lost(done: Translation) -> dict[str, int]:
    return {problem.path: problem.line for problem in done.not_carried}


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.stem)
def test_the_larger_examples(file: Path) -> None:
    done = of(file.read_text(), environ={})
    assert len(done.ensemble.allocations) >= 4  # type: ignore[union-attr]
    assert all(problem.line for problem in (*done.not_carried, *done.assumed))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no shared data in {SAMPLES}: set DMS_SHARED")
@pytest.mark.parametrize("name", ["complex-service", "resources", "simple-web", "web-and-db"])
def test_the_files_of_users(name: str) -> None:
    done = of((SAMPLES / f"{name}.yaml").read_text(), environ={})
    assert all(f"line {problem.line}: " in str(done.text) for problem in done.not_carried)


def test_dependents_share_a_node_and_strangers_do_not() -> None:
    done = of(
        """
services:
  web: {image: a, depends_on: [db]}
  db: {image: b}
  talker: {image: c, environment: {CACHE_URL: "redis://cache:6379/0"}}
  cache: {image: d}
  one: {image: e, volumes: ["data:/a"]}
  two: {image: f, volumes: ["data:/b:ro"]}
  alone: {image: g}
"""
    )
    nodes = [set(node.allocations) for node in done.ensemble.nodes.values()]  # type: ignore[union-attr]
    assert nodes == [{"web", "db"}, {"talker", "cache"}, {"one", "two"}, {"alone"}]
    assert spec(done).depends_on == ("db",)
    assert (spec(done, "two").volumes[0].src, spec(done, "two").volumes[0].read_only) == ("shop_data", True)


def test_commands_and_variables() -> None:
    done = service(
        """command: serve --name "two words" $$HOME
entrypoint: ["/bin/sh", "-c"]
working_dir: /srv
user: "1000"
env_file: [web.env, missing.env]
environment:
  - A=${X:-one}
  - B
  - C
  - FROM_FILE=mine
  - bad-name=1
""",
        environ={"B": "two"},
        files={"web.env": "FROM_FILE=theirs\nexport D='four # no'  \n"}.get,
    )
    params = spec(done).execution.params
    assert params["cmd"] == ["serve", "--name", "two words", "$HOME"]
    assert params["entrypoint"] == ["/bin/sh", "-c"]
    assert (params["working_directory"], params["user"]) == ("/srv", "1000")
    assert sorted(params["environment"]) == ["A=one", "B=two", "D=four # no", "FROM_FILE=mine"]
    said = [problem.message for problem in done.not_carried]
    assert any("missing.env" in text for text in said)
    assert any(text.startswith("C takes") for text in said)
    assert any("bad-name" in text for text in said)


def test_a_shells_own_variables_stay() -> None:
    done = service('command: ["sh", "-c", "echo $${HOME:-x}"]')
    assert spec(done).execution.params["cmd"][2] == "echo ${HOME:-x}"


def test_ports() -> None:
    done = service(
        """ports:
  - "80:80"
  - "20000-20001:90-91/udp"
  - 3000
  - "127.0.0.1:20005:5"
  - {target: 443, published: "20443", protocol: tcp}
  - "20443:444"
  - "1:1/sctp"
"""
    )
    ports = [(p.public, p.private, p.protocol) for p in done.ensemble.nodes["node1"].ports]  # type: ignore[union-attr]
    assert ports == [
        (0, 80, "tcp"),
        (20000, 90, "udp"),
        (20001, 91, "udp"),
        (0, 3000, "tcp"),
        (20005, 5, "tcp"),
        (20443, 443, "tcp"),
        (0, 444, "tcp"),
    ]
    expected = {0: 5, 3: 8, 5: 10, 6: 11}
    assert {int(path.split("[")[1][:-1]): line for path, line in lost(done).items()} == expected


def test_volumes() -> None:
    done = service(
        """volumes:
  - ./data:/data
  - /srv/host:/host:ro
  - ./nginx.conf:/etc/nginx.conf
  - /anonymous
  - {type: volume, source: named, target: /named, read_only: true}
  - {type: tmpfs, target: /tmp}
  - /var/run/docker.sock:/var/run/docker.sock
"""
    )
    found = {volume.mount_destination: (volume.src, volume.read_only) for volume in spec(done).volumes}
    assert found == {
        "/data": ("shop_data", False),
        "/host": ("/srv/host", True),
        "/named": ("shop_named", True),
    }
    assert len(lost(done)) == 6


def test_health_checks_keep_their_timings() -> None:
    done = service(
        """healthcheck:
  test: ["CMD-SHELL", "curl -f localhost || exit 1"]
  interval: 1m30s
  timeout: 10s
  retries: 5
  start_period: 40s
"""
    )
    check = spec(done).healthcheck
    assert check.exec == ("sh", "-c", "curl -f localhost || exit 1")
    second = 10**9
    assert (check.interval_ns, check.timeout_ns, check.retries, check.start_period_ns) == (
        90 * second,
        10 * second,
        5,
        40 * second,
    )
    assert not done.not_carried
    assert spec(service('healthcheck: {test: ["NONE"]}')).healthcheck is None
    assert spec(service("healthcheck: {disable: true, interval: 3s}")).healthcheck is None
    assert spec(service("healthcheck: {test: x}")).healthcheck.timeout_ns == 30 * second


@pytest.mark.parametrize(
    ("text", "recovery", "most"),
    [
        ("no", "stay_down", None),
        ('"no"', "stay_down", None),
        ("always", "one_for_one", 1_000_000),
        ("unless-stopped", "one_for_one", 1_000_000),
        ("on-failure", "one_for_one", 1_000_000),
        ("on-failure:4", "one_for_one", 4),
    ],
)
def test_restart_policies(text: str, recovery: str, most: int | None) -> None:
    found = spec(service(f"restart: {text}"))
    assert found.failure_recovery == recovery
    assert (found.restart and found.restart.max) == most


def test_a_deploys_restart_policy_and_resources() -> None:
    found = spec(
        service(
            """deploy:
  restart_policy: {condition: on-failure, max_attempts: 2, delay: 3s, window: 1m}
  resources:
    limits: {cpus: "1.5", memory: 512M}
    reservations:
      devices:
        - {driver: nvidia, count: 2, capabilities: [gpu]}
        - {driver: nvidia, device_ids: ["3", "GPU-1"], capabilities: [gpu]}
"""
        )
    )
    restart = found.restart
    assert (restart.max, restart.backoff_s, restart.within_s) == (2, 3, 60)
    assert (found.resources.cpu_centicores, found.resources.ram_bytes) == (150, 512 << 20)
    assert [(gpu.vendor, gpu.index, gpu.uuid) for gpu in found.resources.gpus] == [
        ("NVIDIA", None, ""),
        ("NVIDIA", None, ""),
        ("NVIDIA", 3, ""),
        ("NVIDIA", None, "GPU-1"),
    ]


def test_what_is_waited_for_until_it_is_done_is_a_task() -> None:
    done = of(
        """
services:
  app: {image: a, depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: b, restart: "on-failure:3"}
"""
    )
    assert (spec(done, "migrate").type, spec(done, "migrate").retry) == ("task", 3)
    assert spec(done, "migrate").ready_when == "completed"
    assert (spec(done, "app").type, spec(done, "app").depends_on) == ("service", ("migrate",))
    assert not done.not_carried


def test_copies_have_names_of_their_own() -> None:
    done = of(
        """
services:
  web: {image: a, depends_on: [api], ports: ["20001:80"], environment: {API: "http://api/"}}
  api: {image: b, deploy: {replicas: 2}, ports: ["20002:80"]}
"""
    )
    assert spec(done).depends_on == ("api-1", "api-2")
    assert (spec(done, "api-1").dns_name, spec(done, "api-2").dns_name) == ("api", "api-2")
    assert {"the name api leads to the first of 2 copies only"} <= {p.message for p in done.not_carried}


def test_names_are_mended_and_said() -> None:
    done = of("services:\n  my_db:\n    image: a\n  My-DB:\n    image: b\n")
    assert set(done.ensemble.allocations) == {"my-db", "My-DB-2"}  # type: ignore[union-attr]
    assert [problem.line for problem in done.not_carried] == [2, 4]


def test_the_name_that_others_use_is_kept() -> None:
    done = of(
        """
services:
  web: {image: a, environment: {HOST: main-db}}
  db: {image: b, container_name: shop_db_1, networks: {default: {aliases: [main-db, other]}}}
"""
    )
    assert spec(done, "db").dns_name == "main-db"
    assert {problem.message.split(":")[0] for problem in done.not_carried} == {
        "the name shop_db_1",
        "the name other",
    }


def test_extends_and_profiles() -> None:
    files = {"common.yml": "services:\n  base:\n    image: z:${V}\n    environment: [A=1, B=2]\n"}
    done = of(
        """
services:
  web: {extends: {file: common.yml, service: base}, environment: {B: three}}
  api: {extends: web, command: serve}
  debug: {image: x, profiles: [debug]}
""",
        files=files.get,
        environ={"V": "3"},
    )
    assert spec(done, "api").execution.params == {
        "image": "z:3",
        "cmd": ["serve"],
        "environment": ["A=1", "B=three"],
    }
    assert lost(done)["services.debug"] == 5
    text = "services: {a: {image: b}, debug: {image: x, profiles: [debug]}}"
    assert spec(of(text, profiles=frozenset({"debug"})), "debug").type == "service"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("[1]", 1, "a map"),
        ("services: {}", 1, "no services"),
        ("services:\n  web: 3\n", 2, "a map"),
        ("services:\n  web:\n    command: x\n", 3, "no image"),
        ("services:\n  web:\n    image: BAD NAME\n", 3, "no image name"),
        ("services:\n  web:\n    image: ${X:?set it}\n", 3, "set it"),
        ("services:\n  web:\n    image: a\n    command: 'x \"y'\n", 4, "no command"),
        ("services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n", 2, "cyclic"),
        ("services:\n  a: {extends: b, image: x}\n  b: {extends: a, image: x}\n", 2, "circle"),
        ("services:\n  a:\n    image: x\n    command: ['{{ name }}']\n", 2, "not filled in"),
        ("services:\n  a: !reset {}\n", 2, "tag"),
        ("a: b: c", 1, "not YAML"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    done = translate(text)
    assert done.text is None
    assert [(error.line, said in error.message) for error in done.errors][:1] == [(line, True)], done.errors


def test_interpolation_is_composes() -> None:
    variables = {"A": "1", "E": ""}
    cases = {
        "$A-${A}": "1-1",
        "${E:-x}${E-x}": "x",
        "${U:-a${A}b}": "a1b",
        "${A:+yes}${U:+no}": "yes",
        "$$A $${A}": "$A ${A}",
        "${U}": "",
    }
    missing: set[str] = set()
    assert {text: interpolate(text, variables, missing) for text in cases} == cases
    assert missing == {"U"}
    for wrong in ("${", "${A", "$", "${1}", "${U:?gone}"):
        with pytest.raises(Unclear):
            interpolate(wrong, variables, set())
    assert read_dotenv('# c\nA=1\nexport B="x\\ny"\nC=2 # two\nnothing') == {"A": "1", "B": "x\ny", "C": "2"}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 99_999)
    | st.sampled_from(
        [
            "web",
            "db",
            "a b",
            "1",
            "0.5",
            "512M",
            "5s",
            "no",
            "always",
            "on-failure:3",
            "80:80",
            "./x:/x",
            "x:/y:ro",
        ]
        + [
            "${A:-b}",
            "$$",
            "{{ a }}",
            "all",
            "service:db",
            "K=V",
            "é",
            "\u2028",
            "'",
            '"',
            "#",
            "",
            "NONE",
            "CMD",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["a", "db", "web", "condition", "target", "source", "test"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
KEYS = [
    *("build", "command", "entrypoint", "environment", "env_file", "working_dir", "user", "ports", "volumes"),
    *(
        "depends_on",
        "links",
        "restart",
        "scale",
        "profiles",
        "extends",
        "networks",
        "container_name",
        "hostname",
    ),
    *("cpus", "mem_limit", "gpus", "tmpfs", "privileged", "network_mode", "volumes_from", "secrets"),
]
AMOUNTS = st.dictionaries(st.sampled_from(["cpus", "memory", "devices"]), VALUES)
POLICY = st.dictionaries(st.sampled_from(["condition", "delay", "max_attempts", "window"]), VALUES)
NAMES = st.sampled_from(["web", "db", "my_db", "a.b", "-", "WEB", "x" * 70])
DEPLOY = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(-1, 4),
        "resources": st.fixed_dictionaries({}, optional={"limits": AMOUNTS, "reservations": AMOUNTS}),
        "restart_policy": POLICY,
    },
)
HEALTH = st.dictionaries(
    st.sampled_from(["test", "interval", "timeout", "retries", "start_period", "disable"]), VALUES
)
SERVICE = st.builds(
    lambda sound, wild, deploy, health: sound | wild | deploy | health,
    st.sampled_from([{"image": "a:1"}, {"image": "b/c"}, {"build": "."}, {}]),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
    st.just({}) | st.builds(lambda value: {"deploy": value}, DEPLOY),
    st.just({}) | st.builds(lambda value: {"healthcheck": value}, HEALTH),
)
VOLUMES = VALUES | st.dictionaries(st.sampled_from(["data", "x"]), VALUES)
DOCUMENT = st.fixed_dictionaries(
    {"services": st.dictionaries(NAMES, SERVICE | VALUES, min_size=1, max_size=4)},
    optional={"volumes": VOLUMES, "networks": VALUES, "name": VALUES, "secrets": VALUES},
)


@settings(max_examples=300, deadline=None)
@given(DOCUMENT)
def test_any_document_translates_or_is_refused_with_lines(document: Any) -> None:
    done = translate(json.dumps(document, indent=1), project="p", environ={})
    if done.text is None:
        assert done.errors
        assert all(error.line and error.message for error in done.errors)
    else:
        assert parse(done.text).ensemble == done.ensemble
    assert all(problem.line for problem in (*done.not_carried, *done.assumed))
