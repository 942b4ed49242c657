"""Who somebody is: SCRAM messages and verifiers, our own addresses, pins, and what is said on the control socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime

import msgspec

from gateway.audit.leaves import Actor
from gateway.config.trust import parse_pin
from gateway.model.address import Address
from gateway.service.calls import MoveErrands, understood
from gateway.service.control import Arguments, _respond
from gateway.wire.pin import written
from gateway.wire.scram import ITERATIONS, MOST_ITERATIONS, make_verifier, parse_verifier
from gateway.wire.service_address import MOST_NUMBERS, Purpose, ServiceAddresses, Ticket
from gateway.wire.smtp_server_actions import Proved
from gateway.wire.smtp_server_commands import CommandError
from gateway.wire.smtp_server_sasl import SCRAM, SCRAM_PLUS, SaslExchange, WantsVerifier
from tests.fakes.scram_client import ScramClient
from tests.fuzz.target import Choices, Target, piece

_PASSWORD, _SALT, _NONCE, _BINDING = "pencil", bytes(16), "server-nonce", bytes(range(32))
_VERIFIER = make_verifier(_PASSWORD, _SALT)
_SALTED = hashlib.pbkdf2_hmac("sha256", _PASSWORD.encode(), _SALT, ITERATIONS)
_CLIENT_KEY = hmac.digest(_SALTED, b"Client Key", "sha256")
_SERVER_KEY = hmac.digest(_SALTED, b"Server Key", "sha256")
_NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
_OURS = ServiceAddresses(bytes(range(32)))
_TOKEN = "0123456789abcdefghjk"
_LOOP = asyncio.new_event_loop()


def scram(octets: bytes) -> None:
    """A client's messages; its proof is made for what it says where the input asks for that."""
    choices = Choices(octets)
    plus, right = choices.flag(), choices.flag()
    first, final = choices.piece(), choices.rest()
    binding = _BINDING if plus else None
    exchange = SaslExchange((SCRAM_PLUS if plus else SCRAM).encode(), (SCRAM, SCRAM_PLUS), binding)
    try:
        asked = exchange.answer(base64.b64encode(first))
        assert isinstance(asked, WantsVerifier)
        challenge = _text(exchange.verifier(_VERIFIER, _NONCE))
        assert challenge.isprintable()
        bare = first.decode().split(",", 2)[2]
        if right:
            final += b",p=" + base64.b64encode(_proof(bare, challenge, final)[0])
        step = exchange.answer(base64.b64encode(final))
        if isinstance(step, bytes):
            assert _text(step) == _expected(first, bare, challenge, final, binding or b"")
            step = exchange.answer(b"")
            assert step == Proved(asked.user, right=True)
        else:
            assert step == Proved(asked.user, right=False)
    except CommandError as error:
        assert error.reply.code == 501
        assert error.reply.text.isprintable()


def _text(line: bytes) -> str:
    assert line.startswith(b"334 ")
    assert line.count(b"\r\n") == 1
    return base64.b64decode(line[4:-2], validate=True).decode()


def _proof(bare: str, challenge: str, without: bytes) -> tuple[bytes, bytes]:
    """The client's proof and the server's signature (RFC 5802 section 3)."""
    said = f"{bare},{challenge},".encode() + without
    signature = hmac.digest(hashlib.sha256(_CLIENT_KEY).digest(), said, "sha256")
    proof = bytes(one ^ other for one, other in zip(_CLIENT_KEY, signature, strict=True))
    return proof, hmac.digest(_SERVER_KEY, said, "sha256")


def _expected(first: bytes, bare: str, challenge: str, final: bytes, binding: bytes) -> str:
    """The only answer to the only final message that counts; asserts that this is one."""
    without, _, shown = final.rpartition(b",p=")
    proof, signature = _proof(bare, challenge, without)
    assert base64.b64decode(shown) == proof
    channel, nonce = without.split(b",")[:2]
    gs2 = first[: len(first) - len(bare.encode())]
    assert base64.b64decode(channel.removeprefix(b"c=")) == gs2 + binding
    assert nonce.decode() == challenge.split(",", maxsplit=1)[0]
    return "v=" + base64.b64encode(signature).decode()


def verifier(octets: bytes) -> None:
    text = octets.decode("utf-8", "replace")
    try:
        found = parse_verifier(text)
    except ValueError as error:
        assert "$" not in text or text not in str(error)
        return
    assert ITERATIONS <= found.iterations <= MOST_ITERATIONS
    assert len(found.stored_key) == len(found.server_key) == 32
    assert parse_verifier(str(found)) == found
    assert str(found.iterations) in str(found)
    assert "VerifierS" not in repr(found)


