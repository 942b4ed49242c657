"""Three hundred messages as a hospital's mail server hands them on: every kind that has broken a mail relay somewhere.

Content comes from a fixed seed: the same in every run. Each message names itself in its Message-ID.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

SENDER = "dr.grey@hospital.example"
IDN = "xn--jxalpdlp.example"  # δοκιμή.example
DOMAINS = ("clinic.example", "practice.example", "lab.example", IDN)  # one server has them all
HOW_MANY = 300
CROWD = 100  # recipients

_LINE = 998  # octets without CRLF, RFC 5322 section 2.1.1
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class To:
    """A recipient, and the parameters of its RCPT command. `seen` is how its server sees it, where that differs."""

    address: str
    parameters: tuple[str, ...] = ()
    seen: str = ""

    @property
    def arrives(self) -> str:
        return self.seen or self.address


@dataclass(frozen=True)
class Sample:
    """A message to submit. `arrives` is what its recipients get below the trace fields."""

    name: str
    content: bytes
    to: tuple[To, ...]
    sender: str = SENDER
    parameters: tuple[str, ...] = ()
    without: bytes = b""  # this part of the content must not arrive

    @property
    def arrives(self) -> bytes:
        return self.content.replace(self.without, b"", 1) if self.without else self.content


def mixed_mail() -> tuple[Sample, ...]:
    """All of them, kinds mixed."""
    chance = Random(300)
    samples = [
        make(f"{kind}-{number}", number, chance)
        for kind, (count, make) in _KINDS.items()
        for number in range(count)
    ]
    chance.shuffle(samples)
    assert len(samples) == HOW_MANY
    return tuple(samples)


def message(name: str, body: bytes, *fields: str, subject: str = "Results", author: str = SENDER) -> bytes:
    """A message in canonical lines; `fields` stand after the usual ones, and the body is added as it is."""
    head = (
        f"From: {author}",
        "To: clinic <desk@clinic.example>",
        f"Subject: {subject}",
        "Date: Sun, 22 Nov 2026 03:12:11 +0000",
        f"Message-ID: <{name}@hospital.example>",
        *fields,
    )
    return "\r\n".join((*head, "", "")).encode() + body


_MIME = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
_8BIT = ("BODY=8BITMIME",)
_UTF8 = ("BODY=8BITMIME", "SMTPUTF8")


def _one(name: str, number: int) -> tuple[To, ...]:
    return (To(f"{name}@{DOMAINS[number % 3]}"),)


def _plain(name: str, number: int, chance: Random) -> Sample:
    lines = [chance.randbytes(chance.randrange(38)).hex().encode() for _ in range(chance.randrange(1, 400))]
    return Sample(name, message(name, b"\r\n".join(lines) + b"\r\n"), _one(name, number))


def _eight_bit(name: str, number: int, chance: Random) -> Sample:
    body = "Grüße, 検査結果, результаты\r\n" * chance.randrange(1, 200)
    return Sample(name, message(name, body.encode(), *_MIME), _one(name, number), parameters=_8BIT)


def _any_octets(name: str, number: int, chance: Random) -> Sample:
    """Every octet but NUL, CR and LF; no charset fits them."""
    octets = bytes(set(range(1, 256)) - {10, 13})
    lines = [bytes(chance.choices(octets, k=chance.randrange(300))) for _ in range(20)]
    return Sample(
        name, message(name, b"\r\n".join(lines) + b"\r\n", *_MIME), _one(name, number), parameters=_8BIT
    )


def _raw_header(name: str, number: int, _chance: Random) -> Sample:
    """Octets above 127 in a header without SMTPUTF8: against the rules, and everywhere."""
    content = message(name, b"see above\r\n", "X-Ward: Süd", subject="Grüße")
    content = content.replace("Süd".encode(), "Süd".encode("latin-1"))
    return Sample(name, content, _one(name, number), parameters=_8BIT)


def _null_sender(name: str, number: int, _chance: Random) -> Sample:
    content = message(name, b"I am away.\r\n", "Auto-Submitted: auto-replied", subject="Away")
    return Sample(name, content, _one(name, number), sender="")


def _dsn(name: str, number: int, _chance: Random) -> Sample:
    notify = ("NEVER", "SUCCESS", "FAILURE", "DELAY", "SUCCESS,FAILURE", "SUCCESS,FAILURE,DELAY")[number % 6]
    to = To(
        f"{name}@{DOMAINS[number % 3]}",
        (f"NOTIFY={notify}", f"ORCPT=rfc822;first+2B{name}+3Dpatient@elsewhere.example"),
    )
    parameters = (("RET=HDRS", "RET=FULL")[number % 2], f"ENVID=id+2B{name}+3D")
    return Sample(name, message(name, b"please confirm\r\n"), (to,), parameters=parameters)


def _utf8_address(name: str, number: int, _chance: Random) -> Sample:
    """Local parts in UTF-8; every other domain is in UTF-8 as well, and travels as A-labels."""
    local = f"ασθενής.{name}"
    to = To(f"{local}@clinic.example") if number % 2 else To(f"{local}@δοκιμή.example", (), f"{local}@{IDN}")
    author = "dr.grün@hospital.example"
    content = message(
        name,
        "Grüße\r\n".encode(),
        *_MIME,
        f"Reply-To: {author}",
        subject="Ergebnis für ασθενής",
        author=author,
    )
    return Sample(name, content, (to,), sender=author, parameters=_UTF8)


def _utf8_header(name: str, number: int, _chance: Random) -> Sample:
    content = message(name, "Grüße\r\n".encode(), *_MIME, "X-Gruß: ünïcode", subject="検査結果 für Sie")
    content = content.replace(
        "X-Gruß".encode(), b"X-Greeting"
    )  # field names are ASCII (RFC 6532 section 3.2)
    return Sample(name, content, _one(name, number), parameters=_UTF8)


def _long_header(name: str, number: int, _chance: Random) -> Sample:
    references = "".join(f"\r\n\t<{one:040}@hospital.example>" for one in range(20 + 40 * (number % 8)))
    one_line = "X-One-Line: " + "x" * (_LINE - len("X-One-Line: "))
    odd = "X-Odd:  two spaces before, trailing ones after  \r\n \tfolded with a space and a tab\r\n   "
    return Sample(
        name, message(name, b"short\r\n", f"References:{references}", one_line, odd), _one(name, number)
    )


def _dots(name: str, number: int, _chance: Random) -> Sample:
    tricks = (
        b".\r\n",
        b"..\r\n...\r\n.\r\n.\r\n",
        b".a dot and text\r\n..two dots\r\n" * 50,
        b"\r\n.\r\n\r\n.\r\n\r\n",
        b".\r\n" * 30_000,
        b"x" * (number + 60) + b"\r\n" + b".\r\n.QUIT\r\n" * 20_000,
        b"text\r\n.",
    )
    body = tricks[number % len(tricks)]
    return Sample(name, message(name, body if body.endswith(b"\r\n") else body + b"\r\n"), _one(name, number))


def _empty(name: str, number: int, _chance: Random) -> Sample:
    return Sample(name, message(name, b"\r\n" * (number % 3)), _one(name, number))


def _full_lines(name: str, number: int, chance: Random) -> Sample:
    lines = [chance.randbytes(_LINE // 2).hex().encode() for _ in range(10 + number)]
    dotted = b"." + b"y" * (_LINE - 2)  # with the dot that is stuffed it has 998 octets
    return Sample(name, message(name, b"\r\n".join((*lines, dotted, b""))), _one(name, number))


def _signed(name: str, number: int, chance: Random) -> Sample:
    """Nothing between the boundaries may change; trailing blanks and odd preambles are where relays do."""
    bound = f"--=_{name}"
    signature = base64.encodebytes(chance.randbytes(1800)).replace(b"\n", b"\r\n")
    parts = (
        b"a preamble  \r\n\r\n",
        f"--{bound}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".encode(),
        "Grüße \t \r\nFrom here on\r\n-- \r\n\r\n\r\n".encode(),
        f"\r\n--{bound}\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n".encode(),
        b"Content-Transfer-Encoding: base64\r\n\r\n",
        signature,
        f"\r\n--{bound}--\r\n\r\nan epilogue\r\n".encode(),
    )
    kind = 'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256'
    fields = ("MIME-Version: 1.0", f'Content-Type: {kind};\r\n\tboundary="{bound}"')
    return Sample(name, message(name, b"".join(parts), *fields), _one(name, number), parameters=_8BIT)


def _with_bcc(name: str, number: int, _chance: Random) -> Sample:
    bcc = "Bcc: eve@clinic.example,\r\n\tmallory@clinic.example\r\n"
    content = message(name, b"for you\r\n", bcc.removesuffix("\r\n"), "X-After: stays")
    return Sample(name, content, _one(name, number), without=bcc.encode())


def _quoted(name: str, _number: int, _chance: Random) -> Sample:
    return Sample(name, message(name, b"odd\r\n"), (To(f'"odd {name}"@clinic.example'),))


def _crowd(name: str, _number: int, _chance: Random) -> Sample:
    """A hundred recipients: every other one is named in the header, the rest are blind copies."""
    addresses = [f"{name}-{one}@{DOMAINS[one % 3]}" for one in range(CROWD)]
    cc = "Cc: " + ",\r\n\t".join(addresses[::2])
    return Sample(name, message(name, b"to all\r\n", cc), tuple(map(To, addresses)))


def _attachment(megabytes: int) -> Callable[[str, int, Random], Sample]:
    def make(name: str, number: int, chance: Random) -> Sample:
        octets = base64.encodebytes(chance.randbytes(megabytes * _MEGABYTE)).replace(b"\n", b"\r\n")
        fields = (
            "MIME-Version: 1.0",
            "Content-Type: application/dicom; name=scan.dcm",
            "Content-Disposition: attachment; filename=scan.dcm",
            "Content-Transfer-Encoding: base64",
        )
        return Sample(name, message(name, octets, *fields), _one(name, number))

    return make


_KINDS: dict[str, tuple[int, Callable[[str, int, Random], Sample]]] = {
    "plain": (67, _plain),
    "eight-bit": (40, _eight_bit),
    "any-octets": (15, _any_octets),
    "raw-header": (5, _raw_header),
    "null-sender": (20, _null_sender),
    "dsn": (24, _dsn),
    "utf8-address": (20, _utf8_address),
    "utf8-header": (10, _utf8_header),
    "long-header": (20, _long_header),
    "dots": (21, _dots),
    "empty": (12, _empty),
    "full-lines": (15, _full_lines),
    "signed": (20, _signed),
    "bcc": (4, _with_bcc),
    "quoted": (4, _quoted),
    "crowd": (1, _crowd),
    "attachment": (1, _attachment(1)),
    "large-attachment": (1, _attachment(20)),
}


def copies(samples: tuple[Sample, ...]) -> Iterator[tuple[Sample, To]]:
    """Every copy that must arrive."""
    return ((sample, to) for sample in samples for to in sample.to)
