"""ECS ARNs, and what users may write in their place ("Identify ECS resources", long ARN formats).

cluster/<name> · task-definition/<family>:<n> · service/<cluster>/<name> · task/<cluster>/<id> ·
container/<cluster>/<task id>/<uuid>
"""

from __future__ import annotations

import re

from ecsnet.services.call import Call
from ecsnet.services.ecs import errors

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")


def arn(call: Call, resource: str) -> str:
    """The ARN of a resource ("cluster/x") of the caller's account and region."""
    return f"arn:{partition(call.region)}:ecs:{call.region}:{call.account}:{resource}"


def partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    if region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws"


def last_part(text: str) -> str:
    """The name or id at the end of an ARN; a bare name as it is."""
    return text.rsplit("/", 1)[-1]


def cluster_arn(call: Call, given: str | None) -> str:
    """The ARN that `cluster` (name, ARN or None for "default") means."""
    if given is None or given == "":
        return arn(call, "cluster/default")
    return given if given.startswith("arn:") else arn(call, f"cluster/{given}")


def cluster_name(cluster: str) -> str:
    return last_part(cluster)


def service_arn(call: Call, cluster: str, given: str) -> str:
    """The ARN that a service name, short or long ARN means within a cluster (an ARN)."""
    return arn(call, f"service/{cluster_name(cluster)}/{last_part(given)}")


def task_arn(call: Call, cluster: str, given: str) -> str:
    """The ARN that a task id, short or long ARN means within a cluster (an ARN)."""
    return arn(call, f"task/{cluster_name(cluster)}/{last_part(given)}")


def checked(member: str, name: str) -> str:
    """`name` when it is a legal cluster, service or family name.

    Raises InvalidParameterException, or ClientException for a family.
    """
    if _NAME.match(name):
        return name
    text = f"{member} is invalid: {name!r}. Use 1 to 255 letters, numbers, hyphens and underscores."
    raise errors.client(text) if member == "family" else errors.invalid(text)
