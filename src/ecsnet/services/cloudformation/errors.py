"""CloudFormation's own errors, with the service's texts (API reference, "Common errors" and each action's errors)."""

from __future__ import annotations

from ecsnet.services.call import AwsError


class ValidationError(AwsError):
    """What CloudFormation answers to nearly every wrong input."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationError", message)


def stack_does_not_exist(name: str) -> ValidationError:
    return ValidationError(f"Stack with id {name} does not exist")


def stack_exists(name: str) -> AwsError:
    return AwsError("AlreadyExistsException", f"Stack [{name}] already exists")


def change_set_not_found(name: str) -> AwsError:
    return AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", status=404)


def insufficient_capabilities(missing: tuple[str, ...]) -> AwsError:
    return AwsError("InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(missing)}]")
