"""One group in two VPCs, with packets: its rules decide in both, and its members are those of each VPC alone.

Source: VPC User Guide, "Associate security groups with multiple VPCs".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from api_lab import ApiLab

from ecsnet.fabric.kernel import naming
from ecsnet.testing.world import TestWorld

pytestmark = pytest.mark.network


@pytest.fixture
def lab(net: TestWorld) -> Iterator[ApiLab]:
    yield ApiLab(net)
    net.sync()


def _vpc(lab: ApiLab, block: str) -> tuple[str, str]:
    vpc = lab.ec2.vpc(block)
    return vpc, lab.ec2.subnet(vpc, block.replace("/16", "/24"))


def _launch(lab: ApiLab, subnet: str, *groups: str) -> tuple[str, str]:
    """An instance; its namespace and address."""
    request: dict[str, Any] = {"ImageId": "ami-12345678", "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1}
    (made,) = lab.ec2("RunInstances", **request, SubnetId=subnet, SecurityGroupIds=list(groups))["Instances"]
    lab.settle()
    return naming.instance_namespace(made["InstanceId"]), made["PrivateIpAddress"]


def _peers(lab: ApiLab, group: str, *, revoke: bool = False) -> None:
    pairs = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": group}]}]
    operation = "RevokeSecurityGroupIngress" if revoke else "AuthorizeSecurityGroupIngress"
    lab.ec2(operation, GroupId=group, IpPermissions=pairs)
    lab.settle()


def test_one_group_in_two_vpcs(lab: ApiLab) -> None:
    home, subnet = _vpc(lab, "10.0.0.0/16")
    other, far = _vpc(lab, "10.1.0.0/16")
    group = lab.ec2("CreateSecurityGroup", GroupName="shared", Description="x", VpcId=home)["GroupId"]
    plain = lab.ec2("CreateSecurityGroup", GroupName="plain", Description="x", VpcId=other)["GroupId"]
    lab.ec2("AssociateSecurityGroupVpc", GroupId=group, VpcId=other)
    ends = {}
    for where, in_subnet in (("home", subnet), ("other", far)):
        ends[where] = _launch(lab, in_subnet, group), _launch(lab, in_subnet, group)
    stranger = _launch(lab, far, plain)
    _peers(lab, group)
    for (client, address), (server, to) in ends.values():
        with lab.net.listen(server, to, 80), lab.net.listen(server, to, 81):
            assert lab.net.tcp(client, to, 80) == address
            assert lab.net.tcp(client, to, 81) is None
    server, to = ends["other"][1]
    with lab.net.listen(server, to, 80):
        assert lab.net.tcp(stranger[0], to, 80) is None
        _peers(lab, group, revoke=True)
        assert lab.net.tcp(ends["other"][0][0], to, 80) is None


def test_members_of_one_vpc_are_nobody_in_the_other(lab: ApiLab) -> None:
    """Two peered VPCs use the group: its rule for itself admits members of the same VPC, not those of the other."""
    home, subnet = _vpc(lab, "10.0.0.0/16")
    other, far = _vpc(lab, "10.1.0.0/16")
    group = lab.ec2("CreateSecurityGroup", GroupName="shared", Description="x", VpcId=home)["GroupId"]
    lab.ec2("AssociateSecurityGroupVpc", GroupId=group, VpcId=other)
    client, address = _launch(lab, subnet, group)
    server, to = _launch(lab, far, group)
    link = lab.ec2("CreateVpcPeeringConnection", VpcId=home, PeerVpcId=other)["VpcPeeringConnection"]
    pcx = link["VpcPeeringConnectionId"]
    lab.ec2("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    for vpc, block in ((home, "10.1.0.0/16"), (other, "10.0.0.0/16")):
        (table,) = lab.ec2("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
        lab.ec2("CreateRoute", RouteTableId=table["RouteTableId"], DestinationCidrBlock=block,
                VpcPeeringConnectionId=pcx)  # fmt: skip
    _peers(lab, group)
    with lab.net.listen(server, to, 80):
        assert lab.net.tcp(client, to, 80) is None
        wide = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}]
        lab.ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=wide)
        lab.settle()
        assert lab.net.tcp(client, to, 80) == address
