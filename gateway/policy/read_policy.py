"""From TOML to a rulebook: one policy file and what it includes, every problem of all of them at once.

`include` names files that stand beside the policy; they may hold anything but [policy], and no section that is a
single table ([default], [tls] …) may stand twice. The policy's own rules come first, then its includes' in order.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from gateway.config.problems import ConfigError
from gateway.config.toml_source import load as load_toml
from gateway.policy import units
from gateway.policy.guarantees import PROVING_KEYS, PROVING_PORTAL, PROVING_TLS
from gateway.policy.problems import ERROR, Place, PolicyProblem
from gateway.policy.read_lists import Files, read_file, read_lists
from gateway.policy.read_rules import DEFAULT, read_case, read_demands, read_exception, read_rule
from gateway.policy.reading import Path, Reader
from gateway.policy.values import (
    Case,
    Demands,
    Exemption,
    HopSettings,
    KeySettings,
    NamedList,
    PortalSettings,
    Rule,
    Rulebook,
    TlsSettings,
)
from gateway.wire.tls_profile import PROFILES

T = TypeVar("T")

SCHEMA: Final = 1
SINGLE: Final = ("default", "tls", "keys", "portal", "hop")
INCLUDED: Final = ("lists", *SINGLE, "rule", "exception", "case")
SECTIONS: Final = ("policy", *INCLUDED)
MIN_VERSIONS: Final = ("1.2", "1.3")
CIPHERS: Final = tuple(PROFILES)
REVOCATION: Final = ("off", "soft-fail", "hard-fail")
HOPS: Final = ("none", "encrypted", "authenticated")


class _Parts:
    """What has been read so far."""

    def __init__(self) -> None:
        self.single: dict[str, tuple[Reader, Any]] = {}
        self.lists: list[NamedList] = []
        self.rules: list[Rule] = []
        self.exceptions: list[Exemption] = []
        self.cases: list[Case] = []


def read(text: str | bytes, name: str, files: Files) -> tuple[Rulebook, list[PolicyProblem]]:
    """The rulebook, as far as it could be read, and everything that keeps it from being used."""
    problems: list[PolicyProblem] = []
    parts = _Parts()
    reader = _open(text, name, problems)
    if reader is None:
        return Rulebook(name="", default=Demands()), problems
    header = _section(reader, SECTIONS, parts, files)
    title, zone, includes = _read_header(reader, header)
    for place, included in enumerate(includes):
        path: Path = ("policy", "include", place)
        content = read_file(reader, path, included, files)
        inner = _open(content, included, problems) if content is not None else None
        if inner is not None:
            _section(inner, INCLUDED, parts, files)
    if "default" not in parts.single:
        reader.wrong((), "[default] is missing", "say what every message needs, for example require = [...]")
    return _assemble(reader, parts, title, zone), problems


def _open(text: str | bytes, name: str, problems: list[PolicyProblem]) -> Reader | None:
    try:
        return Reader(load_toml(text, name), problems)
    except ConfigError as error:
        problems.extend(
            PolicyProblem(each.file, each.line, each.column, each.message, each.hint, ERROR)
            for each in error.problems
        )
        return None


def _section(reader: Reader, known: tuple[str, ...], parts: _Parts, files: Files) -> Mapping[str, Any]:
    """Reads the lists, rules, exceptions and cases of one file, and notes its single tables for later."""
    data = reader.document.data
    if "policy" in data and "policy" not in known:
        reader.wrong(("policy",), "[policy] belongs into the file that is loaded, not into an included one")
        data = {key: value for key, value in data.items() if key != "policy"}
    table = reader.table(data, (), known)
    for key in SINGLE:
        if key not in table:
            continue
        if key in parts.single:
            other = parts.single[key][0].place((key,))
            reader.wrong((key,), f"[{key}] stands twice", f"the other one is at {other}")
        else:
            parts.single[key] = (reader, table[key])
    if "lists" in table:
        parts.lists.extend(read_lists(reader, table["lists"], ("lists",), files))
    parts.rules.extend(_each(reader, table, "rule", read_rule))
    parts.exceptions.extend(
        each for each in _each(reader, table, "exception", read_exception) if each is not None
    )
    parts.cases.extend(_each(reader, table, "case", read_case))
    return table


def _each(
    reader: Reader, table: Mapping[str, Any], key: str, read_one: Callable[[Reader, object, Path], T]
) -> list[T]:
    if key not in table:
        return []
    return [read_one(reader, value, path) for value, path in reader.tables(table[key], (key,))]


def _read_header(reader: Reader, table: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    path: Path = ("policy",)
    if "policy" not in table:
        reader.wrong((), "[policy] is missing", "write [policy] with a name and schema = 1")
        return "", "UTC", ()
    header = reader.table(table["policy"], path, ("name", "schema", "timezone", "include"))
    name = reader.text(header, path, "name", required=True) or ""
    schema = header.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        reader.wrong(
            (*path, "schema"),
            "`schema` must be 1",
            "it says in which version of the language this is written",
        )
    zone = reader.text(header, path, "timezone") or "UTC"
    try:
        zoneinfo.ZoneInfo(zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        hint = 'write a name such as "Europe/Berlin"; this machine may lack the time zone database (tzdata)'
        reader.wrong((*path, "timezone"), f"`{zone}` is no time zone known here", hint)
        zone = "UTC"
    return name, zone, reader.words(header, path, "include") or ()


def _assemble(reader: Reader, parts: _Parts, title: str, zone: str) -> Rulebook:
    default, hold_expires, default_place = Demands(), 7 * 86400, Place()
    if "default" in parts.single:
        owner, value = parts.single["default"]
        table = owner.table(value, ("default",), DEFAULT)
        default = read_demands(owner, table, ("default",))
        said = owner.converted(table, ("default",), "hold_expires", units.duration)
        hold_expires = hold_expires if said is None else said
        default_place = owner.place(("default",))
    return Rulebook(
        name=title,
        default=default,
        hold_expires=hold_expires,
        timezone=zone,
        lists=tuple(parts.lists),
        tls=_tls(parts),
        keys=KeySettings(authenticate=_authenticate(parts, "keys", PROVING_KEYS, KeySettings().authenticate)),
        portal=PortalSettings(
            authenticate=_authenticate(parts, "portal", PROVING_PORTAL, PortalSettings().authenticate)
        ),
        hop=_hop(parts),
        rules=tuple(parts.rules),
        exceptions=tuple(parts.exceptions),
        cases=tuple(parts.cases),
        place=reader.place(()),
        default_place=default_place,
    )


def _authenticate(
    parts: _Parts, section: str, words: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    if section not in parts.single:
        return default
    reader, value = parts.single[section]
    table = reader.table(value, (section,), ("authenticate",))
    found = reader.words(table, (section,), "authenticate", words)
    return default if found is None else found


def _tls(parts: _Parts) -> TlsSettings:
    default = TlsSettings()
    if "tls" not in parts.single:
        return default
    reader, value = parts.single["tls"]
    path: Path = ("tls",)
    table = reader.table(
        value, path, ("min_version", "ciphers", "revocation", "authenticate", "mx_continuity")
    )
    found = reader.words(table, path, "authenticate", PROVING_TLS)
    return TlsSettings(
        min_version=reader.word(table, path, "min_version", MIN_VERSIONS) or default.min_version,
        ciphers=reader.word(table, path, "ciphers", CIPHERS) or default.ciphers,
        revocation=reader.word(table, path, "revocation", REVOCATION) or default.revocation,
        authenticate=default.authenticate if found is None else found,
        mx_continuity=reader.converted(table, path, "mx_continuity", units.duration),
    )


def _hop(parts: _Parts) -> HopSettings:
    default = HopSettings()
    if "hop" not in parts.single:
        return default
    reader, value = parts.single["hop"]
    table = reader.table(value, ("hop",), ("smime", "openpgp"))
    return HopSettings(
        smime=reader.word(table, ("hop",), "smime", HOPS) or default.smime,
        openpgp=reader.word(table, ("hop",), "openpgp", HOPS) or default.openpgp,
    )
