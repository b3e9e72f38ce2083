"""Through the API: a dual-stack VPC with tasks, a load balancer and names, and the addresses that interfaces get."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Any

import pytest

from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(180)]

CLIENT = "2001:db8::1"
RESOLVER = "fd00:ec2::253"
SILENCE = 2.0
"""Seconds without an answer that count as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    vpc: str
    subnets: tuple[str, str]
    table: str
    open: str
    """A group that admits TCP 80 from everywhere, over IPv4 and IPv6."""


@pytest.fixture(scope="module")
def network(instance: Instance) -> Network:
    ec2 = instance.client("ec2")
    made = ec2.create_vpc(CidrBlock="10.80.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    vpc, block = made["VpcId"], made["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{name: {"Value": True}})
    sixes = list(IPv6Network(block).subnets(new_prefix=64))
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.80.{number}.0/24",
            Ipv6CidrBlock=str(sixes[number]),
            AvailabilityZone=zones[number],
        )["Subnet"]["SubnetId"]
        for number in (0, 1)
    ]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationIpv6CidrBlock="::/0", GatewayId=gateway)
    group = ec2.create_security_group(GroupName="open", Description="open", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
                "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
            }
        ],
    )
    return Network(vpc=vpc, subnets=(subnets[0], subnets[1]), table=table["RouteTableId"], open=group)


@pytest.fixture(scope="module")
def task(instance: Instance, network: Network) -> dict[str, Any]:
    ecs = instance.client("ecs")
    ecs.create_cluster(clusterName="dual")
    definition = ecs.register_task_definition(
        family="dual",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "app", "image": "absent", "portMappings": [{"containerPort": 80}]}],
    )["taskDefinition"]["taskDefinitionArn"]
    arn = ecs.run_task(
        cluster="dual",
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": [network.subnets[0]], "securityGroups": [network.open]}
        },
    )["tasks"][0]["taskArn"]

    def running() -> dict[str, Any] | None:
        found: dict[str, Any] = ecs.describe_tasks(cluster="dual", tasks=[arn])["tasks"][0]
        return found if found["lastStatus"] == "RUNNING" else None

    return eventually(running, "the task runs", timeout=60) or {}


def fetch(instance: Instance, netns: str, address: str, *, timeout: float = 30.0) -> bytes:
    with instance.inside(netns):
        made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with made:
        made.settimeout(timeout)
        made.connect((address, 80))
        made.sendall(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")
        return made.recv(65536)


def lookup(instance: Instance, netns: str, server: str, name: str, kind: int) -> list[str]:
    """The addresses in the answer to one question (kind 1: A, 28: AAAA)."""
    question = b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", kind, 1)
    with instance.inside(netns):
        made = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    with made:
        made.settimeout(30)
        made.connect((server, 53))
        made.send(query)
        reply = made.recv(4096)
    count, at, found = struct.unpack("!H", reply[6:8])[0], len(query), []
    for _ in range(count):
        size = struct.unpack("!H", reply[at + 10 : at + 12])[0]
        data = reply[at + 12 : at + 12 + size]
        found.append(socket.inet_ntop(socket.AF_INET6 if size == 16 else socket.AF_INET, data))
        at += 12 + size
    return found


def netns_of(task: dict[str, Any]) -> str:
    return "t" + task["taskArn"].rpartition("/")[2][:12]


def address_of(task: dict[str, Any]) -> str:
    return str(task["containers"][0]["networkInterfaces"][0]["ipv6Address"])


def test_a_task_in_a_dual_stack_subnet_is_reached_from_the_internet_as_it_is(
    instance: Instance, network: Network, task: dict[str, Any]
) -> None:
    ec2 = instance.client("ec2")
    six = address_of(task)
    (eni,) = ec2.describe_network_interfaces(Filters=[{"Name": "ipv6-addresses.ipv6-address", "Values": [six]}])[
        "NetworkInterfaces"
    ]
    assert eni["SubnetId"] == network.subnets[0]
    assert b"200" in fetch(instance, "internet", six).split(b"\r\n")[0]
    ipv6 = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]
    ec2.revoke_security_group_ingress(GroupId=network.open, IpPermissions=ipv6)
    with pytest.raises(TimeoutError):
        fetch(instance, "internet", six, timeout=SILENCE)
    ec2.authorize_security_group_ingress(GroupId=network.open, IpPermissions=ipv6)
    assert b"200" in fetch(instance, "internet", six).split(b"\r\n")[0]


