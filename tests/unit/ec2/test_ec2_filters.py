"""Every filter that the API's model documents for a listing of these families: what it chooses has the value, a value
that nothing has chooses nothing, and some value chooses something.

The names are read from botocore's model, so that a new version with a new filter fails here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ec2_account import MODEL, Ec2

from ecsnet.model import ec2 as records
from ecsnet.model.tables import OBSERVED_INTERFACES, SCHEMA
from ecsnet.services.ec2 import ops
from ecsnet.services.ec2.family import Family
from ecsnet.store.store import Store

LISTINGS = {
    "DescribeVpcs": "Vpcs",
    "DescribeSubnets": "Subnets",
    "DescribeInternetGateways": "InternetGateways",
    "DescribeEgressOnlyInternetGateways": "EgressOnlyInternetGateways",
    "DescribeRouteTables": "RouteTables",
    "DescribeNatGateways": "NatGateways",
    "DescribeAddresses": "Addresses",
    "DescribeSecurityGroups": "SecurityGroups",
    "DescribeSecurityGroupRules": "SecurityGroupRules",
    "DescribeNetworkInterfaces": "NetworkInterfaces",
    "DescribeNetworkInterfacePermissions": "NetworkInterfacePermissions",
    "DescribeNetworkAcls": "NetworkAcls",
    "DescribeDhcpOptions": "DhcpOptions",
    "DescribeManagedPrefixLists": "PrefixLists",
    "DescribeFlowLogs": "FlowLogs",
    "DescribeVpcPeeringConnections": "VpcPeeringConnections",
    "DescribeAvailabilityZones": "AvailabilityZones",
    "DescribeRegions": "Regions",
    "DescribeTags": "Tags",
}

EMPTY = {
    "customer-owned-ipv4-pool": "no Outposts",
    "enable-lni-at-device-index": "no Outposts",
    "outpost-arn": "no Outposts",
    "route.transit-gateway-id": "no transit gateways",
    "operator.principal": "no AWS service manages an interface as an operator",
    "network-interface-permission.aws-service": "permissions are for accounts",
    "group-long-name": "local and wavelength zones only",
    "parent-zone-id": "local and wavelength zones only",
    "parent-zone-name": "local and wavelength zones only",
    "message": "no zone has a message",
    "deliver-log-status": "nothing has been delivered here",
}
"""Filters by which nothing can be chosen here, and why."""

UNSEEN = frozenset(
    {
        "ipv6-cidr-block-association.ipv6-pool",
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
        "egress.ip-permission.group-name",
        "ip-permission.group-name",
        "network-interface-owner-id",
        "attachment.attach-time",
        "expiration-time",
    }
)
"""Filters whose values the items do not show, or as a time."""


def _documented() -> Iterator[tuple[str, str]]:
    for listing in LISTINGS:
        members = MODEL.operation_model(listing).input_shape.members
        text = (members.get("Filters") or members["Filter"]).documentation
        for name in re.findall(r"<code>([a-zA-Z0-9.\-]+)</code>\s*-", text):
            if name != "tag":
                yield listing, name


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case Mapping():
            for item in value.values():
                yield from _leaves(item)
        case list():
            for item in value:
                yield from _leaves(item)
        case bool():
            yield "true" if value else "false"
        case int() | str():
            yield str(value)


def _choose(account: Ec2, listing: str, name: str, *values: str) -> list[Any]:
    member = "Filters" if "Filters" in MODEL.operation_model(listing).input_shape.members else "Filter"
    reply = account(listing, **{member: [{"Name": name, "Values": list(values)}]})
    return list(reply[LISTINGS[listing]])


@pytest.fixture(scope="module")
def full() -> Ec2:
    """An account with everything that a filter may look at."""
    ec2 = Ec2(store=Store(None, SCHEMA))
    ec2.verb(ops.seed_account)
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Team", "Value": "net"}]}]
    vpc = ec2.vpc(TagSpecifications=tags, AmazonProvidedIpv6CidrBlock=True)
    six = ec2("DescribeVpcs", VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.subnet(vpc, Ipv6CidrBlock=six.replace("/56", "/64"))
    other, third = ec2.vpc("10.1.0.0/16"), ec2.vpc("10.2.0.0/16")
    gateway = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    made = ec2("CreateEgressOnlyInternetGateway", VpcId=vpc)["EgressOnlyInternetGateway"]
    eigw = made["EgressOnlyInternetGatewayId"]
    group = ec2("CreateSecurityGroup", GroupName="web", Description="the web", VpcId=vpc)["GroupId"]
    listed = ec2("CreateManagedPrefixList", PrefixListName="offices", AddressFamily="IPv4", MaxEntries=2)
    prefix_list = listed["PrefixList"]["PrefixListId"]
    for way in ("Ingress", "Egress"):
        web = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81}
        peers: dict[str, Any] = {
            "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
            "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}],
            "PrefixListIds": [{"PrefixListId": prefix_list}],
            "UserIdGroupPairs": [{"GroupId": group}],
        }
        ec2(f"AuthorizeSecurityGroup{way}", GroupId=group, IpPermissions=[{**web, **peers}])
    eni = ec2.interface(subnet, Groups=[group], Description="mine", Ipv6AddressCount=1)["NetworkInterfaceId"]
    launch = {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    (instance,) = ec2("RunInstances", **launch, SubnetId=subnet)["Instances"]
    primary = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    with ec2.store.transaction() as tx:
        tx.put(OBSERVED_INTERFACES, records.ObservedInterface(interface=primary, revision=1))
    for target in (eni, primary):
        address = ec2("AllocateAddress")["AllocationId"]
        ec2("AssociateAddress", AllocationId=address, NetworkInterfaceId=target)
    nat = ec2("CreateNatGateway", SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    pcx = ec2("CreateVpcPeeringConnection", VpcId=vpc, PeerVpcId=other)["VpcPeeringConnection"]
    peering = pcx["VpcPeeringConnectionId"]
    ec2("AcceptVpcPeeringConnection", VpcPeeringConnectionId=peering)
    ec2("CreateVpcPeeringConnection", VpcId=vpc, PeerVpcId=third)
    table = ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    edge = ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2("AssociateRouteTable", RouteTableId=table, SubnetId=subnet)
    ec2("AssociateRouteTable", RouteTableId=edge, GatewayId=gateway)
    for route in (
        {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway},
        {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": eigw},
        {"DestinationCidrBlock": "10.1.0.0/16", "VpcPeeringConnectionId": peering},
        {"DestinationCidrBlock": "192.0.2.0/24", "NatGatewayId": nat},
        {"DestinationCidrBlock": "198.51.100.0/24", "InstanceId": instance["InstanceId"]},
        {"DestinationPrefixListId": prefix_list, "NatGatewayId": nat},
    ):
        ec2("CreateRoute", RouteTableId=table, **route)
    acl = ec2("CreateNetworkAcl", VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    entry = {"NetworkAclId": acl, "RuleAction": "allow", "Egress": False}
    ec2("CreateNetworkAclEntry", **entry, RuleNumber=1, Protocol="6", CidrBlock="10.0.0.0/8",
        PortRange={"From": 80, "To": 81})  # fmt: skip
    ec2("CreateNetworkAclEntry", **entry, RuleNumber=2, Protocol="1", CidrBlock="10.0.0.0/8",
        IcmpTypeCode={"Type": 8, "Code": 0})  # fmt: skip
    ec2("CreateNetworkAclEntry", **entry, RuleNumber=3, Protocol="-1", Ipv6CidrBlock="2001:db8::/32")
    configurations = [{"Key": "domain-name", "Values": ["example.com"]}]
    ec2("CreateDhcpOptions", DhcpConfigurations=configurations)
    ec2("CreateNetworkInterfacePermission", NetworkInterfaceId=eni, AwsAccountId="444455556666",
        Permission="EIP-ASSOCIATE")  # fmt: skip
    ec2("CreateFlowLogs", ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="flows",
        DeliverLogsPermissionArn="arn:aws:iam::111122223333:role/flows")  # fmt: skip
    listings = [
        name for name in LISTINGS if name not in ("DescribeTags", "DescribeRegions", "DescribeAvailabilityZones")
    ]
    resources = []
    for listing in listings:
        for item in ec2(listing)[LISTINGS[listing]]:
            key = next((item[name] for name in _IDS if name in item and listing in _IDS[name]), None)
            if key is not None and item.get("OwnerId") != "AWS":
                resources.append(key)
    ec2("CreateTags", Resources=resources, Tags=[{"Key": "Everywhere", "Value": "yes"}])
    return ec2


_IDS = {
    "VpcPeeringConnectionId": ("DescribeVpcPeeringConnections",),
    "NatGatewayId": ("DescribeNatGateways",),
    "SubnetId": ("DescribeSubnets",),
    "InternetGatewayId": ("DescribeInternetGateways",),
    "EgressOnlyInternetGatewayId": ("DescribeEgressOnlyInternetGateways",),
    "RouteTableId": ("DescribeRouteTables",),
    "AllocationId": ("DescribeAddresses",),
    "SecurityGroupRuleId": ("DescribeSecurityGroupRules",),
    "GroupId": ("DescribeSecurityGroups",),
    "NetworkInterfaceId": ("DescribeNetworkInterfaces",),
    "NetworkAclId": ("DescribeNetworkAcls",),
    "DhcpOptionsId": ("DescribeDhcpOptions",),
    "PrefixListId": ("DescribeManagedPrefixLists",),
    "FlowLogId": ("DescribeFlowLogs",),
    "VpcId": ("DescribeVpcs",),
}
"""Which member of an item is the id of what is listed."""


@pytest.mark.parametrize(("listing", "name"), list(_documented()))
def test_the_filter(full: Ec2, listing: str, name: str) -> None:
    assert _choose(full, listing, name, "none such") == []
    every = full(listing)[LISTINGS[listing]]
    found = [item for item in every if item in _choose(full, listing, name, "*")]
    if name in EMPTY:
        assert found == []
        return
    assert found, "no item has any value of it"
    values = sorted({leaf for item in found for leaf in _leaves(item)})
    by_value = {value: _choose(full, listing, name, value) for value in values}
    if name not in UNSEEN:
        assert any(by_value.values()), "no value that is shown chooses anything"
        for value, chosen in by_value.items():
            for item in chosen:
                assert value in set(_leaves(item)), f"{value} chose an item that does not have it"
        in_some = [item for item in found if any(item in chosen for chosen in by_value.values())]
        assert in_some == found, "an item has a value of it that it does not show"


INDEXED = (
    ("DescribeSubnets", "vpc-id", "VpcId"),
    ("DescribeSubnets", "subnet-id", "SubnetId"),
    ("DescribeRouteTables", "vpc-id", "VpcId"),
    ("DescribeRouteTables", "association.subnet-id", "SubnetId"),
    ("DescribeNetworkAcls", "vpc-id", "VpcId"),
    ("DescribeNetworkAcls", "association.subnet-id", "SubnetId"),
    ("DescribeInternetGateways", "attachment.vpc-id", "VpcId"),
    ("DescribeNatGateways", "vpc-id", "VpcId"),
    ("DescribeAddresses", "public-ip", "PublicIp"),
    ("DescribeAddresses", "association-id", "AssociationId"),
    ("DescribeAddresses", "network-interface-id", "NetworkInterfaceId"),
    ("DescribeSecurityGroups", "vpc-id", "VpcId"),
    ("DescribeSecurityGroups", "group-name", "GroupName"),
    ("DescribeSecurityGroupRules", "group-id", "GroupId"),
    ("DescribeNetworkInterfaces", "vpc-id", "VpcId"),
    ("DescribeNetworkInterfaces", "subnet-id", "SubnetId"),
    ("DescribeNetworkInterfaces", "private-ip-address", "PrivateIpAddress"),
    ("DescribeNetworkInterfaces", "addresses.private-ip-address", "PrivateIpAddress"),
    ("DescribeNetworkInterfaces", "ipv6-addresses.ipv6-address", "Ipv6Address"),
    ("DescribeFlowLogs", "resource-id", "ResourceId"),
)
"""Listing, filter, and the member of an item that has the value."""


@pytest.mark.parametrize(("listing", "name", "member"), INDEXED)
def test_the_filter_visits_no_other_records(
    full: Ec2, listing: str, name: str, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = next(found for item in full(listing)[LISTINGS[listing]] for found in _members(item, member))
    wanted = _choose(full, listing, name, value)

    def everything(self: Any, call: Any) -> Any:
        raise AssertionError("every record of the account is visited")

    monkeypatch.setattr(Family, "all", everything)
    assert wanted
    assert _choose(full, listing, name, value) == wanted


def _members(value: Any, name: str) -> Iterator[str]:
    match value:
        case Mapping():
            if name in value:
                yield value[name]
            for item in value.values():
                yield from _members(item, name)
        case list():
            for item in value:
                yield from _members(item, name)


TAGGED = sorted({listing for listing, name in _documented() if name == "tag-key"} - {"DescribeVpcPeeringConnections"})


@pytest.mark.parametrize("listing", TAGGED)
def test_a_tag_is_found_without_a_visit_to_all(full: Ec2, listing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = _choose(full, listing, "tag-key", "Everywhere")
    assert wanted

    def everything(self: Any, call: Any) -> Any:
        raise AssertionError("every record of the account is visited")

    monkeypatch.setattr(Family, "all", everything)
    assert _choose(full, listing, "tag:Everywhere", "yes") == wanted
    assert _choose(full, listing, "tag:Everywhere", "no", "yes") == wanted
    assert _choose(full, listing, "tag:Everywhere", "no") == []


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("association.public-ip", "PublicIp"),
        ("association.allocation-id", "AllocationId"),
        ("attachment.attachment-id", "AttachmentId"),
        ("attachment.instance-id", "InstanceId"),
        ("group-id", "GroupId"),
    ],
)
def test_interfaces_are_found_by_what_they_are_bound_to(
    full: Ec2, name: str, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_the_filter_visits_no_other_records(full, "DescribeNetworkInterfaces", name, member, monkeypatch)
