"""Groups that several VPCs use (VPC User Guide, "Associate security groups with multiple VPCs")."""

from __future__ import annotations

import pytest
from ec2_account import Ec2


@pytest.fixture
def two(bare: Ec2) -> tuple[Ec2, str, str, str]:
    """An account with a group's VPC, another VPC, and the group."""
    home, other = bare.vpc("10.0.0.0/16"), bare.vpc("10.1.0.0/16")
    group = bare("CreateSecurityGroup", GroupName="shared", Description="x", VpcId=home)["GroupId"]
    return bare, home, other, group


def test_an_associated_group_may_be_used_and_listed(two: tuple[Ec2, str, str, str]) -> None:
    ec2, home, other, group = two
    subnet = ec2.subnet(other, "10.1.0.0/24")
    different = ec2.error("CreateNetworkInterface", SubnetId=subnet, Groups=[group])
    assert different == (
        "InvalidParameter",
        f"Security group {group} and subnet {subnet} belong to different networks.",
    )
    for _ in range(2):
        assert ec2("AssociateSecurityGroupVpc", GroupId=group, VpcId=other) == {"State": "associated"}
    (row,) = ec2("DescribeSecurityGroupVpcAssociations")["SecurityGroupVpcAssociations"]
    assert (row["GroupId"], row["VpcId"], row["State"]) == (group, other, "associated")
    for name, value, found in (("group-id", group, 1), ("vpc-id", home, 0), ("vpc-id", other, 1), ("state", "x", 0)):
        chosen = ec2("DescribeSecurityGroupVpcAssociations", Filters=[{"Name": name, "Values": [value]}])
        assert len(chosen["SecurityGroupVpcAssociations"]) == found
    usable = ec2("GetSecurityGroupsForVpc", VpcId=other)["SecurityGroupForVpcs"]
    assert {(one["GroupName"], one["PrimaryVpcId"]) for one in usable} == {("default", other), ("shared", home)}

    eni = ec2.interface(subnet, Groups=[group])["NetworkInterfaceId"]
    code, text = ec2.error("DisassociateSecurityGroupVpc", GroupId=group, VpcId=other)
    assert code == "DependencyViolation"
    assert eni in text
    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni)
    code, text = ec2.error("DeleteSecurityGroup", GroupId=group)
    assert code == "DependencyViolation"
    assert other in text
    assert ec2("DisassociateSecurityGroupVpc", GroupId=group, VpcId=other) == {"State": "disassociated"}
    assert ec2.error("DisassociateSecurityGroupVpc", GroupId=group, VpcId=other)[0].endswith("NotFound")
    ec2("DeleteSecurityGroup", GroupId=group)


def test_rules_of_the_other_vpc_may_name_it(two: tuple[Ec2, str, str, str]) -> None:
    ec2, _, other, group = two
    mine = ec2("CreateSecurityGroup", GroupName="mine", Description="x", VpcId=other)["GroupId"]
    peer = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": group}]}]
    request = {"GroupId": mine, "IpPermissions": peer}
    assert ec2.error("AuthorizeSecurityGroupIngress", **request)[0] == "InvalidGroup.NotFound"
    ec2("AssociateSecurityGroupVpc", GroupId=group, VpcId=other)
    assert ec2("AuthorizeSecurityGroupIngress", **request)["Return"] is True


def test_what_cannot_be_associated(ec2: Ec2) -> None:
    home, other = ec2.vpc("10.0.0.0/16"), ec2.vpc("10.1.0.0/16")
    group = ec2("CreateSecurityGroup", GroupName="shared", Description="x", VpcId=home)["GroupId"]
    groups = ec2("DescribeSecurityGroups", Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]
    own_default = next(one["GroupId"] for one in groups if one["VpcId"] == home)
    vpcs = ec2("DescribeVpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for wrong in (
        {"GroupId": own_default, "VpcId": other},
        {"GroupId": group, "VpcId": vpcs[0]["VpcId"]},
        {"GroupId": group, "VpcId": home},
    ):
        assert ec2.error("AssociateSecurityGroupVpc", **wrong)[0] == "InvalidParameterValue"
    theirs = ec2.other(account="444455556666").vpc("10.2.0.0/16")
    assert ec2.error("AssociateSecurityGroupVpc", GroupId=group, VpcId=theirs)[0] == "InvalidVpcID.NotFound"


def test_an_association_goes_with_its_vpc(two: tuple[Ec2, str, str, str]) -> None:
    ec2, _, other, group = two
    ec2("AssociateSecurityGroupVpc", GroupId=group, VpcId=other)
    ec2("DeleteVpc", VpcId=other)
    assert ec2("DescribeSecurityGroupVpcAssociations")["SecurityGroupVpcAssociations"] == []
    ec2("DeleteSecurityGroup", GroupId=group)
