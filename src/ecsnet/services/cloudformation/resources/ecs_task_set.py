"""AWS::ECS::TaskSet and AWS::ECS::PrimaryTaskSet. A task set's id is "<cluster>|<service>|<task set>"."""

from __future__ import annotations

from ecsnet.model import tables
from ecsnet.model.ecs import TaskSet
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Broken,
    Env,
    Made,
    Native,
    Observed,
    Properties,
    delete_if_there,
)
from ecsnet.services.cloudformation.resources.ecs import members, tags
from ecsnet.store.snapshot import Reader

_WHERE = ("Cluster", "Service")


def _request(p: Properties) -> dict[str, object]:
    return members({key: value for key, value in p.items() if key not in ("Tags", "Id")})  # type: ignore[no-any-return]


def _create(env: Env, p: Properties) -> Made:
    reply = env.run("ecs", "CreateTaskSet", {**_request(p), "tags": tags(env, p)})["taskSet"]
    return Made(id="|".join((p["Cluster"], p["Service"], reply["id"])), attributes={"Id": reply["id"]})


def _update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    request = {name.lower(): after[name] for name in _WHERE}
    scale = members(after.get("Scale") or {"Unit": "PERCENT", "Value": 0})
    env.run("ecs", "UpdateTaskSet", {**request, "taskSet": _name(id_), "scale": scale})
    return Made(id=id_, attributes={"Id": _name(id_)})


def _delete(env: Env, id_: str, p: Properties) -> None:
    request = {name.lower(): p[name] for name in _WHERE}
    which = _find(env.call.tx, id_, p)
    if which is not None and which.status != "DRAINING":
        delete_if_there(env, "ecs", "DeleteTaskSet", {**request, "taskSet": _name(id_), "force": True})


def _ready(reader: Reader, id_: str, p: Properties) -> Observed:
    """Stable: as many tasks run as the task set is scaled to."""
    which = _find(reader, id_, p)
    if which is None or which.status == "DRAINING":
        return Broken(reason=f"Task set {_name(id_)} does not exist any more")
    return READY if which.steady else WAITING


def _gone(reader: Reader, id_: str, p: Properties) -> Observed:
    return READY if _find(reader, id_, p) is None else WAITING


def _name(id_: str) -> str:
    return id_.rsplit("|", 1)[-1]


def _find(reader: Reader, id_: str, p: Properties) -> TaskSet | None:
    """The service is found by its task sets' index, so its name, cluster and ARN may be written in any form."""
    (service,) = tuple(reader.find(tables.SERVICES_BY_TASK_SET, _name(id_))) or (None,)
    sets = service.task_sets if service is not None else ()
    return next((one for one in sets if one.deployment.id == _name(id_)), None)


def _create_primary(env: Env, p: Properties) -> Made:
    request = {"cluster": p["Cluster"], "service": p["Service"], "primaryTaskSet": p["TaskSetId"]}
    env.run("ecs", "UpdateServicePrimaryTaskSet", request)
    return Made(id="|".join((p["Cluster"], p["Service"])))


def _update_primary(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    return _create_primary(env, after)


def _delete_primary(env: Env, id_: str, p: Properties) -> None:
    """Which task set is PRIMARY cannot be unsaid; there is no such operation."""


PROVISIONERS = (
    Native(
        type="AWS::ECS::TaskSet",
        create=_create,
        update=_update,
        delete=_delete,
        ready=_ready,
        gone=_gone,
    ),
    Native(
        type="AWS::ECS::PrimaryTaskSet",
        create=_create_primary,
        update=_update_primary,
        delete=_delete_primary,
        replace_on=("Cluster", "Service"),
    ),
)
