"""Stored CloudFormation stacks. Everything that an interrupted operation needs to go on is in here."""

from __future__ import annotations

import enum
from typing import Literal

from ecsnet.model.base import Record, Tags


class StackStatus(enum.Enum):
    """The API's stack states (API reference, StackSummary.StackStatus)."""

    REVIEW_IN_PROGRESS = "REVIEW_IN_PROGRESS"
    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    CREATE_FAILED = "CREATE_FAILED"
    CREATE_COMPLETE = "CREATE_COMPLETE"
    ROLLBACK_IN_PROGRESS = "ROLLBACK_IN_PROGRESS"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    ROLLBACK_COMPLETE = "ROLLBACK_COMPLETE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    DELETE_FAILED = "DELETE_FAILED"
    DELETE_COMPLETE = "DELETE_COMPLETE"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    UPDATE_COMPLETE_CLEANUP_IN_PROGRESS = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    UPDATE_COMPLETE = "UPDATE_COMPLETE"
    UPDATE_FAILED = "UPDATE_FAILED"
    UPDATE_ROLLBACK_IN_PROGRESS = "UPDATE_ROLLBACK_IN_PROGRESS"
    UPDATE_ROLLBACK_FAILED = "UPDATE_ROLLBACK_FAILED"
    UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
    UPDATE_ROLLBACK_COMPLETE = "UPDATE_ROLLBACK_COMPLETE"


MOVING = frozenset(
    status for status in StackStatus if status.value.endswith("_IN_PROGRESS") and not status.value.startswith("REVIEW")
)
"""The states in which the engine has something to do."""


class ResourceStatus(enum.Enum):
    """The API's resource states (API reference, StackResource.ResourceStatus)."""

    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    CREATE_FAILED = "CREATE_FAILED"
    CREATE_COMPLETE = "CREATE_COMPLETE"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    UPDATE_FAILED = "UPDATE_FAILED"
    UPDATE_COMPLETE = "UPDATE_COMPLETE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    DELETE_FAILED = "DELETE_FAILED"
    DELETE_COMPLETE = "DELETE_COMPLETE"
    DELETE_SKIPPED = "DELETE_SKIPPED"


class Parameter(Record, frozen=True, kw_only=True, gc=False):
    key: str
    value: str
    """As given; for the SSM types the name of the SSM parameter."""
    resolved: str | None = None
    """The SSM parameter's value."""
    no_echo: bool = False


class Output(Record, frozen=True, kw_only=True, gc=False):
    key: str
    value: str
    description: str | None = None
    export: str | None = None


class StackVersion(Record, frozen=True, kw_only=True, gc=False):
    """What an update replaces and a rollback brings back."""

    template: str
    """The text as given."""
    processed: str
    """JSON text after transforms; the engine works from it."""
    parameters: tuple[Parameter, ...] = ()
    capabilities: tuple[str, ...] = ()
    notifications: tuple[str, ...] = ()
    tags: Tags = ()
    outputs: tuple[Output, ...] = ()
    imports: tuple[str, ...] = ()
    """Names of the exports that its Fn::ImportValue refer to."""


class Stack(Record, frozen=True, kw_only=True, gc=False):
    id: str
    """Its ARN."""
    account: str
    region: str
    name: str
    status: StackStatus
    reason: str | None = None
    current: StackVersion
    before: StackVersion | None = None
    """While an update runs (and until its clean-up is over), the version to go back to."""
    description: str | None = None
    parent: str | None = None
    root: str | None = None
    role: str | None = None
    change_set: str | None = None
    """Id of the change set that made the current version."""
    disable_rollback: bool = False
    on_failure: Literal["DO_NOTHING", "ROLLBACK", "DELETE"] = "ROLLBACK"
    timeout_minutes: int | None = None
    termination_protection: bool = False
    policy: str | None = None
    token: str | None = None
    retain: tuple[str, ...] = ()
    """RetainResources of the delete that is going on."""
    created: float
    updated: float | None = None
    deleted: float | None = None
    began: float
    """When the operation that is going on (or the last one) began."""
    events: int = 0
    """How many events it has had."""
    last_event: float = 0.0
    """When the last of them was; each is at least a millisecond later than the one before, so that clients that sort
    by time (the CDK) show them in order."""


Retain = Literal["no", "always", "except-on-create"]
"""Whether deletion leaves a resource alone (DeletionPolicy, UpdateReplacePolicy)."""


class Physical(Record, frozen=True, kw_only=True, gc=False):
    """One real resource and what it was made from."""

    type: str
    id: str
    """PhysicalResourceId, which is what Ref gives unless the attributes say otherwise."""
    properties: str
    """JSON text of the resolved properties."""
    attributes: str = "{}"
    """JSON text of what Fn::GetAtt can give."""
    depends_on: tuple[str, ...] = ()
    retain: Retain = "no"


class StackResource(Record, frozen=True, kw_only=True, gc=False):
    stack: str
    logical: str
    type: str
    status: ResourceStatus
    reason: str | None = None
    updated: float
    physical: Physical | None = None
    stage: Literal["waiting", "fetching", "working", "settling", "blocked", "done", "failed"]
    """How far the stack's present operation is with it: waiting for its dependencies; fetching or working outside the
    store; settling until it is observed ready (or gone); blocked by something that still uses it."""
    doing: Literal["create", "update", "replace", "restore", "delete"] | None = None
    change: Literal["created", "updated", "replaced"] | None = None
    """What the present update did to it, for its rollback."""
    before: Physical | None = None
    """What it was before the present update."""
    wanted: Physical | None = None
    """What is being made: new properties, before there is an id."""
    leftovers: tuple[Physical, ...] = ()
    """Replaced resources that the clean-up deletes."""
    began: float = 0.0
    attempts: int = 0
    """How often work outside the store was begun; above one it may find its own traces."""


class StackEvent(Record, frozen=True, kw_only=True, gc=False):
    stack: str
    number: int
    id: str
    logical: str
    physical: str
    type: str
    status: str
    reason: str | None = None
    properties: str | None = None
    at: float
    token: str | None = None


class Signal(Record, frozen=True, kw_only=True, gc=False):
    """A SignalResource call: counts once for each unique id."""

    stack: str
    logical: str
    unique: str
    success: bool
    at: float


class Export(Record, frozen=True, kw_only=True, gc=False):
    account: str
    region: str
    name: str
    value: str
    stack: str


class ChangeSet(Record, frozen=True, kw_only=True, gc=False):
    id: str
    """Its ARN."""
    name: str
    stack: str
    stack_name: str
    account: str
    region: str
    type: Literal["CREATE", "UPDATE", "IMPORT"]
    status: Literal["CREATE_COMPLETE", "FAILED", "DELETE_COMPLETE"]
    reason: str | None = None
    execution: Literal["UNAVAILABLE", "AVAILABLE", "EXECUTE_COMPLETE", "OBSOLETE"]
    description: str | None = None
    version: StackVersion
    changes: str
    """JSON text of the API's Changes."""
    on_failure: Literal["DO_NOTHING", "ROLLBACK", "DELETE"] = "ROLLBACK"
    include_nested: bool = False
    role: str | None = None
    token: str | None = None
    created: float
