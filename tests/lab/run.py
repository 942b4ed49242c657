"""One run: an internet for some cells, a gateway in it, three messages a cell, and what deviates from the oracle."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.demo.ca import open_authority
from tests.lab.cells import Cell, Counts, Need, Server, Sts
from tests.lab.gateway import Gateway, Happened, Letter, Stage, gateway, letter
from tests.lab.oracle import Expected, admits, expected, shown, worth
from tests.lab.servers import Arrival, MailServer, mail_servers, make_place
from tests.lab.web import ADDRESS, Web, web_server
from tests.lab.zones import Place, lab_zones
from tests.peers import unbound
from tests.peers.nsd import nsd

BATCH = 150  # cells with one gateway: each needs an address, a server and a few connections
_FIRST = "127.54.1.1"


class Deviation(msgspec.Struct, frozen=True):
    """A message with which something else happened than the oracle says."""

    cell: Cell
    need: Need
    wanted: Expected
    happened: Happened

    def __str__(self) -> str:
        wanted, got = self.wanted, self.happened
        return (
            f"[{self.cell}] {self.need}: {got.decision}, {got.outcome} over {got.grade};"
            f" should {wanted.decision}, {wanted.outcome} over {wanted.grade} ({wanted.why})"
        )


class Leak(msgspec.Struct, frozen=True):
    """A message that a server got over a connection that its policy, or the server's owner, does not admit."""

    cell: Cell
    need: Need
    server: Cell
    grade: str

    def __str__(self) -> str:
        return f"LEAK [{self.cell}] {self.need}: arrived over {self.grade} at the server of [{self.server}]"


class Report(msgspec.Struct, frozen=True):
    """`messages` is how many were sent, `arrived` how many of them a server has."""

    messages: int
    arrived: int
    deviations: tuple[Deviation, ...]
    leaks: tuple[Leak, ...]

    @property
    def good(self) -> bool:
        return not self.deviations and not self.leaks


class Internet(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is."""

    ca_file: Path
    places: tuple[Place, ...]
    servers: tuple[MailServer, ...]
    web: Web
    web_port: int
    smtp: int
    now: datetime


async def run(cells: Sequence[Cell], folder: Path, done: Callable[[int], None] = lambda _: None) -> Report:
    """All cells, in batches of one policy; `done` hears after each how many cells it had."""
    reports = []
    for counts in Counts:
        mine = [cell for cell in cells if cell.counts is counts]
        for start in range(0, len(mine), BATCH):
            batch = mine[start : start + BATCH]
            home = folder / f"{counts}-{start}"
            home.mkdir()
            reports.append(await run_batch(batch, home))
            done(len(batch))
    return Report(
        sum(each.messages for each in reports),
        sum(each.arrived for each in reports),
        tuple(deviation for each in reports for deviation in each.deviations),
        tuple(leak for each in reports for leak in each.leaks),
    )


async def run_batch(cells: Sequence[Cell], folder: Path) -> Report:
    """Cells of one policy. Those whose policy is to be in the cache get a message before the others."""
    spread = [each for cell in cells for each in _spread(cell)]
    async with open_internet([cell for cell, _ in spread], folder) as internet:
        cached = [place for place in internet.places if place.cell.sts is Sts.FAILS_CACHED]
        if cached:
            async with in_it(internet, cells[0].counts, folder, policy_id="1") as running:
                await running.take([letter(place.domain, Need.AUTHENTICATED) for place in cached])
                await running.settled()
            internet.web.broken = True
            for server in internet.servers:
                server.begin_anew()
        letters = [
            letter(place.domain, need)
            for place, (_, needs) in zip(internet.places, spread, strict=True)
            for need in needs
        ]
        async with in_it(internet, cells[0].counts, folder, policy_id="2") as running:
            taken = await running.take(letters)
            left = await running.settled()
            happened = {message: await running.happened(message, left) for message in taken}
        arrivals = [arrival for server in internet.servers for arrival in server.arrivals()]
    return compare(internet.places, taken, happened, arrivals)


def _spread(cell: Cell) -> list[tuple[Cell, tuple[Need, ...]]]:
    """Where the certificate is swapped each message goes to a domain of its own: the first one that failed would have
    the others' server looked at anew.
    """
    if cell.server is Server.SWAPPED:
        return [(cell, (need,)) for need in Need]
    return [(cell, tuple(Need))]


def compare(
    places: Iterable[Place],
    taken: dict[str, Letter],
    happened: dict[str, Happened],
    arrivals: Sequence[Arrival],
) -> Report:
    """The record against the oracle, and what the servers have against what they may have."""
    cells = {place.domain: place.cell for place in places}
    deviations, arrived = [], 0
    for message, one in taken.items():
        cell, got = cells[one.domain], happened[message]
        wanted = expected(cell, one.need)
        there = any(one.marker.encode() in each.content for each in arrivals)
        arrived += there
        if (got.decision, got.outcome, got.grade) != (wanted.decision, wanted.outcome, wanted.grade) or (
            there is not (got.outcome == "delivered")
        ):
            deviations.append(Deviation(cell, one.need, wanted, got))
    return Report(len(taken), arrived, tuple(deviations), tuple(find_leaks(taken.values(), cells, arrivals)))


def find_leaks(
    letters: Iterable[Letter], cells: dict[str, Cell], arrivals: Sequence[Arrival]
) -> Iterable[Leak]:
    """Nothing of the gateway's own account is used: only what came in, and over what."""
    for one in letters:
        cell = cells[one.domain]
        for arrival in arrivals:
            if one.marker.encode() not in arrival.content:
                continue
            grade, _ = worth(arrival.place.cell, arrival.shown)
            planned, _ = worth(cell, shown(cell, swapped=False))
            if arrival.place.domain != one.domain or not admits(cell, one.need, grade, planned=planned):
                yield Leak(cell, one.need, arrival.place.cell, grade)


@asynccontextmanager
async def open_internet(cells: Sequence[Cell], folder: Path) -> AsyncIterator[Internet]:
    """Mail servers and web server; the name servers come with each gateway, since what they say changes."""
    now = datetime.now(UTC)
    authority = open_authority(folder, now)
    certificates = folder / "certificates"
    certificates.mkdir()
    with socket.socket() as chosen:
        chosen.bind((_FIRST, 0))
        smtp = int(chosen.getsockname()[1])
    places = tuple(
        make_place(number, cell, smtp, authority, certificates, now) for number, cell in enumerate(cells)
    )
    web = Web(places, authority, certificates, now)
    async with mail_servers(places, certificates) as servers, web_server(web) as web_port:
        yield Internet(
            ca_file=authority.root_file,
            places=places,
            servers=servers,
            web=web,
            web_port=web_port,
            smtp=smtp,
            now=now,
        )


@asynccontextmanager
async def in_it(
    internet: Internet, counts: Counts, folder: Path, *, policy_id: str
) -> AsyncIterator[Gateway]:
    """A gateway behind Unbound, which validates what NSD says."""
    lab = lab_zones(internet.places, ADDRESS, internet.now, policy_id=policy_id)
    with nsd(lab.zones) as upstream, unbound(upstream, [lab.anchor]) as dns:
        stage = Stage(
            dns=dns, ca_file=internet.ca_file, smtp=internet.smtp, web=internet.web_port, counts=counts
        )
        async with gateway(folder, stage) as running:
            yield running
