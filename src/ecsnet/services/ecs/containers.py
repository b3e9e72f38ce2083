"""Container definitions: validation, the defaults that ECS writes into them, and the part that ecsnet stores typed.

Rules and texts: API types ContainerDefinition and PortMapping, Developer Guide "Task definition parameters".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ecsnet.model.ecs import ContainerDefinition, ContainerHealthCheck, PortMapping, RestartPolicy
from ecsnet.services.ecs import errors

Given = Mapping[str, Any]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}\Z")
_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})\Z")
_MAX_RANGES = 100
_CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")


def normalise(given: Sequence[Given], mode: str, *, task_memory: bool) -> list[dict[str, Any]]:
    """The definitions as DescribeTaskDefinition answers them. Raises ClientException with the text of ECS.

    `task_memory`: whether the task itself has a memory size, so that a container needs none.
    """
    if not given:
        raise errors.client("Container list cannot be empty.")
    result = [_one(one, mode, task_memory) for one in given]
    names = [one["name"] for one in result]
    for name in names:
        if names.count(name) > 1:
            raise errors.client(f"Container name '{name}' is used more than once; names must be unique in a task.")
    if not any(one["essential"] for one in result):
        raise errors.client("Invalid setting for task. At least one container must be essential.")
    _check_dependencies(result)
    if mode in ("awsvpc", "host"):
        _check_shared_ports(result, mode)
    if mode == "bridge":
        _check_static_ports(result)
    return result


def _one(given: Given, mode: str, task_memory: bool) -> dict[str, Any]:
    for member in ("name", "image"):
        if not given.get(member):
            raise errors.client(f"Container.{member} should not be null or empty.")
    name = given["name"]
    if not _NAME.match(name):
        raise errors.client(f"Invalid container name '{name}'. Use 1 to 255 letters, numbers, hyphens and underscores.")
    if not (task_memory or given.get("memory") or given.get("memoryReservation")):
        raise errors.client(
            f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be "
            "specified."
        )
    _check_mode(given, mode)
    body = dict(given)
    body.setdefault("cpu", 0)
    body["portMappings"] = _ports(name, given.get("portMappings") or (), mode)
    body.setdefault("essential", True)
    for member in ("environment", "mountPoints", "volumesFrom", "systemControls"):
        body.setdefault(member, [])
    if body.get("healthCheck") is not None:
        body["healthCheck"] = _normalised_check(name, body["healthCheck"])
    _check_logs(name, body.get("logConfiguration"))
    _check_restart(name, body.get("restartPolicy"))
    return body


def _check_mode(given: Given, mode: str) -> None:
    if given.get("links") and mode != "bridge":
        raise errors.client(f"Links are not supported when networkMode={mode}.")
    if given.get("hostname") and mode in ("awsvpc", "host"):
        raise errors.client(f"hostname is not supported on container when networkMode={mode}.")
    if given.get("extraHosts") and mode == "awsvpc":
        raise errors.client("extraHosts is not supported on container when networkMode=awsvpc.")
    if given.get("portMappings") and mode == "none":
        raise errors.client("Port mappings are not supported when networkMode=none.")
    controls = (str(one.get("namespace", "")) for one in given.get("systemControls") or ())
    if mode == "host" and any(name.startswith("net.") for name in controls):
        raise errors.client("Network systemControls are not supported when networkMode=host.")


def _check_logs(name: str, logs: Given | None) -> None:
    if logs is None or logs.get("logDriver") != "awslogs":
        return
    missing = [key for key in ("awslogs-region", "awslogs-group") if not (logs.get("options") or {}).get(key)]
    if missing:
        raise errors.client(f"Log driver awslogs requires options: {', '.join(missing)} (container '{name}').")


def _ports(container: str, given: Iterable[Given], mode: str) -> list[dict[str, Any]]:
    """Port mappings with host port and protocol filled in; see `PortMapping` in the API model.

    One port may be mapped for tcp and for udp. The API reference calls this an error, but AWS does accept it (and had
    the same sentence taken out of its guides: github.com/awsdocs/amazon-ecs-developer-guide/pull/128); only a load
    balancer cannot be given such a port, see `service_settings`.
    """
    result: list[dict[str, Any]] = []
    taken: dict[str, list[tuple[int, int]]] = {"tcp": [], "udp": []}
    for one in given:
        body = dict(one)
        if body.get("protocol") not in ("tcp", "udp"):
            body["protocol"] = "tcp"
        port_name = body.get("name")
        if port_name is not None and not _PORT_NAME.match(port_name):
            raise errors.client(
                f"Invalid port mapping name '{port_name}' for container '{container}'. Use up to 64 lower-case "
                "letters, numbers, underscores and hyphens, not beginning with a hyphen."
            )
        span = _range(container, body, mode) if body.get("containerPortRange") else _single(container, body, mode)
        if any(low <= span[1] and span[0] <= high for low, high in taken[body["protocol"]]):
            raise errors.client(
                f"Invalid 'containerPort' setting for container '{container}': port {span[0]}/{body['protocol']} is in "
                "more than one port mapping."
            )
        taken[body["protocol"]].append(span)
        result.append(body)
    if sum(1 for body in result if "containerPortRange" in body) > _MAX_RANGES:
        raise errors.client(f"Container '{container}' has more than {_MAX_RANGES} container port ranges.")
    return result


def _single(container: str, body: dict[str, Any], mode: str) -> tuple[int, int]:
    port = body.get("containerPort")
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise errors.client(f"Invalid 'containerPort' setting for container '{container}'.")
    host = body.get("hostPort") or 0
    if not 0 <= host <= 65535:
        raise errors.client(f"Invalid 'hostPort' setting for container '{container}'.")
    if mode in ("awsvpc", "host"):
        if host not in (0, port):
            raise errors.client(
                f"When networkMode={mode}, the host ports and container ports in port mappings must match."
            )
        host = port
    body["hostPort"] = host
    return port, port


def _range(container: str, body: dict[str, Any], mode: str) -> tuple[int, int]:
    if body.get("containerPort") or body.get("hostPort"):
        raise errors.client(
            f"Container '{container}': containerPortRange excludes containerPort and hostPort in one port mapping."
        )
    if mode == "host":
        raise errors.client(f"Container '{container}': containerPortRange is not supported when networkMode=host.")
    match = _RANGE.match(body["containerPortRange"])
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= low < high <= 65535:
        raise errors.client(
            f"Invalid 'containerPortRange' setting for container '{container}': {body['containerPortRange']!r} is not "
            "of the form <low>-<high> within 1-65535."
        )
    return low, high


def _check_static_ports(definitions: Iterable[Given]) -> None:
    """A task cannot take one port of its instance twice: no instance could ever run it."""
    owners: dict[tuple[str, int], str] = {}
    for one in definitions:
        for mapping in one["portMappings"]:
            port = mapping.get("hostPort") or 0
            if not port:
                continue
            if (mapping["protocol"], port) in owners:
                raise errors.client(
                    f"Host port {port}/{mapping['protocol']} is mapped more than once, by containers "
                    f"'{owners[(mapping['protocol'], port)]}' and '{one['name']}'."
                )
            owners[(mapping["protocol"], port)] = one["name"]


def _check_shared_ports(definitions: Iterable[Given], mode: str) -> None:
    """Containers of one task share one network namespace in these modes, so each port belongs to one of them only."""
    shared = "interface" if mode == "awsvpc" else "stack"
    owners: dict[tuple[str, int], str] = {}
    for one in definitions:
        for mapping in one["portMappings"]:
            if "containerPort" not in mapping:
                continue
            owner = owners.setdefault((mapping["protocol"], mapping["containerPort"]), one["name"])
            if owner != one["name"]:
                raise errors.client(
                    f"Port {mapping['containerPort']}/{mapping['protocol']} is mapped by containers '{owner}' and "
                    f"'{one['name']}', which share one network {shared} when networkMode={mode}."
                )


def _check_dependencies(definitions: Sequence[Given]) -> None:
    wanted: dict[str, list[str]] = {}
    by_name = {one["name"]: one for one in definitions}
    for one in definitions:
        wanted[one["name"]] = []
        for dependency in one.get("dependsOn") or ():
            target, condition = dependency.get("containerName"), dependency.get("condition")
            if target not in by_name or target == one["name"]:
                raise errors.client(
                    f"Container '{one['name']}' depends on '{target}', which is not another container of the task."
                )
            if condition not in _CONDITIONS:
                raise errors.client(
                    f"Container '{one['name']}': dependsOn condition {condition!r} must be one of "
                    f"{', '.join(_CONDITIONS)}."
                )
            if condition in ("COMPLETE", "SUCCESS") and by_name[target]["essential"]:
                raise errors.client(
                    f"Container '{one['name']}' waits until '{target}' has stopped, but '{target}' is essential."
                )
            if condition == "HEALTHY" and not by_name[target].get("healthCheck"):
                raise errors.client(
                    f"Container '{one['name']}' waits until '{target}' is healthy, but '{target}' has no healthCheck."
                )
            wanted[one["name"]].append(target)
        for link in one.get("links") or ():
            target, _ = _link(link)
            if target not in by_name or target == one["name"]:
                raise errors.client(f"Container '{one['name']}' links to '{target}', which is not another container.")
            wanted[one["name"]].append(target)
    _check_acyclic(wanted)


def _check_acyclic(wanted: Mapping[str, Sequence[str]]) -> None:
    open_names = dict(wanted)
    while open_names:
        free = [name for name, targets in open_names.items() if not any(target in open_names for target in targets)]
        if not free:
            raise errors.client(f"The container dependencies form a cycle: {', '.join(sorted(open_names))}.")
        for name in free:
            del open_names[name]


def _stored_port(mapping: Given, mode: str) -> PortMapping:
    """A range in awsvpc mode is the same range on both sides; in bridge mode its host ports are found later."""
    ranged = "containerPortRange" in mapping
    low, high = (int(part) for part in mapping["containerPortRange"].split("-")) if ranged else (0, 0)
    port = low if ranged else mapping["containerPort"]
    return PortMapping(
        container_port=port,
        host_port=(port if mode == "awsvpc" else 0) if ranged else mapping["hostPort"],
        protocol=mapping["protocol"],
        name=mapping.get("name"),
        app_protocol=mapping.get("appProtocol"),
        length=high - low + 1 if ranged else 1,
        ranged=ranged,
    )


def _link(text: str) -> tuple[str, str]:
    """(container, alias) of "name:alias" or "name"."""
    name, _, alias = text.partition(":")
    return name, alias or name


def _health_check(body: Given) -> ContainerHealthCheck | None:
    given = body.get("healthCheck")
    if given is None or list(given["command"])[:1] == ["NONE"]:
        return None
    return ContainerHealthCheck(
        command=tuple(given["command"]),
        interval=given["interval"],
        timeout=given["timeout"],
        retries=given["retries"],
        start_period=given.get("startPeriod") or 0,
    )


_HEALTH_RANGES = (("interval", 5, 300, 30), ("timeout", 2, 60, 5), ("retries", 1, 10, 3))


def _normalised_check(container: str, given: Given) -> dict[str, Any]:
    """A healthCheck with its defaults. Raises ClientException for values outside the ranges of the API."""
    command = list(given.get("command") or ())
    kind = command[0] if command else None
    if kind not in ("CMD", "CMD-SHELL", "NONE") or (kind != "NONE" and len(command) < 2):
        raise errors.client(
            f"Invalid healthCheck of container '{container}': the command must begin with CMD or CMD-SHELL."
        )
    body = {**given, "command": command}
    for name, low, high, default in _HEALTH_RANGES:
        body[name] = given.get(name) or default
        if not low <= body[name] <= high:
            raise errors.client(
                f"Invalid healthCheck of container '{container}': {name} must be between {low} and {high}."
            )
    if not 0 <= (given.get("startPeriod") or 0) <= 300:
        raise errors.client(f"Invalid healthCheck of container '{container}': startPeriod must be between 0 and 300.")
    return body


_RESTART_PERIOD = (60, 1800)
_MOST_IGNORED = 50


def _check_restart(container: str, given: Given | None) -> None:
    """ECS API, ContainerRestartPolicy. Raises ClientException."""
    if given is None:
        return
    period, codes = given.get("restartAttemptPeriod"), given.get("ignoredExitCodes") or ()
    low, high = _RESTART_PERIOD
    if period is not None and not low <= period <= high:
        raise errors.client(
            f"Invalid restartPolicy of container '{container}': restartAttemptPeriod must be between {low} and {high}."
        )
    if len(codes) > _MOST_IGNORED:
        raise errors.client(
            f"Invalid restartPolicy of container '{container}': at most {_MOST_IGNORED} ignoredExitCodes can be given."
        )


def _stored_restart(given: Given | None) -> RestartPolicy | None:
    if given is None or not given.get("enabled"):
        return None
    return RestartPolicy(
        ignored_codes=tuple(given.get("ignoredExitCodes") or ()), period=given.get("restartAttemptPeriod") or 300
    )


def stored(body: Given, mode: str) -> ContainerDefinition:
    """The typed part of one normalised definition in a task of a network mode."""
    logs = body.get("logConfiguration") or {}
    return ContainerDefinition(
        name=body["name"],
        image=body["image"],
        essential=body["essential"],
        ports=tuple(_stored_port(mapping, mode) for mapping in body["portMappings"]),
        command=tuple(body.get("command") or ()),
        entry_point=tuple(body.get("entryPoint") or ()),
        environment=tuple((one.get("name", ""), one.get("value", "")) for one in body["environment"]),
        working_directory=body.get("workingDirectory"),
        user=body.get("user"),
        log_driver=logs.get("logDriver"),
        log_options=tuple((logs.get("options") or {}).items()),
        stop_timeout=body.get("stopTimeout"),
        health_check=_health_check(body),
        restart=_stored_restart(body.get("restartPolicy")),
        links=tuple(_link(link) for link in body.get("links") or ()),
        depends_on=tuple((one["containerName"], one["condition"]) for one in body.get("dependsOn") or ()),
    )
