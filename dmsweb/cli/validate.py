"""`validate`: check an ensemble without a site, without Django."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from capabilities.numbers import NUMBERS
from deployments.ensemble.parse import Parsed, parse
from deployments.ensemble.placeholders import resolve_placeholders, sources_of
from deployments.ensemble.problems import Mark, Problem, Report
from deployments.ensemble.source import decode, read, read_stream
from dmsweb.cli.output import EXIT_FAILED, Output
from dmsweb.cli.session import Session, verb


@verb("validate", help="Check an ensemble (- reads standard input); needs no running site.")
@click.argument("file")
def validate(session: Session, file: str) -> None:
    """Print {valid, errors[], warnings[]}; exit 1 when it is invalid."""
    parsed = check(file)
    session.show(parsed.document(), lambda out: _people(out, file, parsed))
    if parsed.ensemble is None:
        session.exit(EXIT_FAILED)


def check(file: str) -> Parsed:
    """Return what parsing `file` finds, its placeholders resolved from the environment and its folder."""
    report = Report()
    text = resolved(file, report)
    if text is not None:
        parsed = parse(text)
        if report.errors:
            named = {(error.line, error.column) for error in report.errors}
            # An unresolved placeholder is known already, with the reason.
            rest = [error for error in parsed.errors if (error.line, error.column) not in named]
            errors = sorted([*report.errors, *rest], key=lambda error: (error.line, error.column))
            return Parsed(None, tuple(errors), parsed.warnings)
        return parsed
    return Parsed(None, tuple(report.errors))


def resolved(file: str, report: Report) -> str | None:
    """Return the text of `file` with its placeholders resolved from the caller's side; None when unreadable."""
    text = _text(file, report)
    if text is None:
        return None
    folder = Path.cwd() if file == "-" else Path(file).parent
    return resolve_placeholders(text, report, sources_of(folder, os.environ))


def _text(file: str, report: Report) -> str | None:
    limit = NUMBERS.ensemble_max_bytes
    try:
        if file == "-":
            data = read_stream(sys.stdin.buffer, report, max_bytes=limit)
        else:
            data = read(Path(file), report, max_bytes=limit)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        report.error("", Mark(), f"{file}: {reason}", "give the path of an ensemble, or - for standard input")
        return None
    return None if data is None else decode(data, report, max_bytes=limit)


def _people(out: Output, file: str, parsed: Parsed) -> None:
    for word, problems in (("error", parsed.errors), ("warning", parsed.warnings)):
        for problem in problems:
            out.line(_line(file, word, problem))
    if parsed.ensemble is None:
        out.line(f"{file}: invalid, {len(parsed.errors)} error{'s' if len(parsed.errors) != 1 else ''}")
    else:
        count = len(parsed.ensemble.allocations)
        out.line(f"{file}: valid, {count} allocation{'s' if count != 1 else ''}")


def _line(file: str, word: str, problem: Problem) -> str:
    where = f"{file}:{problem.line}:{problem.column}" if problem.line else file
    path = f"{problem.path}: " if problem.path else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    return f"{where}: {word}: {path}{problem.message}{hint}"
