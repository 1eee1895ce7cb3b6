"""An engine that restarts: what it ended says so, and what it left alone runs on. With an engine of the test's own."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docker_rig import Rig, wait_for
from tests.support.own_engine import OwnEngine, own_engine
from workers.executors.base import Cause, State

pytestmark = [pytest.mark.xdist_group("own-engine"), pytest.mark.timeout(300)]


# They end with a code of their own, its rest by three, when they are asked to.
TRAP = 'trap "exit $(({} % 3))" TERM; sleep 600 & wait'
DONE = 6
POLITE = {3: "service", 4: "service", DONE: "task", 5: "task"}


@pytest.fixture(params=["ends its containers", "live-restore"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEngine]:
    folder = Path(tempfile.mkdtemp(prefix="dms-engine-"))
    try:
        with own_engine(folder, live_restore=request.param == "live-restore") as made:
            monkeypatch.setenv("DOCKER_HOST", made.address)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["asked to stop", "killed"])
def test_an_engines_restart_is_its_own_cause(engine: OwnEngine, how: signal.Signals, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    service = rig.start("sleep", "600")
    polite = {code: rig.start("sh", "-c", TRAP.format(code), type=kind) for code, kind in POLITE.items()}
    failed, _ = rig.run("sh", "-c", "kill -9 $$; sleep 1")
    assert failed.cause is not Cause.ENGINE_RESTARTED
    before = rig.docker.inspect(service)
    engine.end(how)
    engine.start()
    if engine.live_restore:
        assert rig.docker.inspect(service) == before
        rig.docker.kill(service, Cause.UNHEALTHY, "asked in vain")
        assert rig.ended(service).cause is Cause.UNHEALTHY
    else:
        ended = wait_for(lambda: _exited(rig, service), "the end that came with the engine")
        assert ended is Cause.ENGINE_RESTARTED, rig.docker.inspect(service)
        found = {code: rig.ended(name) for code, name in polite.items()}
        if how is signal.SIGTERM:
            assert {code: end.exit_code for code, end in found.items()} == {code: code % 3 for code in POLITE}
        # A task that says so has completed; the others ended because they were asked to, or were killed.
        assert found.pop(DONE).cause in {Cause.COMPLETED, Cause.ENGINE_RESTARTED}
        assert {end.cause for end in found.values()} == {Cause.ENGINE_RESTARTED}
        later, _ = rig.run("sh", "-c", "kill -9 $$; sleep 1")
        assert later.cause is not Cause.ENGINE_RESTARTED


def _exited(rig: Rig, execution_id: str) -> Cause | None:
    found = rig.docker.inspect(execution_id)
    return found.cause if found.state is State.EXITED else None
