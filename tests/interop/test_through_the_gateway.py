"""A real Postfix has us as its relayhost: its mail goes through a whole gateway to a real Exim or Postfix with a proved
certificate, once to every recipient and octet for octet; what is not ours to send stops at our door.

Only trace fields come on top: Postfix's, then ours. Postfix is told to leave Bcc in, so that taking it out is up to us.
"""

from __future__ import annotations

import re
import smtplib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from gateway.audit.verify import verify
from tests.fakes.authority import Authority
from tests.interop.gateway_process import HOSTNAME, MX, Gateway, gateway
from tests.interop.mixed_mail import CROWD, DOMAINS, SENDER, Sample, To, copies, message, mixed_mail
from tests.peers import Peer, Sink, StoredMessage, exim_sink, postfix_relay, postfix_sink
from tests.peers.postfix import queued

_PATIENCE = 200.0  # seconds; a quiet machine needs a tenth of it
_FIELD = rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*"
_TRACE = re.compile(rb"\A(%b)(%b)" % (_FIELD, _FIELD))
_NAME = re.compile(rb"^Message-ID: <([^@\r]+)@hospital\.example>", re.MULTILINE)

# Where Exim's configuration says `accept` it looks for an ACL of that name: this one notes each command as it came.
_NOTE_COMMANDS = """\
acl_smtp_mail = accept
smtp_accept_queue_per_connection = 0
begin acl
accept:
  accept logwrite = COMMAND $smtp_command
"""


@contextmanager
def noting_exim(certificate: Path, key: Path, *, address: str) -> Iterator[Sink]:
    with exim_sink(certificate, key, address=address, more=_NOTE_COMMANDS) as sink:
        yield sink


OpenSink = Callable[..., AbstractContextManager[Sink]]


class Chain:
    """Postfix, our gateway, and the recipients' server."""

    def __init__(self, relay: Peer, middle: Gateway, sink: Sink) -> None:
        self.relay = relay
        self.gateway = middle
        self.sink = sink

    def submit(self, *samples: Sample) -> None:
        """Hands messages to Postfix, all in one session."""
        with smtplib.SMTP(self.relay.host, self.relay.port, "client.hospital.example", _PATIENCE) as client:
            client.ehlo()
            for sample in samples:
                _accepted(client.mail(sample.sender, sample.parameters), sample)
                for to in sample.to:
                    _accepted(client.rcpt(to.address, to.parameters), sample)
                _accepted(client.data(sample.content), sample)

    def settled(self) -> list[StoredMessage]:
        """What the sink has kept once nothing is on the way any more, and the gateway has ended as it should."""
        self.relay.wait(lambda: queued(self.relay) == 0, "an empty queue of Postfix", _PATIENCE)
        self.gateway.wait(lambda: self.gateway.ask("queue", "list") == [], "an empty queue", _PATIENCE)
        assert self.gateway.finish() == 0
        return self.sink.messages()


def _accepted(reply: tuple[int, bytes], sample: Sample) -> None:
    assert reply[0] == 250, f"{sample.name}: {reply}"


