"""Facts, capabilities and small policies for the tests of the policy engine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gateway.model.address import Address
from gateway.model.capability import Capability, Offer, ProbeFailure
from gateway.model.decision import Decision, Standing
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.policy import Policy, PolicyError, decide, load
from gateway.policy.problems import PolicyProblem

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
BOB = Address("bob", "example.org")
NO_ANSWER = Problem("4.4.3", "no answer")

HEAD = """
[policy]
name = "test"
schema = 1
"""
DEFAULT = """
[default]
require = ["authenticated"]
patience = "1h"
"""


def policy(
    text: str, *, head: str = HEAD, default: str = DEFAULT, files: Mapping[str, str] | None = None
) -> Policy:
    return load(head + default + text, "test.toml", dict(files or {}).__getitem__)


def problems(text: str, *, head: str = HEAD, default: str = DEFAULT) -> tuple[PolicyProblem, ...]:
    """What is wrong with a policy; nothing where it loads."""
    try:
        policy(text, head=head, default=default)
    except PolicyError as error:
        return error.problems
    return ()


def facts(**changes: Any) -> MessageFacts:
    sender = Address("alice", "hospital.example")
    plain = MessageFacts(
        sender=sender,
        authors=(sender,),
        connector="exchange",
        client_network="192.0.2.7",
        authenticated_as=None,
        size=5000,
        recipients=1,
        received_at=NOW,
    )
    return msgspec.structs.replace(plain, **changes)


def offer(method: str, grade: str, **more: Any) -> Offer:
    if method in {"smime", "openpgp"}:
        more.setdefault("scope", "mailbox")
    return Offer(method=method, grade=grade, source="test", **more)


def offers(*words: str) -> tuple[Offer, ...]:
    """Offers from words such as "tls:pkix", "smime:verified:domain"."""
    made = []
    for word in words:
        method, grade, *scope = word.split(":")
        made.append(offer(method, grade, **({"scope": scope[0]} if scope else {})))
    return tuple(made)


def capability(*words: str, unknown: tuple[str, ...] = (), ago: int = 0, **changes: Any) -> Capability:
    """What bob@example.org can receive; lookups of the `unknown` methods have failed for `ago` seconds."""
    since = NOW - timedelta(seconds=ago)
    plain = Capability(
        recipient=BOB,
        observed_at=NOW,
        offers=offers(*words),
        unknown=tuple(ProbeFailure(f"{name}-source", (name,), NO_ANSWER, since) for name in unknown),
    )
    return msgspec.structs.replace(plain, **changes)


def decided(
    rules: Policy,
    about: MessageFacts | None = None,
    known: Capability | None = None,
    *,
    now: datetime = NOW,
    standing: Standing = Standing(),  # noqa: B008  (frozen)
) -> Decision:
    return decide(about or facts(), known or capability("tls:pkix"), rules, now, standing)


def required(decision: Decision) -> set[str]:
    return {name for name, _ in decision.because.required}


def exception(**keys: str) -> str:
    """An exception for bob's mail until the end of March, with these keys."""
    given = {
        "name": '"e"',
        "when": '{ recipient = "bob@example.org" }',
        "reason": '"r"',
        "approved_by": '"a"',
        "expires": "2026-03-31",
        **keys,
    }
    return "[[exception]]\n" + "".join(f"{key} = {value}\n" for key, value in given.items())
