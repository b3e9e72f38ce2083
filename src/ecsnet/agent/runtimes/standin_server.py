"""The stand-in server: one process that stands in for every container whose image is not present.

`python -m ecsnet.agent.runtimes.standin_server SOCKET LOGS` listens on the UNIX socket SOCKET for what to run and
writes log files below LOGS. It is started detached when first needed and outlives control and agent; a new agent asks
it what it runs (`List`). It ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec

from ecsnet import unixsocket
from ecsnet.agent.runtimes import logfile
from ecsnet.agent.runtimes.standin_container import StandIn
from ecsnet.agent.runtimes.standin_protocol import (
    ENCODER,
    REQUESTS,
    Check,
    Done,
    Exit,
    Instance,
    List,
    Listing,
    Refused,
    Reply,
    Request,
    SetHealth,
    Start,
    Stop,
)
from ecsnet.framing import Frames, frame
from ecsnet.netns import NamespaceThread

FLUSH = 0.1
"""Seconds for which log lines are gathered before they are written."""


class Logs:
    """Gathers log lines and writes them in batches, without a file kept open per container."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lines: dict[Path, list[str]] = {}

    def line(self, path: Path, text: str) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH, self.flush)
        self._lines.setdefault(path, []).append(text)

    def flush(self) -> None:
        lines, self._lines = self._lines, {}
        for path, texts in lines.items():
            # A full disk must not stop the containers from answering.
            with contextlib.suppress(OSError):
                logfile.append(path, "".join(f"{text}\n" for text in texts).encode())


class Server:
    """Holds the stand-in containers by workload key and carries out requests one after the other."""

    def __init__(self, logs_directory: Path) -> None:
        self._directory = logs_directory
        self._logs = Logs(logs_directory)
        self._namespaces = NamespaceThread()
        self._containers: dict[str, StandIn] = {}

    async def carry_out(self, request: Request) -> Reply:
        match request:
            case Start(id=number, workload=workload):
                if workload.key in self._containers:
                    return Done(id=number)
                try:
                    path = logfile.workload_log(self._directory, workload)
                except ValueError as error:
                    return Refused(id=number, text=str(error))
                container = StandIn(workload, self._namespaces, lambda text: self._logs.line(path, text))
                self._containers[workload.key] = container
                try:
                    await container.start()
                except OSError as error:
                    del self._containers[workload.key]
                    return Refused(id=number, text=error.strerror or str(error))
            case Stop(id=number, key=key):
                stopped = self._containers.pop(key, None)
                if stopped is None:
                    return Listing(id=number, instances=())
                stopped.close(0)
                return Listing(id=number, instances=(Instance(key=key, exit_code=stopped.exit_code),))
            case Exit(id=number, key=key, code=code):
                if key not in self._containers:
                    return Refused(id=number, text=f"{key} does not run here")
                self._containers[key].close(code)
            case Check(id=number, key=key):
                if key not in self._containers or not self._containers[key].is_healthy():
                    return Refused(id=number, text=f"{key} is not healthy")
            case SetHealth(id=number, key=key, healthy=healthy, path=path_or_all):
                if key not in self._containers:
                    return Refused(id=number, text=f"{key} does not run here")
                self._containers[key].set_health(healthy, path_or_all)
            case List(id=number):
                instances = (Instance(key=key, exit_code=c.exit_code) for key, c in self._containers.items())
                return Listing(id=number, instances=tuple(instances))
        return Done(id=number)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One agent connection; a request that is not understood closes it."""
        frames = Frames()
        try:
            while data := await reader.read(65_536):
                for body in frames.feed(data):
                    reply = await self.carry_out(REQUESTS.decode(body))
                    writer.write(frame(ENCODER.encode(reply)))
                await writer.drain()
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            print(f"agent connection closed: {error}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    def close(self) -> None:
        self._logs.flush()
        self._namespaces.close()


async def run(socket_path: Path, logs_directory: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = Server(logs_directory)
    listener = await asyncio.start_unix_server(server.serve, sock=unixsocket.listen(socket_path))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # Whoever started this process waits for the end of its standard output.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    async with listener:
        await ended.wait()
    server.close()


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m ecsnet.agent.runtimes.standin_server SOCKET LOGS", file=sys.stderr)
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(run(Path(arguments[0]), Path(arguments[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
