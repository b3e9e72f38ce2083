"""The errors of Elastic Load Balancing v2: code and message of each, in one place.

Codes and statuses are those of the API's service model; messages are those of the API reference where it gives one.
"""

from __future__ import annotations

from ecsnet.services.call import AwsError


def validation(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def load_balancer_not_found(arn_or_name: str | None = None) -> AwsError:
    if arn_or_name is None:
        return AwsError("LoadBalancerNotFound", "One or more load balancers not found")
    return AwsError("LoadBalancerNotFound", f"Load balancer '{arn_or_name}' not found")


def duplicate_load_balancer_name() -> AwsError:
    return AwsError("DuplicateLoadBalancerName", "A load balancer with the specified name already exists.")


def target_group_not_found(arn: str | None = None) -> AwsError:
    if arn is None:
        return AwsError("TargetGroupNotFound", "One or more target groups not found")
    return AwsError("TargetGroupNotFound", f"Target group '{arn}' not found")


def duplicate_target_group_name() -> AwsError:
    return AwsError("DuplicateTargetGroupName", "A target group with the specified name already exists.")


def target_group_association_limit(arn: str) -> AwsError:
    return AwsError(
        "TargetGroupAssociationLimit",
        f"The following target groups cannot be associated with more than one load balancer: {arn}",
    )


def listener_not_found() -> AwsError:
    return AwsError("ListenerNotFound", "The specified listener does not exist.")


def duplicate_listener() -> AwsError:
    return AwsError("DuplicateListener", "A listener with the specified port already exists.")


def rule_not_found() -> AwsError:
    return AwsError("RuleNotFound", "One or more rules not found")


def priority_in_use() -> AwsError:
    return AwsError("PriorityInUse", "The specified priority is in use.")


def invalid_configuration(message: str) -> AwsError:
    return AwsError("InvalidConfigurationRequest", message)


def invalid_action(message: str) -> AwsError:
    return AwsError("InvalidLoadBalancerAction", message)


def invalid_target(message: str) -> AwsError:
    return AwsError("InvalidTarget", message)


def invalid_subnet(message: str) -> AwsError:
    return AwsError("InvalidSubnet", message)


def subnet_not_found(subnet: str) -> AwsError:
    return AwsError("SubnetNotFound", f"The subnet ID '{subnet}' does not exist")


def invalid_security_group(message: str) -> AwsError:
    return AwsError("InvalidSecurityGroup", message)


def operation_not_permitted(message: str) -> AwsError:
    return AwsError("OperationNotPermitted", message)


def resource_in_use(message: str) -> AwsError:
    return AwsError("ResourceInUse", message)


def too_many(what: str, limit: int) -> AwsError:
    """The quota error `TooMany<what>`."""
    return AwsError(f"TooMany{what}", f"The maximum number ({limit}) has been reached: {what}")
