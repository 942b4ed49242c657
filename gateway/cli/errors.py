"""How a command ends when it does not end well: an exit code, what happened, what to do."""

from __future__ import annotations

COULD_NOT_RUN = 1
ANSWER_IS_NO = 2
INVALID_INPUT = 3


class CommandError(Exception):
    """Ends a command with `code`; `lines` say what happened and where, `hint` what to do. Lower case, no full stop."""

    def __init__(self, code: int, *lines: str, hint: str = "") -> None:
        super().__init__("\n".join(lines))
        self.code = code
        self.lines = lines
        self.hint = hint
