"""libnftables in process: one context belongs to the namespace in which it was made.

A subprocess of `nft` costs 10 ms and more before it does anything; a context applies a change to a rule set of 1,000
interfaces in 2 ms. A context that once listed a whole rule set keeps it in memory (28 MB at 1,000 interfaces), so
read-back uses a context of its own that is closed afterwards. See libnftables(3).
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
from pathlib import Path

_OUTPUT_STATELESS, _OUTPUT_JSON = 1 << 2, 1 << 4
_NUMERIC = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10)
"""NUMERIC_PROTO, NUMERIC_PRIO, NUMERIC_SYMBOL, NUMERIC_TIME: symbols depend on files of the host, numbers do not."""
_WANTED_BUFFER = 1 << 26
_LOCATION = re.compile(r"^/proc/self/fd/\d+:(\d+):\d+-\d+: Error: (.*)$", re.MULTILINE)


class NftUnavailableError(Exception):
    """The library is not installed."""


class NftError(Exception):
    """A refused transaction: nothing of it is in force.

    `line` is the line of the input that the library blames, from 0, or None when it does not say. `too_long` means
    that the transaction did not fit the socket's send buffer (an ordinary user cannot raise it beyond wmem_max).
    """

    def __init__(self, text: str, *, line: int | None, too_long: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.line = line
        self.too_long = too_long


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise NftUnavailableError(f"libnftables.so.1 cannot be loaded ({error})") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_free.restype = None
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_ctx_output_set_flags.restype = None
    for name in ("nft_run_cmd_from_buffer", "nft_run_cmd_from_filename"):
        getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _sockets() -> set[int]:
    found = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):
                found.add(int(entry))
        except OSError:
            continue
    return found


class NftContext:
    """One libnftables context in the calling thread's namespace; any one thread at a time may use it afterwards."""

    _library: ctypes.CDLL | None = None

    def __init__(self) -> None:
        if NftContext._library is None:
            NftContext._library = _load()
        self._nft = NftContext._library
        before = _sockets()
        self._context = self._nft.nft_ctx_new(0)
        if not self._context:
            raise NftUnavailableError("libnftables could not open its netlink socket (is nf_tables in the kernel?)")
        self._nft.nft_ctx_buffer_output(self._context)
        self._nft.nft_ctx_buffer_error(self._context)
        for descriptor in _sockets() - before:
            _raise_send_buffer(descriptor)

    def run(self, text: str, *, json: bool = False) -> str:
        """Run commands as one transaction and give back what they print. Raises NftError."""
        flags = _NUMERIC | (_OUTPUT_STATELESS | _OUTPUT_JSON if json else 0)
        self._nft.nft_ctx_output_set_flags(self._context, flags)
        code = self._nft.nft_run_cmd_from_buffer(self._context, text.encode())
        output: bytes = self._nft.nft_ctx_get_output_buffer(self._context) or b""
        problem: bytes = self._nft.nft_ctx_get_error_buffer(self._context) or b""
        if code != 0:
            if b"Message too long" in problem:
                raise NftError("the transaction does not fit the send buffer", line=None, too_long=True)
            self._blame(text)
        return output.decode(errors="replace")

    def _blame(self, text: str) -> None:
        """Run a refused transaction again from a file, because only then does the library say which line it was."""
        descriptor = os.memfd_create("ecsnet-nft")
        try:
            os.write(descriptor, text.encode())
            code = self._nft.nft_run_cmd_from_filename(self._context, f"/proc/self/fd/{descriptor}".encode())
            problem: bytes = self._nft.nft_ctx_get_error_buffer(self._context) or b""
        finally:
            os.close(descriptor)
        if code != 0:
            raise _parse(problem.decode(errors="replace"))

    def close(self) -> None:
        if self._context:
            self._nft.nft_ctx_free(self._context)
            self._context = None


def _raise_send_buffer(descriptor: int) -> None:
    """A whole transaction is one send: the default buffer holds about 420 rules for an ordinary user."""
    try:
        wanted = min(_WANTED_BUFFER, int(Path("/proc/sys/net/core/wmem_max").read_text()))
    except OSError:  # net.core is not shown in a namespace of an ordinary user on every kernel
        wanted = _WANTED_BUFFER
    duplicate = socket.socket(fileno=os.dup(descriptor))
    with duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, wanted)


def _parse(problem: str) -> NftError:
    match = _LOCATION.search(problem)
    first = problem.strip().splitlines()[0] if problem.strip() else "nft gave no reason"
    if match:
        return NftError(match.group(2), line=int(match.group(1)) - 1)
    return NftError(first, line=None)