def service_address(octets: bytes) -> None:
    """What is not ours to the last letter is nobody's; what we made is read, in capitals too, until its last day."""
    text = octets.decode("utf-8", "replace")
    found = _OURS.read(Address(text, "gw.example"), _NOW)
    assert found is None or _OURS.address(found, _NOW, "gw.example").local[:26] == text.lower()[:26]
    choices = Choices(octets)
    number, day, place, letter = (choices.number(below) for below in (MOST_NUMBERS, 4000, 54, 128))
    ticket = Ticket(Purpose.BOUNCE, _TOKEN, number)
    last = datetime.fromtimestamp(_NOW.timestamp() + (day - 2000) * 86400, UTC)
    made = _OURS.address(ticket, last, "gw.example")
    expected = ticket if day >= 2000 else None
    assert len(made.local) <= 64
    assert _OURS.read(made, _NOW) == expected
    assert _OURS.read(Address(made.local.upper(), "other.example"), _NOW) == expected
    other = made.local[:place] + chr(letter) + made.local[place + 1 :]
    assert other.lower() == made.local or _OURS.read(Address(other, "gw.example"), _NOW) is None


def pin(octets: bytes) -> None:
    text = octets.decode("utf-8", "replace")
    try:
        found = parse_pin(text)
    except ValueError as error:
        assert str(error)
        return
    assert len(found) == 32
    assert parse_pin(written(found)) == found
    assert parse_pin("sha256:" + base64.b64encode(found).decode()) == found
    digits = re.sub(r"sha-?256:|[^0-9a-f]", "", text.lower())
    assert digits == found.hex() or base64.b64decode(text.strip()[7:]) == found


async def _move(arguments: Arguments, actor: Actor) -> object:
    asked = understood(arguments, MoveErrands)
    return {"errands": asked.errands, "reason": asked.reason, "sudo": actor.sudo}


def control(octets: bytes) -> None:
    """One line on the control socket: an answer in JSON on one line, and nothing asked that was not said."""
    answer = _LOOP.run_until_complete(_respond(octets, 0, {"move": _move}))
    line = msgspec.json.encode(answer)
    assert b"\n" not in line
    again = msgspec.json.decode(line)
    if "problem" in again:
        assert again["problem"]
        assert not any("failed on" in each for each in again["problem"])
    else:
        request = json.loads(octets.decode("utf-8", "replace"))  # another reader's opinion
        assert again["value"]["errands"] == request["arguments"]["errands"]
        assert again["value"]["reason"] == request["arguments"]["reason"]


def _login(*, plus: bool) -> bytes:
    """A right login, as a client written from the RFC makes it."""
    client = ScramClient("us,e=r", _PASSWORD, binding=_BINDING if plus else b"")
    salt = base64.b64encode(_SALT).decode()
    final = client.final(f"r=client-nonce{_NONCE},s={salt},i={ITERATIONS}")
    return bytes((plus, 0)) + piece(client.first().encode()) + final.encode()


_MOVE = (
    b'{"call":"move","arguments":{"errands":["0123456789abcdefghjk-1"],"action":"hold","reason":"x"},'
    b'"sudo_user":"ann"}\n'
)

TARGETS = (
    Target(
        "scram",
        "logged in only by the proof that belongs to what was said, the name, the nonce and the channel; or 501",
        scram,
        (
            _login(plus=False),
            _login(plus=True),
            b"\0\1" + piece(b"n,,n=user,r=x") + b"c=biws,r=xserver-nonce",
            b"\0\1" + piece(b"n,a=user,n=user,r=x,e=1") + b"c=bixhPXVzZXIs,r=xserver-nonce,e=2",
            b"\1\1" + piece(b"p=tls-exporter,,n=u,r=x") + b"c=cD10bHMtZXhwb3J0ZXIsLA==,r=xserver-nonce",
            b"\0\0" + piece(b"y,,n=\xc3\xb6=2C=3D,r=x") + b"c=eSws,r=xserver-nonce,p=AAAA",
        ),
        1200,
    ),
    Target(
        "verifier",
        "a verifier that reads the same when written anew, or ValueError that does not show it",
        verifier,
        (str(_VERIFIER).encode(), b"SCRAM-SHA-256$1000000:AAAAAAAAAAA=$" + 44 * b"A" + b":" + 44 * b"A"),
        300,
    ),
    Target(
        "service-address",
        "what we made until its last day, in any case of letters; nothing else",
        service_address,
        (
            _OURS.address(Ticket(Purpose.BOUNCE, _TOKEN, 3), _NOW, "gw.example").local.encode(),
            b"b+" + 52 * b"0",
            b"\0\3\7\xd0\1\x41",
            b"\x7f\xff\7\xcf\x35\x7a",
        ),
        200,
    ),
    Target(
        "pin",
        "32 octets that read the same when written anew, in hexadecimal and base64; or ValueError",
        pin,
        (
            b"sha256:" + 32 * b"0f",
            b"SHA256:" + b":".join([b"0F"] * 32),
            b"sha256:" + base64.b64encode(bytes(range(32))),
            b"pin:sha256:00",
        ),
        200,
    ),
    Target(
        "control",
        "a request is answered on one line, and does what it says or tells a problem; it is never a failure of ours",
        control,
        (_MOVE, b'{"call":"reload"}\n', b'{"call":1}', b"[]", b'{"call":"move","arguments":{"errands":"x"}}'),
        600,
    ),
)
