"""Variables: `environment` as list or map, `env_file`, and `.env` files."""

from __future__ import annotations

import re
from collections.abc import Mapping as Variables

from deployments.ensemble.names import VARIABLE
from deployments.ensemble.problems import Mark, join
from deployments.ensemble.tree import Mapping, Scalar
from deployments.translate.notes import Files, Part

_LINE = re.compile(r"\s*(?:export\s+)?([^=\s#][^=]*?)\s*=\s*(.*?)\s*")
_COMMENT = re.compile(r"\s#.*$")


def read_dotenv(text: str) -> dict[str, str]:
    """Return the variables of a `.env` file; what is no assignment is skipped."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _LINE.fullmatch(line)
        if match is None:
            continue
        value = match[2]
        if len(value) > 1 and value[0] in "'\"" and value.rfind(value[0]) > 0:
            quote = value[0]
            value = value[1 : value.rfind(quote)]
            if quote == '"':
                value = value.replace("\\n", "\n").replace('\\"', '"')
        else:
            value = _COMMENT.sub("", value)
        found[match[1]] = value
    return found


def read_environment(service: Part, files: Files, environ: Variables[str, str]) -> list[str]:
    """Return `KEY=VALUE` entries; `environment` goes before `env_file`."""
    found = _of_files(service, files)
    for key, value, path, mark in _given(service):
        if value is None:
            value = environ.get(key)
            if value is None:
                service.notes.lost(path, mark, f"{key} takes its value from the environment, which has none")
                continue
        found[key] = value
    kept = []
    for key, value in found.items():
        if not VARIABLE.fullmatch(key):
            service.notes.lost(
                service.at("environment"),
                service.mark("environment"),
                f"{key[:60]!r} is no name of a variable",
                "letters, digits and _, not beginning with a digit",
            )
        else:
            kept.append(f"{key}={value}")
    return kept


def _given(service: Part) -> list[tuple[str, str | None, str, Mark]]:
    node = service.take("environment")
    path = service.at("environment")
    found: list[tuple[str, str | None, str, Mark]] = []
    if isinstance(node, Mapping):
        for key, item in node.items.items():
            if isinstance(item, Scalar):
                # Compose takes a lone key from the environment, and `KEY: ""` as empty.
                value = None if item.value is None else item.text
                found.append((key, value, join(path, key), node.mark_of(key)))
            else:
                service.notes.lost(join(path, key), node.mark_of(key), "a variable must be one value")
        return found
    for where, item in service.rows("environment"):
        if isinstance(item, Scalar):
            key, equals, value = item.text.partition("=")
            found.append((key, value if equals else None, where, item.mark))
        else:
            service.notes.lost(where, item.mark, "write KEY=VALUE")
    return found


def _of_files(service: Part, files: Files) -> dict[str, str]:
    found: dict[str, str] = {}
    for where, item in service.rows("env_file"):
        name, required = "", True
        if isinstance(item, Mapping):
            entry = Part(service.notes, where, item)
            name, required = entry.text("path"), entry.text("required").lower() != "false"
        elif isinstance(item, Scalar):
            name = item.text
        text = files(name) if name else None
        if text is not None:
            found |= read_dotenv(text)
        elif required:
            service.notes.lost(
                where, item.mark, f"the file {name[:80]} cannot be read", "put it beside the file"
            )
    return found
