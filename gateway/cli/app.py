"""The command tree, and the one place where a command's end becomes an exit code."""

from __future__ import annotations

import sys

import typer

from gateway.cli import audit, check, demo, dkim, doctor, init, policy, probe, queue, run, send, stats, trace
from gateway.cli.errors import COULD_NOT_RUN, INVALID_INPUT, CommandError
from gateway.cli.output import complain

app = typer.Typer(
    name="sealgate",
    help="Sealgate, the outbound mail gateway: protects each recipient's copy, or does not send it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("run")(run.run)
app.command("reload")(run.reload)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.command("send")(send.send)
app.add_typer(policy.app, name="policy")
app.command("probe")(probe.probe)
app.add_typer(queue.app, name="queue")
app.command("trace")(trace.trace)
app.command("stats")(stats.stats)
app.add_typer(dkim.app, name="dkim")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run one command and exit as its result says."""
    try:
        code = app(standalone_mode=False)
    except CommandError as end:
        complain(end.lines, end.hint)
        code = end.code
    except typer.TyperException as end:
        if said := end.format_message():  # without arguments the help has been shown already
            complain(said.splitlines(), "sealgate --help")
        code = INVALID_INPUT
    except typer.Exit as end:
        code = end.exit_code
    except (typer.Abort, KeyboardInterrupt):
        complain(["stopped by the keyboard"])
        code = COULD_NOT_RUN
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nobody is left to tell
        code = COULD_NOT_RUN
    sys.exit(code if isinstance(code, int) else 0)
