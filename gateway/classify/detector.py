"""Detectors: what looks for kinds of content (health data, card numbers) in a message's text.

How to add one: write `gateway/classify/detectors/<name>.py` with a class that fits `Detector`, and put an instance into
`DETECTORS`. Its id is what policies name in `detects`; its version is recorded with each decision. This build has
none; a policy that names one it lacks is refused by `policy check`, which compares with `KNOWN_DETECTORS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.model.facts import Detection


class Detector(Protocol):
    """Scores one kind of content. The same text gives the same answer for ever under one `version`."""

    @property
    def id(self) -> str: ...

    @property
    def version(self) -> str: ...

    def detect(self, text: str) -> Detection:
        """Judge all text of one message; linear in it. The answer never holds what was matched."""
        ...


DETECTORS: tuple[Detector, ...] = ()
KNOWN_DETECTORS: frozenset[str] = frozenset(detector.id for detector in DETECTORS)


def run(
    detectors: Sequence[Detector], text: str, *, complete: bool
) -> tuple[tuple[Detection, ...], tuple[str, ...]]:
    """What the detectors found, and the conditions that stay unknown because `text` is not all there is."""
    found = tuple(detector.detect(text) for detector in detectors)
    return found, () if complete else tuple(f"detects:{detector.id}" for detector in detectors)
