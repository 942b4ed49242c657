"""What each test of a condition looks at: from a test to a function that gives its result and the value it saw."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Final, assert_never

from gateway.model.facts import Attachment
from gateway.policy.conditions import (
    RECIPIENT,
    AttachmentTest,
    Comparison,
    DetectsTest,
    FlagTest,
    Glob,
    KeysTest,
    NetworkTest,
    NumberTest,
    PairTest,
    Test,
    TextTest,
    TimeTest,
)
from gateway.policy.evidence import look_at_destination, look_at_keys, look_at_tls
from gateway.policy.membership import Fits, Surroundings, end_of, fits
from gateway.policy.scene import FALSE, TRUE, UNKNOWN, IpNetwork, Scene

Look = Callable[[Scene], tuple[int, str]]

SHOWN: Final = 200  # characters of a value in a trace


def compile_look(test: Test, around: Surroundings) -> tuple[Look, bool]:
    """The test's function, and whether it looks at the message alone, so that its result holds for every recipient."""
    match test:
        case TextTest():
            return _text(test, around)
        case KeysTest():
            return look_at_keys(test), False
        case PairTest():
            fit, timed = fits(test.name, test.patterns, around)
            return _pairs(test, fit), not timed
        case NetworkTest():
            return _network(test, around)
        case NumberTest():
            return _number(test), True
        case FlagTest():
            return _requiretls(test), True
        case TimeTest():
            return _time(test), True
        case AttachmentTest():
            return _attachments(test, around)
        case DetectsTest():
            return _detects(test), True
        case _:
            assert_never(test)


def _text(test: TextTest, around: Surroundings) -> tuple[Look, bool]:
    if test.name == "tls":
        return look_at_tls(test), False
    fit, timed = fits(test.name, test.patterns, around)
    if test.name == "destination":
        return look_at_destination(fit), False
    if test.name in RECIPIENT:
        return _recipient(test, fit), False
    return _texts(test, fit, every=around.weakening and test.name in _SENDERS), not timed


def shown(values: Sequence[str]) -> str:
    text = values[0] if len(values) == 1 else ", ".join(values)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


# ------------------------------------------------------------------------------------------------ texts

_SENDERS: Final = frozenset({"from", "from_domain"})
_TEXTS: Final[dict[str, Callable[[Scene], tuple[str, ...]]]] = {
    "from": lambda scene: scene.message.senders,
    "from_domain": lambda scene: scene.message.sender_domains,
    "subject": lambda scene: scene.message.subject,
    "subject_tag": lambda scene: scene.message.subject_tags,
    "group": lambda scene: scene.message.groups,
    "connector": lambda scene: scene.message.connector,
    "authenticated_as": lambda scene: scene.message.authenticated_as,
    "stream": lambda scene: scene.message.stream,
}


def _recipient(test: TextTest, fit: Fits) -> Look:
    if test.name == "recipient":
        return lambda scene: (TRUE if fit(scene.recipient, scene.now) else FALSE, scene.recipient)
    return lambda scene: (TRUE if fit(scene.domain, scene.now) else FALSE, scene.domain)


def _texts(test: TextTest, fit: Fits, *, every: bool) -> Look:
    """One text that fits is enough, except where that would weaken: there every sender must fit."""
    values = _TEXTS[test.name]
    names = frozenset(
        (test.name, *(f"{test.name}:{each.text}" for each in test.patterns if isinstance(each, Glob)))
    )

    def look(scene: Scene) -> tuple[int, str]:
        texts = values(scene)
        result = FALSE
        for text in texts:
            result = TRUE if fit(text, scene.now) else FALSE
            if every is not (result == TRUE):  # one that fits is enough; or one that does not
                break
        unknown = scene.message.unknown
        if unknown and (every or not result) and not unknown.isdisjoint(names):
            result = UNKNOWN
        return result, shown(texts) if texts else ""

    return look


def _pairs(test: PairTest, fit: Fits) -> Look:
    key, header = test.key, test.name == "header"
    names = frozenset((test.name, f"{test.name}:{key}"))

    def look(scene: Scene) -> tuple[int, str]:
        message = scene.message
        pairs = message.headers if header else message.labels
        texts = [value for name, value in pairs if name == key or not key] if pairs else ()
        for text in texts:
            if fit(text, scene.now):
                return TRUE, shown(texts)
        unknown = message.unknown
        return (UNKNOWN if unknown and not unknown.isdisjoint(names) else FALSE), shown(
            texts
        ) if texts else ""

    return look


# ------------------------------------------------------------------------------------------------ plain facts


