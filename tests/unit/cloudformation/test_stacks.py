"""The API calls around a stack: names, exports, change sets, nested stacks, real EC2 resources."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cfn_fakes import FakeWorld, backed, native, template
from cfn_rig import Rig, with_rig

from ecsnet.model import tables
from ecsnet.model.cloudformation import StackStatus
from ecsnet.services.call import AwsError

IAM = ["CAPABILITY_IAM"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    made = FakeWorld()
    monkeypatch.setattr("ecsnet.services.cloudformation._TYPES", made.provisioners().keys())
    return made


async def made(rig: Rig, name: str, body: str, **more: Any) -> None:
    await rig.call("CreateStack", StackName=name, TemplateBody=body, Capabilities=IAM, **more)
    assert (await rig.settled(name)).status is StackStatus.CREATE_COMPLETE, rig.reasons(name)


def exporting(cidr: str = "10.0.0.0/16") -> str:
    return template(
        {"Id": {"Value": {"Ref": "A"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:Id"}}}}, A=native(cidr)
    )


def importing(name: str = "net:Id") -> str:
    body = {"Resources": {"B": native()}, "Outputs": {"Got": {"Value": {"Fn::ImportValue": name}}}}
    return json.dumps(body)


def test_exports_hold_their_stack_while_they_are_imported(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await made(rig, "net", exporting())
        await made(rig, "app", importing())
        value = rig.stack("net").current.outputs[0].value
        assert rig.stack("app").current.outputs[0].value == value
        exports = (await rig.call("ListExports"))["Exports"]
        assert exports == [{"ExportingStackId": rig.stack("net").id, "Name": "net:Id", "Value": value}]
        assert (await rig.call("ListImports", ExportName="net:Id"))["Imports"] == ["app"]

        await rig.call("DeleteStack", StackName="net")
        kept = rig.stack("net")
        assert kept.status is StackStatus.CREATE_COMPLETE
        assert kept.reason == "Delete canceled. Cannot delete export net:Id as it is in use by app."

        await rig.call("UpdateStack", StackName="net", TemplateBody=exporting("10.9.0.0/16"), Capabilities=IAM)
        assert (await rig.settled("net")).status is StackStatus.UPDATE_ROLLBACK_COMPLETE
        assert any("Export net:Id cannot be updated as it is in use by app" in one for one in rig.reasons("net"))
        assert rig.stack("net").current.outputs[0].value == value

        await rig.call("DeleteStack", StackName="app")
        await rig.settled("app")
        await rig.call("DeleteStack", StackName="net")
        assert (await rig.settled("net")).status is StackStatus.DELETE_COMPLETE
        assert (await rig.call("ListExports"))["Exports"] == []

    with_rig(body, provisioners=world.provisioners())


def test_an_import_of_nothing_fails_before_anything_is_made(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="app", TemplateBody=importing("nobody:Id"))
        assert (await rig.settled("app")).status is StackStatus.ROLLBACK_COMPLETE
        assert "No export named nobody:Id found. Rollback requested by user." in rig.reasons("app")
        assert world.calls == []

    with_rig(body, provisioners=world.provisioners())


def test_two_stacks_cannot_export_one_name(world: FakeWorld) -> None:
    twice = template({"Id": {"Value": {"Ref": "A"}, "Export": {"Name": "net:Id"}}}, A=native())

    async def body(rig: Rig) -> None:
        await made(rig, "net", exporting())
        await rig.call("CreateStack", StackName="other", TemplateBody=twice)
        assert (await rig.settled("other")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("Export with name net:Id is already exported by stack net" in one for one in rig.reasons("other"))

    with_rig(body, provisioners=world.provisioners())


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"StackName": "a_b"}, "ValidationError", "failed to satisfy constraint"),
        ({"StackName": "net"}, "AlreadyExistsException", r"Stack \[net\] already exists"),
        ({"TemplateBody": None}, "ValidationError", "Either Template URL or Template Body must be specified"),
        ({"TemplateBody": template(R=backed())}, "InsufficientCapabilitiesException", r"\[CAPABILITY_IAM\]"),
        (
            {"TemplateBody": template(A={"Type": "AWS::EC2::Vpcc"})},
            "ValidationError",
            r"Unrecognized resource types: \[AWS::EC2::Vpcc\]",
        ),
        (
            {"TemplateBody": template(A={"Type": "AWS::RDS::DBInstance"}, B={"Type": "AWS::EFS::FileSystem"})},
            "NotImplemented",
            r"\[AWS::EFS::FileSystem, AWS::RDS::DBInstance\]. Nothing was made",
        ),
        ({"TemplateBody": template(A=native(needs=("B",)), B=native(needs=("A",)))}, "ValidationError", r"\[A, B\]"),
        (
            {"Parameters": [{"ParameterKey": "X", "ParameterValue": "1"}]},
            "ValidationError",
            "do not exist in the template",
        ),
        ({"OnFailure": "ROLLBACK", "DisableRollback": True}, "ValidationError", "not both"),
        ({"TemplateBody": None, "TemplateURL": "vpc.yml"}, "ValidationError", "not a supported S3 URL"),
        (
            {"TemplateBody": None, "TemplateURL": "https://s3.amazonaws.com/b/k"},
            "ValidationError",
            "S3 error: The specified key does not exist",
        ),
        ({"TemplateBody": "a: " + "x" * 60_000}, "ValidationError", "less than or equal to 51200"),
    ],
)
def test_wrong_requests_are_named(world: FakeWorld, members: dict[str, Any], code: str, message: str) -> None:
    async def body(rig: Rig) -> None:
        await made(rig, "net", exporting())
        request = {"StackName": "new", "TemplateBody": template(A=native()), **members}
        before = rig.store.snapshot.revision
        with pytest.raises(AwsError, match=message) as caught:
            await rig.call("CreateStack", **{key: value for key, value in request.items() if value is not None})
        assert caught.value.code == code
        assert rig.store.snapshot.revision == before

    with_rig(body, provisioners=world.provisioners())


def test_a_client_token_makes_creation_idempotent(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        request = {"StackName": "s", "TemplateBody": template(A=native()), "ClientRequestToken": "t"}
        first = await rig.call("CreateStack", **request)
        assert await rig.call("CreateStack", **request) == first
        await rig.settled("s")
        with pytest.raises(AwsError, match="already exists"):
            await rig.call("CreateStack", **{**request, "ClientRequestToken": "u"})

    with_rig(body, provisioners=world.provisioners())


def test_describe(world: FakeWorld) -> None:
    text = json.dumps(
        {
            "Description": "a stack",
            "Parameters": {"Secret": {"Type": "String", "NoEcho": True}, "Open": {"Type": "String", "Default": "x"}},
            "Resources": {"A": {**native(), "Metadata": {"m": 1}}},
            "Outputs": {"O": {"Value": {"Ref": "A"}, "Description": "id"}},
        }
    )

    async def body(rig: Rig) -> None:
        given = [{"ParameterKey": "Secret", "ParameterValue": "hidden"}]
        await made(rig, "s", text, Parameters=given, Tags=[{"Key": "k", "Value": "v"}])
        (stack,) = (await rig.call("DescribeStacks", StackName="s"))["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        assert stack["Description"] == "a stack"
        values = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
        assert values == {"Secret": "****", "Open": "x"}
        assert stack["Tags"] == [{"Key": "k", "Value": "v"}]
        assert stack["Outputs"][0]["Description"] == "id"
        (resource,) = (await rig.call("DescribeStackResources", StackName="s"))["StackResources"]
        assert (resource["LogicalResourceId"], resource["ResourceStatus"]) == ("A", "CREATE_COMPLETE")
        physical = resource["PhysicalResourceId"]
        found = await rig.call("DescribeStackResources", PhysicalResourceId=physical)
        assert found["StackResources"][0]["StackName"] == "s"
        detail = await rig.call("DescribeStackResource", StackName="s", LogicalResourceId="A")
        assert detail["StackResourceDetail"]["Metadata"] == '{"m": 1}'
        summaries = (await rig.call("ListStackResources", StackName="s"))["StackResourceSummaries"]
        assert [one["LogicalResourceId"] for one in summaries] == ["A"]
        events = (await rig.call("DescribeStackEvents", StackName="s"))["StackEvents"]
        times = [event["Timestamp"] for event in events]
        assert times == sorted(times, reverse=True)
        assert len(set(times)) == len(times)
        assert (await rig.call("GetTemplate", StackName="s"))["TemplateBody"] == text
        summary = await rig.call("GetTemplateSummary", TemplateBody=text)
        assert summary["ResourceTypes"] == ["AWS::EC2::VPC"]
        assert {one["ParameterKey"]: one["NoEcho"] for one in summary["Parameters"]} == {"Secret": True, "Open": False}
        checked = await rig.call("ValidateTemplate", TemplateBody=text)
        assert checked["Description"] == "a stack"
        with pytest.raises(AwsError, match="Stack with id other does not exist"):
            await rig.call("DescribeStacks", StackName="other")
        await rig.call("DeleteStack", StackName="s")
        await rig.settled("s")
        with pytest.raises(AwsError, match="does not exist"):
            await rig.call("DescribeStacks", StackName="s")
        (gone,) = (await rig.call("DescribeStacks", StackName=stack["StackId"]))["Stacks"]
        assert gone["StackStatus"] == "DELETE_COMPLETE"
        await rig.call("DeleteStack", StackName="never-was")

    with_rig(body, provisioners=world.provisioners())


def test_termination_protection(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await made(rig, "s", template(A=native()), EnableTerminationProtection=True)
        with pytest.raises(AwsError, match="TerminationProtection is enabled"):
            await rig.call("DeleteStack", StackName="s")
        await rig.call("UpdateTerminationProtection", StackName="s", EnableTerminationProtection=False)
        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE

    with_rig(body, provisioners=world.provisioners())


# ── change sets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_change_set_creates_a_stack(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        request = {"StackName": "s", "ChangeSetName": "c", "ChangeSetType": "CREATE", "Capabilities": IAM}
        await rig.call("CreateChangeSet", TemplateBody=template(A=native(), B=backed()), **request)
        assert rig.stack("s").status is StackStatus.REVIEW_IN_PROGRESS
        found = await rig.call("DescribeChangeSet", StackName="s", ChangeSetName="c")
        assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
        assert [one["ResourceChange"]["Action"] for one in found["Changes"]] == ["Add", "Add"]
        assert world.calls == []
        await rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE
        assert rig.stack("s").change_set == found["ChangeSetId"]
        with pytest.raises(AwsError, match="cannot be executed"):
            await rig.call("ExecuteChangeSet", ChangeSetName=found["ChangeSetId"])

    with_rig(body, provisioners=world.provisioners())


def test_a_change_set_tells_what_it_would_do(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await made(rig, "s", template(A=native(), B=native(), C=native(), D=native(), E=native()))
        after = template(
            A=native(dns=True),
            B=native("10.1.0.0/16"),
            C=native(),
            E={"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": {"Ref": "B"}}},
            F=native(),
        )
        await rig.call("CreateChangeSet", StackName="s", ChangeSetName="c", TemplateBody=after)
        found = await rig.call("DescribeChangeSet", StackName="s", ChangeSetName="c")
        changes = {
            one["ResourceChange"]["LogicalResourceId"]: (
                one["ResourceChange"]["Action"],
                one["ResourceChange"].get("Replacement"),
            )
            for one in found["Changes"]
        }
        assert changes == {
            "A": ("Modify", "False"),
            "B": ("Modify", "True"),
            "D": ("Remove", None),
            "E": ("Modify", "Conditional"),
            "F": ("Add", None),
        }
        assert (await rig.call("ListChangeSets", StackName="s"))["Summaries"][0]["ChangeSetName"] == "c"
        assert json.loads(
            (await rig.call("GetTemplate", StackName="s", ChangeSetName="c"))["TemplateBody"]
        ) == json.loads(after)
        await rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE

    with_rig(body, provisioners=world.provisioners())


def test_a_change_set_without_changes_has_failed(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await made(rig, "s", template(A=native()))
        await rig.call("CreateChangeSet", StackName="s", ChangeSetName="c", UsePreviousTemplate=True)
        found = await rig.call("DescribeChangeSet", StackName="s", ChangeSetName="c")
        assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
        assert found["StatusReason"].startswith("The submitted information didn't contain changes.")
        with pytest.raises(AwsError) as caught:
            await rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
        assert caught.value.code == "InvalidChangeSetStatus"

    with_rig(body, provisioners=world.provisioners())


def test_a_missing_change_set_can_be_deleted_but_not_described(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await made(rig, "s", template(A=native()))
        await rig.call("DeleteChangeSet", StackName="s", ChangeSetName="nothing")
        await rig.call("DeleteChangeSet", StackName="nobody", ChangeSetName="nothing")
        with pytest.raises(AwsError) as caught:
            await rig.call("DescribeChangeSet", StackName="s", ChangeSetName="nothing")
        assert caught.value.code == "ChangeSetNotFound"

    with_rig(body, provisioners=world.provisioners())


# ── nested stacks, parameters from SSM, real EC2 ─────────────────────────────────────────────────────────────────────

CHILD = """
Parameters:
  Cidr: {Type: String}
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Ref Cidr}}
Outputs:
  VpcId: {Value: !Ref Vpc}
