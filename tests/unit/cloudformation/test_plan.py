"""Parameters, form, order, schema: everything that is checked before anything is made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.graph import ordered
from ecsnet.services.cloudformation.parameters import declarations, resolve, value_of
from ecsnet.services.cloudformation.plan import Identity, Plan, check_form, make_plan
from ecsnet.services.cloudformation.schema import conform, is_known, replacing, schema_of

ME = Identity(id="arn:aws:cloudformation:us-east-1:1:stack/s/u", name="s", account="1", region="us-east-1")


def plan(body: dict[str, Any], **given_values: str) -> Plan:
    check_form(body)
    return make_plan(json.dumps(body), resolve(declarations(body.get("Parameters")), given_values, {}), ME)


def vpc(**more: Any) -> dict[str, Any]:
    return {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}, **more}


def test_dependencies_decide_the_order() -> None:
    body = {
        "Resources": {
            "C": {
                "Type": "AWS::EC2::Subnet",
                "Properties": {"VpcId": {"Fn::Sub": "${B}"}, "Tags": [{"Fn::GetAtt": "A.X"}]},
            },
            "B": vpc(DependsOn=["A"]),
            "A": vpc(),
        }
    }
    made = plan(body)
    assert list(made.resources) == ["A", "B", "C"]
    assert made.resources["C"].depends_on == ("A", "B")


def test_a_cycle_names_its_members() -> None:
    body = {
        "Resources": {
            "A": vpc(DependsOn="B"),
            "B": vpc(DependsOn="C"),
            "C": vpc(DependsOn="A"),
            "D": vpc(DependsOn="A"),
        }
    }
    with pytest.raises(ValidationError, match=r"Circular dependency between resources: \[A, B, C\]"):
        plan(body)


@given(st.dictionaries(st.integers(0, 15), st.sets(st.integers(0, 15), max_size=4), max_size=16))
def test_order_puts_needs_first(edges: dict[int, set[int]]) -> None:
    names = {str(name): {str(need) for need in needs if need < name and need in edges} for name, needs in edges.items()}
    order = ordered(names)
    assert sorted(order) == sorted(names)
    for name, needs in names.items():
        assert all(order.index(need) < order.index(name) for need in needs)


def test_conditions_leave_resources_and_references_out() -> None:
    body = {
        "Parameters": {"Big": {"Type": "String", "Default": "no"}},
        "Conditions": {"IsBig": {"Fn::Equals": [{"Ref": "Big"}, "yes"]}},
        "Resources": {
            "A": vpc(Condition="IsBig"),
            "B": vpc(DependsOn="A"),
            "C": {
                "Type": "AWS::EC2::Subnet",
                "Properties": {"VpcId": {"Fn::If": ["IsBig", {"Ref": "A"}, {"Ref": "B"}]}},
            },
        },
        "Outputs": {"O": {"Condition": "IsBig", "Value": {"Ref": "A"}}},
    }
    small, big = plan(body), plan(body, Big="yes")
    assert list(small.resources) == ["B", "C"]
    assert not small.outputs
    assert list(big.resources) == ["A", "B", "C"]
    assert big.resources["C"].depends_on == ("A",)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "At least one Resources member must be defined"),
        ({"Resources": {"A": vpc()}, "Colour": 1}, r"Invalid template property or properties \[Colour\]"),
        (
            {"Resources": {"A": {"Properties": {}}}},
            r"\[/Resources/A\] Every Resources object must contain a Type member",
        ),
        ({"Resources": {"A-b": vpc()}}, "Resource name A-b is non alphanumeric"),
        ({"Resources": {"A": vpc(DependsOn="X")}}, r"Unresolved resource dependencies \[X\] in the Resources block"),
        ({"Resources": {"A": vpc(Colour=1)}}, "Invalid template resource property 'Colour' of resource A"),
        (
            {"Resources": {"A": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": {"Ref": "X"}}}}},
            r"Unresolved resource dependencies \[X\] in the Resources block of the template",
        ),
        (
            {"Resources": {"A": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": {"Fn::GetAtt": ["X", "Y"]}}}}},
            "instance of Fn::GetAtt references undefined resource X",
        ),
        (
            {"Resources": {"A": vpc()}, "Outputs": {"O": {"Value": {"Ref": "X"}}}},
            r"Unresolved resource dependencies \[X\] in the Outputs block of the template",
        ),
        ({"Resources": {"A": vpc(Condition="X")}}, "Unresolved condition dependency X"),
        ({"Resources": {"A": vpc(DeletionPolicy="Maybe")}}, "DeletionPolicy must be one of"),
        ({"Resources": {"A": vpc()}, "AWSTemplateFormatVersion": "2011-01-01"}, "2011-01-01 is not a supported value"),
    ],
)
def test_wrong_templates_are_named(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        plan(body)


PARAMETERS = {
    "Port": {"Type": "Number", "Default": 80, "MinValue": 1, "MaxValue": 100},
    "Size": {"Type": "String", "AllowedValues": ["small", "big"], "Default": "small"},
    "Name": {"Type": "String", "AllowedPattern": "[a-z]+", "MinLength": 2, "MaxLength": 4, "Default": "abc"},
    "Zones": {"Type": "List<AWS::EC2::AvailabilityZone::Name>", "Default": "a, b"},
    "Words": {"Type": "CommaDelimitedList", "Default": "x,y"},
    "Password": {"Type": "String", "NoEcho": True, "Default": "s"},
    "Odd": {"Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "only letters", "Default": "a"},
}


def test_parameters_have_types() -> None:
    found = {one.key: one for one in resolve(PARAMETERS, {"Port": "90"}, {})}
    values = {key: value_of(str(PARAMETERS[key]["Type"]), one) for key, one in found.items()}
    assert values["Port"] == "90"
    assert values["Zones"] == ["a", "b"]
    assert values["Words"] == ["x", "y"]
    assert found["Password"].no_echo


@pytest.mark.parametrize(
    ("given_value", "message"),
    [
        ({"Port": "0"}, "Parameter 'Port' must be a number not less than 1"),
        ({"Port": "101"}, "Parameter 'Port' must be a number not greater than 100"),
        ({"Port": "x"}, "Parameter 'Port' must be a number"),
        ({"Size": "huge"}, "Parameter 'Size' must be one of AllowedValues"),
        ({"Name": "ABC"}, r"Parameter 'Name' must match pattern \[a-z\]\+"),
        ({"Name": "a"}, "Parameter 'Name' must contain at least 2 characters"),
        ({"Name": "abcde"}, "Parameter 'Name' must contain at most 4 characters"),
        ({"Odd": "1"}, "Parameter 'Odd' failed to satisfy constraint: only letters"),
        ({"Other": "1"}, r"Parameters: \[Other\] do not exist in the template"),
    ],
)
def test_parameters_are_checked(given_value: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        resolve(PARAMETERS, given_value, {})


def test_missing_parameters_are_listed() -> None:
    section = {"A": {"Type": "String"}, "B": {"Type": "String"}, "C": {"Type": "String", "Default": ""}}
    with pytest.raises(ValidationError, match=r"Parameters: \[A, B\] must have values"):
        resolve(section, {}, {})


def test_ssm_parameters_take_their_value_from_ssm() -> None:
    section = {"Version": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/a/b"}}
    (found,) = resolve(section, {}, {"Version": "21"})
    assert (found.value, found.resolved) == ("/a/b", "21")
    assert value_of("AWS::SSM::Parameter::Value<String>", found) == "21"
    with pytest.raises(ValidationError, match="SSM has no such parameter"):
        resolve(section, {}, {})


def test_values_take_the_types_of_the_schema() -> None:
    given_value = {
        "ContainerDefinitions": [
            {"Name": "a", "Image": "i", "Essential": "true", "PortMappings": [{"ContainerPort": "80"}], "Memory": "512"}
        ],
        "Cpu": 256,
        "RequiresCompatibilities": ["FARGATE"],
    }
    found = conform("AWS::ECS::TaskDefinition", "T", given_value)
    assert found["Cpu"] == "256"
    container = found["ContainerDefinitions"][0]
    assert (container["Essential"], container["PortMappings"][0]["ContainerPort"], container["Memory"]) == (
        True,
        80,
        512,
    )


@pytest.mark.parametrize(
    ("kind", "properties", "message"),
    [
        ("AWS::EC2::VPC", {"CidrBlok": "10.0.0.0/16"}, r"#: extraneous key \[CidrBlok\] is not permitted"),
        ("AWS::EC2::SecurityGroup", {"VpcId": "v"}, r"#: required key \[GroupDescription\] not found"),
        ("AWS::ECS::Service", {"DesiredCount": "two"}, "#/DesiredCount: expected type: Integer, found: String"),
        ("AWS::EC2::VPC", {"VpcId": "v", "CidrBlock": "c"}, r"extraneous key \[VpcId\] is not permitted"),
        ("AWS::ECS::Service", {"LoadBalancers": "x"}, "#/LoadBalancers: expected type: JSONArray, found: String"),
    ],
)
def test_properties_are_checked(kind: str, properties: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        conform(kind, "R", properties)


def test_create_only_properties_replace() -> None:
    assert replacing("AWS::EC2::VPC", {"CidrBlock": "a"}, {"CidrBlock": "b"}) == ("CidrBlock",)
    assert replacing("AWS::EC2::VPC", {"EnableDnsSupport": True}, {"EnableDnsSupport": False}) == ()


def test_types_are_known_without_importing_the_linter() -> None:
    import sys

    assert is_known("AWS::EC2::VPC")
    assert is_known("Custom::Anything")
    assert not is_known("AWS::EC2::Vpcc")
    schema = schema_of("AWS::EC2::Subnet")
    assert schema is not None
    assert "CidrBlock" in schema.create_only
    assert "cfnlint" not in sys.modules
