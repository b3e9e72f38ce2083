"""What people get wrong with VPCs, seen through the API and with real packets, and what says what is wrong.

An ACL that forgets the answers; a subnet that is full; a group that cannot be deleted; a VPC without names.
"""

from __future__ import annotations

import json
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest
from test_peering_api import open_vpc, unreachable
from test_through_the_api import address_of, place_of, run_task, task_definition

from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network]

__all__ = ["task_definition"]


def _interface_of(task: dict[str, Any]) -> str:
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return str(details["networkInterfaceId"])


def test_an_acl_that_forgets_the_answers_is_named(instance: Instance, task_definition: str) -> None:
    """ACLs have no memory: the answer to a client goes to one of its ports 1024 to 65535 (VPC User Guide, "Ephemeral
    ports")."""
    ec2 = instance.client("ec2")
    vpc, subnet, group, _ = open_vpc(ec2, "10.80.0.0/16")
    guarded = ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.1.0/24")["Subnet"]["SubnetId"]
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    web = {"NetworkAclId": acl, "Protocol": "6", "RuleAction": "allow", "CidrBlock": "10.80.0.0/16"}
    for egress in (False, True):
        ec2.create_network_acl_entry(**web, RuleNumber=100, Egress=egress, PortRange={"From": 80, "To": 80})
    (default,) = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [guarded]}])[
        "NetworkAcls"
    ]
    association = next(one for one in default["Associations"] if one["SubnetId"] == guarded)
    ec2.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl)
    client, server = (
        run_task(instance, task_definition, subnet, [group]),
        run_task(instance, task_definition, guarded, [group]),
    )
    assert unreachable(instance, client, address_of(server))

    ends = (_interface_of(client), _interface_of(server), "80/tcp")
    probed = instance.run("probe", *ends, check=False)
    assert probed.returncode != 0
    assert acl in probed.stdout, probed.stdout
    assert "outbound" in probed.stdout, probed.stdout
    told = json.loads(instance.run("why", *ends, "--json", check=False).stdout)
    assert (told["verdict"], told["deciding"]) == ("blocked", f"D {acl}/out/*"), told

    ec2.create_network_acl_entry(**web, RuleNumber=200, Egress=True, PortRange={"From": 1024, "To": 65535})
    assert json.loads(instance.curl(f"http://{address_of(server)}/", place=place_of(client)).body)["task"]
    instance.run("probe", *ends)


