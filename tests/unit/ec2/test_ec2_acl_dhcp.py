"""Network ACLs and DHCP option sets."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import Ec2

MISSING = "0" * 16 + "f"


@pytest.fixture
def acl(ec2: Ec2) -> str:
    return str(ec2("CreateNetworkAcl", VpcId=ec2.vpc())["NetworkAcl"]["NetworkAclId"])


def entry(acl: str, number: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "NetworkAclId": acl,
        "RuleNumber": number,
        "Protocol": "6",
        "RuleAction": "allow",
        "Egress": False,
        "CidrBlock": "10.0.0.0/8",
        "PortRange": {"From": 80, "To": 80},
        **changes,
    }


def shown(ec2: Ec2, acl: str) -> list[tuple[int, bool, str, str]]:
    (row,) = ec2("DescribeNetworkAcls", NetworkAclIds=[acl])["NetworkAcls"]
    return [(one["RuleNumber"], one["Egress"], one["Protocol"], one["RuleAction"]) for one in row["Entries"]]


def test_a_new_acl_denies_all(ec2: Ec2, acl: str) -> None:
    assert shown(ec2, acl) == [(32767, True, "-1", "deny"), (32767, False, "-1", "deny")]


def test_entries_come_in_order_of_their_numbers(ec2: Ec2, acl: str) -> None:
    ec2("CreateNetworkAclEntry", **entry(acl, 200))
    ec2("CreateNetworkAclEntry", **entry(acl, 100, Protocol="udp"))
    ec2("CreateNetworkAclEntry", **entry(acl, 100, Egress=True, Protocol="-1"))
    assert shown(ec2, acl) == [
        (100, True, "-1", "allow"),
        (32767, True, "-1", "deny"),
        (100, False, "17", "allow"),
        (200, False, "6", "allow"),
        (32767, False, "-1", "deny"),
    ]
    assert ec2.error("CreateNetworkAclEntry", **entry(acl, 200)) == (
        "NetworkAclEntryAlreadyExists",
        "The network acl entry identified by 200 already exists.",
    )
    ec2("ReplaceNetworkAclEntry", **entry(acl, 200, RuleAction="deny"))
    ec2("DeleteNetworkAclEntry", NetworkAclId=acl, RuleNumber=100, Egress=True)
    assert shown(ec2, acl)[2] == (200, False, "6", "deny")
    for operation, request in (
        ("DeleteNetworkAclEntry", {"NetworkAclId": acl, "RuleNumber": 100, "Egress": True}),
        ("ReplaceNetworkAclEntry", entry(acl, 7)),
    ):
        assert ec2.error(operation, **request)[0] == "InvalidNetworkAclEntry.NotFound"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"RuleNumber": 0}, "InvalidParameterValue"),
        ({"RuleNumber": 32767}, "InvalidParameterValue"),
        ({"Protocol": "256"}, "InvalidParameterValue"),
        ({"Protocol": "pigeon"}, "InvalidParameterValue"),
        ({"PortRange": {}}, "MissingParameter"),
        ({"PortRange": {"From": 2, "To": 1}}, "InvalidParameterValue"),
        ({"Protocol": "1"}, "MissingParameter"),
        ({"CidrBlock": ""}, "MissingParameter"),
        ({"CidrBlock": "10.0.0.0/64"}, "InvalidParameterValue"),
        ({"RuleAction": "maybe"}, "InvalidParameterValue"),
    ],
)
def test_refused_entries(ec2: Ec2, acl: str, changes: dict[str, Any], code: str) -> None:
    assert ec2.error("CreateNetworkAclEntry", **(entry(acl) | changes))[0] == code


def test_entry_details_and_limit(ec2: Ec2, acl: str) -> None:
    ec2("CreateNetworkAclEntry", **entry(acl, 1, Protocol="1", IcmpTypeCode={"Type": 8, "Code": -1}))
    ec2("CreateNetworkAclEntry", **entry(acl, 2, CidrBlock="10.1.2.3/8"))
    (row,) = ec2("DescribeNetworkAcls", Filters=[{"Name": "entry.icmp.type", "Values": ["8"]}])["NetworkAcls"]
    icmp, tcp = (one for one in row["Entries"] if one["RuleNumber"] in (1, 2))
    assert icmp["IcmpTypeCode"] == {"Type": 8, "Code": -1}
    assert (tcp["PortRange"], tcp["CidrBlock"]) == ({"From": 80, "To": 80}, "10.0.0.0/8")
    ec2.quotas["entries_per_acl"] = 2
    assert ec2.error("CreateNetworkAclEntry", **entry(acl, 3))[0] == "NetworkAclEntryLimitExceeded"
    ec2("CreateNetworkAclEntry", **entry(acl, 3, Egress=True))


def test_a_subnet_moves_between_acls(ec2: Ec2, acl: str) -> None:
    (row,) = ec2("DescribeNetworkAcls", NetworkAclIds=[acl])["NetworkAcls"]
    subnet = ec2.subnet(row["VpcId"])
    of_subnet = [{"Name": "association.subnet-id", "Values": [subnet]}]
    (default,) = ec2("DescribeNetworkAcls", Filters=of_subnet)["NetworkAcls"]
    assert default["IsDefault"]
    old = default["Associations"][0]["NetworkAclAssociationId"]
    new = ec2("ReplaceNetworkAclAssociation", AssociationId=old, NetworkAclId=acl)["NewAssociationId"]
    assert new != old
    (now,) = ec2("DescribeNetworkAcls", Filters=of_subnet)["NetworkAcls"]
    assert now["NetworkAclId"] == acl
    code, text = ec2.error("DeleteNetworkAcl", NetworkAclId=acl)
    assert code == "DependencyViolation"
    assert text.startswith(f"The network ACL '{acl}' has dependencies and cannot be deleted.")
    assert ec2.error("DeleteNetworkAcl", NetworkAclId=default["NetworkAclId"])[0] == "DependencyViolation"
    assert ec2.error("ReplaceNetworkAclAssociation", AssociationId=old, NetworkAclId=acl)[0] == (
        "InvalidAssociationID.NotFound"
    )
    ec2("DeleteSubnet", SubnetId=subnet)
    ec2("DeleteNetworkAcl", NetworkAclId=acl)
    assert ec2.error("DeleteNetworkAcl", NetworkAclId=acl) == (
        "InvalidNetworkAclID.NotFound",
        f"The network acl ID '{acl}' does not exist",
    )


def test_dhcp_options(ec2: Ec2) -> None:
    wanted = [
        {"Key": "domain-name", "Values": ["corp.example"]},
        {"Key": "domain-name-servers", "Values": ["10.0.0.2", "10.0.0.3"]},
    ]
    made = ec2("CreateDhcpOptions", DhcpConfigurations=wanted)["DhcpOptions"]
    key, vpc = made["DhcpOptionsId"], ec2.vpc()
    ec2("AssociateDhcpOptions", DhcpOptionsId=key, VpcId=vpc)
    (seen,) = ec2("DescribeVpcs", Filters=[{"Name": "dhcp-options-id", "Values": [key]}])["Vpcs"]
    assert seen["VpcId"] == vpc
    by_value = [{"Name": "value", "Values": ["*.example"]}]
    assert [one["DhcpOptionsId"] for one in ec2("DescribeDhcpOptions", Filters=by_value)["DhcpOptions"]] == [key]
    code, text = ec2.error("DeleteDhcpOptions", DhcpOptionsId=key)
    assert code == "DependencyViolation"
    assert vpc in text
    ec2("AssociateDhcpOptions", DhcpOptionsId="default", VpcId=vpc)
    ec2("DeleteDhcpOptions", DhcpOptionsId=key)
    assert ec2.error("AssociateDhcpOptions", DhcpOptionsId=key, VpcId=vpc) == (
        "InvalidDhcpOptionID.NotFound",
        f"DhcpOptionID {key} does not exist.",
    )
    wrong = [{"Key": "colour", "Values": ["red"]}]
    assert ec2.error("CreateDhcpOptions", DhcpConfigurations=wrong)[0] == "InvalidParameterValue"
