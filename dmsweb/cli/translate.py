"""`translate`: a compose file to an ensemble, without a site, without Django."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import click

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments.ensemble.problems import Problem
from deployments.translate import Files, Translation, translate
from dmsweb.cli.output import EXIT_FAILED
from dmsweb.cli.session import Session, verb


@verb("translate", help="Make an ensemble of a compose file (-: standard input); needs no running site.")
@click.argument("file")
@click.option("--out", "-o", default="-", help="Where the ensemble goes; default: standard output.")
@click.option(
    "--format",
    "-f",
    "format_",
    type=click.Choice(["docker-compose"]),
    default="docker-compose",
    show_default=True,
)
@click.option("--profile", "profiles", multiple=True, help="Take in its services, too; * for all.")
def translate_(session: Session, file: str, out: str, format_: str, profiles: tuple[str, ...]) -> None:
    """Print or write the ensemble; on stderr whatever could not be carried over, each with its line."""
    folder = Path.cwd() if file == "-" else Path(file).resolve().parent
    done = translate(
        _read(file),
        project="" if file == "-" else folder.name,
        environ=os.environ,
        files=reader(folder),
        profiles=frozenset(profiles),
    )
    if done.text is not None and out != "-":
        try:
            Path(out).write_text(done.text, encoding="utf-8")
        except OSError as error:
            raise Refusal("unwritable", f"{out}: {error.strerror}", hint="give another file to -o") from None
    _say(session, file, done)
    if session.json:
        session.output.json(done.document() | {"out": out if out != "-" else ""})
    elif done.text is not None and out == "-":
        sys.stdout.write(done.text)
        sys.stdout.flush()
    if done.text is None:
        session.exit(EXIT_FAILED)


def _say(session: Session, file: str, done: Translation) -> None:
    for word, problems in (
        ("error", done.errors),
        ("not carried over", done.not_carried),
        ("assumed", done.assumed),
    ):
        for problem in problems:
            session.output.log(_line(file, word, problem))
    if done.ensemble is None:
        session.output.log(f"{file}: not translated")
        return
    allocations, nodes = len(done.ensemble.allocations), len(done.ensemble.nodes)
    session.output.log(
        f"{file}: translated; allocations: {allocations}, nodes: {nodes}, not carried over: {len(done.not_carried)}"
    )


def _line(file: str, word: str, problem: Problem) -> str:
    hint = f"; {problem.hint}" if problem.hint else ""
    return f"{file}:{problem.line}:{problem.column}: {word}: {problem.path}: {problem.message}{hint}"


def _read(file: str) -> bytes:
    limit = NUMBERS.ensemble_max_bytes + 1
    try:
        if file == "-":
            return sys.stdin.buffer.read(limit)
        with Path(file).open("rb") as stream:
            return stream.read(limit)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Refusal(
            "unreadable_file",
            f"{file}: {reason}",
            hint="give the path of a compose file, or - for standard input",
        ) from None


def reader(folder: Path) -> Files:
    """Return what reads text files relative to `folder`, up to the size of an ensemble."""

    def read(name: str) -> str | None:
        try:
            path = folder / Path(name).expanduser()
            # A named pipe or a device would never end.
            if not stat.S_ISREG(path.stat().st_mode):
                return None
            with path.open("rb") as stream:
                data = stream.read(NUMBERS.ensemble_max_bytes + 1)
            return None if len(data) > NUMBERS.ensemble_max_bytes else data.decode("utf-8")
        except (OSError, ValueError, RuntimeError):
            return None

    return read
