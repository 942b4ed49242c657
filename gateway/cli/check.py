"""`sealgate check`: everything that can be known without the network."""

from __future__ import annotations

from gateway.cli.door import load_config
from gateway.cli.errors import INVALID_INPUT, CommandError
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import out, plain, print_json


def check(json: Json = False, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Look at configuration, policy with its cases, keys, certificates, folders and their permissions."""
    from gateway.service.checkup import check_up

    found = check_up(load_config(config))
    errors = [one for one in found if one.severity == "error"]
    if json:
        print_json({"ok": not errors, "findings": found})
    else:
        for one in found:
            colour = {"error": "red", "warning": "yellow"}.get(one.severity, "green")
            hint = f"  ({plain(one.hint)})" if one.hint else ""
            out.print(f"[{colour}]{one.severity:>7}[/{colour}]  {plain(one.what)}{hint}", soft_wrap=True)
        if not errors:
            out.print("this gateway can be started: sealgate run")
    if errors:
        raise CommandError(INVALID_INPUT, f"{len(errors)} to correct before this gateway can run")
