"""`sealgate dkim`: make keys, print what to publish, change keys without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.door import ask, ask_all, load_config
from gateway.cli.errors import ANSWER_IS_NO, COULD_NOT_RUN, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import moment, out, plain, print_json

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.service.dkim_files import DkimKey
    from gateway.service.dkim_state import KeyRow
    from gateway.wire.dkim import Algorithm

app = typer.Typer(no_args_is_help=True, help="Our DKIM keys: make, rotate, and what to publish.")


class Kind(StrEnum):
    """Kinds of keys."""

    RSA = "rsa"
    ED25519 = "ed25519"


Domains = Annotated[
    list[str] | None, typer.Option("--domain", metavar="DOMAIN", help="Only this domain; may be repeated.")
]
Kinds = Annotated[
    list[Kind] | None, typer.Option("--algorithm", help="Only this kind of key; may be repeated. Else both.")
]


@app.command()
def make(
    domain: Domains = None, algorithm: Kinds = None, json: Json = False, config: ConfigFile = DEFAULT_CONFIG
) -> None:
    """Make the first keys of a domain; without --domain, of each connector's domain that has none."""
    settings = load_config(config)
    keys = _keys(settings)
    ours = list(dict.fromkeys(one for connector in settings.connector for one in connector.domains))
    wanted = _named(domain) or [one for one in ours if one not in keys]
    if taken := [one for one in wanted if one in keys]:
        raise CommandError(
            INVALID_INPUT, *(f"{one} has keys already" for one in taken), hint="sealgate dkim rotate"
        )
    if not wanted:
        raise CommandError(
            INVALID_INPUT, "every connector's domain has its keys", hint="sealgate dkim records"
        )
    made = _make(settings, {one: _algorithms(algorithm) for one in wanted})
    _tell_made(settings, made, json=json)


