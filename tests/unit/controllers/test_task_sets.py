"""Services whose deployments a controller of the user's own decides about."""

from __future__ import annotations

from typing import Any

from ecs_harness import Cloud
from ecsnet.model.tables import SERVICES, TASKS


def create(cloud: Cloud, **more: Any) -> None:
    cloud.ecs(
        "CreateService", serviceName="web", deploymentController={"type": "EXTERNAL"}, **{"desiredCount": 3} | more
    )


def add(cloud: Cloud, percent: float | None = None, **more: Any) -> Any:
    request = {
        "service": "web",
        "taskDefinition": "web",
        "launchType": "FARGATE",
        "networkConfiguration": cloud.network(),
    }
    if percent is not None:
        request["scale"] = {"value": percent, "unit": "PERCENT"}
    return cloud.ecs("CreateTaskSet", cluster="default", **request | more)["taskSet"]


def scale(cloud: Cloud, which: str, percent: float) -> Any:
    scale = {"value": percent, "unit": "PERCENT"}
    return cloud.ecs("UpdateTaskSet", cluster="default", service="web", taskSet=which, scale=scale)["taskSet"]


def described(cloud: Cloud, *which: str) -> list[Any]:
    reply = cloud.ecs("DescribeTaskSets", cluster="default", service="web", taskSets=list(which))
    assert reply["failures"] == []
    return list(reply["taskSets"])


def service(cloud: Cloud) -> Any:
    return cloud.ecs("DescribeServices", services=["web"])["services"][0]


def running(cloud: Cloud, id: str) -> int:
    rows = cloud.store.snapshot.rows(TASKS)
    return sum(1 for one in rows if one.deployment == id and one.last_status.value == "RUNNING")


def test_a_service_of_an_external_controller_begins_with_nothing(cloud: Cloud) -> None:
    create(cloud)
    cloud.settle()
    shown = service(cloud)
    assert shown["deploymentController"] == {"type": "EXTERNAL"}
    assert (shown["deployments"], shown["taskSets"], shown["runningCount"]) == ([], [], 0)
    assert "taskDefinition" not in shown
    assert cloud.ecs("ListServices")["serviceArns"] == [shown["serviceArn"]]
    assert cloud.ecs("DescribeClusters", include=["STATISTICS"])["clusters"][0]["activeServicesCount"] == 1


def test_task_sets_hold_their_share_of_the_desired_count_rounded_up(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desiredCount=3)
    blue = add(cloud, 100, externalId="blue", tags=[{"key": "a", "value": "b"}])
    assert blue["taskSetArn"].endswith(f":task-set/default/web/{blue['id']}")
    assert (blue["status"], blue["stabilityStatus"], blue["computedDesiredCount"]) == ("ACTIVE", "STABILIZING", 3)
    assert (blue["externalId"], blue["tags"]) == ("blue", [{"key": "a", "value": "b"}])
    green = add(cloud)
    assert (green["scale"], green["computedDesiredCount"]) == ({"value": 0.0, "unit": "PERCENT"}, 0)
    cloud.settle()
    assert (running(cloud, blue["id"]), running(cloud, green["id"])) == (3, 0)
    assert {one["stabilityStatus"] for one in described(cloud)} == {"STEADY_STATE"}

    assert scale(cloud, green["taskSetArn"], 40)["computedDesiredCount"] == 2
    scale(cloud, blue["id"], 50)
    cloud.settle()
    assert (running(cloud, blue["id"]), running(cloud, green["id"])) == (2, 2)

    cloud.ecs("UpdateService", service="web", desiredCount=10)
    cloud.settle()
    assert (running(cloud, blue["id"]), running(cloud, green["id"])) == (5, 4)
    shown = service(cloud)
    assert (shown["desiredCount"], shown["runningCount"]) == (10, 9)
    assert [one["id"] for one in shown["taskSets"]] == [blue["id"], green["id"]]


def test_one_task_set_is_primary_and_a_deleted_one_drains(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desiredCount=1)
    blue, green = add(cloud, 100), add(cloud, 100)
    for one in (blue, green):
        cloud.ecs("UpdateServicePrimaryTaskSet", cluster="default", service="web", primaryTaskSet=one["id"])
    cloud.settle()
    assert [one["status"] for one in described(cloud, blue["id"], green["id"])] == ["ACTIVE", "PRIMARY"]
    shown = service(cloud)
    assert shown["taskDefinition"].endswith(":task-definition/web:1")
    assert shown["launchType"] == "FARGATE"

    refused = cloud.error("DeleteTaskSet", cluster="default", service="web", taskSet=blue["id"])
    assert refused[0] == "InvalidParameterException"
    gone = cloud.ecs("DeleteTaskSet", cluster="default", service="web", taskSet=blue["id"], force=True)["taskSet"]
    assert (gone["status"], gone["computedDesiredCount"]) == ("DRAINING", 0)
    cloud.settle()
    assert [one["id"] for one in described(cloud)] == [green["id"]]
    (task,) = [one for one in cloud.store.snapshot.rows(TASKS) if one.deployment == blue["id"]]
    assert task.stopped_reason == f"Scaling activity initiated by (taskSet {blue['id']})"
    missing = cloud.error("UpdateTaskSet", cluster="default", service="web", taskSet=blue["id"], scale={"value": 1})
    assert missing[0] == "TaskSetNotFoundException"


