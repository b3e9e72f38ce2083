"""Stored EC2 networking resources. Field names follow the EC2 API where it has one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Literal

from ecsnet.model.base import IpNetwork, Record, Tags


class CidrAssociation(Record, frozen=True, kw_only=True, gc=False):
    """One CIDR of a VPC or subnet with its association id and state."""

    id: str
    cidr: IpNetwork
    state: Literal["associating", "associated", "disassociating", "disassociated", "failing", "failed"] = "associated"


class Vpc(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    cidrs: tuple[CidrAssociation, ...]
    """IPv4 blocks, the primary first."""
    ipv6_cidrs: tuple[CidrAssociation, ...] = ()
    is_default: bool = False
    dns_support: bool = True
    dns_hostnames: bool = False
    address_usage_metrics: bool = False
    dhcp_options: str
    instance_tenancy: str = "default"
    next_ordinal: int = 1
    """The next small number for a subnet or route table of this VPC (see `Subnet.ordinal`)."""
    tags: Tags = ()


class Subnet(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    az: str
    az_id: str
    cidr: IPv4Network | None
    ipv6_cidr: CidrAssociation | None = None
    ordinal: int
    """A small number (1 to 65,535), unique among the subnets and route tables of the VPC and never reused."""
    map_public_ip_on_launch: bool = False
    assign_ipv6_on_creation: bool = False
    default_for_az: bool = False
    tags: Tags = ()


class InternetGateway(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str | None = None
    tags: Tags = ()


class RouteTarget(Record, frozen=True, kw_only=True, gc=False):
    """Where a route points. `kind` decides what `id` is; `local` has an empty id."""

    kind: Literal["local", "igw", "eigw", "nat", "eni", "pcx", "vpce"]
    id: str = ""


class Route(Record, frozen=True, kw_only=True, gc=False):
    """Exactly one of destination and prefix_list is set."""

    destination: IpNetwork | None = None
    prefix_list: str | None = None
    target: RouteTarget
    origin: Literal["CreateRouteTable", "CreateRoute", "EnableVgwRoutePropagation"] = "CreateRoute"


class RouteTable(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    ordinal: int
    """See `Subnet.ordinal`."""
    routes: tuple[Route, ...]
    """Local routes included, as AWS lists them. Blackhole state is derived from the target, never stored."""
    tags: Tags = ()


class RouteTableAssociation(Record, frozen=True, kw_only=True, gc=False):
    id: str
    vpc: str
    route_table: str
    subnet: str | None = None
    gateway: str | None = None
    main: bool = False


class NatGateway(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    subnet: str
    connectivity: Literal["public", "private"] = "public"
    state: Literal["pending", "failed", "available", "deleting", "deleted"]
    interface: str | None
    """Its ENI; None once deleted or failed."""
    private_ip: IPv4Address | None
    allocation: str | None
    """Allocation id of its Elastic IP (public gateways)."""
    public_ip: IPv4Address | None = None
    association: str | None = None
    created: float
    deleted: float | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    client_token: str | None = None
    tags: Tags = ()


class VpcEndpoint(Record, frozen=True, kw_only=True, gc=False):
    """A gateway endpoint. Which route tables it is in is read from their routes, never stored twice."""

    id: str
    account: str
    region: str
    vpc: str
    service: str
    """For example com.amazonaws.us-east-1.s3."""
    policy: str
    created: float
    tags: Tags = ()


class ElasticIp(Record, frozen=True, kw_only=True, gc=False):
    allocation: str
    account: str
    region: str
    public_ip: IPv4Address
    association: str | None = None
    interface: str | None = None
    private_ip: IPv4Address | None = None
    tags: Tags = ()


class SecurityGroup(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    name: str
    description: str
    tags: Tags = ()


class SecurityGroupRule(Record, frozen=True, kw_only=True, gc=False):
    """One rule with one peer; exactly one of cidr, group and prefix_list is set."""

    id: str
    group: str
    egress: bool
    protocol: str
    """"-1" for all, "tcp", "udp", "icmp", "icmpv6", else the decimal protocol number."""
    from_port: int
    to_port: int
    """For tcp/udp a port range, for icmp/icmpv6 type and code; -1 means all."""
    cidr: IpNetwork | None = None
    peer_group: str | None = None
    peer_account: str | None = None
    prefix_list: str | None = None
    description: str | None = None
    tags: Tags = ()


class NetworkAclEntry(Record, frozen=True, kw_only=True, gc=False):
    number: int
    egress: bool
    allow: bool
    protocol: str
    """Decimal protocol number or "-1"."""
    cidr: IpNetwork
    from_port: int | None = None
    to_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


class NetworkAcl(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    is_default: bool
    entries: tuple[NetworkAclEntry, ...]
    """Sorted by (egress, number); the final `*` denies are implied."""
    tags: Tags = ()


class NetworkAclAssociation(Record, frozen=True, kw_only=True, gc=False):
    id: str
    vpc: str
    acl: str
    subnet: str


class DhcpOptions(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    options: tuple[tuple[str, tuple[str, ...]], ...]
    """((key, (value, …)), …), for example ("domain-name-servers", ("AmazonProvidedDNS",))."""
    is_default: bool = False
    """The set that AWS made for the account; new VPCs use it."""
    tags: Tags = ()


class Attachment(Record, frozen=True, kw_only=True, gc=False):
    """To what an ENI is attached. `owner_kind` and `owner` name the ecsnet object that uses it."""

    id: str
    owner_kind: Literal["task", "nat", "load_balancer", "instance"]
    owner: str
    """Task ARN, NAT gateway id, load balancer ARN or instance id."""
    device_index: int = 0
    attached: float
    delete_on_termination: bool = True


class NetworkInterface(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    subnet: str
    az: str
    private_ip: IPv4Address
    secondary_ips: tuple[IPv4Address, ...] = ()
    ipv6_ips: tuple[IPv6Address, ...] = ()
    mac: str
    groups: tuple[str, ...]
    """Security groups; empty only for NAT gateways."""
    description: str = ""
    interface_type: str = "interface"
    source_dest_check: bool = True
    requester_managed: bool = False
    requester_id: str | None = None
    auto_public_ip: IPv4Address | None = None
    """The public address that AWS assigned by itself (not an Elastic IP)."""
    attachment: Attachment | None = None
    created: float
    tags: Tags = ()


class ObservedInterface(Record, frozen=True, kw_only=True, gc=False):
    """What the agent saw: the ENI's veth, its addresses and its filter are in force."""

    interface: str
    revision: int
    """The store revision at which it was first seen complete."""


class ClientToken(Record, frozen=True, kw_only=True, gc=False):
    """Remembers what an idempotent call made; the row lives as long as the resource."""

    account: str
    region: str
    operation: str
    token: str
    fingerprint: str
    """A digest of the other parameters: the same token with others is an error."""
    resource: str


class SeededAccount(Record, frozen=True, kw_only=True, gc=False):
    """Marks an account and region whose default VPC has been made."""

    account: str
    region: str
