"""`sealgate trace`: the story of a message, or of all messages of an address, in plain words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gateway.cli.door import ask, load_config
from gateway.cli.errors import ANSWER_IS_NO, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import moment, out, plain, print_json


def trace(
    subject: Annotated[
        str, typer.Argument(metavar="ID|ADDR", help="A message's id, or a sender or recipient.")
    ],
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="For an address: a date (2026-11-30), or how long ago (2d, 6h)."
        ),
    ] = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Show the servers' certificates too, and who vouched for them, as `probe` does.",
        ),
    ] = False,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Tell what happened to a message: who handed it in, what was decided and why, where it went and how."""
    start = _moment(since)
    arguments = {"subject": subject, "since": start.isoformat() if start else None}
    stories = ask(load_config(config), "trace", arguments)
    if json:
        print_json(stories)
    elif not stories:
        raise CommandError(ANSWER_IS_NO, f"nothing is recorded about `{subject}`")
    for told in stories if not json else ():
        out.print(f"[bold]message {told['message']}[/bold]")
        for event in told["events"]:
            at = moment(datetime.fromisoformat(event["at"]))
            seal = f"record {event['index']}" if event["index"] is not None else "not signed yet"
            out.print(f"  {at}  {plain(event['words'])}  [dim]({seal})[/dim]", soft_wrap=True)
            if evidence:
                _show(event["evidence"])
        out.print()


def _show(evidence: list[object]) -> None:
    from msgspec import convert

    from gateway.cli.evidence_page import show_evidence
    from gateway.wire.evidence_view import EvidenceView

    for seen in convert(evidence, list[EvidenceView]):
        show_evidence(seen)


def _moment(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}.*", since):
            found = datetime.fromisoformat(since)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        from gateway.config.quantities import parse_duration

        ago: timedelta = parse_duration(since)
        return datetime.now(UTC) - ago
    except ValueError as error:
        raise CommandError(INVALID_INPUT, f"--since `{since}`: {error}") from error
