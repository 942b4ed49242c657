"""Text patterns: how they are normalised when they are read, and how they match, in time linear in the text.

Everything compares without case, regular expressions too; addresses compare as `Address.key`, domains in A-labels
(policy.md, Conditions). A `Matcher` takes a text that is already in that form: case-folded, an address key, a domain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import re2

from gateway.policy.conditions import Glob, ListRef, Pattern, Regex
from gateway.policy.values import NamedList
from gateway.wire.address import AddressError, parse_domain

Matcher = Callable[[str], bool]

ADDRESSES: Final = frozenset({"from", "recipient"})
DOMAINS: Final = frozenset({"from_domain", "recipient_domain"})
LONGEST: Final = 1000  # characters of one pattern
_DOMAIN: Final = re.compile(r"[a-z0-9._*?-]+|\[[a-z0-9.:]+\]")


def normal(condition: str, text: str) -> str:
    """A pattern in the form in which `condition` compares. ValueError says why it can never match."""
    if len(text) > LONGEST:
        raise ValueError("is too long for a pattern")
    if condition in DOMAINS:
        return _domain(text)
    if condition in ADDRESSES:
        local, at, domain = text.rpartition("@")
        if not at:
            if set(text) == {"*"}:
                return "*"
            raise ValueError(f"is no address; for domains use `{condition}_domain`")
        if not local:
            raise ValueError(f"has nothing before the @; for domains use `{condition}_domain`")
        if local[0] == local[-1] == '"' and len(local) > 1:
            local = local[1:-1].replace("\\", "")
        return f"{local.casefold()}@{_domain(domain)}"
    return text.casefold()


def _domain(text: str) -> str:
    if "@" in text:
        raise ValueError("is an address and no domain")
    try:
        labels = [label if label.isascii() else parse_domain(label) for label in text.split(".")]
    except AddressError as error:
        raise ValueError(f"is no domain: {error}") from None
    domain = ".".join(labels).lower()
    if _DOMAIN.fullmatch(domain) is None:
        raise ValueError("is no domain")
    return domain


def compile_regex(text: str) -> Matcher:
    """A search for an RE2 expression. ValueError says why it is none."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = False
    options.max_mem = 1 << 20
    if len(text) > LONGEST:
        raise ValueError("is too long for a regular expression")
    try:
        search = re2.compile(text.encode(), options).search
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"is no regular expression that RE2 takes: {said}") from None
    return lambda value: search(value.encode(errors="replace")) is not None


def matcher(condition: str, patterns: Iterable[Pattern], lists: Mapping[str, NamedList]) -> Matcher:
    """One matcher for all of these; lists are taken as they stand (who minds their expiry asks for it apart)."""
    exact: set[str] = set()
    folded: set[str] = set()
    ends: list[str] = []
    others: list[Matcher] = []
    for text, fold in _globs(condition, patterns, lists):
        if "*" not in text and "?" not in text:
            (folded if fold else exact).add(text)
        elif fold:
            others.append(_folding(_glob(text)))
        elif text[0] == "*" and text.count("*") == 1 and "?" not in text:
            ends.append(text[1:])
        else:
            others.append(_glob(text))
    if ends:
        others.insert(0, _ending(tuple(ends)))
    others.extend(compile_regex(pattern.text) for pattern in patterns if isinstance(pattern, Regex))
    if folded:
        others.append(_folding(folded.__contains__))
    return _first_of(frozenset(exact), others)


def _globs(
    condition: str, patterns: Iterable[Pattern], lists: Mapping[str, NamedList]
) -> Iterator[tuple[str, bool]]:
    for pattern in patterns:
        if isinstance(pattern, Glob):
            yield pattern.text, False
        elif isinstance(pattern, ListRef):
            named = lists[pattern.name]
            fold = named.fold_tags and condition in ADDRESSES
            for entry in named.entries:
                yield normal(condition, entry), fold


def _first_of(exact: frozenset[str], others: Sequence[Matcher]) -> Matcher:
    if not others:
        return exact.__contains__
    if not exact and len(others) == 1:
        return others[0]
    return lambda text: text in exact or any(other(text) for other in others)


def _ending(ends: tuple[str, ...]) -> Matcher:
    """The commonest globs, "*.exe" and "*@example.org", in one look."""
    return lambda text: text.endswith(ends)


def _folding(match: Matcher) -> Matcher:
    """Tries the address as it is, then without what follows the first plus of its local part."""

    def folding(text: str) -> bool:
        if match(text):
            return True
        local, at, domain = text.rpartition("@")
        plain = local.partition("+")[0]
        return bool(at and plain) and plain != local and match(f"{plain}@{domain}")

    return folding


def _glob(text: str) -> Matcher:
    """A whole-text match; the pieces between the stars are sought from left to right, which needs no way back."""
    if "?" in text:
        escaped = "".join({"*": ".*", "?": "."}.get(char, re2.escape(char)) for char in text)
        return compile_regex(rf"(?s)\A{escaped}\z")
    first, *middle, last = text.split("*")
    if not any(middle):
        least = len(first) + len(last)
        return lambda value: len(value) >= least and value.startswith(first) and value.endswith(last)
    pieces = tuple(piece for piece in middle if piece)

    def match(value: str) -> bool:
        if not value.startswith(first):
            return False
        position = len(first)
        for piece in pieces:
            position = value.find(piece, position)
            if position < 0:
                return False
            position += len(piece)
        return len(value) - position >= len(last) and value.endswith(last)

    return match
