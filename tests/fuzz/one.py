"""Fuzzes one target in a process of its own: `python -m tests.fuzz.one MODULE TARGET LIBFUZZER-ARGUMENTS...`.

A process each, because atheris counts coverage in what is imported under it, and ends the process in its own way.
"""

from __future__ import annotations

import importlib
import sys

import atheris

with atheris.instrument_imports(include=["gateway"]):
    TARGETS = importlib.import_module(sys.argv[1]).TARGETS


def main() -> None:
    (target,) = [one for one in TARGETS if one.name == sys.argv[2]]
    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *sys.argv[3:]], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
