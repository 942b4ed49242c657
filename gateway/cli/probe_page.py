"""`sealgate probe` for people: a page about one destination, a row of a table about each of many."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from gateway.cli.evidence_page import graded, line, policy, short, show_server
from gateway.cli.output import moment, out, plain
from gateway.cli.probe_document import AddressSeen, Document, HostSeen
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
_SEVERITIES = {"wrong": ("wrong", "red"), "soon": ("soon", "yellow"), "note": ("note", "cyan")}
_EFFECTS = {"lost": "red", "changed": "yellow", "gained": "green"}
_SOURCES = {"mx": "MX records", "implicit": "no MX record: the domain's own address", "static": "configured"}


def show_page(page: Document, seen: Seen) -> None:
    """Print the page."""
    out.print(f"[bold]{plain(page.domain)}[/bold]  [dim]looked at {moment(page.observed_at)} UTC[/dim]")
    line("protection", _protection(page))
    if page.undeliverable is not None:
        line("mail", f"[red]takes none[/red]: {plain(page.undeliverable.public)}")
    line("DNS", _dns(page))
    if page.mta_sts is not None:
        line("MTA-STS", policy(page.mta_sts))
    for grade in page.capability.best_seen:
        line("remembered", f"it showed {graded(grade.grade)}, last on {moment(grade.last_seen)[:10]}")
    for host in page.hosts:
        _show_host(host)
    _show_decision(page, seen)
    _show_findings(page)


def _protection(page: Document) -> str:
    if page.grade is not None:
        return f"{graded(page.grade)}: {_GRADES[page.grade]}"
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


def _show_host(host: HostSeen) -> None:
    out.print()
    out.print(f"[bold]{plain(host.name)}[/bold]  preference {host.preference}, port {host.port}")
    for record in host.tlsa:
        line("DANE", f"demands TLSA {short(record)}")
    if host.terms is not None:
        line("terms", f"you laid down {plain(host.terms)} (docs/tls.md)")
    if host.barred is not None:
        line("barred", f"[red]nothing may go there[/red]: {plain(host.barred.private or host.barred.public)}")
    if host.listed:
        line("MTA-STS", "the policy lists this host")
    for address in host.addresses:
        _show_address(host, address)


def _show_address(host: HostSeen, seen: AddressSeen) -> None:
    line(seen.address, graded(seen.grade) + ("" if seen.fit else " [red](nothing may go there)[/red]"))
    show_server(seen)
    if seen.problem is not None:
        word = f" [dim]({seen.result})[/dim]" if seen.result else ""
        why = detail(seen.problem, host.name, seen.address)
        why = f" ({plain(why)})" if why and why != seen.result else ""
        line("problem", f"{plain(seen.problem.public)}{why}{word}")


def _show_decision(page: Document, seen: Seen) -> None:
    out.print()
    out.print(f"[bold]What the policy in force would do[/bold] with {plain(page.decision_for)}")
    first, *lines = explain_lines(seen.decision)
    out.print(Text(f"  {first.removeprefix('decision').strip()}", style="bold"))
    for reason in lines:
        out.print(f"  {reason}", markup=False, soft_wrap=True)


def _show_findings(page: Document) -> None:
    out.print()
    if not page.findings:
        out.print("[bold]Nothing is wrong[/bold]")
        return
    out.print("[bold]What is wrong, and whom to tell[/bold]")
    for one in page.findings:
        word, style = _SEVERITIES[one.severity]
        line(word, f"{plain(one.where)}: {plain(one.text)}", style)
        if one.remedy:
            who = "you can" if one.side == "ours" else "they can"
            line("", f"[dim]{who}:[/dim] {plain(one.remedy)}")
    if any(one.side == "theirs" for one in page.findings):
        line("tell", f"{plain(', '.join(page.contacts.postmasters))}; {_reports(page)}")


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
