"""On what a task or service runs: launch type or capacity provider strategy, and the platform version."""

from __future__ import annotations

from dataclasses import dataclass

from ecsnet.model.ecs import Cluster, StrategyItem, TaskDefinition
from ecsnet.services.call import AwsError, Request
from ecsnet.services.ecs import capacity_provider, errors
from ecsnet.services.ecs.launch import PLATFORM_VERSION

_PLATFORMS = ("1.4.0", "LATEST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """`launch_type` None with a strategy; `strategy` empty with a launch type."""

    launch_type: str | None
    strategy: tuple[StrategyItem, ...] = ()

    @property
    def fargate(self) -> bool:
        """Whether tasks run on Fargate, the only capacity that ecsnet has."""
        return self.launch_type == "FARGATE" or bool(self.strategy)


def chosen(cluster: Cluster, definition: TaskDefinition, request: Request) -> Compute:
    """What a request asks for; without a word the cluster's default strategy, else EC2.

    Raises InvalidParameterException.
    """
    launch_type, given = request.get("launchType"), request.get("capacityProviderStrategy") or ()
    if launch_type and given:
        raise errors.invalid("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    if given:
        compute = Compute(launch_type=None, strategy=capacity_provider.strategy(given, cluster.capacity_providers))
    elif launch_type:
        compute = Compute(launch_type=launch_type)
    elif cluster.default_strategy:
        compute = Compute(launch_type=None, strategy=cluster.default_strategy)
    else:
        compute = Compute(launch_type="EC2")
    if compute.fargate and "FARGATE" not in definition.requires_compatibilities:
        raise errors.invalid("Task definition does not support launch_type FARGATE.")
    return compute


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
