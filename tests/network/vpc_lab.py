"""A VPC from stored rows to packets: store → compile → fabric → agent, in a throw-away world.

Only the kernel's part of the plan is applied, so that these tests judge the network alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import rows

from ecsnet.agent.order import IN_KERNEL, KIND_OF_KEY
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel.lower import lower
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.plan import HostObjectUnion
from ecsnet.logical.base import LogicalObject
from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Commit, Store
from ecsnet.testing.world import TestWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task with one interface, and the namespace in which its processes would be."""

    number: int
    address: str
    netns: str
    link: str
    mac: str


class Lab:
    """The store of a test and the plan that follows from it. Each `change` is one transaction and in force after."""

    def __init__(self, net: TestWorld, lowering: Callable[[LogicalObject], Iterable[HostObject]] = lower) -> None:
        self.net = net
        self.store = Store(None, SCHEMA)
        self._engine = Engine(FRAGMENTS)
        self._planner = Planner(lowering)
        self._commits: list[Commit] = []
        put, _remove = self._planner.apply(self._engine.start(self.store.snapshot))
        net.apply(cast("list[HostObjectUnion]", [item for item in put if _in_kernel(item)]))
        self.store.subscribe(self._commits.append)
        self._tasks = 0

    def plan(self) -> list[HostObjectUnion]:
        return [item for item in self._planner.all() if _in_kernel(item)]  # type: ignore[misc]

    def flush(self) -> None:
        """Apply what the last commits changed."""
        put, remove = self.pending()
        self.net.apply(put, remove)

    def pending(self) -> tuple[list[HostObjectUnion], list[str]]:
        """What the commits since the last call changed in the plan: objects made or replaced, keys removed."""
        put: dict[str, HostObject] = {}
        gone: dict[str, None] = {}
        for commit in self._commits:
            made, removed = self._planner.apply(self._engine.apply(commit))
            for key in removed:
                put.pop(key, None)
                gone[key] = None
            for item in made:
                gone.pop(item.key, None)
                put[item.key] = item
        self._commits.clear()
        return (
            cast("list[HostObjectUnion]", [item for item in put.values() if _in_kernel(item)]),
            [key for key in gone if issubclass(KIND_OF_KEY[key.partition(":")[0]], IN_KERNEL)],
        )

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def vpc(self, number: int = 1, subnets: int = 2) -> None:
        """A VPC 10.0.0.0/16 with /24 subnets 10.0.1.0, 10.0.2.0 …, an open ACL, a main table without routes."""
        vpc = rows.identifier("vpc", number)
        base = 10 * (number - 1)
        with self.store.transaction() as tx:
            tx.put(t.VPCS, rows.vpc(number))
            tx.put(t.ROUTE_TABLES, rows.route_table(base + 1, vpc=vpc))
            tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(base + 1, base + 1, vpc=vpc, main=True))
            tx.put(t.ACLS, rows.acl(base + 1, rows.entry(100), rows.entry(100, egress=True), vpc=vpc, default=True))
            for index in range(1, subnets + 1):
                tx.put(t.SUBNETS, rows.subnet(base + index, f"10.0.{index}.0/24", vpc))
                tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(base + index, base + 1, vpc))
        self.flush()

    def group(self, number: int, *rules: object, vpc: int = 1, egress: bool = True) -> None:
        """A group with rules (`rows.rule`), and with a rule for all egress unless told otherwise."""
        with self.store.transaction() as tx:
            tx.put(t.GROUPS, rows.group(number, rows.identifier("vpc", vpc)))
            if egress:
                tx.put(t.GROUP_RULES, rows.rule(1000 + number, number, egress=True, protocol="-1", cidr="0.0.0.0/0"))
            for rule in rules:
                tx.put(t.GROUP_RULES, rule)  # type: ignore[arg-type]
        self.flush()

    def put_rules(self, *rules: object) -> None:
        with self.store.transaction() as tx:
            for rule in rules:
                tx.put(t.GROUP_RULES, rule)  # type: ignore[arg-type]
        self.flush()

    def drop_rules(self, *numbers: int) -> None:
        with self.store.transaction() as tx:
            for number in numbers:
                tx.delete(t.GROUP_RULES, rows.identifier("sgr", number))
        self.flush()

    def task(
        self,
        address: str | None,
        *groups: int,
        subnet: int = 1,
        vpc: int = 1,
        public: str | None = None,
        apply: bool = True,
        ipv6: tuple[str, ...] = (),
        secondary: tuple[str, ...] = (),
        prefixes: tuple[str, ...] = (),
    ) -> Task:
        """A running task with an interface."""
        self._tasks += 1
        number = self._tasks
        vpc_id = rows.identifier("vpc", vpc)
        interface = rows.interface(
            number,
            address,
            subnet,
            groups=groups,
            vpc=vpc_id,
            owner=("task", rows.task_arn(number)),
            public=public,
            ipv6=ipv6,
            secondary=secondary,
            prefixes=prefixes,
        )
        with self.store.transaction() as tx:
            rows.put_interface(tx, interface)
            tx.put(t.TASKS, rows.task(number, number))
        if apply:
            self.flush()
        return Task(
            number=number,
            address=address or ipv6[0],
            netns=naming.task_namespace(rows.task_arn(number)),
            link=naming.interface_link(interface.id),
            mac=interface.mac,
        )

    def instance(self, number: int, state: ec2.InstanceState = "running") -> str:
        """An instance without interfaces, and the namespace that it has while it runs."""
        with self.store.transaction() as tx:
            tx.put(t.INSTANCES, rows.instance(number, state))
        self.flush()
        return naming.instance_namespace(rows.identifier("i", number))

    def interface(
        self, address: str, *groups: int, subnet: int = 1, instance: int | None, device: int = 0, checked: bool = True,
        number: int | None = None, public: str | None = None,
    ) -> int:  # fmt: skip
        """An interface of an instance (or of nobody). With `number` the one of that number changes."""
        if number is None:
            self._tasks += 1
            number = self._tasks
        owner = None if instance is None else ("instance", rows.identifier("i", instance))
        with self.store.transaction() as tx:
            rows.put_interface(
                tx,
                rows.interface(
                    number, address, subnet, groups=groups, owner=owner, device=device, checked=checked, public=public
                ),
            )
        self.flush()
        return number

    def stop(self, task: Task) -> None:
        """The task and its interface are gone."""
        with self.store.transaction() as tx:
            tx.delete(t.TASKS, rows.task_arn(task.number))
            tx.delete(t.INTERFACES, rows.identifier("eni", task.number))
        self.flush()

    def gateway(self) -> None:
        """An internet gateway, and the default route of the main table to it."""
        with self.store.transaction() as tx:
            tx.put(t.INTERNET_GATEWAYS, rows.internet_gateway())
            tx.put(t.ROUTE_TABLES, rows.route_table(1, rows.route("0.0.0.0/0", "igw", rows.IGW)))
        self.flush()


def router(vpc: int = 1) -> str:
    return naming.router_namespace(rows.identifier("vpc", vpc))


def _in_kernel(item: HostObject) -> bool:
    return isinstance(item, IN_KERNEL)
