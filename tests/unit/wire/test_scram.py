"""SCRAM-SHA-256: the RFC's example, a client written from the RFC, and what must not log in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.scram import ScramError, ScramServer, make_verifier, parse_verifier
from gateway.wire.smtp_server_actions import Authenticate, FindVerifier, Proved
from gateway.wire.smtp_server_session import DialogueSettings
from tests.fakes.scram_client import ScramClient
from tests.fakes.smtp_dialogue import Driver

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = make_verifier("pencil", SALT)
BINDING = b"b" * 32


def played(server: ScramServer, client: ScramClient, *, tamper: str = "") -> str | None:
    user = server.first(client.first())
    assert user == "us,e=r"
    answer = client.final(server.challenge(PENCIL, "server-nonce"))
    return server.final(answer.replace("c=", f"c={tamper}", 1) if tamper else answer)


def test_the_example_of_rfc_7677() -> None:
    server = ScramServer(binding=None, plus=False)
    assert server.first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == "user"
    challenge = server.challenge(PENCIL, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert challenge == (
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = server.final(
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert final == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("binding", [b"", BINDING])
def test_a_client_with_the_password_gets_in_and_knows_the_server(binding: bytes) -> None:
    client = ScramClient("us,e=r", "pencil", binding=binding)
    last = played(ScramServer(binding=binding or None, plus=bool(binding)), client)
    assert last is not None
    client.check(last)


@pytest.mark.parametrize(
    ("server", "client"),
    [
        (ScramServer(binding=None, plus=False), ScramClient("us,e=r", "pencil ")),
        (ScramServer(binding=BINDING, plus=True), ScramClient("us,e=r", "pencil", binding=b"x" * 32)),
        (
            ScramServer(binding=BINDING, plus=True),
            ScramClient("us,e=r", "pencil", header="p=tls-exporter,,"),
        ),
    ],
    ids=["wrong password", "another connection", "bound to nothing"],
)
def test_what_does_not_fit_is_no_login(server: ScramServer, client: ScramClient) -> None:
    assert played(server, client) is None


def test_a_changed_channel_is_no_login() -> None:
    client = ScramClient("us,e=r", "pencil")
    assert played(ScramServer(binding=None, plus=False), client, tamper="AAAA") is None


@pytest.mark.parametrize(
    ("first", "plus", "binding"),
    [
        ("y,,n=u,r=x", False, BINDING),  # PLUS was offered, and somebody hid it
        ("p=tls-exporter,,n=u,r=x", False, BINDING),
        ("p=tls-unique,,n=u,r=x", True, BINDING),
        ("n,,n=u,r=x", True, BINDING),
        ("n,a=root,n=u,r=x", False, None),
        ("n,,m=ext,n=u,r=x", False, None),
        ("n,,n=u=2,r=x", False, None),
        ("n,,n=,r=x", False, None),
        ("n,,n=u,r=", False, None),
        ("n,,n=u,r=x y", False, None),
        ("", False, None),
        ("x", False, None),
    ],
)
def test_first_messages_that_are_refused(first: str, plus: bool, binding: bytes | None) -> None:
    with pytest.raises(ScramError):
        ScramServer(binding=binding, plus=plus).first(first)


@pytest.mark.parametrize(
    "text",
    [
        "",
        str(PENCIL).replace("4096", "4095"),
        str(PENCIL).replace("4096", "9999999"),
        str(PENCIL).replace("W22Z", "!"),
        str(PENCIL)[:-1],
        "SCRAM-SHA-1$" + str(PENCIL).partition("$")[2],
        str(PENCIL).replace("W22ZaJ0SNY7soEsUEjb6gQ==", "AAA="),
    ],
)
def test_verifiers_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="SCRAM"):
        parse_verifier(text)


@settings(max_examples=15)
@given(st.text(max_size=20), st.binary(min_size=8, max_size=64))
def test_a_verifier_is_read_as_it_was_written_and_fits_its_password(password: str, salt: bytes) -> None:
    verifier = make_verifier(password, salt)
    assert parse_verifier(str(verifier)) == verifier
    assert verifier.fits(password)
    assert not verifier.fits(password + "x")
    assert "SCRAM-SHA" not in repr(verifier)


def test_the_dialogue_goes_step_by_step_and_may_be_cancelled() -> None:
    driver = Driver(DialogueSettings(hostname="gw.example", auth=True, scram=True), tls=True).hello()
    assert driver.codes(b"AUTH SCRAM-SHA-256-PLUS\r\n") == [504], "there is nothing to bind to"
    for cut in range(3):
        client = ScramClient("ann", "geheim")
        steps = [b"AUTH SCRAM-SHA-256\r\n", b64(client.first())]
        for step in steps[: cut + 1]:
            assert driver.codes(step) == [334]
        assert driver.codes(b"*\r\n") == [501]
    client = ScramClient("ann", "geheim")
    challenge = driver.feed(b"AUTH SCRAM-SHA-256 " + b64(client.first()))
    proof = driver.feed(b64(client.final(base64.b64decode(challenge[4:]).decode())))
    client.check(base64.b64decode(proof[4:]).decode())
    assert driver.codes(b64("more")) == [501]
    challenge = driver.feed(b"AUTH SCRAM-SHA-256 " + b64(client.first()))
    driver.feed(b64(client.final(base64.b64decode(challenge[4:]).decode())))
    assert driver.codes(b"\r\n") == [235]
    assert driver.events[-2:] == [FindVerifier("ann"), Authenticate(Proved("ann", right=True))]
    assert driver.dialogue.user == "ann"


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode()) + b"\r\n"
