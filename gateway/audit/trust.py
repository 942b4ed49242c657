"""The auditor's trust file: which logs are trusted by key, which witnesses, and how many of them must agree.

Pure. Errors: `TrustError` with the line. Source: C2SP tlog-policy.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gateway.audit.note import COSIGNATURE, ED25519, NoteError, VerifierKey, parse_key

_MOST_LINES = 1000


class TrustError(ValueError):
    """The trust file cannot be used; the text names the line."""


@dataclass(frozen=True, slots=True)
class Trust:
    """`witnesses` by the names that the file gives them; `groups`: (how many, of which); `quorum` is one name."""

    logs: tuple[VerifierKey, ...]
    witnesses: dict[bytes, VerifierKey]
    groups: dict[bytes, tuple[int, tuple[bytes, ...]]]
    quorum: bytes

    def satisfied_by(self, cosigners: AbstractSet[bytes]) -> bool:
        """Whether these witnesses make the quorum."""
        return self.quorum == b"none" or self._witnessed(self.quorum, cosigners)

    def _witnessed(self, name: bytes, cosigners: AbstractSet[bytes]) -> bool:
        if name in self.witnesses:
            return name in cosigners
        needed, members = self.groups[name]
        return sum(self._witnessed(member, cosigners) for member in members) >= needed


class _Reader:
    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[bytes, VerifierKey] = {}
        self.groups: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
        self.quorum: bytes | None = None
        self.used: set[bytes] = set()

    def line(self, words: list[bytes]) -> None:
        match words:
            case [b"log", key, *url] if len(url) <= 1:
                self.logs.append(self._key(key, ED25519, self.logs))
            case [b"witness", name, key, *url] if len(url) <= 1:
                self._new(name)
                self.witnesses[name] = self._key(key, COSIGNATURE, list(self.witnesses.values()))
            case [b"group", name, count, *members] if members:
                self._new(name)
                self.groups[name] = self._count(count, len(members)), tuple(map(self._member, members))
            case [b"quorum", name] if self.quorum is None:
                if name != b"none":
                    self._known(name)
                self.quorum = name
            case _:
                raise TrustError("expected log, witness, group or (once) quorum")

    def _key(self, word: bytes, kind: int, others: list[VerifierKey]) -> VerifierKey:
        try:
            key = parse_key(word.decode("utf-8"))
        except (NoteError, UnicodeDecodeError) as error:
            raise TrustError(str(error)) from None
        if key.kind != kind:
            raise TrustError(f"the key of {key.name} is of the wrong kind here")
        if any(key.key == other.key for other in others):
            raise TrustError(f"the key of {key.name} is there twice")
        return key

    def _new(self, name: bytes) -> None:
        if name == b"none" or name in self.witnesses or name in self.groups:
            raise TrustError(f"the name {name.decode('utf-8', 'replace')} is taken")

    def _known(self, name: bytes) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise TrustError(f"{name.decode('utf-8', 'replace')} is not defined above")

    def _member(self, name: bytes) -> bytes:
        self._known(name)
        if name in self.used:
            raise TrustError(f"{name.decode('utf-8', 'replace')} is in a group already")
        self.used.add(name)
        return name

    def _count(self, word: bytes, members: int) -> int:
        if word in {b"all", b"any"}:
            return members if word == b"all" else 1
        if not word.isdigit() or not 1 <= int(word[:6]) <= members:
            raise TrustError(f"a group needs all, any, or a number up to {members}")
        return int(word)


def parse_trust(data: bytes) -> Trust:
    """Read a trust file. A file of `log` lines alone is taken as `quorum none`."""
    lines = data.split(b"\n")
    if len(lines) > _MOST_LINES:
        raise TrustError("the trust file is too long")
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        words = line.replace(b"\t", b" ").split(b" ")
        words = [word for word in words if word]
        if not words or words[0].startswith(b"#"):
            continue
        try:
            reader.line(words)
        except TrustError as error:
            raise TrustError(f"line {number} of the trust file: {error}") from None
    if not reader.logs:
        raise TrustError("the trust file names no log")
    if reader.quorum is None and reader.witnesses:
        raise TrustError("the trust file names witnesses but no quorum")
    return Trust(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum or b"none")
