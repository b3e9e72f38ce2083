"""Stored Amazon EC2 Auto Scaling resources: groups, their instances, launch configurations, lifecycle hooks."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Literal

from ecsnet.model.base import Record, Tags


class LaunchConfiguration(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    name: str
    settings: str
    """JSON text of the API's CreateLaunchConfiguration request."""
    created: float


class LaunchSource(Record, frozen=True, kw_only=True, gc=False):
    """What a group launches: exactly one of `configuration` and `template` is set."""

    configuration: str | None = None
    """Name of a launch configuration."""
    template: str | None = None
    """Id of a launch template."""
    version: str = "$Default"
    """A number, "$Latest" or "$Default"; of an instance always a number."""
    instance_type: str | None = None
    """The first override of a mixed instances policy."""


class GroupTag(Record, frozen=True, kw_only=True, gc=False):
    key: str
    value: str
    propagate: bool
    """PropagateAtLaunch."""


class AutoScalingGroup(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    name: str
    source: LaunchSource
    mixed: str | None = None
    """JSON text of the API's MixedInstancesPolicy, as given."""
    minimum: int
    maximum: int
    desired: int
    subnets: tuple[str, ...]
    zones: tuple[str, ...]
    """Of the subnets, sorted."""
    target_groups: tuple[str, ...] = ()
    health_check_type: str = "EC2"
    health_check_grace: int = 0
    """Seconds."""
    cooldown: int = 300
    """Seconds; kept, as nothing here scales by alarms."""
    termination_policies: tuple[str, ...] = ("Default",)
    protect_new: bool = False
    """NewInstancesProtectedFromScaleIn."""
    suspended: tuple[str, ...] = ()
    """Names of suspended processes."""
    kept: str = "{}"
    """JSON text of further members that DescribeAutoScalingGroups shows as they were given."""
    deleting: bool = False
    created: float
    failures: int = 0
    """Launches that failed in a row."""
    retry_at: float = 0.0
    """After a failed launch: when to try again (epoch seconds)."""
    activities: int = 0
    """How many activities it has had."""
    tags: tuple[GroupTag, ...] = ()


class Lifecycle(enum.Enum):
    """The life of an instance in a group (Auto Scaling User Guide, "Instance lifecycle")."""

    PENDING = "Pending"
    PENDING_WAIT = "Pending:Wait"
    PENDING_PROCEED = "Pending:Proceed"
    IN_SERVICE = "InService"
    TERMINATING = "Terminating"
    TERMINATING_WAIT = "Terminating:Wait"
    TERMINATING_PROCEED = "Terminating:Proceed"


LIFECYCLE_TRANSITIONS: Mapping[Lifecycle, frozenset[Lifecycle]] = {
    Lifecycle.PENDING: frozenset({Lifecycle.PENDING_WAIT, Lifecycle.IN_SERVICE, Lifecycle.TERMINATING}),
    Lifecycle.PENDING_WAIT: frozenset({Lifecycle.PENDING_PROCEED, Lifecycle.TERMINATING}),
    Lifecycle.PENDING_PROCEED: frozenset({Lifecycle.IN_SERVICE, Lifecycle.TERMINATING}),
    Lifecycle.IN_SERVICE: frozenset({Lifecycle.TERMINATING}),
    Lifecycle.TERMINATING: frozenset({Lifecycle.TERMINATING_WAIT, Lifecycle.TERMINATING_PROCEED}),
    Lifecycle.TERMINATING_WAIT: frozenset({Lifecycle.TERMINATING_PROCEED}),
    Lifecycle.TERMINATING_PROCEED: frozenset(),
}
"""An instance whose EC2 instance is terminated is no longer of the group: its row is gone."""

ARRIVING = frozenset({Lifecycle.PENDING, Lifecycle.PENDING_WAIT, Lifecycle.PENDING_PROCEED})
LEAVING = frozenset({Lifecycle.TERMINATING, Lifecycle.TERMINATING_WAIT, Lifecycle.TERMINATING_PROCEED})


class HookWait(Record, frozen=True, kw_only=True, gc=False):
    """One lifecycle action that an instance waits for."""

    hook: str
    token: str
    until: float
    """Epoch seconds; then the hook's default result counts."""
    last: float
    """Heartbeats prolong no further than this."""


class GroupInstance(Record, frozen=True, kw_only=True, gc=False):
    """An EC2 instance as a member of its group."""

    instance: str
    group: str
    """ARN."""
    az: str
    subnet: str
    type: str
    source: LaunchSource
    state: Lifecycle = Lifecycle.PENDING
    healthy: bool = True
    protected: bool = False
    """From scale-in."""
    since: float
    """Of its state."""
    launched: float
    waits: tuple[HookWait, ...] = ()
    abandoned: bool = False
    """A lifecycle hook said ABANDON while it was pending."""
    activity: str
    """Id of the activity that launches or (later) terminates it."""


class LifecycleHook(Record, frozen=True, kw_only=True, gc=False):
    name: str
    group: str
    """ARN."""
    transition: Literal["autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"]
    timeout: int = 3600
    """Seconds."""
    default_result: Literal["CONTINUE", "ABANDON"] = "ABANDON"
    target: str | None = None
    """ARN of a queue or topic; nothing is sent to it."""
    role: str | None = None
    metadata: str | None = None


class Activity(Record, frozen=True, kw_only=True, gc=False):
    """Something that a group did, or failed to do."""

    id: str
    group: str
    number: int
    instance: str | None = None
    description: str
    cause: str
    status: Literal["InProgress", "Successful", "Failed", "Cancelled"] = "InProgress"
    message: str | None = None
    progress: int = 0
    started: float
    ended: float | None = None
    details: str = "{}"


def propagated(group: AutoScalingGroup) -> Tags:
    """The tags that a new instance of the group gets, Auto Scaling's own among them."""
    return (("aws:autoscaling:groupName", group.name), *((tag.key, tag.value) for tag in group.tags if tag.propagate))
