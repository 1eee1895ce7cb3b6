"""`${source:key[|modifier][:-default]}` placeholders, resolved on the caller's side, never by a server.

The sources are injected: `env` (also meant when no source is named) and `file` (relative to the ensemble's
folder). A value that holds placeholders itself is resolved again, a bounded number of times. Values are put
into the text as quoted scalars, so that no value can change the document's structure, and comments and line
numbers stay.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal
from deployments.ensemble.marks import PLACEHOLDER
from deployments.ensemble.problems import Mark, Report
from deployments.ensemble.scalars import NotFinite
from deployments.ensemble.scalars import resolve as scalar_value
from deployments.ensemble.source import decode

Source = Callable[[str], str | None]
MAX_ROUNDS = 16
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


class Unresolved(ValueError):
    """A placeholder has no value; says which and why."""


def resolve_value(text: str, sources: Mapping[str, Source], *, max_characters: int) -> str:
    """Return `text` with every placeholder replaced. Raises Unresolved."""
    for _ in range(MAX_ROUNDS):
        if PLACEHOLDER.search(text) is None:
            return text
        text = PLACEHOLDER.sub(lambda found: _value(found[1], sources), text)
        if len(text) > max_characters:
            raise Unresolved("the resolved text is too large")
    raise Unresolved(f"placeholders lead to placeholders more than {MAX_ROUNDS} times; is there a cycle?")


def _value(body: str, sources: Mapping[str, Source]) -> str:
    head, has_default, default = body.partition(":-")
    expression = head.partition("|")[0].strip()
    name, colon, key = expression.partition(":")
    if not colon:
        name, key = "env", expression
    source = sources.get(name)
    if source is None:
        raise Unresolved(
            f"unknown source {name[:40]!r} in ${{{body[:80]}}}; known: {', '.join(sorted(sources))}"
        )
    value = source(key) if key else None
    if value:
        return value
    if has_default:
        return default
    what = {"env": "environment variable is unset or empty", "file": "file cannot be read or is empty"}
    raise Unresolved(f"failed to resolve ${{{body[:80]}}}: the {what.get(name, 'value is missing')}")


def resolve_placeholders(
    text: str, report: Report, sources: Mapping[str, Source], *, max_bytes: int = NUMBERS.ensemble_max_bytes
) -> str:
    """Return the document with the placeholders of its scalars replaced; what fails is in `report`.

    A text that is no YAML is returned as it is: parsing it says what is wrong.
    """
    if "${" not in text:
        return text
    pieces: list[str] = []
    done = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if event.__class__ is not yaml.ScalarEvent or PLACEHOLDER.search(event.value) is None:
                continue
            start: Any = event.start_mark
            end: Any = event.end_mark
            try:
                value = resolve_value(event.value, sources, max_characters=max_bytes)
                value.encode("utf-8")
            except Unresolved as fault:
                hint = "set it, give a default as ${name:-default}, or write $${...} for a literal"
                report.error("", Mark(start.line + 1, start.column + 1), str(fault), hint)
                continue
            except UnicodeEncodeError:
                report.error(
                    "", Mark(start.line + 1, start.column + 1), "the resolved value is no UTF-8 text"
                )
                continue
            pieces += [text[done : start.index], _quoted(event, value), "\n" * (end.line - start.line)]
            done = end.index
    except yaml.YAMLError:
        return text
    return "".join(pieces) + text[done:]


def _quoted(event: Any, value: str) -> str:
    """Return the value as a scalar: bare where a bare placeholder became a number, else in quotes."""
    if event.style in (None, "") and event.implicit[0]:
        try:
            if not isinstance(scalar_value(value), str | None):
                return value
        except NotFinite:
            pass
    quoted = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def sources_of(folder: Path, environ: Mapping[str, str]) -> dict[str, Source]:
    """Return the command line's sources: `environ`, and files relative to `folder` up to 1 MiB."""

    def file(key: str) -> str | None:
        try:
            with (folder / key).open("rb") as stream:
                data = stream.read(NUMBERS.ensemble_max_bytes + 1)
            return None if len(data) > NUMBERS.ensemble_max_bytes else data.decode("utf-8").removesuffix("\n")
        except (OSError, ValueError):
            return None

    return {"env": environ.get, "file": file}


def resolve_text(text: str | bytes, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Return the ensemble's text with placeholders resolved from `folder` and the environment.

    Raises the Refusal `unresolved_placeholder` that names every one that has no value.
    """
    report = Report()
    decoded = decode(text, report, max_bytes=NUMBERS.ensemble_max_bytes)
    if decoded is not None:
        decoded = resolve_placeholders(
            decoded, report, sources_of(folder, os.environ if environ is None else environ)
        )
    if decoded is None or report.errors:
        first = report.errors[0]
        raise Refusal(
            "unresolved_placeholder" if decoded is not None else "invalid_ensemble",
            f"line {first.line}: {first.message}",
            hint=first.hint,
            reasons=tuple(
                Reason("placeholder", f"line {error.line}: {error.message}", hint=error.hint)
                for error in report.errors
            ),
        )
    return decoded
