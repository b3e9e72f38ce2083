"""Flow logs in templates."""

from __future__ import annotations

import json
from typing import Any

from cfn_rig import Rig, with_rig

from ecsnet.model.cloudformation import StackStatus
from ecsnet.model.ec2 import FlowLog

ROLE = "arn:aws:iam::123456789012:role/logs"


def _template(**more: Any) -> str:
    return json.dumps(
        {
            "Resources": {
                "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
                "Log": {
                    "Type": "AWS::EC2::FlowLog",
                    "Properties": {
                        "ResourceId": {"Ref": "Vpc"},
                        "ResourceType": "VPC",
                        "TrafficType": "REJECT",
                        "LogGroupName": "flows",
                        "DeliverLogsPermissionArn": ROLE,
                        **more,
                    },
                },
            },
            "Outputs": {"Id": {"Value": {"Fn::GetAtt": ["Log", "Id"]}}, "Ref": {"Value": {"Ref": "Log"}}},
        }
    )


def _logs(rig: Rig) -> list[FlowLog]:
    return [row for row in rig.store.snapshot.tables["flow_log"].values() if isinstance(row, FlowLog)]


def test_a_flow_log_is_made_tagged_replaced_and_deleted() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_template(MaxAggregationInterval=60))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        (row,) = _logs(rig)
        assert (row.traffic, row.log_group, row.interval) == ("REJECT", "flows", 60)
        assert {output.value for output in rig.stack("s").current.outputs} == {row.id}

        tags = [{"Key": "Name", "Value": "a"}]
        await rig.call("UpdateStack", StackName="s", TemplateBody=_template(MaxAggregationInterval=60, Tags=tags))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert [(log.id, ("Name", "a") in log.tags) for log in _logs(rig)] == [(row.id, True)]

        await rig.call("UpdateStack", StackName="s", TemplateBody=_template(TrafficType="ALL"))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        (other,) = _logs(rig)
        assert other.id != row.id, "a flow log cannot be changed, so it is replaced"
        assert other.traffic == "ALL"

        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE, rig.reasons("s")
        assert _logs(rig) == []

    with_rig(body)


def test_what_cannot_be_delivered_fails_the_stack_with_the_services_words() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_template(LogFormat="${colour}"))
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("Unknown fields provided: colour" in reason for reason in rig.reasons("s"))

    with_rig(body)
