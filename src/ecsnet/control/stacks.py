"""In which network namespace a container of a task is, and which name server it asks."""

from __future__ import annotations

from ipaddress import IPv4Address

from ecsnet.compile.names import PUBLIC_NAME_SERVER
from ecsnet.fabric.kernel import naming
from ecsnet.model.ec2 import Vpc
from ecsnet.model.ecs import Task, container_id
from ecsnet.model.tables import INSTANCES, INTERFACES, VPCS
from ecsnet.store.snapshot import Snapshot


def namespace_of(task: Task, container: str) -> str | None:
    """None while the task has no place yet."""
    match task.network_mode:
        case "awsvpc":
            return naming.task_namespace(task.arn) if task.interface else None
        case "host":
            return naming.instance_namespace(task.instance) if task.instance else None
        case "bridge" | "none":
            return naming.container_namespace(container_id(task.arn, container)) if task.instance else None


def nameserver_of(snapshot: Snapshot, task: Task) -> str:
    """The resolver of the VPC in which the task's packets appear; outside every VPC the internet's."""
    interface = snapshot.get(INTERFACES, task.interface) if task.interface else None
    instance = snapshot.get(INSTANCES, task.instance) if task.instance else None
    if task.launch_type == "EXTERNAL":
        return str(PUBLIC_NAME_SERVER)
    home = interface or instance
    vpc = snapshot.get(VPCS, home.vpc) if home is not None else None
    return _resolver(vpc) if vpc is not None else "169.254.169.253"


def _resolver(vpc: Vpc) -> str:
    return str(IPv4Address(int(vpc.cidrs[0].cidr.network_address) + 2))
