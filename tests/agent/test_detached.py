"""A detached server that is found dead: the request that it has not read goes to its successor."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import msgspec
import pytest

from ecsnet.agent.detached import DetachedError, DetachedServer
from ecsnet.framing import Frames, frame


class Word(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    text: str


def answer(connection: socket.socket) -> None:
    """Read one request and send its text back."""
    frames = Frames()
    while data := connection.recv(1 << 16):
        for body in frames.feed(data):
            asked = msgspec.msgpack.decode(body, type=Word)
            connection.sendall(frame(msgspec.msgpack.encode(Word(id=asked.id, text=asked.text))))
            return


def asking(path: Path, folder: Path) -> DetachedServer[Word, Word]:
    return DetachedServer(
        "ecsnet.no_such_module",
        socket_path=path,
        argument=folder,
        log_path=folder / "log",
        replies=msgspec.msgpack.Decoder(Word),
        lost=lambda: None,
    )


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(tmp_path / "server.sock"))
    made.listen(4)
    return made


def test_a_request_that_was_not_read_goes_to_the_next_server(listener: socket.socket, tmp_path: Path) -> None:
    """The first one reads no more, and its end is noticed only after the request was sent."""
    asked, deaf = threading.Event(), threading.Event()

    def serve() -> None:
        first, _ = listener.accept()
        first.shutdown(socket.SHUT_RD)
        deaf.set()
        asked.wait(20)
        first.close()
        second, _ = listener.accept()
        with second:
            answer(second)

    threading.Thread(target=serve, daemon=True).start()
    server = asking(tmp_path / "server.sock", tmp_path)
    assert server.running()
    assert deaf.wait(20)

    numbers: list[int] = []

    def make(number: int) -> Word:
        asked.set()
        numbers.append(number)
        return Word(id=number, text="hello")

    assert server.ask(make) == Word(id=2, text="hello")
    assert numbers == [1, 2]
    server.close()


def test_a_request_that_was_read_is_not_repeated(listener: socket.socket, tmp_path: Path) -> None:
    """Whether it was carried out nobody knows."""

    def serve() -> None:
        first, _ = listener.accept()
        with first:
            assert first.recv(1 << 16)

    threading.Thread(target=serve, daemon=True).start()
    server = asking(tmp_path / "server.sock", tmp_path)
    with pytest.raises(DetachedError, match="went away before it answered"):
        server.ask(lambda number: Word(id=number, text="hello"))
    server.close()
