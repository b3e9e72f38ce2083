"""An outgoing HTTP request from a task's namespace, resolved at the task's own resolver.

This is what `GET /fetch?url=http://…` of a stand-in does, so that one can see web → api, or the address that a NAT
gateway gives, without writing an application.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from ecsnet.netns import NamespaceThread

TIMEOUT = 5.0
"""Seconds for the whole fetch."""
LARGEST_REPLY = 65_536
"""Bytes of the reply that are kept."""


class FetchError(Exception):
    """The request got no reply; the text is one sentence that says at which step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    resolved: tuple[str, ...]
    local_address: str
    remote_address: str
    seconds: float


async def fetch(
    url: str, netns: str, nameserver: str | None, hosts: Mapping[str, str], namespaces: NamespaceThread
) -> Fetched:
    """GET `url` from inside `netns`; `hosts` are the names in the container's /etc/hosts.

    Raises FetchError when the URL is not plain HTTP, its name does not resolve, or nothing answers within `TIMEOUT`.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError as error:
        raise FetchError(f"the URL {url!r} has an invalid port") from error
    if parts.scheme != "http" or not parts.hostname:
        raise FetchError(f"the URL {url!r} is not http://<host>[:<port>][/<path>]")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(ord(c) <= 32 for c in target + parts.netloc):
        raise FetchError(f"the URL {url!r} contains blanks or control characters")
    started = time.monotonic()
    step = f"resolving {parts.hostname}"
    try:
        async with asyncio.timeout(TIMEOUT):
            known = hosts.get(parts.hostname)
            addresses = (known,) if known else await _resolve(parts.hostname, netns, nameserver, namespaces)
            step = f"connecting to {addresses[0]}:{port}"
            connection = await asyncio.wrap_future(namespaces.submit(netns, _tcp_socket))
            try:
                await asyncio.get_running_loop().sock_connect(connection, (addresses[0], port))
            except OSError:
                connection.close()
                raise
            reader, writer = await asyncio.open_connection(sock=connection)
            step = f"waiting for the reply of {addresses[0]}:{port}"
            try:
                local, remote = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
                request = (
                    f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: ecsnet-stand-in\r\n"
                    "Accept: application/json, */*\r\nConnection: close\r\n\r\n"
                )
                writer.write(request.encode("latin-1", "replace"))
                status, headers, body = await _read_reply(reader)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError as error:
        raise FetchError(f"timed out after {TIMEOUT:g} s while {step}") from error
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise FetchError(f"failed while {step}: {error}") from error
    return Fetched(
        status=status,
        headers=headers,
        body=body,
        resolved=addresses,
        local_address=f"{local[0]}:{local[1]}",
        remote_address=f"{remote[0]}:{remote[1]}",
        seconds=time.monotonic() - started,
    )


def _tcp_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _udp_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


async def _resolve(host: str, netns: str, nameserver: str | None, namespaces: NamespaceThread) -> tuple[str, ...]:
    with contextlib.suppress(ValueError):
        return (str(ipaddress.IPv4Address(host)),)
    if host == "localhost":
        return ("127.0.0.1",)
    if nameserver is None:
        raise FetchError(f"{host} cannot be resolved: the task has no resolver")
    try:
        query = dns.message.make_query(host, dns.rdatatype.A)
    except dns.exception.DNSException as error:
        raise FetchError(f"{host} is not a valid name: {error}") from error
    loop = asyncio.get_running_loop()
    asker = await asyncio.wrap_future(namespaces.submit(netns, _udp_socket))
    with asker:
        await loop.sock_connect(asker, (nameserver, 53))
        while True:
            await loop.sock_sendall(asker, query.to_wire())
            try:
                async with asyncio.timeout(1.0):
                    reply = dns.message.from_wire(await loop.sock_recv(asker, 4096))
            except TimeoutError:
                continue  # asked again until the whole fetch times out
            if reply.id == query.id:
                break
    found = tuple(str(item) for answer in reply.answer if answer.rdtype == dns.rdatatype.A for item in answer)
    if not found:
        raise FetchError(f"{host} does not resolve at {nameserver}: {dns.rcode.to_text(reply.rcode())}")
    return found


async def _read_reply(reader: asyncio.StreamReader) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = head[0].partition(" ")
    if not version.startswith("HTTP/") or not rest[:3].isdigit():
        raise ValueError("the reply is not HTTP")
    headers = tuple(
        (name.strip().lower(), value.strip()) for line in head[1:] if line for name, _, value in (line.partition(":"),)
    )
    fields = dict(headers)
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return int(rest[:3]), headers, await _read_chunks(reader)
    length = fields.get("content-length")
    if length is not None:
        return int(rest[:3]), headers, await reader.readexactly(min(int(length), LARGEST_REPLY))
    body = b""
    while len(body) < LARGEST_REPLY and (part := await reader.read(LARGEST_REPLY - len(body))):
        body += part
    return int(rest[:3]), headers, body


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while len(body) < LARGEST_REPLY:
        size = int((await reader.readline()).split(b";")[0], 16)
        if size == 0:
            break
        body += await reader.readexactly(min(size, LARGEST_REPLY))
        await reader.readline()
    return body[:LARGEST_REPLY]
