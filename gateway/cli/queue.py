"""`sealgate queue`: look at what waits, and move it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.door import ask, load_config
from gateway.cli.errors import ANSWER_IS_NO, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, DryRun, Json, Reason
from gateway.cli.output import moment, out, plain, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Look at what waits, and move it.")

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Messages or errands by id.")]
State = Annotated[
    str | None, typer.Option("--state", metavar="STATE", help="Only those queued, sending or held.")
]
Sender = Annotated[str | None, typer.Option("--sender", metavar="ADDR", help="Only mail from ADDR.")]
Recipient = Annotated[str | None, typer.Option("--recipient", metavar="ADDR", help="Only mail to ADDR.")]
Domain = Annotated[str | None, typer.Option("--domain", metavar="DOMAIN", help="Only mail to DOMAIN.")]
All = Annotated[bool, typer.Option("--all", help="Every errand in the queue.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many errands.")]

WIDE = 130  # columns from which on there is room for senders
_ALL = 1_000_000
_BATCH = 100  # errands moved between two steps of the progress bar


@app.command("list")
def list_queue(
    ids: Ids = None,
    state: State = None,
    sender: Sender = None,
    recipient: Recipient = None,
    domain: Domain = None,
    limit: Limit = 100,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Errands in the queue: one message to one recipient each."""
    rows = _find(config, ids, state, sender, recipient, domain, limit)
    if json:
        print_json(rows)
        return
    wide = out.width >= WIDE
    print_table(
        ("errand", "state", *(("from",) if wide else ()), "to", "due (UTC)", "why"),
        (
            (
                row["errand"],
                "working" if row["working"] else row["state"],
                *((row["sender"],) if wide else ()),
                row["recipient"],
                moment(datetime.fromisoformat(row["due_at"]))[5:16],
                f"{row['reason']} (tried {row['attempts']} times)" if row["attempts"] else row["reason"],
            )
            for row in rows
        ),
        empty="the queue is empty" if not (ids or state or sender or recipient or domain) else "nothing fits",
    )
    if len(rows) == limit:
        out.print(f"\nthere may be more: these are the first {limit} (--limit)")


