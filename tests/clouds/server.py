"""The cloud's server as our client: it demands STARTTLS, sends its own parameters, and reads every reply."""

from __future__ import annotations

from tests.clouds.letter import Letter
from tests.fakes.ingress_world import Certificates, World


async def hand_over(
    here: World,
    certificates: Certificates,
    letter: Letter | bytes,
    *,
    source: str,
    sender: str = "ann@hospital.example",
    recipients: tuple[str, ...] = ("bob@partner.example",),
    chunking: bool = True,
    tls: bool = True,
    certificate: tuple[str, str] | None = None,
) -> bytes:
    """The last reply. `chunking`: Exchange Online uses BDAT wherever it is offered. `sender` is "" for a notice."""
    content = letter if isinstance(letter, bytes) else letter.octets
    client = await here.client(source)
    try:
        await client.hello()
        if tls:
            await client.start_tls(certificates.client_context(*(certificate or ())))
            greeting = await client.say(b"EHLO am0pr01cu001.outbound.protection.example\r\n")
            assert b"STARTTLS" not in greeting
        commands = [
            f"MAIL FROM:<{sender}> SIZE={len(content)} AUTH=<>".encode(),
            *(f"RCPT TO:<{recipient}>".encode() for recipient in recipients),
        ]
        for command in commands:
            reply = await client.say(command + b"\r\n")
            if not reply.startswith(b"2"):
                return reply
        if chunking:
            return await client.say(b"BDAT %d LAST\r\n" % len(content) + content)
        reply = await client.say(b"DATA\r\n")
        if not reply.startswith(b"3"):
            return reply
        return await client.say(content + b".\r\n")
    finally:
        await client.close()
