"""`sealgate init`: writes configuration, keys, a policy pack; prints what to set on the mail server and in DNS."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.errors import COULD_NOT_RUN, INVALID_INPUT, CommandError
from gateway.cli.options import Json
from gateway.cli.output import out, print_json
from gateway.service.upstreams import Upstream

if TYPE_CHECKING:
    from gateway.service.setup import Done, Wishes


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
        list[str] | None,
        typer.Option(
            "--network",
            metavar="CIDR",
            help="Where your mail server connects from; may be repeated. Not needed for clouds.",
        ),
    ] = None,
    tenant_id: Annotated[
        list[str] | None,
        typer.Option(
            "--tenant-id", metavar="GUID", help="For microsoft365: your tenant id; may be repeated."
        ),
    ] = None,
    originator_org: Annotated[
        list[str] | None,
        typer.Option(
            "--originator-org",
            metavar="DOMAIN",
            help="For microsoft365: what X-OriginatorOrg may say; else the domains. May be repeated.",
        ),
    ] = None,
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

    if missing := _missing(upstream, network, tenant_id):
        raise CommandError(INVALID_INPUT, f"{upstream} needs {missing}", hint=f"see {upstream.guide}")
    wishes = Wishes(
        upstream=upstream,
        directory=directory,
        data_dir=data_dir,
        hostname=hostname,
        domains=tuple(domain),
        networks=tuple(network or ()),
        tenant_ids=tuple(tenant_id or ()),
        originator_orgs=tuple(originator_org or ()),
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
        print_json(
            {
                "files": done.files,
                "recipe": done.recipe,
                "records": done.records,
                "upstream": upstream.value,
                "guide": upstream.guide,
            }
        )
        return
    _tell(done, wishes)


def _missing(upstream: Upstream, network: list[str] | None, tenant_id: list[str] | None) -> str:
    """The option that this kind of server cannot do without, or nothing."""
    if not upstream.of_a_cloud and not network:
        return "--network: the addresses of your mail servers"
    if upstream is Upstream.MICROSOFT365 and not tenant_id:
        return "--tenant-id: Entra admin centre, Overview, Tenant ID"
    return ""


def _tell(done: Done, wishes: Wishes) -> None:
    _section("Written", done.files)
    _section(f"On your mail server ({wishes.upstream.guide} says it step by step)", done.recipe)
    _section(
        "In DNS (a domain that has an SPF record keeps it, with the term that begins with a: added)",
        done.records,
    )
    config = wishes.directory / "sealgate.toml"
    _section(
        "Next",
        (
            f"Replace the self-signed certificate in certs/ with one for {wishes.hostname} that they trust.",
            "Keep the folder `keys` apart from the data and its backups: with both, everything can be read.",
            f"sealgate check  --config {config}",
            f"sealgate run    --config {config}",
            f"sealgate doctor --config {config}",
        ),
    )


def _section(title: str, lines: tuple[str, ...]) -> None:
    """Lines as they are, never folded: people copy them."""
    out.print(f"[bold]{title}[/bold]")
    for line in lines:
        for part in line.splitlines():
            out.print(f"  {part}", markup=False, soft_wrap=True)
    out.print()
