"""The policy in force: read from disk, checked, swapped whole; a faulty one changes nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.classify.detector import KNOWN_DETECTORS
from gateway.config.quantities import format_size
from gateway.net.tls_context import supported_groups
from gateway.policy import Policy, PolicyError, PolicyProblem, conditions_used, load
from gateway.policy.lint import Site, lint
from gateway.policy.problems import ERROR
from gateway.policy.tags import tags
from gateway.service.clock import now

SITE = Site(  # what this build has
    detectors=KNOWN_DETECTORS,
    effects=frozenset({"strip_tag", "pool", "key_group"}),
    key_groups=supported_groups(),
)
LARGEST = 64 * 1024 * 1024  # octets of one file; lists of partners can be long


class Loaded(msgspec.Struct, frozen=True):
    """A policy with the texts that it was made of, by the names under which the policy knows them."""

    policy: Policy
    texts: dict[str, bytes]


def load_policy(file: Path) -> Loaded:
    """Read and check a policy with its includes and lists. Raises PolicyError with everything that is wrong.

    A detector, group or effect that this build lacks is wrong too: its rule would silently not do what it says.
    """
    texts: dict[str, bytes] = {}

    def read(name: str) -> str:
        content = _read(file.parent / name)
        texts[name] = content
        return content.decode()

    try:
        text = _read(file)
    except OSError as error:
        problem = PolicyProblem(
            file=str(file), line=0, column=0, what=f"cannot be read: {(error.strerror or str(error)).lower()}"
        )
        raise PolicyError([problem]) from error
    texts[file.name] = text
    policy = load(text, str(file), read)
    problems = lint(policy, SITE, now())
    if any(problem.severity == ERROR for problem in problems):
        raise PolicyError(problems)
    return Loaded(policy, texts)


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(f"is larger than {format_size(LARGEST)}")
    return content


class PolicyInForce:
    """Holds the policy that decides now; `conditions` are those that it can ask about.

    `reload` swaps it whole, for all decisions that begin afterwards.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._loaded = load_policy(file)
        self._tags = tags(self._loaded.policy)
        self.conditions = conditions_used(self._loaded.policy)

    @property
    def policy(self) -> Policy:
        """What decides now."""
        return self._loaded.policy

    @property
    def loaded(self) -> Loaded:
        """The same, with its texts."""
        return self._loaded

    def is_tag(self, word: str) -> bool:
        """Whether a word in brackets before a subject is one that the policy asks about (`subject_tag`)."""
        return self._tags(word)

    def reload(self) -> Loaded | None:
        """Read the file again; what was loaded, or None where nothing changed. Raises PolicyError, changing nothing."""
        fresh = load_policy(self.file)
        if fresh.policy.hash == self._loaded.policy.hash:
            return None
        self._loaded = fresh
        self._tags = tags(fresh.policy)
        self.conditions = conditions_used(fresh.policy)
        return fresh
