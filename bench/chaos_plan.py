"""What a run of chaos does, from its seed alone: what is submitted, what is broken, and when. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

IMAGE: Final = "dms.local/base:1"
KINDS: Final = ("task", "chain", "service", "pair", "flaky", "sandbox", "cancelled")
# What is ended with SIGKILL, or worse. `engine`: the Docker Engine; the rest are the site's own processes.
PROCESSES: Final = ("worker", "web", "redis", "supervisor")
WIPE = "redis-wiped"
ENGINE: Final = ("engine-killed", "engine-stopped")
ROUND_S: Final = 14.0


@dataclass(frozen=True, slots=True)
class Submission:
    """One deployment: when it is submitted, what it is, and how it must stand once all is quiet."""

    at_s: float
    name: str
    kind: str
    ensemble: dict[str, Any]
    right: frozenset[str]
    cancel_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault, some seconds after the round has begun. `live_restore`: how the engine comes back."""

    at_s: float
    what: str
    live_restore: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """What happens together."""

    submissions: tuple[Submission, ...]
    injections: tuple[Injection, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All rounds of one seed."""

    seed: int
    rounds: tuple[Round, ...] = field(default=())

    def submissions(self) -> list[Submission]:
        """Return every submission of every round."""
        return [one for part in self.rounds for one in part.submissions]


def plan(seed: int, *, rounds: int = 3, deployments: int = 30) -> Plan:
    """Return the plan: the same for the same arguments, on every machine.

    Every process is killed in every round, Redis is wiped, and the engine is ended once: by turns killed and asked to
    stop, and by turns with containers that end and (`live-restore`) that run on.
    """
    chance = random.Random(seed)
    names = [KINDS[number % len(KINDS)] for number in range(deployments)]
    chance.shuffle(names)
    made = []
    for number in range(rounds):
        share = names[number::rounds]
        submissions = tuple(
            sorted(
                (_submission(chance, kind, f"chaos-{number}-{index}") for index, kind in enumerate(share)),
                key=lambda one: one.at_s,
            )
        )
        faults = [Injection(_moment(chance), what) for what in (*PROCESSES, WIPE)]
        faults.append(Injection(_moment(chance), ENGINE[number % len(ENGINE)], live_restore=number % 2 == 0))
        made.append(Round(submissions, tuple(sorted(faults, key=lambda one: one.at_s))))
    return Plan(seed, tuple(made))


def _moment(chance: random.Random) -> float:
    return round(chance.uniform(0.5, ROUND_S), 2)


def _submission(chance: random.Random, kind: str, name: str) -> Submission:
    made = {
        "task": lambda: {"one": _one(f"echo {name}; sleep {chance.uniform(0.5, 5):.1f}")},
        "chain": lambda: {
            "first": _one(f"echo first; sleep {chance.uniform(0.5, 3):.1f}"),
            "second": _one(f"echo second; sleep {chance.uniform(0.5, 2):.1f}") | {"depends_on": ["first"]},
        },
        "service": lambda: {"one": _one("sleep 3600", kind="service")},
        "pair": lambda: {
            "server": _one("sleep 3600", kind="service", health="true"),
            "client": _one("sleep 3600", kind="service") | {"depends_on": ["server"]},
        },
        # Fails once, and again whenever its folder is new.
        "flaky": lambda: {
            "one": _one("test -e /data/ran || { : > /data/ran; exit 3; }; sleep 3600", kind="service")
            | {
                "failure_recovery": "one_for_one",
                "volume": [{"name": name, "type": "local", "src": name, "mount_destination": "/data"}],
            }
        },
        "sandbox": lambda: {
            "one": _one(f"echo {name}; sleep {chance.uniform(0.5, 5):.1f}", executor="process")
        },
        "cancelled": lambda: {"one": _one("sleep 3600", kind="service")},
    }[kind]()
    right = {
        "task": {"Completed"},
        "chain": {"Completed"},
        "sandbox": {"Completed"},
        "cancelled": {"Completed", "Failed"},
    }.get(kind, {"Running"})
    tree = {
        "metadata": {"name": name},
        "allocations": made,
        "nodes": {"here": {"allocations": list(made)}},
    }
    cancel = round(chance.uniform(0.2, 6.0), 2) if kind == "cancelled" else 0.0
    return Submission(_moment(chance), name, kind, tree, frozenset(right), cancel)


def _one(command: str, *, kind: str = "task", executor: str = "docker", health: str = "") -> dict[str, Any]:
    execution: dict[str, Any] = {"type": executor, "cmd": ["sh", "-c", command]}
    if executor == "docker":
        execution["image"] = IMAGE
    one: dict[str, Any] = {
        "type": kind,
        "executor": executor,
        "resources": {"cpu": {"cores": 0.02}, "ram": {"size": "32MiB"}, "disk": {"size": "16MiB"}},
        "execution": execution,
    }
    if health:
        one["healthcheck"] = {"type": "command", "exec": ["sh", "-c", health], "interval": "2s"}
    return one
