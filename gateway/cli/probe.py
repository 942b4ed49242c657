"""`sealgate probe`: what a recipient can receive, with the evidence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.door import load_config
from gateway.cli.errors import ANSWER_IS_NO, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import out, plain, print_json, print_table

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.model.address import Address
    from gateway.model.capability import Capability, Route


def probe(
    subject: Annotated[str, typer.Argument(metavar="ADDR|DOMAIN", help="A recipient, or a whole domain.")],
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Ask a domain's mail servers now: what they offer, who vouches for it, what is wrong with it."""
    settings = load_config(config)
    capability = asyncio.run(_probe(settings, _recipient(subject)))
    if json:
        print_json(capability)
    else:
        _tell(capability)
    if not any(offer.grade not in ("none", "encrypted") for offer in capability.offers):
        raise typer.Exit(ANSWER_IS_NO)


def _recipient(subject: str) -> Address:
    from gateway.wire.address import AddressError, parse_address

    try:
        return parse_address(subject if "@" in subject else f"postmaster@{subject}")
    except AddressError as error:
        raise CommandError(
            INVALID_INPUT, f"`{subject}` is neither an address nor a domain: {error}"
        ) from error


async def _probe(config: Config, recipient: Address) -> Capability:
    from gateway.cli.preview import NoMemory
    from gateway.policy import PolicyError
    from gateway.service import wiring
    from gateway.service.clock import now
    from gateway.service.policies import PolicyInForce

    try:
        prober = wiring.prober(config, PolicyInForce(config.policy), NoMemory())
    except PolicyError as error:
        raise CommandError(INVALID_INPUT, *map(str, error.problems)) from error
    try:
        return await prober.probe(recipient, now())
    finally:
        await prober.close()


def _tell_dane(route: Route, dnssec: str) -> None:
    from gateway.wire.tlsa import describe

    if dnssec != "validated":
        out.print(f"DANE is off here: DNSSEC is {plain(dnssec)} (docs/tls.md)")
        return
    if route.source != "static":
        out.print(f"named by {'signed' if route.secure else 'unsigned'} DNS")
    for host in route.hosts:
        if host.barred is not None:
            out.print(f"{host.name}: {plain(host.barred.private)}")
        for record in host.dane.records if host.dane is not None else ():
            out.print(f"{host.name} demands DANE: TLSA {describe(record)}")


def _tell(capability: Capability) -> None:
    out.print(f"[bold]{plain(capability.recipient.domain)}[/bold]")
    if capability.undeliverable is not None:
        out.print(f"takes no mail: {plain(capability.undeliverable.public)}")
        return
    if capability.route is not None:
        rows = [
            (str(host.preference), host.name, ", ".join(host.addresses) or "no address")
            for host in capability.route.hosts
        ]
        out.print(f"next hops ({capability.route.source}):")
        print_table(("preference", "host", "addresses"), rows, empty="none")
        _tell_dane(capability.route, capability.dnssec)
        out.print()
    rows2 = []
    for posture in capability.postures:
        session = posture.session
        shown = f"{session.version} {session.cipher}" if session else "-"
        wrong = (posture.problem.private or posture.problem.public) if posture.problem else "nothing"
        grade = posture.grade.value if posture.grade is not None else "unknown"
        rows2.append((posture.host, posture.address, grade, shown, wrong))
    print_table(("host", "address", "grade", "TLS", "what is wrong"), rows2, empty="no server was asked")
    out.print()
    for offer in capability.offers:
        out.print(f"offers {offer.method}: {offer.grade} ({plain(offer.source)})")
    for failure in capability.unknown:
        why = failure.problem.private or failure.problem.public
        out.print(f"unknown: {plain(failure.source)} gave no answer: {plain(why)}")
