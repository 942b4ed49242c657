"""Reads what came back to an address of ours: finds its errand, writes down what happened, tells the sender.

A report is an errand in the queue like others, so that a crash loses none. Nothing of it is sent on: the sender gets
a notice in our words, with the null sender, once for each thing that happens to an errand; so nothing can go round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from gateway.audit.recorder import Recorder
from gateway.audit.vault import VaultError, VaultOpener
from gateway.deliver.reported import compose_report, wanted
from gateway.model.envelope import Envelope, Errand
from gateway.model.progress import Work
from gateway.service.ledger import Books
from gateway.store.contract import Store
from gateway.wire.report import Happened, Report, read_report
from gateway.wire.service_address import ServiceAddresses, Ticket

READ_APART = 64 * 1024  # octets above which reading leaves the event loop
_TOLD = "reported"  # in the store's memory
_TOLD_FOR = timedelta(days=60)

log = structlog.get_logger()


class Bounces:
    """What the worker does with errands of origin "bounce". `opener` opens the vault, which knows who sent what."""

    def __init__(
        self,
        store: Store,
        books: Books,
        recorder: Recorder,
        opener: VaultOpener,
        addresses: ServiceAddresses,
        *,
        now: Callable[[], datetime],
        unmatched: Callable[[str, Happened], None],
    ) -> None:
        self._store = store
        self._books = books
        self._recorder = recorder
        self._opener = opener
        self._addresses = addresses
        self._now = now
        self._unmatched = unmatched

    async def receive(self, work: Work) -> None:
        """Read one report and settle its errand. Raises what the store raises."""
        envelope = work.errand.envelope
        content = await self._store.content(envelope)
        if len(content) > READ_APART:
            report = await asyncio.to_thread(read_report, content)
        else:
            report = read_report(content)
        # It was good when it was taken in, however long it waited since.
        ticket = self._addresses.read(work.errand.recipient.address, envelope.accepted_at)
        errand = await self._errand(ticket) if ticket is not None else None
        if ticket is None or errand is None:
            self._unmatched(work.errand.id, report.happened)
            message, number = (ticket.message, ticket.number) if ticket else (envelope.id, 0)
            record = self._recorder.reported(message, number, None, report, envelope.id, self._now())
            await self._books.reported(work, record)
        else:
            await self._tell(work, errand, report)

    async def _tell(self, work: Work, errand: Errand, report: Report) -> None:
        now = self._now()
        sender = errand.envelope.sender
        what = f"{errand.id} {report.happened}"
        known = await self._store.recall(_TOLD, what, now) is not None
        notice = None
        if sender is not None and not known and wanted(errand, report.happened):
            notice = self._books.letter(sender, partial(compose_report, errand, report, sender))
        record = self._recorder.reported(
            errand.envelope.id,
            errand.number,
            errand.recipient.address,
            report,
            work.errand.envelope.id,
            now,
            notice=notice.envelope.id if notice else None,
        )
        await self._books.reported(work, record, notice)
        if notice is not None:
            await self._store.remember(_TOLD, what, b"1", now + _TOLD_FOR)

    async def _errand(self, ticket: Ticket) -> Errand | None:
        """What the token names; None where its message's personal values are erased."""
        for row in await self._store.sealed_values(ticket.message):
            try:
                values = self._opener.open(row.message, row.leaf, row.sealed)
            except VaultError as error:
                log.error("a report's message cannot be looked up", message=ticket.message, reason=str(error))
                return None
            for value in values:
                if value.field == "envelope":
                    envelope = msgspec.json.decode(value.value, type=Envelope)
                    return (
                        Errand(envelope, ticket.number) if ticket.number < len(envelope.recipients) else None
                    )
        return None
