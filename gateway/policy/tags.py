"""Which words in brackets before a subject are the policy's: those that some rule or exception asks about."""

from __future__ import annotations

from gateway.policy.conditions import TextTest, leaves
from gateway.policy.patterns import Matcher, matcher
from gateway.policy.program import Policy


def tags(policy: Policy) -> Matcher:
    """A test for one lower-case word. Others, such as a ticket's number, are the sender's own."""
    book = policy.book
    asked = [
        pattern
        for when in (*(rule.when for rule in book.rules), *(lift.when for lift in book.exceptions))
        for test, _ in leaves(when)
        if isinstance(test, TextTest) and test.name == "subject_tag"
        for pattern in test.patterns
    ]
    return matcher("subject_tag", asked, {each.name: each for each in book.lists})
