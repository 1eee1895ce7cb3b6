"""`backup` and `restore`: a whole site as one file. Both work on the home itself, whether the site runs or not."""

from __future__ import annotations

import os
from pathlib import Path

import click

from capabilities.refusal import Refusal
from dmsweb.cli.output import Output
from dmsweb.cli.session import Session, verb

STREAM = "-"


@verb("backup", help="Save the site to FILE (- for standard output), also while it runs.")
@click.argument("file", metavar="FILE")
@click.option("--logs", is_flag=True, help="With the kept logs of allocations.")
@click.option("--overwrite", is_flag=True, help="Replace FILE when it exists.")
def backup(session: Session, file: str, logs: bool, overwrite: bool) -> None:
    """Write databases, keys and secrets to one private file, and read it back."""
    target = None if file == STREAM else Path(file).absolute()
    if target is not None and target.exists() and not target.is_file():
        raise Refusal("invalid_request", f"{target} is no file", hint="- stands for standard output")
    if target is not None and target.exists() and not overwrite:
        raise Refusal(
            "exists", f"{target} exists", status=409, hint="--overwrite replaces it, or give another name"
        )
    if target is None and session.json:
        raise click.UsageError("--json and the backup cannot share standard output; give a FILE")
    os.environ["DMS_HOME"] = str(session.home.root)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dmsweb.settings")
    _refuse_nothing(session)
    import django

    django.setup()
    from dmsweb.backup.saving import save

    manifest = save(session.home, target, logs=logs, progress=session.output.log)
    if target is None:
        return
    size = target.stat().st_size
    answer = {"file": str(target), "size_bytes": size, **manifest}

    def people(out: Output) -> None:
        out.line(
            f"{target}: {size / (1 << 20):.1f} MiB, {len(manifest['files'])} files, of {manifest['did']}"
        )
        out.line("it holds the keys of this site: keep it where only you can read it")

    session.show(answer, people)


@verb("restore", help="Put a site from FILE (- for standard input) into an empty home.")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Also where a site is: it is kept in a folder beside it.")
def restore(session: Session, file: str, force: bool) -> None:
    """Check the file, prepare the site, move it into place, say what to do next."""
    from dmsweb.backup import restoring

    source = None if file == STREAM else Path(file).absolute()
    answer = restoring.restore(session.home, source, force=force, progress=session.output.log)

    def people(out: Output) -> None:
        out.line(f"restored {answer['did']} as of {answer['created_at']} into {session.home.root}")
        if answer["set_aside"]:
            out.line(f"what was there is in {answer['set_aside']}")
        out.line(f"messages of other nodes that end before {answer['messages_from']} are refused until then")
        out.line("start it with ./dms up; what runs without being known to the backup is removed then")

    session.show(answer, people)


def _refuse_nothing(session: Session) -> None:
    """Refuse before Django makes secrets in a folder that is no site's."""
    if not session.home.path("secrets").is_dir():
        raise Refusal(
            "not_found", f"there is no site in {session.home.root}", status=404, hint="name it with --home"
        )
