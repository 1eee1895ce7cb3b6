"""`behaviors` and `actor`: every registered behavior from the command line, made from the site's catalogue.

`actor cmd PATH` takes the request as JSON or as one option a member, named after the member of the request's
schema: `--EnsembleID x`, `--ensemble-id x` and `--ensemble_id x` are the same. `actor msg`, `send`, `invoke`
and `broadcast` deal with signed envelopes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from dmsweb.cli.output import EXIT_FAILED, Output, table
from dmsweb.cli.session import Session, verb, verbs

_LONGEST_S = NUMBERS.envelope_max_ahead_s + 10.0

INVOKE, DELIVER = "/dms/node/peers/invoke", "/dms/node/peers/deliver"
DEST = click.option("--dest", "-d", default="", help="Another site: DID, peer id, address, or its name.")

actor = verbs("actor", help="Invoke behaviors and send messages.")


@verb("behaviors", help="Every behavior with the schemas of its messages.")
def behaviors(session: Session) -> None:
    """Read the site's catalogue."""
    catalogue = session.get("/behaviors/")
    rows = [[entry["path"], entry["doc"]] for entry in catalogue["behaviors"]]
    session.show(catalogue, lambda out: out.table(table(["behavior", "what it does"], rows)))


@verb(
    "cmd",
    help="Invoke a behavior: PATH [JSON] or PATH --Member VALUE ...; --dest SITE: at another site.",
    group=actor,
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("path")
@DEST
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cmd(session: Session, path: str, arguments: tuple[str, ...], dest: str) -> None:
    """Invoke PATH through the door, here or at another site, with the request that the arguments describe."""
    if path == "--help":
        session.output.line(click.get_current_context().get_help())
        session.output.line("\nPATH --help describes the members of PATH's request.")
        return
    if "--help" in arguments:
        _describe(session.output, _entry(session, path))
        return
    payload: dict[str, Any] = {}
    if arguments:
        payload = request_of(_schema(session, path, there=bool(dest)), arguments)
    if dest:
        request = {"Dest": dest, "Behavior": path, "Payload": payload}
        answer = session.call(INVOKE, request)["Payload"]
    else:
        answer = session.call(path, payload)
    session.show(answer, lambda out: out.json(answer))


@verb("msg", help="Build and sign an envelope with a key of the keystore, and print it.", group=actor)
@click.argument("behavior")
@click.argument("payload", default="{}")
@click.option(
    "--context",
    "-c",
    "name",
    default="dms",
    show_default=True,
    help="The key that signs; ledger: a wallet's.",
)
@click.option(
    "--dest", "-d", default="", help="Handle (JSON), DID, address or name; default: this site's node."
)
@click.option("--broadcast", "-b", "topic", default="", help="Topic; excludes --dest and --invoke.")
@click.option("--invoke", "-i", "invoke_", is_flag=True, help="Ask for a reply.")
@click.option(
    "--expiry",
    "-e",
    "expiry_s",
    type=click.FloatRange(0, 600),
    default=None,
    help="Seconds; 30, and 300 with a hardware wallet.",
)
@click.option("--cap", "tokens", default="", help="File of tokens granted to the key (`cap grant`).")
def msg(
    session: Session,
    behavior: str,
    payload: str,
    name: str,
    dest: str,
    topic: str,
    invoke_: bool,
    expiry_s: float | None,
    tokens: str,
) -> None:
    """Print a signed envelope for `send`, `invoke` or `broadcast`."""
    from dmsweb.cli.signing import held_tokens, signed_envelope

    if topic and (dest or invoke_):
        raise click.UsageError("--broadcast excludes --dest and --invoke")
    document = signed_envelope(
        session,
        behavior,
        _object(payload, "the payload"),
        name=name,
        dest=dest,
        topic=topic,
        reply=invoke_,
        expiry_s=expiry_s,
        held=held_tokens(tokens) if tokens else (),
    )
    session.output.json(document)


MESSAGE = click.option("--message", "-m", "message", is_flag=True, help="Print what the reply says, no more.")


def _post(session: Session, verb_: str, file: str, dest: str) -> tuple[Any, dict[str, Any]]:
    """Post the envelope in `file`; return what was answered, and the envelope.

    One that is for another site goes on from here, to `dest` or to where its receiver is known to be.
    """
    text = sys.stdin.read() if file == "-" else _read(file)
    # The bytes go as they are: writing them anew could change what is signed.
    asked = _object(text, "the envelope")
    # The site waits for an answer until the message expires, which may be long after other calls would end.
    if not dest:
        try:
            answer = session.client.send_bytes(f"/actor/{verb_}", text.encode(), timeout_s=_LONGEST_S)
        except Refusal as refusal:
            if refusal.code != "unknown_receiver":
                raise
        else:
            return answer, asked
    request = {"Dest": dest, "Verb": verb_, "Envelope": text}
    return session.call(DELIVER, request, timeout_s=_LONGEST_S).get("Reply"), asked


@verb("send", help="Hand a signed envelope (file, or -) to the site.", group=actor)
@click.argument("envelope")
@DEST
def send(session: Session, envelope: str, dest: str) -> None:
    """Post the envelope; the answer says only that it was delivered."""
    answer, _ = _post(session, "send", envelope, dest)
    session.show(answer, lambda out: out.json(answer))


@verb(
    "invoke",
    help="Hand over a signed envelope and print the reply; exit code 1 when it refuses.",
    group=actor,
)
@click.argument("envelope")
@MESSAGE
@DEST
def invoke(session: Session, envelope: str, message: bool, dest: str) -> None:
    """Post the envelope, wait for the signed reply and check who signed it."""
    from dmsweb.cli.signing import said

    reply, asked = _post(session, "invoke", envelope, dest)
    answer = said(reply, asked)
    session.output.json(answer if message else reply)
    if _refused(answer):
        session.output.problem(answer)
        session.exit(EXIT_FAILED)


@verb("broadcast", help="Hand over a broadcast envelope and print the replies.", group=actor)
@click.argument("envelope")
@MESSAGE
@DEST
def broadcast(session: Session, envelope: str, message: bool, dest: str) -> None:
    """Post the envelope, gather the replies and check who signed them."""
    from dmsweb.cli.signing import said

    replies, asked = _post(session, "broadcast", envelope, dest)
    answers = [said(reply, asked) for reply in replies]
    session.output.json(answers if message else replies)
    for answer in filter(_refused, answers):
        session.output.problem(answer)


def _refused(answer: Any) -> bool:
    return isinstance(answer, dict) and str(answer.get("type", "")).startswith("urn:dms:problem:")


def request_of(schema: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the request that the arguments describe: one JSON object, or options named after its members."""
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        return _object(arguments[0], "the request")
    members = {_folded(name): name for name in schema.get("properties", {})}
    payload: dict[str, Any] = {}
    for option, value in _options(arguments):
        name = members.get(_folded(option))
        if name is None:
            known = ", ".join(f"--{member}" for member in members.values()) or "none: it takes no members"
            raise click.UsageError(f"no member {option!r} in the request; known: {known}")
        payload[name] = _value(schema, schema["properties"][name], value, name)
    return payload


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield name and value of `--name value`, `--name=value` and lone `--flag`."""
    waiting: str | None = None
    for argument in arguments:
        if argument.startswith("--"):
            if waiting is not None:
                yield waiting, None
            waiting, equals, value = argument[2:].partition("=")
            if equals:
                yield waiting, value
                waiting = None
        elif waiting is not None:
            yield waiting, argument
            waiting = None
        else:
            raise click.UsageError(
                f"{argument!r} belongs to no member; write --Member VALUE, or one JSON object"
            )
    if waiting is not None:
        yield waiting, None


def _value(schema: Mapping[str, Any], member: Mapping[str, Any], text: str | None, name: str) -> Any:
    kinds = set(_kinds(schema, member))
    if text is None:
        if "boolean" in kinds:
            return True
        raise click.UsageError(f"--{name} needs a value")
    if kinds <= {"string", "null"} and kinds:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        if "string" in kinds or not kinds:
            return text
        raise click.UsageError(f"--{name}: {text[:80]!r} is not {' or '.join(sorted(kinds))}") from None
    # A text that happens to look like a number stays text where a number is not taken.
    if isinstance(value, int | float) and not isinstance(value, bool) and not kinds & {"integer", "number"}:
        return text if "string" in kinds else value
    return value


def _kinds(schema: Mapping[str, Any], member: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in member:
        yield from _kinds(schema, schema.get("$defs", {}).get(str(member["$ref"]).rpartition("/")[2], {}))
    for branch in (*member.get("anyOf", ()), *member.get("allOf", ()), *member.get("oneOf", ())):
        yield from _kinds(schema, branch)
    kind = member.get("type")
    if isinstance(kind, str):
        yield kind
    if "enum" in member or "const" in member:
        yield "string"


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _schema(session: Session, path: str, *, there: bool) -> dict[str, Any]:
    """Return the schema of a request; another site may have behaviors that this one does not know."""
    try:
        found: dict[str, Any] = _entry(session, path)["request"]
    except Refusal:
        if not there:
            raise
        return {}
    return found


def _entry(session: Session, path: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = session.get("/behaviors/")["behaviors"]
    for entry in found:
        if entry["path"] == path:
            return entry
    from difflib import get_close_matches

    close = get_close_matches(path, [entry["path"] for entry in found], n=1)
    hint = f"did you mean {close[0]}?" if close else "./dms behaviors lists them"
    raise Refusal("no_behavior", f"no behavior {path}", status=404, hint=hint)


def _describe(out: Output, entry: Mapping[str, Any]) -> None:
    out.line(f"{entry['path']}\n{entry['doc']}\n")
    schema = entry["request"]
    required = set(schema.get("required", ()))
    rows = [
        [
            f"--{name}",
            " or ".join(sorted(set(_kinds(schema, member)))),
            "required" if name in required else "",
            str(member.get("description", "")),
        ]
        for name, member in schema.get("properties", {}).items()
    ]
    if rows:
        out.table(table(["member", "type", "", "what"], rows))
    else:
        out.line("it takes no members: invoke it as it is")


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as fault:
        raise click.UsageError(f"{what} is not JSON: {fault}") from None
    if not isinstance(document, dict):
        raise click.UsageError(f"{what} must be a JSON object")
    return document


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "this is no UTF-8 text"
        raise Refusal("unreadable_file", f"{file}: {reason}", hint="give a file with an envelope") from None
