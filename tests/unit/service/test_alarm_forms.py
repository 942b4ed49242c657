"""Alarms as mail, JSON and syslog: read by independent parsers, whatever their texts hold."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.model.alarm import Alarm, AlarmKind
from gateway.service.alerts import forms
from gateway.service.alerts.news import Digest, Item, State

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
OPS = Address("ops", "hospital.example")


def digest(
    *texts: str, state: State = "raised", kind: AlarmKind = AlarmKind.DISK, key: str = "/data"
) -> Digest:
    alarms = [
        Alarm(kind=kind, key=key, text=text, remedy="make room", since=NOW, at=NOW, over=None)
        for text in texts
    ]
    return Digest(kind, tuple(Item(state, alarm) for alarm in alarms))


def as_mail(one: Digest) -> bytes:
    return forms.mail(
        one, hostname="gw.hospital.example", sender=OPS, recipients=(OPS,), now=NOW, fresh="abc"
    )


def test_the_mail_says_what_where_since_when_and_what_to_do() -> None:
    mail = message_from_bytes(as_mail(digest("the disk of /data has 3 % left")), policy=policy.default)
    body = mail.get_content()

    assert mail["Subject"] == "[gw.hospital.example] room is running out"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "the disk of /data has 3 % left" in body
    assert "What to do: make room" in body
    assert "Since 2026-03-01 12:30 UTC" in body


def test_every_kind_has_a_title() -> None:
    assert all(forms.title(digest("x", kind=kind)) for kind in AlarmKind)


@pytest.mark.parametrize(("state", "words"), [("over", "over: room"), ("still", "still: room")])
def test_the_subject_says_that_it_is_over(state: State, words: str) -> None:
    mail = message_from_bytes(as_mail(digest("x", state=state)), policy=policy.default)

    assert words in mail["Subject"]


def test_a_thousand_alarms_make_one_message_of_bounded_length() -> None:
    mail = message_from_bytes(as_mail(digest(*["full"] * 1000)), policy=policy.default)

    assert f"And {1000 - forms.SHOWN} more" in mail.get_content()
    assert len(json.loads(forms.document(digest(*["full"] * 1000), "gw", NOW))["alarms"]) == forms.SHOWN


@given(st.text(max_size=300), st.text(max_size=100))
def test_no_text_can_add_a_line_to_anything(text: str, key: str) -> None:
    one = digest(text, key=key)
    mail = message_from_bytes(as_mail(one), policy=policy.compat32)
    (line,) = forms.syslog(one, "gw.hospital.example", 7, NOW)

    assert mail.keys() == message_from_bytes(as_mail(digest("x")), policy=policy.compat32).keys()
    assert max(map(len, as_mail(one).split(b"\r\n"))) <= 998
    assert as_mail(one).replace(b"\r\n", b"").count(b"\n") == 0
    assert not re.search(rb"[\x00-\x1f]", line)
    assert len(line) <= 2048


def test_syslog_is_rfc_5424() -> None:
    (line,) = forms.syslog(digest("the disk is full"), "gw.hospital.example", 7, NOW)

    assert line == (
        b"<27>1 2026-03-01T12:30:00.000000Z gw.hospital.example sealgate 7 disk - "
        b"raised disk//data: the disk is full; what to do: make room"
    )


def test_syslog_announces_utf_8() -> None:
    (line,) = forms.syslog(digest("das Gerät ist voll", state="over"), "gw.hospital.example", 7, NOW)

    assert line.startswith(b"<29>1 ")
    assert b" - \xef\xbb\xbfover disk//data: das Ger\xc3\xa4t" in line
