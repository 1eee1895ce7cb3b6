"""exec: a command inside an allocation, with the terminal, the pipes and the exit code of a local one."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

import click

from capabilities.refusal import Refusal
from dmsweb.cli.session import Session, verb

EXEC = "/dms/node/allocation/exec"
EXIT_OURS = 125


class WithCommand(click.Command):
    """A command whose words after `--` are another command's: they are taken as they are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the words after the first `--` aside before anything is parsed."""
        own, words = args, []
        if "--" in args:
            cut = args.index("--")
            own, words = args[:cut], args[cut + 1 :]
        ctx.meta["words"] = words
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Add the command to the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- CMD...]"]


@verb(
    "exec",
    help="Run a command inside a running allocation: ./dms exec web -- ls /. Without one, a shell.",
    cls=WithCommand,
)
@click.argument("deployment")
@click.argument("allocation", default="")
@click.option("-i", "--interactive", is_flag=True, help="Accepted for habit's sake: input is always sent.")
@click.option(
    "-t", "--tty", "tty", is_flag=True, default=None, help="Give it a terminal (default: when here is one)."
)
@click.option("-T", "--no-tty", "no_tty", is_flag=True, help="Give it none: stdout and stderr stay apart.")
@click.option("--user", "-u", default="", help="Whose rights inside (docker only); default the workload's.")
def execute(
    session: Session,
    deployment: str,
    allocation: str,
    interactive: bool,
    tty: bool | None,
    no_tty: bool,
    user: str,
) -> None:
    """Invoke /dms/node/allocation/exec and carry the session; 125 when it is we who failed."""
    words: list[str] = click.get_current_context().meta["words"]
    wanted = (bool(tty) or (sys.stdin.isatty() and sys.stdout.isatty())) and not no_tty and not session.json
    window = _window()
    payload: dict[str, Any] = {
        "EnsembleID": deployment,
        "AllocationName": allocation,
        "Command": words,
        "TTY": wanted,
        "Rows": window[0],
        "Columns": window[1],
    }
    if user:
        payload["User"] = user
    if wanted and os.environ.get("TERM", "") not in ("", "dumb", "unknown"):
        payload["Term"] = os.environ["TERM"]
    try:
        from dmsweb.cli.carry import carry

        code = carry(session, session.call(EXEC, payload)["Path"], wanted)
    except Refusal as refusal:
        document = refusal.problem()
        if session.json:
            session.output.json_line(document)
        session.output.problem(document)
        code = EXIT_OURS
    session.exit(code)


def _window() -> tuple[int, int]:
    """Return rows and columns of the terminal here, 24 x 80 without one."""
    for stream in (sys.stdout, sys.stdin, sys.stderr):
        try:
            size = os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):
            continue
        if size.lines and size.columns:
            return min(size.lines, 1_000), min(size.columns, 1_000)
    fallback = shutil.get_terminal_size((80, 24))
    return fallback.lines, fallback.columns
