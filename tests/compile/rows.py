"""Stored rows for compile tests, with ids that are easy to read."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

import msgspec

from ecsnet.model import capacity, ec2, ecs, elbv2
from ecsnet.model import tables as t
from ecsnet.services.ec2.security_groups import number_group_set
from ecsnet.store.store import Transaction

ACCOUNT, REGION = "123456789012", "us-east-1"


def identifier(prefix: str, number: int) -> str:
    """An id whose number shows at the front of its hex digits, where kernel names are cut."""
    return f"{prefix}-{number:04x}{'0' * 13}"


VPC = identifier("vpc", 1)
MAIN_TABLE = identifier("rtb", 1)
DEFAULT_ACL = identifier("acl", 1)
IGW = identifier("igw", 1)
BOX = "box:1"
EVERYWHERE = ip_network("0.0.0.0/0")


def task_arn(number: int) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{number:04x}{'0' * 28}"


def vpc(number: int = 1, cidr: str = "10.0.0.0/16", ipv6: str | None = None) -> ec2.Vpc:
    return ec2.Vpc(
        id=identifier("vpc", number),
        account=ACCOUNT,
        region=REGION,
        cidrs=(ec2.CidrAssociation(id=identifier("vpc-cidr-assoc", number), cidr=ip_network(cidr)),),
        ipv6_cidrs=()
        if ipv6 is None
        else (ec2.CidrAssociation(id=identifier("vpc-cidr-assoc", 100 + number), cidr=ip_network(ipv6)),),
        dhcp_options="dopt-1",
    )


def subnet(number: int, cidr: str | None, vpc: str = VPC, ipv6: str | None = None) -> ec2.Subnet:
    return ec2.Subnet(
        id=identifier("subnet", number),
        account=ACCOUNT,
        region=REGION,
        vpc=vpc,
        az="us-east-1a",
        az_id="use1-az1",
        cidr=None if cidr is None else IPv4Network(cidr),
        ipv6_cidr=None
        if ipv6 is None
        else ec2.CidrAssociation(id=identifier("subnet-cidr-assoc", number), cidr=ip_network(ipv6)),
        ordinal=number,
    )


def route(destination: str, kind: str, target: str = "") -> ec2.Route:
    return ec2.Route(destination=ip_network(destination), target=ec2.RouteTarget(kind=kind, id=target))  # type: ignore[arg-type]


def list_route(listed: int, kind: str, target: str = "") -> ec2.Route:
    return ec2.Route(prefix_list=identifier("pl", listed), target=ec2.RouteTarget(kind=kind, id=target))  # type: ignore[arg-type]


def route_table(number: int, *routes: ec2.Route, vpc: str = VPC) -> ec2.RouteTable:
    return ec2.RouteTable(
        id=identifier("rtb", number),
        account=ACCOUNT,
        region=REGION,
        vpc=vpc,
        ordinal=100 + number,
        routes=(route("10.0.0.0/16", "local"), *routes),
    )


def association(
    number: int,
    table: int,
    subnet: int | None = None,
    vpc: str = VPC,
    main: bool = False,
    gateway: str | None = None,
) -> ec2.RouteTableAssociation:
    return ec2.RouteTableAssociation(
        id=identifier("rtbassoc", number),
        vpc=vpc,
        route_table=identifier("rtb", table),
        subnet=None if subnet is None else identifier("subnet", subnet),
        gateway=gateway,
        main=main,
    )


def group(number: int, vpc: str = VPC) -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        id=identifier("sg", number), account=ACCOUNT, region=REGION, vpc=vpc, name=f"group-{number}", description="x"
    )


def group_association(group: int, vpc: str) -> ec2.GroupAssociation:
    return ec2.GroupAssociation(group=identifier("sg", group), vpc=vpc, account=ACCOUNT, region=REGION)


def rule(
    number: int,
    group: int,
    *,
    egress: bool = False,
    protocol: str = "tcp",
    ports: tuple[int, int] = (-1, -1),
    cidr: str | None = None,
    peer: int | None = None,
    peer_vpc: int | None = None,
    listed: int | None = None,
) -> ec2.SecurityGroupRule:
    """`peer_vpc` is given for a group of another VPC."""
    return ec2.SecurityGroupRule(
        id=identifier("sgr", number),
        group=identifier("sg", group),
        egress=egress,
        protocol=protocol,
        from_port=ports[0],
        to_port=ports[1],
        cidr=None if cidr is None else ip_network(cidr),
        peer_group=None if peer is None else identifier("sg", peer),
        peer_vpc=None if peer_vpc is None else identifier("vpc", peer_vpc),
        prefix_list=None if listed is None else identifier("pl", listed),
    )


def prefix_list(number: int, *blocks: str, family: Literal[4, 6] = 4) -> ec2.PrefixList:
    return ec2.PrefixList(
        id=identifier("pl", number),
        account=ACCOUNT,
        region=REGION,
        name=f"list-{number}",
        family=family,
        max_entries=10,
        entries=tuple(ec2.PrefixListEntry(cidr=ip_network(block)) for block in blocks),
    )


def acl(number: int, *entries: ec2.NetworkAclEntry, vpc: str = VPC, default: bool = False) -> ec2.NetworkAcl:
    return ec2.NetworkAcl(
        id=identifier("acl", number), account=ACCOUNT, region=REGION, vpc=vpc, is_default=default, entries=entries
    )


def entry(
    number: int,
    *,
    egress: bool = False,
    allow: bool = True,
    protocol: str = "-1",
    cidr: str = "0.0.0.0/0",
    ports: tuple[int, int] | None = None,
) -> ec2.NetworkAclEntry:
    return ec2.NetworkAclEntry(
        number=number,
        egress=egress,
        allow=allow,
        protocol=protocol,
        cidr=ip_network(cidr),
        from_port=ports[0] if ports else None,
        to_port=ports[1] if ports else None,
    )


def acl_association(subnet: int, acl: int, vpc: str = VPC) -> ec2.NetworkAclAssociation:
    return ec2.NetworkAclAssociation(
        id=identifier("aclassoc", subnet), vpc=vpc, acl=identifier("acl", acl), subnet=identifier("subnet", subnet)
    )


def interface(
    number: int,
    address: str | None,
    subnet: int,
    *,
    secondary: tuple[str, ...] = (),
    ipv6: tuple[str, ...] = (),
    prefixes: tuple[str, ...] = (),
    groups: tuple[int, ...] = (),
    vpc: str = VPC,
    owner: tuple[str, str] | None = None,
    public: str | None = None,
    checked: bool = True,
    device: int = 0,
) -> ec2.NetworkInterface:
    return ec2.NetworkInterface(
        id=identifier("eni", number),
        account=ACCOUNT,
        region=REGION,
        vpc=vpc,
        subnet=identifier("subnet", subnet),
        az="us-east-1a",
        private_ip=None if address is None else IPv4Address(address),
        secondary_ips=tuple(IPv4Address(one) for one in secondary),
        ipv6_ips=tuple(IPv6Address(one) for one in ipv6),
        ipv4_prefixes=tuple(IPv4Network(one) for one in prefixes if ":" not in one),
        ipv6_prefixes=tuple(IPv6Network(one) for one in prefixes if ":" in one),
        mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        groups=tuple(identifier("sg", g) for g in groups),
        source_dest_check=checked,
        auto_public_ip=None if public is None else IPv4Address(public),
        attachment=None
        if owner is None
        else ec2.Attachment(
            id=identifier("eni-attach", number),
            owner_kind=owner[0],  # type: ignore[arg-type]
            owner=owner[1],
            device_index=device,
            attached=0.0,
        ),
        created=0.0,
    )


def group_set(ordinal: int, *groups: int, vpc: str = VPC) -> ec2.GroupSet:
    return ec2.GroupSet(vpc=vpc, groups=tuple(sorted(identifier("sg", group) for group in groups)), ordinal=ordinal)


def put_interface(tx: Transaction, row: ec2.NetworkInterface) -> None:
    """Store an interface, and the number of its groups as the services do. Its VPC is stored already."""
    number_group_set(tx, row.vpc, row.groups)
    tx.put(t.INTERFACES, row)


def with_secondary(row: ec2.NetworkInterface, *addresses: str) -> ec2.NetworkInterface:
    return msgspec.structs.replace(row, secondary_ips=tuple(IPv4Address(address) for address in addresses))


def instance(number: int, state: ec2.InstanceState = "running", subnet: int = 1, vpc: str = VPC) -> ec2.Instance:
    return ec2.Instance(
        id=identifier("i", number),
        account=ACCOUNT,
        region=REGION,
        az="us-east-1a",
        vpc=vpc,
        subnet=identifier("subnet", subnet),
        image="ami-1",
        type="m5.large",
        state=state,
        reservation=identifier("r", number),
        launched=0.0,
    )


def task(number: int, interface: int | None, status: ecs.TaskStatus = ecs.TaskStatus.RUNNING) -> ecs.Task:
    arn = task_arn(number)
    return ecs.Task(
        arn=arn,
        account=ACCOUNT,
        region=REGION,
        id=arn.rsplit("/", 1)[1],
        cluster="default",
        task_definition="web:1",
        group="family:web",
        last_status=status,
        desired_status="RUNNING",
        containers=(),
        interface=None if interface is None else identifier("eni", interface),
        created=0.0,
    )


def container_instance(number: int, instance: int) -> capacity.ContainerInstance:
    return capacity.ContainerInstance(
        arn=f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/default/{number:04x}{'0' * 28}",
        account=ACCOUNT,
        region=REGION,
        id=f"{number:04x}{'0' * 28}",
        cluster="default",
        instance=identifier("i", instance),
        cpu=2048,
        memory=4096,
        registered=0.0,
    )


def definition(
    mode: Literal["bridge", "host", "awsvpc", "none"], *containers: ecs.ContainerDefinition
) -> ecs.TaskDefinition:
    """The definition of `instance_task`s."""
    return ecs.TaskDefinition(
        arn=BOX,
        account=ACCOUNT,
        region=REGION,
        family="box",
        number=1,
        network_mode=mode,
        containers=containers or (ecs.ContainerDefinition(name="web", image="x"),),
        body="{}",
        registered=0.0,
    )


def instance_task(
    number: int,
    instance: int,
    mode: Literal["bridge", "host", "none"],
    containers: tuple[str, ...] = ("web",),
    *,
    addresses: tuple[str, ...] = (),
    bindings: tuple[capacity.NetworkBinding, ...] = (),
) -> ecs.Task:
    """A running task on an instance; `addresses` are its containers' in bridge mode."""
    return msgspec.structs.replace(
        task(number, None),
        launch_type="EC2",
        network_mode=mode,
        container_instance=container_instance(instance, instance).arn,
        instance=identifier("i", instance),
        task_definition=BOX,
        containers=tuple(ecs.Container(arn=f"c/{name}", name=name, image="x") for name in containers),
        addresses=tuple(zip(containers, map(IPv4Address, addresses), strict=False)),
        bindings=bindings,
        secret="secret",
    )


