"""VPCs with many interfaces, as stored rows: every interface has 5 groups, every group 60 inbound rules.

There is a group for every twenty interfaces (at least five), so a group has 100 members. No rule but one admits
anything that the benchmarks send: the last rule of the last group, from its own members. So what goes between the two
ends of `Wide.pair` is admitted by the last of the 300 rules of the receiver.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path += [str(TESTS / "network"), str(TESTS / "compile")]

import rows  # noqa: E402
from vpc_lab import Lab, router  # noqa: E402

from ecsnet.fabric.kernel import naming  # noqa: E402
from ecsnet.model import tables as t  # noqa: E402
from ecsnet.store.store import Store, Transaction  # noqa: E402

__all__ = ["Lab", "Wide", "router", "rows"]

GROUPS_EACH, RULES_EACH = 5, 60
MEMBERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """One VPC. `first` is the number of its first interface, group and rule less one; VPCs must not overlap."""

    number: int
    first: int
    interfaces: int
    in_subnet: int = 200

    @property
    def vpc(self) -> str:
        return rows.identifier("vpc", self.number)

    @property
    def groups(self) -> int:
        return max(GROUPS_EACH, self.interfaces * GROUPS_EACH // MEMBERS)

    def groups_of(self, index: int) -> tuple[int, ...]:
        """The groups of the interface with this index (from 1)."""
        return tuple(self.first + 1 + (index * 7 + place * 11) % self.groups for place in range(GROUPS_EACH))

    def address(self, index: int) -> str:
        return f"10.0.{1 + (index - 1) // self.in_subnet}.{10 + (index - 1) % self.in_subnet}"

    def netns(self, index: int) -> str:
        return naming.task_namespace(rows.task_arn(self.first + index))

    @property
    def pair(self) -> tuple[int, int]:
        """Two interfaces in different subnets with the same groups, the last one among them."""
        last = self.first + self.groups
        sender = next(index for index in range(1, self.interfaces) if last in self.groups_of(index))
        further = -(-self.in_subnet // self.groups) * self.groups
        return sender, sender + further

    def put_network(self, store: Store) -> None:
        """VPC, subnets, groups and rules."""
        with store.transaction() as tx:
            tx.put(t.VPCS, rows.vpc(self.number))
            tx.put(t.ROUTE_TABLES, rows.route_table(self.number, vpc=self.vpc))
            tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(self.number, self.number, vpc=self.vpc, main=True))
            both = (rows.entry(100), rows.entry(100, egress=True))
            tx.put(t.ACLS, rows.acl(self.number, *both, vpc=self.vpc, default=True))
            for place in range(1, 2 + self.interfaces // self.in_subnet + 1):
                number = self._subnet(place)
                tx.put(t.SUBNETS, rows.subnet(number, f"10.0.{place}.0/24", self.vpc))
                tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(number, self.number, self.vpc))
            for place in range(1, self.groups + 1):
                self._put_group(tx, place)

    def _subnet(self, place: int) -> int:
        return self.number * 100 + place

    def _put_group(self, tx: Transaction, place: int) -> None:
        group = self.first + place
        tx.put(t.GROUPS, rows.group(group, self.vpc))
        number = 1 + (self.first + place - 1) * (RULES_EACH + 1)
        tx.put(t.GROUP_RULES, rows.rule(number, group, egress=True, protocol="-1", cidr="0.0.0.0/0"))
        for port in range(1, RULES_EACH + 1):
            if port == RULES_EACH and place == self.groups:
                rule = rows.rule(number + port, group, protocol="-1", peer=group)
            elif port % 10 == 0:
                peer = self.first + 1 + (place + port) % self.groups
                rule = rows.rule(number + port, group, ports=(port, port), peer=peer)
            else:
                rule = rows.rule(number + port, group, ports=(port, port), cidr=f"172.16.{port}.0/24")
            tx.put(t.GROUP_RULES, rule)

    def put_interfaces(self, store: Store, first: int, last: int, *, owned: bool = True) -> None:
        """Interfaces by index, each with a running task, in one transaction; not `owned`: without tasks."""
        with store.transaction() as tx:
            for index in range(first, last + 1):
                number = self.first + index
                subnet = self._subnet(1 + (index - 1) // self.in_subnet)
                owner = ("task", rows.task_arn(number)) if owned else None
                groups = self.groups_of(index)
                row = rows.interface(number, self.address(index), subnet, groups=groups, vpc=self.vpc, owner=owner)
                rows.put_interface(tx, row)
                if owned:
                    tx.put(t.TASKS, rows.task(number, number))

    def drop_interface(self, store: Store, index: int) -> None:
        """Take an interface and its task away."""
        with store.transaction() as tx:
            tx.delete(t.INTERFACES, rows.identifier("eni", self.first + index))
            tx.delete(t.TASKS, rows.task_arn(self.first + index))
