"""Addresses, domains, SMTP paths and the DSN parameters: text and octets of strangers in, checked values out.

Every function returns a value or raises `AddressError`; nothing else escapes. What is accepted keeps its octets:
local parts are never normalised, xtext is checked but carried as it was sent.
Sources: RFC 5321 sections 4.1.2, 4.1.3 and 4.5.3.1, RFC 6531 section 3.3, RFC 5890 to 5892, RFC 3461 section 4.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import idna

from gateway.model.address import Address

LOCAL_LIMIT = 64  # octets, RFC 5321 section 4.5.3.1.1
DOMAIN_LIMIT = 253  # octets of the name without its final dot, RFC 1035 section 2.3.4
LABEL_LIMIT = 63
ADDRESS_LIMIT = 254  # octets: a path of 256 less its brackets, RFC 5321 section 4.5.3.1.3
ENVID_LIMIT = 100  # characters, RFC 3461 section 4.4
ORCPT_LIMIT = 500  # characters, RFC 3461 section 4.2

# What nearly every address is: the grammar without quotes, literals and anything that is not ASCII or not lower case in
# the domain. It gives what the grammar gives, several times as fast.
_COMMON = (
    r"([A-Za-z0-9_+=-]++(?>(?:\.[A-Za-z0-9_+=-]++)*))@"
    r"((?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!xn--)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"
)
_COMMON_ADDRESS = re.compile(_COMMON)
_COMMON_PATH = re.compile(rf"<{_COMMON}>".encode())
_ENDS = (b"", b" ")  # what may follow a path
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")  # RFC 3461 section 4: all printable but "+" and "="
_XTEXT_CODE = re.compile(r"\+([0-9A-F]{2})")
_UNITEXT_CODE = re.compile(r"\\x\{([0-9A-F]{2,6})\}")  # RFC 6533 section 3
_ATOM = re.compile(r"[A-Za-z0-9-]+")
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # meaningful in several scripts, and no letters of their own


class AddressError(ValueError):
    """An address, a path or a DSN parameter that breaks its grammar. The text says what, and may be shown to a peer."""


def parse_domain(text: str) -> str:
    """A domain name as lower-case A-labels.

    Non-ASCII labels must already be U-labels (RFC 5890): nothing is mapped, so that full-width letters, capitals
    outside ASCII and other look-alikes of a different name are refused and not silently turned into that name.
    """
    if len(text) > DOMAIN_LIMIT:
        raise AddressError("domain name is too long")
    labels = text.lower().split(".") if text.isascii() else text.split(".")
    if labels[-1].isdigit():
        raise AddressError("domain name ends in a number; an IP address needs square brackets")
    name = ".".join(label if _plain(label) else _alabel(label) for label in labels)
    if len(name) > DOMAIN_LIMIT:
        raise AddressError("domain name is too long")
    return name


def parse_address(text: str) -> Address:
    """A mailbox `local@domain`; the domain may be an address literal, the local part quoted or non-ASCII."""
    common = _COMMON_ADDRESS.fullmatch(text)
    if common and common.end(1) <= LOCAL_LIMIT and len(text) <= ADDRESS_LIMIT:
        return Address(common[1], common[2])
    return _parse_any(text)


def parse_path(argument: bytes, *, smtputf8: bool, strict: bool = True) -> tuple[Address | None, bytes]:
    """The path at the start of a MAIL or RCPT argument, and the octets after it (parameters, or nothing).

    `<>` is None. A source route is checked for shape and dropped (RFC 5321 appendix C). `<postmaster>` needs no domain
    (section 4.1.1.3). `strict` demands the angle brackets. Non-ASCII local parts need `smtputf8`; a non-ASCII domain
    does not, for it has an ASCII form.
    """
    end = argument.find(b">") + 1
    common = _common_path(argument[:end]) if end <= ADDRESS_LIMIT + 1 else None
    if common is not None and argument[end : end + 1] in _ENDS:
        return common, argument[end:]
    argument = argument.lstrip(b" ")
    if argument.startswith(b"<"):
        end = _closing(argument, b">", 1)
        if end < 0:
            raise AddressError("path has no closing angle bracket")
        inner, rest = argument[1:end], argument[end + 1 :]
        if rest and not rest.startswith(b" "):
            raise AddressError("path is followed by something other than a space")
    elif strict:
        raise AddressError("path must stand in angle brackets")
    else:
        end = _closing(argument, b" ", 0)
        inner, rest = (argument, b"") if end < 0 else (argument[:end], argument[end:])
        if not inner:
            raise AddressError("path is missing")
    if not inner:
        return None, rest
    try:
        text = inner.decode()
    except UnicodeDecodeError:
        raise AddressError("path is not valid UTF-8") from None
    text = _without_route(text)
    if text.lower() == "postmaster":
        return Address(text, ""), rest
    address = parse_address(text)
    if address.needs_smtputf8 and not smtputf8:
        raise AddressError("non-ASCII local part without the SMTPUTF8 parameter")
    return address, rest


@lru_cache(maxsize=4096)  # the same people write to the same people
def _common_path(path: bytes) -> Address | None:
    common = _COMMON_PATH.fullmatch(path)
    if common is None or len(common[1]) > LOCAL_LIMIT:
        return None
    return Address(common[1].decode(), common[2].decode())


def encode_xtext(text: str) -> str:
    """Printable ASCII as xtext (RFC 3461 section 4)."""
    if not text.isascii() or not text.isprintable():
        raise AddressError("only printable ASCII can be written as xtext")
    return "".join(f"+{ord(char):02X}" if char in "+= " else char for char in text)


def decode_xtext(value: str) -> str:
    """What xtext stands for. Codes for control or non-ASCII octets are refused: they would travel into headers."""
    if not _XTEXT.fullmatch(value):
        raise AddressError("malformed xtext")
    text = _XTEXT_CODE.sub(lambda match: chr(int(match[1], 16)), value)
    if not text.isascii() or not text.isprintable():
        raise AddressError("xtext hides a control or non-ASCII character")
    return text


def check_orcpt(value: str, *, smtputf8: bool) -> str:
    """An ORCPT value (RFC 3461 section 4.2; for `utf-8` RFC 6533 section 3), returned as it was sent."""
    kind, separator, original = value.partition(";")
    if not separator or not _ATOM.fullmatch(kind) or not original:
        raise AddressError("ORCPT must be an address type, a semicolon and an address")
    if len(value) > ORCPT_LIMIT:
        raise AddressError("ORCPT is too long")
    if kind.lower() != "utf-8":
        _check_original(original)
        return value
    if not original.isascii() and not smtputf8:
        raise AddressError("non-ASCII ORCPT without the SMTPUTF8 parameter")
    if not _printable(_decode_unitext(original)):
        raise AddressError("ORCPT hides a control character")
    return value


def check_envid(value: str) -> str:
    """An ENVID value (RFC 3461 section 4.4), returned as it was sent."""
    if not 0 < len(value) <= ENVID_LIMIT:
        raise AddressError(f"ENVID must have 1 to {ENVID_LIMIT} characters")
    decode_xtext(value)
    return value


def parse_notify(value: str) -> tuple[str, ...]:
    """The upper-case words of a NOTIFY value in their order (RFC 3461 section 4.1); NEVER stands alone."""
    words = tuple(value.upper().split(","))
    if words == ("NEVER",):
        return words
    if not set(words) <= {"SUCCESS", "FAILURE", "DELAY"}:
        raise AddressError("NOTIFY takes NEVER alone, or some of SUCCESS, FAILURE, DELAY")
    if len(set(words)) != len(words):
        raise AddressError("NOTIFY names a word twice")
    return words


def parse_ret(value: str) -> str:
    """FULL or HDRS (RFC 3461 section 4.3)."""
    word = value.upper()
    if word not in {"FULL", "HDRS"}:
        raise AddressError("RET takes FULL or HDRS")
    return word


def _parse_any(text: str) -> Address:
    local, domain = _split_mailbox(text)
    _check_local(local)
    parsed = _parse_literal(domain) if domain.startswith("[") else parse_domain(domain)
    if len(local.encode()) + 1 + len(parsed) > ADDRESS_LIMIT:
        raise AddressError("address is too long")
    return Address(local, parsed)


def _plain(label: str) -> bool:
    if len(label) > LABEL_LIMIT:
        raise AddressError("domain label is too long")
    return bool(_LABEL.fullmatch(label)) and not label.startswith("xn--")


def _alabel(label: str) -> str:
    if not label:
        raise AddressError("domain name has an empty label")
    if label.isascii() and not _LABEL.fullmatch(label):
        raise AddressError("domain name holds a character that host names do not have")
    try:
        return idna.alabel(label).decode("ascii")
    except (UnicodeError, ValueError, IndexError, OverflowError):
        raise AddressError("domain label is not a valid internationalised name (IDNA 2008)") from None


def _parse_literal(text: str) -> str:
    """An address literal in its one canonical spelling (RFC 5321 section 4.1.3)."""
    inner = text[1:-1]
    try:
        if text.endswith("]") and inner[:5].lower() == "ipv6:" and "%" not in inner:
            return f"[IPv6:{ipaddress.IPv6Address(inner[5:]).compressed}]".lower()
        if text.endswith("]"):
            return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError:
        pass
    raise AddressError("malformed address literal")


def _split_mailbox(text: str) -> tuple[str, str]:
    if text.startswith('"'):
        quoted = _QUOTED.match(text)
        end = quoted.end() if quoted else 0
        if not end or text[end : end + 1] != "@":
            raise AddressError("quoted local part must end in a quote, followed by @ and a domain")
        return text[:end], text[end + 1 :]
    local, separator, domain = text.partition("@")
    if not separator:
        raise AddressError("address has no @ and no domain")
    return local, domain


def _check_local(local: str) -> None:
    if not local:
        raise AddressError("local part is empty")
    try:
        octets = len(local.encode())
    except UnicodeEncodeError:
        raise AddressError("local part is not valid Unicode") from None
    if octets > LOCAL_LIMIT:
        raise AddressError("local part is too long")
    if not _printable(local):
        raise AddressError("local part holds a control or invisible character")
    if local.startswith('"'):
        return  # its shape was settled when the mailbox was split
    if not _DOT_ATOM.fullmatch(local):
        raise AddressError("local part holds a character that needs quotes")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise AddressError("local part has a dot where none may stand")


def _printable(text: str) -> bool:
    return text.isprintable() or text.translate(_JOINERS).isprintable()


def _closing(octets: bytes, wanted: bytes, start: int) -> int:
    """Where `wanted` next stands outside a quoted string, or -1."""
    if b'"' not in octets:
        return octets.find(wanted, start)
    quoted = skip = False
    for index in range(start, len(octets)):
        char = octets[index : index + 1]
        if skip:
            skip = False
        elif quoted and char == b"\\":
            skip = True
        elif char == b'"':
            quoted = not quoted
        elif char == wanted and not quoted:
            return index
    return -1


def _without_route(text: str) -> str:
    if not text.startswith("@"):
        return text
    route, separator, mailbox = text.partition(":")
    if not separator:
        raise AddressError("source route has no mailbox")
    for hop in route.split(","):
        if not hop.startswith("@"):
            raise AddressError("malformed source route")
        parse_domain(hop[1:])
    return mailbox


def _check_original(value: str) -> None:
    """Xtext may stand for UTF-8 here: Postfix 3.7 writes `rfc822;+CE+B1@...` for the recipients of SMTPUTF8 mail."""
    if not _XTEXT.fullmatch(value):
        raise AddressError("malformed xtext in ORCPT")
    try:
        text = _XTEXT_CODE.sub(lambda match: chr(int(match[1], 16)), value).encode("latin-1").decode()
    except UnicodeDecodeError:
        raise AddressError("ORCPT hides octets that are no text") from None
    if not _printable(text):
        raise AddressError("ORCPT hides a control character")


def _decode_unitext(value: str) -> str:
    """What an RFC 6533 `utf-8` address stands for; both its 7-bit and its UTF-8 form."""
    if "\\" in _UNITEXT_CODE.sub("", value) or any(char in value for char in "+= "):
        raise AddressError("malformed utf-8 address in ORCPT")
    try:
        text = _UNITEXT_CODE.sub(lambda match: chr(int(match[1], 16)), value)
        text.encode()
    except (ValueError, OverflowError):
        raise AddressError("ORCPT names a character that does not exist") from None
    return text