def stopped(row: ecs.Task, status: ecs.TaskStatus) -> ecs.Task:
    return msgspec.structs.replace(row, last_status=status, desired_status="STOPPED")


def nat(number: int, interface: int | None, subnet: int, address: str, state: str = "available") -> ec2.NatGateway:
    return ec2.NatGateway(
        id=identifier("nat", number),
        account=ACCOUNT,
        region=REGION,
        vpc=VPC,
        subnet=identifier("subnet", subnet),
        state=state,  # type: ignore[arg-type]
        interface=None if interface is None else identifier("eni", interface),
        private_ip=IPv4Address(address),
        allocation=identifier("eipalloc", number),
        created=0.0,
    )


def nat_address(allocation: int, private: str, public: str) -> ec2.NatAddress:
    return ec2.NatAddress(
        private_ip=IPv4Address(private),
        since=0,
        allocation=identifier("eipalloc", allocation),
        public_ip=IPv4Address(public),
    )


def elastic_ip(number: int, public: str, interface: int | None = None, private: str | None = None) -> ec2.ElasticIp:
    return ec2.ElasticIp(
        allocation=identifier("eipalloc", number),
        account=ACCOUNT,
        region=REGION,
        public_ip=IPv4Address(public),
        interface=None if interface is None else identifier("eni", interface),
        private_ip=None if private is None else IPv4Address(private),
    )