@app.command()
def show(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Messages or errands by id.")],
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """All that the queue knows about an errand. Its story is told by `sealgate trace`."""
    rows = _find(config, ids, None, None, None, None, _ALL)
    if json:
        print_json(rows)
    for row in rows if not json else ():
        for name, value in row.items():
            shown = (
                ", ".join(value) if isinstance(value, list) else "-" if value in (None, "") else str(value)
            )
            out.print(f"{name.replace('_', ' '):>20}  {plain(shown)}")
        out.print()
    if not rows:
        raise CommandError(
            ANSWER_IS_NO, "not in the queue", hint="`sealgate trace ID` tells what became of it"
        )


@app.command()
def retry(
    ids: Ids = None,
    state: State = None,
    sender: Sender = None,
    recipient: Recipient = None,
    domain: Domain = None,
    every: All = False,
    redecide: Annotated[
        bool,
        typer.Option(
            "--redecide", help="Forget what earlier decisions required; the policy in force decides."
        ),
    ] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Try errands again now."""
    if redecide and not reason:
        raise CommandError(INVALID_INPUT, "--redecide needs a --reason: it may weaken what was required")
    _say_which(every, ids, state, sender, recipient, domain)
    rows = _find(config, ids, state, sender, recipient, domain, _ALL)
    _move(config, rows, "redecide" if redecide else "retry", reason or "retry asked for", dry_run, json)


def _mover(action: str, words: str) -> Any:
    def command(
        ids: Ids = None,
        state: State = None,
        sender: Sender = None,
        recipient: Recipient = None,
        domain: Domain = None,
        every: All = False,
        reason: Reason = "",
        dry_run: DryRun = False,
        json: Json = False,
        config: ConfigFile = DEFAULT_CONFIG,
    ) -> None:
        if not reason.strip() and not dry_run:
            raise CommandError(INVALID_INPUT, "a --reason is needed: it is kept in the audit record")
        _say_which(every, ids, state, sender, recipient, domain)
        rows = _find(config, ids, state, sender, recipient, domain, _ALL)
        _move(config, rows, action, reason, dry_run, json)

    command.__doc__ = words
    return command


for _action, _words in {
    "hold": "Keep errands back until they are released.",
    "release": "Lift the hold that a policy's verdict or an operator put on errands. Lifts nothing else.",
    "expire": "Give errands up now and tell their senders.",
    "drop": "Give errands up now and tell nobody.",
}.items():
    app.command(_action)(_mover(_action, _words))


@app.command()
def resume(
    sender: Annotated[
        str,
        typer.Option("--sender", metavar="ADDR", help="The sender, or `login:NAME`, as the log names it."),
    ],
    reason: Reason = "",
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Let a sender send again that was suspended for sending too much. What was held meanwhile stays held."""
    if not reason.strip():
        raise CommandError(INVALID_INPUT, "a --reason is needed: it is kept in the audit record")
    answer = ask(load_config(config), "queue.resume", {"sender": sender, "reason": reason})
    if json:
        print_json(answer)
    elif answer["done"]:
        out.print(f"{plain(sender)} may send again")
    if not answer["done"]:
        raise CommandError(ANSWER_IS_NO, f"{sender} is not suspended")


def _say_which(every: bool, *filters: object) -> None:
    if not every and not any(filters):
        raise CommandError(INVALID_INPUT, "say which errands: ids, a filter such as --domain, or --all")


def _find(
    file: Path,
    ids: list[str] | None,
    state: str | None,
    sender: str | None,
    recipient: str | None,
    domain: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    if state not in (None, "queued", "sending", "held"):
        raise CommandError(
            INVALID_INPUT, f"no errand in the queue is `{state}`", hint="queued, sending or held"
        )
    config = load_config(file)
    wanted = {"state": state, "sender": sender, "recipient": recipient, "domain": domain}
    rows: list[dict[str, Any]] = []
    messages: list[str | None] = [*ids] if ids else [None]
    for message in messages:
        found = ask(config, "queue.list", {"wanted": {**wanted, "message": message}, "limit": limit})
        rows.extend(row for row in found if row not in rows)
    return rows[:limit]


def _move(
    file: Path, rows: list[dict[str, Any]], action: str, reason: str, dry_run: bool, json: bool
) -> None:
    from gateway.deliver.settlement import SUSPENDED

    if not rows:
        raise CommandError(ANSWER_IS_NO, "nothing fits", hint="`sealgate queue list` shows what is there")
    errands = [row["errand"] for row in rows]
    if dry_run:
        moved = [
            {"errand": row["errand"], "recipient": row["recipient"], "done": False, "why": "dry run"}
            for row in rows
        ]
    else:
        moved = _in_batches(file, errands, action, reason)
    done = sum(one["done"] for one in moved)
    if json:
        print_json(moved)
    else:
        print_table(
            ("errand", "to", action),
            ((one["errand"], one["recipient"], "done" if one["done"] else one["why"]) for one in moved),
            empty="nothing to do",
        )
        if any(row["reason"] == SUSPENDED.public for row in rows):
            out.print(
                "\na suspended sender's new mail is held too, until `sealgate queue resume --sender ADDR`"
            )
    if not dry_run and done < len(moved):
        raise CommandError(ANSWER_IS_NO, f"{done} of {len(moved)} done")


def _in_batches(file: Path, errands: list[str], action: str, reason: str) -> list[dict[str, Any]]:
    from rich.progress import track

    config = load_config(file)
    batches = [errands[start : start + _BATCH] for start in range(0, len(errands), _BATCH)]
    moved: list[dict[str, Any]] = []
    for batch in track(batches, description=action, transient=True, disable=not sys.stderr.isatty()):
        moved.extend(ask(config, "queue.move", {"errands": batch, "action": action, "reason": reason}))
    return moved
