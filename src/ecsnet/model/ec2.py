"""Stored EC2 networking resources. Field names follow the EC2 API where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
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
    next_group_set: int = 1
    """The next number for a set of groups (see `GroupSet.ordinal`)."""
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
    dns64: bool = False
    hostname_type: Literal["ip-name", "resource-name"] = "ip-name"
    resource_name_a: bool = False
    resource_name_aaaa: bool = False
    """EnableResourceNameDnsARecordOnLaunch and …AAAARecord…."""
    default_for_az: bool = False
    tags: Tags = ()


class InternetGateway(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str | None = None
    tags: Tags = ()


class EgressOnlyInternetGateway(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    tags: Tags = ()


PeeringStatus = Literal[
    "initiating-request",
    "pending-acceptance",
    "provisioning",
    "active",
    "failed",
    "rejected",
    "expired",
    "deleting",
    "deleted",
]


class PeeringSide(Record, frozen=True, kw_only=True, gc=False):
    """One VPC of a peering connection, which may be of another account or region."""

    account: str
    region: str
    vpc: str
    remote_dns: bool = False
    """AllowDnsResolutionFromRemoteVpc: the other side's hosts see private addresses behind public host names."""
    tags: Tags = ()
    """Each side has its own tags."""


class VpcPeeringConnection(Record, frozen=True, kw_only=True, gc=False):
    id: str
    requester: PeeringSide
    accepter: PeeringSide
    status: PeeringStatus
    message: str
    created: float
    expires: float | None = None
    ended: float | None = None
    """When it failed, was rejected or deleted, or expired; it stays visible for a while after that."""
    ended_by: Literal["requester", "accepter"] | None = None
    """Who deleted it: that one sees it for a shorter time."""


class PrefixListEntry(Record, frozen=True, kw_only=True, gc=False):
    cidr: IpNetwork
    description: str | None = None


PrefixListState = Literal["create-complete", "modify-complete", "modify-failed", "restore-complete"]
"""AWS's states without those of work in progress: a change is in force when the call that made it is answered."""


class PrefixList(Record, frozen=True, kw_only=True, gc=False):
    """A customer-managed prefix list. AWS's own lists are not stored (`services/ec2/prefix_lists.py`)."""

    id: str
    account: str
    region: str
    name: str
    family: Literal[4, 6]
    max_entries: int
    version: int = 1
    entries: tuple[PrefixListEntry, ...] = ()
    """Sorted by CIDR."""
    state: PrefixListState = "create-complete"
    state_message: str | None = None
    """Why the last modification failed."""
    tags: Tags = ()


class PrefixListVersion(Record, frozen=True, kw_only=True, gc=False):
    """What a prefix list held at an earlier version. A row of its own, so that a change writes no history anew."""

    prefix_list: str
    version: int
    entries: tuple[PrefixListEntry, ...]


