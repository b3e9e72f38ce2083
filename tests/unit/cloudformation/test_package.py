"""Nested templates on disk are found by path, by the tail of an address, and where `cdk synth` wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecsnet.services.cloudformation.package import package

LEAF = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})


def _parent(logical: str, url: Any) -> str:
    return json.dumps(
        {"Resources": {logical: {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}}}
    )


def test_a_published_address_is_found_by_its_tail(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "vpc.yaml").write_text(LEAF)
    (tmp_path / "master.yaml").write_text(_parent("Vpc", "https://s3.amazonaws.com/bucket/app/infra/vpc.yaml"))
    assert len(package(tmp_path / "master.yaml").parts) == 1


def test_a_nested_stack_of_the_cdk_is_found_by_stack_and_construct(tmp_path: Path) -> None:
    asset = {"Fn::Join": ["", ["https://s3.", {"Ref": "AWS::Region"}, ".amazonaws.com/cdk-assets/abc.json"]]}
    parent = tmp_path / "my-app.template.json"
    parent.write_text(_parent("NetworkNestedStackNetworkNestedStackResource706AA777", asset))
    (tmp_path / "myappNetworkAB23EBEF.nested.template.json").write_text(LEAF)
    (tmp_path / "myappNetworkingAB23EBEF.nested.template.json").write_text("{}")
    packaged = package(parent)
    assert list(packaged.parts.values()) == [LEAF]
    assert "cdk-assets" not in packaged.body


def test_an_address_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "master.yaml").write_text(_parent("Vpc", "https://s3.amazonaws.com/bucket/vpc.yaml"))
    assert package(tmp_path / "master.yaml").parts == {}
