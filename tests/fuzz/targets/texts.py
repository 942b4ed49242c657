"""What people write: policies, their patterns, the configuration, users files."""

from __future__ import annotations

import functools
from pathlib import Path

from gateway.config.environment import overrides
from gateway.config.example import example
from gateway.config.loading import parse
from gateway.config.problems import ConfigError
from gateway.config.toml_source import load as load_toml
from gateway.config.users import parse_users
from gateway.policy import PolicyError, load
from gateway.policy.patterns import compile_regex, normal
from tests.fuzz.target import Choices, Target
from tests.unit.policy.situations import DEFAULT, HEAD, decided

_PACKS = Path(__file__).parents[3] / "policies"
_RULE = """
[[rule]]
name = "r"
when = { any = [{ recipient_domain = "*.example" }, { not = { subject_tag = "secure" } }] }
require = ["verified"]
methods = ["tls"]
"""
_EXAMPLE = example()


@functools.cache
def _pack_file(name: str) -> str:
    return (_PACKS / Path(name).name).read_text()


def policy(octets: bytes) -> None:
    try:
        found = load(octets, "policy.toml", _pack_file)
    except PolicyError as error:
        assert error.problems
        assert all(each.what and each.file and each.line >= 0 and str(each) for each in error.problems)
        return
    assert load(octets, "policy.toml", _pack_file).hash == found.hash
    assert "engine_error" not in decided(found).because.notes


def pattern(octets: bytes) -> None:
    choices = Choices(octets)
    condition = choices.pick(("recipient", "recipient_domain", "subject"))
    text = choices.rest().decode("utf-8", "replace")
    try:
        once = normal(condition, text)
    except ValueError as error:
        assert str(error)
    else:
        assert '"' in text or normal(condition, once) == once
    try:
        compile_regex(text)("a" * 50 + "b")
    except ValueError as error:
        assert str(error)


def configuration(octets: bytes) -> None:
    try:
        document = load_toml(octets, "sealgate.toml")
    except ConfigError as error:
        assert error.problems
        return
    config, problems = parse(document, [], Path("/nowhere"), "")
    assert (config is None) == bool(problems)
    assert all(str(problem) for problem in problems)


def small_texts(octets: bytes) -> None:
    text = octets.decode("utf-8", "replace")
    users, problems = parse_users(text, "users", ())
    assert all(users.values())
    assert all(problem.line >= 1 for problem in problems)
    name, _, value = text.partition("=")
    if "\0" not in text:
        overrides({"SEALGATE_" + name.upper(): value})


TARGETS = (
    Target(
        "policy",
        "a policy, the same hash every time, that decides without an engine error; or problems with their places",
        policy,
        ((HEAD + DEFAULT + _RULE).encode(), (_PACKS / "baseline.toml").read_bytes()),
        8000,
    ),
    Target(
        "pattern",
        "a pattern once and for all (quotes apart), or ValueError; a regular expression takes linear time",
        pattern,
        (b"\0*@x.example", b"\1*.x.example", b"\2(a+)+$", b"\2[secure] *", "\1ö.example".encode()),
        200,
    ),
    Target(
        "configuration",
        "a configuration, or problems with their places",
        configuration,
        (_EXAMPLE.encode(), b'hostname = "gw.example"\n[[listener]]\nname = "x"\naddress = "[::1]:25"\n'),
        8000,
    ),
    Target(
        "small-texts",
        "users and environment variables, or problems",
        small_texts,
        (
            b"ann:$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\n# x\nbob\n",
            b"DELIVERY__RETRY__FIRST=1m",
            b'DNS__SERVERS=["192.0.2.1"]',
        ),
        500,
    ),
)
