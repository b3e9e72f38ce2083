"""`dial.sock`: a byte pipe into a namespace, for `ecsnet curl` and published load balancer ports.

A client sends one JSON line {"netns", "host", "port", "proto", "nameserver", "timeout"}; the agent connects from inside
that namespace and answers one JSON line, {"ok": true, "address", "local"} or {"error": sentence, "kind": "timeout" or
"refused"}; then bytes flow both ways until both sides have closed. `host` is an address or a name, which is asked of
`nameserver` inside the namespace.
"""

from __future__ import annotations

import ipaddress
import json
import selectors
import socket
import threading
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import msgspec

from ecsnet import unixsocket
from ecsnet.agent.driver import Namespaces

_PATIENCE = 5.0
"""Seconds for the name's answer and for the connection."""
_LONGEST_LINE = 4096


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    netns: str
    host: str
    port: int
    proto: str = "tcp"
    nameserver: str | None = None
    timeout: float = _PATIENCE


class DialError(Exception):
    """The connection was not made; the text is one sentence."""


class DialTimeoutError(DialError):
    """Nothing answered: the packet or its answer was dropped."""


class DialServer:
    """Accepts clients on `path`, one thread per connection (they are few: a person's requests, published ports)."""

    def __init__(self, path: Path, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._listener = unixsocket.listen(path, backlog=64)
        threading.Thread(target=self._accept, name="dial-accept", daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), name="dial", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                line, early = _line(client)
                dial = msgspec.json.decode(line, type=Dial)
                far = connect(self._namespaces, dial)
            except (DialError, OSError, ValueError, msgspec.DecodeError) as error:
                sentence = getattr(error, "strerror", None) or str(error)
                kind = "timeout" if isinstance(error, DialTimeoutError) else "refused"
                client.sendall(json.dumps({"error": sentence, "kind": kind}).encode() + b"\n")
                return
            with far:
                local, remote = far.getsockname()[0], far.getpeername()[0]
                client.sendall(json.dumps({"ok": True, "address": remote, "local": local}).encode() + b"\n")
                far.sendall(early)
                splice(client, far)


def connect(namespaces: Namespaces, dial: Dial) -> socket.socket:
    """A connected socket inside the namespace. Raises DialError, OSError, ValueError."""
    if dial.proto not in ("tcp", "udp"):
        raise DialError(f"proto is {dial.proto!r}; it must be tcp or udp")
    kind = socket.SOCK_STREAM if dial.proto == "tcp" else socket.SOCK_DGRAM
    try:
        with namespaces.inside(dial.netns):
            address = _resolve(dial)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            far = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    except FileNotFoundError as error:
        raise DialError(f"there is no namespace {dial.netns}") from error
    try:
        far.settimeout(dial.timeout)
        far.connect((address, dial.port))
        far.settimeout(None)
    except TimeoutError as error:
        far.close()
        raise DialTimeoutError(f"no answer from {address} port {dial.port} within {dial.timeout:g} s") from error
    except OSError as error:
        far.close()
        raise DialError(f"{address} port {dial.port}: {error.strerror}") from error
    return far


def _resolve(dial: Dial) -> str:
    """The address of the host; the calling thread is inside the namespace."""
    try:
        return str(ipaddress.ip_address(dial.host))
    except ValueError:
        if dial.nameserver is None:
            raise DialError(f"{dial.host!r} is not an address, and no nameserver was given to ask for it") from None
    try:
        query = dns.message.make_query(dial.host, dns.rdatatype.A)
        reply, _tcp = dns.query.udp_with_fallback(query, dial.nameserver, timeout=dial.timeout)
    except (dns.exception.DNSException, OSError) as error:
        raise DialError(f"the resolver {dial.nameserver} did not answer for {dial.host}: {error}") from error
    for answer in reply.answer:
        for record in answer:
            if record.rdtype == dns.rdatatype.A:
                return str(record.to_text())
    raise DialError(f"{dial.host} has no address ({dial.nameserver} says {dns.rcode.to_text(reply.rcode())})")


def _line(client: socket.socket) -> tuple[bytes, bytes]:
    """The first line, and what came behind it."""
    client.settimeout(_PATIENCE)
    data = b""
    while b"\n" not in data:
        more = client.recv(_LONGEST_LINE)
        if not more or len(data) > _LONGEST_LINE:
            raise DialError("expected one line of JSON")
        data += more
    client.settimeout(None)
    line, _, rest = data.partition(b"\n")
    return line, rest


def splice(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both sides have ended (a half-close is passed on)."""
    towards = {one: other, other: one}
    with selectors.DefaultSelector() as selector:
        for end in towards:
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            for key, _events in selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                try:
                    data = source.recv(1 << 16)
                    if data:
                        towards[source].sendall(data)
                        continue
                    towards[source].shutdown(socket.SHUT_WR)
                except OSError:
                    return  # a reset: both sides end
                selector.unregister(source)
