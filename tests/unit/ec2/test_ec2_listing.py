"""What all families share: filters, pages, tags, client tokens, and list items that may be reused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ec2_account import MODEL, RUN, Ec2, plain

from ecsnet.model import ec2 as records
from ecsnet.model.tables import OBSERVED_INTERFACES
from ecsnet.services.call import Cached
from ecsnet.services.ec2 import absent, ops

MISSING = "0" * 16 + "f"
DESCRIBES = [
    name
    for name in RUN
    if name.startswith("Describe")
    and "Attribute" not in name
    and not (MODEL.operation_model(name).input_shape.required_members)
]


def tagged(noun: str, **tags: str) -> list[dict[str, Any]]:
    return [{"ResourceType": noun, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def names(ec2: Ec2, *filters: tuple[str, str]) -> list[str]:
    """The Name tags of the VPCs that the filters choose."""
    reply = ec2("DescribeVpcs", Filters=[{"Name": name, "Values": value.split("|")} for name, value in filters])
    return sorted(tag["Value"] for vpc in reply["Vpcs"] for tag in vpc["Tags"] if tag["Key"] == "Name")


def test_filters(ec2: Ec2) -> None:
    for number, name in enumerate(("blue", "green", "b*e", "Blue")):
        ec2.vpc(f"10.{number}.0.0/16", TagSpecifications=tagged("vpc", Name=name, Number=str(number)))
    assert names(ec2, ("tag:Name", "blue")) == ["blue"]
    assert names(ec2, ("tag:Name", "b*")) == ["b*e", "blue"]
    assert names(ec2, ("tag:Name", "?lue")) == ["Blue", "blue"]
    assert names(ec2, ("tag:Name", r"b\*e")) == ["b*e"]
    assert names(ec2, ("tag:Name", "blue|green")) == ["blue", "green"]
    assert names(ec2, ("tag:Name", "b*"), ("tag:Number", "0")) == ["blue"]
    assert names(ec2, ("tag-key", "Num*"), ("cidr", "10.1.0.0/16")) == ["green"]
    assert names(ec2, ("is-default", "true")) == []
    assert names(ec2, ("tag:Name", "b.ue")) == []
    assert ec2.error("DescribeVpcs", Filters=[{"Name": "colour", "Values": ["red"]}]) == (
        "InvalidParameterValue",
        "The filter 'colour' is invalid",
    )
    many = [{"Name": "vpc-id", "Values": ["vpc"] * 201}]
    assert ec2.error("DescribeVpcs", Filters=many)[0] == "FilterLimitExceeded"


FILTERED = {
    name: member
    for name in DESCRIBES
    for member in ("Filters", "Filter")
    if member in MODEL.operation_model(name).input_shape.members and name not in {one.name for one in absent.OPERATIONS}
}


@pytest.mark.parametrize(("operation", "member"), FILTERED.items())
def test_every_listing_refuses_an_unknown_filter(ec2: Ec2, operation: str, member: str) -> None:
    code, text = ec2.error(operation, **{member: [{"Name": "colour", "Values": ["red"]}]})
    assert (code, text) == ("InvalidParameterValue", "The filter 'colour' is invalid")


def test_pages_stay_right_while_items_come_and_go(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    every = [ec2.subnet(vpc, f"10.0.{number}.0/24") for number in range(12)]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    first = ec2("DescribeSubnets", Filters=of_vpc, MaxResults=5)
    seen = [one["SubnetId"] for one in first["Subnets"]]
    ec2("DeleteSubnet", SubnetId=seen[-1])
    token = first["NextToken"]
    while token is not None:
        page = ec2("DescribeSubnets", Filters=of_vpc, MaxResults=5, NextToken=token)
        seen += [one["SubnetId"] for one in page["Subnets"]]
        token = page.get("NextToken")
    assert seen == sorted(every)


def test_page_errors(ec2: Ec2) -> None:
    (vpc,) = ec2("DescribeVpcs", MaxResults=5)["Vpcs"]
    for size in (4, 1001):
        assert ec2.error("DescribeVpcs", MaxResults=size)[0] == "InvalidParameterValue"
    assert ec2.error("DescribeVpcs", MaxResults=5, VpcIds=[vpc["VpcId"]]) == (
        "InvalidParameterCombination",
        "The parameter vpcIds cannot be used with the parameter maxResults",
    )
    for token in ("nonsense", "ü", "YWJj"):
        assert ec2.error("DescribeVpcs", NextToken=token) == (
            "InvalidNextToken",
            f"The token '{token}' is invalid",
        )


def test_tags(ec2: Ec2) -> None:
    vpc = ec2.vpc(TagSpecifications=tagged("vpc", Name="a", Team="net"))
    subnet = ec2.subnet(vpc)
    ec2("CreateTags", Resources=[vpc, subnet], Tags=[{"Key": "Name", "Value": "b"}, {"Key": "Empty", "Value": ""}])

    def shown(*filters: tuple[str, str]) -> list[tuple[str, str, str]]:
        wanted = [{"Name": name, "Values": [value]} for name, value in filters]
        reply = ec2("DescribeTags", Filters=wanted)["Tags"]
        return [(one["ResourceType"], one["Key"], one["Value"]) for one in reply]

    assert shown(("resource-id", vpc)) == [("vpc", "Empty", ""), ("vpc", "Name", "b"), ("vpc", "Team", "net")]
    assert sorted(shown(("key", "Name"))) == [("subnet", "Name", "b"), ("vpc", "Name", "b")]
    assert shown(("resource-type", "subnet"), ("value", "")) == [("subnet", "Empty", "")]
    ec2("DeleteTags", Resources=[vpc], Tags=[{"Key": "Name", "Value": "other"}, {"Key": "Team"}])
    assert shown(("resource-id", vpc)) == [("vpc", "Empty", ""), ("vpc", "Name", "b")]
    ec2.verb(ops.set_tags, vpc, [("aws:cloudformation:stack-name", "net")])
    ec2("DeleteTags", Resources=[vpc])
    assert shown(("resource-id", vpc)) == [("vpc", "aws:cloudformation:stack-name", "net")]


def test_every_family_can_be_tagged(ec2: Ec2) -> None:
    group = ec2("DescribeSecurityGroups")["SecurityGroups"][0]["GroupId"]
    made = ec2(
        "AuthorizeSecurityGroupIngress", GroupId=group, IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="0.0.0.0/0"
    )
    ids = [
        group,
        made["SecurityGroupRules"][0]["SecurityGroupRuleId"],
        ec2("DescribeRouteTables")["RouteTables"][0]["RouteTableId"],
        ec2("DescribeNetworkAcls")["NetworkAcls"][0]["NetworkAclId"],
        ec2("DescribeInternetGateways")["InternetGateways"][0]["InternetGatewayId"],
        ec2("DescribeDhcpOptions")["DhcpOptions"][0]["DhcpOptionsId"],
        ec2("AllocateAddress", TagSpecifications=tagged("elastic-ip", a="b"))["AllocationId"],
        ec2.interface(ec2("DescribeSubnets")["Subnets"][0]["SubnetId"])["NetworkInterfaceId"],
    ]
    ec2("CreateTags", Resources=ids, Tags=[{"Key": "all", "Value": "x"}])
    found = ec2("DescribeTags", Filters=[{"Name": "key", "Values": ["all"]}])["Tags"]
    assert sorted(one["ResourceId"] for one in found) == sorted(ids)


def test_tag_errors(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    for tags, code in (
        ([{"Key": "aws:mine", "Value": "x"}], "InvalidParameterValue"),
        ([{"Key": "", "Value": "x"}], "InvalidParameterValue"),
        ([{"Key": "k" * 129, "Value": "x"}], "InvalidParameterValue"),
        ([{"Key": "k", "Value": "x" * 257}], "InvalidParameterValue"),
        ([{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}], "InvalidParameterValue"),
        ([{"Key": f"k{number}", "Value": ""} for number in range(51)], "TagLimitExceeded"),
    ):
        assert ec2.error("CreateTags", Resources=[vpc], Tags=tags)[0] == code
    tag = [{"Key": "a", "Value": "b"}]
    assert ec2.error("CreateTags", Resources=[f"vpc-{MISSING}"], Tags=tag)[0] == "InvalidVpcID.NotFound"
    assert ec2.error("CreateTags", Resources=["thing-1"], Tags=tag) == (
        "InvalidID",
        "The ID 'thing-1' is not valid",
    )
    wrong = tagged("subnet", Name="a")
    assert ec2.error("CreateVpc", CidrBlock="10.9.0.0/16", TagSpecifications=wrong)[0] == "InvalidParameterValue"


def test_client_tokens(ec2: Ec2) -> None:
    """The same token makes nothing twice; with other parameters it is an error; it ends with the resource."""
    vpc = ec2.vpc()
    request = {"VpcId": vpc, "ClientToken": "once"}
    first = ec2("CreateRouteTable", **request)["RouteTable"]["RouteTableId"]
    assert ec2("CreateRouteTable", **request)["RouteTable"]["RouteTableId"] == first
    assert ec2("CreateRouteTable", VpcId=vpc, ClientToken="twice")["RouteTable"]["RouteTableId"] != first
    other = ec2.vpc("10.1.0.0/16")
    assert ec2.error("CreateRouteTable", VpcId=other, ClientToken="once")[0] == "IdempotentParameterMismatch"
    ec2("DeleteRouteTable", RouteTableId=first)
    assert ec2("CreateRouteTable", **request)["RouteTable"]["RouteTableId"] != first
    subnet = ec2.subnet(vpc)
    for operation, member, key, wanted in (
        ("CreateNetworkInterface", "NetworkInterface", "NetworkInterfaceId", {"SubnetId": subnet}),
        ("CreateNetworkAcl", "NetworkAcl", "NetworkAclId", {"VpcId": vpc}),
        ("CreateNatGateway", "NatGateway", "NatGatewayId", {"SubnetId": subnet, "ConnectivityType": "private"}),
    ):
        made = {ec2(operation, **wanted, ClientToken="t")[member][key] for _ in range(2)}
        assert len(made) == 1, operation


class Fragments:
    """Keeps every list item as the gateway does and fails when one that looks unchanged would show something else."""

    def __init__(self, ec2: Ec2) -> None:
        self._ec2 = ec2
        self._kept: dict[tuple[str, object], tuple[tuple[object, ...], Mapping[str, Any]]] = {}
        self.reused = 0

    def check(self) -> None:
        with self._ec2.store.transaction() as tx:
            for name in DESCRIBES:
                for members in RUN[name](self._ec2.call(tx), {}).values():
                    for item in members:
                        if isinstance(item, Cached):
                            self._one(name, item)

    def _one(self, name: str, item: Cached) -> None:
        built = plain(item)
        kept = self._kept.get((name, item.key))
        if kept is not None and len(kept[0]) == len(item.sources):
            same = all(a is b for a, b in zip(kept[0], item.sources, strict=True))
            if same:
                assert kept[1] == built, f"{name} {item.key} would be shown as it was before"
                self.reused += 1
        self._kept[(name, item.key)] = (item.sources, built)


def test_unchanged_sources_mean_an_unchanged_item(ec2: Ec2) -> None:
    fragments = Fragments(ec2)
    vpc = ec2.vpc()
    subnet = ec2.subnet(vpc)
    gateway = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    table = ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    group = ec2("CreateSecurityGroup", GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    eip = ec2("AllocateAddress")
    eni = ec2.interface(subnet, Groups=[group])["NetworkInterfaceId"]
    attachment = records.Attachment(id="a", owner_kind="task", owner="arn", attached=1.0)

    def observe() -> None:
        with ec2.store.transaction() as tx:
            tx.put(OBSERVED_INTERFACES, records.ObservedInterface(interface=eni, revision=1))

    acl = ec2("CreateNetworkAcl", VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    association = next(
        one["NetworkAclAssociationId"]
        for row in ec2("DescribeNetworkAcls", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        for one in row["Associations"]
    )
    flat = {"GroupId": group, "IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIp": "0.0.0.0/0"}
    steps = [
        lambda: ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc),
        lambda: ec2("CreateRoute", RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway),
        lambda: ec2("CreateRoute", RouteTableId=table, DestinationCidrBlock="192.0.2.0/24", NetworkInterfaceId=eni),
        lambda: ec2("AssociateRouteTable", RouteTableId=table, SubnetId=subnet),
        lambda: ec2("AuthorizeSecurityGroupIngress", **flat),
        lambda: ec2.verb(ops.attach_interface, eni, attachment),
        observe,
        lambda: ec2("AssociateAddress", AllocationId=eip["AllocationId"], NetworkInterfaceId=eni),
        lambda: ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": True}),
        lambda: ec2("AssignPrivateIpAddresses", NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1),
        lambda: ec2("AssignPrivateIpAddresses", NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1),
        lambda: ec2("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.5.0.0/16"),
        lambda: ec2("ReplaceNetworkAclAssociation", AssociationId=association, NetworkAclId=acl),
        lambda: ec2("CreateTags", Resources=[vpc, subnet, group, eni, acl], Tags=[{"Key": "a", "Value": "b"}]),
        lambda: ec2("RevokeSecurityGroupIngress", **flat),
        lambda: ec2("DisassociateAddress", PublicIp=eip["PublicIp"]),
        lambda: ec2.verb(ops.detach_interface, eni),
        lambda: ec2("DetachInternetGateway", InternetGatewayId=gateway, VpcId=vpc),
        lambda: ec2("DeleteNetworkInterface", NetworkInterfaceId=eni),
    ]
    fragments.check()
    for step in steps:
        step()
        fragments.check()
    assert fragments.reused > 10 * len(steps)
