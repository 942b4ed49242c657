"""`sealgate run` and `sealgate reload`: the daemon, and telling it to read policy and certificates again."""

from __future__ import annotations

from gateway.cli.door import ask, load_config
from gateway.cli.errors import ANSWER_IS_NO, COULD_NOT_RUN, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import out, print_json


def run(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the gateway until it is told to stop (SIGTERM, Ctrl-C). SIGHUP reloads."""
    import uvloop

    from gateway.policy import PolicyError
    from gateway.service import logs
    from gateway.service.lifecycle import CannotStart, run_until_stopped
    from gateway.store.contract import StoreUnusable

    settings = load_config(config)
    logs.configure(settings.logging.level, settings.logging.format)
    try:
        code = uvloop.run(run_until_stopped(settings, config))
    except StoreUnusable as error:
        raise CommandError(COULD_NOT_RUN, f"{error.where}: {error.what}", hint=error.remedy) from error
    except PolicyError as error:
        raise CommandError(COULD_NOT_RUN, *map(str, error.problems), hint="sealgate policy check") from error
    except CannotStart as error:
        raise CommandError(COULD_NOT_RUN, str(error), hint=error.remedy) from error
    if code:
        raise CommandError(code, "the gateway stopped because it could not go on; its log says why")


def reload(json: Json = False, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Make the running gateway read its policy and certificates again; a faulty policy changes nothing."""
    answer = ask(load_config(config), "reload", {})
    if json:
        print_json(answer)
    for line in answer["lines"] if not json else ():
        out.print(line, markup=False)
    if answer["problems"]:
        raise CommandError(
            ANSWER_IS_NO, *answer["problems"], hint="what was in force before is still in force"
        )
