"""The verb resources: the ledger, and beside it what others use of the machine."""

from __future__ import annotations

from typing import Any

import pytest

from dmsweb.cli import machine
from dmsweb.cli.session import Session

AMOUNT = {"cpu_cores": 1.0, "ram_bytes": 1 << 30, "disk_bytes": 1 << 30, "gpus": []}
NAMES = ("onboarded", "committed", "allocated", "free", "used_by_others")


def test_what_others_use_stands_below_the_ledger(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def get(session: Session, path: str, **params: Any) -> dict[str, Any]:
        if path == "/nodes/":
            return {"items": [{"id": "n"}]}
        return dict.fromkeys(NAMES, AMOUNT) | {"used_by_others": AMOUNT | {"cpu_cores": 0.25}}

    monkeypatch.setattr(Session, "get", get)
    machine.resources.main([], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[0] for line in lines[1:]] == [name.replace("_", " ") for name in NAMES]
    assert "0.25" in lines[-1]
