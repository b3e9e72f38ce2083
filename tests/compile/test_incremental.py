"""After every commit the incremental result equals the full one, and the plan equals a plan made from nothing."""

from __future__ import annotations

import itertools
from ipaddress import ip_address
from typing import Any

import msgspec
import rows
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject
from ecsnet.logical.base import Delta
from ecsnet.model import ec2, ecs
from ecsnet.model import tables as t
from ecsnet.model.capacity import NetworkBinding
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Commit, Store

SMALL = st.integers(min_value=1, max_value=3)
VPCS = st.sampled_from([rows.identifier("vpc", 1), rows.identifier("vpc", 2)])
ANY_GROUPS = st.lists(SMALL, max_size=3, unique=True).map(tuple)
KINDS = st.sampled_from(["igw", "eigw", "nat", "eni", "pcx"])
ROUTED = st.sampled_from(["0.0.0.0/0", "::/0", "2001:db8:8000:101::/64", "10.0.1.0/24", "10.0.0.0/16"])
CIDRS = st.sampled_from(["0.0.0.0/0", "10.0.0.0/16", "10.0.1.5/32", "::/0"])
LISTS = st.integers(min_value=-2, max_value=-1)
"""A prefix list as a rule's peer: its number, negative."""
BLOCKS = st.sampled_from(["0.0.0.0/0", "10.0.1.0/24", "198.51.100.0/24", "198.51.0.0/16", "203.0.113.7/32"])


def _prefixes(subnet: int, number: int) -> tuple[str, ...]:
    return f"10.0.{subnet}.{16 * (4 + number)}/28", f"2001:db8:8000:10{subnet}:{number}::/80"


