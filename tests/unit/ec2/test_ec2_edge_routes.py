"""Route tables of internet gateways (VPC user guide, "Gateway route tables")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from ec2_account import Ec2

MISSING = "0" * 16 + "f"


@dataclass
class Net:
    ec2: Ec2
    vpc: str
    subnet: str
    gateway: str
    table: str
    interface: str

    def associate(self, **other: Any) -> str:
        request = {"RouteTableId": self.table, "GatewayId": self.gateway, **other}
        return str(self.ec2("AssociateRouteTable", **request)["AssociationId"])

    def associations(self, table: str | None = None) -> list[dict[str, Any]]:
        (row,) = self.ec2("DescribeRouteTables", RouteTableIds=[table or self.table])["RouteTables"]
        return list(row["Associations"])

    def new_table(self) -> str:
        return str(self.ec2("CreateRouteTable", VpcId=self.vpc)["RouteTable"]["RouteTableId"])


@pytest.fixture
def net(ec2: Ec2) -> Net:
    vpc = ec2.vpc("10.0.0.0/16")
    subnet = ec2.subnet(vpc)
    gateway = str(ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"])
    ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    table = str(ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"])
    interface = str(ec2.interface(subnet)["NetworkInterfaceId"])
    return Net(ec2=ec2, vpc=vpc, subnet=subnet, gateway=gateway, table=table, interface=interface)


def test_a_gateway_has_one_table(net: Net) -> None:
    key = net.associate()
    assert net.associate() == key, "the same again is no error"
    assert net.associations() == [
        {
            "RouteTableAssociationId": key,
            "RouteTableId": net.table,
            "GatewayId": net.gateway,
            "Main": False,
            "AssociationState": {"State": "associated"},
        }
    ]
    other = net.new_table()
    assert net.ec2.error("AssociateRouteTable", RouteTableId=other, GatewayId=net.gateway) == (
        "Resource.AlreadyAssociated",
        f"the specified association for route table {other} conflicts with an existing association",
    )
    named = [{"Name": "association.gateway-id", "Values": [net.gateway]}]
    (found,) = net.ec2("DescribeRouteTables", Filters=named)["RouteTables"]
    assert found["RouteTableId"] == net.table
    new = net.ec2("ReplaceRouteTableAssociation", AssociationId=key, RouteTableId=other)["NewAssociationId"]
    assert [one["GatewayId"] for one in net.associations(other)] == [net.gateway]
    assert net.ec2.error("DeleteRouteTable", RouteTableId=other)[0] == "DependencyViolation"
    net.ec2("DisassociateRouteTable", AssociationId=new)
    assert net.associations(other) == []


def test_what_cannot_be_associated(net: Net) -> None:
    named = {"RouteTableId": net.table}
    assert net.ec2.error("AssociateRouteTable", **named, GatewayId=f"igw-{MISSING}")[0] == "InvalidGatewayID.NotFound"
    assert net.ec2.error("AssociateRouteTable", **named, GatewayId=f"vgw-{MISSING}")[0] == "InvalidGatewayID.NotFound"
    both = {"GatewayId": net.gateway, "SubnetId": net.subnet}
    assert net.ec2.error("AssociateRouteTable", **named, **both)[0] == "InvalidParameterCombination"
    loose = net.ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    assert net.ec2.error("AssociateRouteTable", **named, GatewayId=loose) == (
        "InvalidParameterValue",
        f"route table {net.table} and network gateway {loose} belong to different networks",
    )


def test_its_routes_lead_from_whole_subnets_to_interfaces(net: Net) -> None:
    ec2 = net.ec2
    net.associate()
    to = {"RouteTableId": net.table, "NetworkInterfaceId": net.interface}
    ec2("CreateRoute", **to, DestinationCidrBlock="10.0.0.0/24")
    ec2("ReplaceRoute", **to, DestinationCidrBlock="10.0.0.0/16")
    for block in ("10.0.0.0/25", "10.0.7.0/24", "0.0.0.0/0", "198.51.100.0/24"):
        assert ec2.error("CreateRoute", **to, DestinationCidrBlock=block)[0] == "InvalidParameterValue"
    listed = ec2("CreateManagedPrefixList", PrefixListName="n", MaxEntries=1, AddressFamily="IPv4")["PrefixList"]
    assert ec2.error("CreateRoute", **to, DestinationPrefixListId=listed["PrefixListId"])[0] == "InvalidParameterValue"
    allocation = ec2("AllocateAddress")["AllocationId"]
    nat = ec2("CreateNatGateway", SubnetId=net.subnet, AllocationId=allocation)["NatGateway"]["NatGatewayId"]
    subnet = {"RouteTableId": net.table, "DestinationCidrBlock": "10.0.0.0/24"}
    assert ec2.error("ReplaceRoute", **subnet, NatGatewayId=nat)[0] == "InvalidParameterValue"
    ec2("DeleteRoute", **subnet)
    ec2("ReplaceRoute", RouteTableId=net.table, DestinationCidrBlock="10.0.0.0/16", LocalTarget=True)


def test_a_table_with_other_routes_is_refused(net: Net) -> None:
    to_internet = {"RouteTableId": net.table, "DestinationCidrBlock": "0.0.0.0/0"}
    net.ec2("CreateRoute", **to_internet, GatewayId=net.gateway)
    refused = {"RouteTableId": net.table, "GatewayId": net.gateway}
    assert net.ec2.error("AssociateRouteTable", **refused)[0] == "InvalidParameterValue"
    key = net.associate(RouteTableId=net.new_table())
    assert net.ec2.error("ReplaceRouteTableAssociation", AssociationId=key, RouteTableId=net.table)[0] == (
        "InvalidParameterValue"
    )
    net.ec2("DeleteRoute", **to_internet)
    net.ec2("ReplaceRouteTableAssociation", AssociationId=key, RouteTableId=net.table)


def test_it_ends_with_the_attachment(net: Net) -> None:
    net.associate()
    net.ec2("DetachInternetGateway", InternetGatewayId=net.gateway, VpcId=net.vpc)
    assert net.associations() == []
    net.ec2("DeleteRouteTable", RouteTableId=net.table)