"""
PARENT = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Net:
    Type: AWS::Serverless::Application
    Properties:
      Location: https://parts.s3.amazonaws.com/net.yml
      Parameters: {Cidr: %s}
  Subnet:
    Type: AWS::EC2::Subnet
    Properties: {VpcId: !GetAtt Net.Outputs.VpcId, CidrBlock: %s}
"""
EXPAND = ["CAPABILITY_AUTO_EXPAND"]


def vpcs(rig: Rig) -> list[str]:
    return [str(row.cidrs[0].cidr) for row in rig.store.snapshot.rows(tables.VPCS) if not row.is_default]


def test_a_nested_application_is_made_updated_and_deleted() -> None:
    async def body(rig: Rig) -> None:
        rig.backing.objects["parts", "net.yml"] = CHILD.encode()
        first, second = PARENT % ("10.1.0.0/16", "10.1.1.0/24"), PARENT % ("10.2.0.0/16", "10.2.1.0/24")
        with pytest.raises(AwsError, match="CAPABILITY_AUTO_EXPAND"):
            await rig.call("CreateStack", StackName="p", TemplateBody=first)
        await rig.call("CreateStack", StackName="p", TemplateBody=first, Capabilities=EXPAND)
        assert (await rig.settled("p")).status is StackStatus.CREATE_COMPLETE, rig.reasons("p")
        assert vpcs(rig) == ["10.1.0.0/16"]
        child = next(one for one in rig.store.snapshot.rows(tables.STACKS) if one.parent is not None)
        assert child.name.startswith("p-Net-")
        assert child.root == rig.stack("p").id
        await rig.call("UpdateStack", StackName="p", TemplateBody=second, Capabilities=EXPAND)
        assert (await rig.settled("p")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("p")
        await rig.settled(child.id)
        assert vpcs(rig) == ["10.2.0.0/16"]
        await rig.call("DeleteStack", StackName="p")
        assert (await rig.settled("p")).status is StackStatus.DELETE_COMPLETE, rig.reasons("p")
        assert vpcs(rig) == []

    with_rig(body)


def test_a_nested_failure_rolls_the_parent_back() -> None:
    async def body(rig: Rig) -> None:
        rig.backing.objects["parts", "net.yml"] = CHILD.encode()
        wrong = PARENT % ("10.1.0.0/99", "10.1.1.0/24")
        await rig.call("CreateStack", StackName="p", TemplateBody=wrong, Capabilities=EXPAND)
        assert (await rig.settled("p")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("10.1.0.0/99" in reason and "Embedded stack" in reason for reason in rig.reasons("p"))
        assert vpcs(rig) == []

    with_rig(body)


def test_a_nested_update_is_rolled_back_with_its_parent() -> None:
    """The nested stack has replaced its VPC already when the parent's own resource fails."""

    async def body(rig: Rig) -> None:
        rig.backing.objects["parts", "net.yml"] = CHILD.encode()
        first, second = PARENT % ("10.1.0.0/16", "10.1.1.0/24"), PARENT % ("10.2.0.0/16", "10.99.1.0/24")
        await rig.call("CreateStack", StackName="p", TemplateBody=first, Capabilities=EXPAND)
        await rig.settled("p")
        before = {row.id for row in rig.store.snapshot.rows(tables.VPCS)}
        await rig.call("UpdateStack", StackName="p", TemplateBody=second, Capabilities=EXPAND)
        assert (await rig.settled("p")).status is StackStatus.UPDATE_ROLLBACK_COMPLETE, rig.reasons("p")
        child = next(one for one in rig.store.snapshot.rows(tables.STACKS) if one.parent is not None)
        assert child.status is StackStatus.UPDATE_ROLLBACK_COMPLETE
        assert {row.id for row in rig.store.snapshot.rows(tables.VPCS)} == before

    with_rig(body)


def test_parameters_come_from_ssm() -> None:
    text = """
Parameters:
  Cidr: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /net/cidr}
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Ref Cidr}}
  Other: {Type: AWS::EC2::VPC, Properties: {CidrBlock: '{{resolve:ssm:/net/other}}'}}
"""

    async def body(rig: Rig) -> None:
        with pytest.raises(AwsError, match=r"Unable to fetch parameters \[/net/cidr\] from parameter store"):
            await rig.call("CreateStack", StackName="s", TemplateBody=text)
        rig.backing.parameters = {"/net/cidr": "10.3.0.0/16", "/net/other": "10.4.0.0/16"}
        await made(rig, "s", text)
        assert sorted(vpcs(rig)) == ["10.3.0.0/16", "10.4.0.0/16"]
        (stack,) = (await rig.call("DescribeStacks", StackName="s"))["Stacks"]
        assert stack["Parameters"][0]["ResolvedValue"] == "10.3.0.0/16"

    with_rig(body)


def test_a_wrong_cidr_leaves_nothing_behind() -> None:
    text = """
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Subnet: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 192.168.0.0/24}}
"""

    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=text)
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("192.168.0.0/24" in reason for reason in rig.reasons("s"))
        assert vpcs(rig) == []

    with_rig(body)


def test_a_parameter_must_name_an_existing_vpc() -> None:
    text = "Parameters: {Vpc: {Type: 'AWS::EC2::VPC::Id'}}\nResources: {G: {Type: AWS::EC2::InternetGateway}}"

    async def body(rig: Rig) -> None:
        given = [{"ParameterKey": "Vpc", "ParameterValue": "vpc-1"}]
        with pytest.raises(AwsError, match="parameter value vpc-1 for parameter name Vpc does not exist"):
            await rig.call("CreateStack", StackName="s", TemplateBody=text, Parameters=given)

    with_rig(body)


def test_group_rules_are_updated_in_place() -> None:
    def text(port: int, *, egress: str = "") -> str:
        return f"""
Resources:
  Vpc: {{Type: AWS::EC2::VPC, Properties: {{CidrBlock: 10.0.0.0/16}}}}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: g
      VpcId: !Ref Vpc
      SecurityGroupIngress: [{{IpProtocol: TCP, FromPort: {port}, ToPort: '{port}', CidrIp: 0.0.0.0/0}}]
      {egress}
"""

    def rules(rig: Rig) -> set[tuple[bool, str, int]]:
        (group,) = [one for one in rig.store.snapshot.rows(tables.GROUPS) if one.description == "g"]
        found = rig.store.snapshot.find(tables.RULES_BY_GROUP, group.id)
        return {(rule.egress, rule.protocol, rule.from_port) for rule in found}

    async def body(rig: Rig) -> None:
        await made(rig, "s", text(80))
        assert rules(rig) == {(False, "tcp", 80), (True, "-1", -1)}
        closed = "SecurityGroupEgress: [{IpProtocol: icmp, FromPort: 252, ToPort: 86, CidrIp: 255.255.255.255/32}]"
        await rig.call("UpdateStack", StackName="s", TemplateBody=text(81, egress=closed))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert rules(rig) == {(False, "tcp", 81), (True, "icmp", 252)}
        await rig.call("UpdateStack", StackName="s", TemplateBody=text(81))
        await rig.settled("s")
        assert rules(rig) == {(False, "tcp", 81), (True, "-1", -1)}

    with_rig(body)


def test_the_default_group_is_restricted_natively() -> None:
    text = """
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Restrict:
    Type: Custom::VpcRestrictDefaultSG
    Properties: {ServiceToken: x, DefaultSecurityGroupId: !GetAtt Vpc.DefaultSecurityGroup, Account: '1'}
"""

    async def body(rig: Rig) -> None:
        await made(rig, "s", text)
        (vpc,) = [one for one in rig.store.snapshot.rows(tables.VPCS) if not one.is_default]
        (group,) = rig.store.snapshot.find(tables.GROUPS_BY_VPC, vpc.id)
        assert list(rig.store.snapshot.find(tables.RULES_BY_GROUP, group.id)) == []

    with_rig(body)
