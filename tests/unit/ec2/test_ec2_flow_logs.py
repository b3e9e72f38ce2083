"""The flow log calls and the grammar of their formats."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import Ec2

from ecsnet.services.call import AwsError
from ecsnet.services.ec2 import flow_log_format

ROLE = "arn:aws:iam::123456789012:role/logs"


@pytest.fixture
def vpc(ec2: Ec2) -> str:
    return ec2.vpc()


def create(ec2: Ec2, resource: str, **more: Any) -> dict[str, Any]:
    request = {"ResourceIds": [resource], "ResourceType": "VPC", "TrafficType": "ALL"}
    if "LogDestinationType" not in more:
        request |= {"LogGroupName": "flows", "DeliverLogsPermissionArn": ROLE}
    return ec2("CreateFlowLogs", **(request | more))


def test_a_flow_log_is_listed_as_it_was_made(ec2: Ec2, vpc: str) -> None:
    tags = [{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "Name", "Value": "all"}]}]
    reply = create(ec2, vpc, TagSpecifications=tags, MaxAggregationInterval=60)
    assert reply["Unsuccessful"] == []
    (row,) = ec2("DescribeFlowLogs", FlowLogIds=reply["FlowLogIds"])["FlowLogs"]
    assert row["FlowLogStatus"] == "ACTIVE"
    assert (row["ResourceId"], row["TrafficType"], row["LogGroupName"]) == (vpc, "ALL", "flows")
    assert row["LogFormat"] == flow_log_format.DEFAULT
    assert row["Tags"] == [{"Key": "Name", "Value": "all"}]
    assert "DeliverLogsStatus" not in row, "nothing was delivered yet"
    listed = ec2("DescribeFlowLogs", Filter=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"]
    assert [item["FlowLogId"] for item in listed] == reply["FlowLogIds"]


def test_a_resource_that_is_not_there_is_unsuccessful_and_the_others_are_made(ec2: Ec2, vpc: str) -> None:
    missing = "vpc-" + "0" * 16 + "f"
    reply = ec2(
        "CreateFlowLogs",
        ResourceIds=[missing, vpc],
        ResourceType="VPC",
        TrafficType="REJECT",
        LogDestinationType="local-file",
    )
    assert len(reply["FlowLogIds"]) == 1
    (failed,) = reply["Unsuccessful"]
    assert (failed["ResourceId"], failed["Error"]["Code"]) == (missing, "InvalidVpcID.NotFound")


def test_the_same_flow_log_twice_is_refused_and_with_the_same_token_it_is_the_first(ec2: Ec2, vpc: str) -> None:
    first = create(ec2, vpc, ClientToken="once")
    assert create(ec2, vpc, ClientToken="once")["FlowLogIds"] == first["FlowLogIds"]
    code, _ = ec2.error(
        "CreateFlowLogs",
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogGroupName="flows",
        DeliverLogsPermissionArn=ROLE,
    )
    assert code == "FlowLogAlreadyExists"
    assert create(ec2, vpc, LogGroupName="others")["FlowLogIds"] != first["FlowLogIds"]


def test_deleting_names_what_is_not_there_and_deletes_nothing(ec2: Ec2, vpc: str) -> None:
    made = create(ec2, vpc)["FlowLogIds"][0]
    missing = "fl-" + "0" * 16 + "f"
    with pytest.raises(AwsError) as caught:
        ec2("DeleteFlowLogs", FlowLogIds=[made, missing])
    assert caught.value.code == "InvalidFlowLogId.NotFound"
    assert caught.value.message == (f"These flow log ids in the input list are not found: [TotalCount: 1] {missing}")
    ec2("DeleteFlowLogs", FlowLogIds=[made])
    assert ec2("DescribeFlowLogs")["FlowLogs"] == []


def test_a_flow_log_goes_with_its_resource(ec2: Ec2, vpc: str) -> None:
    subnet = ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.0.9.0/24")["Subnet"]["SubnetId"]
    create(ec2, subnet, ResourceType="Subnet", LogDestinationType="local-file")
    ec2("DeleteSubnet", SubnetId=subnet)
    assert ec2("DescribeFlowLogs")["FlowLogs"] == []


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("InvalidParameter", {"LogGroupName": None}),
        ("InvalidParameter", {"DeliverLogsPermissionArn": None}),
        ("InvalidParameter", {"MaxAggregationInterval": 61}),
        ("InvalidParameter", {"LogFormat": "${srcaddr} dstaddr"}),
        ("InvalidParameter", {"LogFormat": "${srcaddr} ${colour}"}),
        ("InvalidParameter", {"TrafficType": "SOME"}),
        ("InvalidParameter", {"LogDestinationType": "s3", "LogDestination": "bucket"}),
        ("MissingParameter", {"TrafficType": None}),
        ("NotImplemented", {"LogFormat": "${reject-reason}"}),
        ("NotImplemented", {"ResourceType": "TransitGateway"}),
        ("NotImplemented", {"LogDestinationType": "kinesis-data-firehose"}),
        ("NotImplemented", {"DestinationOptions": {"FileFormat": "parquet"}}),
    ],
)
def test_what_cannot_be_is_refused(ec2: Ec2, vpc: str, code: str, more: dict[str, Any]) -> None:
    request = {
        "ResourceIds": [vpc],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogGroupName": "flows",
        "DeliverLogsPermissionArn": ROLE,
    } | more
    if more.get("LogDestinationType"):
        del request["LogGroupName"]
    given = {name: value for name, value in request.items() if value is not None}
    assert ec2.error("CreateFlowLogs", **given)[0] == code


def test_the_version_of_a_format_is_the_highest_of_its_fields() -> None:
    for text, version in (
        (flow_log_format.DEFAULT, 2),
        ("${version} ${vpc-id}", 3),
        ("${az-id} ${flow-direction} ${srcaddr}", 5),
        ("${ecs-task-id} ${ecsnet-rule}", 7),
    ):
        assert flow_log_format.version(flow_log_format.fields(text)) == version
