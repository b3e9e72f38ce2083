"""A helper process inside the world that opens sockets in its namespaces on request (JSON lines on its pipes)."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import NETLINK_NETFILTER, Netlink, Request, address_text, attributes
from ecsnet.agent.world import World

_LOOK = 0.01
"""Seconds between two looks for an answer. Patience is counted in looks: while the machine stands still, and whoever
should answer with it, no look is used up."""
_BACKLOG = 4096
"""Connections that may wait for a listener's thread to get the processor; beyond that the kernel drops requests."""
_WATCH_BUFFER = 16 << 20
"""Bytes; a waiting packet takes about a thousand of them."""
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_SO_RCVBUFFORCE = 33


class Inside:
    """The test's side: starts the helper, calls it (any thread, one call at a time)."""

    def __init__(self, world: World) -> None:
        command = world.enter_command([sys.executable, "-m", "ecsnet.testing.inside"])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        self._lock = threading.Lock()

    def call(self, name: str, **arguments: Any) -> Any:
        """Run one of `Sockets`' methods over there. Raises AssertionError with its error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps([name, arguments]) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Sockets:
    """What the helper can do; every method's arguments and result are JSON values."""

    def __init__(self) -> None:
        self._files = NamespaceFiles()
        self._made: dict[int, socket.socket] = {}
        self._storms: dict[int, Storm] = {}
        self._counts: dict[int, Count] = {}

    def _socket(self, netns: str, address: str, kind: int, protocol: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self._files.inside(netns):
            return socket.socket(family, kind, protocol)

    def _keep(self, made: socket.socket) -> int:
        number = made.fileno()
        self._made[number] = made
        return number

    def listen(self, netns: str, address: str, port: int, proto: str) -> int:
        made = self._socket(netns, address, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if proto == "tcp":
            made.listen(_BACKLOG)
        serve = _serve_tcp if proto == "tcp" else _serve_udp
        threading.Thread(target=serve, args=(made,), daemon=True).start()
        return self._keep(made)

    def unlisten(self, number: int) -> None:
        made = self._made.pop(number)
        with contextlib.suppress(OSError):
            made.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept or recv
        made.close()

    def tcp(self, netns: str, address: str, port: int, source: str | None, timeout: float) -> str | None:
        with self._socket(netns, address, socket.SOCK_STREAM) as made:
            return _talk(made, (address, port), source, timeout)

    def udp(self, netns: str, address: str, port: int, source: str | None, timeout: float) -> str | None:
        with self._socket(netns, address, socket.SOCK_DGRAM) as made:
            return _talk(made, (address, port), source, timeout)

    def ping(self, netns: str, address: str, timeout: float) -> bool:
        with self._socket(netns, address, socket.SOCK_RAW, socket.IPPROTO_ICMP) as made:
            made.setblocking(False)
            body = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 1)
            total = sum(struct.unpack("!4H", body))
            total = (total & 0xFFFF) + (total >> 16)
            made.sendto(body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:], (address, 0))
            try:
                while _ready(made, select.POLLIN, timeout):
                    reply, _peer = made.recvfrom(2048)
                    if reply[20] == 0:
                        return True
            except OSError:
                pass
            return False

    def open(self, netns: str, address: str, port: int, timeout: float) -> int | None:
        made = self._socket(netns, address, socket.SOCK_STREAM)
        if _talk(made, (address, port), None, timeout) is None:
            made.close()
            return None
        return self._keep(made)

    def talk(self, number: int, timeout: float) -> bool:
        made = self._made[number]
        try:
            made.sendall(b"again\n")
            return _ready(made, select.POLLIN, timeout) and bool(made.recv(4096))
        except OSError:
            return False

    def claim(self, netns: str, link: str, mac: str, address: str) -> None:
        """Gratuitous ARP: tell everybody on the link that `address` is at `mac` (RFC 5227)."""
        hardware, claimed = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address)
        header = b"\xff" * 6 + hardware + struct.pack("!H", 0x0806)
        with self._files.inside(netns):
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with made:
            made.bind((link, 0))
            for operation in (1, 2):
                body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + hardware + claimed + b"\0" * 6 + claimed
                made.send(header + body)

    def tracked(self, netns: str) -> list[str]:
        """The tracked connections of a namespace as "src=… dst=…" of their first packet."""
        with self._files.inside(netns), Netlink(NETLINK_NETFILTER) as netlink:
            entries = list(netlink.dump(Request(type=1 << 8 | 1, flags=0, body=bytes(4))))
        found = []
        for entry in entries:
            pair = attributes(attributes(attributes(entry[4:])[1])[1])
            addresses = [address_text(pair[kind]) for kind in sorted(pair) if kind in (1, 2, 3, 4)]
            found.append(f"src={addresses[0]} dst={addresses[1]}")
        return found

    def hang_up(self, number: int) -> None:
        self._made.pop(number).close()

    def storm(self, netns: str, address: str, port: int, rate: int, patience: float) -> int:
        """Begin to open `rate` connections a second, each from a port of its own, which is given up after `patience`
        seconds: less than the one after which the kernel asks again, and hides that a first request was lost."""
        storm = Storm(self._files, netns, (address, port), rate, patience)
        self._storms[id(storm)] = storm
        return id(storm)

    def calm(self, number: int) -> dict[str, int]:
        """End a storm: how many connections were begun, came about, were refused; the rest heard nothing."""
        return self._storms.pop(number).end()

    def watch(self, netns: str, device: str, port: int) -> int:
        """Begin to count the TCP connection requests for a port that arrive at a device, whoever listens."""
        with self._files.inside(netns):
            made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        # Many connections wait here while the counting thread does not get the processor.
        with contextlib.suppress(PermissionError):  # of a user namespace, on older kernels
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _WATCH_BUFFER)
        made.bind((device, 0x0800))
        self._counts[made.fileno()] = count = Count()
        threading.Thread(target=count.run, args=(made, port), daemon=True).start()
        return self._keep(made)

    def arrived(self, number: int) -> int:
        """End a watch: how many arrived. Raises ValueError when some were not seen."""
        self._made.pop(number)
        return self._counts.pop(number).end()


