"""Functions, conditions, rules and loops."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecsnet.services.cloudformation import rules
from ecsnet.services.cloudformation.conditions import conditions
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.foreach import expand
from ecsnet.services.cloudformation.intrinsics import Scope, evaluate

SCOPE = Scope(
    values={"AWS::Region": "eu-west-1", "P": "p", "L": ["a", "b"], "N": "3"},
    mappings={"M": {"eu-west-1": {"ami": "ami-1"}}},
    conditions={"Yes": True, "No": False},
    resource=lambda name: f"id-of-{name}",
    attribute=lambda name, attribute: f"{attribute}-of-{name}",
    export=lambda name: f"exported-{name}",
    zones=lambda region: [f"{region}{letter}" for letter in "abc"],
)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"Ref": "P"}, "p"),
        ({"Ref": "R"}, "id-of-R"),
        ({"Fn::GetAtt": ["R", "Outputs.X"]}, "Outputs.X-of-R"),
        ({"Fn::GetAtt": "R.Arn"}, "Arn-of-R"),
        ({"Fn::Sub": "${P}-${AWS::Region}-${R}-${R.Arn}-${!P}"}, "p-eu-west-1-id-of-R-Arn-of-R-${P}"),
        ({"Fn::Sub": ["${a}${P}", {"a": {"Ref": "N"}}]}, "3p"),
        ({"Fn::Join": [",", {"Ref": "L"}]}, "a,b"),
        ({"Fn::Join": ["", ["a", 1, True]]}, "a1true"),
        ({"Fn::Select": ["1", {"Ref": "L"}]}, "b"),
        ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "eu-west-1a"),
        ({"Fn::Select": [2, {"Fn::GetAZs": {"Ref": "AWS::Region"}}]}, "eu-west-1c"),
        ({"Fn::Split": ["-", "a-b-c"]}, ["a", "b", "c"]),
        ({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "ami"]}, "ami-1"),
        ({"Fn::FindInMap": ["M", "x", "ami", {"DefaultValue": "none"}]}, "none"),
        ({"Fn::ImportValue": {"Fn::Sub": "${P}:Vpc"}}, "exported-p:Vpc"),
        ({"Fn::Base64": "hi"}, "aGk="),
        ({"Fn::If": ["Yes", "a", "b"]}, "a"),
        ({"Fn::If": ["No", "a", {"Ref": "P"}]}, "p"),
        ({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ([1, {"Ref": "AWS::NoValue"}, 2], [1, 2]),
        ({"Fn::Length": {"Ref": "L"}}, 2),
        ({"Fn::ToJsonString": {"a": {"Ref": "P"}}}, '{"a":"p"}'),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Cidr": ["2001:db8::/56", 2, 64]}, ["2001:db8::/64", "2001:db8:0:1::/64"]),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
)
def test_functions(value: Any, result: Any) -> None:
    assert evaluate(value, SCOPE) == result


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Fn::Select": ["5", ["a"]]}, "cannot select nonexistent value at index 5"),
        ({"Fn::FindInMap": ["X", "a", "b"]}, "Mapping named 'X' is not present"),
        ({"Fn::FindInMap": ["M", "a", "b"]}, "Unable to get mapping for M::a::b"),
        ({"Fn::Join": [",", "a"]}, "Fn::Join object requires a list"),
        ({"Fn::If": ["Other", 1, 2]}, "unresolved condition dependency Other"),
        ({"Fn::Cidr": ["10.0.0.0/24", 4, 8]}, "holds fewer than 4 blocks"),
        ({"Fn::Cidr": ["x", 4, 8]}, "Fn::Cidr"),
        ({"Fn::Nonsense": 1}, "unknown function Fn::Nonsense"),
        ({"Fn::Transform": {"Name": "AWS::Include"}}, "does not run the macro AWS::Include"),
        ({"Ref": "AWS::Nothing"}, "Unrecognized pseudo parameter AWS::Nothing"),
        ({"Fn::Sub": "${L}"}, "must have a String-type value"),
    ],
)
def test_misuse_is_named(value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        evaluate(value, SCOPE)


@given(st.text(), st.lists(st.text(max_size=5), min_size=1))
def test_split_undoes_join(delimiter: str, parts: list[str]) -> None:
    if not delimiter or any(delimiter in part for part in parts):
        return
    joined = evaluate({"Fn::Join": [delimiter, parts]}, SCOPE)
    # A delimiter may also come about where two parts meet; only then may the result differ.
    if joined.count(delimiter) == len(parts) - 1:
        assert evaluate({"Fn::Split": [delimiter, joined]}, SCOPE) == parts


@given(st.integers(8, 24), st.integers(2, 8), st.integers(1, 16))
def test_cidr_blocks_are_disjoint_and_inside(prefix: int, bits: int, count: int) -> None:
    block = ipaddress.ip_network(f"10.0.0.0/{prefix}")
    if count * 2**bits > block.num_addresses:
        return
    blocks = [ipaddress.ip_network(item) for item in evaluate({"Fn::Cidr": [str(block), count, bits]}, SCOPE)]
    assert all(item.subnet_of(block) and item.prefixlen == 32 - bits for item in blocks)  # type: ignore[arg-type]
    assert len(set(blocks)) == count


def test_conditions_refer_to_each_other_in_any_order() -> None:
    section = {
        "C": {"Fn::And": [{"Condition": "A"}, {"Fn::Not": [{"Condition": "B"}]}]},
        "A": {"Fn::Equals": [{"Ref": "P"}, "p"]},
        "B": {"Fn::Or": [{"Fn::Equals": ["1", "2"]}, {"Fn::Equals": [{"Ref": "N"}, 4]}]},
    }
    assert conditions(section, SCOPE) == {"A": True, "B": False, "C": True}


def test_conditions_in_a_circle_are_an_error() -> None:
    with pytest.raises(ValidationError, match="Circular dependency between conditions"):
        conditions({"A": {"Fn::Not": [{"Condition": "B"}]}, "B": {"Fn::Not": [{"Condition": "A"}]}}, SCOPE)


def _bootstrap(version: str) -> tuple[dict[str, Any], Scope]:
    section = {
        "CheckBootstrapVersion": {
            "Assertions": [
                {
                    "Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2", "3", "4", "5"], {"Ref": "BootstrapVersion"}]}]},
                    "AssertDescription": "CDK bootstrap stack version 6 required.",
                }
            ]
        }
    }
    return section, Scope(values={"BootstrapVersion": version})


def test_rules_of_the_cdk() -> None:
    rules.check(*_bootstrap("21"))
    with pytest.raises(ValidationError, match="CDK bootstrap stack version 6 required"):
        rules.check(*_bootstrap("5"))


def test_rules_apply_only_under_their_condition() -> None:
    rule = {
        "R": {
            "RuleCondition": {"Fn::Equals": [{"Ref": "P"}, "p"]},
            "Assertions": [{"Assert": {"Fn::EachMemberIn": [{"Ref": "L"}, ["a"]]}}],
        }
    }
    with pytest.raises(ValidationError, match="rule R failed"):
        rules.check(rule, SCOPE)
    rules.check(rule, Scope(values={"P": "q", "L": ["b"]}))


def test_loops_copy_their_fragment() -> None:
    value = {
        "Fn::ForEach::Buckets": [
            "Name",
            {"Ref": "L"},
            {"Bucket${Name}": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "${P}-${Name}"}}}},
        ],
        "Other": {"Ref": "Name"},
    }
    assert expand(value, SCOPE) == {
        "Bucketa": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "${P}-a"}}},
        "Bucketb": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "${P}-b"}}},
        "Other": {"Ref": "Name"},
    }


def test_loops_may_be_nested() -> None:
    inner = {"Fn::ForEach::Inner": ["Y", ["1", "2"], {"${X}${Y}": {"Ref": "Y"}}]}
    assert expand({"Fn::ForEach::Outer": ["X", ["a", "b"], inner]}, SCOPE) == {
        "a1": "1",
        "a2": "2",
        "b1": "1",
        "b2": "2",
    }
