"""Route tables: associations, the main role, which routes are taken, and when a route is a blackhole."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from ec2_account import Ec2

from ecsnet.model import ec2 as records
from ecsnet.services.ec2 import ops

MISSING = "0" * 16 + "f"


@dataclass
class Net:
    ec2: Ec2
    vpc: str
    subnet: str
    gateway: str
    table: str

    def routes(self) -> list[tuple[str, str]]:
        (table,) = self.ec2("DescribeRouteTables", RouteTableIds=[self.table])["RouteTables"]
        return [(route["DestinationCidrBlock"], route["State"]) for route in table["Routes"]]


@pytest.fixture
def net(ec2: Ec2) -> Net:
    vpc = ec2.vpc("10.0.0.0/16")
    gateway = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    table = ec2("CreateRouteTable", VpcId=vpc)["RouteTable"]["RouteTableId"]
    return Net(ec2=ec2, vpc=vpc, subnet=ec2.subnet(vpc), gateway=gateway, table=table)


def test_a_route_is_made_replaced_and_deleted(net: Net) -> None:
    ec2 = net.ec2
    named = {"RouteTableId": net.table, "DestinationCidrBlock": "0.0.0.0/0"}
    assert ec2.error("ReplaceRoute", **named, GatewayId=net.gateway) == (
        "InvalidParameterValue",
        "There is no route defined for '0.0.0.0/0' in the route table. Use CreateRoute instead.",
    )
    ec2("CreateRoute", **named, GatewayId=net.gateway)
    assert ec2.error("CreateRoute", **named, GatewayId=net.gateway) == (
        "RouteAlreadyExists",
        "The route identified by 0.0.0.0/0 already exists.",
    )
    eni = ec2.interface(net.subnet)["NetworkInterfaceId"]
    ec2("ReplaceRoute", **named, NetworkInterfaceId=eni)
    assert net.routes()[1] == ("0.0.0.0/0", "blackhole")
    ec2("DeleteRoute", **named)
    assert ec2.error("DeleteRoute", **named) == (
        "InvalidRoute.NotFound",
        f"no route with destination-cidr-block 0.0.0.0/0 in route table {net.table}",
    )


def test_the_local_route_stays(net: Net) -> None:
    local = {"RouteTableId": net.table, "DestinationCidrBlock": "10.0.0.0/16"}
    assert net.ec2.error("DeleteRoute", **local) == (
        "InvalidParameterValue",
        f"cannot remove local route 10.0.0.0/16 in route table {net.table}",
    )
    eni = net.ec2.interface(net.subnet)["NetworkInterfaceId"]
    net.ec2("ReplaceRoute", **local, NetworkInterfaceId=eni)
    assert net.routes() == [("10.0.0.0/16", "blackhole")]
    net.ec2("ReplaceRoute", **local, LocalTarget=True)
    assert net.routes() == [("10.0.0.0/16", "active")]
    assert net.ec2.error("ReplaceRoute", **local, GatewayId=net.gateway)[0] == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"DestinationCidrBlock": "anywhere", "GatewayId": "igw"}, "InvalidParameterValue"),
        ({"GatewayId": "igw"}, "MissingParameter"),
        ({"DestinationCidrBlock": "0.0.0.0/0"}, "MissingParameter"),
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": f"igw-{MISSING}"}, "InvalidGatewayID.NotFound"),
        ({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": f"nat-{MISSING}"}, "InvalidNatGatewayID.NotFound"),
        (
            {"DestinationCidrBlock": "0.0.0.0/0", "NetworkInterfaceId": f"eni-{MISSING}"},
            "InvalidNetworkInterfaceID.NotFound",
        ),
        (
            {"DestinationCidrBlock": "0.0.0.0/0", "VpcPeeringConnectionId": f"pcx-{MISSING}"},
            "InvalidVpcPeeringConnectionID.NotFound",
        ),
        ({"DestinationCidrBlock": "0.0.0.0/0", "InstanceId": f"i-{MISSING}"}, "InvalidInstanceID.NotFound"),
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "a", "NatGatewayId": "b"}, "InvalidParameterCombination"),
        ({"DestinationPrefixListId": f"pl-{MISSING}", "GatewayId": "a"}, "InvalidPrefixListID.NotFound"),
        ({"DestinationCidrBlock": "0.0.0.0/0", "CoreNetworkArn": "arn:x"}, "NotImplemented"),
    ],
)
def test_refused_routes(net: Net, request_: dict[str, str], code: str) -> None:
    assert net.ec2.error("CreateRoute", RouteTableId=net.table, **request_)[0] == code


def test_a_gateway_of_another_network(net: Net) -> None:
    other = net.ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    assert net.ec2.error("CreateRoute", RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=other) == (
        "InvalidParameterValue",
        f"route table {net.table} and network gateway {other} belong to different networks",
    )


def test_more_specific_than_local(net: Net) -> None:
    """Only a whole subnet, and only to an interface or NAT gateway."""
    ec2, table = net.ec2, net.table
    eni = ec2.interface(net.subnet)["NetworkInterfaceId"]
    for block, target, taken in (
        ("10.0.0.0/24", {"NetworkInterfaceId": eni}, True),
        ("10.0.0.0/25", {"NetworkInterfaceId": eni}, False),
        ("10.0.7.0/24", {"NetworkInterfaceId": eni}, False),
        ("10.0.0.0/8", {"GatewayId": net.gateway}, True),
    ):
        request = {"RouteTableId": table, "DestinationCidrBlock": block, **target}
        if taken:
            ec2("CreateRoute", **request)
        else:
            assert ec2.error("CreateRoute", **request)[0] == "InvalidParameterValue"
    ec2("DeleteRoute", RouteTableId=table, DestinationCidrBlock="10.0.0.0/24")
    request = {"RouteTableId": table, "DestinationCidrBlock": "10.0.0.0/24", "GatewayId": net.gateway}
    assert ec2.error("CreateRoute", **request)[0] == "InvalidParameterValue"


def test_link_local_services_cannot_be_routed(net: Net) -> None:
    request = {"RouteTableId": net.table, "GatewayId": net.gateway}
    assert net.ec2.error("CreateRoute", **request, DestinationCidrBlock="169.254.170.2/32")[0] == (
        "InvalidParameterValue"
    )
    net.ec2("CreateRoute", **request, DestinationCidrBlock="169.254.0.0/16")


def test_route_quota(net: Net) -> None:
    net.ec2.quotas["routes_per_table"] = 2
    request = {"RouteTableId": net.table, "GatewayId": net.gateway}
    net.ec2("CreateRoute", **request, DestinationCidrBlock="192.0.2.0/24")
    assert net.ec2.error("CreateRoute", **request, DestinationCidrBlock="0.0.0.0/0") == (
        "RouteLimitExceeded",
        "The maximum number of routes has been reached.",
    )


def test_blackholes_come_and_go_with_the_target(net: Net) -> None:
    ec2 = net.ec2
    ec2("CreateRoute", RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=net.gateway)
    ec2("DetachInternetGateway", InternetGatewayId=net.gateway, VpcId=net.vpc)
    assert net.routes()[1] == ("0.0.0.0/0", "blackhole")
    ec2("AttachInternetGateway", InternetGatewayId=net.gateway, VpcId=net.vpc)
    assert net.routes()[1] == ("0.0.0.0/0", "active")
    eni = ec2.interface(net.subnet)["NetworkInterfaceId"]
    ec2("CreateRoute", RouteTableId=net.table, DestinationCidrBlock="192.0.2.0/24", NetworkInterfaceId=eni)
    assert net.routes()[2] == ("192.0.2.0/24", "blackhole")
    attachment = records.Attachment(id="eni-attach-1", owner_kind="task", owner="arn:task", attached=1.0)
    ec2.verb(ops.attach_interface, eni, attachment)
    assert net.routes()[2] == ("192.0.2.0/24", "active")
    ec2.verb(ops.detach_interface, eni)
    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni)
    assert net.routes()[2] == ("192.0.2.0/24", "blackhole")
    by_state = [{"Name": "route.state", "Values": ["blackhole"]}]
    assert [t["RouteTableId"] for t in ec2("DescribeRouteTables", Filters=by_state)["RouteTables"]] == [net.table]


def test_associations(net: Net) -> None:
    ec2 = net.ec2
    first = ec2("AssociateRouteTable", RouteTableId=net.table, SubnetId=net.subnet)["AssociationId"]
    other = ec2("CreateRouteTable", VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    assert ec2.error("AssociateRouteTable", RouteTableId=other, SubnetId=net.subnet) == (
        "Resource.AlreadyAssociated",
        f"the specified association for route table {other} conflicts with an existing association",
    )
    code, text = ec2.error("DeleteRouteTable", RouteTableId=net.table)
    assert code == "DependencyViolation"
    assert text.startswith(f"The routeTable '{net.table}' has dependencies and cannot be deleted.")
    moved = ec2("ReplaceRouteTableAssociation", AssociationId=first, RouteTableId=other)["NewAssociationId"]
    assert moved != first
    ec2("DeleteRouteTable", RouteTableId=net.table)
    ec2("DisassociateRouteTable", AssociationId=moved)
    assert ec2.error("DisassociateRouteTable", AssociationId=moved) == (
        "InvalidAssociationID.NotFound",
        f"The association ID '{moved}' does not exist",
    )


def test_the_main_role_moves(net: Net) -> None:
    ec2 = net.ec2
    main_of_vpc = [
        {"Name": "vpc-id", "Values": [net.vpc]},
        {"Name": "association.main", "Values": ["true"]},
    ]
    (old,) = ec2("DescribeRouteTables", Filters=main_of_vpc)["RouteTables"]
    main = old["Associations"][0]["RouteTableAssociationId"]
    assert ec2.error("DeleteRouteTable", RouteTableId=old["RouteTableId"])[0] == "DependencyViolation"
    assert ec2.error("DisassociateRouteTable", AssociationId=main)[0] == "InvalidParameterValue"
    ec2("ReplaceRouteTableAssociation", AssociationId=main, RouteTableId=net.table)
    (new,) = ec2("DescribeRouteTables", Filters=main_of_vpc)["RouteTables"]
    assert new["RouteTableId"] == net.table
    ec2("DeleteRouteTable", RouteTableId=old["RouteTableId"])
