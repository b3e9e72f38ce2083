"""VPC peering in templates."""

from __future__ import annotations

import json
from typing import Any

from cfn_rig import Rig, with_rig

from ecsnet.model.cloudformation import StackStatus
from ecsnet.model.ec2 import RouteTable, VpcPeeringConnection


def _template(far: str = "10.1.0.0/16", **more: Any) -> str:
    def vpc(block: str) -> dict[str, Any]:
        return {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": block}}

    return json.dumps(
        {
            "Resources": {
                "One": vpc("10.0.0.0/16"),
                "Other": vpc(far),
                "Peering": {
                    "Type": "AWS::EC2::VPCPeeringConnection",
                    "Properties": {"VpcId": {"Ref": "One"}, "PeerVpcId": {"Ref": "Other"}, **more},
                },
                "Table": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "One"}}},
                "Route": {
                    "Type": "AWS::EC2::Route",
                    "Properties": {
                        "RouteTableId": {"Ref": "Table"},
                        "DestinationCidrBlock": "10.1.0.0/16",
                        "VpcPeeringConnectionId": {"Ref": "Peering"},
                    },
                },
            },
            "Outputs": {"Id": {"Value": {"Fn::GetAtt": ["Peering", "Id"]}}},
        }
    )


def _peering(rig: Rig) -> VpcPeeringConnection:
    (row,) = rig.store.snapshot.tables["vpc_peering"].values()
    assert isinstance(row, VpcPeeringConnection)
    return row


def test_a_peering_within_an_account_is_accepted_and_routed_and_goes_with_the_stack() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_template(Tags=[{"Key": "Name", "Value": "a"}]))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        row = _peering(rig)
        assert (row.status, rig.stack("s").current.outputs[0].value) == ("active", row.id)
        assert ("Name", "a") in row.requester.tags
        tables = [one for one in rig.store.snapshot.tables["route_table"].values() if isinstance(one, RouteTable)]
        assert any(route.target.id == row.id for table in tables for route in table.routes)

        await rig.call("UpdateStack", StackName="s", TemplateBody=_template(Tags=[{"Key": "Name", "Value": "b"}]))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert (_peering(rig).id, ("Name", "b") in _peering(rig).requester.tags) == (row.id, True)

        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE, rig.reasons("s")
        assert _peering(rig).status == "deleted"

    with_rig(body)


def test_overlapping_blocks_fail_the_stack() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_template("10.0.0.0/20"))
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("overlapping CIDR range" in reason for reason in rig.reasons("s"))

    with_rig(body)


def test_another_account_needs_a_role() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_template(PeerOwnerId="444455556666"))
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("PeerRoleArn is required" in reason for reason in rig.reasons("s"))

    with_rig(body)
