"""Interfaces with the same groups share what judges them, so that chains do not grow with interfaces."""

from __future__ import annotations

import rows

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel import naming, nft
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject, NftChain, NftElement, chain_key
from ecsnet.model import tables as t
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Commit, Store


class Plan:
    def __init__(self) -> None:
        self.store = Store(None, SCHEMA)
        with self.store.transaction() as tx:
            rows.put_storefront(tx)
        self._engine, self._planner = Engine(FRAGMENTS), Planner()
        self._planner.apply(self._engine.start(self.store.snapshot))
        self._commits: list[Commit] = []
        self.store.subscribe(self._commits.append)

    def put(self, *groups: int) -> tuple[tuple[HostObject, ...], tuple[str, ...]]:
        """Interface 9 of a task of its own gets these groups."""
        owner = ("task", rows.task_arn(9))
        with self.store.transaction() as tx:
            rows.put_interface(tx, rows.interface(9, "10.0.2.99", 2, groups=groups, owner=owner))
            tx.put(t.TASKS, rows.task(9, 9))
        return self._planner.apply(self._engine.apply(self._commits.pop()))

    def drop(self) -> tuple[str, ...]:
        with self.store.transaction() as tx:
            tx.delete(t.INTERFACES, rows.identifier("eni", 9))
            tx.delete(t.TASKS, rows.task_arn(9))
        return self._planner.apply(self._engine.apply(self._commits.pop()))[1]


def number(plan: Plan, *groups: int) -> int:
    """The number of these groups together."""
    row = plan.store.snapshot.get(
        t.GROUP_SETS, t.group_set_key(rows.VPC, [rows.identifier("sg", one) for one in groups])
    )
    assert row is not None
    return row.ordinal


def together(plan: Plan, *groups: int) -> set[str]:
    """The keys of the chains of these groups together."""
    netns, own = naming.router_namespace(rows.VPC), number(plan, *groups)
    return {chain_key(netns, naming.TABLE, naming.group_set_chain(own, direction)) for direction in ("in", "out")}


def chains(put: tuple[HostObject, ...]) -> set[str]:
    return {item.key for item in put if isinstance(item, NftChain)}


def test_an_interface_with_the_groups_of_another_brings_no_chain() -> None:
    plan = Plan()
    assert chains(plan.put(1, 2)[0]) == set()
    assert not [key for key in plan.drop() if key.startswith("nft-chain:")]


def test_new_combinations_come_with_their_first_interface_and_go_with_their_last() -> None:
    plan = Plan()
    with plan.store.transaction() as tx:
        tx.put(t.GROUPS, rows.group(3))
    plan._planner.apply(plan._engine.apply(plan._commits.pop()))
    assert chains(plan.put(2, 3)[0]) == together(plan, 2, 3)
    assert together(plan, 2, 3) <= set(plan.drop())


def test_other_groups_are_another_number_and_nothing_of_the_old_stays() -> None:
    plan = Plan()
    with plan.store.transaction() as tx:
        tx.put(t.GROUPS, rows.group(3))
    plan._planner.apply(plan._engine.apply(plan._commits.pop()))
    plan.put(2, 3)
    put, removed = plan.put(1, 2)
    (published,) = [item for item in put if isinstance(item, NftElement) and item.publish]
    assert (published.set, published.value) == ("sgs", nft.priority(number(plan, 1, 2)))
    assert together(plan, 2, 3) <= set(removed)


def test_an_interface_more_brings_no_verdict_if_its_groups_are_known() -> None:
    """After a verdict that leads to a chain the kernel walks every rule of the router (`nft_table_validate`)."""
    plan = Plan()
    put = [item for item in plan.put(1, 2)[0] if isinstance(item, NftElement)]
    assert "sgs" in {item.set for item in put}
    assert not [item for item in put if item.uses_chain is not None]


def test_what_decides_about_an_interface_is_there_before_its_number() -> None:
    plan = Plan()
    with plan.store.transaction() as tx:
        tx.put(t.GROUPS, rows.group(3))
    plan._planner.apply(plan._engine.apply(plan._commits.pop()))
    put = plan.put(2, 3)[0]
    (published,) = [item for item in put if isinstance(item, NftElement) and item.publish]
    verdicts = [item for item in put if isinstance(item, NftElement) and item.set in ("sgs_out", "sgs_in")]
    assert [item.element for item in verdicts] == [nft.priority(number(plan, 2, 3))] * 2
    assert {item.key for item in verdicts} <= set(published.after)
    assert {item.uses_chain for item in verdicts} == {
        naming.group_set_chain(number(plan, 2, 3), direction) for direction in ("out", "in")
    }