@app.command()
def rotate(domain: Domains = None, json: Json = False, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Make keys that follow those in use. They sign once their records are seen in the DNS, not before."""
    settings = load_config(config)
    keys = _chosen(settings, domain)
    rows = asyncio.run(_rows(settings, keys, look=True))
    if begun := [row for row in rows if row.unpublished]:
        raise CommandError(
            ANSWER_IS_NO,
            *(f"{row.name}: {row.fault}" for row in begun),
            hint="a change of keys is under way already: publish these first (sealgate dkim records)",
        )
    made = _make(
        settings, {one: tuple(dict.fromkeys(key.algorithm for key in those)) for one, those in keys.items()}
    )
    _tell_made(settings, made, json=json)


@app.command()
def records(
    domain: Domains = None,
    check: Annotated[
        bool, typer.Option("--check", help="Look at the DNS; ends with 2 where a record is missing or wrong.")
    ] = False,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """What to publish in the DNS, and how each key stands."""
    settings = load_config(config)
    keys = _chosen(settings, domain)
    rows = asyncio.run(_rows(settings, keys, look=check))
    faulty = [row for row in rows if row.fault]
    if json:
        print_json(rows)
    else:
        for row in rows:
            _print(row)
    if check and faulty:
        raise CommandError(ANSWER_IS_NO, *(f"{row.name}: {row.fault}" for row in faulty))


def _print(row: KeyRow) -> None:
    told = {
        "signs": f"signs since {moment(row.since)} UTC" if row.since else "signs when mail leaves",
        "waits": "does not sign yet: waits for its record to be seen in the DNS",
        "superseded": "signs no longer: keep its record "
        + (
            f"until {moment(row.keep_until)} UTC"
            if row.keep_until
            else "while mail that it signed is under way"
        )
        + f", then remove it and delete {row.file}",
        "withdrawn": f"signs no longer, and its record is gone: delete {row.file}",
    }[row.state]
    colour = "yellow" if row.fault or row.state == "waits" else "green" if row.state == "signs" else "dim"
    out.print(
        f"[{colour}]{plain(row.domain)}  {row.algorithm.partition('-')[0]}  {plain(told)}[/{colour}]",
        soft_wrap=True,
    )
    if row.fault:
        out.print(f"  In the DNS: {plain(row.fault)}", soft_wrap=True)
    if row.state != "withdrawn":
        out.print(row.zone_line, markup=False, soft_wrap=True)
    out.print()


def _tell_made(config: Config, made: Sequence[DkimKey], *, json: bool) -> None:
    if json:
        print_json(
            [{"file": str(key.file), "name": key.record.name, "text": key.record.text} for key in made]
        )
        return
    out.print("[bold]Written[/bold]")
    for key in made:
        out.print(f"  {plain(str(key.file))}", soft_wrap=True)
    out.print("\n[bold]Publish in the DNS[/bold]  (as a zone file has it; one text without quotes elsewhere)")
    for key in made:
        out.print(key.record.zone_line, markup=False, soft_wrap=True)
    out.print("\n[bold]Next[/bold]")
    out.print(
        "  A key signs once the gateway has seen its record, which it looks for every minute.", soft_wrap=True
    )
    out.print("  sealgate dkim records --check", markup=False)


def _make(config: Config, wanted: dict[str, tuple[Algorithm, ...]]) -> list[DkimKey]:
    from gateway.service.clock import now
    from gateway.service.dkim_files import make_key

    made: list[DkimKey] = []
    # the folder stays whose it is: under systemd the root keys are root's, and the worker reads these
    owner = config.dkim.directory if config.dkim.directory.exists() else config.keys.queue
    for domain, algorithms in wanted.items():
        for algorithm in algorithms:
            try:
                made.append(make_key(config.dkim.directory, domain, algorithm, now(), owner))
            except OSError as error:
                where = error.filename or config.dkim.directory
                raise CommandError(COULD_NOT_RUN, f"{where}: {error.strerror}") from error
    if _has_store(config):
        ask(config, "dkim.made", _names(made))
        _take_up(config)
    return made


def _take_up(config: Config) -> None:
    """Let every process of a running gateway read the keys again."""
    from gateway.service.control import sockets

    if any(path.exists() for path in sockets(config.run_directory)):
        try:
            ask_all(config, "dkim.reload")
        except CommandError as error:
            if error.hint != "start it: sealgate run":
                raise


def _keys(config: Config) -> dict[str, tuple[DkimKey, ...]]:
    from gateway.service.dkim_files import read_keys

    found = read_keys(config.dkim.directory)
    if found.faults:
        raise CommandError(
            COULD_NOT_RUN,
            *(f"{fault.where}: {fault.what}" for fault in found.faults),
            hint=found.faults[0].remedy,
        )
    return found.keys


def _chosen(config: Config, domains: list[str] | None) -> dict[str, tuple[DkimKey, ...]]:
    keys = _keys(config)
    wanted = _named(domains) or list(keys)
    lost = [f"{one} has no DKIM key" for one in wanted if one not in keys]
    if lost or not wanted:
        raise CommandError(ANSWER_IS_NO, *(lost or ["there are no DKIM keys"]), hint="sealgate dkim make")
    return {one: keys[one] for one in wanted}


def _named(domains: list[str] | None) -> list[str]:
    from gateway.config.fields import parse_host

    try:
        return list(dict.fromkeys(parse_host(one) for one in domains or ()))
    except ValueError as error:
        raise CommandError(INVALID_INPUT, f"--domain {error}") from error


def _algorithms(kinds: list[Kind] | None) -> tuple[Algorithm, ...]:
    from gateway.service.dkim_files import ALGORITHMS

    return tuple(one for one in ALGORITHMS if not kinds or one.partition("-")[0] in kinds)


async def _rows(config: Config, keys: dict[str, tuple[DkimKey, ...]], *, look: bool) -> list[KeyRow]:
    from gateway.probe.dkim import published
    from gateway.service.dkim_state import rows
    from gateway.service.wiring import name_servers

    every = [key for those in keys.values() for key in those]
    since = await asyncio.to_thread(_since, config, every)
    seen = None
    if look:
        lookup = name_servers(config, None)
        answers = await asyncio.gather(
            *(published(lookup, key.record.name, key.kind, key.public) for key in every)
        )
        seen = dict(zip(every, answers, strict=True))
    lifetime = config.delivery.retry.lifetime
    return [row for those in keys.values() for row in rows(those, since, seen, lifetime)]


def _since(config: Config, keys: Sequence[DkimKey]) -> dict[DkimKey, datetime]:
    """What a gateway wrote down, where there is one."""
    if not _has_store(config):
        return {}
    answers: list[str | None] = ask(config, "dkim.since", _names(keys))
    return {key: datetime.fromisoformat(at) for key, at in zip(keys, answers, strict=True) if at is not None}


def _names(keys: Sequence[DkimKey]) -> dict[str, Any]:
    return {
        "keys": [
            {"record": key.record.name, "algorithm": key.algorithm, "sha256": key.fingerprint} for key in keys
        ]
    }


def _has_store(config: Config) -> bool:
    """Whether a gateway has run here; before that there is nothing to write down in."""
    from gateway.store.sqlite.opening import DATABASE

    return (config.data_dir / DATABASE).exists()
