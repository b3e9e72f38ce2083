"""Every EC2 error that a client may branch on, through boto3: condition, code and text.

Codes are those of AWS's list (EC2 API, "Error codes for the Amazon EC2 API"). Texts marked unconfirmed are not known
from AWS: they are what ecsnet says, not a claim about AWS. `None` as the text: AWS's is not known and ecsnet's is not
held.

Not here: AuthFailure and its like, which AWS raises before EC2 is asked (ecsnet takes every signature), and
RequestLimitExceeded (ecsnet throttles nobody). InvalidPermission.Malformed is in AWS's list, but for which rule is not
said; ecsnet does not raise it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from gatewayharness import Elsewhere, Gateway, conforming, serve

from ecsnet.daemon import SERVICES
from ecsnet.model.tables import SCHEMA
from ecsnet.services.ec2.ops import seed_account
from ecsnet.store.store import Store

OTHER = "444455556666"
NOBODY = "0" * 16 + "f"
WEB = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
SSH = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
FLOW_LOG = {"ResourceType": "VPC", "TrafficType": "ALL", "LogDestinationType": "local-file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A call that must fail. Words in braces are ids of the stage."""

    condition: str
    call: str
    params: Mapping[str, Any] = field(default_factory=dict)
    code: str
    text: str | None
    confirmed: bool = True
    """Whether AWS is known to say this text."""
    account: str | None = None

    @property
    def name(self) -> str:
        return self.condition if self.confirmed and self.text is not None else f"{self.condition} (text unconfirmed)"


def row(condition: str, call: str, code: str, text: str | None, **params: Any) -> Row:
    return Row(condition=condition, call=call, code=code, text=text, params=params)


def unconfirmed(condition: str, call: str, code: str, text: str | None, **params: Any) -> Row:
    return Row(condition=condition, call=call, code=code, text=text, params=params, confirmed=False)


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case str():
            return value.format_map(names)
        case list():
            return [_filled(item, names) for item in value]
        case dict():
            return {key: _filled(item, names) for key, item in value.items()}
        case other:
            return other


