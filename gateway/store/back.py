"""What passes between a store's two halves: the *front* seals and opens, the *back* keeps what is sealed.

The front lives in the process that calls the store and has the keys it was given. The back owns the database and the
list of segments, and sees message ids, states, times, sizes, keyed hashes and sealed octets; it needs no key. In one
process the front calls the back directly; between processes the same values go over a socket (`gateway.store.socket`).

What is sealed is bound to its place by the front alone (message, errand, purpose), never to a row of the back's.
Times are microseconds since 1970. Segments are lent whole: a front writes its own frames into them and flushes them
before it asks for the change that names them; the back counts what is named.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from gateway.model.audit import Record
from gateway.model.progress import FINAL, MOVES, State

STATE_CODES: dict[State, int] = {state: code for code, state in enumerate(State)}
CODE_STATES: dict[int, State] = {code: state for state, code in STATE_CODES.items()}
FIRST_FINAL = min(STATE_CODES[state] for state in FINAL)
SENDING_CODE = STATE_CODES[State.SENDING]
DAMAGED_CODE = 99  # an errand that cannot be read back: never given out
FIRST_FENCE = 1

# For each state's code, the codes from which it may be entered, as bits.
ENTERED_FROM: tuple[int, ...] = tuple(
    sum(1 << STATE_CODES[old] for old, news in MOVES.items() if new in news) for new in State
)


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """Where one frame is, with its padding. `length` counts the text's octets, `key` names the key that sealed it."""

    segment: int
    offset: int
    room: int
    length: int
    key: int


class Located(msgspec.Struct, frozen=True, array_like=True):
    """Where one body is: all its frames in order."""

    stream: bytes
    extents: tuple[Extent, ...]


class WrappedKey(msgspec.Struct, frozen=True, array_like=True):
    """A key as the database keeps it. `root` is the fingerprint of the pair that opens it."""

    number: int
    root: bytes
    wrapped: bytes


class ErrandRow(msgspec.Struct, frozen=True, array_like=True):
    state: int
    due: int
    domain: int
    progress: bytes


class MessageRow(msgspec.Struct, frozen=True, array_like=True):
    """A message on its way in: one errand a recipient; exactly one of `body` (sealed) and `located` is set. `record` is
    that of a message that enters with another's move."""

    message: str
    envelope: bytes
    body: bytes | None
    located: Located | None
    errands: tuple[ErrandRow, ...]
    until: int | None = None
    record: Record = Record()


# ---- changes: done in the order in which one front asks for them, durable when they are answered