def internet_gateway(number: int = 1, vpc: str | None = VPC) -> ec2.InternetGateway:
    return ec2.InternetGateway(id=identifier("igw", number), account=ACCOUNT, region=REGION, vpc=vpc)


def peering(
    number: int, one: int, other: int, status: ec2.PeeringStatus = "active", *, region: str = REGION, dns: bool = False
) -> ec2.VpcPeeringConnection:
    """Between VPCs `one` (requester) and `other`, which is in `region`; `dns` lets each see the other's names."""
    return ec2.VpcPeeringConnection(
        id=identifier("pcx", number),
        requester=ec2.PeeringSide(account=ACCOUNT, region=REGION, vpc=identifier("vpc", one), remote_dns=dns),
        accepter=ec2.PeeringSide(account=ACCOUNT, region=region, vpc=identifier("vpc", other), remote_dns=dns),
        status=status,
        message=status,
        created=0.0,
    )


def egress_gateway(number: int = 1, vpc: str = VPC) -> ec2.EgressOnlyInternetGateway:
    return ec2.EgressOnlyInternetGateway(id=identifier("eigw", number), account=ACCOUNT, region=REGION, vpc=vpc)


def load_balancer_arn(number: int) -> str:
    return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/web/{number:04x}{'0' * 12}"


