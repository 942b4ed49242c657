"""The grammars of MTA-STS (RFC 8461): the TXT record, the policy, and whether a policy lists a host; pure.

What a domain published wrongly is no policy: mail then goes as if there were none, as the standard says (section 3.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gateway.model.sts import StsMode, StsPolicy

LABEL = "_mta-sts"  # of the TXT record, below the domain
HOST_LABEL = "mta-sts"  # of the web server, below the domain
PATH = "/.well-known/mta-sts.txt"
MOST_OCTETS = 64 * 1024  # of a policy (section 3.3)
LONGEST_AGE = 31_557_600  # seconds (section 3.2)

_VERSION = "STSv1"
_BEGINS = re.compile(rf"v={_VERSION}[ \t]*(;|\Z)")
_DELIMITER = re.compile(r"[ \t]*;[ \t]*")
_RECORD_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_POLICY_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*)", re.DOTALL)
_AGE = re.compile(r"[0-9]{1,10}")
_LABEL_OF_HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_PATTERN = re.compile(rf"(?:\*\.)?{_LABEL_OF_HOST}(?:\.{_LABEL_OF_HOST})*")
_LONGEST_NAME = 253


def policy_url(domain: str, port: int = 443) -> str:
    """Where the policy of a domain (A-labels) is (section 3.3)."""
    return f"https://{HOST_LABEL}.{domain}{'' if port == 443 else f':{port}'}{PATH}"


class StsError(ValueError):
    """What is published is no policy. The text says why, and quotes nothing of it."""


def record_id(texts: Iterable[bytes]) -> str | None:
    """The id in a domain's TXT records, each with its strings joined; None: the domain has no policy (section 3.1)."""
    records = [text for octets in texts if _BEGINS.match(text := octets.decode("latin-1"))]
    if len(records) != 1:
        return None
    _, *fields = _DELIMITER.split(records[0])
    if fields and not fields[-1]:
        fields.pop()  # a delimiter may stand at the end
    found: dict[str, str] = {}
    for field in fields:
        match = _RECORD_FIELD.fullmatch(field)
        if match is None:
            return None
        found.setdefault(match[1], match[2])
    return found["id"] if _ID.fullmatch(found.get("id", "")) else None


def parse_policy(octets: bytes) -> StsPolicy:
    """The policy in a web server's answer (section 3.2). Unknown fields are passed over; of fields that may stand once
    the first counts. Raises StsError.
    """
    if len(octets) > MOST_OCTETS:
        raise StsError("it is too long")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise StsError("it is not UTF-8") from None
    found: dict[str, str] = {}
    patterns: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        content = line.removesuffix("\r").rstrip(" \t")
        if not content:
            continue
        match = _POLICY_FIELD.fullmatch(content)
        if match is None or not _is_printable(match[2]):
            raise StsError(f"line {number} is no field")
        if match[1] == "mx":
            patterns.append(_pattern(match[2], number))
        else:
            found.setdefault(match[1], match[2])
    return _policy(found, patterns)


def lists(patterns: Iterable[str], host: str) -> bool:
    """Whether `host` (A-labels) fits one of a policy's patterns; `*.` stands for exactly one label (section 4.1)."""
    name = host.removesuffix(".").lower()
    parent = name.partition(".")[2]
    return any(parent == pattern[2:] if pattern.startswith("*.") else name == pattern for pattern in patterns)


def _policy(found: dict[str, str], patterns: Sequence[str]) -> StsPolicy:
    if found.get("version") != _VERSION:
        raise StsError(f"its version is not {_VERSION}")
    try:
        mode = StsMode(found.get("mode", ""))
    except ValueError:
        raise StsError("its mode is none of enforce, testing and none") from None
    age = found.get("max_age", "")
    if not _AGE.fullmatch(age):
        raise StsError("it has no max_age in whole seconds")
    if not patterns and mode is not StsMode.NONE:
        raise StsError("it lists no mx")
    # A longer age is cut to the longest there is: dropping the policy for it would leave the domain unprotected.
    return StsPolicy(mode, tuple(dict.fromkeys(patterns)), min(int(age), LONGEST_AGE))


def _pattern(value: str, number: int) -> str:
    if len(value) > _LONGEST_NAME or not _PATTERN.fullmatch(value):
        raise StsError(f"the mx in line {number} is no host name")
    return value.lower()


def _is_printable(value: str) -> bool:
    """Spaces may stand inside a value, control characters nowhere; beyond ASCII all that UTF-8 can carry."""
    return bool(value) and all(character >= " " and character != "\x7f" for character in value)
