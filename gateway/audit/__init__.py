"""Stage 7, audit: what was decided and what happened, as an append-only signed log that anyone can check.

Thinking halves (pure): `merkle`, `tiles`, `note`, `checkpoint`, `proof`, `trust`, `canonical`, `leaves`, `event`,
`evidence`, `opened`.
`recorder` makes the records of a change, `vault` keeps personal values erasable, `sealer` builds and signs the log,
`verify` and `prove` read it again, `trace` tells one message's story. The format is described in docs/audit.md.
"""
