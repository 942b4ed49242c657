"""A message as a list of header fields and a body, with the changes that an attacker or an accident makes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec


class Letter(msgspec.Struct, frozen=True):
    """`fields` are (name, raw value) in order; a value may hold CRLF and a blank where it is folded."""

    fields: tuple[tuple[str, str], ...]
    body: bytes = b"Good morning\r\n"

    @property
    def octets(self) -> bytes:
        header = "".join(f"{name}: {value}\r\n" for name, value in self.fields)
        return header.encode() + b"\r\n" + self.body

    def without(self, name: str) -> Letter:
        return self._mapped(lambda each, value: [] if each == name else [(each, value)])

    def with_value(self, name: str, value: str) -> Letter:
        """The field's value replaced."""
        return self._mapped(lambda each, old: [(each, value if each == name else old)])

    def with_name(self, name: str, other: str) -> Letter:
        return self._mapped(lambda each, value: [(other if each == name else each, value)])

    def doubled(self, name: str, value: str | None = None) -> Letter:
        """The field once more right behind itself, with another value where one is given."""
        return self._mapped(
            lambda each, old: (
                [(each, old), (each, old if value is None else value)] if each == name else [(each, old)]
            )
        )

    def inside_a_part(self, *names: str) -> Letter:
        """These fields moved from the header into that of the body's only MIME part."""
        inner = [field for field in self.fields if field[0] in names]
        outer = tuple(field for field in self.fields if field[0] not in {*names, "Content-Type"})
        part = "".join(f"{name}: {value}\r\n" for name, value in inner)
        body = f"--=_x\r\n{part}Content-Type: text/plain\r\n\r\n".encode() + self.body + b"--=_x--\r\n"
        return Letter((*outer, ("Content-Type", 'multipart/mixed; boundary="=_x"')), body)

    def _mapped(self, change: Callable[[str, str], Iterable[tuple[str, str]]]) -> Letter:
        return Letter(tuple(new for field in self.fields for new in change(*field)), self.body)
