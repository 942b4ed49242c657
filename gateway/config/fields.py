"""The types of settings, one for each kind of value a person writes: addresses, networks, names, files, durations.

Each reads TOML's plain values and explains in its error what to write instead. Errors are lower case, without a full
stop, and begin so that they read on after the name of the setting.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import idna
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
)

from gateway.config.quantities import (
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)
from gateway.model.address import Address
from gateway.model.rate import Rate

T = TypeVar("T")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Section(BaseModel):
    """A table of the configuration: closed, frozen, each field documented by the text below it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        validate_default=True,  # so that a default path, too, counts from the file's folder
    )


class Fault(NamedTuple):
    """What is wrong between the settings of one table; `path` leads from the table to the one to look at."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


class FaultsError(ValueError):
    """Raised by a table's own check: all that is wrong between its settings."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.path} {fault.message}" for fault in self.faults))


class Endpoint(NamedTuple):
    """An IP address or a host name, with a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A host name is not trusted to stay where it is."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text in quotes, and not empty")
    return value.strip()


def _split_port(text: str, default: int | None) -> Endpoint:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    elif text.count(":") > 1:  # an IPv6 address without brackets can have no port beside it
        host, closed, colon, port = text, "]", "", ""
    else:
        host, colon, port = text.partition(":")
        closed = "]"
    if not colon and default is not None:
        port = str(default)
    if not host or not closed or colon not in {"", ":"} or not port.isascii() or not port.isdigit():
        raise ValueError('must be an address with a port, such as "192.0.2.1:25" or "[2001:db8::1]:25"')
    if int(port) > 65535:
        raise ValueError("has a port above 65535")
    return Endpoint(host, int(port))


def _host_name(text: str) -> str:
    """A DNS name in lower-case A-labels (RFC 5890)."""
    try:
        name = idna.encode(text.strip().rstrip("."), uts46=True).decode().lower()
    except idna.IDNAError as error:
        raise ValueError(f"is not a domain name: {str(error)[:1].lower()}{str(error)[1:]}") from None
    if "." not in name or re.fullmatch(r"[0-9.]+", name):
        raise ValueError('must be a full domain name, such as "gw.hospital.example"')
    return name


def parse_host(value: object) -> str:
    return _host_name(_text(value))


def parse_listen(value: object) -> Endpoint:
    endpoint = _split_port(_text(value), default=None)
    return Endpoint(str(parse_ip(endpoint.host)), endpoint.port)


def parse_resolver(value: object) -> Endpoint:
    endpoint = _split_port(_text(value), default=53)
    return Endpoint(str(parse_ip(endpoint.host)), endpoint.port)


def parse_next_hop(value: object) -> Endpoint:
    endpoint = _split_port(_text(value), default=25)
    try:
        return Endpoint(str(ipaddress.ip_address(endpoint.host)), endpoint.port)
    except ValueError:
        return Endpoint(_host_name(endpoint.host), endpoint.port)


def parse_ip(value: object) -> IpAddress:
    try:
        return ipaddress.ip_address(_text(value))
    except ValueError:
        raise ValueError('must be an IP address, such as "192.0.2.1"') from None


def parse_network(value: object) -> IpNetwork:
    text = _text(value)
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        outer = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError('must be a network, such as "192.0.2.0/24" or "2001:db8::/32"') from None
    raise ValueError(
        f'has bits set to the right of its prefix; write "{outer}" if the whole network is meant'
    )


PROVIDERS = ("microsoft365", "google-workspace")


def parse_client_network(value: object) -> IpNetwork | str:
    """A network, or `@` with a provider's name: the addresses that it publishes."""
    text = _text(value)
    if not text.startswith("@"):
        return parse_network(text)
    if text[1:] not in PROVIDERS:
        known = " or ".join(f'"@{name}"' for name in PROVIDERS)
        raise ValueError(f"names no provider that is known here; write {known}")
    return text


def parse_guid(value: object) -> str:
    """A directory (tenant) id as Microsoft shows it, in lower case."""
    text = _text(value).lower()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise ValueError('must be a tenant id, such as "84df9e7f-e9f6-40af-b435-0123456789ab"')
    return text


def parse_header_name(value: object) -> str:
    """A header field's name that nothing else in mail uses."""
    text = _text(value)
    if not re.fullmatch(r"[Xx]-[A-Za-z0-9-]{1,60}", text):
        raise ValueError("must be the name of a header field that begins with X-")
    return text


def parse_mailbox(value: object) -> Address:
    local, at, domain = _text(value).rpartition("@")
    if not at or not re.fullmatch(r"[^\s@<>\"()\[\],;:\\\x00-\x20\x7f]{1,64}", local):
        raise ValueError('must be an address, such as "postmaster@hospital.example"')
    return Address(local, _host_name(domain))


