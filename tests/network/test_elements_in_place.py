"""Elements come and go by messages of our own: the kernel must hold what libnftables would have made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import cast
from unittest.mock import patch

import pytest
import rows
from sandbox import sandboxed

from ecsnet.agent.drivers.nft import NftDriver, execute
from ecsnet.agent.drivers.nft_listing import read
from ecsnet.agent.drivers.nft_program import NftObject, program
from ecsnet.agent.libnftables import NftContext
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel import nft
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject, NftChain, NftElement, NftRule, NftSet, NftTable
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Store

pytestmark = pytest.mark.network

TABLE = NftTable(netns="here", family="inet", name="ecs", owner="test")
CHAIN = NftChain(netns="here", family="inet", table="ecs", name="own", rules=(NftRule(text="counter drop"),))


def kind(name: str, type: str, value: str | None = None, *flags: str) -> NftSet:
    return NftSet(netns="here", family="inet", table="ecs", name=name, type=type, value=value, flags=flags)


def element(name: str, text: str, value: str | None = None, *, chain: str | None = None) -> NftElement:
    return NftElement(netns="here", family="inet", table="ecs", set=name, element=text, value=value, uses_chain=chain)


SETS = (
    kind("links", "ifname"),
    kind("gates", "ifname", "verdict"),
    kind("macs", "ether_addr"),
    kind("six", "ipv6_addr"),
    kind("ports", "inet_service", "ipv4_addr . inet_service"),
    kind("sender", "ifname . ether_addr . ipv6_addr", "mark"),
    kind("receiver", "ifname . ipv4_addr", "classid"),
    kind("borders", "classid", "verdict"),
    kind("marks", "mark", "verdict"),
    kind("odd", "inet_service . ether_addr . ifname"),
)
ELEMENTS = (
    element("links", '"e0123456789abcd"'),
    element("gates", '"e1"', "goto own", chain="own"),
    element("gates", '"e2"', "jump own", chain="own"),
    element("gates", '"e3"', "accept"),
    element("gates", '"e4"', "drop"),
    element("gates", '"e5"', "return"),
    element("macs", "02:00:00:00:00:01"),
    element("six", "2001:db8::1"),
    element("ports", "8080", "172.17.0.2 . 80"),
    element("sender", '"e1" . 02:00:00:00:00:01 . 2001:db8::1', "0x00040001"),
    element("receiver", '"e1" . 10.0.1.10', "0:1f"),
    element("receiver", '"e1" . 10.0.1.11', nft.priority(0x1F0002)),
    element("borders", "0:1f", "goto own", chain="own"),
    element("marks", "0x00040001", "accept"),
    element("odd", '443 . 02:00:00:00:00:01 . "e1"'),
)


class Here:
    """The sandbox's own namespace, under whatever name."""

    def inside(self, _name: str) -> nullcontext[None]:
        return nullcontext()

    def on_removed(self, _listener: object) -> None:
        """It stays."""


def driver() -> NftDriver:
    return NftDriver(cast(NamespaceFiles, Here()))


@contextmanager
def without_libnftables() -> Iterator[None]:
    with patch.object(NftContext, "run", side_effect=AssertionError("libnftables was asked")):
        yield


def held() -> Mapping[str, NftObject]:
    """What the kernel holds, in one form."""
    context = NftContext()
    try:
        return read("here", context.run("list ruleset", json=True)).objects
    finally:
        context.close()


def made_by_libnftables(objects: list[NftObject]) -> Mapping[str, NftObject]:
    context = NftContext()
    try:
        context.run("flush ruleset")
        failures = execute(context, program(objects, [], {}), {item.key: item for item in objects}, lambda _done: None)
        assert not failures
        return held()
    finally:
        context.close()


def compare_both_ways(objects: list[NftObject]) -> None:
    elements = [item for item in objects if isinstance(item, NftElement)]
    skeleton = [item for item in objects if not isinstance(item, NftElement)]
    mine = driver()
    assert not mine.apply(skeleton, [])
    empty = held()
    with without_libnftables():
        for start in range(0, len(elements), 5):
            assert not mine.apply(elements[start : start + 5], [])
    found = held()
    with without_libnftables():
        assert not mine.apply([], [item.key for item in elements])
    assert held() == empty
    assert found == made_by_libnftables(objects)
    assert len(found) > len(empty)


@sandboxed
def test_every_type_of_the_fabric_and_every_verdict() -> None:
    compare_both_ways([TABLE, CHAIN, *SETS, *ELEMENTS])


@pytest.mark.parametrize("netns", ["r", "g"])
def test_the_storefront(netns: str) -> None:
    store = Store(None, SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
    planner = Planner()
    planner.apply(Engine(FRAGMENTS).start(store.snapshot))
    objects = [item for item in planner.all() if isinstance(item, NftObject) and item.netns.startswith(netns)]
    assert len({item.netns for item in objects}) == 1
    sandboxed(compare_both_ways)(objects)


@sandboxed
def test_an_element_with_another_value_takes_the_place_of_the_old_one() -> None:
    mine = driver()
    objects: list[HostObject] = [TABLE, CHAIN, *SETS, *ELEMENTS]
    assert not mine.apply(objects, [])
    changed = element("gates", '"e1"', "drop")
    with without_libnftables():
        assert not mine.apply([changed], [])
    assert held() == made_by_libnftables(
        [TABLE, CHAIN, *SETS, *(changed if item.key == changed.key else item for item in ELEMENTS)]
    )


@sandboxed
def test_what_is_refused_is_named_and_disturbs_nothing_that_follows() -> None:
    mine = driver()
    assert not mine.apply([TABLE, CHAIN, *SETS], [])
    bad = element("gates", '"e1"', "goto nowhere", chain="nowhere")
    wrong = element("six", "10.0.0.1.2")
    failures = mine.apply([bad, wrong, *ELEMENTS[2:]], [])
    assert set(failures) == {bad.key, wrong.key}
    with without_libnftables():
        assert not mine.apply([ELEMENTS[0], ELEMENTS[1]], [])
        assert not mine.apply([], [ELEMENTS[2].key])
    assert held() == made_by_libnftables([TABLE, CHAIN, *SETS, *ELEMENTS[:2], *ELEMENTS[3:]])


@sandboxed
def test_after_somebody_else_has_written_libnftables_looks_first() -> None:
    mine = driver()
    assert not mine.apply([TABLE, CHAIN, *SETS], [])
    context = NftContext()
    context.run('add element inet ecs links { "e9" }')
    context.close()
    with without_libnftables(), pytest.raises(AssertionError, match="libnftables was asked"):
        mine.apply([ELEMENTS[0]], [])
    assert not mine.apply([ELEMENTS[0]], [])
    assert held() == made_by_libnftables([TABLE, CHAIN, *SETS, ELEMENTS[0], element("links", '"e9"')])


@sandboxed
def test_intervals_are_left_to_libnftables() -> None:
    mine = driver()
    blocks = kind("blocks", "ipv4_addr", None, "interval")
    block = element("blocks", "10.0.0.0/8")
    assert not mine.apply([TABLE, blocks], [])
    assert not mine.apply([block], [])
    assert held() == made_by_libnftables([TABLE, blocks, block])
