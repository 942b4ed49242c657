"""The ways by which an alarm reaches a person, and the record: each takes a digest or says that it cannot now."""

from __future__ import annotations

import hmac
import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from gateway.audit.recorder import Recorder
from gateway.model.address import Address
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.ids import message_id
from gateway.model.progress import Progress, State
from gateway.net.http import Headers, HttpClient, HttpFailure, HttpRequest
from gateway.net.syslog import Receiver, hand_over
from gateway.service.alerts import forms
from gateway.service.alerts.news import Digest
from gateway.store.contract import Store, StoreError

CONNECTOR = "alerts"  # by which our own alarms are known in the queue


class CannotTell(Exception):
    """Not now; the text says why. The digest is offered again."""


class Channel(Protocol):
    """One way. When `tell` returns, the digest is handed over; it raises CannotTell otherwise."""

    name: str

    async def tell(self, digest: Digest, now: datetime) -> None: ...


class OnRecord:
    """The audit log: kinds and counts in the clear, texts sealed."""

    name = "record"

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder

    async def tell(self, digest: Digest, now: datetime) -> None:
        states = Counter(str(item.state) for item in digest.items)
        texts = [f"{item.alarm.key}: {forms.sentence(item)}" for item in digest.items[: forms.SHOWN]]
        try:
            await self._store.append(self._recorder.alarms(digest.kind.value, states, texts, now))
        except StoreError as error:
            raise CannotTell(str(error)) from error


class ByMail:
    """Our own queue. Its sender is the null one, so that no notice can come of it but one to the postmaster."""

    name = "mail"

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        *,
        hostname: str,
        sender: Address,
        recipients: Sequence[Address],
        entropy: Callable[[int], bytes],
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._hostname = hostname
        self._sender = sender
        self._recipients = tuple(recipients)
        self._entropy = entropy
        self._changed = changed

    async def tell(self, digest: Digest, now: datetime) -> None:
        fresh = message_id(int(now.timestamp() * 1000), self._entropy(7))
        content = forms.mail(
            digest,
            hostname=self._hostname,
            sender=self._sender,
            recipients=self._recipients,
            now=now,
            fresh=fresh,
        )
        envelope = self._envelope(fresh, content, now)
        queued = Progress(state=State.QUEUED, due_at=now)
        try:
            body = self._store.body_writer()
            await body.write(content)
            await self._store.accept(
                envelope,
                body,
                self._recorder.received(envelope),
                progress=(queued,) * len(self._recipients),
                lease_until=None,
            )
        except StoreError as error:
            raise CannotTell(str(error)) from error
        self._changed()

    def _envelope(self, fresh: str, content: bytes, now: datetime) -> Envelope:
        client = Client(
            ip="", port=0, helo=self._hostname, listener="", connector=CONNECTOR, protocol="local"
        )
        return Envelope(
            id=fresh,
            accepted_at=now,
            client=client,
            sender=None,
            recipients=tuple(map(Recipient, self._recipients)),
            size=len(content),
            sha256=sha256(content).digest(),
            smtputf8=any(one.needs_smtputf8 for one in self._recipients),
            origin="notice",
        )


class BySyslog:
    """A syslog receiver, one message an alarm."""

    name = "syslog"

    def __init__(self, receiver: Receiver, hostname: str) -> None:
        self._receiver = receiver
        self._hostname = hostname

    async def tell(self, digest: Digest, now: datetime) -> None:
        try:
            await hand_over(forms.syslog(digest, self._hostname, os.getpid(), now), self._receiver)
        except OSError as error:
            receiver = self._receiver
            raise CannotTell(f"{receiver.transport}://{receiver.host}:{receiver.port}: {error}") from error


class ByWebhook:
    """A POST of JSON. With a secret it is signed, or with `secret_header` accompanied by it."""

    name = "webhook"

    def __init__(
        self,
        client: HttpClient,
        url: str,
        hostname: str,
        secret: bytes = b"",
        secret_header: str | None = None,
    ) -> None:
        self._client = client
        self._url = url
        self._hostname = hostname
        self._secret = secret
        self._secret_header = secret_header

    async def tell(self, digest: Digest, now: datetime) -> None:
        body = forms.document(digest, self._hostname, now)
        headers: Headers = (
            ("Content-Type", "application/json"),
            ("User-Agent", "Sealgate"),
            *self._proof(body, now),
        )
        answer = await self._client.ask(
            HttpRequest(
                url=self._url,
                method="POST",
                headers=headers,
                body=body,
                plain=self._url.startswith("http:"),
                seconds=30,
            )
        )
        if isinstance(answer, HttpFailure):
            raise CannotTell(answer.problem.private)
        if not 200 <= answer.status < 300:
            raise CannotTell(f"the web server at {answer.address} answered {answer.status}")

    def _proof(self, body: bytes, now: datetime) -> Headers:
        if not self._secret:
            return ()
        if self._secret_header is not None:
            return ((self._secret_header, self._secret.decode("latin-1")),)
        stamp = str(int(now.timestamp()))
        signature = hmac.digest(self._secret, stamp.encode() + b"." + body, "sha256").hex()
        return (("X-Sealgate-Timestamp", stamp), ("X-Sealgate-Signature", signature))
