"""`sealgate probe`: what recipients can receive, with the evidence; one, many from a file, or again and again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gateway.cli.door import ask, load_config
from gateway.cli.errors import ANSWER_IS_NO, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json, Reason
from gateway.cli.output import moment, out, plain, print_json, print_json_lines, print_table

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.model.address import Address
    from gateway.probe.sighting import Sighting
    from gateway.service.looking import Seen

_SHORTEST_WATCH = 1.0  # seconds between two looks: these are other people's servers


def probe(
    subjects: Annotated[
        list[str] | None, typer.Argument(metavar="ADDR|DOMAIN...", help="Recipients, or whole domains.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="More of them, one a line; - reads standard input."),
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(
            "--watch", metavar="PAUSE", help="Look again after each PAUSE (5m) and say what changed."
        ),
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--from", metavar="ADDR", help="Whose letter the policy is asked about.")
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=0, help="Tell of certificates that expire within so many days.")
    ] = 30,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, max=200, help="Domains looked at at once.")
    ] = 20,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Let TLS count again that is less than what was seen; look at nothing."
        ),
    ] = False,
    reason: Reason = "",
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Ask mail servers now: what they offer, who vouches, what the policy would do, what is wrong, whom to tell.

    Exit code 2: for one of them at least, nobody vouches.
    """
    settings = load_config(config)
    recipients = [_address(one) for one in _subjects(subjects or [], file)]
    if not recipients:
        raise CommandError(
            INVALID_INPUT, "nothing to look at", hint="sealgate probe example.org, or --file FILE"
        )
    author = _address(sender) if sender else None
    if accept_loss:
        _accept_loss(settings, recipients, reason, json=json)
        return
    how = _How(settings, author, days, at_once, json=json)
    if watch is not None:
        try:
            asyncio.run(_watch(how, recipients, _pause(watch)))
        except KeyboardInterrupt:  # the one way in which it ends
            raise typer.Exit from None
    alone = len(recipients) == 1 and file is None
    proved = asyncio.run(_one(how, recipients[0]) if alone else _many(how, recipients))
    if not proved:
        raise typer.Exit(ANSWER_IS_NO)


def _accept_loss(config: Config, recipients: Sequence[Address], reason: str, *, json: bool) -> None:
    if not reason.strip():
        raise CommandError(INVALID_INPUT, "a --reason is needed: it is kept in the audit record")
    domains = list(dict.fromkeys(one.domain for one in recipients))
    forgotten = {
        domain: ask(config, "probe.accept_loss", {"domain": domain, "reason": reason}) for domain in domains
    }
    if json:
        print_json(forgotten)
    else:
        rows = [
            (
                domain,
                ", ".join(one["grade"] for one in seen) or "nothing was lost",
                "accepted" if seen else "-",
            )
            for domain, seen in forgotten.items()
        ]
        print_table(("domain", "used to show", "loss"), rows, empty="nothing")
        out.print("\nit counts from the next look on, within five minutes")
    if not all(forgotten.values()):
        raise typer.Exit(ANSWER_IS_NO)


class _How:
    """What the options say about the looks."""

    def __init__(
        self, config: Config, sender: Address | None, days: int, at_once: int, *, json: bool
    ) -> None:
        self.config = config
        self.json = json
        self._sender = sender
        self._days = days
        self._at_once = at_once

    async def looks(self, recipients: Sequence[Address]) -> AsyncIterator[Seen]:
        """One look at each of them."""
        from gateway.policy import PolicyError
        from gateway.service.looking import onlooker

        try:
            async with onlooker(self.config, self._sender) as looking:
                async for seen in looking.look_at_all(recipients, self._days, self._at_once):
                    yield seen
        except PolicyError as error:
            raise CommandError(INVALID_INPUT, *map(str, error.problems)) from error


async def _one(how: _How, recipient: Address) -> bool:
    from gateway.cli.probe_document import document
    from gateway.cli.probe_page import show_page

    [seen] = [seen async for seen in how.looks([recipient])]
    page = document(seen)
    if how.json:
        print_json(page)
    else:
        show_page(page, seen)
    return _is_proved(seen)


async def _many(how: _How, recipients: Sequence[Address]) -> bool:
    """A table when all are there; as JSON a document a line, each as soon as it is known."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from gateway.cli.output import err
    from gateway.cli.probe_document import document
    from gateway.cli.probe_page import COLUMNS, row

    rows: list[Sequence[str]] = []
    proved = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("looking", total=len(recipients))
        async for seen in how.looks(recipients):
            progress.update(task, advance=1, description=plain(seen.capability.recipient.domain))
            proved += _is_proved(seen)
            page = document(seen)
            if how.json:
                print_json_lines([page])
            else:
                rows.append(row(page, seen))
    if not how.json:
        print_table(COLUMNS, rows, empty="nothing")
        out.print(f"\n{proved} of {len(recipients)} are vouched for")
    return proved == len(recipients)


async def _watch(how: _How, recipients: Sequence[Address], pause: float) -> NoReturn:
    """Until the keyboard says stop."""
    known: dict[str, Sighting] = {}
    while True:
        async for seen in how.looks(recipients):
            _tell_changes(seen, known, json=how.json)
        await asyncio.sleep(pause)


def _tell_changes(seen: Seen, known: dict[str, Sighting], *, json: bool) -> None:
    from gateway.cli.probe_page import show_change
    from gateway.probe.sighting import differences, sighting

    latest = sighting(seen.capability)
    before = known.get(latest.domain)
    if latest.grade is not None or latest.undeliverable is not None:
        known[latest.domain] = (
            latest  # else nothing was learned, and the next look is compared with what is known
        )
    changes = differences(before, latest) if before is not None else ()
    if json:
        print_json_lines([{"at": latest.at, "domain": latest.domain, "seen": latest, "changes": changes}])
        return
    if before is None:
        grade = latest.grade.value if latest.grade is not None else "unknown"
        hosts = ", ".join(host.name for host in latest.hosts) or "none"
        words = f"{plain(latest.domain)}: grade {grade}; mail servers: {plain(hosts)}"
        out.print(f"{moment(latest.at)}  {words}", soft_wrap=True)
    elif changes:
        out.print(f"{moment(latest.at)}  [bold]{plain(latest.domain)}[/bold]")
        for change in changes:
            show_change(change)


def _is_proved(seen: Seen) -> bool:
    from gateway.probe.servers import best_grade, proves

    return proves(best_grade(seen.capability.postures))


def _subjects(arguments: Sequence[str], file: Path | None) -> Iterable[str]:
    """The arguments, then the file's lines; what follows a # is a comment."""
    found = dict.fromkeys(arguments)
    if file is not None:
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(INVALID_INPUT, f"{file}: cannot be read: {error}") from error
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        found |= dict.fromkeys(line for line in lines if line)
    return found


def _address(subject: str) -> Address:
    from gateway.wire.address import AddressError, parse_address

    try:
        return parse_address(subject if "@" in subject else f"postmaster@{subject}")
    except AddressError as error:
        raise CommandError(
            INVALID_INPUT, f"`{subject}` is neither an address nor a domain: {error}"
        ) from error


def _pause(text: str) -> float:
    from gateway.config.quantities import parse_duration

    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise CommandError(
            INVALID_INPUT, f"--watch `{text}`: {error}", hint="for example --watch 5m"
        ) from error
    if seconds < _SHORTEST_WATCH:
        raise CommandError(INVALID_INPUT, f"--watch `{text}` is shorter than {_SHORTEST_WATCH:g} s")
    return seconds
