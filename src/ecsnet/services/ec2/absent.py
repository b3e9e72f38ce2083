"""Resources of which none exist here: the Describe calls answer the truth, an empty list, or NotFound for an id.

The calls that would make one are not offered, so the gateway answers them with NotImplemented.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import families


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A Describe call over nothing."""

    name: str
    members: str
    ids: str | None = None
    code: str = ""
    text: str = ""
    """The error for an id, with `{id}`."""

    def describe(self, call: Call, request: Request) -> Reply:
        """The empty list. Raises the NotFound error for the first id that the request names."""
        named = request.get(self.ids) if self.ids is not None else None
        if named:
            raise AwsError(self.code, self.text.format(id=named[0]))
        return {self.members: []}


_ABSENT = (
    Absent(
        name="DescribeImages",
        members="Images",
        ids="ImageIds",
        code="InvalidAMIID.NotFound",
        text="The image id '[{id}]' does not exist",
    ),
    Absent(
        name="DescribeVpnGateways",
        members="VpnGateways",
        ids="VpnGatewayIds",
        code="InvalidVpnGatewayID.NotFound",
        text="The vpnGateway ID '{id}' does not exist",
    ),
    Absent(
        name="DescribeMovingAddresses",
        members="MovingAddressStatuses",
        ids="PublicIps",
        code="InvalidAddress.NotFound",
        text="Address '{id}' not found.",
    ),
    Absent(name="DescribeClassicLinkInstances", members="Instances"),
    Absent(
        name="DescribeTransitGateways",
        members="TransitGateways",
        ids="TransitGatewayIds",
        code="InvalidTransitGatewayID.NotFound",
        text="The transitGateway ID '{id}' does not exist.",
    ),
)


def change_propagation(call: Call, request: Request) -> Reply:
    """EnableVgwRoutePropagation and DisableVgwRoutePropagation (EC2 API), of a virtual private gateway that cannot be.

    Raises InvalidRouteTableID.NotFound, else InvalidVpnGatewayID.NotFound.
    """
    families.ROUTE_TABLE.require(call, request["RouteTableId"])
    gateway = request["GatewayId"]
    raise AwsError("InvalidVpnGatewayID.NotFound", f"The vpnGateway ID '{gateway}' does not exist")


OPERATIONS: tuple[Operation, ...] = (
    *(read(absent.name, absent.describe) for absent in _ABSENT),
    write("EnableVgwRoutePropagation", change_propagation),
    write("DisableVgwRoutePropagation", change_propagation),
)
