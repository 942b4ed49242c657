"""The last change that may befall a message: 7 bits for a server that takes no more (RFC 6152 section 3).

Apart from `apply`, because only the delivering connection shows that it is needed; `gateway.deliver` is handed this
function. None means that the message cannot be re-encoded without breaking it (a signature, 8-bit header fields, a
structure in doubt): then it must not leave by this server (5.6.3).
"""

from __future__ import annotations

from gateway.wire.recode import to_seven_bit

downgrade = to_seven_bit