class FlowLog(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    resource_kind: Literal["VPC", "Subnet", "NetworkInterface"]
    resource: str
    traffic: Literal["ACCEPT", "REJECT", "ALL"]
    destination_type: Literal["cloud-watch-logs", "s3", "local-file"]
    """`local-file` is ecsnet's own: lines are appended to a file of its state directory."""
    log_group: str | None = None
    destination: str | None = None
    """ARN of the bucket (and folder) or log group."""
    role: str | None = None
    format: str
    """`${version} ${account-id} …`."""
    interval: Literal[60, 600] = 600
    """Longest aggregation interval in seconds."""
    created: float
    token: str | None = None
    """The client token of the call that made it."""
    tags: Tags = ()


class ObservedFlowLog(Record, frozen=True, kw_only=True, gc=False):
    """How the last delivery of a flow log's records ended."""

    flow_log: str
    failure: str | None = None
    """The destination's own words; None when it took the records."""


class CidrReservation(Record, frozen=True, kw_only=True, gc=False):
    """A part of a subnet that is kept for prefixes, or for addresses that are asked for by name."""

    id: str
    account: str
    region: str
    subnet: str
    cidr: IpNetwork
    kind: Literal["prefix", "explicit"]
    description: str | None = None
    tags: Tags = ()


InstanceState = Literal["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]

INSTANCE_TRANSITIONS: Mapping[InstanceState, frozenset[InstanceState]] = {
    "pending": frozenset({"running", "shutting-down"}),
    "running": frozenset({"stopping", "shutting-down"}),
    "stopping": frozenset({"stopped", "shutting-down"}),
    "stopped": frozenset({"pending", "shutting-down"}),
    "shutting-down": frozenset({"terminated"}),
    "terminated": frozenset(),
}
"""EC2 User Guide, "Amazon EC2 instance state changes"."""


class Instance(Record, frozen=True, kw_only=True, gc=False):
    """An EC2 instance: a network stack that holds interfaces. Which ones is read from their attachments."""

    id: str
    account: str
    region: str
    az: str
    vpc: str
    subnet: str
    """Of its primary interface."""
    image: str
    type: str
    state: InstanceState
    reason: str | None = None
    """State transition reason, as AWS words it."""
    reason_code: str | None = None
    """Code of the StateReason, for example Client.UserInitiatedShutdown."""
    reservation: str
    launch_index: int = 0
    launched: float
    ended: float | None = None
    key_name: str | None = None
    user_data: str | None = None
    """Base64, as it was given."""
    profile: str | None = None
    """ARN of the instance profile."""
    client_token: str | None = None
    http_tokens: Literal["optional", "required"] = "optional"
    http_hop_limit: int = 1
    http_endpoint: bool = True
    metadata_tags: bool = False
    """InstanceMetadataTags: its tags can be read from inside."""
    shutdown_behavior: Literal["stop", "terminate"] = "stop"
    termination_protection: bool = False
    stop_protection: bool = False
    public_ip: bool = False
    """Its primary interface gets another automatic public address whenever it starts."""
    tags: Tags = ()


def holds_stack(instance: Instance) -> bool:
    """Whether the instance's network stack has to exist."""
    return instance.state in ("pending", "running")


class LaunchTemplateVersion(Record, frozen=True, kw_only=True, gc=False):
    number: int
    created: float
    description: str | None = None
    data: str
    """JSON of LaunchTemplateData, by the API's member names."""


class LaunchTemplate(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    name: str
    created: float
    versions: tuple[LaunchTemplateVersion, ...]
    """The oldest first; never empty."""
    default: int = 1
    tags: Tags = ()


class ObservedInstance(Record, frozen=True, kw_only=True, gc=False):
    """What the agent saw: the instance's network stack exists."""

    instance: str
    revision: int


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


class NatAddress(Record, frozen=True, kw_only=True, gc=False):
    """A secondary address of a NAT gateway."""

    private_ip: IPv4Address
    since: int
    """The store revision that gave it to the gateway: it is in force when the interface was seen at that one."""
    draining_until: float | None = None
    """New connections do not use it any more; it goes at this time (epoch seconds)."""
    allocation: str | None = None
    public_ip: IPv4Address | None = None
    association: str | None = None


def translating_addresses(nat: NatGateway) -> tuple[IPv4Address, ...]:
    """The private addresses that new connections get, the primary one first."""
    if nat.private_ip is None:
        return ()
    return (nat.private_ip, *(one.private_ip for one in nat.secondary if one.draining_until is None))


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
    secondary: tuple[NatAddress, ...] = ()
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
    reverse_name: str | None = None
    """What its PTR record holds, without the final dot."""
    tags: Tags = ()


class AddressTransfer(Record, frozen=True, kw_only=True, gc=False):
    """An Elastic IP that was offered to another account, seen by the account that offered it."""

    allocation: str
    account: str
    region: str
    public_ip: IPv4Address
    to_account: str
    offered: float
    expires: float
    accepted: float | None = None


class InterfacePermission(Record, frozen=True, kw_only=True, gc=False):
    """What another account may do with an interface (EC2 API, CreateNetworkInterfacePermission)."""

    id: str
    account: str
    region: str
    interface: str
    grantee: str
    permission: Literal["INSTANCE-ATTACH", "EIP-ASSOCIATE"]


class SecurityGroup(Record, frozen=True, kw_only=True, gc=False):
    id: str
    account: str
    region: str
    vpc: str
    name: str
    description: str
    tags: Tags = ()


class GroupSet(Record, frozen=True, kw_only=True, gc=False):
    """The groups that an interface of a VPC has, or had. Interfaces with the same groups share one."""

    vpc: str
    groups: tuple[str, ...]
    """Sorted."""
    ordinal: int
    """A number from 1, unique in the VPC and never reused."""


class GroupAssociation(Record, frozen=True, kw_only=True, gc=False):
    """A group that interfaces of another VPC than its own may have (EC2 API, AssociateSecurityGroupVpc)."""

    group: str
    vpc: str
    account: str
    region: str


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
    peer_vpc: str | None = None
    """The other VPC of a group reference across a peering: it outlives the peered group, as a stale rule does."""
    peering: str | None = None
    """The peering connection over which `peer_vpc` was reached when the rule was made."""
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
    private_ip: IPv4Address | None
    """The primary private address, fixed for the interface's life; None in an IPv6-only subnet."""
    secondary_ips: tuple[IPv4Address, ...] = ()
    ipv6_ips: tuple[IPv6Address, ...] = ()
    ipv4_prefixes: tuple[IPv4Network, ...] = ()
    """Delegated /28 blocks; every address of them belongs to the interface."""
    ipv6_prefixes: tuple[IPv6Network, ...] = ()
    """Delegated /80 blocks."""
    primary_ipv6: bool = False
    """The first IPv6 address is kept for the interface's life."""
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

    @property
    def private_ips(self) -> tuple[IPv4Address, ...]:
        """The single IPv4 addresses (without prefixes), the primary first."""
        return self.secondary_ips if self.private_ip is None else (self.private_ip, *self.secondary_ips)


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
