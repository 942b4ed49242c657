"""The structure index: parts where they stand, and doubt where readers would differ."""

from __future__ import annotations

import pytest

from gateway.wire.mime import DEPTH_LIMIT, DOUBT_LIMIT, PART_LIMIT, Part, index, walk


def lines(*parts: str) -> bytes:
    return "\r\n".join(parts).encode()


def bodies(content: bytes, part: Part) -> list[bytes]:
    return [content[leaf.body : leaf.end] for leaf in walk(part) if not leaf.children]


MIXED = lines(
    "Content-Type: multipart/mixed; boundary=outer",
    "",
    "preamble",
    "--outer",
    "Content-Type: multipart/alternative; boundary=inner",
    "",
    "--inner",
    "",
    "plain",
    "--inner  ",
    "Content-Type: text/html",
    "",
    "<p>html</p>",
    "",
    "--inner--",
    "--outer",
    'Content-Disposition: attachment; filename="a.pdf"',
    "Content-Type: application/pdf",
    "Content-Transfer-Encoding: BASE64",
    "",
    "JVBERi0=",
    "--outer--",
    "epilogue",
    "",
)


def test_a_message_without_mime_is_plain_text() -> None:
    content = b"From: a@example.org\r\n\r\nhello\r\n"

    root = index(content)

    assert (root.start, root.body, root.end) == (0, 23, len(content))
    assert (root.type, root.encoding, root.children, root.problem) == ("text/plain", "7bit", (), None)


def test_nested_parts_are_found_where_they_stand() -> None:
    root = index(MIXED)

    assert [part.type for part in walk(root)] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/pdf",
    ]
    assert bodies(MIXED, root) == [b"plain", b"<p>html</p>\r\n", b"JVBERi0="]
    assert all(part.problem is None for part in walk(root))
    pdf = root.children[1]
    assert (pdf.filename, pdf.encoding, pdf.disposition.main) == ("a.pdf", "base64", "attachment")


def test_a_message_in_a_message_is_entered() -> None:
    inner = lines("From: b@example.org", "Content-Type: text/html", "", "<p>")
    content = lines("Content-Type: message/rfc822", "") + b"\r\n" + inner

    root = index(content)

    assert [part.type for part in walk(root)] == ["message/rfc822", "text/html"]
    assert content[root.children[0].start :] == inner


def test_parts_of_a_digest_are_messages() -> None:
    content = lines(
        "Content-Type: multipart/digest; boundary=b", "", "--b", "", "Subject: x", "", "y", "--b--"
    )

    assert [part.type for part in walk(index(content))] == [
        "multipart/digest",
        "message/rfc822",
        "text/plain",
    ]


@pytest.mark.parametrize(
    "tail",
    [("--b--",), ("--b--", ""), ("--b-- ", "epilogue"), ()],
)
def test_a_multipart_may_end_in_several_ways(tail: tuple[str, ...]) -> None:
    content = lines(
        "Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "--b", "", "two", *tail
    )

    root = index(content)

    assert bodies(content, root) == [b"one", b"two"]
    assert root.problem is None


def test_empty_parts_are_parts() -> None:
    content = lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "--b", "", "--b--")

    assert bodies(content, index(content)) == [b"", b""]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lines("Content-Type: multipart/mixed", "", "x"), "without a plain boundary"),
        (lines('Content-Type: multipart/mixed; boundary=""', "", "x"), "without a plain boundary"),
        (lines("Content-Type: multipart/mixed; boundary*=utf-8''b", "", "--b--"), "without a plain boundary"),
        (lines("Content-Type: multipart/mixed; boundary=" + "b" * 300, "", "x"), "malformed boundary"),
        (lines("Content-Type: multipart/mixed; boundary=a; boundary=b", "", "--a--"), "given twice"),
        (lines("Content-Type: multipart/mixed; boundary=b", "", "text"), "never appears"),
        (
            lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "x", "--bc", "y", "--b--"),
            "goes on",
        ),
        (lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "--b--x"), "goes on"),
        (
            lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "--b--", "--b", "", "y"),
            "further parts",
        ),
        (
            lines("Content-Type: text/plain", "Content-Type: text/html", "", "x"),
            "content-type is given twice",
        ),
        (lines("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "", "eA=="), "base64"),
        (
            lines(
                "Content-Type: multipart/mixed; boundary=b", "Content-Transfer-Encoding: base64", "", "eA=="
            ),
            "base64",
        ),
        (lines("no header at all", "", "x"), "header cannot be read"),
    ],
)
def test_doubt_is_said(content: bytes, words: str) -> None:
    assert words in (index(content).problem or "")


def test_a_part_whose_header_cannot_be_read_is_doubtful_and_its_neighbours_are_not() -> None:
    content = lines(
        "Content-Type: multipart/mixed; boundary=b", "", "--b", "broken", "", "--b", "", "x", "--b--"
    )

    root = index(content)

    assert [part.problem is None for part in walk(root)] == [True, False, True]


def test_what_is_no_media_type_is_something_to_look_at() -> None:
    assert index(b"Content-Type: text\r\n\r\n").type == "application/octet-stream"
    assert index(b"Content-Type: ;x=y\r\n\r\n").type == "text/plain"


def nested(depth: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%03d\r\n\r\n--b%03d\r\n" % (n, n) for n in range(depth)
    )


def test_depth_is_bounded() -> None:
    for content in (nested(DEPTH_LIMIT + 30), b"Content-Type: message/rfc822\r\n\r\n" * (DEPTH_LIMIT + 30)):
        parts = list(walk(index(content)))

        assert len(parts) == DEPTH_LIMIT + 1
        assert "deep" in (parts[-1].problem or "")
        assert all(part.problem is None for part in parts[:-1])


def test_deep_nesting_of_a_large_message_is_not_searched_again_and_again() -> None:
    content = nested(40) + b"x" * 100_000

    assert any("too deep for their size" in (part.problem or "") for part in walk(index(content)))


def test_the_number_of_parts_is_bounded() -> None:
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * (PART_LIMIT * 2)

    root = index(content)

    assert len(list(walk(root))) <= PART_LIMIT + 1
    assert "parts" in (root.problem or "")


def test_lines_that_only_begin_with_the_boundary_are_not_followed_without_end() -> None:
    lines = b"--b\r\n\r\n" + b"--bx\r\n" * DOUBT_LIMIT
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + lines + b"%s--b\r\n\r\ny\r\n--b--"

    assert len(index(content % b"").children) == 2
    assert len(index(content % b"--bx\r\n").children) == 0
    assert "goes on" in (index(content % b"--bx\r\n").problem or "")