class Enter(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Accept one message. `keys` are those that no answer has confirmed yet."""

    incoming: tuple[MessageRow, ...]
    record: Record
    keys: tuple[WrappedKey, ...] = ()


class Move(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Commit an errand's new state with its leaves and the notices that it spawns. A final state has no `progress`."""

    message: str
    number: int
    fence: int
    state: int
    due: int
    progress: bytes
    keep_lease: bool
    record: Record
    incoming: tuple[MessageRow, ...] = ()
    keys: tuple[WrappedKey, ...] = ()


class Renew(msgspec.Struct, frozen=True, array_like=True, tag=3):
    message: str
    number: int
    fence: int
    until: int


class SetAside(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """An errand whose columns do not open: nobody can work on it, so nobody is given it again."""

    message: str
    number: int
    fence: int


class TakeDue(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Lease what is due; answered with `Taken` values."""

    now: int
    until: int
    limit: int


class Claim(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Lease one errand by its name; answered with one `Taken` or None."""

    message: str
    number: int
    now: int
    until: int


class Append(msgspec.Struct, frozen=True, array_like=True, tag=7):
    record: Record


class ForgetLeaves(msgspec.Struct, frozen=True, array_like=True, tag=8):
    upto: int


class EraseValues(msgspec.Struct, frozen=True, array_like=True, tag=9):
    message: str


class Remember(msgspec.Struct, frozen=True, array_like=True, tag=10):
    tag: bytes
    expires: int
    value: bytes
    keys: tuple[WrappedKey, ...] = ()


class GiveBack(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """A lent segment is filled no further by us: `spoilt` after a write error."""

    segment: int
    spoilt: bool


class Retire(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Nothing more will be sealed with these keys."""

    keys: tuple[int, ...]


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """The first call of a front: which root key it seals to, if any. Answered with `Begun`."""

    root: bytes | None


class RememberFirst(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Remember, unless something is remembered there that has not expired; answered with whether it was done."""

    tag: bytes
    expires: int
    value: bytes
    now: int
    keys: tuple[WrappedKey, ...] = ()


class Tally(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """Add to counts of one topic. `rows` are tag, amount and sealed name; `rest` is where names beyond the bound go."""

    crowd: bytes
    rows: tuple[tuple[bytes, int, bytes], ...]
    rest: tuple[bytes, bytes]
    expires: int
    now: int
    keys: tuple[WrappedKey, ...] = ()


Change = (
    Enter
    | Move
    | Renew
    | SetAside
    | TakeDue
    | Claim
    | Append
    | ForgetLeaves
    | EraseValues
    | Remember
    | RememberFirst
    | Tally
    | GiveBack
    | Retire
    | Begin
)

# ---- questions: about what is committed


class BodyOf(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """Answered with `Body`, or None for a message that is forgotten."""

    message: str


class Page(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """Errands after one in the order of their names, at most `limit`; answered with `Shown` values."""

    message: str
    number: int
    limit: int
    state: int | None = None
    domain: int | None = None
    only_message: str | None = None
    only_number: int | None = None


class CountAll(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Answered with `contract.Counts`."""


class NextDue(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """Answered with a time or None."""


class LeavesAfter(msgspec.Struct, frozen=True, array_like=True, tag=24):
    sequence: int
    limit: int


class ValuesOf(msgspec.Struct, frozen=True, array_like=True, tag=25):
    message: str


class Recall(msgspec.Struct, frozen=True, array_like=True, tag=26):
    tag: bytes
    now: int


class KeyOf(msgspec.Struct, frozen=True, array_like=True, tag=27):
    """Answered with a `WrappedKey` or None."""

    number: int


class Tallied(msgspec.Struct, frozen=True, array_like=True, tag=28):
    """Answered with pairs of sealed name and amount."""

    crowd: bytes
    now: int


Question = BodyOf | Page | CountAll | NextDue | LeavesAfter | ValuesOf | Recall | KeyOf | Tallied


# ---- what concerns the disk


class Lend(msgspec.Struct, frozen=True, array_like=True, tag=31):
    """Answered with `Lent`."""


class Fail(msgspec.Struct, frozen=True, array_like=True, tag=32):
    """A flush of ours failed: the store is broken."""

    what: str


Other = Lend | Fail
Ask = Change | Question | Other

# ---- answers


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """An errand just leased."""

    message: str
    number: int
    fence: int
    envelope: bytes
    progress: bytes


class Body(msgspec.Struct, frozen=True, array_like=True):
    located: Located | None
    body: bytes | None


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """An errand as a list shows it; `until` where somebody holds it."""

    message: str
    number: int
    until: int | None
    envelope: bytes
    progress: bytes


class Lent(msgspec.Struct, frozen=True, array_like=True):
    """A segment that is ours to fill."""

    number: int
    octets: int


class Begun(msgspec.Struct, frozen=True, array_like=True):
    """Where the segments are. `token` names this front to a back in another process."""

    segments: str
    token: bytes = b""


class Back(Protocol):
    """The back, as one front sees it. All calls belong to the event loop."""

    def ask(self, ask: Ask) -> asyncio.Future[Any]:
        """The answer. Changes keep the order in which they are asked for, also when a caller is cancelled.

        Raises, at once or in the answer: `StoreUnavailable`, `StoreFull`, `StoreBroken`, `LeaseLost`, `Mistake`.
        """

    @property
    def broken(self) -> str | None:
        """Why the store can never go on, once it cannot."""

    async def leave(self) -> None:
        """The front's last call: its leases are free, its segments are nobody's. Later calls are unavailable."""
