"""Where each key stands in TOML text, in every way TOML lets a person write it."""

from __future__ import annotations

import pytest

from gateway.config.problems import ConfigError, ConfigProblem
from gateway.config.toml_source import Path, TomlDocument, load

TEXT = '''\
# a comment with [brackets] = "and quotes"
hostname = "gw.example"   # after a value
"quoted key" = 1
'lit "eral"' = 2
"esc\\u0061ped" = 3

[delivery]
port = 25
allow_networks = [
  "192.0.2.0/24",   # the first ]
  "198.51.100.0/24",
]
pools = { fast = ["192.0.2.1"], "slow one" = [ { deep = 1 } ] }
retry.first = "5m"
retry.factor = 2

[[delivery.route]]
domain = "a.example"

[delivery.route.extra]
note = """one "quoted" \\""" line
[not.a.table]
x = 1 """""

[[delivery.route]]
domain = \'\'\'b\'\'\'\'\'
when = 2027-01-31 07:32:00
[a . "b.c"]
d = [[1, 2], [], [3]]
[a]
e = true
'''


@pytest.fixture(scope="module")
def document() -> TomlDocument:
    return load(TEXT, "test.toml")


def found(document: TomlDocument, path: Path, length: int = 12) -> str:
    line, column = document.locate(path)
    return TEXT.splitlines()[line - 1][column - 1 :][:length]


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        (("hostname",), "hostname = "),
        (("quoted key",), '"quoted key"'),
        (('lit "eral"',), "'lit \"eral\"'"),
        (("escaped",), '"esc\\u0061pe'),
        (("delivery",), "delivery]"),
        (("delivery", "port"), "port = 25"),
        (("delivery", "allow_networks", 0), '"192.0.2.0/2'),
        (("delivery", "allow_networks", 1), '"198.51.100.'),
        (("delivery", "pools", "fast"), "fast = ["),
        (("delivery", "pools", "fast", 0), '"192.0.2.1"]'),
        (("delivery", "pools", "slow one"), '"slow one" ='),
        (("delivery", "pools", "slow one", 0, "deep"), "deep = 1 }"),
        (("delivery", "retry"), "retry.first "),
        (("delivery", "retry", "factor"), "factor = 2"),
        (("delivery", "route"), "route]]"),
        (("delivery", "route", 0, "domain"), 'domain = "a.'),
        (("delivery", "route", 0, "extra", "note"), "note = "),
        (("delivery", "route", 1, "domain"), "domain = '''"),
        (("delivery", "route", 1, "when"), "when = 2027"),
        (("a", "b.c"), '"b.c"]'),
        (("a", "b.c", "d", 0, 1), "2], [], [3]]"),
        (("a", "b.c", "d", 2), "[3]]"),
        (("a",), "a]"),
        (("a", "e"), "e = true"),
    ],
)
def test_each_key_is_where_it_was_written(document: TomlDocument, path: Path, begins: str) -> None:
    assert found(document, path, len(begins)) == begins


def test_values_begin_after_the_equals_sign(document: TomlDocument) -> None:
    assert document.locate_value(("hostname",)) == (2, 12)
    assert document.locate_value(("delivery", "pools", "fast")) == (13, 18)


def test_a_missing_key_is_located_at_its_table(document: TomlDocument) -> None:
    assert document.locate(("delivery", "route", 1, "next_hop")) == document.locate(("delivery", "route", 1))
    assert document.locate(("nothing",)) == (1, 1)
    assert document.locate(()) == (1, 1)


def test_line_ends_of_windows_and_a_byte_order_mark_do_not_move_places() -> None:
    document = load("\ufeffa = 1\r\n\r\n[b]\r\nc = 2\r\n".encode(), "w.toml")

    assert document.data == {"a": 1, "b": {"c": 2}}
    assert document.locate(("a",)) == (1, 1)
    assert document.locate(("b", "c")) == (4, 1)


@pytest.mark.parametrize(
    "string", ['"""x"""""', '""""""', "'''x'''''", "''''x'''", r'"\""', "'\\'", '"""\\""""', "''", '""']
)
def test_a_string_ends_where_it_ends(string: str) -> None:
    document = load(f"a = {string}\nb = 1\n", "strings.toml")

    assert set(document.keys) == {("a",), ("b",)}


def problem_of(source: str | bytes) -> ConfigProblem:
    with pytest.raises(ConfigError) as caught:
        load(source, "bad.toml")
    (problem,) = caught.value.problems
    return problem


def test_a_syntax_error_is_a_problem_at_its_place() -> None:
    problem = problem_of("a = 1\nb = = 2\n")

    assert (problem.file, problem.line, problem.column) == ("bad.toml", 2, 5)
    assert str(problem).startswith("bad.toml:2:5: not valid TOML: invalid value")


def test_an_unexpected_end_is_a_problem_at_the_end() -> None:
    problem = problem_of("a = 1\nb = ")

    assert (problem.line, problem.column) == (2, 5)
    assert "(at " not in problem.message


def test_text_that_is_not_utf8_is_a_problem_at_its_place() -> None:
    problem = problem_of("a = 1\nb = 'zürich".encode() + b"\xff'\n")

    assert (problem.line, problem.column) == (2, 12)


def test_hostile_nesting_is_a_problem_and_no_crash() -> None:
    assert "nested too deeply" in problem_of("a = " + "[" * 100_000).message
    assert "nested too deeply" in problem_of("a = " + "[" * 5_000 + "]" * 5_000).message


def test_a_string_of_megabytes_is_walked() -> None:
    document = load('a = """' + 'x"\\n' * 100_000 + '"""\nb = 1\n', "big.toml")

    assert document.locate(("b",)) == (2, 1)