ROWS = (
    # VPCs and subnets
    row("a required parameter is missing", "create_vpc", "MissingParameter",
        "The request must contain the parameter cidrBlock"),
    row("unknown VPC", "describe_vpcs", "InvalidVpcID.NotFound", "The vpc ID 'vpc-{nobody}' does not exist",
        VpcIds=["vpc-{nobody}"]),
    unconfirmed("malformed VPC", "describe_vpcs", "InvalidVpcID.Malformed",
                'Invalid id: "vpc-x" (expecting "vpc-...")', VpcIds=["vpc-x"]),
    row("unknown subnet", "describe_subnets", "InvalidSubnetID.NotFound",
        "The subnet ID 'subnet-{nobody}' does not exist", SubnetIds=["subnet-{nobody}"]),
    row("overlapping subnet", "create_subnet", "InvalidSubnet.Conflict",
        "The CIDR '10.0.0.0/25' conflicts with another subnet", VpcId="{vpc}", CidrBlock="10.0.0.0/25"),
    row("subnet outside the VPC", "create_subnet", "InvalidSubnet.Range", "The CIDR '10.9.0.0/24' is invalid.",
        VpcId="{vpc}", CidrBlock="10.9.0.0/24"),
    row("subnet too small", "create_subnet", "InvalidSubnet.Range", "The CIDR '10.0.9.0/29' is invalid.",
        VpcId="{vpc}", CidrBlock="10.0.9.0/29"),
    row("VPC too large", "create_vpc", "InvalidVpc.Range", "The CIDR '10.0.0.0/8' is invalid.",
        CidrBlock="10.0.0.0/8"),
    # Security groups
    row("unknown group", "describe_security_groups", "InvalidGroup.NotFound",
        "The security group 'sg-{nobody}' does not exist", GroupIds=["sg-{nobody}"]),
    unconfirmed("malformed group", "describe_security_groups", "InvalidGroupId.Malformed",
                'Invalid id: "sg-x" (expecting "sg-...")', GroupIds=["sg-x"]),
    row("group name taken", "create_security_group", "InvalidGroup.Duplicate",
        "The security group 'taken' already exists for VPC '{vpc}'", GroupName="taken", Description="x",
        VpcId="{vpc}"),
    row("default group deleted", "delete_security_group", "CannotDelete",
        'the specified group: "{default_group}" name: "default" cannot be deleted by a user',
        GroupId="{default_group}"),
    unconfirmed("reserved group name", "create_security_group", "InvalidGroup.Reserved",
                "Cannot use reserved security group name: default", GroupName="default", Description="x",
                VpcId="{vpc}"),
    row("rule exists", "authorize_security_group_ingress", "InvalidPermission.Duplicate",
        'the specified rule "peer: 10.0.0.0/8, TCP, from port: 80, to port: 80, ALLOW" already exists',
        GroupId="{group}", IpPermissions=WEB),
    row("rule missing in the default VPC", "revoke_security_group_ingress", "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.", GroupId="{default_vpc_group}",
        IpPermissions=SSH),
    unconfirmed("unknown protocol", "authorize_security_group_ingress", "InvalidParameterValue", None,
                GroupId="{group}", IpPermissions=[{**WEB[0], "IpProtocol": "nonsense"}]),
    row("unknown rule", "describe_security_group_rules", "InvalidSecurityGroupRuleId.NotFound",
        "The security group rule ID 'sgr-{nobody}' does not exist", SecurityGroupRuleIds=["sgr-{nobody}"]),
    row("group in use", "delete_security_group", "DependencyViolation",
        "resource {group} has a dependent object (Dependents: {eni}.)", GroupId="{group}"),
    # What is still in use
    row("VPC in use", "delete_vpc", "DependencyViolation",
        "The vpc '{small_vpc}' has dependencies and cannot be deleted. (Dependents: {peering}, {small_subnet}.)",
        VpcId="{small_vpc}"),
    row("subnet in use", "delete_subnet", "DependencyViolation",
        "The subnet '{subnet}' has dependencies and cannot be deleted. (Dependents: {in_subnet}.)",
        SubnetId="{subnet}"),
    row("route table in use", "delete_route_table", "DependencyViolation",
        "The routeTable '{table}' has dependencies and cannot be deleted. (Dependents: {subnet}.)",
        RouteTableId="{table}"),
    row("network ACL in use", "delete_network_acl", "DependencyViolation",
        "The network ACL '{acl}' has dependencies and cannot be deleted. (Dependents: {subnet}.)",
        NetworkAclId="{acl}"),
    row("internet gateway in use", "delete_internet_gateway", "DependencyViolation",
        "The internetGateway '{gateway}' has dependencies and cannot be deleted. (Dependents: {vpc}.)",
        InternetGatewayId="{gateway}"),
    # Routes
    row("unknown route table", "delete_route_table", "InvalidRouteTableID.NotFound",
        "The routeTable ID 'rtb-{nobody}' does not exist", RouteTableId="rtb-{nobody}"),
    row("route exists", "create_route", "RouteAlreadyExists",
        "The route identified by 0.0.0.0/0 already exists.", RouteTableId="{table}",
        DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId="{eni}"),
    row("route missing", "delete_route", "InvalidRoute.NotFound",
        "no route with destination-cidr-block 192.0.2.0/24 in route table {table}", RouteTableId="{table}",
        DestinationCidrBlock="192.0.2.0/24"),
    row("route to no block", "create_route", "InvalidParameterValue",
        "Value (nonsense) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.",
        RouteTableId="{table}", DestinationCidrBlock="nonsense", GatewayId="{gateway}"),
    # Gateways
    row("unknown internet gateway", "delete_internet_gateway", "InvalidInternetGatewayID.NotFound",
        "The internetGateway ID 'igw-{nobody}' does not exist", InternetGatewayId="igw-{nobody}"),
    row("internet gateway attached already", "attach_internet_gateway", "Resource.AlreadyAssociated",
        "resource {gateway} is already attached to network {vpc}", InternetGatewayId="{gateway}", VpcId="{vpc}"),
    row("route table associated already", "associate_route_table", "Resource.AlreadyAssociated",
        "the specified association for route table {other_table} conflicts with an existing association",
        RouteTableId="{other_table}", SubnetId="{subnet}"),
    unconfirmed("Elastic IP associated already", "associate_address", "Resource.AlreadyAssociated",
                "resource {address} is already associated with associate-id {association}",
                AllocationId="{address}", NetworkInterfaceId="{free_eni}"),
    row("gateway not attached", "detach_internet_gateway", "Gateway.NotAttached",
        "resource {free_gateway} is not attached to network {vpc}", InternetGatewayId="{free_gateway}",
        VpcId="{vpc}"),
    unconfirmed("unknown NAT gateway", "describe_nat_gateways", "NatGatewayNotFound",
                "The Nat Gateway nat-{nobody} was not found", NatGatewayIds=["nat-{nobody}"]),
    unconfirmed("route to an unknown NAT gateway", "create_route", "InvalidNatGatewayID.NotFound",
                "The natGateway ID 'nat-{nobody}' does not exist", RouteTableId="{table}",
                DestinationCidrBlock="192.0.2.0/24", NatGatewayId="nat-{nobody}"),
    # Addresses
    row("unknown allocation", "describe_addresses", "InvalidAllocationID.NotFound",
        "Allocation ID 'eipalloc-{nobody}' not found.", AllocationIds=["eipalloc-{nobody}"]),
    row("unknown address", "describe_addresses", "InvalidAddress.NotFound", "Address '192.0.2.1' not found.",
        PublicIps=["192.0.2.1"]),
    unconfirmed("unknown association", "disassociate_address", "InvalidAssociationID.NotFound",
                "The association ID 'eipassoc-{nobody}' does not exist", AssociationId="eipassoc-{nobody}"),
    # Interfaces
    row("unknown interface", "describe_network_interfaces", "InvalidNetworkInterfaceID.NotFound",
        "The networkInterface ID 'eni-{nobody}' does not exist", NetworkInterfaceIds=["eni-{nobody}"]),
    row("unknown attachment", "detach_network_interface", "InvalidAttachmentID.NotFound",
        "The network interface attachment ID 'eni-attach-{nobody}' does not exist",
        AttachmentId="eni-attach-{nobody}"),
    unconfirmed("attached interface deleted", "delete_network_interface", "InvalidParameterValue",
                "Network interface '{primary}' is currently in use.", NetworkInterfaceId="{primary}"),
    row("interface attached twice", "attach_network_interface", "InvalidNetworkInterface.InUse",
        "Interface: [{primary}] in use.", NetworkInterfaceId="{primary}", InstanceId="{instance}", DeviceIndex=2),
    row("address taken", "create_network_interface", "InvalidIPAddress.InUse",
        "The specified address is already in use.", SubnetId="{subnet}", PrivateIpAddress="10.0.0.50"),
    row("too many addresses", "assign_private_ip_addresses", "PrivateIpAddressLimitExceeded",
        "Number of private addresses will exceed limit.", NetworkInterfaceId="{eni}",
        SecondaryPrivateIpAddressCount=60),
    row("full subnet", "create_network_interface", "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
        SubnetId="{full_subnet}"),
    row("primary interface detached", "detach_network_interface", "OperationNotPermitted",
        "The network interface at device index 0 and networkCard index 0 cannot be detached.",
        AttachmentId="{primary_attachment}"),
    row("interface of a service detached", "detach_network_interface", "OperationNotPermitted",
        "You are not allowed to manage 'ela-attach' attachments.", AttachmentId="{service_attachment}"),
    row("interface of a service changed", "modify_network_interface_attribute", "AuthFailure",
        "You do not have permission to access the specified resource.", NetworkInterfaceId="{service_eni}",
        Groups=["{default_group}"]),
    row("group and subnet of different VPCs", "run_instances", "InvalidParameter",
        "Security group {default_vpc_group} and subnet {subnet} belong to different networks.",
        ImageId="ami-12345678", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId="{subnet}",
        SecurityGroupIds=["{default_vpc_group}"]),
    row("too many interfaces of an instance", "run_instances", "AttachmentLimitExceeded",
        "Interface count 3 exceeds the limit for t3.micro", ImageId="ami-12345678", InstanceType="t3.micro",
        MinCount=1, MaxCount=1,
        NetworkInterfaces=[{"DeviceIndex": index, "SubnetId": "{subnet}"} for index in range(3)]),
    # Network ACLs
    row("unknown network ACL", "describe_network_acls", "InvalidNetworkAclID.NotFound",
        "The network acl ID 'acl-{nobody}' does not exist", NetworkAclIds=["acl-{nobody}"]),
    row("entry exists", "create_network_acl_entry", "NetworkAclEntryAlreadyExists",
        "The network acl entry identified by 100 already exists.", NetworkAclId="{acl}", RuleNumber=100,
        Protocol="-1", RuleAction="allow", Egress=False, CidrBlock="0.0.0.0/0"),
    unconfirmed("entry missing", "delete_network_acl_entry", "InvalidNetworkAclEntry.NotFound", None,
                NetworkAclId="{acl}", RuleNumber=200, Egress=False),
    # Peering, DHCP options, flow logs
    row("peering in the wrong state", "accept_vpc_peering_connection", "InvalidStateTransition",
        "VpcPeeringConnectionID {peering} is not in the correct state for the request.",
        VpcPeeringConnectionId="{peering}"),
    unconfirmed("peering exists", "create_vpc_peering_connection", "VpcPeeringConnectionAlreadyExists", None,
                VpcId="{vpc}", PeerVpcId="{small_vpc}"),
    row("unknown DHCP options", "describe_dhcp_options", "InvalidDhcpOptionID.NotFound",
        "DhcpOptionID dopt-{nobody} does not exist.", DhcpOptionsIds=["dopt-{nobody}"]),
    row("flow log of nobody", "describe_flow_logs", "InvalidFlowLogId.NotFound",
        "These flow log ids in the input list are not found: [TotalCount: 1] fl-{nobody}",
        FlowLogIds=["fl-{nobody}"]),
    row("flow log exists", "create_flow_logs", "FlowLogAlreadyExists",
        "Error. There is an existing Flow Log with the same configuration and log destination.",
        ResourceIds=["{vpc}"], **FLOW_LOG),
    # Instances, filters, pages, tokens
    unconfirmed("unknown instance", "describe_instances", "InvalidInstanceID.NotFound",
                "The instance ID 'i-{nobody}' does not exist", InstanceIds=["i-{nobody}"]),
    unconfirmed("malformed instance", "describe_instances", "InvalidInstanceID.Malformed",
                'Invalid id: "i-x" (expecting "i-...")', InstanceIds=["i-x"]),
    row("unknown filter", "describe_vpcs", "InvalidParameterValue", "The filter 'colour' is invalid",
        Filters=[{"Name": "colour", "Values": ["red"]}]),
    row("token of nobody", "describe_vpcs", "InvalidNextToken", "The token 'nonsense' is invalid",
        NextToken="nonsense"),
    unconfirmed("client token with other parameters", "create_route_table", "IdempotentParameterMismatch", None,
                VpcId="{small_vpc}", ClientToken="once"),
)  # fmt: skip


