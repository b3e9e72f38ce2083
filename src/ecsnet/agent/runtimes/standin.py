"""The stand-in runtime, agent's side: what the workload driver wants, asked of the stand-in server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ecsnet.agent.detached import DetachedError, DetachedServer
from ecsnet.agent.driver import Namespaces
from ecsnet.agent.runtimes.room import environment_of, room_of
from ecsnet.agent.runtimes.runtime import Ended, Entry, Found, RuntimeName, WorkloadError
from ecsnet.agent.runtimes.standin_protocol import (
    REPLIES,
    Check,
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
from ecsnet.agent.runtimes.visit import Visit, command_line
from ecsnet.hostplan.workload import HealthCheck, Workload


class StandInRuntime:
    """`ended` is told about containers that were made to exit; `lost` is called when the server has died."""

    def __init__(self, state: Path, namespaces: Namespaces, *, ended: Ended, lost: Callable[[], None]) -> None:
        self._namespaces = namespaces
        self._ended = ended
        self._server: DetachedServer[Request, Reply] = DetachedServer(
            "ecsnet.agent.runtimes.standin_server",
            socket_path=state / "standin.sock",
            argument=state / "logs",
            log_path=state / "standin.log",
            replies=REPLIES,
            lost=lost,
        )

    @property
    def name(self) -> RuntimeName:
        return "stand-in"

    def start(self, workload: Workload) -> str:
        self._ask(lambda number: Start(id=number, workload=workload))
        return _runtime_id(workload.key)

    def stop(self, key: str, timeout: float) -> Found | None:
        if not self._server.running():
            return None
        reply = self._ask(lambda number: Stop(id=number, key=key))
        assert isinstance(reply, Listing)
        return _found(reply.instances[0]) if reply.instances else None

    def probe(self, workload: Workload, check: HealthCheck, timeout: float) -> bool:
        """There is nothing to run the command in: a stand-in is as healthy as its user says (`set_health`)."""
        try:
            self._ask(lambda number: Check(id=number, key=workload.key))
        except WorkloadError:
            return False
        return True

    def enter(self, workload: Workload, command: Sequence[str], extra: Mapping[str, str]) -> Entry:
        """A stand-in has no files and no process: the command is one of this machine, in the task's network."""
        visit = Visit(environment={**environment_of(workload), **extra}, room=room_of(workload, self._namespaces))
        arguments, environment = command_line(visit, command)
        return Entry(arguments=arguments, environment=environment)

    def found(self) -> Sequence[Found]:
        if not self._server.running():
            return ()
        reply = self._ask(lambda number: List(id=number))
        assert isinstance(reply, Listing)
        return tuple(_found(instance) for instance in reply.instances)

    def set_health(self, key: str, healthy: bool, path: str | None) -> None:
        """See `standin_protocol.SetHealth`. Raises WorkloadError when the container is not a running stand-in."""
        self._ask(lambda number: SetHealth(id=number, key=key, healthy=healthy, path=path))

    def exit(self, key: str, code: int) -> None:
        """Let a stand-in end by itself with an exit code. Raises WorkloadError."""
        self._ask(lambda number: Exit(id=number, key=key, code=code))
        self._ended(Found(key=key, runtime_id=_runtime_id(key), ended=True, exit_code=code))

    def close(self) -> None:
        self._server.close()

    def _ask(self, make: Callable[[int], Request]) -> Reply:
        try:
            reply = self._server.ask(make)
        except DetachedError as error:
            raise WorkloadError(str(error)) from error
        if isinstance(reply, Refused):
            raise WorkloadError(reply.text)
        return reply


def _runtime_id(key: str) -> str:
    """stand-in:<task id>/<container>."""
    task, _, container = key.removeprefix("workload:").rpartition("/")
    return f"stand-in:{task.rpartition('/')[2]}/{container}"


def _found(instance: Instance) -> Found:
    return Found(
        key=instance.key,
        runtime_id=_runtime_id(instance.key),
        ended=instance.exit_code is not None,
        exit_code=instance.exit_code,
    )
