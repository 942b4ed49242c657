"""From TOML to a condition: every key that may stand in a `when`, with its shape (policy.md, Conditions)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Final

from gateway.policy import units
from gateway.policy.conditions import (
    AllOf,
    AnyOf,
    AttachmentTest,
    Condition,
    DetectsTest,
    FlagTest,
    Glob,
    KeysTest,
    ListRef,
    NetworkTest,
    Not,
    NumberTest,
    PairTest,
    Pattern,
    Regex,
    TextTest,
    TimeTest,
)
from gateway.policy.guarantees import KEY_GRADES, KEY_METHODS, KEY_SCOPES, TLS_WORDS
from gateway.policy.patterns import compile_regex, normal
from gateway.policy.reading import Path, Reader

TEXTS: Final = (
    "from",
    "from_domain",
    "recipient",
    "recipient_domain",
    "group",
    "subject",
    "subject_tag",
    "connector",
    "authenticated_as",
    "stream",
    "destination",
)
JOINTS: Final = ("all", "any", "not")


def read_condition(reader: Reader, value: object, path: Path) -> Condition | None:
    """The condition of one table: its keys are joined by AND."""
    table = reader.table(value, path, CONDITIONS)
    if isinstance(value, dict) and not value:
        reader.wrong(path, f"`{path[-1]}` says nothing", "leave it out where the rule always applies")
    parts = [_one(reader, key, each, (*path, key)) for key, each in table.items()]
    return _joined([part for part in parts if part is not None])


def _joined(parts: list[Condition]) -> Condition | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _one(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    if key == "not":
        part = read_condition(reader, value, path)
        return None if part is None else Not(part)
    if key in {"all", "any"}:
        return _joint(reader, key, value, path)
    read = _READERS.get(key, _text)
    if key in _TABLES and isinstance(value, list):
        if not value:
            reader.wrong(path, f"`{key}` is empty, so it could never be true")
        several = [read(reader, key, each, (*path, place)) for place, each in enumerate(value)]
        found = [each for each in several if each is not None]
        return AnyOf(tuple(found)) if len(found) > 1 else (found[0] if found else None)
    return read(reader, key, value, path)


def _joint(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    if not isinstance(value, list) or not value:
        reader.wrong(path, f"`{key}` must be an array of conditions that is not empty")
        return None
    several = [read_condition(reader, each, (*path, place)) for place, each in enumerate(value)]
    parts = tuple(part for part in several if part is not None)
    if len(parts) < 2:
        return parts[0] if parts else None
    return AllOf(parts) if key == "all" else AnyOf(parts)


# ------------------------------------------------------------------------------------------------ texts


def read_patterns(reader: Reader, condition: str, value: object, path: Path) -> tuple[Pattern, ...]:
    """One pattern or an array of them: a glob, "@list", or { regex = "…" }."""
    if isinstance(value, list):
        if not value:
            reader.wrong(path, f"`{condition}` is empty, so it could never be true")
        several = [_pattern(reader, condition, each, (*path, place)) for place, each in enumerate(value)]
    else:
        several = [_pattern(reader, condition, value, path)]
    return tuple(each for each in several if each is not None)


def _pattern(reader: Reader, condition: str, value: object, path: Path) -> Pattern | None:
    if isinstance(value, dict):
        text = reader.text(reader.table(value, path, ("regex",)), path, "regex", required=True)
        return None if text is None else _tried(reader, (*path, "regex"), text, _regex)
    if not isinstance(value, str) or not value.strip():
        reader.wrong(path, f"`{condition}` needs a text", 'a glob, "@list" or { regex = "…" }')
        return None
    text = value.strip()
    if text.startswith("@"):
        return ListRef(text[1:])
    return _tried(reader, path, text, lambda glob: Glob(normal(condition, glob)))


def _regex(text: str) -> Pattern:
    compile_regex(text)
    return Regex(text)


def _tried(reader: Reader, path: Path, text: str, make: Callable[[str], Pattern]) -> Pattern | None:
    try:
        return make(text)
    except ValueError as error:
        reader.wrong(path, f"`{text[:80]}` {error}")
        return None


def _text(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    patterns = read_patterns(reader, key, value, path)
    return TextTest(key, patterns, reader.place(path)) if patterns else None


def _tls(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    words = reader.words({key: value}, path[:-1], key, TLS_WORDS) or ()
    return TextTest(key, tuple(Glob(word) for word in words), reader.place(path)) if words else None


def _label(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    if isinstance(value, dict) and "regex" not in value:
        return _pair(reader, key, value, path)
    patterns = read_patterns(reader, key, value, path)
    return PairTest(key, "", patterns, reader.place(path)) if patterns else None


def _pair(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    name_key = "name" if key == "header" else "kind"
    table = reader.table(value, path, (name_key, "value"))
    name = reader.text(table, path, name_key, required=isinstance(value, dict))
    patterns: tuple[Pattern, ...] = (Glob("*"),)
    if "value" in table:
        patterns = read_patterns(reader, key, table["value"], (*path, "value"))
    return PairTest(key, name.casefold(), patterns, reader.place(path)) if name and patterns else None


# ------------------------------------------------------------------------------------------------ the rest


def _number(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    unit = units.size if key == "size" else units.count
    found = reader.converted({key: value}, path[:-1], key, lambda each: units.comparison(each, unit))
    return None if found is None else NumberTest(key, found, reader.place(path))


def _flag(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    found = reader.flag({key: value}, path[:-1], key)
    return None if found is None else FlagTest(key, found, reader.place(path))


def network(text: str) -> str:
    """A network in CIDR form. ValueError says what is wrong with it."""
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        raise ValueError("is no network such as 192.0.2.0/24 or 2001:db8::/32") from None


def _network(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    networks: list[str] = []
    lists: list[str] = []
    for place, text in enumerate(reader.words({key: value}, path[:-1], key) or ()):
        if text.startswith("@"):
            lists.append(text[1:])
            continue
        try:
            networks.append(network(text))
        except ValueError as error:
            reader.wrong((*path, place), f"`{text}` {error}")
    if not networks and not lists:
        return None
    return NetworkTest(tuple(networks), tuple(lists), reader.place(path))


def _time(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    table = reader.table(value, path, ("days", "hours"))
    numbers: list[int] = []
    for place, text in enumerate(reader.words(table, path, "days") or ()):
        try:
            numbers.extend(units.days(text))
        except ValueError as error:
            reader.wrong((*path, "days", place), f"`{text}`: {error}")
    span = reader.converted(table, path, "hours", units.hours)
    if not numbers and span is None:
        reader.wrong(path, f"`{key}` needs `days` or `hours`")
        return None
    start, end = span if span is not None else (None, None)
    return TimeTest(tuple(sorted(set(numbers))), start, end, reader.place(path))


def _attachment(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    table = reader.table(value, path, ("name", "type", "size", "encrypted", "unreadable"))
    if not table:
        reader.wrong(path, f"`{key}` says nothing", 'for any attachment write { name = "*" }')
        return None

    def patterns(which: str) -> tuple[Pattern, ...]:
        return read_patterns(reader, key, table[which], (*path, which)) if which in table else ()

    return AttachmentTest(
        file_name=patterns("name"),
        media_type=patterns("type"),
        size=reader.converted(table, path, "size", lambda each: units.comparison(each, units.size)),
        encrypted=reader.flag(table, path, "encrypted"),
        unreadable=reader.flag(table, path, "unreadable"),
        place=reader.place(path),
    )


def _detects(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    table = reader.table(value, path, ("id", "score", "count"))
    name = reader.text(table, path, "id", required=isinstance(value, dict))
    score = reader.converted(table, path, "score", lambda each: units.comparison(each, units.score))
    count = reader.converted(table, path, "count", lambda each: units.comparison(each, units.count))
    if name is None:
        return None
    return DetectsTest(id=name, score=score, count=count, place=reader.place(path))


def read_key(text: str) -> tuple[str, str, str]:
    """Method, grade and scope of "smime", "smime:verified" or "smime:verified:domain"; empty where not said."""
    method, _, rest = text.partition(":")
    grade, _, scope = rest.partition(":")
    if method not in KEY_METHODS or grade not in {"", *KEY_GRADES} or scope not in {"", *KEY_SCOPES}:
        raise ValueError("is no key such as `smime`, `smime:verified` or `openpgp:claimed:domain`")
    return method, grade, scope


def _keys(reader: Reader, key: str, value: object, path: Path) -> Condition | None:
    wanted: list[tuple[str, str, str]] = []
    for place, text in enumerate(reader.words({key: value}, path[:-1], key) or ()):
        try:
            wanted.append(read_key(text))
        except ValueError as error:
            reader.wrong((*path, place), f"`{text}` {error}")
    return KeysTest(tuple(wanted), reader.place(path)) if wanted else None


_READERS: Final[Mapping[str, Callable[[Reader, str, object, Path], Condition | None]]] = {
    "header": _pair,
    "label": _label,
    "client_network": _network,
    "size": _number,
    "attachment": _attachment,
    "detects": _detects,
    "recipients": _number,
    "time": _time,
    "tls": _tls,
    "keys": _keys,
    "requiretls": _flag,
}
_TABLES: Final = frozenset({"header", "attachment", "detects", "time"})
CONDITIONS: Final = (*TEXTS, *_READERS, *JOINTS)
