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


def test_what_exchange_servers_tell_each_other_stays_inside_and_all_else_of_theirs_leaves() -> None:
    inside = (
        b"X-MS-Exchange-Organization-SCL: -1\r\n",
        b"x-ms-exchange-organization-authas:\r\n Internal\r\n",
        b"X-MS-Exchange-Forest-RulesExecuted: x\r\n",
        b"X-MS-Exchange-CrossPremises-AuthAs : Internal\r\n",
    )
    outside = (
        b"X-MS-Exchange-CrossTenant-AuthAs: Internal\r\n",
        b"X-MS-Exchange-SenderADCheck: 1\r\n",
        b"X-MS-Exchange-AntiSpam-MessageData-0: x\r\n y\r\n",
        b"X-OriginatorOrg: hospital.example\r\n",
        b"X-MS-Exchange-Organizations: x\r\n",
    )
    body = b"\r\nX-MS-Exchange-Organization-SCL: -1\r\n"
    mixed = b"".join(field for pair in zip(outside, (*inside, b""), strict=True) for field in pair)
    assert remove_control_fields(mixed + body) == b"".join(outside) + body