def test_targets_follow_the_task_set_of_their_tasks(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desiredCount=1)
    groups = [cloud.balancer(name, delay=0) for name in ("blue", "green")]
    sets = [
        add(cloud, 100, loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}])
        for group in groups
    ]
    cloud.settle()
    addresses = {}
    for one, group in zip(sets, groups, strict=True):
        (task,) = [row for row in cloud.store.snapshot.rows(TASKS) if row.deployment == one["id"]]
        (health,) = cloud.elbv2("DescribeTargetHealth", TargetGroupArn=group)["TargetHealthDescriptions"]
        assert health["Target"]["Id"] == str(task.private_ip)
        addresses[one["id"]] = str(task.private_ip)
    assert {one["stabilityStatus"] for one in described(cloud)} == {"STABILIZING"}
    cloud.probe(addresses[sets[0]["id"]], "healthy")
    cloud.settle()
    assert [one["stabilityStatus"] for one in described(cloud)] == ["STEADY_STATE", "STABILIZING"]
    cloud.probe(addresses[sets[1]["id"]], "unhealthy", description="Health checks failed")
    cloud.settle()
    text = f"(port 80) is unhealthy in (target-group {groups[1]}) due to (reason Health checks failed)"
    assert any(text in one["message"] for one in service(cloud)["events"])
    assert not any(groups[0] in one["message"] and "unhealthy" in one["message"] for one in service(cloud)["events"])


def test_what_belongs_to_task_sets_is_not_accepted_for_the_service(cloud: Cloud) -> None:
    cloud.definition()
    external = {"serviceName": "web", "deploymentController": {"type": "EXTERNAL"}}
    code, text = cloud.error("CreateService", **external, taskDefinition="web", launchType="FARGATE")
    assert code == "InvalidParameterException"
    assert text.startswith("launchType, taskDefinition cannot be specified")
    assert cloud.error("CreateService", **external, schedulingStrategy="DAEMON")[0] == "InvalidParameterException"
    create(cloud)
    assert cloud.error("UpdateService", service="web", taskDefinition="web")[0] == "InvalidParameterException"
    assert cloud.error("UpdateService", service="web", forceNewDeployment=True)[0] == "InvalidParameterException"
    cloud.ecs(
        "CreateService",
        serviceName="rolling",
        taskDefinition="web",
        launchType="FARGATE",
        networkConfiguration=cloud.network(),
    )
    code, _ = cloud.error("CreateTaskSet", cluster="default", service="rolling", taskDefinition="web")
    assert code == "InvalidParameterException"
    assert (
        cloud.error(
            "CreateService", serviceName="x", taskDefinition="web", deploymentController={"type": "CODE_DEPLOY"}
        )[0]
        == "NotImplemented"
    )


def test_at_most_five_task_sets_and_one_for_each_client_token(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud)
    first = add(cloud, clientToken="t")
    assert add(cloud, clientToken="t")["id"] == first["id"]
    for _ in range(4):
        add(cloud)
    request = {"service": "web", "taskDefinition": "web", "launchType": "FARGATE"}
    assert cloud.error("CreateTaskSet", cluster="default", **request)[0] == "LimitExceededException"


def test_a_deleted_service_ends_with_its_task_sets(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desiredCount=2)
    add(cloud, 100)
    cloud.settle()
    cloud.ecs("DeleteService", service="web", force=True)
    cloud.settle()
    (row,) = cloud.store.snapshot.rows(SERVICES)
    assert (row.status, row.task_sets) == ("INACTIVE", ())
    assert service(cloud)["status"] == "INACTIVE"
    assert cloud.enis() == []


def test_failing_tasks_of_a_task_set_are_replaced_and_throttled(cloud: Cloud) -> None:
    cloud.definition(image="broken:1")
    cloud.broken_images.add("broken:1")
    create(cloud, desiredCount=1)
    made = add(cloud, 100)
    cloud.settle()
    failed = [one for one in cloud.store.snapshot.rows(TASKS) if one.deployment == made["id"]]
    assert len(failed) == 3
    assert any("unable to consistently start tasks" in one["message"] for one in service(cloud)["events"])
    cloud.wait(10)
    assert len([one for one in cloud.store.snapshot.rows(TASKS) if one.deployment == made["id"]]) == 4
