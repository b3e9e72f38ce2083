"""The plan depends on what is stored, not on the order in which it was made."""

from __future__ import annotations

import itertools

import rows

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject
from ecsnet.model import tables as t
from ecsnet.store.store import Store


def plan(order: tuple[int, ...], *, peer_first: bool) -> frozenset[HostObject]:
    """The plan after interfaces of five tasks, in two groups that name each other, were made in an order."""
    store = Store(None, t.SCHEMA)
    engine, planner = Engine(FRAGMENTS), Planner()
    planner.apply(engine.start(store.snapshot))
    store.subscribe(lambda commit: planner.apply(engine.apply(commit)) and None)
    with store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc())
        tx.put(t.ROUTE_TABLES, rows.route_table(1))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(1, 1, main=True))
        tx.put(t.ACLS, rows.acl(1, rows.entry(100), rows.entry(100, egress=True), default=True))
        for number in (1, 2):
            tx.put(t.SUBNETS, rows.subnet(number, f"10.0.{number}.0/24"))
            tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(number, 1))
            tx.put(t.GROUP_SETS, rows.group_set(number, number))
    for group in (2, 1) if peer_first else (1, 2):
        with store.transaction() as tx:
            tx.put(t.GROUPS, rows.group(group))
    for group in (1, 2):
        with store.transaction() as tx:
            tx.put(t.GROUP_RULES, rows.rule(group, group, ports=(80, 80), peer=3 - group))
    for number in order:
        subnet = 1 + number % 2
        row = rows.interface(
            number, f"10.0.{subnet}.{10 + number}", subnet, groups=(1 + number % 2,),
            owner=("task", rows.task_arn(number)),
        )  # fmt: skip
        with store.transaction() as tx:
            rows.put_interface(tx, row)
            tx.put(t.TASKS, rows.task(number, number))
    return frozenset(planner.all())


def test_the_plan_never_depends_on_the_order_in_which_interfaces_were_made() -> None:
    orders = list(itertools.permutations((1, 2, 3, 4)))
    plans = {plan(order, peer_first=first) for order in orders for first in (False, True)}
    assert len(plans) == 1
    assert len(next(iter(plans))) > 100
