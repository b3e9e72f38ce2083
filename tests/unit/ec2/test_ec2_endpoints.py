"""Gateway endpoints and the prefix lists that AWS owns."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import Ec2

MISSING = "0" * 16 + "f"
S3 = "com.amazonaws.us-east-1.s3"


@pytest.fixture
def vpc(ec2: Ec2) -> str:
    return ec2.vpc()


def table(ec2: Ec2, vpc: str) -> str:
    return str(ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"])


def routes(ec2: Ec2, key: str) -> list[dict[str, Any]]:
    (row,) = ec2("DescribeRouteTables", RouteTableIds=[key])["RouteTables"]
    return [route for route in row["Routes"] if "DestinationPrefixListId" in route]


def test_an_endpoint_is_a_route_in_its_tables(ec2: Ec2, vpc: str) -> None:
    first, second = table(ec2, vpc), table(ec2, vpc)
    made = ec2("CreateVpcEndpoint", VpcId=vpc, ServiceName=S3, RouteTableIds=[first])["VpcEndpoint"]
    key = made["VpcEndpointId"]
    (listed,) = ec2("DescribePrefixLists", Filters=[{"Name": "prefix-list-name", "Values": [S3]}])["PrefixLists"]
    assert listed["Cidrs"] == []
    route = {
        "DestinationPrefixListId": listed["PrefixListId"],
        "GatewayId": key,
        "Origin": "CreateRoute",
        "State": "active",
    }
    assert routes(ec2, first) == [route]
    again = {"VpcId": vpc, "ServiceName": S3, "RouteTableIds": [first]}
    assert ec2.error("CreateVpcEndpoint", **again)[0] == "RouteAlreadyExists"
    ec2("ModifyVpcEndpoint", VpcEndpointId=key, AddRouteTableIds=[second], RemoveRouteTableIds=[first])
    (shown,) = ec2("DescribeVpcEndpoints", VpcEndpointIds=[key])["VpcEndpoints"]
    assert (shown["RouteTableIds"], shown["State"], shown["VpcEndpointType"]) == ([second], "available", "Gateway")
    assert routes(ec2, first) == []
    assert ec2.error("DeleteVpc", VpcId=vpc)[0] == "DependencyViolation"
    assert ec2("DeleteVpcEndpoints", VpcEndpointIds=[key]) == {"Unsuccessful": []}
    assert routes(ec2, second) == []
    (failed,) = ec2("DeleteVpcEndpoints", VpcEndpointIds=[key])["Unsuccessful"]
    assert failed["Error"]["Code"] == "InvalidVpcEndpointId.NotFound"


def test_a_deleted_table_leaves_the_endpoint(ec2: Ec2, vpc: str) -> None:
    key = table(ec2, vpc)
    ec2("CreateVpcEndpoint", VpcId=vpc, ServiceName=S3, RouteTableIds=[key])
    ec2("DeleteRouteTable", RouteTableId=key)
    (shown,) = ec2("DescribeVpcEndpoints", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["VpcEndpoints"]
    assert shown["RouteTableIds"] == []


def test_refused_endpoints(ec2: Ec2, vpc: str) -> None:
    foreign = table(ec2, ec2.vpc("10.1.0.0/16"))
    for request, code in (
        ({"ServiceName": "com.amazonaws.us-east-1.coffee"}, "InvalidServiceName"),
        ({"ServiceName": S3, "VpcEndpointType": "Interface"}, "NotImplemented"),
        ({"ServiceName": S3, "SubnetIds": ["subnet-1"]}, "InvalidParameterCombination"),
        ({"ServiceName": S3, "RouteTableIds": [foreign]}, "InvalidParameter"),
        ({"ServiceName": S3, "RouteTableIds": [f"rtb-{MISSING}"]}, "InvalidRouteTableID.NotFound"),
        ({}, "MissingParameter"),
    ):
        assert ec2.error("CreateVpcEndpoint", VpcId=vpc, **request)[0] == code
    ec2.quotas["gateway_endpoints_per_region"] = 0
    assert ec2.error("CreateVpcEndpoint", VpcId=vpc, ServiceName=S3)[0] == "VpcEndpointLimitExceeded"


def test_prefix_lists_belong_to_aws(ec2: Ec2, vpc: str) -> None:
    lists = ec2("DescribeManagedPrefixLists")["PrefixLists"]
    assert sorted(one["PrefixListName"] for one in lists) == ["com.amazonaws.us-east-1.dynamodb", S3]
    key = lists[0]["PrefixListId"]
    assert ec2("GetManagedPrefixListEntries", PrefixListId=key) == {"Entries": []}
    assert ec2.error("DescribePrefixLists", PrefixListIds=[f"pl-{MISSING}"])[0] == "InvalidPrefixListID.NotFound"
    request = {"RouteTableId": table(ec2, vpc), "DestinationPrefixListId": key, "GatewayId": "local"}
    assert ec2.error("CreateRoute", **request)[0] == "InvalidParameterValue"
    group = ec2("CreateSecurityGroup", GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": key}]}
    ec2("AuthorizeSecurityGroupEgress", GroupId=group, IpPermissions=[rule])
    (shown,) = ec2("DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"]
    assert [one["PrefixListIds"] for one in shown["IpPermissionsEgress"] if one["PrefixListIds"]] == [
        [{"PrefixListId": key}]
    ]
    again = {"GroupId": group, "IpPermissions": [rule]}
    assert key in ec2.error("AuthorizeSecurityGroupEgress", **again)[1]
    ec2("RevokeSecurityGroupEgress", **again)
    (unknown,) = ec2("RevokeSecurityGroupEgress", **again)["UnknownIpPermissions"]
    assert unknown["PrefixListIds"] == [{"PrefixListId": key}]


def test_endpoint_services(ec2: Ec2) -> None:
    reply = ec2("DescribeVpcEndpointServices", Filters=[{"Name": "service-type", "Values": ["Gateway"]}])
    assert S3 in reply["ServiceNames"]
    assert ec2.error("DescribeVpcEndpointServices", ServiceNames=["coffee"])[0] == "InvalidServiceName"
