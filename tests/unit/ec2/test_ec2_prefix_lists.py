"""The account's own prefix lists: versions, sizes, what names them, and what a reference counts."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import Ec2

MISSING = "0" * 16 + "f"
Blocks = list[dict[str, str]]


def blocks(*texts: str) -> Blocks:
    return [{"Cidr": text} for text in texts]


def make(ec2: Ec2, *texts: str, size: int = 5, family: str = "IPv4", name: str = "offices", **more: Any) -> str:
    reply = ec2(
        "CreateManagedPrefixList",
        PrefixListName=name,
        MaxEntries=size,
        AddressFamily=family,
        Entries=blocks(*texts),
        **more,
    )
    return str(reply["PrefixList"]["PrefixListId"])


def shown(ec2: Ec2, key: str) -> dict[str, Any]:
    (found,) = ec2("DescribeManagedPrefixLists", PrefixListIds=[key])["PrefixLists"]
    return dict(found)


def entries(ec2: Ec2, key: str, **more: Any) -> list[str]:
    return [one["Cidr"] for one in ec2("GetManagedPrefixListEntries", PrefixListId=key, **more)["Entries"]]


def test_a_list_is_made_and_shown(ec2: Ec2) -> None:
    tags = [{"ResourceType": "prefix-list", "Tags": [{"Key": "team", "Value": "net"}]}]
    key = make(ec2, "198.51.100.7/24", "10.0.0.0/8", TagSpecifications=tags)
    assert shown(ec2, key) == {
        "PrefixListId": key,
        "PrefixListName": "offices",
        "PrefixListArn": f"arn:aws:ec2:us-east-1:{ec2.account}:prefix-list/{key}",
        "AddressFamily": "IPv4",
        "State": "create-complete",
        "MaxEntries": 5,
        "Version": 1,
        "OwnerId": ec2.account,
        "Tags": [{"Key": "team", "Value": "net"}],
    }
    assert entries(ec2, key) == ["10.0.0.0/8", "198.51.100.0/24"]
    by_tag = ec2("DescribeManagedPrefixLists", Filters=[{"Name": "tag:team", "Values": ["net"]}])
    assert [one["PrefixListId"] for one in by_tag["PrefixLists"]] == [key]
    owners = {one["OwnerId"] for one in ec2("DescribeManagedPrefixLists")["PrefixLists"]}
    assert owners == {"AWS", ec2.account}
    assert key not in {one["PrefixListId"] for one in ec2("DescribePrefixLists")["PrefixLists"]}
    assert ec2.other(region="eu-west-1").error("GetManagedPrefixListEntries", PrefixListId=key) == (
        "InvalidPrefixListID.NotFound",
        f"The prefix list ID '{key}' does not exist",
    )


def test_a_client_token_makes_nothing_twice(ec2: Ec2) -> None:
    assert make(ec2, "10.0.0.0/8", ClientToken="one") == make(ec2, "10.0.0.0/8", ClientToken="one")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"AddressFamily": "IPv5"}, "InvalidParameterValue"),
        ({"MaxEntries": 0}, "InvalidParameterValue"),
        ({"MaxEntries": 1001}, "InvalidParameterValue"),
        ({"PrefixListName": "com.amazonaws.mine"}, "InvalidParameterValue"),
        ({"PrefixListName": "x" * 256}, "InvalidParameterValue"),
        ({"PrefixListName": ""}, "InvalidParameterValue"),
        ({"Entries": blocks("10.0.0.0/8", "10.1.2.3/8")}, "InvalidParameterValue"),
        ({"Entries": blocks("2001:db8::/32")}, "InvalidParameterValue"),
        ({"Entries": blocks("10.0.0.1")}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "10.0.0.0/8", "Description": "x" * 256}]}, "InvalidParameterValue"),
        ({"Entries": blocks("10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/10")}, "PrefixListMaxEntriesExceeded"),
        ({"Entries": blocks(*(f"10.0.{n}.0/24" for n in range(101)))}, "InvalidParameterValue"),
    ],
)
def test_what_is_refused(ec2: Ec2, changes: dict[str, Any], code: str) -> None:
    request = {"PrefixListName": "n", "MaxEntries": 2, "AddressFamily": "IPv4", **changes}
    assert ec2.error("CreateManagedPrefixList", **request)[0] == code


def test_changes_make_versions_that_can_be_restored(ec2: Ec2) -> None:
    key = make(ec2, "10.0.0.0/8")
    changed = ec2(
        "ModifyManagedPrefixList",
        PrefixListId=key,
        CurrentVersion=1,
        AddEntries=blocks("198.51.100.0/24"),
        RemoveEntries=blocks("10.0.0.0/8"),
    )["PrefixList"]
    assert (changed["Version"], changed["State"]) == (2, "modify-complete")
    assert ec2.error("ModifyManagedPrefixList", PrefixListId=key, CurrentVersion=1, AddEntries=blocks("1.0.0.0/8")) == (
        "PrefixListVersionMismatch",
        "The prefix list has the incorrect version number.",
    )
    assert entries(ec2, key) == ["198.51.100.0/24"]
    assert entries(ec2, key, TargetVersion=1) == ["10.0.0.0/8"]
    assert ec2.error("GetManagedPrefixListEntries", PrefixListId=key, TargetVersion=3)[0] == (
        "InvalidPrefixListVersion.NotFound"
    )
    restore = {"PrefixListId": key, "PreviousVersion": 1}
    assert ec2.error("RestoreManagedPrefixListVersion", **restore, CurrentVersion=1)[0] == "PrefixListVersionMismatch"
    back = ec2("RestoreManagedPrefixListVersion", **restore, CurrentVersion=2)["PrefixList"]
    assert (back["Version"], back["State"]) == (3, "restore-complete")
    assert entries(ec2, key) == ["10.0.0.0/8"]
    assert entries(ec2, key, TargetVersion=2) == ["198.51.100.0/24"]


def test_a_name_or_size_is_no_new_version(ec2: Ec2) -> None:
    key = make(ec2, "10.0.0.0/8", "11.0.0.0/8")
    ec2("ModifyManagedPrefixList", PrefixListId=key, PrefixListName="sites")
    ec2("ModifyManagedPrefixList", PrefixListId=key, MaxEntries=2)
    row = shown(ec2, key)
    assert (row["PrefixListName"], row["MaxEntries"], row["Version"]) == ("sites", 2, 1)
    change = {"PrefixListId": key}
    assert ec2.error("ModifyManagedPrefixList", **change, MaxEntries=1)[0] == "InvalidParameterValue"
    assert ec2.error("ModifyManagedPrefixList", **change, MaxEntries=9, AddEntries=blocks("1.0.0.0/8"))[0] == (
        "InvalidParameterCombination"
    )
    assert ec2.error("ModifyManagedPrefixList", **change, AddEntries=blocks("1.0.0.0/8"))[0] == (
        "PrefixListMaxEntriesExceeded"
    )


@pytest.mark.parametrize(
    ("add", "remove", "code"),
    [
        (["10.0.0.0/8"], [], "InvalidPrefixListModification"),
        ([], ["11.0.0.0/8"], "InvalidPrefixListModification"),
        (["10.0.0.0/8"], ["10.0.0.0/8"], "InvalidParameterValue"),
    ],
)
def test_entries_that_cannot_be_changed_so(ec2: Ec2, add: list[str], remove: list[str], code: str) -> None:
    key = make(ec2, "10.0.0.0/8")
    request = {"AddEntries": blocks(*add), "RemoveEntries": blocks(*remove)}
    assert ec2.error("ModifyManagedPrefixList", PrefixListId=key, CurrentVersion=1, **request)[0] == code


def test_lists_of_aws_cannot_be_changed(ec2: Ec2) -> None:
    key = ec2("DescribePrefixLists")["PrefixLists"][0]["PrefixListId"]
    for operation in ("ModifyManagedPrefixList", "DeleteManagedPrefixList"):
        assert ec2.error(operation, PrefixListId=key)[0] == "OperationNotPermitted"


def _rule(key: str, port: int = 443) -> dict[str, Any]:
    peer = [{"PrefixListId": key, "Description": "offices"}]
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "PrefixListIds": peer}


def test_a_list_in_use_stays(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    key = make(ec2, "10.0.0.0/8")
    group = str(ec2("CreateSecurityGroup", GroupName="web", Description="web", VpcId=vpc)["GroupId"])
    table = str(ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"])
    eni = ec2.interface(ec2.subnet(vpc))["NetworkInterfaceId"]
    for direction in ("Ingress", "Egress"):
        ec2(f"AuthorizeSecurityGroup{direction}", GroupId=group, IpPermissions=[_rule(key)])
    assert ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[_rule(key)]) == (
        "InvalidPermission.Duplicate",
        f'the specified rule "peer: {key}, TCP, from port: 443, to port: 443, ALLOW" already exists',
    )
    ec2("CreateRoute", RouteTableId=table, DestinationPrefixListId=key, NetworkInterfaceId=eni)
    found = ec2("GetManagedPrefixListAssociations", PrefixListId=key)["PrefixListAssociations"]
    assert found == [{"ResourceId": one, "ResourceOwner": ec2.account} for one in sorted((group, table))]
    assert ec2.error("DeleteManagedPrefixList", PrefixListId=key) == (
        "DependencyViolation",
        f"The prefix list '{key}' has dependencies and cannot be deleted. (Dependents: {table}, {group}.)",
    )
    ec2("DeleteRoute", RouteTableId=table, DestinationPrefixListId=key)
    for direction in ("Ingress", "Egress"):
        ec2(f"RevokeSecurityGroup{direction}", GroupId=group, IpPermissions=[_rule(key)])
    ec2("ModifyManagedPrefixList", PrefixListId=key, CurrentVersion=1, AddEntries=blocks("11.0.0.0/8"))
    assert ec2("DeleteManagedPrefixList", PrefixListId=key)["PrefixList"]["State"] == "delete-complete"
    assert not ec2.store.snapshot.tables["prefix_list_version"]
    assert ec2.error("DeleteManagedPrefixList", PrefixListId=f"pl-{MISSING}")[0] == "InvalidPrefixListID.NotFound"
    assert ec2.error("DeleteManagedPrefixList", PrefixListId="pl; drop")[0] == "InvalidPrefixListId.Malformed"


def test_routes_to_a_list(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    key = make(ec2, "198.51.100.0/24", size=10)
    table = str(ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"])
    subnet = ec2.subnet(vpc)
    first, second = (ec2.interface(subnet)["NetworkInterfaceId"] for _ in range(2))
    named = {"RouteTableId": table, "DestinationPrefixListId": key}
    assert ec2.error("ReplaceRoute", **named, NetworkInterfaceId=first)[0] == "InvalidParameterValue"
    ec2("CreateRoute", **named, NetworkInterfaceId=first)
    assert ec2.error("CreateRoute", **named, NetworkInterfaceId=first)[0] == "RouteAlreadyExists"
    ec2("ReplaceRoute", **named, NetworkInterfaceId=second)
    (row,) = ec2("DescribeRouteTables", RouteTableIds=[table])["RouteTables"]
    assert row["Routes"][1] == {
        "DestinationPrefixListId": key,
        "NetworkInterfaceId": second,
        "Origin": "CreateRoute",
        "State": "blackhole",
    }
    ec2("DeleteRoute", **named)
    assert ec2.error("DeleteRoute", **named) == (
        "InvalidRoute.NotFound",
        f"no route with destination-prefix-list-id {key} in route table {table}",
    )


def test_a_reference_counts_as_many_as_the_list_may_hold(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    ec2.quotas.update(rules_per_group=20, routes_per_table=12)
    small, large = make(ec2, size=10), make(ec2, size=11)
    six = make(ec2, size=20, family="IPv6")
    group = str(ec2("CreateSecurityGroup", GroupName="web", Description="web", VpcId=vpc)["GroupId"])
    ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[_rule(small), _rule(six)])
    assert ec2.error("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[_rule(large)]) == (
        "RulesPerSecurityGroupLimitExceeded",
        "The maximum number of rules per security group has been reached.",
    )
    table = str(ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"])
    eni = ec2.interface(ec2.subnet(vpc))["NetworkInterfaceId"]
    to = {"RouteTableId": table, "NetworkInterfaceId": eni}
    ec2("CreateRoute", **to, DestinationPrefixListId=small)
    assert ec2.error("CreateRoute", **to, DestinationPrefixListId=large) == (
        "RouteLimitExceeded",
        "The maximum number of routes has been reached.",
    )
    ec2("CreateRoute", **to, DestinationCidrBlock="0.0.0.0/0")
    assert ec2.error("CreateRoute", **to, DestinationCidrBlock="1.0.0.0/8")[0] == "RouteLimitExceeded"

    # a size that the table cannot bear: the list stays, and says who cannot
    failed = ec2("ModifyManagedPrefixList", PrefixListId=small, MaxEntries=11)["PrefixList"]
    assert (failed["State"], failed["MaxEntries"]) == ("modify-failed", 10)
    assert table in failed["StateMessage"]
    assert group not in failed["StateMessage"]
    ec2("DeleteRoute", RouteTableId=table, DestinationPrefixListId=small)
    assert ec2("ModifyManagedPrefixList", PrefixListId=small, MaxEntries=11)["PrefixList"]["MaxEntries"] == 11


def test_the_number_of_lists_is_limited(ec2: Ec2) -> None:
    ec2.quotas["prefix_lists_per_region"] = 1
    make(ec2)
    request = {"PrefixListName": "n", "MaxEntries": 1, "AddressFamily": "IPv4"}
    assert ec2.error("CreateManagedPrefixList", **request)[0] == "PrefixListLimitExceeded"
