"""Our notices read by flufl.bounce, Mailman's reader of other people's bounces, as Debian packages it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.deliver.notice import Kind, Notice, compose_notice
from gateway.model.address import Address
from gateway.model.envelope import Client, Envelope, Errand, Recipient
from gateway.model.problem import Problem
from gateway.model.progress import Progress, State
from tests.peers.packages import PeerUnavailable, unpacked

PACKAGES = ("python3-flufl.bounce", "python3-zope.interface", "python3-zope.event")
READER = """
import email, json, sys
from flufl.bounce import all_failures
temporary, permanent = all_failures(email.message_from_bytes(sys.stdin.buffer.read()))
print(json.dumps([sorted(one.decode() for one in found) for found in (temporary, permanent)]))
"""
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
ORIGINAL = b"From: ann@example.org\r\nMessage-ID: <1@example.org>\r\nSubject: Secret\r\n\r\n"

Read = Callable[[bytes], list[list[str]]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """The recipients that it takes for failed: for now, and for good."""
    try:
        root = unpacked(*PACKAGES, libraries=False)
    except PeerUnavailable as reason:
        pytest.skip(str(reason))
    # Its namespace packages ask for setuptools' old helper; one folder is all they have here.
    helper: Path = tmp_path_factory.mktemp("helper")
    (helper / "pkg_resources.py").write_text("def declare_namespace(name): pass\n")
    folders = (str(helper), str(root / "usr/lib/python3/dist-packages"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}

    def found(content: bytes) -> list[list[str]]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", READER],
            input=content,
            capture_output=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        answer: list[list[str]] = json.loads(done.stdout)
        return answer

    return found


def notice(kind: Kind, *recipients: str) -> bytes:
    envelope = Envelope(
        id="01hxyz",
        accepted_at=NOW - timedelta(hours=2),
        client=Client(ip="192.0.2.1", port=1, helo="h", listener="l", connector="c"),
        sender=Address("ann", "example.org"),
        recipients=tuple(Recipient(Address(name, "example.com")) for name in recipients),
        size=1,
        sha256=b"",
        envid="id+2B1",
    )
    reason = Problem("4.4.1" if kind is Kind.DELAYED else "5.1.1", "the server said no")
    progress = Progress(
        state=State.QUEUED if kind is Kind.DELAYED else State.FAILED, due_at=NOW, reason=reason
    )
    return compose_notice(
        [
            Notice(
                kind=kind,
                to=Address("ann", "example.org"),
                errand=Errand(envelope, number),
                progress=progress,
            )
            for number in range(len(recipients))
        ],
        hostname="gw.example.org",
        postmaster=Address("postmaster", "gw.example.org"),
        now=NOW,
        message_id="n1@gw.example.org",
        boundary="=_b",
        original=ORIGINAL,
    )


def test_a_failure_is_one_for_good(read: Read) -> None:
    assert read(notice(Kind.FAILED, "bob")) == [[], ["bob@example.com"]]
    assert read(notice(Kind.REJECTED, "bob", "eve")) == [[], ["bob@example.com", "eve@example.com"]]


def test_a_delay_is_none(read: Read) -> None:
    temporary, permanent = read(notice(Kind.DELAYED, "bob"))
    assert permanent == []
    assert temporary in ([], ["bob@example.com"])


def test_mail_handed_over_is_no_failure(read: Read) -> None:
    assert read(notice(Kind.RELAYED, "bob")) == [[], []]
