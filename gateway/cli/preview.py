"""What would happen to a message: the stages up to the decision, for `policy explain` and `send --preview`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from gateway.classify.message import classify
from gateway.cli.errors import INVALID_INPUT, CommandError
from gateway.cli.letter import read_letter
from gateway.cli.output import out, plain, print_json
from gateway.config import Config
from gateway.model.address import Address
from gateway.model.capability import Capability
from gateway.model.decision import Decision
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.policy import PolicyError, conditions_used, decide
from gateway.policy.explain import explain_data, explain_lines, headline
from gateway.service import wiring
from gateway.service.clock import now
from gateway.service.control import SOCKET
from gateway.service.policies import PolicyInForce
from gateway.service.recollections import RemoteMemory
from gateway.wire.address import AddressError, parse_address
from gateway.wire.age import age_seconds, before


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one recipient; `capability` is a file as `probe --json` writes it."""

    message: Path
    sender: str | None
    recipient: str
    capability: Path | None
    connector: str


class Answer(msgspec.Struct, frozen=True):
    """A decision, when it was made, and when the recipient was looked at on whom it rests."""

    decision: Decision
    at: datetime
    looked_at: datetime

    @property
    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {**explain_data(self.decision), "age_seconds": age_seconds(self.looked_at, self.at)}

    @property
    def lines(self) -> tuple[str, ...]:
        """For a terminal, without colour."""
        return (*explain_lines(self.decision), f"looked at  {before(self.looked_at, self.at)}")


def answer(config: Config, question: Question) -> Answer:
    """What would become of one copy."""
    content = read_letter(question.message)
    recipient = _address(question.recipient)
    known = _capability(question.capability) if question.capability else None
    sender = _address(question.sender) if question.sender else None
    [made] = decisions(config, content, sender, [recipient], question.connector, known)
    return made


def preview_message(config: Config, content: bytes, sender: str, to: Sequence[str], *, json: bool) -> None:
    """Print what would happen to each recipient's copy."""
    recipients = [_address(one) for one in to]
    made = decisions(config, content, _address(sender), recipients, config.connector[0].name, None)
    if json:
        print_json(
            [
                {"recipient": str(recipient), **one.data}
                for recipient, one in zip(recipients, made, strict=True)
            ]
        )
        return
    for recipient, one in zip(recipients, made, strict=True):
        out.print(f"[bold]{plain(str(recipient))}[/bold]: {plain(headline(one.decision))}")
        for line in one.lines:
            out.print(f"  {line}", markup=False, soft_wrap=True)


def decisions(
    config: Config,
    content: bytes,
    sender: Address | None,
    recipients: Sequence[Address],
    connector: str,
    known: Capability | None,
) -> list[Answer]:
    """Classify, probe what is not known, and decide for each recipient, as the gateway would at this moment."""
    try:
        policies = PolicyInForce(config.policy)
    except PolicyError as error:
        raise CommandError(INVALID_INPUT, *map(str, error.problems)) from error
    policy = policies.policy
    envelope = _envelope(content, sender, recipients, connector)
    facts = classify(content, envelope, needs=conditions_used(policy))
    if sender is None and facts.authors:
        envelope = _envelope(content, facts.authors[0], recipients, connector)
        facts = classify(content, envelope, needs=conditions_used(policy))
    if known is not None:
        capabilities = [msgspec.structs.replace(known, recipient=one) for one in recipients]
    else:
        capabilities = asyncio.run(_probe(config, policies, recipients))
    at = now()
    return [
        Answer(decide(facts, capability, policy, at), at, capability.observed_at)
        for capability in capabilities
    ]


async def _probe(config: Config, policies: PolicyInForce, recipients: Sequence[Address]) -> list[Capability]:
    prober = wiring.prober(
        config, policies, RemoteMemory(config.run_directory / SOCKET), wiring.name_servers(config)
    )
    try:
        return list(await asyncio.gather(*(prober.probe(one, now()) for one in recipients)))
    finally:
        await prober.close()


def _envelope(
    content: bytes, sender: Address | None, recipients: Sequence[Address], connector: str
) -> Envelope:
    client = Client(ip="127.0.0.1", port=0, helo="", listener="", connector=connector)
    return Envelope(
        id="preview",
        accepted_at=now(),
        client=client,
        sender=sender,
        recipients=tuple(Recipient(one) for one in recipients),
        size=len(content),
        sha256=sha256(content).digest(),
    )


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise CommandError(INVALID_INPUT, f"`{text}` is no address: {error}") from error


class _Probed(msgspec.Struct, frozen=True):
    """The part of what `probe --json` prints that decisions rest on."""

    capability: Capability


def _capability(file: Path) -> Capability:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Probed).capability
    except OSError as error:
        raise CommandError(INVALID_INPUT, f"{file}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CommandError(
            INVALID_INPUT, f"{file}: is no capability: {error}", hint="sealgate probe --json ADDR writes one"
        ) from error
