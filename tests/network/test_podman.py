"""Real containers of an image made from local files, in task namespaces."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from ordinary_user import run_as_ordinary_user
from sandbox import command, namespace, sandboxed, wire
from shell import VARIABLES, converse, leave

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.runtimes.driver import WorkloadDriver
from ecsnet.agent.runtimes.podman import PodmanRuntime
from ecsnet.agent.runtimes.podman_store import Store
from ecsnet.hostplan.messages import ContainerSeen
from ecsnet.hostplan.workload import Workload
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

TASK = "arn:aws:ecs:eu-west-1:123456789012:task/shop/0123456789abcdef0123456789abcdef"
APPLETS = ("sh", "cat", "hostname", "httpd", "wget", "sleep", "mkdir", "env", "id", "stty")
SERVE = "mkdir -p /www && echo real > /www/index.html && exec httpd -f -p 8080 -h /www"
POLITE = "trap 'exit 9' TERM; " + SERVE.replace("exec httpd -f", "httpd") + "; while :; do sleep 0.1; done"


class Agent:
    def __init__(self, state: Path, additional: tuple[Path, ...] = ()) -> None:
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        self.seen: queue.Queue[ContainerSeen] = queue.Queue()
        self.store = Store(directory=state / "podman", additional=additional)
        self.runtime = PodmanRuntime(
            self.store,
            state / "logs",
            state / "podman.log",
            NamespaceFiles(),
            ended=lambda found: self.driver.ended("podman", found),
        )
        self.driver = WorkloadDriver(
            {"podman": self.runtime}, choose=lambda workload: "podman", emit=self.seen.put, now=time.time
        )

    def expect(self, *states: str) -> ContainerSeen:
        for state in states:
            seen = self.seen.get(timeout=90)
            assert seen.state == state, seen
        return seen

    def image(self) -> None:
        """Imports an image that holds a static busybox and nothing else."""
        self.store.prepare()
        root = self.state / "root"
        (root / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        archive = self.state / "root.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".")
        subprocess.run(
            self.store.command("import", str(archive), "shop/web:7"),
            env=self.store.environment(),
            check=True,
            capture_output=True,
            timeout=120,
        )

    def log(self) -> str:
        return (self.state / "logs" / TASK.rpartition("/")[2] / "web.log").read_text()


def workload(*script: str, **changes: object) -> Workload:
    base = Workload(
        owner=TASK,
        container="web",
        netns="t1",
        runtime="podman",
        image="shop/web:7",
        entry_point=("sh", "-c"),
        command=script,
        environment=(("GREETING", "hello world"),),
        nameserver="10.0.0.2",
        search=("ec2.internal",),
        hostname="ip-10-0-1-10.ec2.internal",
        hosts=(("127.0.0.1", "localhost"), ("10.0.1.10", "ip-10-0-1-10.ec2.internal")),
        stop_timeout=5,
    )
    return msgspec.structs.replace(base, **changes)


def ready(tmp_path: Path) -> Agent:
    namespace("t1")
    namespace("r1")
    wire("t1", "r1", "e1", "10.0.1.10", "10.0.1.1")
    # The machine's cgroups are version 1 or mixed, which crun refuses: hidden, as the world does.
    command("mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup")
    command("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
    agent = Agent(tmp_path)
    agent.image()
    return agent


def fetch() -> str:
    return command(
        "ip", "netns", "exec", "r1", "curl", "-sS", "--retry-connrefused", "--retry", "20", "--retry-delay", "1",
        "--max-time", "60", "http://10.0.1.10:8080/",
    )  # fmt: skip


@sandboxed
def test_runs_a_real_image_in_the_tasks_namespace(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    script = "cat /etc/resolv.conf /etc/hosts; hostname; echo $GREETING; ulimit -n; " + POLITE
    # Long enough for it to end by itself on a busy machine.
    agent.driver.apply((workload(script, stop_timeout=60),), ())
    seen = agent.expect("starting", "running")
    assert (seen.runtime, len(seen.runtime_id)) == ("podman", 64)
    assert fetch() == "real\n"
    # conmon writes the log, in its own time
    eventually(lambda: "hello world\n" in agent.log(), "the container's lines are in its log")
    lines = [line.split(" ", 3)[3] for line in agent.log().splitlines()]
    assert "nameserver 10.0.0.2" in lines
    assert "search ec2.internal" in lines
    assert "10.0.1.10\tip-10-0-1-10.ec2.internal" in lines
    assert "ip-10-0-1-10.ec2.internal" in lines
    assert "hello world" in lines
    # Nothing listens where the image does not: no stand-in is in the way.
    closed = subprocess.run(
        ["ip", "netns", "exec", "r1", "curl", "-s", "http://10.0.1.10:80/"],
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert closed.returncode == 7
    agent.driver.apply((), (workload().key,))
    assert agent.expect("stopped").exit_code == 9
    assert agent.runtime.found() == ()


@sandboxed
def test_tells_the_exit_code_of_what_ends_by_itself(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    agent.driver.apply((workload("sleep 0.3; exit 7"),), ())
    seen = agent.expect("starting", "running", "stopped")
    assert seen.exit_code == 7
    # It stays as it is until it leaves the plan; then its last state is not told a second time.
    wanted = {workload().key: workload("sleep 0.3; exit 7")}
    assert agent.driver.observe(wanted) == wanted
    agent.driver.apply((), tuple(wanted))
    agent.driver.apply((workload("exit 3"),), ())
    assert agent.expect("starting", "running", "stopped").exit_code == 3


@sandboxed
def test_containers_outlive_agent_and_service_and_are_adopted(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    wanted = {workload().key: workload(SERVE)}
    agent.driver.apply(tuple(wanted.values()), ())
    first = agent.expect("starting", "running")
    agent.driver.close()
    for pid in command("pgrep", "-f", "podman .*system service").split():
        os.kill(int(pid), signal.SIGKILL)
    assert fetch() == "real\n"

    second = Agent(tmp_path)
    assert second.driver.observe(wanted) == wanted
    seen = second.expect("running")
    assert seen.runtime_id == first.runtime_id
    os.kill(int(command("pgrep", "-x", "httpd").split()[0]), signal.SIGKILL)
    assert second.expect("stopped").exit_code == 137


@sandboxed
def test_commands_with_a_terminal_run_inside(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    agent.driver.apply((workload("exec sleep 1000"),), ())
    agent.expect("starting", "running")
    printed = converse(
        agent.driver.enter(workload().key, ["sh"], VARIABLES),
        ("# ", "hostname; stty size; echo $GREETING; env\r"),
        ("TERM=xterm-256color", "sh -c 'echo r\"\"eady; exec sleep 500'; echo interrupt''ed\r"),
        ("ready\r\n", "\x03"),
        ("^C", "exit\r"),
    )
    assert "ip-10-0-1-10.ec2.internal\r\n33 111\r\nhello world\r\n" in printed
    assert "LANG=C.UTF-8" in printed
    assert "interrupted" not in printed
    leave(agent.driver.enter(workload().key, ["sh", "-c", "echo begun; exec sleep 777"], VARIABLES), "begun")
    eventually(lambda: "sleep 777" not in command("ps", "ax"), "the hung-up command ends")


@sandboxed
def test_sees_the_images_of_the_users_own_podman(tmp_path: Path) -> None:
    user = ready(tmp_path / "user")
    own = Agent(tmp_path / "own", additional=(user.store.directory / "storage",))
    own.driver.apply((workload("exit 6"),), ())
    assert own.expect("starting", "running", "stopped").exit_code == 6
    assert not (own.store.directory / "storage" / "overlay-images" / "images.json").exists()


def test_runs_for_an_ordinary_user_too() -> None:
    if os.geteuid() != 0:
        return  # the other tests have just shown it
    test = f"{__file__}::test_runs_a_real_image_in_the_tasks_namespace"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o777)
        options = ["--basetemp", f"{folder}/base", "-p", "no:cacheprovider", "-n", "0"]
        done = run_as_ordinary_user([sys.executable, "-m", "pytest", *options, test], timeout=350)
        assert done.returncode == 0, done.stdout + done.stderr
        subprocess.run(["rm", "-rf", f"{folder}/base"], check=True)


@sandboxed
def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    agent = ready(tmp_path)
    agent.driver.apply((workload("x", image="shop/api:1"),), ())
    reason = agent.expect("starting", "failed").reason
    assert reason is not None
    assert reason.startswith("the image shop/api:1 is not present")
    broken = workload("x", container="broken", entry_point=("/no/such/program",))
    agent.driver.apply((broken,), ())
    reason = agent.expect("starting", "failed").reason
    assert reason is not None
    assert "/no/such/program" in reason
    assert agent.runtime.present("shop/web:7")
    assert not agent.runtime.present("shop/web")
    assert not agent.runtime.present("web:7")
