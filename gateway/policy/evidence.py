"""Conditions on evidence (`tls`, `keys`, `destination`): what a probe found, which may be unknown at any time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.model.capability import Capability
from gateway.policy.conditions import Glob, KeysTest, TextTest
from gateway.policy.guarantees import KEY_METHODS, TLS_WORDS
from gateway.policy.membership import Fits
from gateway.policy.scene import FALSE, TRUE, UNKNOWN, Scene

Look = Callable[[Scene], tuple[int, str]]


def failed(capability: Capability, method: str) -> bool:
    """Whether a lookup that might have offered this method gave no answer."""
    return any(method in failure.methods for failure in capability.unknown)


def seen_tls(capability: Capability) -> str:
    """The best TLS grade on offer, "none" where there is no offer."""
    grades = {offer.grade for offer in capability.offers if offer.method == "tls"}
    return next((word for word in TLS_WORDS if word in grades), "none")


def look_at_tls(test: TextTest) -> Look:
    wanted = frozenset(pattern.text for pattern in test.patterns if isinstance(pattern, Glob))

    def look(scene: Scene) -> tuple[int, str]:
        if failed(scene.capability, "tls"):
            return UNKNOWN, "not known"
        grade = seen_tls(scene.capability)
        return TRUE if grade in wanted else FALSE, grade

    return look


def look_at_keys(test: KeysTest) -> Look:
    def look(scene: Scene) -> tuple[int, str]:
        keys = usable_keys(scene.capability, scene.now)
        saw = ", ".join(":".join(key) for key in keys)
        for method, grade, scope in test.wanted:
            if any(key[0] == method and grade in {"", key[1]} and scope in {"", key[2]} for key in keys):
                return TRUE, saw
        unknown = any(failed(scene.capability, method) for method, _, _ in test.wanted)
        return (UNKNOWN if unknown else FALSE), saw

    return look


def look_at_destination(fit: Fits) -> Look:
    def look(scene: Scene) -> tuple[int, str]:
        destination = scene.capability.destination
        if not destination and failed(scene.capability, "tls"):
            return UNKNOWN, "not known"
        return TRUE if destination and fit(destination.casefold(), scene.now) else FALSE, destination

    return look


def usable_keys(capability: Capability, now: datetime) -> tuple[tuple[str, str, str], ...]:
    """Method, grade and scope of every key that has not expired, sorted."""
    return tuple(
        sorted(
            {
                (offer.method, offer.grade, offer.scope)
                for offer in capability.offers
                if offer.method in KEY_METHODS and (offer.expires_at is None or now < offer.expires_at)
            }
        )
    )
