"""A small network of stored rows for `reach`, and the shortest way to ask it."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import rows

from ecsnet.model import ec2, ecs, elbv2
from ecsnet.model import tables as t
from ecsnet.model.base import Record
from ecsnet.reach.flow import TCP, Flow, Stage, Trace
from ecsnet.reach.trace import trace
from ecsnet.store.store import Store

TABLES = {
    ec2.Vpc: t.VPCS, ec2.Subnet: t.SUBNETS, ec2.RouteTable: t.ROUTE_TABLES, ec2.InternetGateway: t.INTERNET_GATEWAYS,
    ec2.RouteTableAssociation: t.ROUTE_TABLE_ASSOCIATIONS, ec2.NetworkAcl: t.ACLS, ec2.PrefixList: t.PREFIX_LISTS,
    ec2.NetworkAclAssociation: t.ACL_ASSOCIATIONS, ec2.SecurityGroup: t.GROUPS, ec2.SecurityGroupRule: t.GROUP_RULES,
    ec2.NetworkInterface: t.INTERFACES, ecs.Task: t.TASKS, ec2.NatGateway: t.NAT_GATEWAYS, ec2.ElasticIp: t.ELASTIC_IPS,
    elbv2.LoadBalancer: t.LOAD_BALANCERS, ec2.VpcPeeringConnection: t.PEERINGS,
    ec2.EgressOnlyInternetGateway: t.EGRESS_ONLY_GATEWAYS, ec2.Instance: t.INSTANCES,
}  # fmt: skip

ANY = "0.0.0.0/0"


class Net:
    """Subnets 10.0.1.0/24 … of one or more VPCs, each with an open ACL; everything else is put by the test."""

    def __init__(self) -> None:
        self.store = Store(None, t.SCHEMA)
        self.vpc(1, "10.0", 3)

    def vpc(self, number: int, base: str, subnets: int) -> None:
        vpc, first = rows.identifier("vpc", number), 10 * (number - 1)
        self.put(
            rows.vpc(number, f"{base}.0.0/16"),
            rows.acl(first + 1, rows.entry(100), rows.entry(100, egress=True), vpc=vpc, default=True),
            rows.association(first + 1, first + 1, vpc=vpc, main=True),
            *(rows.subnet(first + index, f"{base}.{index}.0/24", vpc) for index in range(1, subnets + 1)),
        )
        self.table(first + 1, vpc=number)

    def put(self, *records: Record) -> None:
        with self.store.transaction() as tx:
            for record in records:
                tx.put(TABLES[type(record)], record)  # type: ignore[index, type-var]

    def drop(self, *records: Record) -> None:
        with self.store.transaction() as tx:
            for record in records:
                table = TABLES[type(record)]  # type: ignore[index]
                tx.delete(table, table.key(record))  # type: ignore[arg-type]

    def table(self, number: int, *routes: ec2.Route, vpc: int = 1) -> None:
        """A route table; number 1 is VPC 1's main one. Local routes are those of the VPC."""
        row = rows.route_table(number, vpc=rows.identifier("vpc", vpc))
        block = self.store.snapshot.get(t.VPCS, row.vpc)
        assert block is not None
        local = ec2.Route(destination=block.cidrs[0].cidr, target=ec2.RouteTarget(kind="local"))
        self.put(msgspec.structs.replace(row, routes=(local, *routes)))

    def group(self, number: int, *rules: ec2.SecurityGroupRule, vpc: int = 1, egress: bool = True) -> None:
        self.put(rows.group(number, rows.identifier("vpc", vpc)), *rules)
        if egress:
            self.put(rows.rule(1000 + number, number, egress=True, protocol="-1", cidr=ANY))

    def task(
        self, number: int, address: str, subnet: int, *groups: int, vpc: int = 1, public: str | None = None,
        checked: bool = True,
    ) -> str:  # fmt: skip
        """A running task with an interface, whose id is answered."""
        row = rows.interface(
            number, address, subnet, groups=groups, vpc=rows.identifier("vpc", vpc), public=public, checked=checked,
            owner=("task", rows.task_arn(number)),
        )  # fmt: skip
        self.put(row, rows.task(number, number))
        return row.id

    def internet_gateway(self, *, main: bool = True) -> None:
        self.put(rows.internet_gateway())
        if main:
            self.table(1, rows.route(ANY, "igw", rows.IGW))

    def ask(self, source: str | None, destination: str, port: int = 80, protocol: int = TCP, **more: object) -> Trace:
        flow = Flow(source=source, destination=ip_address(destination), protocol=protocol, port=port, **more)  # type: ignore[arg-type]
        return trace(self.store.snapshot, flow)


def said(answer: Trace) -> tuple[str, str]:
    """(verdict, what the packet filter says)."""
    return answer.verdict, str(answer.deciding or "")


def codes(answer: Trace) -> list[tuple[str, str, str]]:
    """(direction, stage, code) of every blocker."""
    return [(step.direction, Stage(step.stage).name, step.code) for step in answer.blockers]
