"""What every verb has: the global options, the site it talks to, and its output.

    @verb("status", help="One line for --help.")
    @click.argument("name")
    def status(session: Session, name: str) -> None:
        session.show(session.get("/nodes/"), lambda out: out.line("..."))

The options --json, --home, --url and --token may stand before the verb and after it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dmsweb.cli.output import Output
from dmsweb.home import Home

if TYPE_CHECKING:
    from dmsweb.cli.client import Client

OPTIONS = ("json", "home", "url", "token")


@dataclass(slots=True)
class Session:
    """One run of one verb. `url` and `token` are empty for the local site."""

    json: bool = False
    home: Home = field(default_factory=Home.from_environment)
    url: str = ""
    token: str = ""
    output: Output = field(default_factory=Output)
    # Python drops the exception of a Ctrl-C that falls into a destructor; this remembers it for the next chunk.
    interrupted: bool = False
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """The connection to the site, made on first use."""
        if self._client is None:
            from dmsweb.cli.client import Client

            self._client = Client.to(self.home, self.url, self.token)
        return self._client

    def call(
        self, path: str, payload: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Invoke the behavior `path` and return its response. Raises Refusal."""
        return self.client.call(path, payload or {}, timeout_s=timeout_s)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Read a resource below /api/v1. Raises Refusal."""
        return self.client.get(path, **params)

    def stream(self, path: str, **params: Any) -> Iterator[bytes]:
        """Read a text stream below /api/v1 chunk by chunk. Raises Refusal."""
        return self.client.stream(path, **params)

    def show(self, document: Any, people: Callable[[Output], object]) -> None:
        """Print the result: `document` under --json, else whatever `people` prints."""
        if self.json:
            self.output.json(document)
        else:
            people(self.output)

    def chunk(self, name: str, chunk: bytes) -> None:
        """Pass on a piece of a log as it is; under --json as one JSON object a line."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self.json:
            self.output.json_line({"name": name, "text": chunk.decode("utf-8", "replace")})
            return
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    def exit(self, code: int) -> NoReturn:
        """End with this exit code."""
        raise click.exceptions.Exit(code)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--token", default=None, metavar="TOKEN", help="Token for --url (or DMS_TOKEN)."),
        click.option("--url", default=None, metavar="URL", help="Another site than the local one."),
        click.option("--home", default=None, metavar="DIR", help="The site's folder (DMS_HOME, ~/.dms)."),
        click.option("--json", "json", is_flag=True, default=None, help="One JSON document on stdout."),
    ):
        command = option(command)
    return command


def apply(session: Session, options: Mapping[str, Any]) -> None:
    """Set what the given global options say; later ones win."""
    if options.get("json"):
        session.json = True
    if options.get("home"):
        session.home = Home(Path(options["home"]).expanduser().absolute())
    if options.get("url"):
        session.url = options["url"]
    if options.get("token"):
        session.token = options["token"]


def verb(
    name: str, *, help: str, group: click.Group | None = None, **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function whose first argument is the Session a command, in `group` when one is given.

    `settings` are click's; with `cls` the command is of that class.
    """
    kind: type[click.Command] = settings.pop("cls", click.Command)

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(**values: Any) -> Any:
            session = click.get_current_context().find_object(Session) or Session()
            apply(session, {key: values.pop(key) for key in OPTIONS})
            return function(session, **values)

        make: Callable[[Callable[..., Any]], click.Command]
        make = click.command(name, cls=kind, help=help, short_help=help, **settings)
        command = make(_common(run))
        if group is not None:
            group.add_command(command)
        return command

    return decorate


def verbs(name: str, *, help: str) -> click.Group:
    """Return a group of verbs such as `key`; its members are declared by `verb(.., group=..)`."""

    def run(**values: Any) -> None:
        session = click.get_current_context().find_object(Session) or Session()
        apply(session, values)

    return click.group(name, help=help, short_help=help)(_common(run))


common_options = _common
