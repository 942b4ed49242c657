"""Asyncio shells that drive the machines of `gateway.wire` over sockets."""
