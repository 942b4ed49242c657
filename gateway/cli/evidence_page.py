"""Evidence for people: what one server showed, as `sealgate probe` and `sealgate trace --evidence` print it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.cli.output import moment, out, plain
from gateway.model.sts import StsMode
from gateway.model.tls import TlsGrade
from gateway.wire.evidence_view import EvidenceView, ServerView, StsView, TlsView

_STYLES = {
    TlsGrade.DANE: "green",
    TlsGrade.MTA_STS: "green",
    TlsGrade.PIN: "green",
    TlsGrade.PKIX: "green",
    TlsGrade.ENCRYPTED: "yellow",
    TlsGrade.NONE: "red",
}
_NAMES = 16  # columns for what a line is about
_LONGEST = 80  # characters of a record or a name


def show_evidence(seen: EvidenceView) -> None:
    """What one server showed, under its name."""
    line(seen.address or "?", f"{plain(seen.host or '?')}: {graded(seen.grade)}")
    for record in seen.tlsa:
        line("DANE", f"demands TLSA {short(record)}")
    show_server(seen, then=True)
    if seen.result is not None:
        line("fell short", seen.result)
    if seen.mta_sts is not None:
        line("MTA-STS", policy(seen.mta_sts))
    if seen.dnssec not in {"", "validated"}:
        line("DNS", f"[red]DNSSEC is {seen.dnssec}[/red]")


def show_server(seen: ServerView, *, then: bool = False) -> None:
    """Its TLS, its certificate, and who vouches for it. `then`: as it was at the moment of a record, not now."""
    if seen.tls is not None:
        line("TLS", plain(_tls(seen.tls)))
        for text in _certificate(seen.tls, then=then):
            line("certificate", text)
    for voucher in seen.vouched_for:
        line("vouched for by", f"{voucher.by}: {plain(short(voucher.what))}")
    if seen.tls is not None and not seen.vouched_for:
        line("vouched for by", "nobody")


def policy(sts: StsView) -> str:
    """A domain's MTA-STS policy in one line."""
    until = moment(sts.expires_at)[:16]
    stale = f", [yellow]could not be refreshed[/yellow] ({sts.stale})" if sts.stale else ""
    style = "green" if sts.mode is StsMode.ENFORCE else "yellow"
    hosts = plain(", ".join(sts.mx)) or "no host"
    return f"[{style}]{sts.mode}[/{style}]: {hosts}; id {plain(sts.id)}, kept until {until}{stale}"


def _tls(tls: TlsView) -> str:
    second = "only at a second, smaller hello" if tls.reduced else ""
    return ", ".join(filter(None, (tls.version, tls.cipher, tls.group, second)))


def _certificate(tls: TlsView, *, then: bool) -> Iterator[str]:
    if not tls.chain:
        return
    own = tls.chain[0]
    if own is None:
        yield "[yellow]cannot be read[/yellow]"
        return
    names = ", ".join(own.names[:6]) + (f" and {len(own.names) - 6} more" if own.names[6:] else "")
    yield f"for {plain(names or 'no name')}; {own.key}; [dim]sha256 {own.sha256[:16]}...[/dim]"
    yield f"subject {plain(own.subject or 'empty')}"
    yield f"[dim]pin sha256:{own.spki_sha256}[/dim]"
    if tls.revocation is not None:
        yield f"revocation: {tls.revocation}"
    issuer = "itself (self-signed)" if own.self_issued else plain(own.issuer or "?")
    yield f"issued by {issuer}, {_expiry(own.days_left, moment(own.not_after)[:10], then=then)}"


def _expiry(days: int, day: str, *, then: bool) -> str:
    if days < 0:
        return f"[red]expired {-days} days {'before' if then else 'ago'}[/red] ({day})"
    style = "yellow" if days < 30 else "default"
    words = f"had {days} days left" if then else f"expires in {days} days"
    return f"[{style}]{words}[/{style}] ({day})"


def short(text: str) -> str:
    """The beginning of what may be long."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def graded(grade: TlsGrade | None) -> str:
    """A grade in its colour."""
    if grade is None:
        return "[yellow]unknown[/yellow]"
    return f"[{_STYLES[grade]}]{grade.value}[/{_STYLES[grade]}]"


def line(name: str, text: str, style: str = "dim") -> None:
    """A name and what is said about it, folded beside the name; `name` is shown as it is, `text` is markup."""
    grid = Table.grid()
    grid.add_column(width=_NAMES, no_wrap=len(name) < _NAMES)
    grid.add_column(overflow="fold")
    grid.add_row(Text(name, style=style), Text.from_markup(text))
    out.print(Padding(grid, (0, 0, 0, 2), expand=False))
