"""`./dev bench relay --ours-only`: Sealgate by itself, for whoever makes it faster; CPU by thread after each round."""

from __future__ import annotations

from rich.console import Console

from bench import processes
from bench.cells import Cell
from bench.running import run
from bench.sealgate import sealgate, verify_log
from bench.world import World

_WARM_UP = 200  # messages
_MIB = 1 << 20


def alone(world: World, cell: Cell, rounds: int, messages: int, console: Console) -> None:
    """Print what each round showed. Raises BenchFailed where mail is lost."""
    with sealgate(world, cell.job, named=True) as gateway:
        pid = gateway.device.pid
        console.print(
            f"{cell}; Sealgate is process {pid} (perf record -g -p {pid}), its log {gateway.home}/log"
        )
        run(world, gateway.device, cell.load, min(_WARM_UP, messages))
        for number in range(rounds):
            before = processes.threads(pid)
            result = run(world, gateway.device, cell.load, messages)
            after = processes.threads(pid)
            console.print(
                f"{number + 1}: accepted {result.accepted:,.0f}/s, delivered {result.delivered:,.0f}/s, "
                f"CPU {result.cpu * 1e3:.3f} ms a message (generator and sink {result.tools_cpu * 1e3:.3f}), "
                f"machine {result.busy:.0%} busy"
            )
            used = {name: (time - before.get(name, 0.0)) / messages * 1e3 for name, time in after.items()}
            for name, share in sorted(used.items(), key=lambda item: -item[1]):
                if share >= 0.0005:
                    console.print(f"     {share:7.3f} ms  {name}")
        memory = processes.memory(pid)
        console.print(
            f"memory: {memory.processes} processes, PSS {memory.pss / _MIB:.0f} MiB, RSS {memory.rss / _MIB:.0f} MiB"
        )
    console.print(f"audit log verified: {verify_log(gateway.home)} records")
