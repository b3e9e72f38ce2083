"""A thousand stand-in tasks, and real containers beside a bare `podman run` of the same image; `make bench` runs it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import network as net
from ecsnet.agent.runtimes.podman_store import Store
from ecsnet.agent.world import World
from ecsnet.cli.client import running
from ecsnet.testing.instance import Instance
from harness import resident, summary, write

TASKS = 1000
CONTAINERS = 15
IMAGE = "bench/web:1"


def thousand() -> dict[str, Any]:
    """RunTask ten at a time until a thousand tasks run; then who needs how much memory."""
    instance = net.fresh()
    instance.up()
    try:
        network = net.Network(instance)
        began = time.perf_counter()
        arns: list[str] = []
        while len(arns) < TASKS:
            arns += network.run_task(count=10, subnet=len(arns) // 10 % 2)
        network.wait_running(arns)
        seconds = time.perf_counter() - began
        control = running(instance.home)
        assert control is not None
        agent = instance.status()["agent"]["pid"]
        return {
            "tasks": TASKS,
            "seconds": round(seconds, 2),
            "control_mb": round(resident(control[0]), 1),
            "agent_mb": round(resident(agent), 1),
        }
    finally:
        instance.down()


def make_image(instance: Instance, folder: Path) -> Store:
    """An image that holds a static busybox and nothing else, in the world's own store."""
    store = Store(directory=instance.home.path / "podman")
    _prepare(instance, store)
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "bin/sleep").symlink_to("busybox")
    archive = folder / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    podman(instance, store, "import", str(archive), IMAGE)
    return store


def podman(instance: Instance, store: Store, *arguments: str) -> None:
    command = World(instance.home.path).enter_command(store.command(*arguments))
    subprocess.run(command, env=dict(store.environment()), check=True, capture_output=True, timeout=60)


def containers() -> dict[str, Any]:
    """A task of a real image, RunTask sent → RUNNING, and `podman run --detach` of the same image, in turn."""
    instance = net.fresh()
    instance.up()
    ours, bare = [], []
    try:
        network = net.Network(instance)
        network.api.ecs(
            "RegisterTaskDefinition",
            {
                "family": "bench",
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"],
                "cpu": "256",
                "memory": "512",
                "containerDefinitions": [{"name": "app", "image": IMAGE, "command": ["sleep", "600"]}],
            },
        )
        with tempfile.TemporaryDirectory() as folder:
            store = make_image(instance, Path(folder))
        for number in range(CONTAINERS + 1):
            began = time.perf_counter()
            arns = network.run_task()
            network.wait_running(arns)
            ours.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            podman(
                instance,
                store,
                "run",
                "--detach",
                "--cgroups=disabled",
                "--ulimit=nofile=1024:1024",
                "--ulimit=nproc=1024:1024",
                "--network",
                "none",
                "--name",
                f"bare{number}",
                IMAGE,
                "sleep",
                "600",
            )
            bare.append((time.perf_counter() - began) * 1000)
            podman(instance, store, "rm", "--force", "--time", "0", f"bare{number}")
        if '"podman"' not in instance.run("ps", "--json").stdout:
            raise RuntimeError("a stand-in ran instead of the image")
    finally:
        instance.down()
    # The first container starts podman's service.
    return {
        "run_task_ms": summary(ours[1:]),
        "podman_run_ms": summary(bare[1:]),
        "ratio": round(statistics.median(ours[1:]) / statistics.median(bare[1:]), 3),
    }


def _prepare(instance: Instance, store: Store) -> None:
    """Let the store write its settings from inside the world, where its run directory is."""
    code = (
        "from pathlib import Path; from ecsnet.agent.runtimes.podman_store import Store; "
        f"Store(directory=Path({str(store.directory)!r})).prepare()"
    )
    subprocess.run(World(instance.home.path).enter_command([sys.executable, "-c", code]), check=True)


def main() -> None:
    result = {"thousand": thousand()}
    print("a thousand tasks:", result["thousand"], flush=True)
    result["containers"] = containers()
    print("a real container, ours and podman run:", result["containers"])
    write("tasks", result)


if __name__ == "__main__":
    main()
