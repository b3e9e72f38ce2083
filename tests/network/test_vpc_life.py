"""What happens to a network when its keepers die, when somebody meddles with it, and when it ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rows
from vpc_lab import Lab, Task, router

from ecsnet.agent.namespaces import MARKER
from ecsnet.fabric.kernel import naming
from ecsnet.model import tables as t
from ecsnet.testing.world import TestWorld, throw_away_world, wait_until

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def net() -> Iterator[TestWorld]:
    """An agent that looks at the whole machine five times a second."""
    with throw_away_world(read_back=0.2) as made:
        yield made


def pair(lab: Lab) -> tuple[Task, Task]:
    lab.vpc()
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="10.0.0.0/16"))
    return lab.task("10.0.1.10", 1), lab.task("10.0.1.11", 2)


def servers_rules(lab: Lab) -> str:
    """The chain of what may come to the second of the pair."""
    found = lab.store.snapshot.get(t.GROUP_SETS, t.group_set_key(rows.VPC, [rows.identifier("sg", 2)]))
    assert found is not None
    return naming.group_set_chain(found.ordinal, "in")


def links(net: TestWorld) -> str:
    """Every interface of the router and its index: a new veth would have a new one."""
    lines = net.run(router(), "ip", "-o", "link").stdout.splitlines()
    return "\n".join(line.split(":")[0] + line.split(":")[1] for line in lines)


def test_a_new_agent_adopts_everything_and_cuts_nothing(lab: Lab) -> None:
    client, server = pair(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        before = links(lab.net)
        lab.net.kill_agent()
        assert talk(), "the network does not need the agent"
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        assert lab.net.tcp(client.netns, server.address, 81) is None
        lab.net.start_agent()
        lab.net.sync(lab.plan())
        stats = lab.net.ask("stats")
        assert (stats["made"], stats["removed"], stats["failed"]) == (0, 0, 0)
        assert links(lab.net) == before
        assert talk()


def test_what_was_unwanted_while_no_agent_lived_goes(lab: Lab) -> None:
    client, server = pair(lab)
    lab.net.kill_agent()
    lab.net.start_agent()
    kept = [item for item in lab.plan() if server.netns not in item.key and server.link not in item.key]
    kept = [item for item in kept if f"/{server.address}" not in item.key and f" {server.address}" not in item.key]
    lab.net.sync(kept, failures=True)
    assert server.netns not in lab.net.run(router(), "ls", "/run/netns").stdout.split()
    assert server.link not in lab.net.run(router(), "nft", "list", "ruleset").stdout
    assert client.link in lab.net.run(router(), "nft", "list", "ruleset").stdout


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_an_agent_killed_in_the_middle_of_a_change_leaves_work_that_the_next_finishes(lab: Lab, delay: float) -> None:
    client, server = pair(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        for number in range(40):
            lab.task(f"10.0.2.{20 + number}", 2, subnet=2, apply=False)
        late = lab.task("10.0.2.10", 2, subnet=2, apply=False)
        pid = lab.net.ask("stats")["pid"]
        killer = threading.Timer(delay, os.kill, (pid, 9))
        killer.start()
        with contextlib.suppress(AssertionError, OSError):
            lab.flush()  # the connection ends under it, which is the point
        killer.join()
        wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), 30.0, "the agent survived SIGKILL")
        assert talk()
        lab.net.start_agent()
        lab.net.sync(lab.plan())
        assert talk()
        with lab.net.listen(late.netns, late.address, 80):
            assert lab.net.tcp(client.netns, late.address, 80) == client.address
            assert lab.net.tcp(client.netns, late.address, 81) is None
        assert lab.net.ask("stats")["failed"] == 0


@pytest.mark.parametrize(
    "damage",
    [
        ("{task}", "ip", "route", "delete", "default"),
        ("{task}", "ip", "address", "flush", "dev", "eth0"),
        ("{task}", "ip", "neighbour", "delete", "10.0.1.1", "dev", "eth0"),
        ("{router}", "ip", "route", "delete", "{address}/32"),
        ("{router}", "ip", "link", "delete", "{link}"),
        ("{router}", "ip", "link", "set", "{link}", "down"),
        ("{router}", "nft", "flush", "chain", "inet", "ecs", "{rules}"),
        ("{router}", "nft", "delete", "element", "inet", "ecs", "sgs", "{{ {link} }}"),
        ("{router}", "nft", "flush", "ruleset"),
        ("{router}", "umount", "/run/netns/{task}"),
    ],
    ids=lambda damage: "-".join(word.strip("{}") for word in damage[:4]),
)
def test_drift_is_repaired(lab: Lab, damage: tuple[str, ...]) -> None:
    client, server = pair(lab)
    where, *argv = (
        word.format(
            task=server.netns, router=router(), address=server.address, link=server.link, rules=servers_rules(lab)
        )
        for word in damage
    )
    before = lab.net.ask("stats")["drift"]
    done = lab.net.run(where, *argv)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: lab.net.ask("stats")["drift"] > before, 30.0, "the damage was not seen")
    lab.net.apply()  # answered after the repair, which is one with the look

    def works() -> bool:
        try:
            with lab.net.listen(server.netns, server.address, 80):
                return lab.net.tcp(client.netns, server.address, 80) == client.address
        except AssertionError:  # the namespace or its address is not back yet
            return False

    wait_until(works, 30.0, "the damage was not repaired")
    with lab.net.listen(server.netns, server.address, 81):
        assert lab.net.tcp(client.netns, server.address, 81) is None


def test_an_added_rule_does_not_stay(lab: Lab) -> None:
    client, server = pair(lab)
    before = lab.net.ask("stats")["drift"]
    hole = ("nft", "insert", "rule", "inet", "ecs", servers_rules(lab), "tcp", "dport", "81", "accept")
    assert lab.net.run(router(), *hole).returncode == 0
    wait_until(lambda: lab.net.ask("stats")["drift"] > before, 30.0, "the rule was not seen")
    lab.net.apply()
    with lab.net.listen(server.netns, server.address, 81):
        assert lab.net.tcp(client.netns, server.address, 81) is None


def test_a_world_that_is_down_leaves_nothing_and_never_touched_the_host() -> None:
    before = host()
    with throw_away_world() as net:
        token = Path(f"/proc/{net.world.holder()}/root{MARKER}").read_text()
        lab = Lab(net)
        client, server = pair(lab)
        with net.listen(server.netns, server.address, 80):
            assert net.tcp(client.netns, server.address, 80) == client.address
            assert host() == before, "a running network shows nowhere on the host"
        state = net.state
    assert host() == before
    assert not state.exists()
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and marker(pid) == token]


def marker(pid: str) -> str | None:
    try:
        return Path(f"/proc/{pid}/root{MARKER}").read_text()
    except OSError:
        return None


def host() -> dict[str, str]:
    """What a network could have changed outside: interfaces, routes, rules, neighbours, mounts, sysctls, filter."""
    commands = {
        "links": ("ip", "-o", "link"),
        "routes": ("ip", "route", "show", "table", "all"),
        "rules": ("ip", "rule"),
        "sysctls": ("grep", "-r", "", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf"),
        "netns": ("ls", "-a", "/run", "/dev/shm"),
    }
    if os.geteuid() == 0:
        commands["filter"] = ("nft", "list", "ruleset")
    seen = {name: subprocess.run(argv, capture_output=True, text=True).stdout for name, argv in commands.items()}
    return seen | {"mounts": Path("/proc/self/mountinfo").read_text()}


def test_a_flow_whose_address_was_given_back_by_a_dying_agent_is_forgotten_by_the_next(lab: Lab) -> None:
    client, server = pair(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80),
    ):
        lab.net.kill_agent()
        lab.net.run(router(), "ip", "route", "delete", f"{server.address}/32")
        assert server.address in tracked(lab)
        lab.net.start_agent()
        lab.net.sync(lab.plan())
        wait_until(lambda: server.address not in tracked(lab), 20.0, "the flow is still tracked")
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def tracked(lab: Lab) -> str:
    return "\n".join(lab.net.inside.call("tracked", netns=router()))
