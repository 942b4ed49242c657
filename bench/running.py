"""One run: so many messages through one device, and what it took. Nothing may be lost or changed on the way."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import msgspec

from bench import processes
from bench.device import Device
from bench.generator import Order, Sent
from bench.letters import make_letter
from bench.sink import Report
from bench.world import ROOT, BenchFailed, Job, World, fresh_run

_PATIENCE = 30.0  # seconds without a message at the sink
_AFTERWARDS = 1.1  # seconds in which a device finishes its books (seals, cleans up); they count as its CPU


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent. `fresh`: a connection for each message."""

    size: int
    sessions: int
    fresh: bool = False
    domains: int = 5
    rate: float = 0.0


class Waits(msgspec.Struct, frozen=True):
    """How long the 250 took, in seconds."""

    p50: float
    p95: float
    p99: float
    longest: float


class Result(msgspec.Struct, frozen=True):
    """What one run showed. Rates in messages a second, CPU in seconds a message; `busy` of all cores."""

    messages: int
    accepted: float
    delivered: float
    cpu: float
    tools_cpu: float
    busy: float
    waits: Waits


def run(world: World, device: Device, load: Load, messages: int) -> Result:
    """Raises BenchFailed where a message is missing, doubled or changed, or travelled without the job's protection."""
    name = fresh_run()
    order = Order(
        device.host,
        device.port,
        load.size,
        messages,
        load.sessions,
        name,
        load.fresh,
        load.domains,
        load.rate,
    )
    world.sink.expect(name, messages)
    cpu, sink_cpu = processes.cpu(device.pid), processes.cpu(world.sink.pid)
    busy, idle = processes.machine_busy()
    sent = _send(order)
    report = world.sink.arrived(_PATIENCE)
    busy_end, idle_end = processes.machine_busy()
    sink_cpu = processes.cpu(world.sink.pid) - sink_cpu
    time.sleep(_AFTERWARDS)
    cpu = processes.cpu(device.pid) - cpu
    _check(device, load, messages, report)
    return Result(
        messages=messages,
        accepted=messages / (sent.ended - sent.began),
        delivered=messages / (report.at - sent.began),
        cpu=cpu / messages,
        tools_cpu=(sent.cpu + sink_cpu) / messages,
        busy=(busy_end - busy) / (busy_end - busy + idle_end - idle),
        waits=_waits(sorted(sent.waits)),
    )


def _waits(every: list[float]) -> Waits:
    p50, p95, p99 = (every[int(share * len(every))] for share in (0.5, 0.95, 0.99))
    return Waits(p50, p95, p99, every[-1])


def _send(order: Order) -> Sent:
    command = [sys.executable, "-m", "bench.generator", msgspec.json.encode(order).decode()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise BenchFailed(f"the generator stopped: {done.stderr.decode()[-600:]}")
    return msgspec.json.decode(done.stdout, type=Sent)


def _check(device: Device, load: Load, messages: int, report: Report) -> None:
    if report.count != messages or report.strays:
        raise BenchFailed(
            f"{device.name}: {report.count} messages for {messages} sent, {report.strays} of another run"
        )
    if report.bodies != {make_letter(load.size).digest}:
        raise BenchFailed(f"{device.name}: a body arrived changed")
    if report.secured != (messages if device.job is Job.TLS else 0):
        raise BenchFailed(
            f"{device.name}: {report.secured} of {messages} came over TLS in the job {device.job}"
        )
