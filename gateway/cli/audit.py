"""`sealgate audit`: check the log as an outsider would, and prove single records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.door import load_config
from gateway.cli.errors import ANSWER_IS_NO, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import out, print_json

app = typer.Typer(no_args_is_help=True, help="Check the audit log, and prove records of it.")

Folder = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="The audit folder; without it the configuration's.")
]


@app.command()
def verify(
    folder: Folder = None,
    trust: Annotated[
        Path | None,
        typer.Option("--trust", metavar="FILE", help="The log's keys and witnesses, from your own keeping."),
    ] = None,
    kept: Annotated[
        list[Path] | None,
        typer.Option(
            "--kept", metavar="FILE", help="A checkpoint that you kept from before; may be repeated."
        ),
    ] = None,
    require: Annotated[
        str, typer.Option("--require", metavar="WORDS", help="anchors, trust: their absence is a failure.")
    ] = "",
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Check signatures, tiles, consistency, pairing and enforcement of a whole log. Exit codes: docs/audit.md."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from gateway.audit.trust import TrustError, parse_trust
    from gateway.audit.verify import REQUIREMENTS, verify

    required = frozenset(word.strip() for word in require.split(",") if word.strip())
    if unknown := required - REQUIREMENTS:
        raise CommandError(
            INVALID_INPUT, f"--require {', '.join(sorted(unknown))}: not known", hint="anchors, trust"
        )
    try:
        trusted = _read(trust) if trust else None
        if trusted is not None:
            parse_trust(trusted)
    except TrustError as error:
        raise CommandError(INVALID_INPUT, f"{trust}: {error}") from error
    checked = folder or load_config(config).audit_directory
    bar = Progress(
        TextColumn("verifying"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} records"),
        TimeRemainingColumn(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("verify", total=None)
        report = verify(
            checked,
            trust=trusted,
            kept=[_read(file) for file in kept or ()],
            require=required,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        print_json(
            {
                "ok": report.ok,
                "exit_code": report.exit_code,
                "first_line": report.first_line(),
                "records": report.records,
                "shards": report.shards,
                "open_errands": report.open_errands,
                "anchors": report.anchors,
                "trusted": report.trusted,
                "findings": [
                    {"kind": one.kind.word, "where": one.where, "what": one.what} for one in report.findings
                ],
            }
        )
    else:
        for line in report.lines():
            out.print(line, markup=False, soft_wrap=True)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command()
def prove(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="A record's id, or a message's for all of its records.")
    ],
    folder: Folder = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Write record and proof as files into DIR.")
    ] = None,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Prove that a record is in the log: its text with a C2SP tlog-proof that anyone can check."""
    from gateway.audit.folder import FolderError
    from gateway.audit.prove import prove as find

    try:
        proofs = find(folder or load_config(config).audit_directory, identifier.partition(".")[0])
    except FolderError as error:
        raise CommandError(ANSWER_IS_NO, str(error), hint="sealgate audit verify") from error
    if not proofs:
        raise CommandError(
            ANSWER_IS_NO,
            f"no signed record has the id `{identifier}`",
            hint="a new record is signed within 5 seconds",
        )
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        for one in proofs:
            (to / f"{one.leaf}.json").write_bytes(one.record)
            (to / f"{one.leaf}.tlog-proof").write_bytes(one.proof)
    if json:
        print_json(
            [
                {
                    "shard": one.shard,
                    "index": one.index,
                    "leaf": one.leaf,
                    "type": one.type,
                    "record": one.record.decode(),
                    "proof": one.proof.decode(),
                }
                for one in proofs
            ]
        )
        return
    for one in proofs:
        out.print(f"[bold]record {one.index} of {one.shard}: {one.type}[/bold]")
        if to is not None:
            out.print(f"  {to / one.leaf}.json, {to / one.leaf}.tlog-proof", markup=False)
        else:
            out.print(one.record.decode(), markup=False, soft_wrap=True)
            out.print(one.proof.decode(), markup=False, soft_wrap=True)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(INVALID_INPUT, f"{file}: {(error.strerror or str(error)).lower()}") from error
