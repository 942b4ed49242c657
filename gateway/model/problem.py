"""What went wrong: a public half for the peer and the sender, a private half for the log and the operator."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One failure.

    `status` is an enhanced status code of class 4 or 5 (RFC 3463); whether the problem is temporary follows from it.
    `public` may be shown to anyone: it never holds content, secrets or internals.
    `private` may hold what an operator needs; it never holds bodies, subjects, codes or secrets.
    """

    status: str
    public: str
    private: str = ""

    @property
    def temporary(self) -> bool:
        return self.status.startswith("4")
