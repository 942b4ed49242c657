"""The bracketed words at the start of a subject, by which senders ask for protection: `[secure] results`.

They are found behind reply and forward prefixes in any order, because a tag must outlive an answer.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PREFIX_LIMIT = 40  # prefixes and tags that are looked at
TAG_LIMIT = 60  # characters of one tag

# Prefixes that mail programs put before a subject: English, German, Dutch, the Nordic and Romance languages, Polish,
# Turkish, Chinese. Some count: "Re[2]:", "RE (3):".
_PREFIX = re.compile(
    r"\s*+(?:re|fwd?|aw|wg|antw|antwort|doorst|sv|vs|vb|vl|tr|rv|res?|enc|rif|r|i|réf?|odp|pd|ynt|ilt|回复|答复|转发|回覆|轉寄)"
    r"\s*+(?>(?:[\[(]\d{1,3}[\])]\s*+)?)[:：]",
    re.IGNORECASE,
)
_TAG = re.compile(rf"\s*+\[([^\[\]\r\n]{{1,{TAG_LIMIT}}})\]")


class Tag(NamedTuple):
    """One tag in lower case with single blanks; `start` and `end` are its place in the subject, brackets included."""

    word: str
    start: int
    end: int


def leading_tags(subject: str) -> tuple[Tag, ...]:
    """The tags in front of the subject's own words, in order."""
    found: list[Tag] = []
    position = 0
    for _ in range(PREFIX_LIMIT):
        tag = _TAG.match(subject, position)
        if tag is not None:
            word = " ".join(tag[1].casefold().split())
            if word:
                found.append(Tag(word, tag.start(1) - 1, tag.end()))
            position = tag.end()
            continue
        prefix = _PREFIX.match(subject, position)
        if prefix is None:
            break
        position = prefix.end()
    return tuple(found)
