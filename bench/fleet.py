"""All devices of a bench, running side by side; who has no turn is idle. What ours took is checked against its log."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.device import Device
from bench.postfix import Variant, postfix
from bench.running import Load, Result, run
from bench.sealgate import sealgate, verify_log
from bench.world import BenchFailed, Job, World

_RECORDS = 3  # audit records of a message that is taken, decided and delivered, at the least


@dataclass
class Fleet:
    """The devices. `records` counts the verified audit records, once all have stopped."""

    world: World
    devices: list[Device]
    records: int = 0
    sent: dict[Device, int] = field(default_factory=dict)

    def run(self, device: Device, load: Load, messages: int) -> Result:
        """One run on one device. Raises BenchFailed where mail is lost or changed."""
        result = run(self.world, device, load, messages)
        self.sent[device] = self.sent.get(device, 0) + messages
        return result


@contextmanager
def open_fleet(world: World, jobs: Collection[Job], *, default: bool) -> Iterator[Fleet]:
    """The devices of the jobs; `default`: Postfix without session cache, too. Raises BenchFailed for a bad log."""
    with ExitStack() as stack:
        ours = [stack.enter_context(sealgate(world, job)) for job in jobs]
        variants = [Variant.PLAIN] if Job.PLAIN in jobs else []
        variants += [Variant.CACHE] if Job.TLS in jobs else []
        variants += [Variant.DEFAULT] if default and Job.TLS in jobs else []
        peers = [stack.enter_context(postfix(world, variant)) for variant in variants]
        fleet = Fleet(world, [*(one.device for one in ours), *peers])
        yield fleet
    for one in ours:
        records, sent = verify_log(one.home), fleet.sent.get(one.device, 0)
        if records < _RECORDS * sent:
            raise BenchFailed(f"{records} audit records for {sent} messages")
        fleet.records += records
