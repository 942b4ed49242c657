"""Setting a gateway up: the files that `sealgate init` writes, so that `check` finds nothing and `run` starts at once.

An existing file is never overwritten: its keys may be the only ones to a queue.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import timedelta
from importlib.resources import files as package_files
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from gateway.audit.ed25519 import make_key
from gateway.config.loading import parse
from gateway.config.toml_source import load as load_text
from gateway.service.clock import now
from gateway.store.keys import make_key_file

CERTIFICATE_LIFE = timedelta(days=365)

_TEMPLATE = """\
# Sealgate's configuration, begun by `sealgate init`. Every other setting, with its meaning: config.example.toml.

hostname = {hostname}
data_dir = {data_dir}
policy = {policy}
postmaster = {postmaster}

[[listener]]
name = "smarthost"
address = {listen}
tls = "starttls"
certificate = "certs/gateway.pem"
key = "certs/gateway.key"

# Who may send through this gateway, and as whom: envelope sender and From must both be of these domains.
[[connector]]
name = "mail-server"
kind = "smtp"
networks = {networks}
domains = {domains}
null_sender = "allow"                 # delivery notices and automatic answers; their From is checked all the same

[dns]
servers = []                          # empty: those of /etc/resolv.conf

[alerts.mail]
to = [{postmaster}]
"""


class SetupRefused(Exception):
    """What was asked for cannot be set up; nothing was written."""

    def __init__(self, *lines: str, hint: str = "") -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.hint = hint


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the person who sets up wants."""

    directory: Path
    data_dir: Path
    hostname: str
    domains: tuple[str, ...]
    networks: tuple[str, ...]
    listen: str
    pack: str
    postmaster: str


class Done(msgspec.Struct, frozen=True):
    """The files written, and the DNS records to publish."""

    files: tuple[str, ...]
    records: tuple[str, ...]


def set_up(wishes: Wishes) -> Done:
    """Write it all. Raises SetupRefused before anything is written, OSError where the disk says no."""
    folder = wishes.directory
    text = _configuration(wishes)
    config_file = folder / "sealgate.toml"
    planned = [config_file, folder / "policies" / f"{wishes.pack}.toml"]
    planned += [folder / "keys" / f"{name}.key" for name in ("queue", "vault", "audit")]
    planned += [folder / "keys" / f"{name}.pub" for name in ("queue", "vault")]
    planned += [folder / "certs" / "gateway.pem", folder / "certs" / "gateway.key"]
    if there := [str(file) for file in planned if file.exists()]:
        raise SetupRefused(
            *(f"{file}: is there already" for file in there), hint="choose another --dir, or move it away"
        )
    _check_text(text, config_file)

    for sub in ("policies", "keys", "certs"):
        (folder / sub).mkdir(mode=0o750 if sub != "keys" else 0o700, parents=True, exist_ok=True)
    wishes.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = _copy_pack(wishes.pack, folder / "policies")
    make_keys(folder / "keys")
    _self_signed(wishes.hostname, folder / "certs" / "gateway.pem", folder / "certs" / "gateway.key")
    config_file.write_text(text)
    files = (config_file, *written, *planned[2:])
    return Done(tuple(map(str, files)), _records(wishes))


def make_keys(folder: Path) -> None:
    """Make the three root keys in a folder of their own."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("queue", "vault"):
        key = make_key_file(folder / f"{name}.key")
        pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(pem)  # enough to take mail in (`run --role ingress`)
    make_key(folder / "audit.key")


def _configuration(wishes: Wishes) -> str:
    def quoted(value: object) -> str:
        return msgspec.json.encode(value).decode()  # a JSON string or array of strings is one in TOML as well

    return _TEMPLATE.format(
        hostname=quoted(wishes.hostname),
        data_dir=quoted(str(wishes.data_dir.absolute())),
        policy=quoted(f"policies/{wishes.pack}.toml"),
        postmaster=quoted(wishes.postmaster),
        listen=quoted(wishes.listen),
        networks=quoted(list(wishes.networks)),
        domains=quoted(list(wishes.domains)),
    )


def _check_text(text: str, file: Path) -> None:
    """The configuration must be one that `run` takes; what is wrong is said in the words of the options given."""
    _, problems = parse(load_text(text.encode(), str(file)), [], file.parent, "")
    if problems:
        raise SetupRefused(*(f"{problem.key}: {problem.message}" for problem in problems))


def packs() -> Path:
    """The folder of the policy packs: beside the package in a checkout, inside it when installed."""
    package = Path(str(package_files("gateway")))
    inside = package / "packs"
    return inside if inside.is_dir() else package.parent / "policies"


def _copy_pack(pack: str, folder: Path) -> list[Path]:
    written = []
    for source in sorted(packs().iterdir()):
        wanted = source.name == f"{pack}.toml" or source.suffix == ".txt"
        if wanted and not (folder / source.name).exists():
            (folder / source.name).write_bytes(source.read_bytes())
            written.append(folder / source.name)
    return written


def _self_signed(hostname: str, certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    today = now()
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(minutes=5))
        .not_valid_after(today + CERTIFICATE_LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    handle = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(built.public_bytes(Encoding.PEM))


def _records(wishes: Wishes) -> tuple[str, ...]:
    host = wishes.hostname
    address = wishes.listen.rpartition(":")[0].strip("[]")
    shown = address
    if ipaddress.ip_address(address).is_unspecified:
        shown = "(this gateway's public address)"
    return (
        f"{host}.  A      {shown}",
        f"PTR of that address:  {host}.",
        *(f'{domain}.  TXT    add "a:{host}" to the SPF record' for domain in wishes.domains),
        *(
            f'_dmarc.{domain}.  TXT    "v=DMARC1; p=none; rua=mailto:{wishes.postmaster}"'
            for domain in wishes.domains
        ),
    )
