"""The server that the compared tasks run: `python -m ecsnet.cli.modes.service`. Its first line says where it stands.

Every port is served by a process of its own, so that one measurement does not wait for another.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import NoReturn

ASK, HOPS, STREAM, ECHO, CONNECT, CLOSED = 8080, 8082, 5201, 5202, 5203, 8081
"""Ports: who are you; how far are you (UDP); takes bytes; sends bytes back; one byte per connection; what no group
admits."""

ACCEPTING = 2
"""Processes that accept new connections: one alone would be the bottleneck on a machine with several cores."""

_CHUNK = 1 << 20
_PR_SET_PDEATHSIG = 1
_IP_RECVTTL = 12
"""linux/in.h; Python has no name for it."""


def main() -> NoReturn:
    # Everything listens before anything is said, so that whoever has read the line may connect.
    listeners = {port: socket.create_server(("", port), backlog=1024) for port in (ASK, STREAM, ECHO, CONNECT, CLOSED)}
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", HOPS))
    datagrams.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
    print(json.dumps({"pid": os.getpid(), "network": os.readlink("/proc/self/ns/net")}), flush=True)
    _fork(lambda: serve(listeners[STREAM], take))
    _fork(lambda: serve(listeners[ECHO], echo))
    for _ in range(ACCEPTING):
        _fork(lambda: serve(listeners[CONNECT], one_byte))
    _fork(lambda: tell_hops(datagrams))
    serve(listeners[ASK], tell)


def _fork(body: Callable[[], NoReturn]) -> None:
    parent = os.getpid()
    if os.fork():
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request was made
        sys.exit(1)
    body()


def serve(listener: socket.socket, answer: Callable[[socket.socket], None]) -> NoReturn:
    """Accept and answer one connection after the other. A client that goes away is no reason to end."""
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                answer(connection)
            except ConnectionError:
                continue


def tell(connection: socket.socket) -> None:
    """What this end of the connection knows about it."""
    said = {
        "pid": os.getpid(),
        "network": os.readlink("/proc/self/ns/net"),
        "local": connection.getsockname()[:2],
        "peer": connection.getpeername()[:2],
        "segment": connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG),
    }
    connection.sendall(json.dumps(said).encode())


def tell_hops(datagrams: socket.socket) -> NoReturn:
    """To each datagram, the hop count that was left of it."""
    while True:
        _, ancillary, _, peer = datagrams.recvmsg(64, 64)
        left = next(struct.unpack("i", data)[0] for _, kind, data in ancillary if kind == socket.IP_TTL)
        datagrams.sendto(json.dumps({"left": left}).encode(), peer)


def take(connection: socket.socket) -> None:
    """Take bytes until the sender ends, and say how many they were."""
    buffer = bytearray(_CHUNK)
    total = 0
    while count := connection.recv_into(buffer):
        total += count
    connection.sendall(struct.pack("!Q", total))


def echo(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(64):
        connection.sendall(data)


def one_byte(connection: socket.socket) -> None:
    connection.sendall(connection.recv(1) or b"-")


if __name__ == "__main__":
    main()
