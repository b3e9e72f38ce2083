"""Puts the runtimes and the driver of containers together for the agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from ecsnet.agent.driver import AgentContext, AskError, AskHandler, Part
from ecsnet.agent.runtimes.driver import WorkloadDriver
from ecsnet.agent.runtimes.podman import PodmanRuntime
from ecsnet.agent.runtimes.podman_store import Store, users_store
from ecsnet.agent.runtimes.process import ProcessRuntime
from ecsnet.agent.runtimes.runtime import RuntimeName, WorkloadError
from ecsnet.agent.runtimes.standin import StandInRuntime
from ecsnet.agent.runtimes.tail import LogTail
from ecsnet.hostplan.workload import Workload

T = TypeVar("T")


class HealthArgument(msgspec.Struct, frozen=True, kw_only=True):
    """Argument of the ask `standin.health`: answer 503 (`healthy` false) on `path`, or on every path."""

    key: str
    healthy: bool
    path: str | None = None


class ExitArgument(msgspec.Struct, frozen=True, kw_only=True):
    """Argument of the ask `standin.exit`: let the container end by itself with `code`."""

    key: str
    code: int = 1


class EnterArgument(msgspec.Struct, frozen=True, kw_only=True):
    """Argument of the ask `enter`: how to run `command` in a container, with `variables` added to its environment.

    The answer is an `Entry`.
    """

    key: str
    command: tuple[str, ...]
    variables: dict[str, str]


def workloads(context: AgentContext) -> Part:
    """The containers of this host: real where the image is present, else stand-ins; processes where asked for."""
    logs = context.state / "logs"
    podman = PodmanRuntime(
        Store(directory=context.state / "podman", additional=users_store()),
        logs,
        context.state / "podman.log",
        context.namespaces,
        ended=lambda found: driver.ended("podman", found),
    )
    process = ProcessRuntime(
        context.state / "process", logs, context.namespaces, ended=lambda found: driver.ended("process", found)
    )
    standin = StandInRuntime(
        context.state,
        context.namespaces,
        ended=lambda found: driver.ended("stand-in", found),
        lost=context.wake,
    )

    def choose(workload: Workload) -> RuntimeName:
        return "podman" if podman.present(workload.image) else "stand-in"

    driver = WorkloadDriver(
        {"stand-in": standin, "podman": podman, "process": process},
        choose=choose,
        emit=context.emit,
        now=context.now,
        speed=context.speed,
        tail=LogTail(logs, context.emit, context.now),
    )
    asks = {"standin.health": _health(standin), "standin.exit": _exit(standin), "enter": _enter(driver)}
    return Part(driver=driver, asks=asks, told=driver.told)


def _health(standin: StandInRuntime) -> AskHandler:
    def answer(argument: bytes) -> bytes:
        given = _argument(argument, HealthArgument)
        _try(lambda: standin.set_health(given.key, given.healthy, given.path))
        return b"{}"

    return answer


def _exit(standin: StandInRuntime) -> AskHandler:
    def answer(argument: bytes) -> bytes:
        given = _argument(argument, ExitArgument)
        _try(lambda: standin.exit(given.key, given.code))
        return b"{}"

    return answer


def _enter(driver: WorkloadDriver) -> AskHandler:
    def answer(argument: bytes) -> bytes:
        given = _argument(argument, EnterArgument)
        return msgspec.json.encode(_try(lambda: driver.enter(given.key, given.command, given.variables)))

    return answer


def _argument(argument: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(argument, type=kind)
    except msgspec.MsgspecError as error:
        raise AskError(f"the argument is not understood: {error}") from error


def _try(call: Callable[[], T]) -> T:
    try:
        return call()
    except WorkloadError as error:
        raise AskError(str(error)) from error
