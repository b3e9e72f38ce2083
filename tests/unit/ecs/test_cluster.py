"""Clusters, their tags and account settings."""

from __future__ import annotations

from ecs_harness import Cloud


def test_creating_twice_gives_the_same_cluster(cloud: Cloud) -> None:
    made = cloud.ecs("CreateCluster", clusterName="a", tags=[{"key": "k", "value": "v"}])["cluster"]
    assert made["clusterArn"] == "arn:aws:ecs:us-east-1:111122223333:cluster/a"
    assert made["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert cloud.ecs("CreateCluster", clusterName="a")["cluster"]["tags"] == [{"key": "k", "value": "v"}]
    code, _ = cloud.error("CreateCluster", clusterName="a", capacityProviders=["FARGATE"])
    assert code == "InvalidParameterException"
    assert cloud.error("CreateCluster", clusterName="a b")[0] == "InvalidParameterException"
    assert cloud.error("CreateCluster", clusterName="b", capacityProviders=["mine"])[0] == "InvalidParameterException"


def test_lists_describes_and_deletes(cloud: Cloud) -> None:
    cloud.ecs("CreateCluster", clusterName="a")
    assert [arn.rsplit("/")[-1] for arn in cloud.ecs("ListClusters")["clusterArns"]] == ["a", "default"]
    described = cloud.ecs("DescribeClusters", clusters=["a", "nope"])
    assert described["clusters"][0]["clusterName"] == "a"
    assert described["failures"] == [{"arn": "arn:aws:ecs:us-east-1:111122223333:cluster/nope", "reason": "MISSING"}]
    assert cloud.ecs("DeleteCluster", cluster="a")["cluster"]["status"] == "INACTIVE"
    assert cloud.ecs("DescribeClusters", clusters=["a"])["clusters"][0]["status"] == "INACTIVE"
    assert [arn.rsplit("/")[-1] for arn in cloud.ecs("ListClusters")["clusterArns"]] == ["default"]
    assert cloud.error("DeleteCluster", cluster="a") == ("ClusterNotFoundException", "Cluster not found.")
    assert cloud.ecs("CreateCluster", clusterName="a")["cluster"]["status"] == "ACTIVE"


def test_is_not_deleted_while_something_runs_in_it(cloud: Cloud) -> None:
    cloud.definition()
    arn = cloud.run_task()
    assert cloud.error("DeleteCluster", cluster="default")[0] == "ClusterContainsTasksException"
    cloud.settle()
    shown = cloud.ecs("DescribeClusters", include=["STATISTICS"])["clusters"][0]
    assert (shown["runningTasksCount"], shown["pendingTasksCount"]) == (1, 0)
    assert {"name": "runningFargateTasksCount", "value": "1"} in shown["statistics"]
    cloud.ecs("StopTask", task=arn)
    cloud.settle()
    network = cloud.network()
    cloud.ecs(
        "CreateService",
        serviceName="web",
        taskDefinition="web",
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    assert cloud.error("DeleteCluster", cluster="default")[0] == "ClusterContainsServicesException"
    cloud.ecs("DeleteService", service="web")
    cloud.settle()
    assert cloud.ecs("DeleteCluster", cluster="default")["cluster"]["status"] == "INACTIVE"


def test_tags(cloud: Cloud) -> None:
    arn = "arn:aws:ecs:us-east-1:111122223333:cluster/default"
    cloud.ecs("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    cloud.ecs("UntagResource", resourceArn=arn, tagKeys=["a"])
    assert cloud.ecs("ListTagsForResource", resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    tag = [{"key": "aws:x", "value": "1"}]
    assert cloud.error("TagResource", resourceArn=arn, tags=tag)[0] == "InvalidParameterException"
    assert cloud.error("TagResource", resourceArn=f"{arn}x", tags=[])[0] == "ResourceNotFoundException"


def test_account_settings(cloud: Cloud) -> None:
    assert cloud.ecs("ListAccountSettings")["settings"] == []
    cloud.ecs("PutAccountSettingDefault", name="containerInsights", value="enabled")
    shown = cloud.ecs("ListAccountSettings", name="containerInsights", effectiveSettings=True)["settings"]
    assert [one["value"] for one in shown] == ["enabled"]
    cloud.ecs("PutAccountSetting", name="containerInsights", value="disabled")
    shown = cloud.ecs("ListAccountSettings", name="containerInsights", effectiveSettings=True)["settings"]
    assert [one["value"] for one in shown] == ["disabled"]
    assert cloud.error("PutAccountSetting", name="containerInsights", value="x")[0] == "InvalidParameterException"
    assert cloud.error("PutAccountSetting", name="unknown", value="x")[0] == "InvalidParameterException"
