"""`python -m bench [NAME ...] [--json]`: each module of this folder that has `run()`, against its floor."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

from bench.result import Result

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the benches there are: modules that define run()."""
    modules = (path for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return sorted(path.stem.replace("_", "-") for path in modules if "\ndef run() -> " in path.read_text())


def measure(name: str) -> list[Result]:
    """Run one bench."""
    module = importlib.import_module(f"bench.{name.replace('-', '_')}")
    results: list[Result] = module.run()
    return results


def main() -> int:
    """Run what is named, or all; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--json", action="store_true", help="One JSON document on stdout.")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names()))
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(names())}")
    with tempfile.TemporaryDirectory(prefix="dms-bench-") as home:
        os.environ["DMS_HOME"] = home
        results = []
        for name in arguments.names or names():
            print(f"measuring {name}", file=sys.stderr, flush=True)
            results += measure(name)
    if arguments.json:
        print(json.dumps({"results": [result.document() for result in results]}, indent=1))
    else:
        for result in results:
            mark = "meets" if result.passed else "MISSES"
            taken = f"{result.ours:.4g} against {result.floor:.4g} {result.unit}"
            print(f"{result.name}: {taken}; {result.ratio:.3g} {mark} {result.bar:g}")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
