"""Real servers to test against, run from a cache folder without being installed.

`postfix_relay` is somebody's mail server that uses us as its smarthost; `postfix_sink` and `exim_sink` are recipients'
servers that keep what they get. These need root (they change user); `unbound`, a validating resolver, does not. All
need Debian's package tools; where something is missing they raise `PeerUnavailable`, which pytest reports as a skip
with its reason.
"""

from tests.peers.exim import exim_sink
from tests.peers.packages import PeerUnavailable
from tests.peers.peer import Peer, Sink
from tests.peers.postfix import postfix_relay, postfix_sink
from tests.peers.stored import StoredMessage
from tests.peers.unbound import unbound

__all__ = [
    "Peer",
    "PeerUnavailable",
    "Sink",
    "StoredMessage",
    "exim_sink",
    "postfix_relay",
    "postfix_sink",
    "unbound",
]
