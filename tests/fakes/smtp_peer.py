"""Plays a client dialogue against scripted octets, without sockets, as the asyncio shell would drive it."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.wire.smtp_client import ClientDialogue
from gateway.wire.smtp_client_phase import Phase, StartTls

HELLO = b"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 1000000\r\n250-DSN\r\n250 SMTPUTF8\r\n"
BARE = b"250 mx\r\n"


def written(dialogue: ClientDialogue) -> bytes:
    """All that the dialogue wants to write now."""
    return b"".join(bytes(octets) for octets in iter(dialogue.take, b""))


def play(dialogue: ClientDialogue, said: Iterable[bytes]) -> list[bytes]:
    """Say each piece and collect what the client writes in answer."""
    wrote = [written(dialogue)]
    for octets in said:
        dialogue.feed(octets)
        wrote.append(written(dialogue))
    return wrote[1:]


def opened(hello: bytes = HELLO, starttls: StartTls = StartTls.NEVER) -> ClientDialogue:
    """A dialogue that is ready for a transaction."""
    dialogue = ClientDialogue("gw.example", starttls)
    play(dialogue, [b"220 mx\r\n", hello])
    assert dialogue.phase is Phase.IDLE
    return dialogue
