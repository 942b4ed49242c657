"""One SMTP transaction as the client sees it: what is sent, what came back, what stands in its way; pure.

Promise: content with a bare CR, a bare LF or a NUL never becomes octets for the wire, whoever made it
(smuggling: RFC 5321 section 2.3.8 gives such octets no meaning, so that two servers may read two messages).
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import msgspec

from gateway.model.address import Address
from gateway.model.delivery import Reply
from gateway.model.envelope import Recipient
from gateway.model.problem import Problem

CHUNK = 256 * 1024  # octets of content handed out at once

_FEW_DOTS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """What one MAIL, its RCPTs and its content say. `content` is canonical CRLF lines, not dot-stuffed.

    `eight_bit` and `smtputf8` say what the message needs, not what was allowed. `ret` and `envid` are the values of
    RFC 3461 as sent to us; they are dropped where the next hop does not speak it (`TransactionReplies.without_dsn`).
    """

    sender: Address | None
    recipients: tuple[Recipient, ...]
    content: bytes
    ret: str | None = None
    envid: str | None = None
    eight_bit: bool = False
    smtputf8: bool = False
    requiretls: bool = False


class Obstacle(msgspec.Struct, frozen=True):
    """Why this transaction cannot be sent over this connection; nothing was sent, the connection is as it was.

    `kind` is "content" (stray CR, LF or NUL), "8bitmime", "smtputf8", "size" or "requiretls".
    """

    kind: str
    problem: Problem


class Lost(msgspec.Struct, frozen=True):
    """The connection ended, or ceased to make sense, before the transaction did.

    `stage` is the phase it was in. `after_dot` says that all content and its final dot had left: it may have arrived.
    """

    stage: str
    problem: Problem
    after_dot: bool = False


class TransactionReplies(msgspec.Struct, frozen=True, kw_only=True):
    """The peer's words in their places; None where none came.

    `final` answers the content; it is None unless content was sent for at least one accepted recipient. A refusal may
    come before all of it was sent, a 2xx never.
    """

    mail: Reply | None = None
    rcpt: tuple[Reply | None, ...] = ()
    data: Reply | None = None
    final: Reply | None = None
    lost: Lost | None = None
    obstacle: Obstacle | None = None
    without_dsn: bool = False


def obstacle(transaction: Transaction, extensions: Mapping[str, str], *, secured: bool) -> Obstacle | None:
    """What stands in the way of sending this to a server that offers `extensions`; `secured`: TLS is up."""
    if not is_canonical(transaction.content):
        text = "the message holds a bare CR, a bare LF or a NUL, which no mail server can be sent safely"
        return Obstacle("content", Problem("5.6.0", text))
    if transaction.requiretls and not (secured and "REQUIRETLS" in extensions):
        return Obstacle(
            "requiretls", Problem("5.7.30", "the next mail server does not support REQUIRETLS (RFC 8689)")
        )
    if _needs_smtputf8(transaction) and "SMTPUTF8" not in extensions:
        text = "the next mail server does not support internationalized addresses or headers (SMTPUTF8)"
        return Obstacle("smtputf8", Problem("5.6.7", text))
    limit = size_limit(extensions)
    if limit is not None and len(transaction.content) > limit:
        text = f"the message has {len(transaction.content)} octets; the next mail server takes {limit}"
        return Obstacle("size", Problem("5.3.4", text))
    if transaction.eight_bit and not _takes_eight_bit(extensions):
        text = "the next mail server does not take 8-bit content, and this content must not be converted"
        return Obstacle("8bitmime", Problem("5.6.3", text))
    return None


def is_canonical(content: bytes) -> bool:
    """Whether every line ends with CRLF (the last may end with nothing) and no octet is NUL.

    The newline decoder of the standard library finds lone CRs and LFs in one pass of C, thrice as fast as counting.
    """
    watcher = io.IncrementalNewlineDecoder(None, translate=False)
    watcher.decode(content.decode("latin-1"), final=True)
    return watcher.newlines in {None, "\r\n"} and b"\0" not in content


def read_extensions(reply: Reply) -> dict[str, str]:
    """EHLO keywords in upper case with their parameters (RFC 5321 section 4.1.1.1); the first line is a greeting."""
    offered: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        if keyword:
            offered.setdefault(keyword.upper(), parameters.strip())
    return offered


def size_limit(extensions: Mapping[str, str]) -> int | None:
    """The SIZE that a server announced (RFC 1870 section 4); None where it named none."""
    text = extensions.get("SIZE", "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        return None
    return int(text) or None


def mail_command(transaction: Transaction, extensions: Mapping[str, str]) -> bytes:
    """MAIL with the parameters that this server knows."""
    words = [f"MAIL FROM:<{transaction.sender or ''}>"]
    if "SIZE" in extensions:
        words.append(f"SIZE={len(transaction.content)}")
    if transaction.eight_bit and "8BITMIME" in extensions:
        words.append("BODY=8BITMIME")
    if _needs_smtputf8(transaction):
        words.append("SMTPUTF8")
    if transaction.requiretls:
        words.append("REQUIRETLS")
    if "DSN" in extensions:
        if transaction.ret:
            words.append(f"RET={transaction.ret}")
        if transaction.envid:
            words.append(f"ENVID={transaction.envid}")
    return _command(words)


def rcpt_command(recipient: Recipient, extensions: Mapping[str, str]) -> bytes:
    """RCPT, with its DSN parameters exactly as they came where this server knows them."""
    words = [f"RCPT TO:<{recipient.address}>"]
    if "DSN" in extensions:
        if recipient.notify:
            words.append("NOTIFY=" + ",".join(recipient.notify))
        if recipient.orcpt:
            words.append(f"ORCPT={recipient.orcpt}")
    return _command(words)


def dotted(content: bytes) -> tuple[bytes, bytes]:
    """The content as DATA carries it (RFC 5321 section 4.5.2) in two pieces: stuffed octets, and what ends them."""
    if _has_dotted_line(content):
        content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content, b".\r\n" if not content or content.endswith(b"\r\n") else b"\r\n.\r\n"


def _has_dotted_line(content: bytes) -> bool:
    """Whether a line but the first begins with a dot.

    Looking at the dots alone costs next to nothing where they are few, as in base64; the plain search stops at each CR.
    """
    at = content.find(b".")
    for _ in range(_FEW_DOTS):
        if at < 0:
            return False
        if content[at - 2 : at] == b"\r\n":
            return True
        at = content.find(b".", at + 1)
    return at >= 0 and content.find(b"\r\n.", max(at - 2, 0)) >= 0


def _command(words: list[str]) -> bytes:
    """One command line. The door let no such characters in; this is the last look before the wire."""
    line = " ".join(words)
    if _CONTROL.search(line) or line.count(" ", len(words[0])) != len(words) - 1:
        raise ValueError(f"a command would hold a control character or a stray space: {line[:4]}")
    return line.encode() + b"\r\n"


def _needs_smtputf8(transaction: Transaction) -> bool:
    return (
        transaction.smtputf8
        or (transaction.sender is not None and transaction.sender.needs_smtputf8)
        or any(recipient.address.needs_smtputf8 for recipient in transaction.recipients)
    )


def _takes_eight_bit(extensions: Mapping[str, str]) -> bool:
    return "8BITMIME" in extensions or "SMTPUTF8" in extensions  # RFC 6531 section 3.1 (8) presumes 8BITMIME
