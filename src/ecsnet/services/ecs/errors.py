"""The errors of Amazon ECS: codes from the API model, texts as the service writes them."""

from __future__ import annotations

from ecsnet.services.call import AwsError


def client(message: str) -> AwsError:
    return AwsError("ClientException", message)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def cluster_not_found() -> AwsError:
    return AwsError("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> AwsError:
    return AwsError("ServiceNotFoundException", "Service not found.")


def service_not_active() -> AwsError:
    return AwsError("ServiceNotActiveException", "Service was not ACTIVE.")


def task_not_found() -> AwsError:
    return invalid("The referenced task was not found.")


def resource_not_found(arn: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"The specified resource was not found: {arn}")


def definition_not_found() -> AwsError:
    return client("Unable to describe task definition.")


def no_container_instances() -> AwsError:
    return invalid("No Container Instances were found in your cluster.")


def unsupported(message: str) -> AwsError:
    return AwsError("UnsupportedFeatureException", message)


def instance_not_found() -> AwsError:
    return invalid("The referenced container instance was not found.")
