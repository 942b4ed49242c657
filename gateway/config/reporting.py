"""Settings of what we tell others about our mail to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from gateway.config.fields import Duration, Mailbox, Section


class Tlsrpt(Section):
    """Daily reports (TLSRPT, RFC 8460) to domains that ask for them in DNS: how many TLS sessions with their mail
    servers went well, how many failed and why. They tell of no message and no person."""

    enabled: bool = True
    """Whether sessions are counted and reports sent."""
    organization: Annotated[str, Field(max_length=100, examples=["Hospital"])] = ""
    """Who reports, in the report. Empty: `hostname`."""
    contact: Annotated[Mailbox | None, Field(examples=["postmaster@hospital.example"])] = None
    """Whom the other side may ask. Empty: `postmaster`."""
    sender: Annotated[Mailbox | None, Field(examples=["tls-reports@hospital.example"])] = None
    """The author (From) of report mails, in a domain of yours whose mail is signed (DKIM): receivers drop reports that
    are not. Empty: `postmaster`."""
    spread: Annotated[Duration, Field(le=timedelta(hours=20))] = timedelta(hours=4)
    """Reports of a day leave in the hours after its end (UTC), each at a moment of its own within this time."""
