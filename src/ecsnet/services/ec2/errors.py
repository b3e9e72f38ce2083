"""The EC2 error codes that are raised in more than one place, with AWS's texts (EC2 API reference, "Error codes")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ecsnet.services.call import AwsError


def missing_parameter(name: str) -> AwsError:
    """`name` is the parameter as the wire spells it (VpcId, cidrBlock …)."""
    return AwsError("MissingParameter", f"The request must contain the parameter {name}")


def not_negative(request: Mapping[str, Any], member: str) -> int:
    """The count that `member` of a request gives, 0 without it. Raises InvalidParameterValue below 0."""
    count = int(request.get(member) or 0)
    if count < 0:
        raise invalid_value(member[0].lower() + member[1:], count, "It must be 0 or more.")
    return count


def invalid_value(name: str, value: object, why: str) -> AwsError:
    """A parameter whose value cannot be used. `name` is spelled as AWS does in messages (lower camel case)."""
    return AwsError("InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid. {why}")


def invalid_cidr(name: str, value: object) -> AwsError:
    return invalid_value(name, value, "This is not a valid CIDR block.")


def combination(message: str) -> AwsError:
    """Parameters that exclude one another."""
    return AwsError("InvalidParameterCombination", message)


def dependency(noun: str, resource: str, dependents: Iterable[str] = ()) -> AwsError:
    """A delete that something still stands in the way of. AWS's sentence comes first, the dependents after it."""
    return AwsError(
        "DependencyViolation", f"The {noun} '{resource}' has dependencies and cannot be deleted." + named(dependents)
    )


def named(dependents: Iterable[str]) -> str:
    """The dependents, for the end of a message that AWS leaves without them; at most five are named."""
    names = sorted(dependents)
    if not names:
        return ""
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f" (Dependents: {shown}.)"


def limit_exceeded(code: str, what: str) -> AwsError:
    """`what` is the plural noun, for example "VPCs"."""
    return AwsError(code, f"The maximum number of {what} has been reached.")


def service_owned() -> AwsError:
    """The caller touches an interface or address that an AWS service manages."""
    return AwsError("AuthFailure", "You do not have permission to access the specified resource.")


def interface_in_use(interface: str) -> AwsError:
    return AwsError("InvalidParameterValue", f"Network interface '{interface}' is currently in use.")


def different_zones() -> AwsError:
    return AwsError(
        "InvalidParameterCombination",
        "You may not attach a network interface to an instance if they are not in the same availability zone",
    )
