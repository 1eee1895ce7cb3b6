"""The verbs by name. A verb's module is imported when the verb runs: --help imports none of them."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from capabilities.refusal import Refusal
from dmsweb.cli.output import EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT, EXIT_USAGE
from dmsweb.cli.session import Session, apply, common_options

VERBS: dict[str, tuple[str, str]] = {
    "up": ("dmsweb.cli.site:up", "Start the site and watch over it."),
    "down": ("dmsweb.cli.site:down", "Stop the site."),
    "status": ("dmsweb.cli.site:status", "Whether the site runs, and its processes."),
    "doctor": ("dmsweb.cli.site:doctor", "What this machine lacks, what that costs and how to mend it."),
    "demo": ("dmsweb.cli.demo:demo", "Bring up a site, deploy an example and show it."),
    "test": ("dmsweb.cli.site:test", "Run every test."),
    "bench": ("dmsweb.cli.site:bench", "Measure against the floors."),
    "onboard": ("dmsweb.cli.machine:onboard", "Offer a part of this machine; again to change it."),
    "offboard": ("dmsweb.cli.machine:offboard", "Offer nothing any more; refused while work runs."),
    "drain": ("dmsweb.cli.control:drain", "Take no new work, or take work again with --off."),
    "resources": ("dmsweb.cli.machine:resources", "Onboarded, committed, allocated and free resources."),
    "hardware": ("dmsweb.cli.machine:hardware", "What this machine has, and what is used now."),
    "benchmark": ("dmsweb.cli.capability:benchmark", "Measure this machine."),
    "preferences": ("dmsweb.cli.capability:preferences", "What this node wants to run; --set changes it."),
    "capability": (
        "dmsweb.cli.capability:capability",
        "What this machine offers; --price and --location set it.",
    ),
    "validate": ("dmsweb.cli.validate:validate", "Check an ensemble; needs no running site."),
    "translate": (
        "dmsweb.cli.translate:translate_",
        "Make an ensemble of a compose file; needs no running site.",
    ),
    "plan": ("dmsweb.cli.control:plan", "What deploying would do now, or every reason why not."),
    "run": ("dmsweb.cli.run:run", "Run one command without a file; its log here, its exit code."),
    "deploy": ("dmsweb.cli.deployments:deploy", "Deploy an ensemble on this node."),
    "get": ("dmsweb.cli.deployments:get", "List deployments, allocations, nodes or bids."),
    "show": ("dmsweb.cli.deployments:show", "Everything about one deployment."),
    "logs": ("dmsweb.cli.deployments:logs", "The log of an allocation of a deployment."),
    "exec": ("dmsweb.cli.execute:execute", "Run a command inside a running allocation."),
    "stats": ("dmsweb.cli.stats:stats", "What allocations use of CPU, memory, network, disk, GPUs."),
    "cancel": ("dmsweb.cli.deployments:cancel", "End a deployment in whatever phase it is."),
    "shutdown": ("dmsweb.cli.deployments:shutdown", "Stop a deployment; its logs and timeline stay."),
    "restart": ("dmsweb.cli.allocation:restart", "Start an allocation of a running deployment again."),
    "stop": ("dmsweb.cli.allocation:stop", "Stop one allocation of a running deployment for good."),
    "delete": ("dmsweb.cli.removal:delete", "Delete a deployment that has ended."),
    "prune": ("dmsweb.cli.removal:prune", "Delete what ended before a time, or all that ended."),
    "behaviors": ("dmsweb.cli.actor:behaviors", "Every behavior with the schemas of its messages."),
    "actor": ("dmsweb.cli.actor:actor", "Invoke behaviors and send messages."),
    "peers": ("dmsweb.cli.peers:peers", "Other sites: list, self, ping, end."),
    "invite": ("dmsweb.cli.peers:invite", "Make a link by which another site joins this one."),
    "join": ("dmsweb.cli.peers:join", "Join the site that made a link."),
    "logger": ("dmsweb.cli.logger:logger", "How the node logs and where lines go; options change it."),
    "backup": ("dmsweb.cli.backup:backup", "Save the site as one file, also while it runs."),
    "restore": ("dmsweb.cli.backup:restore", "Put a saved site into an empty home."),
    "key": ("dmsweb.cli.keys:key", "Keys in the keystore and on a wallet; needs no running site."),
    "cap": ("dmsweb.cli.caps:cap", "Who may do what: contexts, anchors, grants, and why not."),
    "audit": ("dmsweb.cli.audit:audit", "Who did what, and whether the log is what was written."),
    "role": ("dmsweb.cli.role:role", "Named sets of capabilities: list, add, remove."),
    "team": ("dmsweb.cli.team:team", "Organisations, their teams, and who is in them."),
    "user": ("dmsweb.cli.user:user", "People who may log in, and their tokens."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by table and imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, None when there is none of that name."""
        entry = VERBS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry[0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; an unknown one is named with the nearest known."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], VERBS, n=1)
            raise click.UsageError(
                f"no verb {args[0]!r}" + (f"; did you mean {close[0]}?" if close else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, importing nothing."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=LazyGroup, help="Pool machines without a central owner, and run workloads on them.")
@common_options
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """Read the global options that stand before the verb."""
    session = ctx.ensure_object(Session)
    apply(session, options)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; every refusal and usage error is printed here."""
    session = Session(url=os.environ.get("DMS_URL", ""), token=os.environ.get("DMS_TOKEN", ""))
    _remember_interrupts(session)
    try:
        # Without its standalone mode click returns the code of `session.exit`, else the verb's own None.
        code = cli.main(list(arguments), prog_name="dms", standalone_mode=False, obj=session)
    except click.exceptions.NoArgsIsHelpError as fault:
        session.output.log(fault.format_message())
        return EXIT_USAGE
    except click.UsageError as fault:
        return _usage(session, arguments, fault)
    except (click.Abort, KeyboardInterrupt):
        session.output.log("interrupted")
        return 130
    except Refusal as refusal:
        return _refused(session, refusal)
    except BrokenPipeError:
        # The reader has gone (`| head`); what is still buffered must not raise again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last word of every verb, whatever went wrong
        from dmsweb.cli.faults import unexpected

        return _refused(session, unexpected(error, session.home))
    return code if isinstance(code, int) else EXIT_DONE


def _refused(session: Session, refusal: Refusal) -> int:
    document = refusal.problem()
    trace = document.pop("trace", "")
    if session.json:
        session.output.json(document)
    if trace:
        session.output.log(trace.rstrip())
    session.output.problem(document)
    return EXIT_TIMED_OUT if refusal.code == "timed_out" else EXIT_FAILED


def _usage(session: Session, arguments: Sequence[str], fault: click.UsageError) -> int:
    hint = f"see `{fault.ctx.command_path} --help`" if fault.ctx else "see `dms --help`"
    document = {
        "type": "urn:dms:problem:usage",
        "title": "wrong usage",
        "status": 400,
        "detail": fault.format_message(),
        "hint": hint,
    }
    if session.json or "--json" in arguments:
        session.output.json(document)
    session.output.problem(document)
    return EXIT_USAGE


def _remember_interrupts(session: Session) -> None:
    def interrupt(number: int, frame: object) -> None:
        session.interrupted = True
        raise KeyboardInterrupt

    # Only where Ctrl-C is ours to handle: a caller may have set it aside, and threads may not set it at all.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, interrupt)


def main() -> NoReturn:
    """Run with the process's arguments and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # In a locale without the letter a question mark stands for it; a name must not end the command.
            stream.reconfigure(errors="replace")
    raise SystemExit(run(sys.argv[1:]))
