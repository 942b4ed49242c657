"""`sealgate run` and `sealgate reload`: the daemon, and telling it to read policy and certificates again."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import typer

from gateway.cli.door import ask_all, load_config
from gateway.cli.errors import ANSWER_IS_NO, COULD_NOT_RUN, INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import out, print_json

RoleName = Literal["ingress", "worker", "store", "sealer"]


def run(
    role: Annotated[
        RoleName | None, typer.Option(help="Run this role alone; the others are started elsewhere.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many processes listen and deliver; else as configured.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Run the gateway until it is told to stop (SIGTERM, Ctrl-C). SIGHUP reloads."""
    if role and workers:
        raise CommandError(INVALID_INPUT, "--workers and --role exclude each other", hint="leave one out")
    from gateway.policy import PolicyError
    from gateway.service import logs, nursery
    from gateway.service.children import CannotStart
    from gateway.service.lifecycle import serve, serve_as_child
    from gateway.service.roles import Role, alone, site
    from gateway.store.contract import StoreUnusable

    settings = load_config(config)
    logs.configure(settings.logging.level, settings.logging.format)
    process = alone(Role(role)) if role else site(workers or settings.service.workers)
    try:
        children = [partial(serve_as_child, settings, config, child) for child in process.children]
        code = serve(settings, config, process, nursery.begin(children) if children else None)
    except StoreUnusable as error:
        raise CommandError(COULD_NOT_RUN, f"{error.where}: {error.what}", hint=error.remedy) from error
    except PolicyError as error:
        raise CommandError(COULD_NOT_RUN, *map(str, error.problems), hint="sealgate policy check") from error
    except CannotStart as error:
        raise CommandError(error.code, str(error), hint=error.remedy) from error
    if code:
        raise CommandError(code, "the gateway stopped because it could not go on; its log says why")


def reload(json: Json = False, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Make the running gateway read its policy and certificates again; a faulty policy changes nothing."""
    answers = ask_all(load_config(config), "reload")
    answer = {key: [line for one in answers for line in one[key]] for key in ("lines", "problems")}
    if json:
        print_json(answer)
    for line in answer["lines"] if not json else ():
        out.print(line, markup=False)
    if answer["problems"]:
        raise CommandError(
            ANSWER_IS_NO, *answer["problems"], hint="what was in force before is still in force"
        )
