"""The cluster query language, with the examples of the Developer Guide."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ecsnet.services.ecs import query


@dataclass
class Instance:
    attributes: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()

    def attribute(self, name: str) -> tuple[bool, str | None]:
        return name in self.attributes, self.attributes.get(name)

    def member(self, name: str) -> str | None:
        return self.members.get(name)

    def runs(self, group: str) -> bool:
        return group in self.groups


ONE = Instance(
    attributes={"ecs.instance-type": "t2.small", "ecs.availability-zone": "us-east-1a", "stack": "prod", "gpu": None},
    members={
        "agentConnected": "true",
        "agentVersion": "1.9.2",
        "ec2InstanceId": "i-1",
        "registeredAt": "2024-03-01T10:00:00",
        "runningTasksCount": "3",
    },
    groups=frozenset({"service:production"}),
)


@pytest.mark.parametrize(
    "text",
    [
        "attribute:ecs.instance-type == t2.small",
        "attribute:ecs.instance-type =~ t2.* and attribute:ecs.availability-zone == us-east-1a",
        "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
        "attribute:ecs.instance-type =~ t2.* and attribute:ecs.availability-zone != us-east-1d",
        "task:group == service:production",
        "not(task:group == database)",
        "!(task:group == database)",
        "task:group != database",
        "runningTasksCount == 3",
        "runningTasksCount > 2 && runningTasksCount <= 3",
        "ec2InstanceId in ['i-1', 'i-2']",
        "attribute:stack exists",
        "attribute:gpu exists",
        "attribute:other !exists",
        "attribute:other not_exists",
        "attribute:stack equals prod",
        'attribute:stack == "prod"',
        "attribute:stack not_in [test,dev]",
        "attribute:other != x",
        "agentVersion >= 1.9.2",
        "agentVersion < 1.10.0",
        "registeredAt > 2023-12-31T23:59:59",
        "agentConnected == true",
        "attribute:stack == test or attribute:stack == prod",
        "attribute:stack == prod || attribute:stack == test && attribute:stack == dev",
        "(attribute:ecs.instance-type matches (t2|t3).small)",
        "attribute:ecs.instance-type !~ m5.*",
    ],
)
def test_holds(text: str) -> None:
    assert query.parse(text).holds(ONE)
    assert not query.parse(f"not ({text})").holds(ONE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "attribute:stack",
        "attribute:stack ==",
        "stack == prod",
        "attribute:stack === prod",
        "attribute:stack in prod",
        "attribute:stack in [prod",
        "(attribute:stack exists",
        "attribute:stack exists)",
        "attribute:stack exists and",
        "task:group =~ service.*",
        "attribute:stack =~ [",
        "attribute:stack =~ (a+)+b",
        "attribute:stack == prod attribute:stack == prod",
        "x" * 3000,
    ],
)
def test_is_no_expression(text: str) -> None:
    with pytest.raises(query.QueryError):
        query.parse(text)
