"""Prefix lists in network words, and what a changed entry costs."""

from __future__ import annotations

import rows

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.network import AddressList, AddressListEntry, FilterGroup, TableRoute
from ecsnet.model import tables as t
from ecsnet.model.ec2 import Route
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Commit, Store

LIST = rows.identifier("pl", 1)


def _store(*blocks: str, routes: tuple[Route, ...] = (), rule: bool = True) -> Store:
    store = Store(None, SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
        tx.put(t.PREFIX_LISTS, rows.prefix_list(1, *blocks))
        if rule:
            tx.put(t.GROUP_RULES, rows.rule(20, 2, ports=(443, 443), listed=1))
            tx.put(t.GROUP_RULES, rows.rule(21, 1, egress=True, protocol="udp", ports=(53, 53), listed=1))
        if routes:
            tx.put(t.ROUTE_TABLES, rows.route_table(2, *routes))
    return store


def _full(store: Store) -> frozenset[LogicalObject]:
    return Engine(FRAGMENTS).full(store.snapshot)


def test_a_list_that_rules_name_is_one_set_of_its_router() -> None:
    found = _full(_store("198.51.100.0/24", "203.0.113.7/32"))
    assert [item for item in found if isinstance(item, AddressList)] == [
        AddressList(router=rows.VPC, id=LIST, version=4)
    ]
    entries = [item for item in found if isinstance(item, AddressListEntry)]
    assert sorted(str(item.network) for item in entries) == ["198.51.100.0/24", "203.0.113.7/32"]
    groups = [item for item in found if isinstance(item, FilterGroup)]
    rules = [rule for group in groups for rule in (*group.ingress, *group.egress) if rule.address_list]
    assert [rule.address_list for rule in rules] == [(LIST, 4), (LIST, 4)]


def test_a_list_that_no_rule_names_is_not_there() -> None:
    assert not [item for item in _full(_store("198.51.100.0/24", rule=False)) if isinstance(item, AddressList)]


def test_blocks_inside_others_are_no_elements() -> None:
    found = _full(_store("0.0.0.0/1", "10.0.0.0/8", "10.0.1.0/24", "128.0.0.0/2", "192.0.0.0/24"))
    entries = {str(item.network) for item in found if isinstance(item, AddressListEntry)}
    assert entries == {"0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/24"}


def test_icmp_of_the_other_family_is_no_rule() -> None:
    store = _store("198.51.100.0/24")
    with store.transaction() as tx:
        tx.put(t.GROUP_RULES, rows.rule(22, 2, protocol="icmpv6", listed=1))
        tx.put(t.GROUP_RULES, rows.rule(23, 2, protocol="icmp", ports=(8, 0), cidr="::/0"))
    groups = {item.id: item for item in _full(store) if isinstance(item, FilterGroup)}
    rules = {rule.id for rule in groups[rows.identifier("sg", 2)].ingress}
    assert not rules & {rows.identifier("sgr", 22), rows.identifier("sgr", 23)}


def test_a_changed_entry_changes_one_element_and_nothing_else() -> None:
    store = _store("198.51.100.0/24", "203.0.113.0/24")
    engine, planner = Engine(FRAGMENTS), Planner()
    planner.apply(engine.start(store.snapshot))
    commits: list[Commit] = []
    store.subscribe(commits.append)
    with store.transaction() as tx:
        tx.put(t.PREFIX_LISTS, rows.prefix_list(1, "198.51.100.0/24", "203.0.113.0/24", "233.252.0.0/24"))
    delta = engine.apply(commits.pop())
    assert [type(item) for item in delta.added] == [AddressListEntry]
    assert not delta.removed
    put, remove = planner.apply(delta)
    assert [(item.key, remove) for item in put] == [
        ("nft-element:r000100000000/ecs/pl_00010000000000000/233.252.0.0/24", ())
    ]


def _routes(store: Store, table: int) -> dict[str, str]:
    return {
        str(item.destination): f"{item.kind} {item.target}".strip()
        for item in _full(store)
        if isinstance(item, TableRoute) and item.table == 100 + table
    }


def test_a_route_to_a_list_is_one_route_per_block_and_static_ones_win() -> None:
    nat = rows.identifier("nat", 1)
    interface = rows.identifier("eni", 2)
    routes = (rows.list_route(1, "eni", interface), rows.route("198.51.100.0/24", "nat", nat))
    store = _store("10.0.1.0/24", "198.51.0.0/16", "198.51.100.0/24", routes=routes)
    assert _routes(store, 2) == {
        "198.51.0.0/16": f"port {interface}",
        "198.51.100.0/24": f"port {rows.identifier('eni', 4)}",
    }


def test_of_two_lists_with_one_block_the_first_route_counts() -> None:
    one, two = rows.identifier("eni", 2), rows.identifier("eni", 3)
    routes = (rows.list_route(1, "eni", one), rows.list_route(2, "eni", two))
    store = _store("198.51.100.0/24", routes=routes)
    with store.transaction() as tx:
        tx.put(t.PREFIX_LISTS, rows.prefix_list(2, "198.51.100.0/24", "203.0.113.0/24"))
    assert _routes(store, 2) == {"198.51.100.0/24": f"port {one}", "203.0.113.0/24": f"port {two}"}
