"""Setting a gateway up: the files that `sealgate init` writes, so that `check` finds nothing and `run` starts at once.

An existing file is never overwritten: its keys may be the only ones to a queue.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from importlib.resources import files as package_files
from ipaddress import ip_address
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
from gateway.service.clock import entropy, now
from gateway.service.dkim_files import ALGORITHMS, DkimKey
from gateway.service.dkim_files import make_key as make_signing_key
from gateway.service.upstreams import CONNECTORS, Side, Upstream, recipe
from gateway.store.keys import make_key_file, make_secret_file
from gateway.wire.service_address import KEY_OCTETS

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

{connector}
[dns]
servers = []                          # empty: those of /etc/resolv.conf

[dkim]
directory = "dkim"

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

    upstream: Upstream
    directory: Path
    data_dir: Path
    hostname: str
    domains: tuple[str, ...]
    networks: tuple[str, ...]
    listen: str
    pack: str
    postmaster: str
    tenant_ids: tuple[str, ...] = ()
    originator_orgs: tuple[str, ...] = ()  # empty: the domains


class Done(msgspec.Struct, frozen=True):
    """The files written, what to set on the mail server, and the DNS records to publish."""

    files: tuple[str, ...]
    recipe: tuple[str, ...]
    records: tuple[str, ...]


def set_up(wishes: Wishes) -> Done:
    """Write it all. Raises SetupRefused before anything is written, OSError where the disk says no."""
    folder = wishes.directory
    text = _configuration(wishes)
    config_file = folder / "sealgate.toml"
    planned = [config_file, folder / "policies" / f"{wishes.pack}.toml"]
    planned += [folder / "keys" / f"{name}.key" for name in ("queue", "vault", "audit", "service")]
    planned += [folder / "keys" / f"{name}.pub" for name in ("queue", "vault")]
    planned += [folder / "certs" / "gateway.pem", folder / "certs" / "gateway.key"]
    secret = folder / wishes.upstream.secret_file if wishes.upstream.secret_file else None
    planned += [secret] if secret else []
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
    self_signed(wishes.hostname, folder / "certs" / "gateway.pem", folder / "certs" / "gateway.key")
    if secret:
        _write_private(secret, f"{entropy(24).hex()}\n".encode())
        if os.geteuid() == 0:  # the gateway's user reads it, as it does the DKIM keys; `keys` stays root's
            whose = wishes.data_dir.stat()
            os.chown(secret, whose.st_uid, whose.st_gid)
    signing = [
        make_signing_key(folder / "dkim", domain, algorithm, now(), wishes.data_dir)
        for domain in wishes.domains
        for algorithm in ALGORITHMS
    ]
    config_file.write_text(text)
    files = (config_file, *written, *planned[2:], *(key.file for key in signing))
    side = Side(
        hostname=wishes.hostname, port=wishes.listen.rpartition(":")[2], secret=str(secret) if secret else ""
    )
    return Done(tuple(map(str, files)), recipe(wishes.upstream, side), dns_records(wishes, signing))


def make_keys(folder: Path) -> None:
    """Make the root keys in a folder of their own."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("queue", "vault"):
        key = make_key_file(folder / f"{name}.key")
        pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(pem)  # enough to take mail in (`run --role ingress`)
    make_key(folder / "audit.key")
    make_secret_file(folder / "service.key", entropy(KEY_OCTETS))


def _configuration(wishes: Wishes) -> str:
    def quoted(value: object) -> str:
        return msgspec.json.encode(value).decode()  # a JSON string or array of strings is one in TOML as well

    return _TEMPLATE.format(
        hostname=quoted(wishes.hostname),
        data_dir=quoted(str(wishes.data_dir.absolute())),
        policy=quoted(f"policies/{wishes.pack}.toml"),
        postmaster=quoted(wishes.postmaster),
        listen=quoted(wishes.listen),
        connector=CONNECTORS[wishes.upstream].format(
            networks=quoted(
                list(wishes.networks or ([f"@{wishes.upstream}"] if wishes.upstream.of_a_cloud else []))
            ),
            tenant_ids=quoted(list(wishes.tenant_ids)),
            originator_orgs=quoted(list(wishes.originator_orgs or wishes.domains)),
            domains=quoted(list(wishes.domains)),
        ),
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


def self_signed(hostname: str, certificate: Path, key_file: Path) -> None:
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
    _write_private(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(built.public_bytes(Encoding.PEM))


def _write_private(file: Path, content: bytes) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(content)


def dns_records(wishes: Wishes, keys: Sequence[DkimKey]) -> tuple[str, ...]:
    """Every record to publish, as a zone file has it; what only the site can know stands in angle brackets."""
    host, address = wishes.hostname, ip_address(wishes.listen.rpartition(":")[0].strip("[]"))
    outward = str(address) if address.is_global else "<the gateway's public address>"
    kind = "AAAA" if address.is_global and address.version == 6 else "A"
    pointer = f"{address.reverse_pointer}." if address.is_global else "<that address in reverse>"
    records = [f"{host}. IN {kind} {outward}", f"{pointer} IN PTR {host}."]
    for domain in wishes.domains:
        records.append(f'{domain}. IN TXT "v=spf1 a:{host} -all"')
        records.append(f'_dmarc.{domain}. IN TXT "v=DMARC1; p=none; rua=mailto:{wishes.postmaster}"')
        records += [key.record.zone_line for key in keys if key.domain == domain]
    return tuple(records)
