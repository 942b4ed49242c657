"""Other senders in the same lab: Postfix and Exim get the same messages, and deliver the same ones or not.

What they do not implement (MTA-STS, what a policy asks of one message) is left out, and so is the certificate that is
swapped after the probe: they do not probe.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import smtplib
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from enum import StrEnum
from pathlib import Path

import msgspec

from tests.lab.cells import Cell, Counts, Dnssec, Need, Server, Sts, Tlsa
from tests.lab.gateway import Letter, content, letter
from tests.lab.oracle import expected
from tests.lab.run import Internet, open_internet
from tests.lab.web import ADDRESS
from tests.lab.zones import SIGNED_NAME, lab_zones
from tests.peers import Peer, PeerUnavailable, unbound
from tests.peers.exim import exim_sender
from tests.peers.nsd import nsd
from tests.peers.peer import need_root
from tests.peers.postfix import postfix_sender

_PATIENCE = 60.0  # seconds for all attempts


class Mode(StrEnum):
    """How they are told to treat DANE, and which of our messages fares alike."""

    TRY = "try"  # DANE where it is published, else whatever there is: our waiver
    REQUIRE = "require"  # DANE or nothing: our `authenticated` where only `dane` can be had

    @property
    def need(self) -> Need:
        return Need.NOTHING if self is Mode.TRY else Need.AUTHENTICATED


class Sender(StrEnum):
    POSTFIX = "Postfix"
    EXIM = "Exim"


class Difference(msgspec.Struct, frozen=True):
    """Cells in which another sender does not do as we do, and who is right by which section."""

    sender: Sender
    mode: Mode
    fits: Callable[[Cell], bool]
    why: str


class Verdict(msgspec.Struct, frozen=True):
    """One message: whether we deliver it, by the oracle that the gateway is held against, and whether they do.

    `explained` is the difference's reason, or nothing.
    """

    sender: Sender
    mode: Mode
    cell: Cell
    ours: bool
    theirs: bool
    explained: str

    def __str__(self) -> str:
        words = {True: "delivers", False: "does not deliver"}
        return f"[{self.cell}] {self.sender} ({self.mode}) {words[self.theirs]}, Sealgate {words[self.ours]}"


def _half(cell: Cell) -> bool:
    return cell.dnssec is Dnssec.HALF and cell.tlsa is not Tlsa.NONE


def _misnamed(cell: Cell) -> bool:
    return cell.dnssec is Dnssec.SECURE and (
        cell.tlsa is Tlsa.TA_WRONG_NAME or (cell.tlsa is Tlsa.TA_OK and cell.server is Server.WRONG_NAME)
    )


def _unusable(cell: Cell) -> bool:
    return cell.dnssec is Dnssec.SECURE and cell.tlsa in {Tlsa.UNUSABLE, Tlsa.MALFORMED}


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        Sender.EXIM,
        Mode.TRY,
        _half,
        "behind an MX record that is not signed Exim asks for no TLSA records; 7672 2.2.1 leaves that to the client."
        " Both are right: we bind ourselves to them, as Postfix does, and call it no more than `pkix`",
    ),
    *(
        Difference(
            Sender.EXIM,
            mode,
            _misnamed,
            "Exim 4.96 looks at no name under DANE-TA; 7672 3.1.2 and 3.2.2 demand one. We are right, as is Postfix",
        )
        for mode in Mode
    ),
    Difference(
        Sender.EXIM,
        Mode.REQUIRE,
        _unusable,
        "no record is usable, so 7672 2.2 asks for TLS and proves nobody. Both are right: hosts_require_dane is content"
        " with that; `authenticated`, like Postfix's dane-only, wants a proof",
    ),
)


def cells() -> list[Cell]:
    """Every combination that they have as well."""
    servers = [server for server in Server if server is not Server.SWAPPED]
    return [
        Cell(dnssec, tlsa, Sts.NONE, server, Counts.STRICT)
        for dnssec, tlsa, server in itertools.product(Dnssec, Tlsa, servers)
    ]


async def compare_with(sender: Sender, mode: Mode, chosen: Sequence[Cell], folder: Path) -> list[Verdict]:
    """Let the other sender have a message for each cell. Raises PeerUnavailable where it cannot run."""
    resolver = _address_for_a_resolver()
    async with open_internet(chosen, folder) as internet:
        lab = lab_zones(internet.places, ADDRESS, internet.now)
        letters = [letter(place.domain, mode.need) for place in internet.places]
        with (
            nsd(lab.zones) as upstream,
            unbound(upstream, [lab.anchor], address=resolver, port=53),
            _running(sender, mode, internet, resolver) as peer,
        ):
            await _deliver(sender, peer, letters)
        arrived = {
            one.marker
            for one in letters
            for server in internet.servers
            for arrival in server.arrivals()
            if one.marker.encode() in arrival.content
        }
    return [
        _verdict(sender, mode, place.cell, theirs=one.marker in arrived)
        for place, one in zip(internet.places, letters, strict=True)
    ]


def _verdict(sender: Sender, mode: Mode, cell: Cell, *, theirs: bool) -> Verdict:
    ours = expected(cell, mode.need).outcome == "delivered"
    known = (
        each.why for each in DIFFERENCES if (each.sender, each.mode) == (sender, mode) and each.fits(cell)
    )
    return Verdict(sender, mode, cell, ours, theirs, "" if ours is theirs else next(known, ""))


def _address_for_a_resolver() -> str:
    """One whose port 53 is free: mail servers know no other, and several runs may be under way."""
    need_root("a resolver on port 53")
    for number in range(254):
        address = f"127.54.254.{(os.getpid() + number) % 254 + 1}"
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind((address, 53))
            return address
    raise PeerUnavailable("no port 53 is free on 127.54.254.0/24")


def _running(sender: Sender, mode: Mode, internet: Internet, resolver: str) -> AbstractContextManager[Peer]:
    if sender is Sender.POSTFIX:
        settings = {
            "smtp_tls_security_level": "dane" if mode is Mode.TRY else "dane-only",
            "smtp_tls_protocols": ">=TLSv1.2",
            "smtp_tls_mandatory_protocols": ">=TLSv1.2",
            "smtp_tls_CAfile": str(internet.ca_file),
            "smtp_tcp_port": str(internet.smtp),
            "dnssec_probe": f"mx:{SIGNED_NAME}",
            "smtp_tls_loglevel": "1",
        }
        return postfix_sender(resolver, settings)
    wanted = {
        "hosts_try_dane" if mode is Mode.TRY else "hosts_require_dane": "*",
        "tls_require_ciphers": "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
        "tls_try_verify_hosts": "*",
    }
    return exim_sender(resolver, internet.smtp, internet.ca_file, wanted)


async def _deliver(sender: Sender, peer: Peer, letters: Sequence[Letter]) -> None:
    """Hands them over, and returns when each has been tried as often as it takes."""
    await asyncio.to_thread(_submit, peer, letters)
    done = _postfix_is_done if sender is Sender.POSTFIX else _exim_is_done
    wanted = {one.recipient for one in letters}
    await asyncio.to_thread(peer.wait, lambda: done(peer.log) >= wanted, "every attempt", _PATIENCE)


def _submit(peer: Peer, letters: Sequence[Letter]) -> None:
    with smtplib.SMTP(peer.host, peer.port, "mail.hospital.example", timeout=60) as client:
        for one in letters:
            client.sendmail(one.sender, [one.recipient], content(one))


def _postfix_is_done(log: str) -> set[str]:
    """Recipients that were sent to, or failed twice: in the clear it tries only on a second attempt."""
    seen = Counter[str]()
    for recipient, status in re.findall(r"to=<([^>]+)>.* status=(\w+)", log):
        seen[recipient] += 1 if status == "deferred" else 2
    return {recipient for recipient, count in seen.items() if count >= 2}


def _exim_is_done(log: str) -> set[str]:
    return set(re.findall(r" (?:=>|==|\*\*) (\S+@\S+)", log))
