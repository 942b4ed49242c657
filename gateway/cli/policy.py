"""`sealgate policy`: check, test, explain, show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.door import load_config
from gateway.cli.errors import ANSWER_IS_NO, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import out, plain, print_json, print_table

if TYPE_CHECKING:
    from gateway.policy import Policy, PolicyProblem

app = typer.Typer(no_args_is_help=True, help="Check, test and explain policies.")

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files.")]


@app.command()
def check(files: Files, json: Json = False) -> None:
    """Schema, unknown keys, rules that never match or add nothing, expired exceptions, cases: all that is wrong."""
    from gateway.policy import PolicyError
    from gateway.policy.lint import check as check_policy
    from gateway.service.clock import now
    from gateway.service.policies import SITE, load_policy

    problems: list[PolicyProblem] = []
    for file in files:
        try:
            problems += check_policy(load_policy(file).policy, SITE, now())
        except PolicyError as error:
            problems += error.problems
    errors = [problem for problem in problems if problem.severity == "error"]
    if json:
        print_json({"ok": not errors, "problems": problems})
    for problem in problems if not json else ():
        out.print(str(problem), markup=False, soft_wrap=True)
    if not errors and not json:
        out.print(
            f"{len(files)} checked, {len(problems)} warnings"
            if problems
            else f"{len(files)} checked: nothing to correct"
        )
    if errors:
        raise CommandError(INVALID_INPUT, f"{len(errors)} to correct")


@app.command("test")
def run_cases(files: Files, json: Json = False) -> None:
    """Run the cases of policies; a readable difference where one fails."""
    from gateway.policy import cases
    from gateway.service.clock import now

    results = [(file, result) for file in files for result in cases.run_cases(_load(file), now())]
    failed = [result for _, result in results if not result.passed]
    if json:
        print_json(
            [
                {
                    "file": str(file),
                    "case": one.case.name,
                    "passed": one.passed,
                    "differences": one.differences,
                }
                for file, one in results
            ]
        )
    else:
        for result in failed:
            out.print(str(result.problem()), markup=False, soft_wrap=True)
        out.print(f"{len(results) - len(failed)} cases pass, {len(failed)} fail")
    if failed:
        raise CommandError(ANSWER_IS_NO, f"{len(failed)} of {len(results)} cases fail")
    if not results:
        raise CommandError(
            ANSWER_IS_NO, "there is no case to run", hint="add [[case]] tables: docs/policy.md"
        )


@app.command()
def explain(
    message: Annotated[Path, typer.Option("--message", metavar="FILE", help="The message (RFC 5322).")],
    to: Annotated[str, typer.Option("--to", metavar="ADDR", help="The recipient.")],
    sender: Annotated[
        str | None, typer.Option("--from", metavar="ADDR", help="Envelope sender; else the first author.")
    ] = None,
    capability: Annotated[
        Path | None,
        typer.Option(
            "--capability", metavar="FILE", help="As `probe --json` wrote it; else it is probed now."
        ),
    ] = None,
    connector: Annotated[
        str, typer.Option("--connector", metavar="NAME", help="As if through this connector.")
    ] = "",
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """The whole trace of a decision: each rule and condition with what it saw, each method with why or why not."""
    from gateway.cli.preview import Question, answer

    question = Question(
        message=message, sender=sender, recipient=to, capability=capability, connector=connector
    )
    made = answer(load_config(config), question)
    if json:
        print_json(made.data)
    for line in made.lines if not json else ():
        out.print(line, markup=False, soft_wrap=True)


@app.command()
def show(json: Json = False, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """The policy that the configuration names: rules, exceptions with their expiry, lists, its hash."""
    settings = load_config(config)
    policy = _load(settings.policy)
    book = policy.book
    if json:
        print_json({"name": policy.name, "hash": policy.hash, "file": str(settings.policy), "policy": book})
        return
    out.print(f"[bold]{plain(policy.name)}[/bold]  {settings.policy}")
    out.print(f"hash {policy.hash}\n")
    rows = [("default", "-", "-")]
    rows = [(rule.name, "rule", "-") for rule in book.rules]
    rows += [(one.name, "exception", one.expires.isoformat()) for one in book.exceptions]
    print_table(("name", "kind", "expires"), rows, empty="no rules: [default] alone decides")
    if book.lists:
        out.print()
        print_table(
            ("list", "entries"), [(f"@{each.name}", str(len(each.entries))) for each in book.lists], empty=""
        )
    out.print(f"\n{len(book.cases)} cases; run them with: sealgate policy test {settings.policy}")


def _load(file: Path) -> Policy:
    from gateway.policy import PolicyError
    from gateway.service.policies import load_policy

    try:
        return load_policy(file).policy
    except PolicyError as error:
        raise CommandError(INVALID_INPUT, *map(str, error.problems)) from error
