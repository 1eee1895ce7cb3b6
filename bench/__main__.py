"""`python -m bench [NAME ...] [--json]`: each module of this folder that has `run()`, against its floor."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.result import Result

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the benches there are: modules that define run()."""
    modules = (path for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return sorted(path.stem.replace("_", "-") for path in modules if "\ndef run() -> " in path.read_text())


def measure(name: str) -> list[Result]:
    """Run one bench in this process, with a home of its own."""
    with tempfile.TemporaryDirectory(prefix="dms-bench-") as home:
        os.environ["DMS_HOME"] = home
        module = importlib.import_module(f"bench.{name.replace('-', '_')}")
        results: list[Result] = module.run()
    return results


def measure_apart(name: str) -> list[dict[str, Any]]:
    """Run one bench in a process of its own: none finds the settings or the memory of another."""
    command = [sys.executable, "-m", "bench", name, "--json"]
    done = subprocess.run(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True, check=False)
    try:
        results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    except (ValueError, KeyError):
        print(f"{name} broke with exit code {done.returncode}", file=sys.stderr, flush=True)
        return []
    return results


def main() -> int:
    """Run what is named, or all; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--json", action="store_true", help="One JSON document on stdout.")
    parser.add_argument("--seed", type=int, help="For the benches that draw by chance.")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names()))
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(names())}")
    wanted = arguments.names or names()
    if arguments.seed is not None:
        os.environ["DMS_BENCH_SEED"] = str(arguments.seed)
    results: list[dict[str, Any]] = []
    broken = 0
    for name in wanted:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        found = [item.document() for item in measure(name)] if len(wanted) == 1 else measure_apart(name)
        broken += not found
        results += found
    if arguments.json:
        print(json.dumps({"results": results}, indent=1))
    else:
        for item in results:
            mark = "meets" if item["pass"] else "MISSES"
            taken = f"{item['ours']:.4g} against {item['floor']:.4g} {item['unit']}"
            bar = f"{mark} {item['bar']:g} on {item['bar_on']}"
            print(f"{item['name']}: {taken}; {item['ratio']:.3g} times the floor; {bar}")
    return 0 if not broken and all(item["pass"] for item in results) else 1


if __name__ == "__main__":
    sys.exit(main())
