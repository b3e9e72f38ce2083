"""VPC peering as a user makes it: by boto3, across accounts and regions, with names and waiters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_through_the_api import address_of, define_task, place_of, run_task, task_definition

from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance

pytestmark = [pytest.mark.network]

__all__ = ["task_definition"]

OTHER = "444455556666"


def open_vpc(client: Any, block: str) -> tuple[str, str, str, str]:
    """(VPC, subnet, group that admits 10.0.0.0/8, main route table)."""
    vpc = client.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock=block.replace("/16", "/24"))["Subnet"]["SubnetId"]
    group = client.create_security_group(GroupName="open", Description="open", VpcId=vpc)["GroupId"]
    client.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    )
    (table,) = client.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    return vpc, subnet, group, table["RouteTableId"]


def unreachable(instance: Instance, task: dict[str, Any], address: str) -> bool:
    try:
        instance.curl(f"http://{address}/", place=place_of(task), timeout=0.5)
    except CliError as error:
        assert error.code is Exit.TIMED_OUT  # noqa: PT017 (the answer is the error's code, and no answer is one too)
        return True
    return False


def test_two_vpcs_of_one_account_from_request_to_end(instance: Instance, task_definition: str) -> None:
    ec2 = instance.client("ec2")
    vpc, subnet, group, table = open_vpc(ec2, "10.70.0.0/16")
    far, far_subnet, far_group, far_table = open_vpc(ec2, "10.71.0.0/16")
    one = run_task(instance, task_definition, subnet, [group])
    other = run_task(instance, task_definition, far_subnet, [far_group])
    pcx = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=far)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.get_waiter("vpc_peering_connection_exists").wait(VpcPeeringConnectionIds=[pcx])
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.71.0.0/16", VpcPeeringConnectionId=pcx)
    ec2.create_route(RouteTableId=far_table, DestinationCidrBlock="10.70.0.0/16", VpcPeeringConnectionId=pcx)
    assert unreachable(instance, one, address_of(other))

    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=pcx)
    reply = instance.curl(f"http://{address_of(other)}/", place=place_of(one))
    assert json.loads(reply.body)["task"] == other["taskArn"].rpartition("/")[2]
    pages = ec2.get_paginator("describe_vpc_peering_connections").paginate(
        Filters=[{"Name": "status-code", "Values": ["active"]}]
    )
    assert [item["VpcPeeringConnectionId"] for page in pages for item in page["VpcPeeringConnections"]] == [pcx]

    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=pcx)
    ec2.get_waiter("vpc_peering_connection_deleted").wait(VpcPeeringConnectionIds=[pcx])
    assert unreachable(instance, one, address_of(other))


def test_across_accounts_and_regions_with_names(instance: Instance, task_definition: str) -> None:
    """A public host name of the requester is a private address for the peer when the requester allows it."""
    ours, theirs = instance.client("ec2"), instance.client("ec2", account=OTHER, region="eu-west-1")
    vpc, subnet, group, table = open_vpc(ours, "10.72.0.0/16")
    far, far_subnet, far_group, far_table = open_vpc(theirs, "10.73.0.0/16")
    for client, each in ((ours, vpc), (theirs, far)):
        client.modify_vpc_attribute(VpcId=each, EnableDnsHostnames={"Value": True})
    gateway = ours.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ours.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ours.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    one = run_task(instance, task_definition, subnet, [group], public=True)
    far_ecs = instance.client("ecs", account=OTHER, region="eu-west-1")
    other = run_task(instance, define_task(far_ecs), far_subnet, [far_group], client=far_ecs)
    (eni,) = ours.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["NetworkInterfaces"]
    name = eni["Association"]["PublicDnsName"]

    pcx = ours.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=far, PeerOwnerId=OTHER, PeerRegion="eu-west-1")[
        "VpcPeeringConnection"
    ]["VpcPeeringConnectionId"]
    with pytest.raises(ours.exceptions.ClientError, match="OperationNotPermitted"):
        ours.accept_vpc_peering_connection(VpcPeeringConnectionId=pcx)
    theirs.accept_vpc_peering_connection(VpcPeeringConnectionId=pcx)
    ours.create_route(RouteTableId=table, DestinationCidrBlock="10.73.0.0/16", VpcPeeringConnectionId=pcx)
    theirs.create_route(RouteTableId=far_table, DestinationCidrBlock="10.72.0.0/16", VpcPeeringConnectionId=pcx)
    reply = instance.curl(f"http://{address_of(one)}/", place=place_of(other))
    assert json.loads(reply.body)["task"] == one["taskArn"].rpartition("/")[2]

    assert unreachable(instance, other, name)  # the public address, to which the far VPC has no way
    ours.modify_vpc_peering_connection_options(
        VpcPeeringConnectionId=pcx, RequesterPeeringConnectionOptions={"AllowDnsResolutionFromRemoteVpc": True}
    )
    reply = instance.curl(f"http://{name}/", place=place_of(other))
    assert json.loads(reply.body)["task"] == one["taskArn"].rpartition("/")[2]