@contextmanager
def chain(folder: Path, open_sink: OpenSink, main_cf: Mapping[str, str] | None = None) -> Iterator[Chain]:
    authority = Authority(folder)
    certificate = Path(authority.issue(MX))
    wanted = {
        "smtp_tls_security_level": "secure",
        "smtp_tls_CAfile": authority.ca_file,
        "smtp_tls_secure_cert_match": HOSTNAME,
        "message_drop_headers": "",
        **(main_cf or {}),
    }
    with (
        open_sink(certificate, certificate, address="127.0.0.23") as sink,
        gateway(folder / "gateway", authority, sink, (*DOMAINS, "hospital.example")) as middle,
        postfix_relay((middle.host, middle.port), address="127.0.0.24", main_cf=wanted) as relay,
    ):
        try:
            yield Chain(relay, middle, sink)
        finally:
            for name, peer in (("relay", relay), ("gateway", middle), ("sink", sink)):
                (folder / f"{name}.log").write_text(peer.log)  # pytest keeps the folder of a test that fails


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("open_sink", [noting_exim, postfix_sink])
def test_three_hundred_mixed_messages_arrive_as_they_left(open_sink: OpenSink, tmp_path: Path) -> None:
    samples = mixed_mail()
    expected = list(copies(samples))
    notices = sum("SUCCESS" in one for _, to in expected for one in to.parameters)
    if open_sink is noting_exim:
        notices = 0  # unpacked below root's folder, it cannot start itself as the user who writes notices
    with chain(tmp_path, open_sink) as through:
        through.submit(*samples)
        through.sink.wait_for(len(expected) + notices, _PATIENCE)
        kept = through.settled()
        commands = through.sink.log

    arrived = [one for one in kept if one.recipient != SENDER]
    assert Counter(map(_whose, arrived)) == Counter((sample.name, to.arrives) for sample, to in expected)
    contents = {sample.name: sample.arrives for sample in samples}
    if open_sink is noting_exim:
        contents = {name: _without_blank_folds(content) for name, content in contents.items()}
    for one in arrived:
        _assert_as_it_left(one, contents[_name(one)])
    senders = {sample.name: sample.sender for sample in samples}
    assert [one for one in arrived if one.sender != senders[_name(one)]] == []
    _assert_trace_names_no_other_recipient(arrived)
    if notices:
        _assert_notices_name_what_was_asked([one for one in kept if one.recipient == SENDER], expected)
    else:
        _assert_parameters_arrived(commands, expected)
    _assert_records_hold(through.gateway)


def _name(one: StoredMessage) -> str:
    found = _NAME.search(one.content)
    assert found is not None, one.content[:2000]
    return found[1].decode()


def _whose(one: StoredMessage) -> tuple[str, str]:
    return _name(one), one.recipient


def _without_blank_folds(content: bytes) -> bytes:
    """What Exim makes of a header whose last line is blank, whoever sends it; Postfix keeps it."""
    head, end, body = content.partition(b"\r\n\r\n")
    return re.sub(rb"(?m)^[ \t]+\r\n", b"", head + b"\r\n") + end[2:] + body


def _assert_as_it_left(one: StoredMessage, wanted: bytes) -> None:
    trace = _TRACE.match(one.content)
    assert trace is not None, one.content[:2000]
    ours, theirs = trace[1], trace[2]
    assert f"by {HOSTNAME} (Sealgate) with ".encode() in ours
    assert b"(Postfix)" in theirs
    content = one.content[trace.end() :]
    same = content == wanted  # compared outside the assert: a difference of megabytes takes pytest minutes
    assert same, _difference(_name(one), wanted, content)


def _difference(name: str, wanted: bytes, content: bytes) -> str:
    """Where two messages part, in a few words."""
    shorter = min(len(wanted), len(content))
    at = next((place for place in range(shorter) if wanted[place] != content[place]), shorter)
    around = slice(max(0, at - 80), at + 80)
    return f"{name}, octet {at}: {wanted[around]!r} left, {content[around]!r} arrived"


def _assert_trace_names_no_other_recipient(arrived: list[StoredMessage]) -> None:
    """Half of them are blind copies: who gets one learns of the others from no trace field."""
    crowd = [one for one in arrived if _name(one).startswith("crowd")]
    assert len(crowd) == CROWD
    for one in crowd:
        others = [to.recipient for to in crowd if to.recipient != one.recipient]
        trace = one.received + _top(one)
        assert not any(f"<{other}>".encode() in trace for other in others)


def _top(one: StoredMessage) -> bytes:
    trace = _TRACE.match(one.content)
    assert trace is not None
    return trace[0]