class Stage:
    """An account with one of everything that an error is about, made by API calls."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.ec2 = gateway.client("ec2", account="200000000001", region="us-east-1")
        self.names: dict[str, str] = {"nobody": NOBODY}
        self._networks()
        self._groups()
        self._interfaces()
        self._service()

    def _networks(self) -> None:
        ec2, names = self.ec2, self.names
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        small = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-1a")
        names |= {"vpc": vpc, "small_vpc": small, "subnet": subnet["Subnet"]["SubnetId"]}
        full = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/28")
        names["full_subnet"] = full["Subnet"]["SubnetId"]
        small_subnet = ec2.create_subnet(VpcId=small, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
        names["small_subnet"] = small_subnet
        gateways = [ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"] for _ in range(2)]
        names["gateway"], names["free_gateway"] = gateways
        ec2.attach_internet_gateway(InternetGatewayId=names["gateway"], VpcId=vpc)
        table = ec2.create_route_table(VpcId=vpc, ClientToken="once")["RouteTable"]["RouteTableId"]
        other = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        names |= {"table": table, "other_table": other}
        ec2.associate_route_table(RouteTableId=table, SubnetId=names["subnet"])
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=names["gateway"])
        names["acl"] = acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
        rule = {"RuleNumber": 100, "Protocol": "-1", "RuleAction": "allow", "Egress": False}
        ec2.create_network_acl_entry(NetworkAclId=acl, **rule, CidrBlock="10.0.0.0/8")
        associations = [
            one["NetworkAclAssociationId"]
            for found in ec2.describe_network_acls()["NetworkAcls"]
            for one in found["Associations"]
            if one["SubnetId"] == names["subnet"]
        ]
        ec2.replace_network_acl_association(AssociationId=associations[0], NetworkAclId=acl)
        peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=small)["VpcPeeringConnection"]
        names["peering"] = peering["VpcPeeringConnectionId"]
        ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=names["peering"])
        assert ec2.create_flow_logs(ResourceIds=[vpc], **FLOW_LOG)["FlowLogIds"]

    def _groups(self) -> None:
        ec2, names = self.ec2, self.names
        made = ec2.create_security_group(GroupName="taken", Description="x", VpcId=names["vpc"])
        names["group"] = made["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=names["group"], IpPermissions=WEB)
        groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])
        homes = {one["VpcId"]: one["GroupId"] for one in groups["SecurityGroups"]}
        names["default_group"] = homes.pop(names["vpc"])
        homes.pop(names["small_vpc"])
        (names["default_vpc_group"],) = homes.values()

    def _interfaces(self) -> None:
        ec2, names = self.ec2, self.names

        def interface(subnet: str, **params: Any) -> str:
            made = ec2.create_network_interface(SubnetId=names[subnet], **params)["NetworkInterface"]
            return str(made["NetworkInterfaceId"])

        names["eni"] = interface("subnet", Groups=[names["group"]], PrivateIpAddress="10.0.0.50")
        names["free_eni"] = interface("subnet")
        second = interface("subnet")
        for _ in range(11):
            interface("full_subnet")
        launch = {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        (instance,) = ec2.run_instances(**launch, SubnetId=names["subnet"])["Instances"]
        (primary,) = instance["NetworkInterfaces"]
        names |= {"instance": instance["InstanceId"], "primary": primary["NetworkInterfaceId"]}
        names["primary_attachment"] = primary["Attachment"]["AttachmentId"]
        names["in_subnet"] = ", ".join(sorted((names["eni"], names["free_eni"], second, names["primary"])))
        names["address"] = ec2.allocate_address()["AllocationId"]
        bound = ec2.associate_address(AllocationId=names["address"], NetworkInterfaceId=names["eni"])
        names["association"] = bound["AssociationId"]

    def _service(self) -> None:
        """A NAT gateway: its interface belongs to a service."""
        ec2, names = self.ec2, self.names
        other = ec2.create_subnet(VpcId=names["vpc"], CidrBlock="10.0.2.0/24")["Subnet"]["SubnetId"]
        made = ec2.create_nat_gateway(SubnetId=other, ConnectivityType="private")["NatGateway"]
        names["service_eni"] = made["NatGatewayAddresses"][0]["NetworkInterfaceId"]
        found = ec2.describe_network_interfaces(NetworkInterfaceIds=[names["service_eni"]])
        names["service_attachment"] = found["NetworkInterfaces"][0]["Attachment"]["AttachmentId"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Gateway(store=Store(None, SCHEMA), elsewhere=Elsewhere(), services=conforming(SERVICES), seed=seed_account)
    made.port, stop = serve(made.app())
    try:
        yield Stage(made)
    finally:
        stop()
        made.store.close()


def _refused(client: Any, call: str, params: Mapping[str, Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        getattr(client, call)(**params)
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


@pytest.mark.parametrize("wanted", ROWS, ids=lambda one: one.name)
def test_the_error_of(stage: Stage, wanted: Row) -> None:
    before = stage.gateway.store.snapshot
    code, text = _refused(stage.ec2, wanted.call, _filled(dict(wanted.params), stage.names))
    assert code == wanted.code
    if wanted.text is not None:
        assert text == wanted.text.format_map(stage.names)
    assert stage.gateway.store.snapshot is before, "an error leaves no trace"


LIMITS: tuple[tuple[str, str, str, str, Mapping[str, Any]], ...] = (
    ("vpcs_per_region", "create_vpc", "VpcLimitExceeded", "VPCs", {"CidrBlock": "10.7.0.0/16"}),
    ("subnets_per_vpc", "create_subnet", "SubnetLimitExceeded", "subnets",
     {"VpcId": "{vpc}", "CidrBlock": "172.31.240.0/24"}),
    ("route_tables_per_vpc", "create_route_table", "RouteTableLimitExceeded", "route tables", {"VpcId": "{vpc}"}),
    ("acls_per_vpc", "create_network_acl", "NetworkAclLimitExceeded", "network ACLs", {"VpcId": "{vpc}"}),
    ("internet_gateways_per_region", "create_internet_gateway", "InternetGatewayLimitExceeded",
     "internet gateways", {}),
    ("groups_per_region", "create_security_group", "SecurityGroupLimitExceeded", "security groups",
     {"GroupName": "x", "Description": "x", "VpcId": "{vpc}"}),
    ("elastic_ips_per_region", "allocate_address", "AddressLimitExceeded", "addresses", {}),
    ("interfaces_per_region", "create_network_interface", "NetworkInterfaceLimitExceeded", "network interfaces",
     {"SubnetId": "{subnet}"}),
    ("rules_per_group", "authorize_security_group_egress", "RulesPerSecurityGroupLimitExceeded",
     "rules per security group", {"GroupId": "{group}", "IpPermissions": WEB}),
    ("groups_per_interface", "create_network_interface", "SecurityGroupsPerInterfaceLimitExceeded",
     "security groups per interface", {"SubnetId": "{subnet}", "Groups": ["{group}"]}),
    ("routes_per_table", "create_route", "RouteLimitExceeded", "routes",
     {"RouteTableId": "{table}", "DestinationCidrBlock": "192.0.2.0/24", "GatewayId": "{gateway}"}),
    ("entries_per_acl", "create_network_acl_entry", "NetworkAclEntryLimitExceeded", "network ACL entries",
     {"NetworkAclId": "{acl}", "RuleNumber": 7, "Protocol": "-1", "RuleAction": "allow", "Egress": False,
      "CidrBlock": "10.0.0.0/8"}),
    ("gateway_endpoints_per_region", "create_vpc_endpoint", "VpcEndpointLimitExceeded", "VPC endpoints",
     {"VpcId": "{vpc}", "ServiceName": "com.amazonaws.us-east-1.s3"}),
)  # fmt: skip
"""Quota, call, code and the plural in the text. Of the texts, AWS's own is known for VPCs, addresses and rules."""


