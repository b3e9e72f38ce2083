"""`ecsnet modes` as a user types it: what each mode shares and who decides is seen with real packets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ecsnet.agent.world import World
from ecsnet.cli.modes import chart, document
from ecsnet.cli.modes.report import ModeReport, Report
from ecsnet.testing.instance import HEARS_CTRL_C

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modes")


@pytest.fixture(scope="module")
def found(folder: Path) -> Report:
    """One short run. Nothing runs at the user's own ECSNET_HOME, before or after."""
    home = folder / "home"
    arguments = ["--seconds", "0.2", "--rounds", "1", "--starts", "1", "--write-doc", str(folder), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "ecsnet.cli.main", "modes", *arguments],
        env={**os.environ, "ECSNET_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not home.exists()
    return msgspec.json.decode(done.stdout, type=Report)


@pytest.fixture(scope="module")
def modes(found: Report) -> dict[str, ModeReport]:
    assert found.missing == {}
    return {one.mode: one for one in found.modes}


def test_who_shares_a_stack_with_whom(modes: dict[str, ModeReport]) -> None:
    stacks = {name: one.namespaces for name, one in modes.items()}
    assert len({stacks["bridge"].server, stacks["bridge"].neighbour, stacks["bridge"].instance}) == 3
    assert stacks["host"].server == stacks["host"].neighbour == stacks["host"].instance
    assert stacks["awsvpc"].server == stacks["awsvpc"].neighbour != stacks["awsvpc"].instance
    assert {name: one.localhost for name, one in modes.items()} == {
        "bridge": "refused", "host": "answered", "awsvpc": "answered",
    }  # fmt: skip


def test_whose_group_decides(modes: dict[str, ModeReport]) -> None:
    decided = {name: (one.filter.admitted_by, one.filter.denied_by, one.filter.owner) for name, one in modes.items()}
    assert decided == {
        "bridge": ("instances", "instances", "instance"),
        "host": ("instances", "instances", "instance"),
        "awsvpc": ("tasks", "tasks", "task"),
    }


def test_who_sees_whom_as_what(modes: dict[str, ModeReport]) -> None:
    owners = {
        name: (one.asked.owner, one.listens.owner, one.client.owner, one.peer.owner) for name, one in modes.items()
    }
    assert owners == {
        "bridge": ("instance", "", "", "instance"), "host": ("instance",) * 4, "awsvpc": ("task",) * 4,
    }  # fmt: skip
    assert modes["bridge"].listens.port == 8080
    assert modes["bridge"].asked.port in range(32768, 61000)
    for name in ("host", "awsvpc"):
        assert (modes[name].asked, modes[name].client) == (modes[name].listens, modes[name].peer)


def test_metadata_tokens_do_not_pass_the_bridge(modes: dict[str, ModeReport]) -> None:
    said = {name: (one.metadata.outcome, one.metadata.instance) for name, one in modes.items()}
    assert said == {
        "bridge": ("no answer to the request for the token", ""),
        "host": ("answered", "own"),
        "awsvpc": ("answered", "own"),
    }
    assert modes["bridge"].metadata.hop_limit == 1


def test_what_a_task_takes(modes: dict[str, ModeReport]) -> None:
    assert {name: one.interfaces for name, one in modes.items()} == {"bridge": 0, "host": 0, "awsvpc": 2}
    limits = {name: (one.density.tasks, one.density.refusal) for name, one in modes.items()}
    assert limits["host"] == (1, "RESOURCE:PORTS")
    assert limits["awsvpc"] == (2, "RESOURCE:ENI"), "a t3.medium has three interfaces"
    assert limits["bridge"][1] == "RESOURCE:MEMORY"
    assert limits["bridge"][0] > 2


def test_every_place_was_measured(found: Report, modes: dict[str, ModeReport]) -> None:
    places = [*(one.traffic for one in found.modes), *found.bare]
    assert {one.name: one.hops for one in places} == {
        "bridge": 3, "host": 1, "awsvpc": 1, "bare veth": 0, "loopback": 0,
    }  # fmt: skip
    tracking = {one.name: one.tracking for one in places}
    assert (tracking["bridge"], tracking["awsvpc"], tracking["bare veth"], tracking["loopback"]) == (2, 0, 0, 0)
    for place in places:
        (only,) = place.rounds
        assert only.gbit_per_second > 0
        assert 0 < only.p50_us <= only.p99_us
        assert only.connections_per_second > 0
    assert all(one.starts_ms[0] > 0 for one in modes.values())


def test_what_it_wrote_is_the_report(found: Report, folder: Path) -> None:
    kept = msgspec.json.decode((folder / "network-modes.json").read_bytes(), type=Report)
    assert kept == found
    assert (folder / "network-modes.md").read_text() == document.page(kept)
    assert (folder / "network-modes.svg").read_text() == chart.draw(kept)


_HOLD = """
import signal
from ecsnet.cli.modes.private import private_ecsnet
with private_ecsnet() as home:
    print(home.path, flush=True)
    signal.pause()
"""


def started() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([*HEARS_CTRL_C, sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    assert World(path).alive()
    return process, path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing(number: signal.Signals) -> None:
    process, path = started()
    holder = World(path).holder()
    with process:
        process.send_signal(number)
    assert process.returncode != 0
    assert not path.exists()
    assert not Path(f"/proc/{holder}/ns/net").exists()


def test_what_a_killed_run_left_is_taken_down_by_the_next() -> None:
    process, path = started()
    with process:
        process.kill()
    holder = World(path).holder()
    process, second = started()
    with process:
        assert not path.exists()
        assert not Path(f"/proc/{holder}/ns/net").exists()
        assert World(second).alive()
        process.terminate()
    assert not second.exists()
