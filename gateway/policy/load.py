"""Loading a policy: from text to a policy in force, or every problem at once. Opens nothing: `files` gives texts."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gateway.policy.conditions import DetectsTest, Glob, PairTest, TextTest, leaves, name_of
from gateway.policy.meaning import problems_of
from gateway.policy.problems import ERROR, PolicyError
from gateway.policy.program import Policy, compile_policy
from gateway.policy.read_lists import Files
from gateway.policy.read_policy import read
from gateway.policy.values import Rulebook


def no_files(name: str) -> str:
    """For a policy that names no other files."""
    raise LookupError(name)


def load(text: str | bytes, name: str, files: Files = no_files) -> Policy:
    """The policy in this text. `name` is shown in problems; `files` gives the text of a list or an include by its name.

    `files` may be any callable or a mapping's `__getitem__`; it may raise LookupError, OSError or UnicodeError.
    Raises PolicyError with everything that is wrong.
    """
    book, problems = read(text, name, files)
    problems += problems_of(book) if book.place.file else []
    if any(problem.severity == ERROR for problem in problems):
        raise PolicyError(problems)
    return compile_policy(book, policy_hash(book))


def policy_hash(book: Rulebook) -> str:
    """SHA-256 in hexadecimal over everything that was loaded, the contents of lists included.

    Canonical form: JSON of the rulebook with sorted keys, without the places where things stand, so that layout and
    comments of the files do not count and every word that means something does.
    """
    plain = _placeless(msgspec.to_builtins(book))
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()


def _placeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _placeless(each) for key, each in value.items() if key not in _PLACES}
    if isinstance(value, (list, tuple)):
        return [_placeless(each) for each in value]
    return value


_PLACES = frozenset({"place", "default_place", "lines"})


def conditions_used(policy: Policy) -> frozenset[str]:
    """The conditions that the policy can ask about, bare and with their argument ("header", "header:x-secure").

    Classification need not find out anything else.
    """
    used: set[str] = set()
    for condition in (
        *(rule.when for rule in policy.book.rules),
        *(exemption.when for exemption in policy.book.exceptions),
    ):
        for test, _ in leaves(condition):
            name = name_of(test)
            used.add(name)
            if isinstance(test, PairTest) and test.key:
                used.add(f"{name}:{test.key}")
            if isinstance(test, DetectsTest):
                used.add(f"{name}:{test.id}")
            if name == "group" and isinstance(test, TextTest):
                used.update(f"{name}:{each.text}" for each in test.patterns if isinstance(each, Glob))
    return frozenset(used)
