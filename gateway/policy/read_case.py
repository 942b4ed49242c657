"""From TOML to a case: `given` takes any condition's name with the value that it should see, `expect` the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from gateway.model.address import Address
from gateway.model.facts import Attachment, Detection
from gateway.policy import units
from gateway.policy.given import RECIPIENT, SENDER, Expect, Given
from gateway.policy.guarantees import GUARANTEES, KEY_METHODS, METHODS, PLAIN, TLS_WORDS
from gateway.policy.read_conditions import CONDITIONS, JOINTS, read_key
from gateway.policy.reading import Path, Reader
from gateway.wire.address import AddressError, parse_address, parse_domain

EXTRA: Final = (
    "unknown",
    "unknown_for",
    "portal",
    "require",
    "signing",
    "tls_seen",
    "mx_unchanged",
    "refused",
    "released",
)
GIVEN: Final = (*(name for name in CONDITIONS if name not in JOINTS), *EXTRA)
EXPECT: Final = Expect.__struct_fields__
DECISIONS: Final = ("send", "hold", "defer", "reject")
_FLAGS: Final = ("sign", "notify", "strip_tag")
_SETS: Final = ("rules", "required", "notes", "login", "journal")


def read_given(reader: Reader, value: object, path: Path) -> Given:
    table = reader.table(value, path, GIVEN)
    found: dict[str, Any] = {}

    def note(key: str, value: object) -> None:
        if value is not None:
            found[key] = value

    note("sender", _address(reader, table, path, "from", SENDER))
    note("recipient", _address(reader, table, path, "recipient", RECIPIENT))
    for key in ("subject", "connector", "authenticated_as", "client_network", "stream", "destination"):
        note(key, _any_text(reader, table, path, key))
    for key in ("requiretls", "portal", "signing", "released"):
        note(key, reader.flag(table, path, key))
    note("subject_tags", reader.words(table, path, "subject_tag"))
    note("groups", reader.words(table, path, "group"))
    note("headers", _pairs(reader, table, path, "header", "name"))
    note("labels", _pairs(reader, table, path, "label", "kind"))
    note("size", reader.converted(table, path, "size", _octets))
    note("recipients", reader.converted(table, path, "recipients", _count))
    note("attachments", _each(reader, table, path, "attachment", _attachment))
    note("detections", _each(reader, table, path, "detects", _detection))
    note("time", reader.converted(table, path, "time", _moment))
    note("tls", reader.word(table, path, "tls", TLS_WORDS))
    note("tls_seen", reader.word(table, path, "tls_seen", ("dane", "mta-sts", "pin")))
    note("keys", _keys(reader, table, path))
    note("unknown", _unknown(reader, table, path))
    for key in ("unknown_for", "mx_unchanged"):
        note(key, reader.converted(table, path, key, units.duration))
    note("refused", reader.words(table, path, "refused", METHODS))
    note("require", reader.words(table, path, "require", GUARANTEES))
    return Given(**found)


def read_expect(reader: Reader, value: object, path: Path) -> Expect:
    table = reader.table(value, path, EXPECT)
    if isinstance(value, dict) and not value:
        reader.wrong(path, "`expect` is empty, so this case could never fail")
    found: dict[str, Any] = {key: reader.words(table, path, key) for key in _SETS if table.get(key) != []}
    found |= {key: () for key in _SETS if table.get(key) == []}
    found |= {key: reader.flag(table, path, key) for key in _FLAGS}
    found |= {key: reader.text(table, path, key) for key in ("grade", "reply", "stream", "pool")}
    found["decision"] = reader.word(table, path, "decision", DECISIONS)
    found["floor"] = reader.word(table, path, "floor", TLS_WORDS)
    found["method"] = reader.word(table, path, "method", (*METHODS, PLAIN))
    if found["required"]:
        found["required"] = reader.words(table, path, "required", GUARANTEES)
    if found["method"] and found["decision"] not in {None, "send"}:
        reader.wrong((*path, "method"), f"a `{found['decision']}` has no method")
    return Expect(**found)


# ------------------------------------------------------------------------------------------------ single values


def _any_text(reader: Reader, table: Mapping[str, Any], path: Path, key: str) -> str | None:
    value = table.get(key)
    if value is None or isinstance(value, str):
        return value
    reader.wrong((*path, key), f"`{key}` must be a text here", "a case gives one value, not a pattern")
    return None


def _address(
    reader: Reader, table: Mapping[str, Any], path: Path, key: str, usual: Address
) -> Address | None:
    for name, convert in ((key, parse_address), (f"{key}_domain", parse_domain)):
        text = _any_text(reader, table, path, name)
        if text is None:
            continue
        try:
            made = convert(text)
        except AddressError as error:
            reader.wrong((*path, name), f"`{text[:80]}`: {error}")
            return None
        return made if isinstance(made, Address) else Address(usual.local, made)
    return None


def _octets(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError('expected a size such as "10MB"')
    return units.size(str(value))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("expected a whole number")
    return value


def _thousandths(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("expected a score between 0 and 1, such as 0.8")
    return units.score(str(value))


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise ValueError("expected a date and time without quotes: 2026-03-07T09:30:00")
    return value


# ------------------------------------------------------------------------------------------------ several values


def _each(
    reader: Reader,
    table: Mapping[str, Any],
    path: Path,
    key: str,
    read_one: Callable[[Reader, object, Path], Any],
) -> tuple[Any, ...] | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(read_one(reader, each, (*path, key, place)) for place, each in enumerate(value))
    return (read_one(reader, value, (*path, key)),)


def _pairs(
    reader: Reader, table: Mapping[str, Any], path: Path, key: str, name_key: str
) -> tuple[tuple[str, str], ...] | None:
    def pair(reader: Reader, value: object, path: Path) -> tuple[str, str]:
        if name_key == "kind" and isinstance(value, str):
            return "", value.casefold()
        inner = reader.table(value, path, (name_key, "value"))
        name = reader.text(inner, path, name_key, required=True) or ""
        return name.casefold(), _any_text(reader, inner, path, "value") or ""

    return _each(reader, table, path, key, pair)


def _attachment(reader: Reader, value: object, path: Path) -> Attachment:
    table = reader.table(value, path, ("name", "type", "size", "encrypted", "unreadable"))
    media_type = reader.text(table, path, "type") or "application/octet-stream"
    return Attachment(
        name=reader.text(table, path, "name") or "file",
        type=media_type,
        declared=media_type,
        size=reader.converted(table, path, "size", _octets) or 0,
        encrypted=reader.flag(table, path, "encrypted") or False,
        unreadable=reader.flag(table, path, "unreadable") or False,
    )


def _detection(reader: Reader, value: object, path: Path) -> Detection:
    table = reader.table(value, path, ("id", "score", "count"))
    score = reader.converted(table, path, "score", _thousandths)
    count = reader.converted(table, path, "count", _count)
    name = reader.text(table, path, "id", required=True) or ""
    return Detection(name, 1000 if score is None else score, 1 if count is None else count)


def _keys(reader: Reader, table: Mapping[str, Any], path: Path) -> tuple[tuple[str, str, str], ...] | None:
    found = []
    for place, text in enumerate(reader.words(table, path, "keys") or ()):
        try:
            method, grade, scope = read_key(text)
        except ValueError as error:
            reader.wrong((*path, "keys", place), f"`{text}` {error}")
            continue
        found.append((method, grade or "verified", scope or "mailbox"))
    return tuple(found) if "keys" in table else None


def _unknown(reader: Reader, table: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    words = reader.words(table, path, "unknown")
    conditions = set(CONDITIONS) - set(JOINTS)
    for place, word in enumerate(words or ()):
        if word not in ("tls", *KEY_METHODS, "portal") and word.partition(":")[0] not in conditions:
            reader.wrong((*path, "unknown", place), f"`{word}` is neither a method nor a condition")
    return words
