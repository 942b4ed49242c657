"""The tables, as numbered migrations. A migration is never changed once it has been released; new ones are added below.

In clear are only: message ids, states, times, counters, sizes, a keyed hash of the destination domain, and the
leaves, which hold no direct identifiers (audit.md). All else is sealed (`sealing`).
"""

from __future__ import annotations

APPLICATION_ID = 0x5347_5131  # "SGQ1", so that the file is known for ours

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- root: fingerprint of the root key pair that opens it.
CREATE TABLE sealing_key (number INTEGER PRIMARY KEY, root BLOB NOT NULL, wrapped BLOB NOT NULL);

-- One row a message; exactly one of located (frames in segments, from segment lowest to highest) and body (sealed)
-- is set.
CREATE TABLE message (
    home INTEGER PRIMARY KEY, envelope BLOB NOT NULL,
    located BLOB, lowest INTEGER, highest INTEGER, body BLOB
);

-- One row an unfinished errand. state: see `back.STATE_CODES`. due: microseconds since 1970. leased: somebody has it;
-- who, and until when, is known to the running process only.
CREATE TABLE errand (
    message TEXT NOT NULL, number INTEGER NOT NULL, home INTEGER NOT NULL, state INTEGER NOT NULL,
    due INTEGER NOT NULL, leased INTEGER NOT NULL, fence INTEGER NOT NULL, domain INTEGER NOT NULL,
    progress BLOB NOT NULL,
    PRIMARY KEY (message, number)
) WITHOUT ROWID;
-- The fast path keeps its errands leased from birth to end, so it pays for neither.
CREATE INDEX errand_due ON errand (due, domain) WHERE NOT leased;
CREATE INDEX errand_domain ON errand (domain, due) WHERE NOT leased;

-- One row a commit: the leaves first..last, as MessagePack.
CREATE TABLE leaf (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, leaves BLOB NOT NULL);

CREATE TABLE sealed_value (
    message TEXT NOT NULL, leaf TEXT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (message, leaf)
) WITHOUT ROWID;

-- tag: keyed hash of kind and key.
CREATE TABLE remembered (tag BLOB PRIMARY KEY, expires INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX remembered_expires ON remembered (expires);
"""

_SECOND = """
-- Counts by name. crowd: keyed hash of a topic; tag: of topic and name; name: sealed.
CREATE TABLE tally (
    crowd BLOB NOT NULL, tag BLOB NOT NULL, expires INTEGER NOT NULL, amount INTEGER NOT NULL, name BLOB NOT NULL,
    PRIMARY KEY (crowd, tag)
) WITHOUT ROWID;
CREATE INDEX tally_expires ON tally (expires);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND)
