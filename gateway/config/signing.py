"""Settings of the DKIM signatures on mail that leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.config.fields import Duration, FilePath, Host, Section


class Dkim(Section):
    """DKIM signatures (RFC 6376), put on mail last of all. `sealgate dkim make` makes keys; docs/dkim.md."""

    directory: FilePath = Path("keys/dkim")
    """The keys: a folder for each domain, in it a file `SELECTOR.pem` for each key. Mail of an author in such a domain
    is signed."""
    domains: Annotated[tuple[Host, ...], Field(examples=[["hospital.example"]])] = ()
    """Domains that must have a key: without it the gateway does not start. Not needed for mail to be signed."""
    lifetime: Duration | None = Field(default=None, examples=["14d"])
    """How long a signature counts (its tag `x=`). Empty: for ever, which is usual; else more than servers wait."""
