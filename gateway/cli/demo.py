"""`sealgate demo`: a small internet on loopback, this gateway in the middle, and what became of each message."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.errors import ANSWER_IS_NO, INVALID_INPUT, CommandError
from gateway.cli.options import Json


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Run the messages through, print the table, stop.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="DIR", help="Leave everything in DIR: configuration, queue, sealed audit log."
        ),
    ] = None,
    internet: Annotated[
        Path | None, typer.Option("--internet", metavar="DIR", help="Only start the internet of a kept demo.")
    ] = None,
    json: Json = False,
) -> None:
    """Show it all on this machine: no root, no set-up, nothing leaves loopback."""
    import uvloop

    from gateway.demo.run import DemoRefused, run_demo, serve_internet

    try:
        if internet is not None:
            uvloop.run(serve_internet(internet))
            return
        live = not (once or json or not sys.stdout.isatty())
        good = uvloop.run(run_demo(keep=keep, live=live, json=json))
    except DemoRefused as error:
        raise CommandError(INVALID_INPUT, str(error), hint=error.hint) from error
    if not good:
        raise CommandError(ANSWER_IS_NO, "not everything went as expected")
