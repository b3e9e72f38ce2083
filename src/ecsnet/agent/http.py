"""A small HTTP/1.1 server connection with keep-alive, for stand-ins and the metadata endpoint."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools

LARGEST_HEADER = 65_536
"""Bytes of request line and headers together; Application Load Balancers stop at 64 K too."""


@dataclass(slots=True, kw_only=True)
class Request:
    """One HTTP request as it came in."""

    method: str = ""
    target: bytes = b""
    path: str = ""
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body_bytes: int = 0
    keep_alive: bool = True

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    hop_limit: int | None = None
    """IP time to live of the packets that carry the response, and of all later ones of the connection: the kernel
    sends lost ones again with what is set then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two ends of a connection as the server sees them."""

    address: str
    port: int
    peer_address: str
    peer_port: int


def _without_mapping(address: str) -> str:
    """An IPv4 address as such, also when it came by a socket of both families (RFC 4291, section 2.5.5.2)."""
    return address.removeprefix("::ffff:")


Handler = Callable[[Request, Ends], Response | Awaitable[Response]]


class HttpConnection(asyncio.Protocol):
    """One connection. `connections` is the owner's set of open connections, kept by the connection itself."""

    def __init__(self, handler: Handler, connections: set[HttpConnection]) -> None:
        self._handler = handler
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = None
        self._request = Request()
        self._header_bytes = 0
        self._waiting: deque[Request] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._ends = Ends(address="", port=0, peer_address="", peer_port=0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        own, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if peer is None:  # the peer reset the connection before it was accepted
            self._transport.abort()
            return
        self._ends = Ends(
            address=_without_mapping(own[0]), port=own[1], peer_address=_without_mapping(peer[0]), peer_port=peer[1]
        )
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._answering is not None:
            self._answering.cancel()
        self._transport = None

    def abort(self) -> None:
        """Close at once, as the kernel does for a process that ended."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # refused by answering without an upgrade, as RFC 9110 section 7.8 allows
        except httptools.HttpParserError as error:
            self._send(Request(keep_alive=False), _plain(400, f"not a valid HTTP request: {error}"))
        if self._header_bytes > LARGEST_HEADER:
            self._send(Request(keep_alive=False), _plain(431, "the headers are larger than 64 KiB"))

    def eof_received(self) -> bool:
        # An answer in the making (a fetch) still goes out to a client that has closed its sending side.
        return self._answering is not None

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # Callbacks of httptools, whose names are given.

    def on_message_begin(self) -> None:
        self._request = Request()
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._request.target += url
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.keep_alive = self._parser.should_keep_alive()
        path, _, query = request.target.decode("latin-1").partition("?")
        request.path, request.query = unquote(path), query
        if request.header("expect") == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._request.body_bytes += len(body)

    def on_message_complete(self) -> None:
        self._waiting.append(self._request)
        if self._answering is None:
            self._answer_waiting()

    def _answer_waiting(self) -> None:
        """Answer pipelined requests in their order; one that must wait holds up those behind it."""
        while self._waiting and self._transport is not None:
            request = self._waiting.popleft()
            answer = self._handler(request, self._ends)
            if isinstance(answer, Response):
                self._send(request, answer)
            else:
                self._transport.pause_reading()
                self._answering = asyncio.ensure_future(self._answer_later(request, answer))
                return

    async def _answer_later(self, request: Request, answer: Awaitable[Response]) -> None:
        response = await answer
        self._answering = None
        if self._transport is not None:
            self._send(request, response)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer_waiting()

    def _send(self, request: Request, response: Response) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if response.hop_limit is not None:
            opened: socket.socket = transport.get_extra_info("socket")
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, response.hop_limit)
        reason = HTTPStatus(response.status).phrase
        lines = [
            f"HTTP/1.1 {response.status} {reason}",
            f"Content-Type: {response.content_type}",
            f"Content-Length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers),
            *(() if request.keep_alive else ("Connection: close",)),
        ]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        transport.write(head if request.method == "HEAD" else head + response.body)
        if not request.keep_alive:
            transport.close()


def _plain(status: int, text: str) -> Response:
    return Response(status=status, content_type="text/plain; charset=utf-8", body=f"{text}\n".encode())
