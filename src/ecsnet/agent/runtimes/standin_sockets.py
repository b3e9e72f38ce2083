"""The stand-in's sockets: HTTP, or an echo when the first bytes of a connection are not HTTP; datagrams are echoed."""

from __future__ import annotations

import asyncio
from typing import cast

from ecsnet.agent.http import HttpConnection

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")
_LONGEST = max(map(len, _METHODS))


class TcpConnection(HttpConnection):
    """An HTTP connection that turns into an echo when it does not begin with a method name."""

    _kind = "unknown"
    _first = b""

    def data_received(self, data: bytes) -> None:
        if self._kind == "unknown":
            data = self._first + data
            head = data[:_LONGEST]
            if any(head.startswith(method) for method in _METHODS):
                self._kind, self._first = "http", b""
            elif any(method.startswith(head) for method in _METHODS):
                self._first = data  # "GE": still undecided
                return
            else:
                self._kind, self._first = "echo", b""
        if self._kind == "echo":
            self.write(data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:
        if self._first:
            self.write(self._first)
        return super().eof_received()


class UdpEcho(asyncio.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)
