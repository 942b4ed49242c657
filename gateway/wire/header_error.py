"""The one error of everything that reads headers."""

from __future__ import annotations


class HeaderError(ValueError):
    """A header that breaks its grammar, or that readers could understand in two ways.

    The text says what and where, never what the field holds, and may be shown to a peer.
    """
