"""A rule comes or goes between others: order, counters, and what somebody else wrote meanwhile."""

from __future__ import annotations

import random
import re

import pytest
import rows
from vpc_lab import Lab, router

from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.kernel import NftChain

pytestmark = pytest.mark.network

GROUP = rows.identifier("sg", 2)
CHAIN = naming.group_chain(GROUP, "in", "rest")


def listed(lab: Lab) -> list[str]:
    """The chain's rules as the kernel has them, without the chain's own lines."""
    text = lab.net.run(router(), "nft", "list", "chain", "inet", naming.TABLE, CHAIN).stdout
    return [line.strip() for line in text.splitlines() if "comment" in line]


def ids(lab: Lab) -> list[str]:
    return [match[1] for line in listed(lab) if (match := re.search(r'comment "(.*)"', line))]


def planned(lab: Lab) -> list[str]:
    (chain,) = (item for item in lab.plan() if isinstance(item, NftChain) and item.name == CHAIN)
    return [rule.comment for rule in chain.rules]


def counted(lab: Lab, rule: str) -> int:
    return sum(int(re.findall(r"packets (\d+)", line)[0]) for line in listed(lab) if rule in line)


def test_every_change_leaves_the_rules_in_their_order(lab: Lab) -> None:
    lab.vpc()
    lab.group(1)
    lab.group(2)
    lab.task("10.0.2.10", 2, subnet=2)
    dice, there = random.Random(4), dict[int, object]()
    for _ in range(60):
        if there and dice.random() < 0.4:
            gone = dice.sample(sorted(there), k=min(len(there), dice.choice((1, 1, 3))))
            lab.drop_rules(*gone)
            for number in gone:
                del there[number]
        else:
            kinds = ({"peer": 1}, {"cidr": "10.0.1.0/24"}, {"cidr": "10.0.1.7/32"})
            made = {
                number: rows.rule(number, 2, ports=(number, number + dice.choice((0, 9))), **dice.choice(kinds))
                for number in dice.sample(range(1, 90), k=dice.choice((1, 1, 4)))
            }
            lab.put_rules(*made.values())
            there |= made
        assert ids(lab) == planned(lab)
    found = {match[1] for line in listed(lab) if (match := re.search(r'log prefix "A (.*?)"', line))}
    assert found == {rows.identifier("sgr", number) for number in there} == set(ids(lab))


def test_counters_of_the_others_go_on(lab: Lab) -> None:
    lab.vpc()
    lab.group(1)
    lab.group(2, *(rows.rule(number, 2, ports=(number, number), cidr="10.0.1.0/24") for number in (80, 90)))
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 2, subnet=2)
    with lab.net.listen(server.netns, server.address, 90):
        assert lab.net.tcp(client.netns, server.address, 90)
    rule = rows.identifier("sgr", 90)
    assert counted(lab, rule) == 1
    lab.put_rules(rows.rule(85, 2, ports=(85, 85), cidr="10.0.1.0/24"))
    lab.drop_rules(80)
    assert counted(lab, rule) == 1
    with lab.net.listen(server.netns, server.address, 85):
        assert lab.net.tcp(client.netns, server.address, 85)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) is None


def test_what_somebody_else_wrote_meanwhile_is_no_obstacle(lab: Lab) -> None:
    lab.vpc()
    lab.group(2, rows.rule(80, 2, ports=(80, 80), cidr="10.0.1.0/24"))
    lab.task("10.0.2.10", 2, subnet=2)
    assert lab.net.run(router(), "nft", "flush", "chain", "inet", naming.TABLE, CHAIN).returncode == 0
    lab.put_rules(rows.rule(85, 2, ports=(85, 85), cidr="10.0.1.0/24"))
    assert rows.identifier("sgr", 85) in ids(lab)
    assert lab.net.run(router(), "nft", "add", "table", "inet", "somebody").returncode == 0
    lab.drop_rules(85)
    assert rows.identifier("sgr", 85) not in ids(lab)
