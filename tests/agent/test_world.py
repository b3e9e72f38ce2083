"""The world: made, entered, found again, taken down, and refused in clear words where it cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecsnet.agent import world as world_module
from ecsnet.agent.world import World, WorldError, check_programs, explain
from ecsnet.testing.world import wait_until

pytestmark = pytest.mark.network


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.down(patience=0.2)


def inside(world: World, *argv: str) -> str:
    done = subprocess.run(world.enter_command(argv), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_world_has_interfaces_mounts_and_pins_of_its_own(world: World) -> None:
    world.start()
    assert world.alive()
    assert [line.split(":")[1].strip() for line in inside(world, "ip", "-o", "link").splitlines()] == ["lo"]
    assert "tmpfs" in inside(world, "stat", "-f", "-c", "%T", "/run")
    inside(world, "touch", "/run/inside", "/dev/shm/inside")
    assert not Path("/run/inside").exists()
    assert not Path("/dev/shm/inside").exists()


def test_the_trial_of_the_machine_leaves_nothing(world: World) -> None:
    world.start()
    assert inside(world, "ls", "/run/netns") == ""
    assert inside(world, "nft", "list", "ruleset") == ""


def test_starting_twice_keeps_the_world(world: World) -> None:
    world.start()
    holder = world.holder()
    world.start()
    assert world.holder() == holder


def test_the_world_outlives_its_holder_while_a_process_is_in_it(world: World) -> None:
    world.start()
    inside(world, "touch", "/run/kept")
    with subprocess.Popen(world.enter_command(["sleep", "60"])) as sleeper:
        wait_until(lambda: _comm(sleeper.pid) == "sleep", 30.0, "the process did not enter the world")
        holder = world.holder()
        os.kill(holder, signal.SIGKILL)
        wait_until(lambda: world.holder() != holder, 30.0, "the dead holder is still taken for alive")
        assert inside(world, "ls", "/run/kept").strip() == "/run/kept"
        world.down(patience=0.2)
        assert sleeper.wait(30) != 0
    assert not world.alive()


def test_down_ends_also_those_who_ignore_it_and_those_in_namespaces_of_their_own(world: World) -> None:
    world.start()
    stubborn = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]
    elsewhere = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", "umount -l /run; exec sleep 60"]
    with (
        subprocess.Popen(world.enter_command(stubborn), stdout=subprocess.PIPE) as one,
        subprocess.Popen(world.enter_command(elsewhere)) as two,
    ):
        assert one.stdout is not None
        assert one.stdout.readline() == b"deaf\n"
        wait_until(lambda: _comm(two.pid) == "sleep", 30.0, "not entered")
        world.down(patience=0.2)
        assert one.wait(30) == -signal.SIGKILL
        assert two.wait(30) != 0
    assert not world.alive()


def _comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_an_agent_refuses_to_run_outside_a_world(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ecsnet.agent.main", "--state", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "only inside a world" in done.stderr


def test_a_state_directory_that_the_world_would_hide_is_refused() -> None:
    with pytest.raises(WorldError, match="lies below /run"):
        World(Path("/run/ecsnet-test")).start()


def test_entering_a_world_that_is_not_there_says_so(world: World) -> None:
    with pytest.raises(WorldError, match="there is no world"):
        world.enter_command(["true"])


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module.shutil, "which", lambda name: None if name == "ip" else f"/usr/bin/{name}")
    with pytest.raises(WorldError, match=r"program ip is missing; install the package iproute2"):
        check_programs()


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", r"sudo sysctl -w kernel\.apparmor_restrict"),
        ("kernel/unprivileged_userns_clone", "0", r"sudo sysctl -w kernel\.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", r"sudo sysctl -w user\.max_user_namespaces=15000"),
    ],
)
def test_a_machine_that_forbids_user_namespaces_is_told_how_to_allow_them(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, words: str
) -> None:
    monkeypatch.setattr(world_module.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(world_module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(world_module, "_setting", {setting: value}.get)
    with pytest.raises(WorldError, match=words) as refused:
        check_programs()
    assert "sudo" in str(refused.value)


def test_a_user_without_a_range_of_ids_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module.os, "geteuid", lambda: os.getuid() or 65534)
    monkeypatch.setattr(world_module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(world_module, "_setting", {}.get)
    monkeypatch.setattr(world_module, "_has_range", lambda _file, _user: False)
    with pytest.raises(WorldError, match=r"usermod --add-subuids"):
        check_programs()


def test_what_unshare_says_becomes_a_sentence_with_a_remedy() -> None:
    assert "sudo" in explain("unshare: unshare failed: Operation not permitted")
    assert "2.38" in explain("unshare: unrecognized option '--map-auto'")
    assert explain("first\nlibnftables is missing; install nftables") == "libnftables is missing; install nftables"


def test_a_machine_without_libnftables_is_refused_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = Path(world._state) / "site"
    shim.mkdir(parents=True)
    (shim / "sitecustomize.py").write_text(
        "import ctypes\n"
        "class CDLL(ctypes.CDLL):\n"
        "    def __init__(self, name, *a, **k):\n"
        "        if name and 'nftables' in str(name): raise OSError('no such library')\n"
        "        super().__init__(name, *a, **k)\n"
        "ctypes.CDLL = CDLL\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(shim))
    with pytest.raises(WorldError, match=r"libnftables\.so\.1 cannot be loaded.*install the package nftables"):
        world.start()
    assert not world.alive()


def test_a_test_that_is_killed_leaves_no_world(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from ecsnet.testing.world import throw_away_world\n"
        "with throw_away_world() as net:\n"
        "    print(net.state, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        state = Path(process.stdout.readline().strip())
        assert World(state).alive()
        process.kill()
    wait_until(lambda: not state.exists(), 60.0, f"{state} outlived its test")
    assert not World(state).alive()