@pytest.fixture(scope="module")
def poor() -> Iterator[Gateway]:
    """A gateway whose accounts may have nothing more than AWS seeds."""
    made = Gateway(
        store=Store(None, SCHEMA),
        elsewhere=Elsewhere(),
        services=conforming(SERVICES),
        seed=seed_account,
        quotas=dict.fromkeys((limit[0] for limit in LIMITS), 0) | {"nat_gateways_per_zone": 0},
    )
    made.port, stop = serve(made.app())
    try:
        yield made
    finally:
        stop()
        made.store.close()


def _seeded(client: Any) -> dict[str, str]:
    return {
        "vpc": client.describe_vpcs()["Vpcs"][0]["VpcId"],
        "subnet": client.describe_subnets()["Subnets"][0]["SubnetId"],
        "group": client.describe_security_groups()["SecurityGroups"][0]["GroupId"],
        "table": client.describe_route_tables()["RouteTables"][0]["RouteTableId"],
        "gateway": client.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"],
        "acl": client.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"],
    }


@pytest.mark.parametrize(("quota", "call", "code", "plural", "params"), LIMITS, ids=lambda one: str(one)[:40])
def test_the_limit(poor: Gateway, quota: str, call: str, code: str, plural: str, params: Mapping[str, Any]) -> None:
    client = poor.client("ec2", account="200000000002", region="us-east-1")
    found = _refused(client, call, _filled(dict(params), _seeded(client)))
    assert found == (code, f"The maximum number of {plural} has been reached.")


def test_the_limit_of_nat_gateways(poor: Gateway) -> None:
    client = poor.client("ec2", account="200000000002", region="us-east-1")
    params = {"SubnetId": _seeded(client)["subnet"], "ConnectivityType": "private"}
    assert _refused(client, "create_nat_gateway", params) == (
        "NatGatewayLimitExceeded",
        "Performing this operation would exceed the limit of 0 NAT gateways",
    )
