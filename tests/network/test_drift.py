"""Somebody meddles with the network at random: every change is found within five seconds and undone."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator

import pytest
import rows
from vpc_lab import Lab, Task, router

from ecsnet.testing.world import TestWorld, throw_away_world, wait_until

pytestmark = pytest.mark.network

CHANGES = 200
FOUND_WITHIN = 5.0
"""Seconds."""

FOREIGN = 'table inet somebody { comment "not ours" \n chain forward { type filter hook forward priority 200; }\n }'

Command = tuple[str, ...]
"""Namespace and arguments."""


@pytest.fixture(scope="module")
def net() -> Iterator[TestWorld]:
    """An agent as users have it."""
    with throw_away_world(read_back=2.0) as made:
        yield made


@pytest.fixture(scope="module")
def lab(net: TestWorld) -> Lab:
    made = Lab(net)
    made.vpc()
    made.gateway()
    made.group(1)
    made.group(2, rows.rule(1, 2, ports=(80, 80), peer=1), rows.rule(2, 2, ports=(90, 90), cidr="10.0.0.0/16"))
    return made


def listed(net: TestWorld, netns: str, *argv: str) -> list[str]:
    return net.run(netns, *argv).stdout.splitlines()


def a_route(net: TestWorld, dice: random.Random, task: Task) -> Command:
    netns = dice.choice((router(), task.netns))
    routes = [line for line in listed(net, netns, "ip", "-d", "route", "show", "table", "all") if "proto 200" in line]
    chosen = dice.choice(sorted(routes))
    words = chosen.removeprefix("unicast ").split()
    table = words[words.index("table") + 1] if "table" in words else "main"
    return netns, "ip", "route", "delete", words[0], "table", table


def an_address(net: TestWorld, dice: random.Random, task: Task) -> Command:
    netns, device = dice.choice(((router(), "lo"), (task.netns, "eth0")))
    found = re.findall(r"inet (\S+)", net.run(netns, "ip", "address", "show", "dev", device).stdout)
    return netns, "ip", "address", "delete", dice.choice([one for one in found if one != "127.0.0.1/8"]), "dev", device


def a_neighbour(net: TestWorld, dice: random.Random, task: Task) -> Command:
    return task.netns, "ip", "neighbour", "delete", "10.0.1.1", "dev", "eth0"


def a_link(net: TestWorld, dice: random.Random, task: Task) -> Command:
    return router(), "ip", "link", "delete", dice.choice((task.link, "void0"))


def a_link_down(net: TestWorld, dice: random.Random, task: Task) -> Command:
    netns, link = dice.choice(((router(), task.link), (task.netns, "eth0")))
    return netns, "ip", "link", "set", link, "down"


def a_policy(net: TestWorld, dice: random.Random, task: Task) -> Command:
    found = [line for line in listed(net, router(), "ip", "-d", "rule") if "proto 200" in line]
    return router(), "ip", "rule", "delete", "priority", dice.choice(sorted(found)).partition(":")[0]


def a_rule(net: TestWorld, dice: random.Random, task: Task) -> Command:
    chains: dict[str, list[str]] = {}
    chain = ""
    for line in listed(net, router(), "nft", "-a", "list", "table", "inet", "ecs"):
        if named := re.match(r"\s*chain (\w+)", line):
            chain = named[1]
        elif chain and (handle := re.search(r"# handle (\d+)$", line)) and "hook" not in line:
            chains.setdefault(chain, []).append(handle[1])
    chain = dice.choice(sorted(chains))
    return router(), "nft", "delete", "rule", "inet", "ecs", chain, "handle", dice.choice(chains[chain])


def an_element(net: TestWorld, dice: random.Random, task: Task) -> Command:
    link = f'"{task.link}"'
    name, element = dice.choice(
        (
            ("sgs", link),
            ("source4", f"{link} . {task.mac} . {task.address}"),
            ("receiver4", f"{link} . {task.address}"),
            ("m4_00020000000000000", task.address),
        )
    )
    return router(), "nft", "delete", "element", "inet", "ecs", name, f"{{ {element} }}"


def an_opening(net: TestWorld, dice: random.Random, task: Task) -> Command:
    chain = dice.choice(("gate_i", "gate_e", "border"))
    return router(), "nft", "insert", "rule", "inet", "ecs", chain, "tcp", "dport", "81", "accept"


KINDS: tuple[Callable[[TestWorld, random.Random, Task], Command], ...] = (
    a_route, an_address, a_neighbour, a_link, a_link_down, a_policy, a_rule, an_element, an_opening,
)  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_every_random_change_is_found_within_five_seconds_and_undone(lab: Lab, net: TestWorld) -> None:
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.1.11", 2)
    dice = random.Random(20)
    assert net.run(router(), "nft", FOREIGN).returncode == 0
    foreign = net.run(router(), "nft", "list", "table", "inet", "somebody").stdout
    longest = 0.0
    done = 0
    with net.listen(server.netns, server.address, 80), net.listen(server.netns, server.address, 81):
        while done < CHANGES:
            before = state(net, server)
            drift = net.ask("stats")["drift"]
            # Several at once, as a script that went wrong would make them; each is looked for in the state after it.
            commands = [dice.choice(KINDS)(net, dice, server) for _ in range(10)]
            for netns, *argv in commands:
                net.run(netns, *argv)  # one may have taken the object of the next along
            began = time.monotonic()
            # A look of the agent may have found and undone all of them by now.
            assert state(net, server) != before or net.ask("stats")["drift"] > drift, commands
            wait_until(lambda: net.ask("stats")["drift"] > drift, FOUND_WITHIN, f"not found: {commands}")  # noqa: B023
            wait_until(lambda: state(net, server) == before, 30.0, f"not undone: {commands}")  # noqa: B023
            longest = max(longest, time.monotonic() - began)
            assert net.tcp(client.netns, server.address, 80) == client.address, commands
            assert net.tcp(client.netns, server.address, 81) is None, commands
            done += len(commands)
    print(f"{done} changes, the longest until undone took {longest:.1f} s")
    assert net.run(router(), "nft", "list", "table", "inet", "somebody").stdout == foreign


def state(net: TestWorld, task: Task) -> dict[str, str]:
    """Everything that the changes touch, without counters and indexes."""
    commands = {
        "rules": (router(), "nft", "-s", "list", "table", "inet", "ecs"),
        "routes": (router(), "ip", "route", "show", "table", "all"),
        "policies": (router(), "ip", "rule"),
        "addresses": (router(), "ip", "-br", "address", "show", "dev", "lo"),
        "task routes": (task.netns, "ip", "route"),
        "task address": (task.netns, "ip", "-br", "address", "show", "dev", "eth0"),
        "task neighbours": (task.netns, "ip", "neighbour"),
        "link": (router(), "ip", "-br", "link", "show", "dev", task.link),
        "void": (router(), "ip", "-br", "link", "show", "dev", "void0"),
    }
    return {name: normal(net.run(*argv).stdout) for name, argv in commands.items()}


def normal(text: str) -> str:
    """Sets and tables list their members in any order."""
    words = re.sub(r"@if\d+", "", text).replace("elements = {", "").replace(",", " ")
    return "\n".join(sorted(" ".join(sorted(line.split())) for line in words.splitlines()))
