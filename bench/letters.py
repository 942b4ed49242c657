"""The mail of the benchmark: multipart messages with an attachment, the same for every device, of an exact size.

The header section differs from message to message by Message-ID and To; the body is the same for all of one size, so
that a digest tells whether it arrived as it was sent.
"""

from __future__ import annotations

import base64
import hashlib
import random
from dataclasses import dataclass

SENDER_DOMAIN = "hospital.example"
SENDER = f"alice@{SENDER_DOMAIN}"
DOMAINS = tuple(f"clinic{number}.example" for number in range(1, 6))

_HEADER = """\
From: Alice Grey <{sender}>
To: {recipient}
Subject: Results of {number}
Date: Sun, 22 Nov 2026 09:00:00 +0000
Message-ID: <{run}.{number:08}@{domain}>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=-results"

"""
_TEXT = """\
--=-results
Content-Type: text/plain; charset=us-ascii

Dear patient, your results are attached.

--=-results
Content-Type: application/pdf; name="results.pdf"
Content-Disposition: attachment; filename="results.pdf"
Content-Transfer-Encoding: base64

"""
_END = b"--=-results--\r\n"
_LINE = 78  # octets of a full base64 line with its CRLF


@dataclass(frozen=True, slots=True)
class Letter:
    """What every message of one size shares."""

    size: int  # octets of the whole message as it goes over the wire
    body: bytes

    def header(self, run: str, number: int, recipient: str) -> bytes:
        """The header section of message `number` of a run, with the empty line after it."""
        text = _HEADER.format(
            sender=SENDER, recipient=recipient, run=run, number=number, domain=SENDER_DOMAIN
        )
        return _crlf(text)

    @property
    def digest(self) -> str:
        """SHA-256 of the body, in hex."""
        return hashlib.sha256(self.body).hexdigest()


def make_letter(size: int) -> Letter:
    """The letter of about `size` octets (to one base64 line). The attachment is noise, so nothing compresses it."""
    head = _crlf(_TEXT)
    about = _crlf(
        _HEADER.format(sender=SENDER, recipient=recipient(0, 1), run="0" * 8, number=0, domain="x" * 16)
    )
    lines = max(1, (size - len(about) - len(head) - len(_END)) // _LINE)
    noise = b"%PDF-1.4\n" + random.Random(size).randbytes(lines * 57 - 9)  # the same in every run
    encoded = base64.b64encode(noise)
    attachment = b"\r\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76)) + b"\r\n"
    return Letter(size, head + attachment + _END)


def recipient(number: int, domains: int) -> str:
    """Whom message `number` goes to, where the mail is spread over so many domains."""
    return f"patient{number % 50}@{DOMAINS[number % domains]}"


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()
