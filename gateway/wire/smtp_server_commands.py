"""Grammar of the commands that an SMTP server reads: arguments in, values or the reply that refuses them out.

Sources: RFC 5321 section 4.1, RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531 (SMTPUTF8), RFC 3461 (DSN), RFC 4954 (AUTH),
RFC 8689 (REQUIRETLS), RFC 3030 (BDAT).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.wire import address
from gateway.wire.address import AddressError
from gateway.wire.smtp_server_actions import Login, MailCommand, Refused

_T = TypeVar("_T")

HELO_LIMIT = 255
_DIGITS = 20  # RFC 1870 section 3

# What mail servers send after MAIL's path, day by day: a subset of the grammar that gives what the grammar gives.
_USUAL = re.compile(rb"(?: SIZE=([0-9]{1,20}))?(?: BODY=(7BIT|8BITMIME))?")
_BODY = {None: "7BIT", b"7BIT": "7BIT", b"8BITMIME": "8BITMIME"}


class CommandError(ValueError):
    """A command that breaks its grammar; `reply` is what the client is told."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.reply = Refused(code, status, text)


def parse_helo(argument: bytes) -> str:
    """The client's name for itself: printable ASCII without spaces. It proves nothing and is only written down."""
    name = argument.strip(b" \t").decode("ascii", "replace")
    if not name or len(name) > HELO_LIMIT or " " in name or not (name.isascii() and name.isprintable()):
        raise CommandError(501, "5.5.4", "a host name or address literal must follow")
    return name


def parse_mail(argument: bytes, *, tls: bool) -> MailCommand:
    """The argument of MAIL, `FROM:` included. `tls` says whether the session is under TLS (REQUIRETLS needs it)."""
    sender, rest = _path(argument, b"FROM:", "5.1.7")
    usual = _USUAL.fullmatch(rest)
    if usual is not None and (sender is None or not sender.needs_smtputf8):
        return MailCommand(sender=sender, size=int(usual[1]) if usual[1] else None, body_type=_BODY[usual[2]])
    values: dict[str, str | int | bool] = {}
    for name, value in _parameters(rest).items():
        match name:
            case "SIZE":
                values["size"] = _number(name, value)
            case "BODY":
                values["body_type"] = _word(name, value, {"7BIT", "8BITMIME"})
            case "SMTPUTF8":
                values["smtputf8"] = _flag(name, value)
            case "REQUIRETLS" if tls:
                values["requiretls"] = _flag(name, value)
            case "RET":
                values["ret"] = _checked(value, address.parse_ret)
            case "ENVID":
                values["envid"] = _checked(value, address.check_envid)
            case "AUTH":
                # Accepted though AUTH may not be offered: Outlook and Exchange Online send AUTH=<> to everyone. Nobody
                # here is trusted to name another submitter, so it is checked and forgotten (RFC 4954 section 5).
                if value != "<>":
                    _checked(value, address.decode_xtext)
            case _:
                raise CommandError(555, "5.5.4", f"MAIL parameter {name} is not supported")
    if sender is not None and sender.needs_smtputf8 and "smtputf8" not in values:
        raise CommandError(553, "5.6.7", "non-ASCII sender address without the SMTPUTF8 parameter")
    return MailCommand(sender=sender, **values)  # type: ignore[arg-type]


def parse_recipient(argument: bytes, *, smtputf8: bool) -> Recipient:
    """The argument of RCPT, `TO:` included."""
    mailbox, rest = _path(argument, b"TO:", "5.1.3")
    if mailbox is None:
        raise CommandError(501, "5.1.3", "a recipient cannot be the null path")
    if mailbox.needs_smtputf8 and not smtputf8:
        raise CommandError(553, "5.6.7", "non-ASCII recipient address without the SMTPUTF8 parameter")
    if not rest:
        return Recipient(mailbox)
    notify: tuple[str, ...] = ()
    orcpt = None
    for name, value in _parameters(rest).items():
        match name:
            case "NOTIFY":
                notify = _checked(value, address.parse_notify)
            case "ORCPT":
                orcpt = _checked(value, lambda text: address.check_orcpt(text, smtputf8=smtputf8))
            case _:
                raise CommandError(555, "5.5.4", f"RCPT parameter {name} is not supported")
    return Recipient(mailbox, notify, orcpt)


def parse_bdat(argument: bytes) -> tuple[int, bool]:
    """Size of the chunk in octets, and whether it is the last one."""
    size, _, last = argument.strip(b" ").partition(b" ")
    if not (size.isdigit() and len(size) <= _DIGITS and last.upper() in {b"", b"LAST"}):
        raise CommandError(501, "5.5.4", "BDAT takes a number of octets, and LAST for the last chunk")
    return int(size), bool(last)


def decode_plain(response: bytes) -> Login:
    """A SASL PLAIN response (RFC 4616). To act for somebody else is not supported."""
    parts = decode_base64(response).split("\0")
    if len(parts) != 3 or not parts[1]:
        raise CommandError(501, "5.5.2", "malformed PLAIN response")
    if parts[0] not in {"", parts[1]}:
        raise CommandError(535, "5.7.8", "authentication failed")
    return Login(parts[1], parts[2])


def decode_base64(response: bytes) -> str:
    """One SASL response; `=` stands for an empty one (RFC 4954 section 4)."""
    try:
        return base64.b64decode(b"" if response == b"=" else response, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise CommandError(501, "5.5.2", "response is not base64 of UTF-8") from None


def _path(argument: bytes, keyword: bytes, status: str) -> tuple[Address | None, bytes]:
    """The path, and the octets after it: nothing, or a space and parameters."""
    if argument[: len(keyword)].upper() != keyword:
        raise CommandError(501, "5.5.4", f"{keyword.decode()} and a path in angle brackets must follow")
    try:
        return address.parse_path(argument[len(keyword) :], smtputf8=True)
    except AddressError as error:
        raise CommandError(501, status, str(error)) from None


def _parameters(rest: bytes) -> Mapping[str, str]:
    """Names in upper case, values exactly as sent."""
    try:
        words = rest.decode().split(" ")
    except UnicodeDecodeError:
        raise CommandError(501, "5.5.4", "parameters are not valid UTF-8") from None
    parameters: dict[str, str] = {}
    for word in filter(None, words):
        name, _, value = word.partition("=")
        if not (name.isascii() and name.replace("-", "").isalnum()):
            raise CommandError(501, "5.5.4", "malformed parameter")
        name = name.upper()
        if not value.isascii() and name != "ORCPT":
            raise CommandError(501, "5.5.4", f"parameter {name} takes ASCII only")
        if name in parameters:
            raise CommandError(501, "5.5.4", f"parameter {name} is given twice")
        parameters[name] = value
    return parameters


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS):
        raise CommandError(501, "5.5.4", f"{name} takes a number")
    return int(value)


def _word(name: str, value: str, known: set[str]) -> str:
    word = value.upper()
    if word not in known:
        raise CommandError(501, "5.5.4", f"{name} takes one of {', '.join(sorted(known))}")
    return word


def _flag(name: str, value: str) -> bool:
    if value:
        raise CommandError(501, "5.5.4", f"{name} takes no value")
    return True


def _checked(value: str, check: Callable[[str], _T]) -> _T:
    try:
        return check(value)
    except AddressError as error:
        raise CommandError(501, "5.5.4", str(error)) from None