class Count:
    """Counts TCP connection requests on a packet socket, and reads all the time: a buffer holds so many packets."""

    def __init__(self) -> None:
        self._found = 0
        self._missed = 0
        self._stop = threading.Event()
        self._ended = threading.Event()

    def run(self, made: socket.socket, port: int) -> None:
        wanted = struct.pack("!H", port)
        made.settimeout(0.1)
        with made:
            while True:
                try:
                    packet, sender = made.recvfrom(128)
                except TimeoutError:
                    if self._stop.is_set():
                        break
                    continue
                segment = packet[(packet[0] & 15) * 4 :]
                request = packet[9] == 6 and segment[2:4] == wanted and segment[13] & 18 == 2
                self._found += request and sender[2] == socket.PACKET_HOST
            statistics = made.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            self._missed = int.from_bytes(statistics[4:], sys.byteorder)
        self._ended.set()

    def end(self) -> int:
        """What was counted, once a tenth of a second has passed in silence."""
        self._stop.set()
        self._ended.wait()
        if self._missed:
            raise ValueError(f"{self._missed} packets came faster than they were counted")
        return self._found


_CATCH_UP = 0.05
"""Seconds for which a storm that stood still catches up; all of a long pause at once would take every descriptor."""


class Storm:
    """Opens connections at a steady rate, on a thread, and notes what became of each."""

    def __init__(self, files: NamespaceFiles, netns: str, peer: tuple[str, int], rate: int, patience: float) -> None:
        self._files = files
        self._netns = netns
        self._peer = peer
        self._gap = 1 / rate
        self._patience = patience
        self._stop = threading.Event()
        self._counts = {"begun": 0, "open": 0, "refused": 0}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        waiting: list[tuple[float, socket.socket]] = []
        selector = selectors.DefaultSelector()
        reset = struct.pack("ii", 1, 0)
        due = time.monotonic()
        with self._files.inside(self._netns):
            while not self._stop.is_set() or waiting:
                now = time.monotonic()
                due = max(due, now - _CATCH_UP)
                while due <= now and not self._stop.is_set():
                    due += self._gap
                    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    made.connect_ex(self._peer)
                    self._counts["begun"] += 1
                    selector.register(made, selectors.EVENT_WRITE, made)
                    waiting.append((now + self._patience, made))
                for key, _ in selector.select(max(0.0, min(due - now, 0.05))):
                    made = key.data
                    problem = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    self._counts["open" if problem == 0 else "refused"] += 1
                    selector.unregister(made)
                    made.close()
                while waiting and (waiting[0][0] < now or waiting[0][1].fileno() < 0):
                    made = waiting.pop(0)[1]
                    if made.fileno() >= 0:
                        selector.unregister(made)
                        made.close()

    def end(self) -> dict[str, int]:
        self._stop.set()
        self._thread.join()
        return self._counts


def _ready(made: socket.socket, event: int, timeout: float) -> bool:
    """Whether a socket is ready within as many looks as `timeout` seconds have."""
    poll = select.poll()
    poll.register(made, event)
    return any(poll.poll(_LOOK * 1000) for _ in range(max(1, round(timeout / _LOOK))))


def _talk(made: socket.socket, peer: tuple[str, int], source: str | None, timeout: float) -> str | None:
    made.setblocking(False)
    if source is not None:
        made.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT: bind an address that the namespace does not own
        made.bind((source, 0))
    try:
        if made.connect_ex(peer) not in (0, errno.EINPROGRESS) or not _ready(made, select.POLLOUT, timeout):
            return None
        made.sendall(b"hello\n")
        return made.recv(4096).split()[0].decode() if _ready(made, select.POLLIN, timeout) else None
    except (OSError, IndexError):
        return None


def _serve_tcp(listener: socket.socket) -> None:
    while True:
        try:
            connection, peer = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection, peer[0]), daemon=True).start()


def _echo(connection: socket.socket, peer: str) -> None:
    with connection:
        try:
            while data := connection.recv(4096):
                connection.sendall(peer.encode() + b" " + data)
        except OSError:
            return


def _serve_udp(listener: socket.socket) -> None:
    while True:
        try:
            data, peer = listener.recvfrom(4096)
            if not data:
                return
            listener.sendto(peer[0].encode() + b" " + data, peer)
        except OSError:
            return


def main() -> None:
    sockets = Sockets()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": getattr(sockets, name)(**arguments)}
        except (OSError, ValueError, KeyError) as error:
            answer = {"error": f"{name}: {error!r}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
