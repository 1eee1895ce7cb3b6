"""Preparing a home: everything made once, by however many at once, and opened again by the next start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, sys
from dmsweb.prepare import prepare
made = prepare(lambda text: print(text, file=sys.stderr))
from dmsweb.accounts.models import User
from node.models import Node
print(json.dumps({"did": made.did, "password": made.admin_password, "first": made.first_start,
                  "keys": made.keys, "users": User.objects.count(), "nodes": Node.objects.count()}))
"""


def begin(home: Path, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DMS_HOME": str(home), "DMS_LOG_LEVEL": "WARNING", **more}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def test_two_at_once_make_one_site_and_a_later_start_finds_it(tmp_path):
    both = [end(process) for process in [begin(tmp_path), begin(tmp_path)]]
    assert sorted(made["first"] for made in both) == [False, True]
    assert len([made for made in both if made["password"]]) == 1
    again = end(begin(tmp_path))
    assert (again["first"], again["password"], again["users"], again["nodes"]) == (False, None, 1, 1)
    assert {made["did"] for made in [*both, again]} == {again["did"]}
    assert again["keys"] == both[0]["keys"]
    for name in ("key/dms.json", "secrets/passphrase", "secrets/cli-token", "secrets/django", "secrets/site"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, name


def test_a_lost_key_is_a_clear_sentence(tmp_path):
    end(begin(tmp_path))
    (tmp_path / "key" / "dms.json").unlink()
    process = begin(tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "but its key is not at" in err


@pytest.mark.parametrize("gone", ["db/nonces.sqlite3", "db/migrated.json"])
def test_what_is_missing_is_made_again(tmp_path, gone):
    first = end(begin(tmp_path))
    for path in tmp_path.glob(f"{gone}*"):
        path.unlink()
    assert end(begin(tmp_path))["did"] == first["did"]
