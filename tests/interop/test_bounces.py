"""A real Postfix takes a message and finds out later that it cannot deliver it: the sender hears of it from us."""

from __future__ import annotations

import smtplib
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from gateway.audit.verify import verify
from tests.fakes.authority import Authority
from tests.interop.gateway_process import MX, gateway
from tests.peers import Sink, StoredMessage, postfix_sink
from tests.peers.peer import free_port

SENDER = "dr.grey@hospital.example"
GONE, LATE, LIVELY = "gone@clinic.example", "late@clinic.example", "lively@clinic.example"
BOUNCES = "bounces.hospital.example"
_SERVICE = "127.0.0.26"
_PATIENCE = 60.0

_LISTENER = """\
[[listener]]
name = "inbound"
kind = "service"
address = "{address}:{port}"
certificate = "{certificate}"
key = "{certificate}"
"""


def _notices(sink: Sink) -> list[Message]:
    return [message_from_bytes(one.content) for one in sink.messages() if one.recipient == SENDER]


def _of(sink: Sink, recipient: str) -> list[StoredMessage]:
    return [one for one in sink.messages() if one.recipient == recipient]


@pytest.mark.timeout(240)
def test_what_postfix_returns_later_reaches_the_sender_in_our_words(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = Path(authority.issue(MX))
    port = free_port(_SERVICE)
    settings = {  # it takes everything, and finds out afterwards
        "smtpd_reject_unlisted_recipient": "no",
        "virtual_mailbox_maps": f"inline:{{ {{ {LIVELY} = mail/ }} {{ {SENDER} = mail/ }} }}",
        "transport_maps": f"inline:{{ {{ {LATE} = smtp:[{_SERVICE}]:{free_port(_SERVICE)} }} "
        f"{{ {BOUNCES} = smtp:[{_SERVICE}]:{port} }} }}",
        "delay_warning_time": "1s",
        "minimal_backoff_time": "1s",
        "queue_run_delay": "1s",
        "smtp_tls_security_level": "may",
    }
    with postfix_sink(certificate, certificate, address="127.0.0.27", main_cf=settings) as sink:
        own = Path(authority.issue(BOUNCES))
        own.chmod(0o600)
        listener = _LISTENER.format(address=_SERVICE, port=port, certificate=own)
        with gateway(
            tmp_path / "gateway",
            authority,
            sink,
            ("clinic.example", "hospital.example"),
            connector=f'bounce_domain = "{BOUNCES}"',
            more=listener,
        ) as middle:
            with smtplib.SMTP(middle.host, middle.port, "mail.hospital.example", _PATIENCE) as client:
                client.starttls()
                client.ehlo()
                content = (
                    f"From: {SENDER}\r\nTo: {GONE}, {LATE}, {LIVELY}\r\nSubject: SECRET\r\n\r\nSECRET\r\n"
                )
                client.sendmail(SENDER, [GONE, LATE, LIVELY], content)
            sink.wait(lambda: len(_notices(sink)) >= 2, "two notices", _PATIENCE)
            (delivered,) = _of(sink, LIVELY)
            middle.wait(lambda: middle.ask("queue", "list") == [], "an empty queue", _PATIENCE)
            words = [
                event["words"]
                for recipient in (GONE, LATE)
                for story in middle.ask("trace", recipient)
                for event in story["events"]
                if event["type"] == "delivery.reported"
            ]
            assert middle.finish() == 0
            told = {notice["Subject"].split(":")[0]: notice.as_string() for notice in _notices(sink)}

    assert delivered.sender.startswith("b+")
    assert set(told) == {"Not delivered", "Delayed"}
    assert f"Final-Recipient: rfc822; {GONE}" in told["Not delivered"]
    assert "Status: 5.1.1" in told["Not delivered"]
    assert f"Final-Recipient: rfc822; {LATE}" in told["Delayed"]
    assert "SECRET" not in "".join(told.values())
    assert any("could not deliver it" in each for each in words)
    assert any("reports a delay" in each for each in words)
    report = verify(middle.audit_folder)
    assert [str(one) for one in report.findings if one.kind.exit_code] == []
