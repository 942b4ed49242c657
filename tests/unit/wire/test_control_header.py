"""Control headers: which fields are ours, and that they go whole."""

from __future__ import annotations

import pytest

from gateway.wire.control_header import is_control, remove_control_fields


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("x-sealgate", True),
        ("x-sealgate-portal", True),
        ("x-sealgated", False),
        ("x-seal", False),
        ("sealgate", False),
    ],
)
def test_names(name: str, ours: bool) -> None:
    assert is_control(name) is ours


def test_all_of_them_go_with_their_folded_lines_and_nothing_else() -> None:
    message = (
        b"From: ann@example.org\r\nX-SEALGATE-A:\r\n\tfolded\r\n x\r\nTo: b@example.org\r\n"
        b"x-sealgate : y\r\nX-Sealgated: kept\r\n\r\nX-Sealgate: this is text\r\n"
    )

    removed = remove_control_fields(message)

    assert removed == (
        b"From: ann@example.org\r\nTo: b@example.org\r\nX-Sealgated: kept\r\n\r\nX-Sealgate: this is text\r\n"
    )
    assert remove_control_fields(removed) is removed
