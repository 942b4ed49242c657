"""Settings of what the gateway finds out about itself: `sealgate doctor` and its daily self-test."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from gateway.config.alerts import WebUrl
from gateway.config.fields import Duration, Host, Ip, Section


class Doctor(Section):
    """What `sealgate doctor` asks others for. Nothing of yours is sent to them."""

    reach: Annotated[tuple[Host, ...], Field(examples=[["gmail.com", "outlook.com"]])] = (
        "gmail.com",
        "outlook.com",
    )
    """Domains whose mail servers are greeted, beside those of your own domains, to see whether port 25 is open outward.
    Nothing is sent to them."""
    clock: Annotated[WebUrl | None, Field(examples=["https://www.iana.org/"])] = "https://www.iana.org/"
    """A web page whose server's time is compared with ours. A wrong clock breaks TLS, DNSSEC and DKIM."""
    outward: Annotated[tuple[Ip, ...], Field(examples=[["203.0.113.5"]])] = ()
    """The addresses from which your mail leaves, as others see them. Empty: those of [delivery] pools, and without
    those the public addresses of `hostname`."""
    self_test: Duration = timedelta(days=1)
    """How often the running gateway tries to relay through itself; after each reload too."""
