"""The verbs of Amazon ECS that controllers and other services use, within their own transaction."""

from __future__ import annotations

from ecsnet.services.ecs.agent_settings import read as agent_settings
from ecsnet.services.ecs.agent_settings import read_text as agent_settings_in
from ecsnet.services.ecs.bookkeeping import (
    count_brief_run,
    count_failed_start,
    count_successful_start,
    with_failed_task,
)
from ecsnet.services.ecs.container_instances import (
    GROUP_TAG,
    Machine,
    deregister,
    deregistered_since,
    find_by_instance,
    instance_stopped,
    instance_terminated,
    most_task_interfaces,
    register_instance,
    set_agent_connected,
    set_status,
)
from ecsnet.services.ecs.execute_command import open_session
from ecsnet.services.ecs.launch import (
    Launch,
    launch,
    launch_on,
    need_of,
    next_provider,
    place,
    place_waiting,
    spread,
)
from ecsnet.services.ecs.launch_type import kind
from ecsnet.services.ecs.names import cluster_arn
from ecsnet.services.ecs.overrides import no_overrides
from ecsnet.services.ecs.placement import SERVICE_DEFAULT, Refusal, refusal
from ecsnet.services.ecs.placing import candidate, candidates, host_port, need
from ecsnet.services.ecs.placing import release as release_resources
from ecsnet.services.ecs.service_deployment import completed as deployment_completed
from ecsnet.services.ecs.service_deployment import finish as finish_deployment
from ecsnet.services.ecs.service_deployment import forget as forget_deployments
from ecsnet.services.ecs.stopping import request_stop
from ecsnet.services.ecs.task import managed_tags
from ecsnet.services.ecs.task_set import with_task_set, without_task_set
from ecsnet.services.ecs.trunk_interface import seen as trunk_seen

__all__ = [
    "GROUP_TAG",
    "SERVICE_DEFAULT",
    "Launch",
    "Machine",
    "Refusal",
    "agent_settings",
    "agent_settings_in",
    "candidate",
    "candidates",
    "cluster_arn",
    "count_brief_run",
    "count_failed_start",
    "count_successful_start",
    "deployment_completed",
    "deregister",
    "deregistered_since",
    "find_by_instance",
    "finish_deployment",
    "forget_deployments",
    "host_port",
    "instance_stopped",
    "instance_terminated",
    "kind",
    "launch",
    "launch_on",
    "managed_tags",
    "most_task_interfaces",
    "need",
    "need_of",
    "next_provider",
    "no_overrides",
    "open_session",
    "place",
    "place_waiting",
    "refusal",
    "register_instance",
    "release_resources",
    "request_stop",
    "set_agent_connected",
    "set_status",
    "spread",
    "trunk_seen",
    "with_failed_task",
    "with_task_set",
    "without_task_set",
]
