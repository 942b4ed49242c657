"""Whether a certificate's names fit the name we meant to reach (RFC 6125 section 6.4, RFC 9525 section 6.3); pure."""

from __future__ import annotations

from collections.abc import Iterable


def match_name(names: Iterable[str], reference: str) -> str | None:
    """The first of a certificate's dNSNames that fits `reference` (A-labels), or None.

    Compared without case and trailing dot. A wildcard is a whole left-most label, stands for exactly one label, and
    needs two labels behind it. Common names and IP addresses are no names.
    """
    wanted = _labels(reference)
    if wanted is None or wanted[-1].isdecimal():
        return None
    return next((name for name in names if _fits(_labels(name), wanted)), None)


def _fits(labels: list[str] | None, wanted: list[str]) -> bool:
    if labels is None:
        return False
    if labels[0] == "*":
        return len(labels) >= 3 and len(labels) == len(wanted) and labels[1:] == wanted[1:]
    return labels == wanted


def _labels(name: str) -> list[str] | None:
    """Lower-case labels; None for what is no host name: an empty label, a character outside ASCII, a stray asterisk."""
    text = name.removesuffix(".").lower()
    labels = text.split(".")
    if not text.isascii() or not all(labels) or any("*" in label for label in labels[1:]):
        return None
    return None if "*" in labels[0] and labels[0] != "*" else labels
