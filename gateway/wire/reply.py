"""SMTP replies (RFC 5321 section 4.2): a strict, bounded parser for strangers' bytes, and the writer of our own.

A reply that does not keep the grammar is never guessed at: the parser stops for good and says why in `fault`, because
whoever misreads one reply takes every later one for the answer to another command.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gateway.model.delivery import Reply

MAX_LINE = 8 * 1024  # octets of one line, CRLF included; RFC 5321 section 4.5.3.1.5 asks for 512
MAX_REPLY = 32 * 1024  # octets of one reply
MAX_LINES = 100

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\r\n]*))?")
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |$)")  # RFC 3463 section 2, RFC 2034 section 4
_SHORT = 128  # octets of a line worth remembering
_WRITTEN_LINE = 510  # ours, without CRLF


class ReplyParser:
    """Bytes in, replies out. Holds at most `MAX_LINE` octets and the lines of one unfinished reply.

    Replies that were complete before a fault are still handed out: the same bytes give the same replies however they
    are cut into pieces.
    """

    def __init__(self) -> None:
        self.fault: str | None = None
        self._buffer = b""
        self._code = b""
        self._texts: list[bytes] = []
        self._octets = 0

    @property
    def pending(self) -> bool:
        """Whether octets of an unfinished reply have arrived."""
        return bool(self._buffer or self._texts)

    def feed(self, data: bytes) -> list[Reply]:
        """Every reply that is now complete, in order. After a fault: nothing, ever."""
        replies: list[Reply] = []
        if self.fault is not None:
            return replies
        buffer = self._buffer + data if self._buffer else data
        start = 0
        while (end := buffer.find(b"\n", start)) >= 0:
            if not self._line(buffer[start : end + 1], replies):
                return replies
            start = end + 1
        self._buffer = buffer[start:]
        if len(self._buffer) >= MAX_LINE:
            self._stop(f"a reply line is longer than {MAX_LINE} octets")
        return replies

    def _line(self, line: bytes, replies: list[Reply]) -> bool:
        """Take one line in, and its reply too if it is the last; whether to go on."""
        if len(line) <= _SHORT and not self._texts and (reply := _single(line)) is not None:
            replies.append(reply)
            return True
        match = _LINE.fullmatch(line, 0, len(line) - 2) if line.endswith(b"\r\n") else None
        if len(line) > MAX_LINE:
            return self._stop(f"a reply line is longer than {MAX_LINE} octets")
        if match is None:
            return self._stop("a reply line is not a code, a space or hyphen, text and CRLF")
        code, mark, text = match.groups(b"")
        self._octets += len(line)
        if self._texts and code != self._code:
            return self._stop("the lines of one reply have different codes")
        self._code = code
        self._texts.append(text)
        if len(self._texts) > MAX_LINES or self._octets > MAX_REPLY:
            return self._stop(f"a reply is longer than {MAX_LINES} lines or {MAX_REPLY} octets")
        if mark != b"-":
            replies.append(_reply(code, tuple(self._texts)))
            self._texts = []
            self._octets = 0
        return True

    def _stop(self, fault: str) -> bool:
        self.fault = fault
        self._buffer = b""
        self._texts = []
        return False


@lru_cache(maxsize=1024)  # servers say the same few lines over and over
def _single(line: bytes) -> Reply | None:
    """A reply of one line, or None for anything else."""
    match = _LINE.fullmatch(line, 0, len(line) - 2) if line.endswith(b"\r\n") else None
    if match is None or match[2] == b"-":
        return None
    return _reply(match[1], (match[3] or b"",))


def _reply(code: bytes, texts: tuple[bytes, ...]) -> Reply:
    lines = tuple(_readable(text) for text in texts)
    return Reply(int(code), lines, _status(code[:1].decode("ascii"), lines))


def _readable(text: bytes) -> str:
    """The text with everything that is not printable ASCII replaced, so that it can be shown and stored anywhere."""
    decoded = text.decode("ascii", "replace")
    if decoded.isprintable():
        return decoded
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\N{REPLACEMENT CHARACTER}"
        for char in decoded
    )


def _status(first_digit: str, lines: tuple[str, ...]) -> str | None:
    """The first enhanced status whose class is that of the code; others are worth nothing (RFC 2034 section 4)."""
    for line in lines:
        if (match := _STATUS.match(line)) and match[1] == first_digit:
            return f"{match[1]}.{int(match[2])}.{int(match[3])}"
    return None


def format_reply(code: int, status: str | None, *lines: str) -> bytes:
    """One reply as it goes on the wire: `status` on every line (RFC 2034), at least one line, at most 512 octets each.

    Characters that are not printable ASCII become "?": a reply may quote a stranger and must not forge a second line.
    """
    assert 200 <= code <= 599, code
    assert status is None or status[:1] == str(code)[:1], (code, status)
    prefix = f"{status} " if status else ""
    if len(lines) == 1:
        return b"%d %s\r\n" % (code, _writable(prefix + lines[0]))
    texts = [_writable(prefix + line) for line in (lines or ("",))]
    last = len(texts) - 1
    return b"".join(
        b"%d%s%s\r\n" % (code, b" " if index == last else b"-", text) for index, text in enumerate(texts)
    )


def _writable(text: str) -> bytes:
    if not (text.isascii() and text.isprintable()):
        text = "".join(char if char.isascii() and char.isprintable() else "?" for char in text)
    return text[: _WRITTEN_LINE - 4].encode("ascii")