def parse_fingerprint(value: object) -> bytes:
    """A SHA-256 fingerprint as tools print it: hexadecimal, with or without colons and `sha256:` before it."""
    text = re.sub(r"^sha-?256:", "", _text(value).lower()).replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(
            "must be a SHA-256 fingerprint of 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` "
            "prints it"
        )
    return bytes.fromhex(text)


_ARGON2ID = r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
# At least the iterations of RFC 7677; more than six digits of them would be work for us at each PLAIN login.
_SCRAM = (
    r"SCRAM-SHA-256\$(?:409[6-9]|4[1-9]\d\d|[5-9]\d{3}|[1-9]\d{4,5}):[A-Za-z0-9+/=]{12,88}\$"
    r"[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}="
)


def parse_password_hash(value: object) -> str:
    """The value itself never appears in the error: somebody may have put the password there."""
    text = _text(value)
    if not re.fullmatch(_ARGON2ID, text) and not re.fullmatch(_SCRAM, text):
        raise ValueError(
            "must be an argon2id hash, beginning with `$argon2id$`, or a SCRAM-SHA-256 verifier, beginning with "
            "`SCRAM-SHA-256$`, never the password itself"
        )
    return text


def parse_origin(value: object) -> str:
    """The name of a log in signed notes (C2SP signed-note: neither spaces nor plus signs)."""
    text = _text(value)
    if re.search(r"[\s+]", text) or not text.isprintable():
        raise ValueError('must be a name without spaces and plus signs, such as "hospital.example/audit"')
    return text


def parse_name(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text):
        raise ValueError("must be a short name of letters, digits, dots, hyphens and underscores")
    return text


def _path(value: object, info: ValidationInfo) -> Path:
    """A relative path counts from the folder of the configuration file, wherever the gateway was started."""
    text = str(value) if isinstance(value, Path) else _text(value)
    if "\0" in text:
        raise ValueError("must not hold a zero octet")
    context: dict[str, Any] = info.context or {}
    return Path(context.get("folder", ".")) / text.removeprefix("file:")


def _secret(value: object, info: ValidationInfo) -> Path:
    """A secret is never written in the configuration itself: `file:PATH`, or systemd's `credential:NAME`."""
    text = str(value) if isinstance(value, Path) else _text(value)
    if not text.startswith("credential:"):
        return _path(value, info)
    name = text.removeprefix("credential:")
    folder = (info.context or {}).get("credentials", "")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or name in {".", ".."}:
        raise ValueError("names no credential: write `credential:NAME`")
    if not folder:
        raise ValueError(
            "needs systemd's credentials, and CREDENTIALS_DIRECTORY is not set; start the unit, or use `file:PATH`"
        )
    return Path(folder) / name


def _no_bool(value: object) -> object:
    """Python counts true as 1; a person who writes it does not."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _positive(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("must be longer than nothing")
    return duration


def _at_least_one(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("needs at least one entry")
    return items


AtLeastOne = AfterValidator(_at_least_one)
Name = Annotated[str, PlainValidator(parse_name)]
Host = Annotated[str, PlainValidator(parse_host)]
Mailbox = Annotated[Address, PlainValidator(parse_mailbox), PlainSerializer(str)]
Listen = Annotated[Endpoint, PlainValidator(parse_listen), PlainSerializer(str)]
Resolver = Annotated[Endpoint, PlainValidator(parse_resolver), PlainSerializer(str)]
NextHop = Annotated[Endpoint, PlainValidator(parse_next_hop), PlainSerializer(str)]
Ip = Annotated[IpAddress, PlainValidator(parse_ip), PlainSerializer(str)]
Network = Annotated[IpNetwork, PlainValidator(parse_network), PlainSerializer(str)]
ClientNetwork = Annotated[IpNetwork | str, PlainValidator(parse_client_network), PlainSerializer(str)]
Guid = Annotated[str, PlainValidator(parse_guid)]
HeaderName = Annotated[str, PlainValidator(parse_header_name)]
Fingerprint = Annotated[bytes, PlainValidator(parse_fingerprint), PlainSerializer(bytes.hex)]
PasswordHash = Annotated[str, PlainValidator(parse_password_hash)]
FilePath = Annotated[Path, PlainValidator(_path), PlainSerializer(str)]
SecretFile = Annotated[Path, PlainValidator(_secret), PlainSerializer(str)]
AnyDuration = Annotated[timedelta, PlainValidator(parse_duration), PlainSerializer(format_duration)]
Duration = Annotated[
    timedelta, PlainValidator(parse_duration), AfterValidator(_positive), PlainSerializer(format_duration)
]
Size = Annotated[int, PlainValidator(parse_size), PlainSerializer(format_size)]
Speed = Annotated[Rate, PlainValidator(parse_rate), PlainSerializer(format_rate)]
Port = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)]
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Number = Annotated[float, BeforeValidator(_no_bool)]
LogOrigin = Annotated[str, PlainValidator(parse_origin)]
