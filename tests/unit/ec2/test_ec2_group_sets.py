"""The numbers that a VPC's sets of security groups have in its packet filter."""

from __future__ import annotations

import pytest
from ec2_account import Ec2

from ecsnet.model.tables import GROUP_SETS, INTERFACES, group_set_key
from ecsnet.services.ec2.ops import number_group_sets


@pytest.fixture
def vpc(ec2: Ec2) -> str:
    return ec2.vpc("10.0.0.0/16")


@pytest.fixture
def subnet(ec2: Ec2, vpc: str) -> str:
    return ec2.subnet(vpc, "10.0.0.0/24")


def group(ec2: Ec2, vpc: str, name: str) -> str:
    return str(ec2("CreateSecurityGroup", GroupName=name, Description=name, VpcId=vpc)["GroupId"])


def interface(ec2: Ec2, subnet: str, *groups: str) -> str:
    return str(ec2.interface(subnet, Groups=list(groups))["NetworkInterfaceId"])


def number(ec2: Ec2, eni: str) -> int:
    row = ec2.store.snapshot.get(INTERFACES, eni)
    assert row is not None
    found = ec2.store.snapshot.get(GROUP_SETS, group_set_key(row.vpc, row.groups))
    assert found is not None, "an interface's groups have no number"
    return found.ordinal


def sets(ec2: Ec2) -> int:
    return sum(1 for _ in ec2.store.snapshot.rows(GROUP_SETS))


def test_interfaces_with_the_same_groups_in_any_order_share_a_number(ec2: Ec2, vpc: str, subnet: str) -> None:
    one, other = group(ec2, vpc, "one"), group(ec2, vpc, "other")
    both = number(ec2, interface(ec2, subnet, one, other))
    assert number(ec2, interface(ec2, subnet, other, one)) == both
    assert len({both, number(ec2, interface(ec2, subnet, one)), number(ec2, interface(ec2, subnet, other))}) == 3


def test_a_number_belongs_to_one_vpc(ec2: Ec2, vpc: str, subnet: str) -> None:
    interface(ec2, subnet, group(ec2, vpc, "one"))
    elsewhere = ec2.vpc("10.1.0.0/16")
    eni = interface(ec2, ec2.subnet(elsewhere, "10.1.0.0/24"), group(ec2, elsewhere, "one"))
    assert number(ec2, eni) == 1


def test_other_groups_of_an_interface_have_a_number_before_it_has_them(ec2: Ec2, vpc: str, subnet: str) -> None:
    one, other = group(ec2, vpc, "one"), group(ec2, vpc, "other")
    eni = interface(ec2, subnet, one)
    before = number(ec2, eni)
    ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, Groups=[other, other])
    assert number(ec2, eni) != before
    ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, Groups=[one])
    assert number(ec2, eni) == before


def test_other_groups_of_an_instance_have_a_number_too(ec2: Ec2, vpc: str, subnet: str) -> None:
    one, other = group(ec2, vpc, "one"), group(ec2, vpc, "other")
    (made,) = ec2("RunInstances", ImageId="ami-1", SubnetId=subnet, SecurityGroupIds=[one], MinCount=1, MaxCount=1)[
        "Instances"
    ]
    eni = made["NetworkInterfaces"][0]["NetworkInterfaceId"]
    before = number(ec2, eni)
    ec2("ModifyInstanceAttribute", InstanceId=made["InstanceId"], Groups=[other])
    assert number(ec2, eni) != before


def test_a_set_goes_with_any_of_its_groups_and_its_number_is_not_given_again(ec2: Ec2, vpc: str, subnet: str) -> None:
    """What the kernel still holds of an interface that is gone must never mean other groups."""
    one, other = group(ec2, vpc, "one"), group(ec2, vpc, "other")
    eni = interface(ec2, subnet, one, other)
    last = number(ec2, eni)
    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni)
    ec2("DeleteSecurityGroup", GroupId=other)
    assert sets(ec2) == 0
    assert number(ec2, interface(ec2, subnet, one)) > last


def test_a_vpc_leaves_no_sets(ec2: Ec2, vpc: str, subnet: str) -> None:
    ec2("DeleteNetworkInterface", NetworkInterfaceId=interface(ec2, subnet))
    assert sets(ec2) == 1
    ec2("DeleteSubnet", SubnetId=subnet)
    ec2("DeleteVpc", VpcId=vpc)
    assert sets(ec2) == 0


def test_a_shared_groups_sets_go_with_the_vpc_that_used_it(ec2: Ec2, vpc: str) -> None:
    elsewhere = ec2.vpc("10.1.0.0/16")
    subnet = ec2.subnet(elsewhere, "10.1.0.0/24")
    shared = group(ec2, vpc, "shared")
    ec2("AssociateSecurityGroupVpc", GroupId=shared, VpcId=elsewhere)
    ec2("DeleteNetworkInterface", NetworkInterfaceId=interface(ec2, subnet, shared))
    assert sets(ec2) == 1
    ec2("DeleteSubnet", SubnetId=subnet)
    ec2("DisassociateSecurityGroupVpc", GroupId=shared, VpcId=elsewhere)
    ec2("DeleteVpc", VpcId=elsewhere)
    assert sets(ec2) == 0


def test_a_store_of_before_gets_its_numbers(ec2: Ec2, vpc: str, subnet: str) -> None:
    one, other = group(ec2, vpc, "one"), group(ec2, vpc, "other")
    enis = [interface(ec2, subnet, one), interface(ec2, subnet, other), interface(ec2, subnet, one)]
    with ec2.store.transaction() as tx:
        for row in list(tx.rows(GROUP_SETS)):
            tx.delete(GROUP_SETS, group_set_key(row.vpc, row.groups))
        number_group_sets(tx)
    numbers = [number(ec2, eni) for eni in enis]
    assert numbers[0] == numbers[2] != numbers[1]
    before = ec2.store.snapshot
    with ec2.store.transaction() as tx:
        number_group_sets(tx)
    assert ec2.store.snapshot is before
