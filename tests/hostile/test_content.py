"""Messages made to be expensive to look at: time and memory of classification, on top of the message itself."""

from __future__ import annotations

import gc
import io
import time
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from gateway.classify.message import classify
from gateway.wire.recode import repair_long_lines, to_seven_bit
from tests.unit.classify.samples import envelope, with_file

MIB = 1 << 20
SECONDS = 2.0
MOST = 32 * MIB  # beside three times the message: what is decoded may be as long as it
HEAD = b"From: ann@example.org\r\nMIME-Version: 1.0\r\n"


def nested_multiparts() -> bytes:
    lines = [HEAD + b"Content-Type: multipart/mixed; boundary=b0\r\n\r\n"]
    lines += [
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(20_000)
    ]
    return b"".join(lines)


def nested_messages() -> bytes:
    return HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 50_000


def boundaries_that_begin_each_other() -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n"
    parts = b"".join(b"--" + b"a" * n + b"\r\n" + head % (b"a" * (n + 1)) for n in range(1, 100))
    return HEAD + head % b"a" + parts + b"--" + b"a" * 60 + b"\r\n" * 500_000


def a_hundred_thousand_parts() -> bytes:
    return (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        + b"--b\r\n\r\nx\r\n" * 100_000
        + b"--b--\r\n"
    )


def lines_that_are_almost_boundaries() -> bytes:
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--bx\r\n" * 1_000_000


def a_zip_bomb() -> bytes:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(64 * MIB))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(50):
            archive.writestr(f"{number}.zip", inner.getvalue())
    return with_file(outer.getvalue(), "bomb.zip")


def a_zip_of_many_entries() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(5000):
            archive.writestr(str(number), b"")
    return with_file(buffer.getvalue(), "many.zip")


def a_header_of_many_fields() -> bytes:
    return HEAD + b"X: y\r\n" * 170_000 + b"\r\nbody\r\n"


def a_header_of_folds() -> bytes:
    return HEAD + b"Subject: x\r\n" + b" x\r\n" * 250_000 + b"\r\nbody\r\n"


def encoded_words() -> bytes:
    return HEAD + b"Subject:" + b" =?utf-8?q?=C3?=\r\n" * 50_000 + b"\r\nbody\r\n"


def unfinished_encoded_words() -> bytes:
    return HEAD + b"Subject: " + b"=?a?q?" * 150_000 + b"\r\n\r\nbody\r\n"


def an_endless_address_list() -> bytes:
    return HEAD + b"To: " + b"a@example.org,\r\n " * 15_000 + b"b@example.org\r\n\r\nbody\r\n"


def nested_comments() -> bytes:
    return HEAD + b"To: " + b"(" * 30_000 + b"\r\nCc: " + b'"\\' * 15_000 + b"\r\n\r\nbody\r\n"


def parameters() -> bytes:
    sections = b"".join(b'; filename*%d*="%%41"' % n for n in range(5000))
    return HEAD + b"Content-Disposition: attachment" + sections + b"\r\n\r\nbody\r\n"


def base64_of_nothing() -> bytes:
    return HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=\r\n" * 5_000_000


def html_of_tags() -> bytes:
    return HEAD + b"Content-Type: text/html\r\n\r\n" + b"<!--<p" * 2_000_000 + b"\r\n"


def quoted_printable_of_signs() -> bytes:
    return HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * 5_000_000


def a_pdf_of_beginnings() -> bytes:
    return with_file(b"%PDF-1.7\n" + b"/Encrypt " * 300_000, "x.pdf")


def eight_bit_lines_too_long() -> bytes:
    return HEAD + b"\r\n" + b"\xc3\xa9" * 5_000_000 + b"\r\n"


EXPENSIVE = (
    nested_multiparts,
    nested_messages,
    boundaries_that_begin_each_other,
    a_hundred_thousand_parts,
    lines_that_are_almost_boundaries,
    a_zip_bomb,
    a_zip_of_many_entries,
    a_header_of_many_fields,
    a_header_of_folds,
    encoded_words,
    unfinished_encoded_words,
    an_endless_address_list,
    nested_comments,
    parameters,
    base64_of_nothing,
    html_of_tags,
    quoted_printable_of_signs,
    a_pdf_of_beginnings,
    eight_bit_lines_too_long,
)


@pytest.mark.parametrize("made", EXPENSIVE, ids=lambda made: made.__name__)
def test_no_message_takes_long_or_much_to_look_at(
    made: Callable[[], bytes], record_property: Callable[[str, object], None]
) -> None:
    content = made()
    for work in (
        lambda: classify(content, envelope()),
        lambda: to_seven_bit(content),
        lambda: repair_long_lines(content),
    ):
        gc.collect()
        began = time.process_time()
        work()
        taken = time.process_time() - began
        record_property("seconds", round(taken, 3))
        assert taken < SECONDS
    tracemalloc.start()
    classify(content, envelope())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    record_property("MiB", round(peak / MIB, 1))
    assert peak < MOST + 3 * len(content)