def test_a_full_subnet_takes_no_task_and_says_so(instance: Instance, task_definition: str) -> None:
    """A /28 has eleven addresses (VPC User Guide, "Subnet sizing": AWS keeps five)."""
    ec2, ecs = instance.client("ec2"), instance.client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.81.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.81.0.0/28")["Subnet"]["SubnetId"]
    made = [ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"] for _ in range(11)]
    (row,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    assert row["AvailableIpAddressCount"] == 0
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    request = {"cluster": "gateways", "taskDefinition": task_definition, "launchType": "FARGATE"}
    arn = ecs.run_task(**request, networkConfiguration=network)["tasks"][0]["taskArn"]

    def ended() -> dict[str, Any] | None:
        task: dict[str, Any] = ecs.describe_tasks(cluster="gateways", tasks=[arn])["tasks"][0]
        return task if task["lastStatus"] == "STOPPED" else None

    task = eventually(ended, "the task has stopped", timeout=60)
    assert task is not None
    assert task["stoppedReason"].endswith(f"in subnet '{subnet}': InsufficientFreeAddressesInSubnet")
    ec2.delete_network_interface(NetworkInterfaceId=made[0]["NetworkInterfaceId"])
    freed = run_task(instance, task_definition, subnet)
    assert address_of(freed) == made[0]["PrivateIpAddress"]


def test_a_group_in_use_names_the_interface_and_goes_with_its_task(instance: Instance, task_definition: str) -> None:
    ec2, ecs = instance.client("ec2"), instance.client("ecs")
    vpc, subnet, group, _ = open_vpc(ec2, "10.82.0.0/16")
    task = run_task(instance, task_definition, subnet, [group])
    for call, params in (
        (ec2.delete_security_group, {"GroupId": group}),
        (ec2.delete_subnet, {"SubnetId": subnet}),
        (ec2.delete_vpc, {"VpcId": vpc}),
    ):
        with pytest.raises(ec2.exceptions.ClientError) as caught:
            call(**params)
        error = caught.value.response["Error"]
        assert error["Code"] == "DependencyViolation"
        assert _interface_of(task) in error["Message"], error
    ecs.stop_task(cluster="gateways", task=task["taskArn"])

    def deleted() -> bool:
        try:
            ec2.delete_security_group(GroupId=group)
        except ec2.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "DependencyViolation"  # noqa: PT017 (no other one may come)
            return False
        return True

    assert eventually(deleted, "the group can be deleted", timeout=60)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


def test_the_two_attributes_without_which_no_private_name_resolves(instance: Instance, task_definition: str) -> None:
    """Without enableDnsHostnames there are no private names, without enableDnsSupport nobody answers at all (VPC User
    Guide, "DNS attributes for your VPC")."""
    ec2 = instance.client("ec2")
    vpc, subnet, group, _ = open_vpc(ec2, "10.83.0.0/16")
    task = run_task(instance, task_definition, subnet, [group])
    name = f"ip-{address_of(task).replace('.', '-')}.ec2.internal"

    def asked() -> str:
        query = dns.message.make_query(name, "A")
        with instance.inside(place_of(task).netns):
            try:
                reply = dns.query.udp(query, "169.254.169.253", timeout=0.5)
            except (dns.exception.Timeout, ConnectionRefusedError):
                return "silence"
        found = [str(item) for answer in reply.answer for item in answer]
        return found[0] if found else dns.rcode.to_text(reply.rcode())

    def set_to(attribute: str, value: bool) -> None:
        ec2.modify_vpc_attribute(VpcId=vpc, **{attribute: {"Value": value}})

    assert asked() == "NXDOMAIN"
    set_to("EnableDnsHostnames", True)
    assert asked() == address_of(task)
    set_to("EnableDnsHostnames", False)
    set_to("EnableDnsSupport", False)
    assert asked() == "silence"
    with pytest.raises(ec2.exceptions.ClientError, match="DNS support is disabled"):
        set_to("EnableDnsHostnames", True)
    set_to("EnableDnsSupport", True)
    assert asked() == "NXDOMAIN"


def test_every_waiter_ends(instance: Instance) -> None:
    """The waiters of boto3 for these families, of things that the machine really made and took away."""
    ec2 = instance.client("ec2", account="777788889999")

    def wait(name: str, **params: Any) -> None:
        ec2.get_waiter(name).wait(**params, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    vpc = ec2.create_vpc(CidrBlock="10.84.0.0/16")["Vpc"]["VpcId"]
    wait("vpc_exists", VpcIds=[vpc])
    wait("vpc_available", VpcIds=[vpc])
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.84.0.0/24")["Subnet"]["SubnetId"]
    wait("subnet_available", SubnetIds=[subnet])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    wait("internet_gateway_exists", InternetGatewayIds=[gateway])
    group = ec2.create_security_group(GroupName="g", Description="x", VpcId=vpc)["GroupId"]
    wait("security_group_exists", GroupIds=[group])
    eni = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    wait("network_interface_available", NetworkInterfaceIds=[eni])

    nat = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    wait("nat_gateway_available", NatGatewayIds=[nat])
    ec2.delete_nat_gateway(NatGatewayId=nat)
    wait("nat_gateway_deleted", NatGatewayIds=[nat])

    launch = {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    one = [ec2.run_instances(**launch, SubnetId=subnet)["Instances"][0]["InstanceId"]]
    for name in ("instance_exists", "instance_running", "instance_status_ok", "system_status_ok"):
        wait(name, InstanceIds=one)
    ec2.stop_instances(InstanceIds=one)
    wait("instance_stopped", InstanceIds=one)
    ec2.terminate_instances(InstanceIds=one)
    wait("instance_terminated", InstanceIds=one)

    far = ec2.create_vpc(CidrBlock="10.85.0.0/16")["Vpc"]["VpcId"]
    link = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=far)["VpcPeeringConnection"]
    pcx = [link["VpcPeeringConnectionId"]]
    wait("vpc_peering_connection_exists", VpcPeeringConnectionIds=pcx)
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=pcx[0])
    wait("vpc_peering_connection_deleted", VpcPeeringConnectionIds=pcx)
    ec2.associate_security_group_vpc(GroupId=group, VpcId=far)
    of_group = [{"Name": "group-id", "Values": [group]}]
    wait("security_group_vpc_association_associated", Filters=of_group)
    ec2.disassociate_security_group_vpc(GroupId=group, VpcId=far)
    wait("security_group_vpc_association_disassociated", Filters=of_group)
