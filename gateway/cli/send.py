"""`sealgate send`: submit a message through our own listener as a mail server would; or say what would happen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.door import load_config
from gateway.cli.errors import ANSWER_IS_NO, COULD_NOT_RUN, INVALID_INPUT, CommandError
from gateway.cli.letter import read_letter
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import out, plain, print_json

if TYPE_CHECKING:
    from gateway.config import Config


def send(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The message (RFC 5322); - reads standard input.")
    ],
    sender: Annotated[str, typer.Option("--from", metavar="ADDR", help="Envelope sender.")],
    to: Annotated[list[str], typer.Option("--to", metavar="ADDR", help="Recipient; may be repeated.")],
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what would happen to each recipient's copy; send nothing.")
    ] = False,
    listener: Annotated[
        str | None, typer.Option("--listener", metavar="NAME", help="Which listener to use; else the first.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Log in as USER.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="FILE", help="Holds the password in its first line."),
    ] = None,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Submit a message through the gateway's own listener."""
    settings = load_config(config)
    content = read_letter(file)
    if preview:
        from gateway.cli.preview import preview_message

        preview_message(settings, content, sender, to, json=json)
        return
    login = (user, _password(password_file)) if user else None
    answer = asyncio.run(_submit(settings, listener, content, sender, to, login))
    if json:
        print_json(answer)
        return
    out.print(f"accepted: {plain(answer['reply'])}")
    for refused in answer["refused"]:
        out.print(f"refused:  {plain(refused['recipient'])}: {plain(refused['reply'])}")
    if answer["refused"]:
        raise CommandError(ANSWER_IS_NO, "not every recipient was accepted")


def _password(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("password", hide_input=True, err=True))
    try:
        return file.read_text().splitlines()[0]
    except (OSError, IndexError) as error:
        raise CommandError(INVALID_INPUT, f"{file}: no password could be read: {error}") from error


async def _submit(
    settings: Config,
    name: str | None,
    content: bytes,
    sender: str,
    to: list[str],
    login: tuple[str, str] | None,
) -> dict[str, Any]:
    import aiosmtplib

    chosen = [one for one in settings.listener if name in (None, one.name)]
    if not chosen:
        names = ", ".join(one.name for one in settings.listener)
        raise CommandError(INVALID_INPUT, f"there is no listener `{name}`", hint=f"there are: {names}")
    address = chosen[0].address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 (compared, not bound)
    client = aiosmtplib.SMTP(
        hostname=host,
        port=address.port,
        use_tls=chosen[0].tls == "implicit",
        start_tls=chosen[0].tls == "starttls",
        tls_context=_own_certificate(chosen[0].certificate),
        local_hostname=settings.hostname,
        timeout=60,
    )
    try:
        async with client:
            if login:
                await client.login(*login)
            refused, reply = await client.sendmail(sender, to, content)
    except aiosmtplib.SMTPRecipientsRefused as error:
        lines = [f"{one.recipient}: {one.code} {one.message}" for one in error.recipients]
        raise CommandError(ANSWER_IS_NO, *lines, hint="nothing was accepted") from error
    except aiosmtplib.SMTPResponseException as error:
        raise CommandError(ANSWER_IS_NO, f"the gateway answered {error.code} {error.message}") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise CommandError(
            COULD_NOT_RUN, f"{host}:{address.port}: {error}", hint="is the gateway running? (sealgate run)"
        ) from error
    return {
        "reply": reply,
        "refused": [{"recipient": one, "reply": f"{code} {text}"} for one, (code, text) in refused.items()],
    }


def _own_certificate(certificate: Path | None) -> Any:
    """Trust for one certificate only: the listener's own, by its file, whatever name we reach it under."""
    import ssl

    if certificate is None:
        return None
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
