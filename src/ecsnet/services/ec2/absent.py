"""Resources of which none exist here: the Describe calls answer the truth, an empty list, or NotFound for an id.

The calls that would make one are not offered, so the gateway answers them with NotImplemented.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read


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
        name="DescribeTransitGateways",
        members="TransitGateways",
        ids="TransitGatewayIds",
        code="InvalidTransitGatewayID.NotFound",
        text="The transitGateway ID '{id}' does not exist.",
    ),
)

OPERATIONS: tuple[Operation, ...] = tuple(read(absent.name, absent.describe) for absent in _ABSENT)
