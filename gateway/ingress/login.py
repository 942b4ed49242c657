"""Checks user names and passwords: argon2 in a small pool of threads, the same work for users that do not exist."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import argon2

from gateway.ingress.connector import Connector
from gateway.ingress.throttle import FailureLimit
from gateway.wire.smtp_server_actions import Login, Refused

WRONG = Refused(535, "5.7.8", "authentication failed: wrong user name or password")
THROTTLED = Refused(454, "4.7.0", "too many failed logins; try again later")
BUSY = Refused(454, "4.7.0", "too many logins at once; try again later")

_WORKERS = 2  # argon2 takes tens of milliseconds and tens of MiB each
_WAITING_LIMIT = 64
_PASSWORD_LIMIT = 1024  # characters; longer ones only cost time


class LoginCheck:
    """One per listener.

    Failures are limited for each client address (20 in 10 minutes) and for each user name (100 in 10 minutes, so that
    nobody is locked out by a few strangers' guesses).
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="login")
        self._waiting = 0
        self._by_ip = FailureLimit(20, 600)
        self._by_user = FailureLimit(100, 600)

    async def check(self, login: Login, connectors: tuple[Connector, ...], ip: str) -> Connector | Refused:
        """The login connector that knows this user with this password."""
        loop = asyncio.get_running_loop()
        if not (self._by_ip.allows(ip, loop.time()) and self._by_user.allows(login.user, loop.time())):
            return THROTTLED
        if self._waiting >= _WAITING_LIMIT:
            return BUSY
        found, password_hash = _find(connectors, login.user)
        self._waiting += 1
        try:
            right = await loop.run_in_executor(self._pool, _verify, password_hash, login.password)
        finally:
            self._waiting -= 1
        if right and found is not None:
            return found
        self._by_ip.failed(ip, loop.time())
        self._by_user.failed(login.user, loop.time())
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
    try:
        return argon2.PasswordHasher().verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
