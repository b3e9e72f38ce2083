"""Auto Scaling's error codes (Auto Scaling API reference, "Common errors" and each action's own)."""

from __future__ import annotations

from ecsnet.services.call import AwsError


def validation(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def exists(what: str) -> AwsError:
    return AwsError("AlreadyExists", what)


def in_use(message: str) -> AwsError:
    return AwsError("ResourceInUse", message)


def no_group(name: str) -> AwsError:
    return validation(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
