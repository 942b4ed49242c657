"""The tables, as numbered migrations. A migration is never changed once it has been released; new ones are added below.

In clear are only: message ids, states, times, counters, sizes, a keyed hash of the destination domain, and the
leaves, which hold no direct identifiers (audit.md). All else is sealed (`sealing`).
"""

from __future__ import annotations

APPLICATION_ID = 0x5347_5131  # "SGQ1", so that the file is known for ours

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- purpose: 1 epoch, 2 segment. root: fingerprint of the root key pair that opens it.
CREATE TABLE sealing_key (
    number INTEGER PRIMARY KEY, purpose INTEGER NOT NULL, root BLOB NOT NULL, wrapped BLOB NOT NULL
);

-- One row a message; exactly one of extents (frames in segments, from segment lowest to highest) and body (sealed)
-- is set.
CREATE TABLE message (
    home INTEGER PRIMARY KEY, envelope BLOB NOT NULL,
    extents BLOB, lowest INTEGER, highest INTEGER, body BLOB
);

-- One row an unfinished errand. state: see `states`. due, until: microseconds since 1970; until is NULL while
-- nobody has it.
CREATE TABLE errand (
    message TEXT NOT NULL, number INTEGER NOT NULL, home INTEGER NOT NULL, state INTEGER NOT NULL,
    due INTEGER NOT NULL, until INTEGER, fence INTEGER NOT NULL, domain INTEGER NOT NULL, progress BLOB NOT NULL,
    PRIMARY KEY (message, number)
) WITHOUT ROWID;
-- The fast path keeps its errands leased from birth to end, so it pays for one of these three only.
CREATE INDEX errand_leased ON errand (until) WHERE until IS NOT NULL;
CREATE INDEX errand_due ON errand (due, domain) WHERE until IS NULL;
CREATE INDEX errand_domain ON errand (domain, due) WHERE until IS NULL;

CREATE TABLE leaf (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, data BLOB NOT NULL);

CREATE TABLE sealed_value (
    message TEXT NOT NULL, leaf TEXT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (message, leaf)
) WITHOUT ROWID;

-- tag: keyed hash of kind and key.
CREATE TABLE remembered (tag BLOB PRIMARY KEY, expires INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX remembered_expires ON remembered (expires);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)
