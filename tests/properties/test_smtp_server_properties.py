"""The server dialogue, fed in every way: the cuts between reads never matter, and nothing makes it raise or grow."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.smtp_server_data import DataReader, LineEnds, Newlines
from gateway.wire.smtp_server_session import DialogueSettings
from tests.fakes.smtp_dialogue import Driver

SETTINGS = DialogueSettings(
    hostname="gw.example",
    size_limit=60,
    discard_limit=60,
    recipient_limit=2,
    error_limit=6,
    starttls=True,
    auth=True,
)
OCTETS = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"\0", b"a", b"\r\n.\r\n", b"..", b"body text"]),
    max_size=20,
).map(b"".join)
RULES = st.sampled_from(list(Newlines))

# A group is what a client may send without waiting for a reply.
PIPELINED = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"MAIL FROM:<a@x.example>\r\n",
                b"MAIL FROM:<> SIZE=10 BODY=8BITMIME\r\n",
                b"MAIL FROM:<a@x.example> SIZE=61\r\n",
                b"RCPT TO:<b@y.example>\r\n",
                b"RCPT TO:<b@y.example> NOTIFY=NEVER\r\n",
                b"RCPT TO:<nobody>\r\n",
                b"RSET\r\n",
                b"NOOP\r\n",
                b"NOOP\nRSET\r\n",
                b"FOO\r\n",
            ]
        ),
        OCTETS.map(lambda octets: b"BDAT %d\r\n" % len(octets) + octets),
        OCTETS.map(lambda octets: b"BDAT %d LAST\r\n" % len(octets) + octets),
    ),
    max_size=6,
).map(b"".join)
WHOLE = st.tuples(PIPELINED, OCTETS).map(
    lambda pair: [
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n",
        pair[1] + b"\r\n.\r\n" + pair[0],
    ]
)
TURNING = st.sampled_from(
    [
        [b"EHLO again\r\n"],
        [b"STARTTLS\r\n", b"EHLO x\r\n"],
        [b"DATA\r\n"],
        [b"AUTH PLAIN AGEAYg==\r\n"],
        [b"QUIT\r\n"],
    ]
)
DIALOGUES = st.lists(st.one_of(PIPELINED.map(lambda octets: [octets]), WHOLE, TURNING), max_size=8).map(
    lambda groups: [octets for group in groups for octets in group]
)


def run(groups: list[bytes], rule: Newlines, cut: int) -> tuple[bytes, list[bytes], list[object], object]:
    """Every group in pieces of `cut` octets (0: whole)."""
    driver = Driver(SETTINGS, newlines=rule).hello()
    for group in groups:
        size = cut or len(group) or 1
        driver.feed(*(group[at : at + size] for at in range(0, len(group), size)))
    return driver.said, driver.messages, driver.events, driver.closed


@given(DIALOGUES, RULES, st.integers(1, 7))
@settings(max_examples=300)
def test_how_the_octets_are_cut_changes_nothing(groups: list[bytes], rule: Newlines, cut: int) -> None:
    whole = run(groups, rule, 0)
    assert run(groups, rule, 1) == whole
    assert run(groups, rule, cut) == whole


@given(st.lists(st.one_of(st.binary(max_size=40), PIPELINED, OCTETS, WHOLE.map(b"".join)), max_size=8), RULES)
@settings(max_examples=300)
def test_strangers_octets_never_make_it_raise_or_grow(pieces: list[bytes], rule: Newlines) -> None:
    driver = Driver(SETTINGS, newlines=rule).hello()
    for piece in pieces:
        driver.feed(piece)
    for message in driver.messages:
        assert message.count(b"\r") == message.count(b"\n") == message.count(b"\r\n")
        assert b"\0" not in message
        assert len(message) <= SETTINGS.size_limit
    assert driver.dialogue._unread <= 3000


@given(OCTETS, OCTETS, st.integers(0, 3), st.sampled_from([b"", b"x\xff" * 2500]))
def test_data_ends_where_a_plain_reading_of_the_rule_says(
    content: bytes, after: bytes, cut: int, padding: bytes
) -> None:
    wire = padding + content + b"\r\n.\r\n" + after
    end = (b"\r\n" + wire).index(b"\r\n.\r\n")
    lines = (b"\r\n" + wire)[: end + 2].split(b"\r\n")
    expected = b"\r\n".join(line.removeprefix(b".") for line in lines)[2:]
    reader = DataReader()
    got, rest = b"", None
    step = cut + len(padding)
    pieces = [wire] if not cut else [wire[at : at + step] for at in range(0, len(wire), step)]
    while rest is None:
        settled, rest = reader.feed(pieces.pop(0))
        got += settled
    assert got == expected
    assert rest + b"".join(pieces) == wire[end + 3 :]


@given(OCTETS, RULES, st.integers(1, 5))
def test_line_ends_come_out_the_same_however_they_are_cut(octets: bytes, rule: Newlines, cut: int) -> None:
    def out(pieces: list[bytes]) -> tuple[bool, bytes]:
        lines = LineEnds(rule)
        result = b"".join([*map(lines.feed, pieces), lines.finish()])
        return lines.refused, b"" if lines.refused else result

    assert out([octets]) == out([octets[at : at + cut] for at in range(0, len(octets), cut)])