class Network(RuleBasedStateMachine):
    """Writes and deletes rows at random, also in states that the services would never leave behind."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(None, SCHEMA)
        self.engine = Engine(FRAGMENTS)
        self.planner = Planner()
        self.host: dict[str, HostObject] = {}
        self._number_group_sets()
        self._follow(self.engine.start(self.store.snapshot))
        self.store.subscribe(self._committed)

    def _number_group_sets(self) -> None:
        """Every set in advance: the services number one with its first interface, when its VPC is there."""
        sets = [chosen for size in range(4) for chosen in itertools.combinations((1, 2, 3), size)]
        with self.store.transaction() as tx:
            for vpc in (1, 2):
                for ordinal, chosen in enumerate(sets, 1):
                    tx.put(t.GROUP_SETS, rows.group_set(ordinal, *chosen, vpc=rows.identifier("vpc", vpc)))

    def _committed(self, commit: Commit) -> None:
        self._follow(self.engine.apply(commit))

    def _follow(self, delta: Delta) -> None:
        put, remove = self.planner.apply(delta)
        for key in remove:
            del self.host[key]
        for item in put:
            assert self.host.get(item.key) != item, "an unchanged object was put again"
            self.host[item.key] = item

    @initialize(seeded=st.booleans())
    def seed(self, seeded: bool) -> None:
        if seeded:
            with self.store.transaction() as tx:
                rows.put_storefront(tx)

    # ── structure ────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        number=st.integers(1, 2),
        cidr=st.sampled_from(["10.0.0.0/16", "10.0.0.0/20"]),
        ipv6=st.booleans(),
        there=st.booleans(),
    )
    def vpc(self, number: int, cidr: str, ipv6: bool, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.VPCS, rows.vpc(number, cidr, f"2001:db8:8000:{number}00::/56" if ipv6 else None))
            else:
                tx.delete(t.VPCS, rows.identifier("vpc", number))

    @rule(number=SMALL, vpc=VPCS, families=st.sampled_from([(4,), (6,), (4, 6)]), there=st.booleans())
    def subnet(self, number: int, vpc: str, families: tuple[int, ...], there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                cidr = f"10.0.{number}.0/24" if 4 in families else None
                ipv6 = f"2001:db8:8000:10{number}::/64" if 6 in families else None
                tx.put(t.SUBNETS, rows.subnet(number, cidr, vpc, ipv6))
            else:
                tx.delete(t.SUBNETS, rows.identifier("subnet", number))

    @rule(
        number=SMALL,
        vpc=VPCS,
        kind=st.sampled_from(["igw", "eigw", "nat", "eni", "pcx"]),
        index=SMALL,
        to=ROUTED,
        listed=st.none() | st.integers(1, 2),
        there=st.booleans(),
    )
    def route_table(
        self, number: int, vpc: str, kind: str, index: int, to: str, listed: int | None, there: bool
    ) -> None:
        with self.store.transaction() as tx:
            if there:
                routes = [rows.route(to, kind, rows.identifier(kind, index))]
                if listed is not None:
                    routes.append(rows.list_route(listed, "eni", rows.identifier("eni", index)))
                tx.put(t.ROUTE_TABLES, rows.route_table(number, *routes, vpc=vpc))
            else:
                tx.delete(t.ROUTE_TABLES, rows.identifier("rtb", number))

    @rule(number=SMALL, table=SMALL, subnet=st.none() | SMALL, edge=st.booleans(), vpc=VPCS, there=st.booleans())
    def association(self, number: int, table: int, subnet: int | None, edge: bool, vpc: str, there: bool) -> None:
        with self.store.transaction() as tx:
            if there and edge:
                tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(number, table, vpc=vpc, gateway=rows.IGW))
            elif there:
                association = rows.association(number, table, subnet, vpc, main=subnet is None)
                tx.put(t.ROUTE_TABLE_ASSOCIATIONS, association)
            else:
                tx.delete(t.ROUTE_TABLE_ASSOCIATIONS, rows.identifier("rtbassoc", number))

    @rule(number=st.integers(1, 2), vpc=VPCS, there=st.booleans())
    def egress_gateway(self, number: int, vpc: str, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.EGRESS_ONLY_GATEWAYS, rows.egress_gateway(number, vpc))
            else:
                tx.delete(t.EGRESS_ONLY_GATEWAYS, rows.egress_gateway(number).id)

    @rule(number=st.integers(1, 2), vpc=st.none() | VPCS, there=st.booleans())
    def internet_gateway(self, number: int, vpc: str | None, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.INTERNET_GATEWAYS, rows.internet_gateway(number, vpc))
            else:
                tx.delete(t.INTERNET_GATEWAYS, rows.identifier("igw", number))

    @rule(
        number=st.integers(1, 2),
        vpcs=st.sampled_from([(1, 2), (2, 1), (1, 1), (1, 3)]),
        status=st.sampled_from(["active", "active", "pending-acceptance", "deleted"]),
        region=st.sampled_from([rows.REGION, rows.REGION, "eu-west-1"]),
        dns=st.booleans(),
        there=st.booleans(),
    )
    def peering(
        self, number: int, vpcs: tuple[int, int], status: ec2.PeeringStatus, region: str, dns: bool, there: bool
    ) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.PEERINGS, rows.peering(number, *vpcs, status, region=region, dns=dns))
            else:
                tx.delete(t.PEERINGS, rows.identifier("pcx", number))

    # ── filters ──────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(number=SMALL, vpc=VPCS, there=st.booleans())
    def group(self, number: int, vpc: str, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.GROUPS, rows.group(number, vpc))
            else:
                tx.delete(t.GROUPS, rows.identifier("sg", number))

    @rule(group=SMALL, vpc=VPCS, there=st.booleans())
    def group_association(self, group: int, vpc: str, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.GROUP_ASSOCIATIONS, rows.group_association(group, vpc))
            else:
                tx.delete(t.GROUP_ASSOCIATIONS, f"{rows.identifier('sg', group)}/{vpc}")

    @rule(
        number=st.integers(1, 5),
        group=SMALL,
        egress=st.booleans(),
        protocol=st.sampled_from(["-1", "tcp", "udp", "icmp", "icmpv6", "50"]),
        ports=st.sampled_from([(-1, -1), (0, 65535), (80, 80), (80, 90)]),
        peer=SMALL | CIDRS | LISTS,
        peer_vpc=st.none() | st.integers(1, 2),
        there=st.booleans(),
    )
    def group_rule(
        self,
        number: int,
        group: int,
        egress: bool,
        protocol: str,
        ports: tuple[int, int],
        peer: int | str,
        peer_vpc: int | None,
        there: bool,
    ) -> None:
        if protocol in ("icmp", "icmpv6"):
            ports = (-1, -1) if ports[0] == -1 else (8, 0)
        with self.store.transaction() as tx:
            if there:
                whom: dict[str, Any] = {"cidr": peer} if isinstance(peer, str) else {"peer": peer, "peer_vpc": peer_vpc}
                if isinstance(peer, int) and peer < 0:
                    whom = {"listed": -peer}
                tx.put(t.GROUP_RULES, rows.rule(number, group, egress=egress, protocol=protocol, ports=ports, **whom))
            else:
                tx.delete(t.GROUP_RULES, rows.identifier("sgr", number))

    @rule(
        number=st.integers(1, 2),
        blocks=st.lists(BLOCKS, unique=True, max_size=4),
        six=st.booleans(),
        there=st.booleans(),
    )
    def prefix_list(self, number: int, blocks: list[str], six: bool, there: bool) -> None:
        with self.store.transaction() as tx:
            if not there:
                tx.delete(t.PREFIX_LISTS, rows.identifier("pl", number))
            elif six:
                tx.put(t.PREFIX_LISTS, rows.prefix_list(number, "2001:db8::/32", family=6))
            else:
                order = sorted(blocks, key=lambda text: (ip_address(text.split("/")[0]), int(text.split("/")[1])))
                tx.put(t.PREFIX_LISTS, rows.prefix_list(number, *order))

    @rule(number=SMALL, vpc=VPCS, allow=st.booleans(), default=st.booleans(), there=st.booleans())
    def acl(self, number: int, vpc: str, allow: bool, default: bool, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.ACLS, rows.acl(number, rows.entry(100, allow=allow), vpc=vpc, default=default))
            else:
                tx.delete(t.ACLS, rows.identifier("acl", number))

    @rule(subnet=SMALL, acl=SMALL, there=st.booleans())
    def acl_association(self, subnet: int, acl: int, there: bool) -> None:
        with self.store.transaction() as tx:
            association = rows.acl_association(subnet, acl)
            if there:
                tx.put(t.ACL_ASSOCIATIONS, association)
            else:
                tx.delete(t.ACL_ASSOCIATIONS, association.id)

    # ── interfaces and who holds them ────────────────────────────────────────────────────────────────────────────

    @rule(
        number=SMALL,
        vpc=VPCS,
        subnet=SMALL,
        groups=ANY_GROUPS,
        owner=st.sampled_from([None, "task", "nat", "load_balancer", "instance"]),
        public=st.booleans(),
        checked=st.booleans(),
        device=st.integers(0, 1),
        more=st.sampled_from(["nothing", "ipv6", "prefixes", "ipv6 alone"]),
        there=st.booleans(),
    )
    def interface(
        self,
        number: int,
        vpc: str,
        subnet: int,
        groups: tuple[int, ...],
        owner: str | None,
        public: bool,
        checked: bool,
        device: int,
        more: str,
        there: bool,
    ) -> None:
        owners = {
            "task": rows.task_arn(number),
            "nat": rows.identifier("nat", number),
            "load_balancer": rows.load_balancer_arn(1),
            "instance": rows.identifier("i", 1 + number % 2),
        }
        with self.store.transaction() as tx:
            if there:
                tx.put(
                    t.INTERFACES,
                    rows.interface(
                        number,
                        None if more == "ipv6 alone" else f"10.0.{subnet}.{20 + number}",
                        subnet,
                        groups=groups,
                        vpc=vpc,
                        owner=None if owner is None else (owner, owners[owner]),
                        public=f"198.18.2.{number}" if public else None,
                        checked=checked,
                        device=device,
                        ipv6=(f"2001:db8:8000:10{subnet}::{20 + number}",) if "ipv6" in more else (),
                        prefixes=_prefixes(subnet, number) if more == "prefixes" else (),
                    ),
                )
            else:
                tx.delete(t.INTERFACES, rows.identifier("eni", number))

    @rule(number=SMALL, status=st.sampled_from(list(ecs.TaskStatus)), there=st.booleans())
    def task(self, number: int, status: ecs.TaskStatus, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.TASKS, rows.task(number, number, status))
            else:
                tx.delete(t.TASKS, rows.task_arn(number))

    @rule(
        number=st.integers(1, 2),
        vpc=VPCS,
        state=st.sampled_from(["pending", "running", "stopping", "stopped", "terminated"]),
        there=st.booleans(),
    )
    def instance(self, number: int, vpc: str, state: ec2.InstanceState, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.INSTANCES, rows.instance(number, state, vpc=vpc))
            else:
                tx.delete(t.INSTANCES, rows.identifier("i", number))

    @rule(number=st.integers(1, 2), there=st.booleans())
    def container_instance(self, number: int, there: bool) -> None:
        row = rows.container_instance(number, number)
        with self.store.transaction() as tx:
            if there:
                tx.put(t.CONTAINER_INSTANCES, row)
            else:
                tx.delete(t.CONTAINER_INSTANCES, row.arn)

    @rule(
        number=SMALL,
        instance=st.integers(1, 2),
        mode=st.sampled_from(["bridge", "host", "none"]),
        status=st.sampled_from(list(ecs.TaskStatus)),
        there=st.booleans(),
    )
    def instance_task(self, number: int, instance: int, mode: Any, status: ecs.TaskStatus, there: bool) -> None:
        """Addresses and host ports are each task's own, as the services guarantee."""
        binding = NetworkBinding(container="web", container_port=80, host_port=8000 + number, length=number)
        addresses = (f"172.17.0.{number + 1}",) if mode == "bridge" else ()
        row = rows.instance_task(100 + number, instance, mode, addresses=addresses, bindings=(binding,))
        with self.store.transaction() as tx:
            tx.put(t.TASK_DEFINITIONS, rows.definition(mode))
            if there:
                tx.put(t.TASKS, msgspec.structs.replace(row, last_status=status))
            else:
                tx.delete(t.TASKS, row.arn)

    @rule(number=SMALL, state=st.sampled_from(["pending", "available", "deleting", "deleted"]), there=st.booleans())
    def nat_gateway(self, number: int, state: str, there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                row = rows.nat(number, None if state == "deleted" else number, 1, f"10.0.1.{10 + number}", state)
                tx.put(t.NAT_GATEWAYS, row)
            else:
                tx.delete(t.NAT_GATEWAYS, rows.identifier("nat", number))

    @rule(nodes=st.lists(SMALL, unique=True, max_size=3), there=st.booleans())
    def load_balancer(self, nodes: list[int], there: bool) -> None:
        with self.store.transaction() as tx:
            if there:
                tx.put(t.LOAD_BALANCERS, rows.load_balancer(1, *((n, n, f"10.0.{n}.{10 + n}") for n in nodes)))
            else:
                tx.delete(t.LOAD_BALANCERS, rows.load_balancer_arn(1))

    @rule(number=SMALL, interface=st.none() | SMALL, there=st.booleans())
    def elastic_ip(self, number: int, interface: int | None, there: bool) -> None:
        """One Elastic IP per interface, as the services guarantee."""
        with self.store.transaction() as tx:
            if interface is not None:
                for other in list(tx.find(t.ELASTIC_IPS_BY_INTERFACE, rows.identifier("eni", interface))):
                    tx.put(t.ELASTIC_IPS, msgspec.structs.replace(other, interface=None, private_ip=None))
            if there:
                row = None if interface is None else tx.get(t.INTERFACES, rows.identifier("eni", interface))
                private = None if row is None or row.private_ip is None else str(row.private_ip)
                held = interface if row is not None else None
                tx.put(t.ELASTIC_IPS, rows.elastic_ip(number, f"198.18.1.{number}", held, private))
            else:
                tx.delete(t.ELASTIC_IPS, rows.identifier("eipalloc", number))

    # ── the claims ───────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def incremental_equals_full(self) -> None:
        full = self.engine.full(self.store.snapshot)
        assert self.engine.objects() == full

    @invariant()
    def plan_equals_a_plan_from_nothing(self) -> None:
        fresh = Planner()
        fresh.apply(Delta(added=self.engine.full(self.store.snapshot), removed=frozenset()))
        expected = {item.key: item for item in fresh.all()}
        assert {item.key: item for item in self.planner.all()} == expected
        assert self.host == expected

    @invariant()
    def nothing_needs_what_is_not_planned(self) -> None:
        for item in self.host.values():
            for key in item.needs:
                assert key in self.host, f"{item.key} needs {key}, which nobody makes"


Network.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
test_incremental_equals_full = Network.TestCase
