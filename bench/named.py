"""`python -m bench.named`: the gateway's own command line, with its threads named for the kernel as Python names them.

Only for looking at where CPU goes: /proc and perf show threads by the kernel's name, which Python 3.11 does not set.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

_set_name = ctypes.CDLL(None).pthread_setname_np
_set_name.argtypes = (ctypes.c_ulong, ctypes.c_char_p)
_LONGEST = 15  # octets of a thread's name in Linux


def name_threads() -> None:
    """Name every thread that starts from now on."""
    run: Callable[[threading.Thread], None] = threading.Thread.run

    def named(thread: threading.Thread) -> None:
        name = thread.name.replace("asyncio_", "to_thread_").rstrip("0123456789_")
        _set_name(threading.get_ident(), name.encode()[:_LONGEST])
        run(thread)

    threading.Thread.run = named  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    from gateway.cli.app import main

    name_threads()
    main()
