"""`sealgate stats`: what became of mail, by method, domain and reason; looks at destinations; which of them changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.cli.door import ask, load_config
from gateway.cli.errors import ANSWER_IS_NO, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import moment, out, plain, print_json, print_table
from gateway.wire.mta_sts import policy_url

_TOP = 15  # domains and reasons that are shown

Row = dict[str, Any]


def stats(
    days: Annotated[int, typer.Option("--days", min=1, max=39, help="The last so many days (UTC).")] = 7,
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="DOMAIN", help="Only mail to DOMAIN.")
    ] = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="Destinations that lost or changed something, or soon will.")
    ] = False,
    looks: Annotated[
        bool, typer.Option("--looks", help="Looks at destinations: how many mail had to wait for.")
    ] = False,
    letter: Annotated[
        str | None,
        typer.Option("--letter", metavar="DOMAIN", help="A text that tells DOMAIN what is the matter."),
    ] = None,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Count copies, one recipient's each: which way they left, where to, and why those that did not leave did not."""
    settings = load_config(config)
    arguments = {"days": days, "domain": letter or domain}
    if drift or letter:
        rows: list[Row] = ask(settings, "stats.drift", arguments)
    else:
        rows = ask(settings, "stats.looks" if looks else "stats", arguments)
    if letter:
        _print_letter(rows, letter, str(settings.postmaster))
    elif json:
        print_json(rows)
    elif drift:
        _show_drift(rows)
    elif looks:
        _show_looks(rows)
    else:
        _show(rows, days)


def _show(rows: Sequence[Row], days: int) -> None:
    out.print(
        f"[bold]the last {days} days[/bold] (UTC); copies, one recipient's each; `deferred` counts each time\n"
    )
    left = [row for row in rows if row["what"] == "delivered"]
    _table(
        ("method", "grade"),
        left,
        lambda row: (row["method"], row["grade"] or "-"),
        empty="nothing was delivered",
    )
    out.print()
    stayed = [row for row in rows if row["what"] != "delivered"]
    _table(
        ("what", "why"),
        stayed,
        lambda row: (row["what"], row["reason"]),
        empty="nothing waited, failed, or was held or rejected",
    )
    out.print()
    domains = Counter[str]()
    for row in rows:
        domains[row["domain"]] += row["count"]
    kinds = ("delivered", "deferred", "held", "failed", "rejected", "unknown")
    table = [
        (name, *(str(_sum(rows, name, kind)) for kind in kinds)) for name, _ in domains.most_common(_TOP)
    ]
    print_table(("domain", *kinds), table, empty="no mail to any domain")
    if len(domains) > _TOP:
        out.print(f"\nand {len(domains) - _TOP} more domains (--json has all)")


def _sum(rows: Iterable[Row], domain: str, what: str) -> int:
    return sum(row["count"] for row in rows if row["domain"] == domain and row["what"] == what)


def _table(
    heads: tuple[str, str], rows: Sequence[Row], key: Callable[[Row], tuple[str, str]], *, empty: str
) -> None:
    counts = Counter[tuple[str, str]]()
    for row in rows:
        counts[key(row)] += row["count"]
    whole = counts.total()
    shown = [
        (first, str(count), f"{count / whole:.0%}", second)
        for (first, second), count in counts.most_common(_TOP)
    ]
    print_table((heads[0], "copies", "share", heads[1]), shown, empty=empty)


def _show_drift(rows: Sequence[Row]) -> None:
    table = []
    for row in rows:
        for change in row["changes"]:
            what = f"{change['where']}: {change['what']} {change['effect']}"
            words = f"{what}: was {change['before']}, is {change['after']}"
            table.append((row["domain"], moment(datetime.fromisoformat(row["changed_at"]))[:16], words))
        for host, expires in row["expiring"]:
            table.append((row["domain"], "-", f"{host}: its certificate {_expiry(expires)}"))
        if row["policy_end"]:
            table.append((row["domain"], "-", f"{row['domain']}: {_policy_end(row)}"))
    print_table(("domain", "since (UTC)", "what"), table, empty="every destination is as it was")
    if any(row["expiring"] or row["policy_end"] for row in rows):
        out.print("\na text to send to them: sealgate stats --letter DOMAIN")


def _show_looks(rows: Sequence[Row]) -> None:
    heads = ("day (UTC)", "mail waited", "ahead of use", "of those in vain")
    table = [
        (
            row["day"],
            str(row["waited"]),
            str(row["renewed"] + row["not_renewed"]),
            str(row["not_renewed"]),
        )
        for row in rows
    ]
    print_table(heads, table, empty="no day was asked for")


def _expiry(text: str) -> str:
    expires = datetime.fromisoformat(text)
    left = (expires - datetime.now(UTC)).days
    return f"expires on {expires:%Y-%m-%d}, in {left} days" if left >= 0 else f"expired on {expires:%Y-%m-%d}"


def _policy_end(row: Row) -> str:
    return f"its MTA-STS policy cannot be fetched; the one we hold {_expiry(row['policy_end']['at'])}"


def _why(row: Row) -> str:
    """The RFC 8460 word for it, in words."""
    words = {
        "sts-policy-invalid": "what it gives is not a valid policy",
        "sts-webpki-invalid": "its certificate does not prove that name, or is not valid",
    }
    return words.get(row["policy_end"]["why"], "it does not answer as it should")


def _print_letter(rows: Sequence[Row], domain: str, postmaster: str) -> None:
    """A message to be sent as it is, by a person."""
    if not rows:
        raise CommandError(ANSWER_IS_NO, f"there is nothing to tell {domain}")
    troubles = [
        f"  {host}: its certificate {_expiry(expires)}" for row in rows for host, expires in row["expiring"]
    ]
    for row in rows:
        if row["policy_end"]:
            troubles += [f"  {domain}: {_policy_end(row)}", f"    {policy_url(domain)}: {_why(row)}"]
    troubles += [
        f"  {change['where']}: {change['what']} was {change['before']}, is {change['after']}"
        for row in rows
        for change in row["changes"]
        if change["effect"] == "lost"
    ]
    lines = (
        f"To: postmaster@{domain}",
        f"Subject: your mail servers: TLS for {domain}",
        "",
        "Dear postmaster,",
        "",
        "we send mail to you only over connections whose server is proved. At our last look we saw:",
        "",
        *troubles,
        "",
        "If this is not what you intend, please repair it soon: until then our mail to you may have to",
        "wait or to take another way. Questions are welcome at the address below.",
        "",
        postmaster,
    )
    for line in lines:
        out.print(plain(line), soft_wrap=True)
