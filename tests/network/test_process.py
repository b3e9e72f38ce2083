"""Host commands as containers, and the lines that containers write."""

from __future__ import annotations

import os
import queue
import signal
import time
from pathlib import Path

import msgspec
import pytest
from sandbox import command, namespace, sandboxed, wire

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.runtimes.driver import WorkloadDriver
from ecsnet.agent.runtimes.process import ProcessRuntime
from ecsnet.agent.runtimes.tail import LogTail
from ecsnet.hostplan.messages import ContainerSeen, LogLines
from ecsnet.hostplan.workload import Workload

pytestmark = pytest.mark.network

TASK = "arn:aws:ecs:eu-west-1:123456789012:task/shop/0123456789abcdef0123456789abcdef"


class Agent:
    def __init__(self, state: Path) -> None:
        self.seen: queue.Queue[ContainerSeen] = queue.Queue()
        self.lines: queue.Queue[LogLines] = queue.Queue()
        self.runtime = ProcessRuntime(
            state / "process",
            state / "logs",
            NamespaceFiles(),
            ended=lambda found: self.driver.ended("process", found),
        )
        self.driver = WorkloadDriver(
            {"process": self.runtime},
            choose=lambda workload: "process",
            emit=self.seen.put,
            now=time.time,
            tail=LogTail(state / "logs", self.lines.put, time.time),
        )

    def expect(self, *states: str) -> ContainerSeen:
        for state in states:
            seen = self.seen.get(timeout=60)
            assert seen.state == state, seen
        return seen

    def lines_of(self, count: int) -> list[LogLines]:
        """Messages with at least so many lines: what is written slowly comes in several."""
        messages: list[LogLines] = []
        while sum(len(message.lines) for message in messages) < count:
            messages.append(self.lines.get(timeout=60))
        return messages


def workload(*arguments: str, **changes: object) -> Workload:
    base = Workload(
        owner=TASK,
        container="web",
        netns="t1",
        runtime="process",
        image="unused",
        command=arguments,
        environment=(("GREETING", "hello"),),
        nameserver="10.0.0.2",
        hostname="ip-10-0-1-10.ec2.internal",
        hosts=(("10.0.1.10", "ip-10-0-1-10.ec2.internal"),),
        log_group="/ecs/shop",
        log_stream="web/web/1",
        log_region="eu-west-1",
        stop_timeout=5,
    )
    return msgspec.structs.replace(base, **changes)


def ready(tmp_path: Path) -> Agent:
    namespace("t1")
    namespace("r1")
    wire("t1", "r1", "e1", "10.0.1.10", "10.0.1.1")
    return Agent(tmp_path)


def fetch() -> str:
    return command(
        "ip", "netns", "exec", "r1", "curl", "-sS", "--retry-connrefused", "--retry", "20", "--retry-delay", "1",
        "http://10.0.1.10:8080/",
    )  # fmt: skip


@sandboxed
def test_runs_a_command_in_the_tasks_network_with_its_own_files(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    before = Path("/etc/hosts").read_text()
    script = "cat /etc/resolv.conf /etc/hosts; hostname; echo $GREETING; exec python3 -m http.server 8080"
    agent.driver.apply((workload("sh", "-c", script, working_directory=str(tmp_path)),), ())
    assert agent.expect("starting", "running").runtime == "process"
    assert "Directory listing" in fetch()
    lines = [line.text for message in agent.lines_of(4) for line in message.lines]
    assert lines[:4] == [
        "nameserver 10.0.0.2",
        "10.0.1.10\tip-10-0-1-10.ec2.internal",
        "ip-10-0-1-10.ec2.internal",
        "hello",
    ]
    assert Path("/etc/hosts").read_text() == before
    agent.driver.apply((), (workload().key,))
    assert agent.expect("stopped").exit_code == 143
    assert agent.runtime.found() == ()


@sandboxed
def test_log_lines_carry_the_place_that_awslogs_names(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    agent.driver.apply((workload("sh", "-c", "echo one; echo two >&2; printf unfinished; exit 4"),), ())
    assert agent.expect("starting", "running", "stopped").exit_code == 4
    messages = agent.lines_of(2)
    for message in messages:
        assert (message.account, message.region) == ("123456789012", "eu-west-1")
        assert (message.group, message.stream) == ("/ecs/shop", "web/web/1")
    assert [line.text for message in messages for line in message.lines] == ["one", "two"]


@sandboxed
def test_the_exit_code_survives_the_agent(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    script = "trap 'exit 5' TERM; echo prepared; while :; do sleep 0.1; done"
    wanted = {workload().key: workload("sh", "-c", script)}
    agent.driver.apply(tuple(wanted.values()), ())
    first = agent.expect("starting", "running")
    agent.lines_of(1)  # running means begun; the signal must find the trap
    agent.driver.close()
    second = Agent(tmp_path)
    assert second.driver.observe(wanted) == wanted
    assert second.expect("running").runtime_id == first.runtime_id
    os.killpg(int(first.runtime_id.partition(":")[2]), signal.SIGTERM)
    assert second.expect("stopped").exit_code == 5
    third = Agent(tmp_path)
    assert third.driver.observe(wanted) == wanted
    assert third.expect("stopped").exit_code == 5


@sandboxed
def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    for wanted, reason in (
        (workload("/no/such/program"), "cannot run /no/such/program: No such file or directory"),
        (workload(), "container web has neither entryPoint nor command to run as a process"),
        (workload("true", user="nobody"), "user 'nobody': the process runtime cannot change the user; use podman"),
        (workload("true", netns="t9"), "cannot run true: No such file or directory"),
    ):
        agent.driver.apply((wanted,), ())
        assert agent.expect("starting", "failed").reason == reason
        agent.driver.apply((), (wanted.key,))


@sandboxed
def test_a_start_that_the_agent_did_not_survive_is_not_repeated(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    wanted = workload("sleep", "1000")
    agent.driver.apply((wanted,), ())
    first = agent.expect("starting", "running")
    # The next agent is told to start it, as if it had not seen it in its read-back.
    second = Agent(tmp_path)
    second.driver.apply((wanted,), ())
    assert second.expect("starting", "running").runtime_id == first.runtime_id
    assert len(command("pgrep", "-x", "sleep").split()) == 1
