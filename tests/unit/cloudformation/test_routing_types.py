"""Prefix lists and gateway route tables in templates."""

from __future__ import annotations

import json
from typing import Any

from cfn_rig import Rig, with_rig

from ecsnet.model import tables
from ecsnet.model.cloudformation import StackStatus
from ecsnet.model.ec2 import PrefixList


def _list(blocks: dict[str, str], **more: Any) -> str:
    properties = {
        "PrefixListName": "offices",
        "AddressFamily": "IPv4",
        "Entries": [{"Cidr": block, "Description": text} for block, text in blocks.items()],
        **more,
    }
    group = {
        "GroupDescription": "web",
        "SecurityGroupIngress": [
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "SourcePrefixListId": {"Ref": "Offices"}}
        ],
    }
    return json.dumps(
        {
            "Resources": {
                "Offices": {"Type": "AWS::EC2::PrefixList", "Properties": properties},
                "Web": {"Type": "AWS::EC2::SecurityGroup", "Properties": group},
            },
            "Outputs": {"Version": {"Value": {"Fn::GetAtt": ["Offices", "Version"]}}},
        }
    )


def _only(rig: Rig) -> PrefixList:
    (row,) = rig.store.snapshot.tables["prefix_list"].values()
    assert isinstance(row, PrefixList)
    return row


def test_a_prefix_list_grows_shrinks_and_changes_descriptions() -> None:
    async def body(rig: Rig) -> None:
        small = {f"10.0.{n}.0/24": "one" for n in range(3)}
        await rig.call("CreateStack", StackName="s", TemplateBody=_list(small, MaxEntries=5))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        key = _only(rig).id
        assert rig.stack("s").current.outputs[0].value == "1"

        other = {**dict.fromkeys(list(small)[1:], "two"), "198.51.100.0/24": "new"}
        await rig.call("UpdateStack", StackName="s", TemplateBody=_list(other, MaxEntries=3, PrefixListName="sites"))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        row = _only(rig)
        assert (row.id, row.name, row.max_entries) == (key, "sites", 3)
        assert {str(one.cidr): one.description for one in row.entries} == other

        # 61 entries are more than the group may have rules: the update fails and all is as it was
        await rig.call("UpdateStack", StackName="s", TemplateBody=_list(other, MaxEntries=61))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_ROLLBACK_COMPLETE
        assert any("do not support the new maximum size" in reason for reason in rig.reasons("s"))
        assert (_only(rig).name, _only(rig).max_entries) == ("sites", 3)

        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        assert not rig.store.snapshot.tables["prefix_list"]

    with_rig(body)


def test_more_entries_than_one_call_takes() -> None:
    async def body(rig: Rig) -> None:
        many = [{"Cidr": f"10.0.{n}.0/24"} for n in range(230)]
        resource = {"PrefixListName": "n", "AddressFamily": "IPv4", "MaxEntries": 250, "Entries": many}
        text = {"Resources": {"L": {"Type": "AWS::EC2::PrefixList", "Properties": resource}}}
        await rig.call("CreateStack", StackName="s", TemplateBody=json.dumps(text))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        assert len(_only(rig).entries) == 230
        resource["Entries"] = many[:5]
        await rig.call("UpdateStack", StackName="s", TemplateBody=json.dumps(text))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert len(_only(rig).entries) == 5

    with_rig(body)


def test_a_gateway_route_table() -> None:
    def text(table: str) -> str:
        tables_ = {name: {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "V"}}} for name in "AB"}
        edge = {"RouteTableId": {"Ref": table}, "GatewayId": {"Ref": "G"}}
        attached = {"VpcId": {"Ref": "V"}, "InternetGatewayId": {"Ref": "G"}}
        return json.dumps(
            {
                "Resources": {
                    "V": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
                    "G": {"Type": "AWS::EC2::InternetGateway"},
                    "Attached": {"Type": "AWS::EC2::VPCGatewayAttachment", "Properties": attached},
                    **tables_,
                    "Edge": {
                        "Type": "AWS::EC2::GatewayRouteTableAssociation",
                        "DependsOn": "Attached",
                        "Properties": edge,
                    },
                }
            }
        )

    async def body(rig: Rig) -> None:
        def edges() -> list[str]:
            gateway = rig.store.snapshot.get(tables.STACK_RESOURCES, tables.stack_resource_key(rig.stack("s").id, "G"))
            assert gateway is not None
            assert gateway.physical is not None
            return [
                row.route_table for row in rig.store.snapshot.find(tables.ASSOCIATIONS_BY_GATEWAY, gateway.physical.id)
            ]

        def physical(logical: str) -> str:
            row = rig.store.snapshot.get(tables.STACK_RESOURCES, tables.stack_resource_key(rig.stack("s").id, logical))
            assert row is not None
            assert row.physical is not None
            return row.physical.id

        await rig.call("CreateStack", StackName="s", TemplateBody=text("A"))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        assert edges() == [physical("A")]
        await rig.call("UpdateStack", StackName="s", TemplateBody=text("B"))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert edges() == [physical("B")]
        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE, rig.reasons("s")

    with_rig(body)
