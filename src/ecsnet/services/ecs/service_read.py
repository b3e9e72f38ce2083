"""DescribeServices and ListServices."""

from __future__ import annotations

from ecsnet.model.ecs import Service, primary_deployment
from ecsnet.model.tables import SERVICES, SERVICES_BY_CLUSTER
from ecsnet.services.call import Call, Operation, Reply, Request, read
from ecsnet.services.ecs import cluster, errors, names, paging, service_render

_LARGEST_DESCRIBE = 10
_LIST_DEFAULT = 10


def describe_services(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    wanted = request["services"]
    if not wanted:
        raise errors.invalid("Services cannot be empty.")
    if len(wanted) > _LARGEST_DESCRIBE:
        raise errors.invalid(f"Services can have at most {_LARGEST_DESCRIBE} items.")
    with_tags = "TAGS" in (request.get("include") or ())
    found, failures = [], []
    for given in wanted:
        arn = names.service_arn(call, where.arn, given)
        service = call.tx.get(SERVICES, arn)
        if service is None:
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(service_render.service(call.tx, service, with_tags=with_tags))
    return {"services": found, "failures": failures}


def list_services(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    rows = call.tx.find(SERVICES_BY_CLUSTER, where.arn)
    arns = sorted(row.arn for row in rows if row.status != "INACTIVE" and _matches(row, request))
    chosen, token = paging.page({"maxResults": _LIST_DEFAULT, **request}, arns)
    return {"serviceArns": list(chosen)} | ({"nextToken": token} if token else {})


def _matches(service: Service, request: Request) -> bool:
    primary = primary_deployment(service)
    launch_type = primary.launch_type if primary is not None else None
    if primary is not None and primary.capacity_strategy:
        launch_type = "FARGATE"
    wanted = ((request.get("launchType"), launch_type), (request.get("schedulingStrategy"), service.scheduling))
    return all(asked in (None, actual) for asked, actual in wanted)


OPERATIONS: tuple[Operation, ...] = (
    read("DescribeServices", describe_services),
    read("ListServices", list_services),
)