def _network(test: NetworkTest, around: Surroundings) -> tuple[Look, bool]:
    always = tuple(ipaddress.ip_network(each) for each in test.networks)
    timed: list[tuple[object, tuple[IpNetwork, ...]]] = []
    for name in test.lists:
        named = around.lists[name]
        networks = tuple(ipaddress.ip_network(each) for each in named.entries)
        if named.expires is None:
            always += networks
        else:
            timed.append((end_of(named.expires, around.zone), networks))

    def look(scene: Scene) -> tuple[int, str]:
        client, saw = scene.message.network, scene.message.facts.client_network
        if client is None:
            return UNKNOWN, saw
        within = _within(client, always) or any(
            scene.now < until and _within(client, networks)  # type: ignore[operator]
            for until, networks in timed
        )
        return TRUE if within else FALSE, saw

    return look, not timed


def _within(client: IpNetwork, networks: Iterable[IpNetwork]) -> bool:
    return any(
        client.version == each.version
        and each.network_address <= client.network_address  # type: ignore[operator]
        and client.broadcast_address <= each.broadcast_address  # type: ignore[operator]
        for each in networks
    )


def _number(test: NumberTest) -> Look:
    holds, name = test.comparison.holds, test.name

    def look(scene: Scene) -> tuple[int, str]:
        number: int = getattr(scene.message.facts, name)
        return TRUE if holds(number) else FALSE, str(number)

    return look


def _requiretls(test: FlagTest) -> Look:
    def look(scene: Scene) -> tuple[int, str]:
        asked = scene.message.facts.requiretls
        return TRUE if asked is test.value else FALSE, str(asked).lower()

    return look


def _time(test: TimeTest) -> Look:
    """Days and hours are both those of the moment itself: 01:00 on Saturday is Saturday, also within 22:00-06:00."""

    def look(scene: Scene) -> tuple[int, str]:
        moment = scene.message.local_time
        fits_now = not test.days or moment.weekday() in test.days
        if test.start is not None and test.end is not None:
            minute = moment.hour * 60 + moment.minute
            if test.start < test.end:
                fits_now = fits_now and test.start <= minute < test.end
            else:
                fits_now = fits_now and (minute >= test.start or minute < test.end)
        return TRUE if fits_now else FALSE, moment.strftime("%a %H:%M")

    return look


# ------------------------------------------------------------------------------------------------ content


def _attachments(test: AttachmentTest, around: Surroundings) -> tuple[Look, bool]:
    """Some attachment fits everything that is said. What could not be told is unknown, not false."""
    name_fits, name_timed = fits("attachment", test.file_name, around)
    type_fits, type_timed = fits("attachment", test.media_type, around)

    def one(scene: Scene, attachment: Attachment) -> int:
        if test.file_name and not name_fits(attachment.name.casefold(), scene.now):
            return FALSE
        if test.media_type and not type_fits(attachment.type.casefold(), scene.now):
            return FALSE
        if test.size is not None and not test.size.holds(attachment.size):
            return FALSE
        if test.unreadable is not None and attachment.unreadable is not test.unreadable:
            return FALSE
        if test.encrypted is None:
            return TRUE
        if attachment.encrypted is None:
            return UNKNOWN
        return TRUE if attachment.encrypted is test.encrypted else FALSE

    def look(scene: Scene) -> tuple[int, str]:
        attachments = scene.message.facts.attachments
        result = FALSE
        for each in attachments:
            result = max(result, one(scene, each))
        if result == FALSE and "attachment" in scene.message.unknown:
            result = UNKNOWN
        return result, shown([f"{each.type} {each.size}" for each in attachments]) if attachments else ""

    return look, not (name_timed or type_timed)


def _detects(test: DetectsTest) -> Look:
    """A report that is not there says 0. Where not everything could be looked into, the true numbers may be larger."""
    wanted, bounds = test.id, tuple(bound for bound in (test.score, test.count) if bound is not None)
    names = frozenset(("detects", f"detects:{wanted}"))
    only_grows = all(bound.grows for bound in bounds)

    def holds(bound: Comparison | None, number: int) -> bool:
        return bound is None or bound.holds(number)

    def look(scene: Scene) -> tuple[int, str]:
        score = count = 0
        for detection in scene.message.facts.detections:
            if detection.id == wanted:
                score, count = max(score, detection.score), max(count, detection.count)
        fit = holds(test.score, score) and holds(test.count, count) and bool(bounds or score or count)
        saw = f"score {score / 1000:g}, count {count}"
        sure = scene.message.looked_everywhere and scene.message.unknown.isdisjoint(names)
        if sure or (fit and only_grows):
            return TRUE if fit else FALSE, saw
        return UNKNOWN, f"{saw}, not everything could be looked into"

    return look
