"""`logger`: how the node's processes log, and where lines are sent."""

from __future__ import annotations

import click

from dmsweb.cli.output import Output
from dmsweb.cli.session import Session, verb


@verb("logger", help="How the node logs and where lines are sent; the options change it.")
@click.option("--level", help="debug, info, warning, error or critical.")
@click.option("--interval", type=int, help="Seconds between two sendings.")
@click.option("--otlp", "apm_url", help='OTLP over HTTP, such as https://host:4318; "" for none.')
@click.option("--elastic", help='Elasticsearch index, such as https://host:9200/dms; "" for none.')
@click.option("--api-key", help='Key for it; "-" asks for it; "" removes it.')
def logger(
    session: Session,
    level: str | None,
    interval: int | None,
    apm_url: str | None,
    elastic: str | None,
    api_key: str | None,
) -> None:
    """Change what is given, as a whole or not at all; show what holds."""
    if api_key == "-":
        api_key = click.prompt("API key", hide_input=True, err=True)
    wanted = {
        "level": level,
        "interval": interval,
        "apm_url": apm_url,
        "url": elastic,
        "elastic_enabled": None if elastic is None else bool(elastic),
        "api_key": api_key,
    }
    if any(value is not None for value in wanted.values()):
        session.call(
            "/dms/node/logger/config", {name: value for name, value in wanted.items() if value is not None}
        )
    found = session.call("/dms/node/logger/status")

    def people(out: Output) -> None:
        out.line(f"level {found['level']}, lines go to {found['target'] or 'the files in log/ alone'}")
        if found["target"]:
            key = "with a key" if found["api_key"] else "without a key"
            out.line(f"every {found['interval']} s, {key}; {found['sent']} sent, {found['dropped']} dropped")
        if found["fault"]:
            out.line(f"the last try failed: {found['fault']}")

    session.show(found, people)
