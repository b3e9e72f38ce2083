"""Protocols, ICMP types and names in the one form in which they are stored; who is refused, with which text."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import Ec2

ANY = [{"CidrIp": "0.0.0.0/0"}]


@pytest.fixture
def vpc(ec2: Ec2) -> str:
    return ec2.vpc()


@pytest.fixture
def group(ec2: Ec2, vpc: str) -> str:
    return str(ec2("CreateSecurityGroup", GroupName="Web", Description="web", VpcId=vpc)["GroupId"])


@pytest.fixture
def acl(ec2: Ec2, vpc: str) -> str:
    return str(ec2("CreateNetworkAcl", VpcId=vpc)["NetworkAcl"]["NetworkAclId"])


def rules(ec2: Ec2, group: str) -> list[tuple[str, int, int]]:
    found = ec2("DescribeSecurityGroupRules", Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    return [(r["IpProtocol"], r["FromPort"], r["ToPort"]) for r in found if not r["IsEgress"]]


@pytest.mark.parametrize("name", ["web", "WEB", "wEb  "])
def test_names_are_the_same_whatever_their_case(ec2: Ec2, vpc: str, group: str, name: str) -> None:
    code, text = ec2.error("CreateSecurityGroup", GroupName=name, Description="x", VpcId=vpc)
    assert (code, text) == (
        "InvalidGroup.Duplicate",
        f"The security group '{name.rstrip()}' already exists for VPC '{vpc}'",
    )
    assert ec2.error("CreateSecurityGroup", GroupName="Default", Description="x", VpcId=vpc)[0] == (
        "InvalidGroup.Reserved"
    )


@pytest.mark.parametrize("number", range(256))
def test_every_protocol_number_has_one_form(ec2: Ec2, group: str, number: int) -> None:
    permission = {"IpProtocol": f"{number:03}", "FromPort": 8, "ToPort": 8, "IpRanges": ANY}
    ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission])
    names = {1: ("icmp", 8, 8), 6: ("tcp", 8, 8), 17: ("udp", 8, 8), 58: ("icmpv6", 8, 8)}
    assert rules(ec2, group) == [names.get(number, (str(number), -1, -1))]
    same = {**permission, "IpProtocol": str(number)}
    assert ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[same])[0] == (
        "InvalidPermission.Duplicate"
    )


@pytest.mark.parametrize("protocol", ["256", "-2", "٣", "tcp ", "0x6", "all", "1e1", "６", "99999999999999999999", "²"])
def test_what_is_no_protocol(ec2: Ec2, group: str, acl: str, protocol: str) -> None:
    permission = {"IpProtocol": protocol, "FromPort": 8, "ToPort": 8, "IpRanges": ANY}
    assert ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission])[0] == (
        "InvalidParameterValue"
    )
    if protocol != "all":
        assert ec2.error("CreateNetworkAclEntry", **entry(acl, Protocol=protocol))[0] == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        (
            {"IpProtocol": "icmp", "FromPort": 8, "ToPort": 0, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
            "peer: 10.0.0.0/8, ICMP, type: 8, code: 0, ALLOW",
        ),
        (
            {"IpProtocol": "udp", "FromPort": 53, "ToPort": 60, "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]},
            "peer: 2001:db8::/32, UDP, from port: 53, to port: 60, ALLOW",
        ),
        ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "{group}"}]}, "peer: {group}, ALL, ALLOW"),
        ({"IpProtocol": "50", "PrefixListIds": [{"PrefixListId": "{list}"}]}, "peer: {list}, protocol: 50, ALLOW"),
    ],
)
def test_the_text_about_a_duplicate_names_each_kind_of_peer(
    ec2: Ec2, group: str, permission: dict[str, Any], text: str
) -> None:
    made = ec2("CreateManagedPrefixList", PrefixListName="l", MaxEntries=1, AddressFamily="IPv4")["PrefixList"]
    ids = {"group": group, "list": made["PrefixListId"]}
    for member, name in (("UserIdGroupPairs", "GroupId"), ("PrefixListIds", "PrefixListId")):
        if member in permission:
            permission = {**permission, member: [{name: permission[member][0][name].format(**ids)}]}
    request = {"GroupId": group, "IpPermissions": [permission]}
    ec2("AuthorizeSecurityGroupIngress", **request)
    assert ec2.error("AuthorizeSecurityGroupIngress", **request) == (
        "InvalidPermission.Duplicate",
        f'the specified rule "{text.format(**ids)}" already exists',
    )


def test_a_rule_is_modified_in_every_member(ec2: Ec2, group: str) -> None:
    made = ec2("CreateManagedPrefixList", PrefixListName="l", MaxEntries=1, AddressFamily="IPv6")["PrefixList"]
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": ANY}
    (rule,) = ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission])["SecurityGroupRules"]
    key = rule["SecurityGroupRuleId"]
    for peer in (
        {"CidrIpv4": "10.1.2.0/24"},
        {"CidrIpv6": "2001:db8::/32"},
        {"PrefixListId": made["PrefixListId"]},
        {"ReferencedGroupId": group},
    ):
        wanted = {"IpProtocol": "udp", "FromPort": 1, "ToPort": 2, "Description": "new", **peer}
        changes = [{"SecurityGroupRuleId": key, "SecurityGroupRule": wanted}]
        ec2("ModifySecurityGroupRules", GroupId=group, SecurityGroupRules=changes)
        (shown,) = ec2("DescribeSecurityGroupRules", SecurityGroupRuleIds=[key])["SecurityGroupRules"]
        assert (shown["IpProtocol"], shown["FromPort"], shown["ToPort"]) == ("udp", 1, 2)
        assert shown["Description"] == "new"
        peers = {name for name in ("CidrIpv4", "CidrIpv6", "PrefixListId") if name in shown}
        assert peers | ({"ReferencedGroupId"} if "ReferencedGroupInfo" in shown else set()) == set(peer)
    two = {"IpProtocol": "-1", "CidrIpv4": "10.0.0.0/8", "CidrIpv6": "::/0"}
    changes = [{"SecurityGroupRuleId": key, "SecurityGroupRule": two}]
    assert ec2.error("ModifySecurityGroupRules", GroupId=group, SecurityGroupRules=changes)[0] == (
        "InvalidParameterCombination"
    )


def test_groups_of_an_interface_are_limited(ec2: Ec2, vpc: str) -> None:
    made = [
        str(ec2("CreateSecurityGroup", GroupName=f"g{n}", Description="x", VpcId=vpc)["GroupId"]) for n in range(17)
    ]
    subnet = ec2.subnet(vpc)
    refused = ("SecurityGroupsPerInterfaceLimitExceeded",)
    assert ec2.error("CreateNetworkInterface", SubnetId=subnet, Groups=made[:6])[:1] == refused
    ec2.quotas.update(groups_per_interface=16)
    eni = ec2.interface(subnet, Groups=made[:16])["NetworkInterfaceId"]
    assert ec2.error("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, Groups=made)[:1] == refused


# ── network ACLs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def entry(acl: str, **changes: Any) -> dict[str, Any]:
    request = {"RuleNumber": 100, "Protocol": "6", "RuleAction": "allow", "Egress": False, "CidrBlock": "10.0.0.0/8"}
    return {"NetworkAclId": acl, "PortRange": {"From": 80, "To": 80}, **request, **changes}


def shown(ec2: Ec2, acl: str) -> dict[str, Any]:
    (row,) = ec2("DescribeNetworkAcls", NetworkAclIds=[acl])["NetworkAcls"]
    return dict(next(one for one in row["Entries"] if one["RuleNumber"] == 100))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Protocol": "006"}, {"Protocol": "6", "PortRange": {"From": 80, "To": 80}}),
        ({"Protocol": "50"}, {"Protocol": "50"}),
        ({"Protocol": "-1"}, {"Protocol": "-1"}),
        (
            {"Protocol": "1", "IcmpTypeCode": {"Type": 3, "Code": 4}},
            {"Protocol": "1", "IcmpTypeCode": {"Type": 3, "Code": 4}},
        ),
        (
            {"Protocol": "icmp", "IcmpTypeCode": {"Type": -1, "Code": 4}},
            {"Protocol": "1", "IcmpTypeCode": {"Type": -1, "Code": -1}},
        ),
        ({"Protocol": "58"}, {"Protocol": "58"}),
        (
            {
                "Protocol": "58",
                "CidrBlock": "",
                "Ipv6CidrBlock": "2001:db8::/32",
                "IcmpTypeCode": {"Type": 2, "Code": -1},
            },
            {"Protocol": "58", "IcmpTypeCode": {"Type": 2, "Code": -1}},
        ),
    ],
)
def test_an_entry_is_stored_in_one_form(ec2: Ec2, acl: str, changes: dict[str, Any], expected: dict[str, Any]) -> None:
    ec2("CreateNetworkAclEntry", **entry(acl, **changes))
    found = shown(ec2, acl)
    assert {name: found[name] for name in ("Protocol", "PortRange", "IcmpTypeCode") if name in found} == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Protocol": "1"}, "MissingParameter"),
        ({"Protocol": "1", "IcmpTypeCode": {"Type": 256, "Code": 0}}, "InvalidParameterValue"),
        ({"Protocol": "1", "IcmpTypeCode": {"Type": 8, "Code": -2}}, "InvalidParameterValue"),
        ({"Protocol": "58", "CidrBlock": "", "Ipv6CidrBlock": "::/0"}, "MissingParameter"),
        ({"Ipv6CidrBlock": "::/0"}, "InvalidParameterCombination"),
        ({"CidrBlock": ""}, "MissingParameter"),
        ({"PortRange": {"From": 2, "To": 1}}, "InvalidParameterValue"),
        ({"PortRange": {"From": 1}}, "MissingParameter"),
        ({"RuleNumber": 0}, "InvalidParameterValue"),
        ({"RuleNumber": 32767}, "InvalidParameterValue"),
        ({"RuleAction": "drop"}, "InvalidParameterValue"),
    ],
)
def test_entries_that_are_refused(ec2: Ec2, acl: str, changes: dict[str, Any], code: str) -> None:
    assert ec2.error("CreateNetworkAclEntry", **entry(acl, **changes))[0] == code


def test_entries_are_limited_per_direction(ec2: Ec2, acl: str) -> None:
    for number in range(1, 21):
        ec2("CreateNetworkAclEntry", **entry(acl, RuleNumber=number))
    ec2("CreateNetworkAclEntry", **entry(acl, RuleNumber=21, Egress=True))
    assert ec2.error("CreateNetworkAclEntry", **entry(acl, RuleNumber=21)) == (
        "NetworkAclEntryLimitExceeded",
        "The maximum number of network ACL entries has been reached.",
    )
    ec2.quotas["entries_per_acl"] = 40
    ec2("CreateNetworkAclEntry", **entry(acl, RuleNumber=21))