def _assert_notices_name_what_was_asked(
    notices: list[StoredMessage], expected: list[tuple[Sample, To]]
) -> None:
    """The sink reports success to whom it was asked to, by the names that our client gave: ORCPT and ENVID."""
    asked = [
        (_value("ENVID", sample.parameters), _value("ORCPT", to.parameters))
        for sample, to in expected
        if any("SUCCESS" in one for one in to.parameters)
    ]
    told = [
        (_field(b"Original-Envelope-I[Dd]", one.content), _field(b"Original-Recipient", one.content))
        for one in notices
    ]
    assert sorted(told) == sorted((_plain(envelope), _plain(recipient)) for envelope, recipient in asked)


def _value(name: str, parameters: tuple[str, ...]) -> str:
    return next(one.partition("=")[2] for one in parameters if one.startswith(f"{name}="))


def _plain(xtext: str) -> str:
    """RFC 3461 section 4: +XX stands for an octet."""
    return re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), xtext)


def _field(name: bytes, content: bytes) -> str:
    found = re.search(rb"^%b: *([^\r]*)\r$" % name, content, re.MULTILINE)
    assert found is not None, content[:4000]
    return found[1].decode()


def _assert_parameters_arrived(log: str, expected: list[tuple[Sample, To]]) -> None:
    """The very parameters that our client gave came with one command each, and with no other.

    But for RET: where policy demands a proved server, a bounce by whatever way must not bring the content back.
    """
    words = [set(command.split()) for command in re.findall(r"COMMAND (.*)", log)]
    asked = [(sample, to) for sample, to in expected if to.parameters]
    for sample, to in asked:
        given = {one for one in sample.parameters if not one.startswith("RET=")}
        assert sum(one >= given for one in words) == 1, sample.parameters
        assert sum(one >= set(to.parameters) for one in words) == 1, to.parameters
    mails = [one for one in words if "MAIL" in one]
    assert mails
    assert all({one for one in each if one.startswith("RET=")} == {"RET=HDRS"} for each in mails)
    for name in ("ENVID", "NOTIFY"):
        assert sum(any(word.startswith(f"{name}=") for word in one) for one in words) == len(asked), name


def _assert_records_hold(middle: Gateway) -> None:
    """The log verifies, and nothing is missing or in doubt."""
    report = verify(middle.audit_folder)
    assert [str(one) for one in report.findings if one.kind.exit_code] == []
    assert report.exit_code == 0


@pytest.mark.timeout(300)
def test_what_is_not_ours_to_send_stops_at_our_door(tmp_path: Path) -> None:
    """Postfix gets a refusal and tells the sender: its notice, with a null sender and From of ours, passes."""
    to = (To("bob@clinic.example"),)
    stranger = message("stranger", b"x\r\n", author="eve@practice.example")
    with chain(tmp_path, exim_sink, {"myorigin": "hospital.example"}) as through:
        through.submit(
            Sample("stranger", stranger, to, sender="eve@practice.example"),
            Sample("masked", stranger, to),
            Sample("null", stranger, to, sender=""),
            Sample("ours", message("ours", b"x\r\n"), to, sender=""),
        )
        refused = through.relay.wait_for_log(r"status=bounced .* said: 5", 3, _PATIENCE)
        through.sink.wait_for(3, _PATIENCE)
        kept = through.settled()

    assert sorted(re.findall(r"said: (\d+ \S+) .*in reply to (.*?) command", "\n".join(refused))) == [
        ("550 5.7.1", "MAIL FROM"),
        ("550 5.7.1", "end of DATA"),
        ("550 5.7.1", "end of DATA"),
    ]
    assert Counter((one.sender, one.recipient) for one in kept) == {
        ("", "bob@clinic.example"): 1,  # `ours`
        ("", SENDER): 1,
        ("", "eve@practice.example"): 1,
    }
    assert [_name(one) for one in kept if one.recipient == "bob@clinic.example"] == ["ours"]
    _assert_records_hold(through.gateway)
