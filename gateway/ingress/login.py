"""Checks user names and passwords: hashing in a small pool of threads, the same work for users that do not exist.

SCRAM needs no hashing here: who asks gets the user's verifier, or for a user that nobody knows one that never fits.
"""

from __future__ import annotations

import asyncio
import hmac
from concurrent.futures import ThreadPoolExecutor

import argon2

from gateway.ingress.connector import Connector
from gateway.ingress.throttle import FailureLimit
from gateway.wire.scram import ITERATIONS, Verifier, parse_verifier
from gateway.wire.smtp_server_actions import Login, Proved, Refused

WRONG = Refused(535, "5.7.8", "authentication failed: wrong user name or password")
THROTTLED = Refused(454, "4.7.0", "too many failed logins; try again later")
BUSY = Refused(454, "4.7.0", "too many logins at once; try again later")

_WORKERS = 2  # argon2 takes tens of milliseconds and tens of MiB each
_WAITING_LIMIT = 64
_PASSWORD_LIMIT = 1024  # characters; longer ones only cost time


class LoginCheck:
    """One per listener.

    Failures are limited for each client address (20 in 10 minutes) and for each user name (100 in 10 minutes, so that
    nobody is locked out by a few strangers' guesses). `secret` makes the salts of users that nobody knows.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="login")
        self._waiting = 0
        self._by_ip = FailureLimit(20, 600)
        self._by_user = FailureLimit(100, 600)

    def verifier(self, user: str, connectors: tuple[Connector, ...], ip: str) -> Verifier | Refused:
        """What SCRAM asks the user's proof to fit; for one that nobody knows always the same, like a real one."""
        if not self._allows(user, ip):
            return THROTTLED
        found, password_hash = _find(connectors, user)
        some = parse_verifier(password_hash) if password_hash.startswith("SCRAM-") else None
        if found is not None and some is not None:
            return some
        salt = hmac.digest(self._secret, user.encode(), "sha256")
        size, iterations = (len(some.salt), some.iterations) if some else (16, ITERATIONS)
        return Verifier(iterations, salt[:size].ljust(size, b"\0"), salt, salt)

    async def check(
        self, login: Login | Proved, connectors: tuple[Connector, ...], ip: str
    ) -> Connector | Refused:
        """The login connector that knows this user, who has shown the password."""
        loop = asyncio.get_running_loop()
        if not self._allows(login.user, ip):
            return THROTTLED
        found, password_hash = _find(connectors, login.user)
        if isinstance(login, Proved):
            return self._counted(found if login.right else None, login.user, ip)
        if self._waiting >= _WAITING_LIMIT:
            return BUSY
        self._waiting += 1
        try:
            right = await loop.run_in_executor(self._pool, _verify, password_hash, login.password)
        finally:
            self._waiting -= 1
        return self._counted(found if right else None, login.user, ip)

    def _allows(self, user: str, ip: str) -> bool:
        now = asyncio.get_running_loop().time()
        return self._by_ip.allows(ip, now) and self._by_user.allows(user, now)

    def _counted(self, found: Connector | None, user: str, ip: str) -> Connector | Refused:
        if found is not None:
            return found
        now = asyncio.get_running_loop().time()
        self._by_ip.failed(ip, now)
        self._by_user.failed(user, now)
        return WRONG

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _find(connectors: tuple[Connector, ...], name: str) -> tuple[Connector | None, str]:
    """The user's connector and hash; for a user nobody knows some other user's hash, so that the work is the same."""
    some = ""
    for connector in connectors:
        for user in connector.users:
            some = some or user.password_hash
            if user.name == name:
                return connector, user.password_hash
    return None, some


def _verify(password_hash: str, password: str) -> bool:
    if len(password) > _PASSWORD_LIMIT:
        return False
    if password_hash.startswith("SCRAM-"):
        return parse_verifier(password_hash).fits(password)
    try:
        return argon2.PasswordHasher().verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
