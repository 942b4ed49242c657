"""`sealgate init`: writes configuration, keys, a policy pack; prints what to set on the mail server and in DNS."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.errors import COULD_NOT_RUN, INVALID_INPUT, CommandError
from gateway.cli.options import Json
from gateway.cli.output import out, print_json


class Upstream(StrEnum):
    """The kinds of mail server that `init` knows a recipe for."""

    SMTP = "smtp"


class Pack(StrEnum):
    """The policy packs that ship."""

    BASELINE = "baseline"
    HIPAA = "hipaa"


def init(
    upstream: Annotated[
        Upstream, typer.Option("--upstream", help="What points its smarthost at this gateway.")
    ],
    hostname: Annotated[
        str, typer.Option("--hostname", metavar="NAME", help="This gateway's full host name.")
    ],
    domain: Annotated[
        list[str], typer.Option("--domain", metavar="DOMAIN", help="A domain you send as; may be repeated.")
    ],
    network: Annotated[
        list[str],
        typer.Option(
            "--network", metavar="CIDR", help="Where your mail server connects from; may be repeated."
        ),
    ],
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The folder for configuration, keys, policy.")
    ] = Path("/etc/sealgate"),
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="DIR", help="The folder for queue and audit log.")
    ] = Path("/var/lib/sealgate"),
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDR:PORT", help="Where to accept mail.")
    ] = "0.0.0.0:25",
    policy: Annotated[Pack, typer.Option("--policy", help="The policy pack to begin with.")] = Pack.BASELINE,
    postmaster: Annotated[
        str | None, typer.Option("--postmaster", metavar="ADDR", help="Else postmaster@ the first domain.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a configuration that can run at once: files, keys, a self-signed certificate, a policy."""
    from gateway.service.setup import SetupRefused, Wishes, set_up

    wishes = Wishes(
        directory=directory,
        data_dir=data_dir,
        hostname=hostname,
        domains=tuple(domain),
        networks=tuple(network),
        listen=listen,
        pack=policy.value,
        postmaster=postmaster or f"postmaster@{domain[0]}",
    )
    try:
        done = set_up(wishes)
    except SetupRefused as error:
        raise CommandError(INVALID_INPUT, *error.lines, hint=error.hint) from error
    except OSError as error:
        raise CommandError(COULD_NOT_RUN, f"{error.filename or directory}: {error.strerror}") from error
    if json:
        print_json({"files": done.files, "records": done.records, "upstream": upstream.value})
        return
    _tell(done.files, done.records, wishes.hostname, wishes.listen, directory)


def _tell(
    files: tuple[str, ...], records: tuple[str, ...], hostname: str, listen: str, directory: Path
) -> None:
    out.print("[bold]Written[/bold]")
    for file in files:
        out.print(f"  {file}", markup=False)
    out.print("\n[bold]On your mail server[/bold]")
    out.print(
        f"  Send all outbound mail to {hostname}, port {listen.rpartition(':')[2]}, with STARTTLS:",
        markup=False,
    )
    out.print(f"    Postfix   relayhost = [{hostname}], smtp_tls_security_level = encrypt", markup=False)
    out.print(f"    Exim      route_list = * {hostname}, hosts_require_tls = *", markup=False)
    out.print("\n[bold]In DNS[/bold]")
    for record in records:
        out.print(f"  {record}", markup=False)
    out.print("\n[bold]Next[/bold]")
    out.print("  Replace the self-signed certificate with one that your mail server trusts.", markup=False)
    out.print(
        "  Keep the folder `keys` apart from the data and its backups: with both, everything can be read.",
        markup=False,
    )
    out.print(f"  sealgate check --config {directory / 'sealgate.toml'}", markup=False)
    out.print(f"  sealgate run   --config {directory / 'sealgate.toml'}", markup=False)
