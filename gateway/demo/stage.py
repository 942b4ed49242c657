"""Sets the gateway itself on the demo's stage: a complete configuration for that internet, and the way to submit mail.

Paths in the configuration are relative to its folder, so that a kept folder can be moved. The retry times are a demo's:
seconds, where a real gateway waits minutes and hours.
"""

from __future__ import annotations

import socket
from datetime import datetime
from pathlib import Path

import aiosmtplib
import msgspec

from gateway.demo.ca import CertificateKind, kept_key
from gateway.demo.cast import GATEWAY_HOST, NETWORK, PARTS, SENDER, Part
from gateway.demo.internet import Internet
from gateway.demo.messages import Letter, LetterKind, compose
from gateway.demo.policy import policy_text

_LISTENER = "127.53.0.2"

_TEMPLATE = """\
# The gateway of `sealgate demo`, for the small internet in the folder `internet`.
#   sealgate demo --internet .                the internet
#   sealgate run --config sealgate.toml       the gateway

hostname = "@HOST@"
data_dir = "data"
policy = "policy.toml"
postmaster = "postmaster@@DOMAIN@"

[[listener]]
name = "smarthost"
address = "@LISTENER@"
tls = "starttls"
certificate = "certs/gateway.pem"
key = "certs/gateway.key"

[[connector]]
name = "hospital"
kind = "smtp"
networks = ["127.0.0.0/8"]
domains = ["@DOMAIN@"]

[dns]
servers = ["@DNS@"]               # the demo's own resolver, which checks signatures
signed_name = "good.example"                   # what it has to vouch for, and what it has to withhold
bogus_name = "bogus.example"
timeout = "1s"
lifetime = "3s"

[tls]
ca_file = "internet/ca.pem"                   # whom the demo trusts to vouch for servers

[mta_sts]
port = @WEB@                                   # of the web server with the domains' policies

[delivery]
port = @PORT@                                  # where all of the demo's servers listen, for want of root
allow_networks = ["@NETWORK@"]

[delivery.retry]                              # a demo is in a hurry
first = "2s"
factor = 1.5
max = "10s"
lifetime = "30m"
delay_notice = "10m"
delay_notice_security = "10m"

[delivery.timeouts]
connect = "3s"
greeting = "10s"
tls = "10s"

[audit]
directory = "audit"
checkpoint_interval = "1s"
"""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's place: its files, and where it listens. `ca_file` vouches for its own certificate."""

    config_file: Path
    policy_file: Path
    address: str
    port: int
    ca_file: Path

    async def submit(self, letter: Letter) -> None:
        """Hand a letter to the gateway as the hospital's mail server would, over verified TLS.

        Raises aiosmtplib.SMTPException where it is not taken for every recipient.
        """
        client = aiosmtplib.SMTP(
            hostname=self.address, port=self.port, start_tls=False, local_hostname="mail.hospital.example"
        )
        async with client:
            await client.starttls(server_hostname=GATEWAY_HOST, cert_bundle=str(self.ca_file))
            refused, _ = await client.sendmail(letter.sender, list(letter.recipients), letter.content)
        if refused:
            raise aiosmtplib.SMTPException(f"not taken: {refused}")


def set_stage(folder: Path, internet: Internet, now: datetime) -> Stage:
    """Write `folder/sealgate.toml`, `policy.toml` and the gateway's certificate, for an internet opened in `folder`."""
    certificates = folder / "certs"
    certificates.mkdir(exist_ok=True)
    key = kept_key(certificates / "gateway.key")
    chain = internet.authority.issue(GATEWAY_HOST, CertificateKind.GOOD, key, now)
    (certificates / "gateway.pem").write_bytes(chain)
    port = _free_port()
    values = {
        "HOST": GATEWAY_HOST,
        "DOMAIN": SENDER.rpartition("@")[2],
        "LISTENER": f"{_LISTENER}:{port}",
        "DNS": internet.dns_server,
        "PORT": str(internet.ports.smtp),
        "WEB": str(internet.ports.web),
        "NETWORK": NETWORK,
    }
    text = _TEMPLATE
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    config_file, policy_file = folder / "sealgate.toml", folder / "policy.toml"
    config_file.write_text(text)
    policy_file.write_text(policy_text(now.date()))
    return Stage(
        config_file=config_file,
        policy_file=policy_file,
        address=_LISTENER,
        port=port,
        ca_file=internet.ca_file,
    )


def letters(now: datetime, parts: tuple[Part, ...] = PARTS) -> tuple[Letter, ...]:
    """One fresh letter a recipient; those of a joint letter share one."""
    joint = tuple(part.recipient for part in parts if part.letter is LetterKind.JOINT)
    single = (
        compose(part.letter, SENDER, (part.recipient,), now)
        for part in parts
        if part.letter is not LetterKind.JOINT
    )
    return (*single, *((compose(LetterKind.JOINT, SENDER, joint, now),) if joint else ()))


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind((_LISTENER, 0))
        port: int = chosen.getsockname()[1]
        return port
