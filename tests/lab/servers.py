"""The lab's recipients' servers, one a cell, each on an address of its own and all on one port; and what they got."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.demo.ca import Authority, CertificateKind
from tests.fakes.scripted_mx import CLOSE, Script, ScriptedMx
from tests.lab.cells import Cell, Server, Tlsa
from tests.lab.oracle import Shown, shown
from tests.lab.zones import Place

_NEWEST = {Server.TLS12: ssl.TLSVersion.TLSv1_2, Server.TLS11: ssl.TLSVersion.TLSv1_1}
_KINDS = {
    Server.EXPIRED: CertificateKind.EXPIRED,
    Server.SELF_SIGNED: CertificateKind.SELF_SIGNED,
    Server.WRONG_NAME: CertificateKind.WRONG_NAME,
}


class Arrival(msgspec.Struct, frozen=True):
    """One message as a server got it, with what that connection had shown."""

    place: Place
    shown: Shown
    content: bytes


class MailServer:
    """A cell's server. A swapped certificate shows from the second handshake on."""

    def __init__(self, place: Place, mx: ScriptedMx) -> None:
        self.place = place
        self.mx = mx

    def begin_anew(self) -> None:
        """As if it had not been asked yet: the certificate that is swapped later is the first one again."""
        self.mx.connections = 0
        self.mx.messages.clear()

    def arrivals(self) -> list[Arrival]:
        return [
            Arrival(
                self.place,
                msgspec.structs.replace(
                    shown(self.place.cell, swapped=is_swapped(self.place.cell, each.connection)),
                    version=each.tls,
                ),
                each.content,
            )
            for each in self.mx.messages
        ]


def is_swapped(cell: Cell, connection: int) -> bool:
    return cell.server is Server.SWAPPED and connection > 1


def make_place(
    number: int, cell: Cell, port: int, authority: Authority, folder: Path, now: datetime
) -> Place:
    """A place for the cell with its server's key and certificates, in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    place = Place(
        number=number,
        cell=cell,
        address=f"127.54.{1 + number // 250}.{1 + number % 250}",
        port=port,
        key=key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        authority=authority.issuer_key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
    )
    kind = _KINDS.get(cell.server, CertificateKind.GOOD)
    if cell.tlsa is Tlsa.TA_WRONG_NAME and kind is CertificateKind.GOOD:
        kind = CertificateKind.WRONG_NAME
    certificate_file(folder, place, swapped=False).write_bytes(
        _pem(key) + authority.issue(place.host, kind, key, now)
    )
    if cell.server is Server.SWAPPED:
        other = ec.generate_private_key(ec.SECP256R1())
        chain = authority.issue(place.host, CertificateKind.SELF_SIGNED, other, now)
        certificate_file(folder, place, swapped=True).write_bytes(_pem(other) + chain)
    return place


def certificate_file(folder: Path, place: Place, *, swapped: bool) -> Path:
    """Key and chain."""
    return folder / f"{place.number}-{'new' if swapped else 'old'}.pem"


@asynccontextmanager
async def mail_servers(places: tuple[Place, ...], folder: Path) -> AsyncIterator[tuple[MailServer, ...]]:
    """Run them all. Raises OSError where a port is taken."""
    running: list[asyncio.Server] = []
    servers = tuple(MailServer(place, ScriptedMx(_script(place, folder))) for place in places)
    try:
        for server in servers:
            place = server.place
            running.append(
                await asyncio.start_server(server.mx.serve, place.address, place.port, limit=1 << 20)
            )
        yield servers
    finally:
        for each in running:
            each.close()
        for server in servers:
            await server.mx.over()
        for each in running:
            await each.wait_closed()


def _script(place: Place, folder: Path) -> Script:
    cell = place.cell

    def certificate(connection: int) -> str:
        return str(certificate_file(folder, place, swapped=is_swapped(cell, connection)))

    return Script(
        certificate=certificate,
        offers_tls=cell.server is not Server.NO_STARTTLS,
        newest_tls=_NEWEST.get(cell.server),
        instead_of_tls=CLOSE if cell.server is Server.DIES else None,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
