"""The whole gateway against servers that fail in every way once: all mail arrives, and no copy is unaccounted for."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.audit.verify import verify
from gateway.service.control import SOCKET, ask
from tests.fakes.scripted_mx import CLOSE, SILENT, Answer, Raw, Script, ScriptedMx, scripted_mx
from tests.hostile.gateway import PATIENCE, Gateway, gateway

MIB = 1 << 20
_RETRY = """
[delivery.retry]
first = "1s"
factor = 1.0
max = "1s"
jitter = 0.0
"""
_ROUTE = """
[[delivery.route]]
domain = "{domain}"
next_hop = "127.0.0.1:{port}"
"""

# Said once; the probe, which connects first, and the next attempt find nothing wrong.
FINE = {"greeting": "220 mx", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", "DOT": "250 ok"}
TROUBLES: dict[str, tuple[str, Answer]] = {
    "greets without end": ("greeting", Raw(b"220-x\r\n" * 50_000, close=True)),
    "greets with a long line": ("greeting", Raw(b"220 " + b"x" * MIB, close=True)),
    "is busy": ("greeting", "421 4.3.2 busy"),
    "hangs up at MAIL": ("MAIL", CLOSE),
    "says nothing to RCPT": ("RCPT", SILENT),
    "answers DATA with binary": ("DATA", Raw(b"\xff\xfe\0\r\n")),
    "says later to the dot": ("DOT", "451 4.3.0 later"),
    "hangs up after the dot": ("DOT", CLOSE),
    "says nothing to the dot": ("DOT", SILENT),
    "is cut off in the 250": ("DOT", Raw(b"250", close=True)),
    "says nonsense to the dot": ("DOT", Raw(b"\0\r\n")),
}
DOUBTFUL = frozenset(
    name for name in list(TROUBLES)[-4:]
)  # who had it whole and did not say what became of it


async def attempts(running: Gateway, recipient: str) -> list[str]:
    """What the log says of each attempt."""
    stories = await ask(running.data / SOCKET, "trace", {"subject": recipient})
    events = [event for story in stories for event in story["events"]]
    return [event["body"]["outcome"] for event in events if event["type"] == "delivery.attempt"]


async def test_nothing_is_lost_and_nothing_sent_twice_without_a_mark(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        servers: dict[str, ScriptedMx] = {}
        routes = _RETRY
        for number, (name, (state, trouble)) in enumerate(TROUBLES.items()):
            first = [FINE[state]] if state == "greeting" else []
            script = Script(offers_tls=False, answers={state: [*first, trouble, FINE[state]]})
            servers[name] = await stack.enter_async_context(scripted_mx(script))
            routes += _ROUTE.format(domain=f"d{number}.example", port=servers[name].port)
        running = await stack.enter_async_context(gateway(tmp_path, more=routes))
        for number in range(len(servers)):
            assert (await running.submit(f"bob@d{number}.example")).startswith(b"250 ")
        for number, (name, server) in enumerate(servers.items()):
            said = await _settled(running, f"bob@d{number}.example", doubtful=name in DOUBTFUL)
            assert set(said[:-1]) <= {"deferred"}, name
            assert said[-1] == ("unknown" if name in DOUBTFUL else "delivered"), name
            assert name in DOUBTFUL or len(said) > 1, name
            copies = (
                2 if name == "says later to the dot" else 1
            )  # it said clearly that it did not keep the first
            assert len(server.messages) == copies, name
            bodies = {message.content.partition(b"\r\n\r\n")[2] for message in server.messages}
            assert bodies == {b"hello bob@d%d.example\r\n" % number}, name
        queue = await ask(running.data / SOCKET, "queue.list", {"limit": 100})
        assert {entry["recipient"] for entry in queue if entry["possibly_delivered"]} == {
            f"bob@d{number}.example" for number, name in enumerate(TROUBLES) if name in DOUBTFUL
        }
        assert all(entry["possibly_delivered"] for entry in queue)
    report = verify(tmp_path / "data/audit")
    assert [str(one) for one in report.findings if one.kind.exit_code] == []


async def _settled(running: Gateway, recipient: str, *, doubtful: bool) -> list[str]:
    """The attempts, once there is nothing more to wait for: a doubtful one is repeated after a quarter of an hour."""
    async with asyncio.timeout(PATIENCE):
        while True:
            said = await attempts(running, recipient)
            if "delivered" in said or (doubtful and said):
                return said
            await asyncio.sleep(0.05)  # from outside there is no other way to wait
