"""`sealgate probe` for people: a page about one destination, a row of a table about each of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.cli.output import moment, out, plain
from gateway.cli.probe_document import AddressSeen, Document, HostSeen, StsSeen, Tls
from gateway.model.sts import StsMode
from gateway.model.tls import TlsGrade
from gateway.policy.explain import explain_lines, headline
from gateway.probe.findings import Finding, detail
from gateway.probe.sighting import Change
from gateway.service.looking import Seen

COLUMNS = ("domain", "grade", "servers", "TLS", "expires", "policy would", "what is wrong")
_GRADES = {
    TlsGrade.DANE: "proved by signed DNS (DANE)",
    TlsGrade.MTA_STS: "proved by an authority, for servers that the domain's own policy names (MTA-STS)",
    TlsGrade.PIN: "proved by a certificate that you pinned",
    TlsGrade.PKIX: "proved by an authority, for a server that DNS named",
    TlsGrade.ENCRYPTED: "encrypted, and nobody vouches for who is at the other end",
    TlsGrade.NONE: "no TLS that we could use",
}
_STYLES = {
    TlsGrade.DANE: "green",
    TlsGrade.MTA_STS: "green",
    TlsGrade.PIN: "green",
    TlsGrade.PKIX: "green",
    TlsGrade.ENCRYPTED: "yellow",
    TlsGrade.NONE: "red",
}
_SEVERITIES = {"wrong": ("wrong", "red"), "soon": ("soon", "yellow"), "note": ("note", "cyan")}
_NAMES = 16  # columns for what a line is about
_LONGEST = 80  # characters of a record or a name
_EFFECTS = {"lost": "red", "changed": "yellow", "gained": "green"}
_SOURCES = {"mx": "MX records", "implicit": "no MX record: the domain's own address", "static": "configured"}


def show_page(page: Document, seen: Seen) -> None:
    """Print the page."""
    out.print(f"[bold]{plain(page.domain)}[/bold]  [dim]looked at {moment(page.observed_at)} UTC[/dim]")
    _line("protection", _protection(page))
    if page.undeliverable is not None:
        _line("mail", f"[red]takes none[/red]: {plain(page.undeliverable.public)}")
    _line("DNS", _dns(page))
    if page.mta_sts is not None:
        _line("MTA-STS", _sts(page.mta_sts))
    for grade in page.capability.best_seen:
        _line("remembered", f"it showed {_grade(grade.grade)}, last on {moment(grade.last_seen)[:10]}")
    for host in page.hosts:
        _show_host(host)
    _show_decision(page, seen)
    _show_findings(page)


def _protection(page: Document) -> str:
    if page.grade is not None:
        return f"{_grade(page.grade)}: {_GRADES[page.grade]}"
    if page.undeliverable is not None:
        return "none is needed"
    if any(not one.fit for host in page.hosts for one in host.addresses):
        return "[red]none that may be used[/red]: the servers do not show what is demanded of them"
    return "[yellow]unknown[/yellow]: no server could be judged"


def _dns(page: Document) -> str:
    if page.dnssec.state != "validated":
        return f"[red]DNSSEC is {page.dnssec.state}[/red] ({plain('; '.join(page.dnssec.details))})"
    if page.route is None:
        return "DNSSEC is validated"
    signed = "[green]signed[/green]" if page.route_signed else "[yellow]not signed[/yellow]"
    return (
        f"{signed}; {_SOURCES[page.route]}" if page.route != "static" else "next hop from the configuration"
    )


def _sts(sts: StsSeen) -> str:
    until = moment(sts.expires_at)[:16]
    stale = f", [yellow]could not be refreshed[/yellow] ({sts.stale})" if sts.stale else ""
    style = "green" if sts.mode is StsMode.ENFORCE else "yellow"
    hosts = plain(", ".join(sts.mx)) or "no host"
    return f"[{style}]{sts.mode}[/{style}]: {hosts}; id {plain(sts.id)}, kept until {until}{stale}"


def _show_host(host: HostSeen) -> None:
    out.print()
    out.print(f"[bold]{plain(host.name)}[/bold]  preference {host.preference}, port {host.port}")
    for record in host.tlsa:
        _line("DANE", f"demands TLSA {_short(record)}")
    if host.terms is not None:
        _line("terms", f"you laid down {plain(host.terms)} (docs/tls.md)")
    if host.barred is not None:
        _line(
            "barred", f"[red]nothing may go there[/red]: {plain(host.barred.private or host.barred.public)}"
        )
    if host.listed:
        _line("MTA-STS", "the policy lists this host")
    for address in host.addresses:
        _show_address(host, address)


def _show_address(host: HostSeen, seen: AddressSeen) -> None:
    _line(seen.address, _grade(seen.grade) + ("" if seen.fit else " [red](nothing may go there)[/red]"))
    if seen.tls is not None:
        _line("TLS", plain(_tls(seen.tls)))
        for text in _certificate(seen.tls):
            _line("certificate", text)
    for voucher in seen.vouched_for:
        _line("vouched for by", f"{voucher.by}: {plain(_short(voucher.what))}")
    if seen.tls is not None and not seen.vouched_for:
        _line("vouched for by", "nobody")
    if seen.problem is not None:
        word = f" [dim]({seen.result})[/dim]" if seen.result else ""
        why = detail(seen.problem, host.name, seen.address)
        why = f" ({plain(why)})" if why and why != seen.result else ""
        _line("problem", f"{plain(seen.problem.public)}{why}{word}")


def _tls(tls: Tls) -> str:
    second = "only at a second, smaller hello" if tls.reduced else ""
    return ", ".join(filter(None, (tls.version, tls.cipher, tls.group, second)))


def _certificate(tls: Tls) -> Iterator[str]:
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
    yield f"issued by {issuer}, {_expiry(own.days_left, moment(own.not_after)[:10])}"


def _expiry(days: int, day: str) -> str:
    if days < 0:
        return f"[red]expired {-days} days ago[/red] ({day})"
    style = "yellow" if days < 30 else "default"
    return f"[{style}]expires in {days} days[/{style}] ({day})"


def _show_decision(page: Document, seen: Seen) -> None:
    out.print()
    out.print(f"[bold]What the policy in force would do[/bold] with {plain(page.decision_for)}")
    first, *lines = explain_lines(seen.decision)
    out.print(Text(f"  {first.removeprefix('decision').strip()}", style="bold"))
    for line in lines:
        out.print(f"  {line}", markup=False, soft_wrap=True)


def _show_findings(page: Document) -> None:
    out.print()
    if not page.findings:
        out.print("[bold]Nothing is wrong[/bold]")
        return
    out.print("[bold]What is wrong, and whom to tell[/bold]")
    for one in page.findings:
        word, style = _SEVERITIES[one.severity]
        _line(word, f"{plain(one.where)}: {plain(one.text)}", style)
        if one.remedy:
            who = "you can" if one.side == "ours" else "they can"
            _line("", f"[dim]{who}:[/dim] {plain(one.remedy)}")
    if any(one.side == "theirs" for one in page.findings):
        _line("tell", f"{plain(', '.join(page.contacts.postmasters))}; {_reports(page)}")


def _reports(page: Document) -> str:
    if page.contacts.reports is None:
        return "whether they want TLS reports (TLSRPT) could not be looked up"
    if not page.contacts.reports:
        return "they publish no address for TLS reports (TLSRPT)"
    return f"they want TLS reports (TLSRPT) at {plain(', '.join(page.contacts.reports))}"


def row(page: Document, seen: Seen) -> Sequence[str]:
    """One line of the table of many."""
    wrong = [one for one in page.findings if one.severity != "note"]
    tls = sorted({one.tls.version for host in page.hosts for one in host.addresses if one.tls is not None})
    return (
        page.domain,
        page.grade.value if page.grade is not None else "unknown" if page.undeliverable is None else "-",
        str(len(page.hosts)),
        ", ".join(tls) or "-",
        _soonest(page),
        headline(seen.decision).partition(":")[0],
        _summary(wrong),
    )


def _soonest(page: Document) -> str:
    days = [
        one.tls.chain[0].days_left
        for host in page.hosts
        for one in host.addresses
        if one.tls is not None and one.tls.chain and one.tls.chain[0] is not None
    ]
    return f"{min(days)} d" if days else "-"


def _summary(wrong: Sequence[Finding]) -> str:
    if not wrong:
        return "nothing"
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"{wrong[0].where}: {wrong[0].text}{more}"


def show_change(change: Change) -> None:
    """One line of `--watch`."""
    style = _EFFECTS[change.effect]
    words = f"was {plain(change.before)}, is {plain(change.after)}"
    out.print(
        f"  [{style}]{change.effect:<8}[/{style}]{plain(change.where)}: {change.what} {words}", soft_wrap=True
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _grade(grade: TlsGrade | None) -> str:
    if grade is None:
        return "[yellow]unknown[/yellow]"
    return f"[{_STYLES[grade]}]{grade.value}[/{_STYLES[grade]}]"


def _line(name: str, text: str, style: str = "dim") -> None:
    """A name and what is said about it, folded beside the name; `name` is shown as it is, `text` is markup."""
    grid = Table.grid()
    grid.add_column(width=_NAMES, no_wrap=len(name) < _NAMES)
    grid.add_column(overflow="fold")
    grid.add_row(Text(name, style=style), Text.from_markup(text))
    out.print(Padding(grid, (0, 0, 0, 2), expand=False))
