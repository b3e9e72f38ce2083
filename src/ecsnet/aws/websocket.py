"""A WebSocket as those who talk over one see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ecsnet.aws.http import Head, Receive, Send


class WebSocket:
    """Asked for by a client and not accepted yet."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def accept(self) -> None:
        """Raises OSError when the client has gone."""
        await self._receive()  # "websocket.connect": nobody is asked a second time
        await self._send({"type": "websocket.accept"})

    async def receive(self) -> bytes | str | None:
        """The next message; None when the client has gone."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        data: bytes | None = message.get("bytes")
        return text if text is not None else data or b""

    async def send(self, data: bytes) -> None:
        """Raises OSError when the client has gone."""
        await self._send({"type": "websocket.send", "bytes": data})

    async def close(self, code: int = 1000) -> None:
        """Raises OSError when the client has gone."""
        await self._send({"type": "websocket.close", "code": code})


Stream = Callable[[Head, WebSocket], Awaitable[None]]
"""Talks over a WebSocket until it is over."""


async def refuse(send: Send, status: int, sentence: str) -> None:
    """Answer a client that asks for a WebSocket as a plain request is answered."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": f"{sentence}\n".encode()})
