"""Public templates that nobody of this project wrote: each parses, resolves and orders; some are made as a whole."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cfn_machine import Machine
from cfn_rig import ACCOUNT, REGION, Rig

from ecsnet.model import tables
from ecsnet.model.cloudformation import StackStatus
from ecsnet.services.backing import Backing
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation import template, transforms
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import evaluate
from ecsnet.services.cloudformation.package import BUCKET, package
from ecsnet.services.cloudformation.parameters import declarations, resolve, ssm_names, value_of
from ecsnet.services.cloudformation.plan import Identity, Plan, check_form, make_plan, pseudo
from ecsnet.services.cloudformation.schema import conform, is_known

pytestmark = pytest.mark.inputs

INPUTS = Path(os.environ.get("ECSNET_INPUTS", Path(__file__).parents[4] / "shared" / "inputs")).resolve() / "templates"
FILES = sorted(path for path in INPUTS.rglob("*") if path.is_file())
ME = Identity(id="arn:aws:cloudformation:us-east-1:1:stack/s/u", name="s", account="1", region="us-east-1")

WRONG = {
    "socket.io-chat-fargate/infrastructure/message-index-drop.yml": "'CodeUri' is not",
    "socket.io-chat-fargate/infrastructure/message-indexer.yml": "'CodeUri' is not",
    "socket.io-chat-fargate/infrastructure/message-search.yml": "'CodeUri' is not",
    "testResourceOverrides.expected.json": "Invalid template resource property 'Transform'",
}
"""Templates that AWS refuses too: Lambda code that was not packaged, a macro inside a resource."""


def sample(declared: Mapping[str, Any]) -> str:
    """A value that a parameter takes."""
    kind = str(declared["Type"])
    if "AllowedValues" in declared:
        return str(declared["AllowedValues"][0])
    if "Number" in kind:
        return str(declared.get("MinValue", 1))
    if "List" in kind:
        return "a,b,c,d,e,f"
    return "x" * int(declared.get("MinLength", 4))


def planned(path: Path) -> Plan:
    document = template.parse(path.read_text()).body
    declared = declarations(document.get("Parameters"))
    given = {name: sample(one) for name, one in declared.items() if "Default" not in one}
    # What a pattern asks for cannot be guessed; whether values fit patterns is tested elsewhere.
    free = {name: {key: item for key, item in one.items() if key != "AllowedPattern"} for name, one in declared.items()}
    parameters = resolve(free, given, dict.fromkeys(ssm_names(declared, given), "21"))
    values = pseudo(ME) | {one.key: value_of(str(declared[one.key]["Type"]), one) for one in parameters}
    body = transforms.run(document, values, "us-east-1") if transforms.names(document) else document
    check_form(body)
    return make_plan(json.dumps(body), parameters, ME)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(INPUTS)))
def test_a_published_template_is_understood(path: Path) -> None:
    expected = next((text for name, text in WRONG.items() if str(path).endswith(name)), None)
    if expected is not None:
        with pytest.raises(ValidationError, match=expected):
            planned(path)
        return
    plan = planned(path)
    done: set[str] = set()
    for logical, resource in plan.resources.items():
        assert is_known(resource.type)
        assert done.issuperset(resource.depends_on)
        done.add(logical)
    zones = [f"us-east-1{letter}" for letter in "abcdef"]
    scope = replace(
        plan.scope,
        resource=lambda name: f"id-of-{name}",
        attribute=_attribute,
        export=lambda name: "8080" if name.endswith("Port") else "a,b,c,d",
        zones=lambda region: zones,
    )
    for logical, resource in plan.resources.items():
        if resource.type.split("::")[1] in ("EC2", "ECS", "ElasticLoadBalancingV2"):
            properties = evaluate(dict(resource.properties), scope)
            if "x" * 4 not in json.dumps(properties) and "EfsVolumeConfiguration" not in json.dumps(properties):
                conform(resource.type, logical, properties)


def _attribute(name: str, attribute: str) -> Any:
    if "Port" in attribute:
        return "8080"
    blocks = [f"2001:db8:{number}::/56" for number in range(8)]
    return blocks if attribute == "Ipv6CidrBlocks" else f"arn:aws:ec2:us-east-1:1:{attribute}/of/a/b/{name}"


# ── whole stacks on a machine that exists only in time ───────────────────────────────────────────────────────────────

EVERYTHING = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
NATHANPECK = "nathanpeck+aws-cloudformation-fargate"
WEB = "aws-samples+container-patterns/pattern/public-facing-web-ecs-fargate-cloudformation/files/parent.yml"


async def deploy(rig: Rig, name: str, path: str, **parameters: str) -> None:
    made = package(INPUTS / path)
    await _upload(rig, made.parts)
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    await rig.call("CreateStack", StackName=name, TemplateBody=made.body, Capabilities=EVERYTHING, Parameters=given)
    stack = await rig.settled(name)
    assert stack.status is StackStatus.CREATE_COMPLETE, rig.reasons(name)


async def _upload(rig: Rig, parts: Mapping[str, str]) -> None:
    async def s3(operation: str, **members: Any) -> None:
        await rig.backing.call("s3", operation, members, account=ACCOUNT, region=REGION)

    if parts:
        await s3("CreateBucket", Bucket=BUCKET)
    for key, body in parts.items():
        await s3("PutObject", Bucket=BUCKET, Key=key, Body=body.encode())


async def destroy(rig: Rig, name: str) -> None:
    await rig.call("DeleteStack", StackName=name)
    assert (await rig.settled(name)).status is StackStatus.DELETE_COMPLETE, rig.reasons(name)


def test_published_stacks_come_and_go(tmp_path: Path) -> None:
    """Exports and imports, roles in the backing server, nested applications, services that become stable."""

    async def body() -> None:
        backing = Backing(tmp_path)
        machine = Machine(backing=backing)
        try:
            async with machine.running() as rig:
                before = {row.id for row in rig.store.snapshot.rows(tables.VPCS)}
                await deploy(rig, "production", f"{NATHANPECK}/fargate-networking-stacks/public-private-vpc.yml")
                await deploy(
                    rig,
                    "public",
                    f"{NATHANPECK}/service-stacks/private-subnet-public-loadbalancer.yml",
                    StackName="production",
                )
                await deploy(
                    rig,
                    "private",
                    f"{NATHANPECK}/service-stacks/private-subnet-private-loadbalancer.yml",
                    StackName="production",
                    ServiceName="other",
                )
                await deploy(rig, "web", WEB)
                with pytest.raises(AwsError, match="already exists"):
                    await deploy(rig, "web", WEB)
                roles = await backing.call("iam", "ListRoles", {}, account=ACCOUNT, region=REGION)
                assert len(roles["Roles"]) >= 3
                for name in ("web", "private", "public", "production"):
                    await destroy(rig, name)
                assert {row.id for row in rig.store.snapshot.rows(tables.VPCS)} == before
                roles = await backing.call("iam", "ListRoles", {}, account=ACCOUNT, region=REGION)
                assert roles["Roles"] == []
        finally:
            backing.close()

    asyncio.run(asyncio.wait_for(body(), 100))