def test_behind_an_egress_only_gateway_nobody_gets_in(
    instance: Instance, network: Network, task: dict[str, Any]
) -> None:
    ec2 = instance.client("ec2")
    gateway = ec2.create_egress_only_internet_gateway(VpcId=network.vpc)["EgressOnlyInternetGateway"]
    routes = {route.get("DestinationIpv6CidrBlock"): route for route in _routes(ec2, network.table)}
    everywhere = {"RouteTableId": network.table, "DestinationIpv6CidrBlock": "::/0"}
    ec2.replace_route(**everywhere, EgressOnlyInternetGatewayId=gateway["EgressOnlyInternetGatewayId"])
    with instance.inside("internet"):
        listener = socket.create_server((CLIENT, 8080), family=socket.AF_INET6)
    with listener:
        listener.settimeout(30)
        with instance.inside(netns_of(task)):
            made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        with made:
            made.settimeout(30)
            made.connect((CLIENT, 8080))
            connection, peer = listener.accept()
            connection.close()
        assert peer[0] == address_of(task)
    with pytest.raises(TimeoutError):
        fetch(instance, "internet", address_of(task), timeout=SILENCE)
    ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=gateway["EgressOnlyInternetGatewayId"])
    (route,) = (one for one in _routes(ec2, network.table) if one.get("DestinationIpv6CidrBlock") == "::/0")
    assert route["State"] == "blackhole"
    ec2.replace_route(**everywhere, GatewayId=routes["::/0"]["GatewayId"])
    assert b"200" in fetch(instance, "internet", address_of(task)).split(b"\r\n")[0]


