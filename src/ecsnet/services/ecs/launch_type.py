"""On what a task or service runs: launch type or capacity provider strategy, and the platform version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ecsnet.model.ecs import Cluster, StrategyItem, TaskDefinition
from ecsnet.services.call import AwsError, Call, Request, not_implemented
from ecsnet.services.ecs import capacity_provider, errors
from ecsnet.services.ecs.launch import PLATFORM_VERSION

_PLATFORMS = ("1.4.0", "LATEST")

Kind = Literal["FARGATE", "EC2", "EXTERNAL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """`launch_type` None with a strategy; `strategy` empty with a launch type."""

    launch_type: Kind | None
    strategy: tuple[StrategyItem, ...] = ()

    @property
    def kind(self) -> Kind:
        """The launch type of the tasks, also under a strategy."""
        return kind(self.launch_type, self.strategy)

    @property
    def fargate(self) -> bool:
        return self.kind == "FARGATE"


def kind(launch_type: str | None, strategy: tuple[StrategyItem, ...]) -> Kind:
    """The launch type of the tasks of a deployment; providers of one strategy are all of one kind."""
    if strategy:
        return "FARGATE" if strategy[0].provider in capacity_provider.FARGATE else "EC2"
    match launch_type:
        case "FARGATE" | "EXTERNAL":
            return launch_type
        case _:
            return "EC2"


def chosen(call: Call, cluster: Cluster, definition: TaskDefinition, request: Request) -> Compute:
    """What a request asks for; without a word the cluster's default strategy, else EC2.

    Raises InvalidParameterException.
    """
    launch_type, given = request.get("launchType"), request.get("capacityProviderStrategy") or ()
    if launch_type and given:
        raise errors.invalid("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    if launch_type == "MANAGED_INSTANCES":
        raise not_implemented("RunTask and CreateService", "launch type MANAGED_INSTANCES")
    if given:
        compute = Compute(launch_type=None, strategy=capacity_provider.strategy(given, cluster.capacity_providers))
    elif launch_type:
        compute = Compute(launch_type=launch_type)
    elif cluster.default_strategy:
        compute = Compute(launch_type=None, strategy=cluster.default_strategy)
    else:
        compute = Compute(launch_type="EC2")
    check_definition(definition, compute.kind)
    return compute


def check_definition(definition: TaskDefinition, kind: Kind) -> None:
    """Whether tasks of the definition can run there. Raises InvalidParameterException."""
    match kind:
        case "FARGATE":
            supported = "FARGATE" in definition.requires_compatibilities
        case "EXTERNAL":
            supported = definition.network_mode != "awsvpc"
        case "EC2":
            supported = True
    if not supported:
        raise errors.invalid(f"Task definition does not support launch_type {kind}.")


def platform_version(compute: Compute, request: Request) -> str | None:
    """The platform version in force; None off Fargate.

    Raises InvalidParameterException or PlatformUnknownException.
    """
    given = request.get("platformVersion")
    if not compute.fargate:
        if given:
            raise errors.invalid("The platform version must be null when specifying an EC2 launch type.")
        return None
    if given and given not in _PLATFORMS:
        raise AwsError(
            "PlatformUnknownException",
            f"The specified platform version '{given}' does not exist. ecsnet offers {' and '.join(_PLATFORMS)}.",
        )
    return PLATFORM_VERSION
