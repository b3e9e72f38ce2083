"""Create, describe and delete of every family, in the order in which a template does it."""

from __future__ import annotations

from ec2_account import Ec2

from ecsnet.services.ec2 import ops


def test_a_public_and_private_network(ec2: Ec2) -> None:
    vpc = ec2.vpc("10.0.0.0/16")
    public, private = ec2.subnet(vpc, "10.0.0.0/24"), ec2.subnet(vpc, "10.0.1.0/24")
    gateway = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    table = ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2("CreateRoute", RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2("AssociateRouteTable", RouteTableId=table, SubnetId=public)
    allocation = ec2("AllocateAddress", Domain="vpc")
    nat = ec2("CreateNatGateway", SubnetId=public, AllocationId=allocation["AllocationId"])["NatGateway"]
    assert nat["State"] == "pending"
    ec2.verb(ops.make_nat_available, nat["NatGatewayId"])
    (seen,) = ec2("DescribeNatGateways", NatGatewayIds=[nat["NatGatewayId"]])["NatGateways"]
    assert seen["State"] == "available"
    assert seen["NatGatewayAddresses"][0]["PublicIp"] == allocation["PublicIp"]
    other = ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2("CreateRoute", RouteTableId=other, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"])
    ec2("AssociateRouteTable", RouteTableId=other, SubnetId=private)
    (shown,) = ec2("DescribeRouteTables", RouteTableIds=[other])["RouteTables"]
    assert [(r["DestinationCidrBlock"], r["State"]) for r in shown["Routes"]] == [
        ("10.0.0.0/16", "active"),
        ("0.0.0.0/0", "active"),
    ]
    group = ec2("CreateSecurityGroup", GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0")
    eni = ec2.interface(private, Groups=[group])
    assert eni["Groups"] == [{"GroupId": group, "GroupName": "web"}]

    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni["NetworkInterfaceId"])
    ec2("DeleteNatGateway", NatGatewayId=nat["NatGatewayId"])
    (shown,) = ec2("DescribeRouteTables", RouteTableIds=[other])["RouteTables"]
    assert shown["Routes"][1]["State"] == "blackhole"
    ec2.verb(ops.finish_nat_delete, nat["NatGatewayId"])
    ec2("ReleaseAddress", AllocationId=allocation["AllocationId"])
    ec2("DeleteSecurityGroup", GroupId=group)
    ec2("DeleteSubnet", SubnetId=public)
    ec2("DeleteSubnet", SubnetId=private)
    ec2("DeleteRouteTable", RouteTableId=table)
    ec2("DeleteRouteTable", RouteTableId=other)
    ec2("DetachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    ec2("DeleteInternetGateway", InternetGatewayId=gateway)
    ec2("DeleteVpc", VpcId=vpc)
    assert [row["IsDefault"] for row in ec2("DescribeVpcs")["Vpcs"]] == [True]


def test_a_deleted_vpc_leaves_no_row(bare: Ec2) -> None:
    """Default group with its rules, main table and ACL go with the VPC; only the account's DHCP options remain."""
    vpc = bare.vpc()
    bare.subnet(vpc)
    bare("DeleteSubnet", SubnetId=bare("DescribeSubnets")["Subnets"][0]["SubnetId"])
    bare("DeleteVpc", VpcId=vpc)
    left = {name: len(rows) for name, rows in bare.store.snapshot.tables.items() if len(rows)}
    assert left == {"dhcp_options": 1}