def _routes(ec2: Any, table: str) -> list[dict[str, Any]]:
    return list(ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"])


def test_a_dual_stack_load_balancer_has_names_and_listeners_of_both_families(
    instance: Instance, network: Network, task: dict[str, Any]
) -> None:
    elb = instance.client("elbv2")
    balancer = elb.create_load_balancer(
        Name="dual", Subnets=list(network.subnets), SecurityGroups=[network.open], IpAddressType="dualstack"
    )["LoadBalancers"][0]
    assert balancer["IpAddressType"] == "dualstack"
    target = elb.create_target_group(Name="dual", Protocol="HTTP", Port=80, VpcId=network.vpc, TargetType="ip")
    arn = target["TargetGroups"][0]["TargetGroupArn"]
    private = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": private}])
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    elb.get_waiter("load_balancer_available").wait(
        LoadBalancerArns=[balancer["LoadBalancerArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    name = balancer["DNSName"].lower()
    fours = lookup(instance, netns_of(task), "169.254.169.253", name, 1)
    sixes = lookup(instance, netns_of(task), RESOLVER, name, 28)
    assert (len(fours), len(sixes)) == (2, 2)

    def answered() -> bool:
        try:
            return all(b" 200 " in fetch(instance, "internet", six).split(b"\r\n")[0] + b" " for six in sixes)
        except ConnectionError:
            return False

    eventually(answered, "both nodes answer over IPv6", timeout=60)
    elb.set_ip_address_type(LoadBalancerArn=balancer["LoadBalancerArn"], IpAddressType="ipv4")
    assert lookup(instance, netns_of(task), RESOLVER, name, 28) == []
    with pytest.raises(TimeoutError):
        fetch(instance, "internet", sixes[0], timeout=SILENCE)
    code = elb.exceptions.ClientError
    with pytest.raises(code, match="NotImplemented"):
        elb.create_load_balancer(Name="net", Type="network", Subnets=list(network.subnets), IpAddressType="dualstack")


TEMPLATE = """
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties: {CidrBlock: 10.81.0.0/16}
  One:
    Type: AWS::EC2::VPCCidrBlock
    Properties: {VpcId: !Ref Vpc, AmazonProvidedIpv6CidrBlock: true}
  Cut:
    Type: AWS::EC2::Subnet
    DependsOn: One
    Properties:
      VpcId: !Ref Vpc
      CidrBlock: 10.81.1.0/24
      Ipv6CidrBlock: !Select [1, !Cidr [!Select [0, !GetAtt Vpc.Ipv6CidrBlocks], 4, 64]]
      AssignIpv6AddressOnCreation: true
  Later:
    Type: AWS::EC2::Subnet
    Properties: {VpcId: !Ref Vpc, CidrBlock: 10.81.2.0/24}
  Block:
    Type: AWS::EC2::SubnetCidrBlock
    DependsOn: One
    Properties:
      SubnetId: !Ref Later
      Ipv6CidrBlock: !Select [2, !Cidr [!Select [0, !GetAtt Vpc.Ipv6CidrBlocks], 4, 64]]
  Only:
    Type: AWS::EC2::Subnet
    DependsOn: One
    Properties:
      VpcId: !Ref Vpc
      Ipv6Native: true
      Ipv6CidrBlock: !Select [3, !Cidr [!Select [0, !GetAtt Vpc.Ipv6CidrBlocks], 4, 64]]
  Gateway:
    Type: AWS::EC2::InternetGateway
  Attached:
    Type: AWS::EC2::VPCGatewayAttachment
    Properties: {VpcId: !Ref Vpc, InternetGatewayId: !Ref Gateway}
  Egress:
    Type: AWS::EC2::EgressOnlyInternetGateway
    Properties: {VpcId: !Ref Vpc}
  Table:
    Type: AWS::EC2::RouteTable
    Properties: {VpcId: !Ref Vpc}
  Route:
    Type: AWS::EC2::Route
    Properties:
      RouteTableId: !Ref Table
      DestinationIpv6CidrBlock: "::/0"
      EgressOnlyInternetGatewayId: !Ref Egress
  Interface:
    Type: AWS::EC2::NetworkInterface
    Properties: {SubnetId: !Ref Cut, SecondaryPrivateIpAddressCount: 1, Ipv4PrefixCount: 1, EnablePrimaryIpv6: true}
  Address:
    Type: AWS::EC2::EIP
    DependsOn: Attached
    Properties: {Domain: vpc}
  Association:
    Type: AWS::EC2::EIPAssociation
    Properties:
      AllocationId: !GetAtt Address.AllocationId
      NetworkInterfaceId: !Ref Interface
      PrivateIpAddress: !Select [0, !GetAtt Interface.SecondaryPrivateIpAddresses]
Outputs:
  Interface: {Value: !Ref Interface}
  Primary: {Value: !GetAtt Interface.PrimaryIpv6Address}
  Later: {Value: !Ref Later}
  LaterBlock: {Value: !Select [0, !GetAtt Later.Ipv6CidrBlocks]}
  Only: {Value: !Ref Only}
"""


def test_a_template_lays_out_ipv6(instance: Instance) -> None:
    cloudformation, ec2 = instance.client("cloudformation"), instance.client("ec2")
    cloudformation.create_stack(StackName="layout", TemplateBody=TEMPLATE)
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="layout", WaiterConfig={"Delay": 1, "MaxAttempts": 90}
    )
    (stack,) = cloudformation.describe_stacks(StackName="layout")["Stacks"]
    made = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    (eni,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[made["Interface"]])["NetworkInterfaces"]
    assert eni["Ipv6Addresses"] == [{"Ipv6Address": made["Primary"], "IsPrimaryIpv6": True}]
    assert len(eni["Ipv4Prefixes"]) == 1
    assert ["Association" in one for one in eni["PrivateIpAddresses"]] == [False, True]
    later, only = (ec2.describe_subnets(SubnetIds=[made[name]])["Subnets"][0] for name in ("Later", "Only"))
    assert later["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"] == made["LaterBlock"]
    assert only["Ipv6Native"]
    cloudformation.delete_stack(StackName="layout")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="layout", WaiterConfig={"Delay": 1, "MaxAttempts": 90}
    )
