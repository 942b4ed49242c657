"""Addresses of our own: signed, bounded in time, safe from whoever folds case, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.model.ids import message_id
from gateway.wire.address import parse_path
from gateway.wire.service_address import MOST_NUMBERS, Purpose, ServiceAddresses, Ticket

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
OURS = ServiceAddresses(bytes(range(32)))
TICKET = Ticket(Purpose.BOUNCE, message_id(1_772_600_000_000, b"\x07" * 7), 3)
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _address(ticket: Ticket = TICKET, last: datetime = NOW) -> Address:
    return OURS.address(ticket, last, "gw.hospital.example")


@given(
    st.integers(0, 2**50 - 1),
    st.binary(min_size=7, max_size=7),
    st.integers(0, MOST_NUMBERS - 1),
    st.booleans(),
)
def test_what_is_made_is_read_again_also_in_capitals(at: int, chance: bytes, number: int, loud: bool) -> None:
    ticket = Ticket(Purpose.BOUNCE, message_id(at, chance), number)
    address = _address(ticket)
    local = address.local.upper() if loud else address.local

    assert OURS.read(Address(local, address.domain), NOW) == ticket
    assert len(address.local) == 54  # of 64


def test_it_goes_through_an_envelope_as_it_is() -> None:
    address = _address()

    assert parse_path(f"<{address}>".encode(), smtputf8=False)[0] == address


def test_the_same_errand_has_the_same_address_at_each_attempt_and_every_other_another() -> None:
    others = {
        _address(Ticket(Purpose.BOUNCE, TICKET.message, 4)),
        _address(Ticket(Purpose.BOUNCE, message_id(0, b"\x07" * 7), 3)),
        _address(last=NOW + timedelta(days=1)),
        ServiceAddresses(bytes(32)).address(TICKET, NOW, "gw.hospital.example"),
    }

    assert _address() == _address()
    assert _address() not in others
    assert len(others) == 4


def test_it_is_good_until_the_end_of_its_last_day() -> None:
    address = _address()

    assert OURS.read(address, NOW.replace(hour=23, minute=59)) == TICKET
    assert OURS.read(address, NOW + timedelta(days=1)) is None


@pytest.mark.parametrize("place", range(2, 54))
def test_a_token_with_one_character_changed_is_nobodys(place: int) -> None:
    local = _address().local
    for char in ALPHABET:
        if char != local[place]:
            changed = local[:place] + char + local[place + 1 :]
            assert OURS.read(Address(changed, "gw.hospital.example"), NOW) is None


@pytest.mark.parametrize(
    "local",
    [
        "",
        "postmaster",
        "b",
        "b+",
        "b+" + 52 * "0",
        "b+" + 52 * "ß",
        _address().local[2:],
        "r" + _address().local[1:],
        "c" + _address().local[1:],
        "bb" + _address().local[1:],
        _address().local + "0",
        _address().local[:-1],
        f'"{_address().local}"',
        _address().local + "\n",
    ],
)
def test_what_is_no_address_of_ours(local: str) -> None:
    assert OURS.read(Address(local, "gw.hospital.example"), NOW) is None


def test_another_installations_addresses_are_not_ours() -> None:
    theirs = ServiceAddresses(bytes(32)).address(TICKET, NOW, "gw.hospital.example")

    assert OURS.read(theirs, NOW) is None


def test_a_short_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 octets"):
        ServiceAddresses(b"short")


def test_a_recipient_beyond_the_last_number_has_no_address() -> None:
    with pytest.raises(ValueError, match="fit"):
        _address(Ticket(Purpose.BOUNCE, TICKET.message, MOST_NUMBERS))
