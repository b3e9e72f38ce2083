"""Security groups and their rules."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import Ec2

MISSING = "0" * 16 + "f"


@pytest.fixture
def vpc(ec2: Ec2) -> str:
    return ec2.vpc()


def make(ec2: Ec2, vpc: str, name: str = "web") -> str:
    return str(ec2("CreateSecurityGroup", GroupName=name, Description=name, VpcId=vpc)["GroupId"])


def tcp(port: int, **peer: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}


def anywhere(port: int) -> dict[str, Any]:
    return tcp(port, IpRanges=[{"CidrIp": "0.0.0.0/0"}])


def test_a_new_group_admits_nothing_and_lets_all_out(ec2: Ec2, vpc: str) -> None:
    group = make(ec2, vpc)
    (shown,) = ec2("DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"]
    assert shown["IpPermissions"] == []
    assert shown["IpPermissionsEgress"] == [
        {
            "IpProtocol": "-1",
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            "Ipv6Ranges": [],
            "PrefixListIds": [],
            "UserIdGroupPairs": [],
        }
    ]
    assert shown["SecurityGroupArn"] == f"arn:aws:ec2:us-east-1:{ec2.account}:security-group/{group}"


def test_names(ec2: Ec2, vpc: str) -> None:
    make(ec2, vpc)
    named = {"Description": "x", "VpcId": vpc}
    assert ec2.error("CreateSecurityGroup", GroupName="web ", **named) == (
        "InvalidGroup.Duplicate",
        f"The security group 'web' already exists for VPC '{vpc}'",
    )
    make(ec2, ec2.vpc("10.1.0.0/16"))
    assert ec2.error("CreateSecurityGroup", GroupName="default", **named) == (
        "InvalidGroup.Reserved",
        "Cannot use reserved security group name: default",
    )
    for name in ("sg-mine", "ü", "a" * 256, "a;b`c`", ""):
        assert ec2.error("CreateSecurityGroup", GroupName=name, **named)[0] in (
            "InvalidParameterValue",
            "MissingParameter",
        )
    assert ec2.error("CreateSecurityGroup", GroupName="ok", Description="tab\t", VpcId=vpc)[0] == (
        "InvalidParameterValue"
    )


def test_the_default_group_cannot_be_deleted(ec2: Ec2, vpc: str) -> None:
    (group,) = ec2("DescribeSecurityGroups", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    key = group["GroupId"]
    assert ec2.error("DeleteSecurityGroup", GroupId=key) == (
        "CannotDelete",
        f'the specified group: "{key}" name: "default" cannot be deleted by a user',
    )


def test_a_group_in_use_stays(ec2: Ec2, vpc: str) -> None:
    web, app = make(ec2, vpc, "web"), make(ec2, vpc, "app")
    rule = tcp(80, UserIdGroupPairs=[{"GroupId": web}])
    ec2("AuthorizeSecurityGroupIngress", GroupId=app, IpPermissions=[rule])
    assert ec2.error("DeleteSecurityGroup", GroupId=web) == (
        "DependencyViolation",
        f"resource {web} has a dependent object (Dependents: {app}.)",
    )
    ec2("RevokeSecurityGroupIngress", GroupId=app, IpPermissions=[rule])
    eni = ec2.interface(ec2.subnet(vpc), Groups=[web])["NetworkInterfaceId"]
    assert ec2.error("DeleteSecurityGroup", GroupId=web)[0] == "DependencyViolation"
    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni)
    itself = tcp(80, UserIdGroupPairs=[{"GroupId": web}])
    ec2("AuthorizeSecurityGroupIngress", GroupId=web, IpPermissions=[itself])
    assert ec2("DeleteSecurityGroup", GroupId=web) == {"Return": True, "GroupId": web}
    ids = {row.group for row in ec2.store.snapshot.tables["security_group_rule"].values()}
    assert web not in ids


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        (anywhere(22), "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "peer: 0.0.0.0/0, ALL, ALLOW"),
        ({"IpProtocol": "50", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "peer: 0.0.0.0/0, protocol: 50, ALLOW"),
    ],
)
def test_duplicates(ec2: Ec2, vpc: str, permission: dict[str, Any], text: str) -> None:
    """One duplicate refuses the whole call, also inside one request."""
    group = make(ec2, vpc)
    ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission])
    both = [anywhere(8080), permission]
    assert ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=both) == (
        "InvalidPermission.Duplicate",
        f'the specified rule "{text}" already exists',
    )
    twice = [anywhere(8081), anywhere(8081)]
    assert ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=twice)[0] == (
        "InvalidPermission.Duplicate"
    )
    if text != "peer: 0.0.0.0/0, ALL, ALLOW":
        ec2("AuthorizeSecurityGroupEgress", GroupId=group, IpPermissions=[permission])


def test_rules_have_one_form_whatever_the_spelling(ec2: Ec2, vpc: str) -> None:
    group = make(ec2, vpc)
    for protocol, first, last, stored in (
        ("6", 80, 80, ("tcp", 80, 80)),
        ("UDP", 53, 53, ("udp", 53, 53)),
        ("tcp", -1, -1, ("tcp", 0, 65535)),
        ("icmp", -1, 7, ("icmp", -1, -1)),
        ("1", 8, -1, ("icmp", 8, -1)),
        ("58", None, None, ("icmpv6", -1, -1)),
        ("-1", 80, 80, ("-1", -1, -1)),
        ("50", 1, 2, ("50", -1, -1)),
    ):
        request = {"IpProtocol": protocol, "IpRanges": [{"CidrIp": "10.0.0.7/24"}]}
        if first is not None:
            request |= {"FromPort": first, "ToPort": last}
        reply = ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[request])
        (rule,) = reply["SecurityGroupRules"]
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == stored
        assert rule["CidrIpv4"] == "10.0.0.0/24"


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        (tcp(80), "MissingParameter"),
        (tcp(80, IpRanges=[{"CidrIp": "everybody"}]), "InvalidParameterValue"),
        (tcp(80, Ipv6Ranges=[{"CidrIpv6": "10.0.0.0/8"}]), "InvalidParameterValue"),
        (tcp(70000, IpRanges=[{"CidrIp": "0.0.0.0/0"}]), "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
        (
            {"IpProtocol": "tcp", "FromPort": 2, "ToPort": 1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            "InvalidParameterValue",
        ),
        ({"IpProtocol": "carrier-pigeon", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
        ({"IpProtocol": "300", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
        (tcp(80, UserIdGroupPairs=[{"GroupId": f"sg-{MISSING}"}]), "InvalidGroup.NotFound"),
        (tcp(80, UserIdGroupPairs=[{"GroupId": "sg-x"}]), "InvalidGroupId.Malformed"),
        (tcp(80, PrefixListIds=[{"PrefixListId": f"pl-{MISSING}"}]), "InvalidPrefixListID.NotFound"),
        (tcp(80, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "x" * 256}]), "InvalidParameterValue"),
    ],
)
def test_refused_rules(ec2: Ec2, vpc: str, permission: dict[str, Any], code: str) -> None:
    group = make(ec2, vpc)
    assert ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission])[0] == code


def test_a_peer_of_another_vpc(ec2: Ec2, vpc: str) -> None:
    group, foreign = make(ec2, vpc), make(ec2, ec2.vpc("10.1.0.0/16"))
    rule = tcp(80, UserIdGroupPairs=[{"GroupId": foreign}])
    code, text = ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[rule])
    assert code == "InvalidGroup.NotFound"
    assert "different networks" in text


def test_the_flat_form_and_names_in_the_default_vpc(ec2: Ec2) -> None:
    ec2("CreateSecurityGroup", GroupName="ssh", Description="ssh")
    flat = {"GroupName": "ssh", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    ec2("AuthorizeSecurityGroupIngress", **flat)
    ec2("AuthorizeSecurityGroupIngress", GroupName="ssh", SourceSecurityGroupName="default")
    (shown,) = ec2("DescribeSecurityGroups", GroupNames=["ssh"])["SecurityGroups"]
    assert [one["IpProtocol"] for one in shown["IpPermissions"]] == ["-1", "tcp"]
    ec2("RevokeSecurityGroupIngress", **flat)
    assert ec2.error("RevokeSecurityGroupIngress", **flat) == (
        "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.",
    )
    assert ec2.error("DeleteSecurityGroup", GroupName="nobody") == (
        "InvalidGroup.NotFound",
        "The security group 'nobody' does not exist in default VPC",
    )
    ec2("DeleteSecurityGroup", GroupName="ssh")


def test_revoking_what_is_not_there(ec2: Ec2, vpc: str) -> None:
    """Outside the default VPC the call succeeds and says what it did not find."""
    group = make(ec2, vpc)
    ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[anywhere(80)])
    reply = ec2("RevokeSecurityGroupIngress", GroupId=group, IpPermissions=[anywhere(80), anywhere(81)])
    assert [one["FromPort"] for one in reply["RevokedSecurityGroupRules"]] == [80]
    assert [one["FromPort"] for one in reply["UnknownIpPermissions"]] == [81]
    assert ec2.error("RevokeSecurityGroupIngress", GroupId=group, SecurityGroupRuleIds=[f"sgr-{MISSING}"]) == (
        "InvalidSecurityGroupRuleId.NotFound",
        f"The security group rule ID 'sgr-{MISSING}' does not exist",
    )


def test_a_rule_id_works_in_its_own_direction_only(ec2: Ec2, vpc: str) -> None:
    group = make(ec2, vpc)
    made = ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[anywhere(80)])
    key = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    assert ec2.error("RevokeSecurityGroupEgress", GroupId=group, SecurityGroupRuleIds=[key])[0] == (
        "InvalidSecurityGroupRuleId.NotFound"
    )
    ec2("RevokeSecurityGroupIngress", GroupId=group, SecurityGroupRuleIds=[key])
    assert ec2.error("DescribeSecurityGroupRules", SecurityGroupRuleIds=[key])[0] == (
        "InvalidSecurityGroupRuleId.NotFound"
    )


def test_rule_quota_counts_families_apart(ec2: Ec2, vpc: str) -> None:
    ec2.quotas["rules_per_group"] = 2
    group = make(ec2, vpc)

    def add(**peer: Any) -> dict[str, Any]:
        return {"GroupId": group, "IpPermissions": [tcp(80, **peer)]}

    ec2("AuthorizeSecurityGroupIngress", **add(IpRanges=[{"CidrIp": "10.0.0.0/8"}]))
    ec2("AuthorizeSecurityGroupIngress", **add(IpRanges=[{"CidrIp": "11.0.0.0/8"}]))
    ec2("AuthorizeSecurityGroupIngress", **add(Ipv6Ranges=[{"CidrIpv6": "::/0"}]))
    full = (
        "RulesPerSecurityGroupLimitExceeded",
        "The maximum number of rules per security group has been reached.",
    )
    assert ec2.error("AuthorizeSecurityGroupIngress", **add(IpRanges=[{"CidrIp": "12.0.0.0/8"}])) == full
    assert ec2.error("AuthorizeSecurityGroupIngress", **add(UserIdGroupPairs=[{"GroupId": group}])) == full


def test_rules_change_in_place(ec2: Ec2, vpc: str) -> None:
    group = make(ec2, vpc)
    made = ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[anywhere(80), anywhere(81)])
    first, _ = (one["SecurityGroupRuleId"] for one in made["SecurityGroupRules"])

    def change(**wanted: Any) -> dict[str, Any]:
        update = {"SecurityGroupRuleId": first, "SecurityGroupRule": {"IpProtocol": "tcp", **wanted}}
        return {"GroupId": group, "SecurityGroupRules": [update]}

    ec2("ModifySecurityGroupRules", **change(FromPort=443, ToPort=443, CidrIpv4="10.0.0.0/8", Description="d"))
    (rule,) = ec2("DescribeSecurityGroupRules", SecurityGroupRuleIds=[first])["SecurityGroupRules"]
    assert (rule["FromPort"], rule["CidrIpv4"], rule["Description"]) == (443, "10.0.0.0/8", "d")
    taken = change(FromPort=81, ToPort=81, CidrIpv4="0.0.0.0/0")
    assert ec2.error("ModifySecurityGroupRules", **taken)[0] == "InvalidPermission.Duplicate"
    two_peers = change(FromPort=1, ToPort=1, CidrIpv4="0.0.0.0/0", CidrIpv6="::/0")
    assert ec2.error("ModifySecurityGroupRules", **two_peers)[0] == "InvalidParameterCombination"


def test_descriptions(ec2: Ec2, vpc: str) -> None:
    group = make(ec2, vpc)
    made = ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[anywhere(80)])
    key = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    named = {"GroupId": group, "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": key, "Description": "one"}]}
    ec2("UpdateSecurityGroupRuleDescriptionsIngress", **named)

    def shown() -> str | None:
        (rule,) = ec2("DescribeSecurityGroupRules", SecurityGroupRuleIds=[key])["SecurityGroupRules"]
        text: str | None = rule.get("Description")
        return text

    assert shown() == "one"
    by_content = tcp(80, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "two"}])
    ec2("UpdateSecurityGroupRuleDescriptionsIngress", GroupId=group, IpPermissions=[by_content])
    assert shown() == "two"
    ec2("UpdateSecurityGroupRuleDescriptionsIngress", GroupId=group, IpPermissions=[anywhere(80)])
    assert shown() is None
    assert ec2.error("UpdateSecurityGroupRuleDescriptionsIngress", GroupId=group, IpPermissions=[anywhere(9)])[0] == (
        "InvalidPermission.NotFound"
    )


def test_group_filters_look_into_rules(ec2: Ec2, vpc: str) -> None:
    web, app = make(ec2, vpc, "web"), make(ec2, vpc, "app")
    ec2("AuthorizeSecurityGroupIngress", GroupId=web, IpPermissions=[anywhere(80)])
    ec2("AuthorizeSecurityGroupIngress", GroupId=app, IpPermissions=[tcp(81, UserIdGroupPairs=[{"GroupId": web}])])
    for name, value, found in (
        ("ip-permission.cidr", "0.0.0.0/0", [web]),
        ("ip-permission.to-port", "81", [app]),
        ("ip-permission.group-id", web, [app]),
        ("ip-permission.group-name", "web", [app]),
        ("egress.ip-permission.protocol", "tcp", []),
        ("group-name", "?pp", [app]),
    ):
        filters = [{"Name": name, "Values": [value]}, {"Name": "vpc-id", "Values": [vpc]}]
        shown = ec2("DescribeSecurityGroups", Filters=filters)["SecurityGroups"]
        assert [one["GroupId"] for one in shown] == found, name
    rules = ec2("DescribeSecurityGroupRules", Filters=[{"Name": "group-id", "Values": [app]}])["SecurityGroupRules"]
    assert {(one["IsEgress"], one.get("ReferencedGroupInfo", {}).get("GroupId")) for one in rules} == {
        (True, None),
        (False, web),
    }
    in_vpc = ec2("GetSecurityGroupsForVpc", VpcId=vpc)["SecurityGroupForVpcs"]
    assert {one["GroupName"] for one in in_vpc} == {"default", "web", "app"}
    assert ec2("DescribeSecurityGroupReferences", GroupId=[web]) == {"SecurityGroupReferenceSet": []}


def test_group_quota(ec2: Ec2, vpc: str) -> None:
    ec2.quotas["groups_per_region"] = 2
    assert ec2.error("CreateSecurityGroup", GroupName="a", Description="b", VpcId=vpc) == (
        "SecurityGroupLimitExceeded",
        "The maximum number of security groups has been reached.",
    )


def test_unknown_groups(ec2: Ec2) -> None:
    assert ec2.error("DescribeSecurityGroups", GroupIds=[f"sg-{MISSING}"]) == (
        "InvalidGroup.NotFound",
        f"The security group 'sg-{MISSING}' does not exist",
    )
    assert ec2.error("DescribeSecurityGroups", GroupIds=["web"]) == (
        "InvalidGroupId.Malformed",
        'Invalid id: "web" (expecting "sg-...")',
    )
