"""What comes back: mail leaves with an address of ours, and reports to it reach the sender in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message

import aiosmtplib
import pytest

from gateway.audit.verify import verify
from gateway.demo.cast import SENDER
from tests.peers.peer import free_port
from tests.scenario.gateway.conftest import World, letter

ADDRESS = "127.53.0.2"
DOMAIN = "bounces.hospital.example"
ONTO, ALSO = "anna@good.example", "ben@good.example"

_REPORT = """\
From: MAILER-DAEMON@mx.good.example
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

the SECRET words of a server
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.good.example

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 no such mailbox here
--b
Content-Type: message/rfc822

From: dr.grey@hospital.example
Subject: SECRET results
Message-ID: <m@hospital.example>

SECRET
--b--
"""


class Bouncing:
    """The demo's gateway with a service listener, and the servers behind it that send reports."""

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.port = port

    async def send(self, *recipients: str, sender: str = SENDER) -> list[str]:
        """Send a letter; the envelope senders under which its copies arrived."""
        before = len(self.world.internet.postbox.receptions)
        await self.world.submit(letter(*recipients), *recipients, sender=sender)

        def there(receptions: object) -> bool:
            return len(self.world.internet.postbox.receptions) >= before + len(recipients)

        await self.world.internet.postbox.until(there)
        return [one.sender for one in self.world.internet.postbox.receptions[before:]]

    async def report(
        self, to: str, action: str = "failed", status: str = "5.1.1", text: str = _REPORT
    ) -> None:
        """What a recipient's server sends when it finds out later."""
        content = text.format(to=to, recipient=ONTO, action=action, status=status)
        async with aiosmtplib.SMTP(hostname=ADDRESS, port=self.port, start_tls=False) as client:
            await client.sendmail("", [to], content.replace("\n", "\r\n").encode())

    async def notices(self, count: int) -> list[Message]:
        arrived = await self.world.arrived(SENDER, count)
        assert {one.sender for one in arrived} == {"<>"}
        return [message_from_bytes(one.content) for one in arrived]

    async def read(self, count: int) -> list[dict[str, object]]:
        """The records of reports, once there are so many."""

        async def enough() -> list[dict[str, object]] | None:
            found = await self.world.story(ONTO, "delivery.reported")
            return found if len(found) >= count else None

        found: list[dict[str, object]] = await self.world.until(enough)
        return found


@pytest.fixture
async def bouncing(quiet_world: World) -> AsyncIterator[Bouncing]:
    port = free_port(ADDRESS)
    file = quiet_world.stage.config_file
    text = file.read_text().replace('kind = "smtp"', f'kind = "smtp"\nbounce_domain = "{DOMAIN}"')
    text += f'\n[[listener]]\nname = "inbound"\nkind = "service"\naddress = "{ADDRESS}:{port}"\n'
    text += 'certificate = "certs/gateway.pem"\nkey = "certs/gateway.key"\n'
    file.write_text(text)
    await quiet_world.start()
    yield Bouncing(quiet_world, port)
    await quiet_world.stop()


async def test_each_recipients_copy_has_an_address_of_its_own_to_which_it_bounces(bouncing: Bouncing) -> None:
    senders = await bouncing.send(ONTO, ALSO)

    assert len(set(senders)) == 2
    assert all(sender.startswith("b+") and sender.endswith(f"@{DOMAIN}") for sender in senders)


async def test_a_bounce_tells_the_sender_at_once_in_plain_words_and_without_content(
    bouncing: Bouncing,
) -> None:
    (sender,) = await bouncing.send(ONTO)
    await bouncing.report(sender.upper())
    (notice,) = await bouncing.notices(1)
    text = notice.as_string()

    assert notice["Subject"] == "Not delivered: a message of yours came back"
    assert notice["In-Reply-To"] == "<m@hospital.example>"
    assert "answered: 550 5.1.1 no such mailbox here" in " ".join(text.split())
    assert f"Final-Recipient: rfc822; {ONTO}" in text
    assert "SECRET" not in text
    (record,) = await bouncing.read(1)
    assert "could not deliver it: 550 5.1.1 no such mailbox here; its sender is told" in str(record["words"])
    await bouncing.world.until(lambda: _empty(bouncing.world))


async def test_the_same_report_twice_tells_once_and_another_one_again(bouncing: Bouncing) -> None:
    (sender,) = await bouncing.send(ONTO)
    for action, status in (
        ("delayed", "4.4.1"),
        ("delayed", "4.4.1"),
        ("delivered", "2.0.0"),
        ("failed", "5.4.7"),
    ):
        await bouncing.report(sender, action, status)
        await bouncing.world.until(lambda: _empty(bouncing.world))
    await bouncing.read(4)
    notices = await bouncing.notices(2)

    assert [notice["Subject"].split(":")[0] for notice in notices] == ["Delayed", "Not delivered"]


async def test_a_report_that_nobody_can_read_is_told_as_that(bouncing: Bouncing) -> None:
    (sender,) = await bouncing.send(ONTO)
    await bouncing.report(sender, text="From: x@y.example\nSubject: hello\n\nSECRET\n")
    (notice,) = await bouncing.notices(1)

    assert notice["Subject"] == "Perhaps not delivered: a message of yours"
    assert "SECRET" not in notice.as_string()


async def test_forgeries_and_everything_else_stay_outside(bouncing: Bouncing) -> None:
    (sender,) = await bouncing.send(ONTO)
    forged = sender.replace("b+0", "b+1")
    for to in (forged, f"r{sender[1:]}", SENDER, "x@elsewhere.example", f"postmaster@{DOMAIN}"):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await bouncing.report(to)
        assert refused.value.recipients[0].code == 550
    async with aiosmtplib.SMTP(hostname=ADDRESS, port=bouncing.port, start_tls=False) as client:
        with pytest.raises(aiosmtplib.SMTPSenderRefused):
            await client.sendmail(SENDER, [sender], b"From: x\r\n\r\n")

    assert not await bouncing.world.story(ONTO, "delivery.reported")


async def test_the_log_of_all_that_verifies(bouncing: Bouncing) -> None:
    (sender,) = await bouncing.send(ONTO)
    await bouncing.report(sender)
    await bouncing.notices(1)
    await bouncing.read(1)
    await bouncing.world.until(lambda: _empty(bouncing.world))
    await bouncing.world.stop()
    report = verify(bouncing.world.config.audit_directory)

    assert [str(one) for one in report.findings if one.kind.exit_code] == []
    assert report.open_errands == 0


async def _empty(world: World) -> bool:
    return not await world.queue()