def load_balancer(number: int, *nodes: tuple[int, int, str]) -> elbv2.LoadBalancer:
    """Nodes are (interface number, subnet number, address)."""
    return elbv2.LoadBalancer(
        arn=load_balancer_arn(number),
        account=ACCOUNT,
        region=REGION,
        name="web",
        dns_name="web.example",
        scheme="internet-facing",
        vpc=VPC,
        nodes=tuple(
            elbv2.LoadBalancerNode(
                az="us-east-1a",
                subnet=identifier("subnet", s),
                interface=identifier("eni", i),
                private_ip=IPv4Address(address),
            )
            for i, s, address in nodes
        ),
        groups=(),
        created=0.0,
    )


def put_storefront(tx: Transaction) -> None:
    """Two subnets (public 1, private 2), gateway, NAT, a load balancer in front of two tasks, and groups between."""
    tx.put(t.VPCS, vpc())
    tx.put(t.SUBNETS, subnet(1, "10.0.1.0/24"))
    tx.put(t.SUBNETS, subnet(2, "10.0.2.0/24"))
    tx.put(t.INTERNET_GATEWAYS, internet_gateway())
    tx.put(t.ROUTE_TABLES, route_table(1, route("0.0.0.0/0", "igw", IGW)))
    tx.put(t.ROUTE_TABLES, route_table(2, route("0.0.0.0/0", "nat", identifier("nat", 1))))
    tx.put(t.ROUTE_TABLE_ASSOCIATIONS, association(1, 1, main=True))
    tx.put(t.ROUTE_TABLE_ASSOCIATIONS, association(2, 2, subnet=2))
    tx.put(t.ACLS, acl(1, entry(100), entry(100, egress=True), default=True))
    tx.put(t.ACLS, acl(
        2,
        entry(90, allow=False, protocol="6", cidr="10.0.1.0/24", ports=(5432, 5432)),
        entry(100),
        entry(100, egress=True),
    ))  # fmt: skip
    tx.put(t.ACL_ASSOCIATIONS, acl_association(1, 1))
    tx.put(t.ACL_ASSOCIATIONS, acl_association(2, 2))
    for number in (1, 2):  # 1 the load balancer's, 2 the tasks'
        tx.put(t.GROUPS, group(number))
        tx.put(t.GROUP_RULES, rule(10 + number, number, egress=True, protocol="-1", cidr="0.0.0.0/0"))
    tx.put(t.GROUP_RULES, rule(1, 1, ports=(80, 80), cidr="0.0.0.0/0"))
    tx.put(t.GROUP_RULES, rule(2, 2, ports=(8080, 8090), peer=1))
    tx.put(t.GROUP_RULES, rule(3, 2, protocol="icmp", ports=(8, 0), cidr="10.0.0.0/16"))
    put_interface(tx, interface(1, "10.0.1.10", 1, groups=(1,), owner=("load_balancer", load_balancer_arn(1)),
                                   public="198.18.0.1"))  # fmt: skip
    tx.put(t.LOAD_BALANCERS, load_balancer(1, (1, 1, "10.0.1.10")))
    put_interface(tx, interface(2, "10.0.2.10", 2, groups=(2,), owner=("task", task_arn(1))))
    tx.put(t.TASKS, task(1, 2))
    put_interface(tx, interface(3, "10.0.2.11", 2, groups=(1, 2), owner=("task", task_arn(2))))
    tx.put(t.TASKS, task(2, 3))
    put_interface(tx, interface(4, "10.0.1.9", 1, owner=("nat", identifier("nat", 1)), checked=False))
    tx.put(t.NAT_GATEWAYS, nat(1, 4, 1, "10.0.1.9"))
    tx.put(t.ELASTIC_IPS, elastic_ip(1, "198.18.0.2", 4, "10.0.1.9"))
