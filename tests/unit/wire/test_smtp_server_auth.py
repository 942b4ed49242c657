"""The server dialogue: AUTH PLAIN and AUTH LOGIN."""

from __future__ import annotations

import base64

import pytest

from gateway.wire.smtp_server_actions import Authenticate, CloseReason, Login, Refused
from gateway.wire.smtp_server_auth import AUTH_LIMIT
from tests.fakes.smtp_dialogue import Driver


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "lines",
    [
        [b"AUTH PLAIN " + b64("\0ann\0geheim")],
        [b"auth plain", b64("ann\0ann\0geheim")],
        [b"AUTH LOGIN", b64("ann"), b64("geheim")],
        [b"AUTH LOGIN " + b64("ann"), b64("geheim")],
    ],
)
def test_logins_that_are_well_formed(lines: list[bytes]) -> None:
    driver = Driver(tls=True).hello()
    codes = [code for line in lines for code in driver.codes(line + b"\r\n")]
    assert codes == [334] * (len(lines) - 1) + [235]
    assert driver.events == [Authenticate(Login("ann", "geheim"))]
    assert "geheim" not in repr(driver.events)
    assert driver.dialogue.user == "ann"
    assert driver.dialogue.protocol == "ESMTPSA"
    assert driver.codes(b"AUTH LOGIN\r\n") == [503]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([b"AUTH PLAIN ???"], 501),
        ([b"AUTH PLAIN " + b64("ann")], 501),
        ([b"AUTH PLAIN " + b64("root\0ann\0geheim")], 535),
        ([b"AUTH PLAIN ="], 501),
        ([b"AUTH CRAM-MD5"], 504),
        ([b"AUTH"], 504),
        ([b"AUTH LOGIN", b"*"], 501),
        ([b"AUTH LOGIN", b64("ann"), b"*"], 501),
        ([b"AUTH PLAIN", b"/w=="], 501),
    ],
)
def test_logins_that_are_not(lines: list[bytes], code: int) -> None:
    driver = Driver(tls=True).hello()
    codes = [each for line in lines for each in driver.codes(line + b"\r\n")]
    assert codes[-1] == code
    assert driver.events == []
    assert driver.codes(b"NOOP\r\n") == [250]


def test_three_failed_logins_end_the_session() -> None:
    def no(action: object) -> Refused | None:
        return Refused(535, "5.7.8", "no") if isinstance(action, Authenticate) else None

    driver = Driver(tls=True, answer=no).hello()
    login = b"AUTH PLAIN " + b64("\0ann\0wrong") + b"\r\n"
    assert [code for _ in range(3) for code in driver.codes(login)] == [535, 535, 421]
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.AUTH


def test_long_sasl_responses_pass_and_longer_ones_end_the_session() -> None:
    driver = Driver(tls=True).hello()
    assert driver.codes(b"AUTH PLAIN\r\n") == [334]
    assert driver.codes(b64("\0ann\0" + "x" * 9000) + b"\r\n") == [235]
    driver = Driver(tls=True).hello()
    assert driver.codes(b"AUTH PLAIN\r\n", b"x" * (AUTH_LIMIT + 2)) == [334, 500]


def test_login_under_way_is_not_pipelined() -> None:
    driver = Driver(tls=True).hello()
    assert driver.codes(b"AUTH LOGIN\r\nTUFJTA==\r\n") == [554]
