"""Container instances: register, deregister, describe, list, drain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model.capacity import ContainerInstance
from ecsnet.model.ecs import Cluster
from ecsnet.model.tables import (
    CONTAINER_INSTANCES,
    CONTAINER_INSTANCES_BY_CLUSTER,
    INSTANCES,
)
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import (
    cluster,
    container_instance_view,
    container_instances,
    errors,
    external_instance,
    names,
    paging,
    placement_request,
    placing,
    tags,
)
from ecsnet.services.ecs.container_instances import Machine

_LARGEST_DESCRIBE = 100
_LARGEST_UPDATE = 10


def instance_arn(call: Call, where: Cluster, given: str) -> str:
    """The ARN that a container instance id or ARN means within a cluster."""
    return names.arn(call, f"container-instance/{where.name}/{names.last_part(given)}")


def find(call: Call, where: Cluster, given: str) -> ContainerInstance:
    """The container instance that a request means. Raises InvalidParameterException."""
    row = call.tx.get(CONTAINER_INSTANCES, instance_arn(call, where, given))
    if row is None:
        raise errors.instance_not_found()
    return row


def register_container_instance(call: Call, request: Request) -> Reply:
    """What a container agent calls. Its identity document names the instance; its signature is not checked.

    On an EC2 instance the agent counts as connected only once its instance was seen, which this call alone does not
    show. An EXTERNAL instance has nothing else to be seen by: whoever registers it is its agent.
    """
    where = cluster.find(call, request.get("cluster"))
    document = _document(request)
    id = str(document.get("instanceId", ""))
    totals = {one.get("name"): one for one in request.get("totalResources") or ()}
    ec2 = call.tx.get(INSTANCES, id)
    if ec2 is not None and (ec2.account, ec2.region) != (call.account, call.region):
        ec2 = None
    if ec2 is None:
        if not external_instance.is_id(id):
            raise errors.client(f"Unable to register container instance: there is no instance {id or '(none given)'}.")
        external_instance.check_free(call, where.arn, id)
    machine = Machine(
        instance=id,
        cpu=totals.get("CPU", {}).get("integerValue") or 0,
        memory=totals.get("MEMORY", {}).get("integerValue") or 0,
        type=ec2.type if ec2 is not None else None,
        image=ec2.image if ec2 is not None else None,
        az=ec2.az if ec2 is not None else None,
        vpc=ec2.vpc if ec2 is not None else None,
        subnet=ec2.subnet if ec2 is not None else None,
    )
    ports = totals.get("PORTS", {}).get("stringSetValue")
    row = container_instances.register_instance(
        call,
        where,
        machine,
        connected=machine.external,
        attributes=tuple((one["name"], one.get("value")) for one in request.get("attributes") or ()),
        reserved_ports=tuple(int(port) for port in ports) if ports else container_instances.RESERVED_PORTS,
        tags=tags.given(request),
    )
    return {"containerInstance": container_instance_view.container_instance(call.tx, row, with_tags=True)}


def _document(request: Request) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(request.get("instanceIdentityDocument") or "{}", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise errors.client(f"The instance identity document is no JSON object: {error}.") from error


def deregister_container_instance(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    row = find(call, where, request["containerInstance"])
    if row.status == "INACTIVE":
        raise errors.instance_not_found()
    if container_instances.tasks_on(call, row) and not request.get("force"):
        raise errors.invalid("Found running tasks on the instance.")
    row = container_instances.deregister(call, row, reason="Container instance deregistration forced by user")
    return {"containerInstance": container_instance_view.container_instance(call.tx, row, with_tags=True)}


def list_container_instances(call: Call, request: Request) -> Reply:
    """Without a status, all that are not INACTIVE. `filter` is an expression of the cluster query language."""
    where = cluster.find(call, request.get("cluster"))
    rows = [
        row
        for row in call.tx.find(CONTAINER_INSTANCES_BY_CLUSTER, where.arn)
        if request.get("status") in (None, row.status)
    ]
    if request.get("filter"):
        wanted = placement_request.checked_expression(request["filter"])
        rows = [row for row in rows if wanted.holds(placing.candidate(call.tx, row))]
    chosen, token = paging.page(request, sorted(row.arn for row in rows))
    return {"containerInstanceArns": list(chosen)} | ({"nextToken": token} if token else {})


def describe_container_instances(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    wanted = request["containerInstances"]
    if not wanted:
        raise errors.client("Container Instances cannot be empty.")
    if len(wanted) > _LARGEST_DESCRIBE:
        raise errors.invalid(f"Container Instances can have at most {_LARGEST_DESCRIBE} items.")
    with_tags = "TAGS" in (request.get("include") or ())
    found, failures = [], []
    for given in wanted:
        row = call.tx.get(CONTAINER_INSTANCES, instance_arn(call, where, given))
        if row is None:
            failures.append({"arn": instance_arn(call, where, given), "reason": "MISSING"})
        else:
            found.append(container_instance_view.container_instance(call.tx, row, with_tags=with_tags))
    return {"containerInstances": found, "failures": failures}


def update_container_instances_state(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    status = request["status"]
    if status not in ("ACTIVE", "DRAINING"):
        raise errors.invalid("Container instances can be set to ACTIVE or DRAINING only.")
    wanted = request["containerInstances"]
    if not 1 <= len(wanted) <= _LARGEST_UPDATE:
        raise errors.invalid(f"Container Instances must have 1 to {_LARGEST_UPDATE} items.")
    found, failures = [], []
    for given in wanted:
        row = call.tx.get(CONTAINER_INSTANCES, instance_arn(call, where, given))
        if row is None or row.status not in ("ACTIVE", "DRAINING"):
            reason = "MISSING" if row is None else "INACTIVE"
            failures.append({"arn": instance_arn(call, where, given), "reason": reason})
        else:
            found.append(
                container_instance_view.container_instance(
                    call.tx, container_instances.set_status(call, row, status), with_tags=False
                )
            )
    return {"containerInstances": found, "failures": failures}


def update_container_agent(call: Call, request: Request) -> Reply:
    """The agent of an instance is ecsnet's own; there never is another version of it."""
    find(call, cluster.find(call, request.get("cluster")), request["containerInstance"])
    raise AwsError("NoUpdateAvailableException", "There is no update available for your container agent.")


OPERATIONS: tuple[Operation, ...] = (
    write("RegisterContainerInstance", register_container_instance),
    write("DeregisterContainerInstance", deregister_container_instance),
    read("ListContainerInstances", list_container_instances),
    read("DescribeContainerInstances", describe_container_instances),
    write("UpdateContainerInstancesState", update_container_instances_state),
    read("UpdateContainerAgent", update_container_agent),
)
