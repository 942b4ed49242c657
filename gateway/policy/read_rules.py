"""From TOML to rules, exceptions, the default and cases: which keys they have, and what each must look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.policy import units
from gateway.policy.guarantees import GUARANTEES, LOGIN_FACTORS, METHODS, OTHERWISE, PLAIN, VERDICTS
from gateway.policy.read_case import read_expect, read_given
from gateway.policy.read_conditions import read_condition
from gateway.policy.reading import Path, Reader
from gateway.policy.values import Case, Demands, Exemption, PortalTerms, Rule
from gateway.wire.tls_profile import group_name

DEMANDS: Final = (
    "require",
    "methods",
    "verdict",
    "otherwise",
    "patience",
    "escalate",
    "prefer",
    "stream",
    "pool",
    "reply",
    "portal",
    "journal",
    "journal_plain",
    "sign",
    "notify",
    "strip_tag",
    "key_group",
)
RULE: Final = ("name", "when", *DEMANDS)
DEFAULT: Final = (*DEMANDS, "hold_expires")
EXCEPTION: Final = (
    "name",
    "when",
    "relax",
    "from",
    "waive",
    "methods",
    "reason",
    "approved_by",
    "expires",
)
CASE: Final = ("name", "given", "expect")


def read_demands(reader: Reader, table: Mapping[str, Any], path: Path) -> Demands:
    """The effects of a rule or of the default."""
    methods = reader.words(table, path, "methods", (*METHODS, PLAIN))
    if methods == () and table.get("methods") == []:
        reader.wrong(
            (*path, "methods"),
            "`methods` is empty, so nothing could ever leave",
            'for that write verdict = "hold"',
        )
    journal_plain = reader.flag(table, path, "journal_plain") or False
    if journal_plain and "journal" not in table:
        reader.wrong((*path, "journal_plain"), "`journal_plain` means nothing without `journal`")
    if "reply" in table and table.get("verdict") != "reject" and table.get("otherwise") != "reject":
        reader.wrong((*path, "reply"), "`reply` means nothing here", 'it goes with verdict = "reject"')
    return Demands(
        require=reader.words(table, path, "require", GUARANTEES) or (),
        methods=methods,
        verdict=reader.word(table, path, "verdict", VERDICTS),
        otherwise=reader.word(table, path, "otherwise", OTHERWISE),
        patience=reader.converted(table, path, "patience", units.duration),
        escalate=reader.converted(table, path, "escalate", units.duration),
        prefer=reader.words(table, path, "prefer", METHODS),
        stream=reader.text(table, path, "stream"),
        pool=reader.text(table, path, "pool"),
        reply=reader.text(table, path, "reply"),
        portal=_portal(reader, table, path),
        journal=reader.words(table, path, "journal") or (),
        journal_plain=journal_plain,
        sign=reader.flag(table, path, "sign") or False,
        notify=reader.flag(table, path, "notify") or False,
        strip_tag=reader.flag(table, path, "strip_tag") or False,
        key_group=_groups(reader.words(table, path, "key_group")),
    )


def _groups(written: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if written is None else tuple(dict.fromkeys(map(group_name, written)))


def _portal(reader: Reader, table: Mapping[str, Any], path: Path) -> PortalTerms:
    if "portal" not in table:
        return PortalTerms()
    path = (*path, "portal")
    inner = reader.table(table["portal"], path, ("login", "expires", "staff_may_open"))
    return PortalTerms(
        login=reader.words(inner, path, "login", LOGIN_FACTORS) or (),
        expires=reader.converted(inner, path, "expires", units.duration),
        staff_may_open=reader.flag(inner, path, "staff_may_open"),
    )


def _name(reader: Reader, table: Mapping[str, Any], path: Path) -> str:
    name = reader.text(table, path, "name", required=True) or ""
    if name == "default":
        reader.wrong((*path, "name"), "`default` is the name of the [default] rule", "choose another name")
    return name


def read_rule(reader: Reader, value: object, path: Path) -> Rule:
    table = reader.table(value, path, RULE)
    name = _name(reader, table, path)
    if not any(key in table for key in DEMANDS):
        reader.wrong(
            path, f"rule `{name}` asks for nothing", "say what must hold, for example require = [...]"
        )
    return Rule(
        name=name,
        when=read_condition(reader, table["when"], (*path, "when")) if "when" in table else None,
        demands=read_demands(reader, table, path),
        place=reader.place(path),
    )


def read_exception(reader: Reader, value: object, path: Path) -> Exemption | None:
    """An exception needs all that makes it answerable: whom it is for, why, by whom, until when."""
    table = reader.table(value, path, EXCEPTION)
    name = _name(reader, table, path)
    condition = read_condition(reader, table["when"], (*path, "when")) if "when" in table else None
    if "when" not in table:
        reader.wrong(path, f"exception `{name}` needs a `when`", "say for whom or for what it is meant")
    relax = reader.words(table, path, "relax", GUARANTEES) or ()
    waive = reader.words(table, path, "waive") or ()
    if not relax and not waive and "relax" not in table and "waive" not in table:
        reader.wrong(
            path, f"exception `{name}` lifts nothing", "say what it relaxes or whose verdict it waives"
        )
    if "from" in table and (not relax or table["from"] == []):
        reader.wrong((*path, "from"), "`from` means nothing here", "it names whose demands `relax` touches")
    reason = reader.text(table, path, "reason", required=True)
    approved_by = reader.text(table, path, "approved_by", required=True)
    expires = reader.day(table, path, "expires")
    if condition is None or reason is None or approved_by is None or expires is None:
        return None
    return Exemption(
        name=name,
        when=condition,
        relax=relax,
        sources=reader.words(table, path, "from") or ("default",),
        waive=waive,
        methods=reader.words(table, path, "methods", (*METHODS, PLAIN)),
        reason=reason,
        approved_by=approved_by,
        expires=expires,
        place=reader.place(path),
    )


def read_case(reader: Reader, value: object, path: Path) -> Case:
    """One case: what is given, and what must come of it."""
    table = reader.table(value, path, CASE)
    name = reader.text(table, path, "name", required=True) or ""
    for key in ("given", "expect"):
        if key not in table:
            reader.wrong(path, f"case `{name}` needs `{key}`")
    return Case(
        name=name,
        given=read_given(reader, table.get("given", {}), (*path, "given")),
        expect=read_expect(reader, table.get("expect", {"decision": "send"}), (*path, "expect")),
        place=reader.place(path),
    )
