"""What a look at a file's octets tells: the value that the file-type readers give."""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """`type` is a media type in libmagic's spelling. `encrypted` is None where it could not be told.

    `unreadable` says that the content is there but cannot be looked into: damaged, or in a container that hides it.
    """

    type: str
    encrypted: bool | None = False
    unreadable: bool = False
