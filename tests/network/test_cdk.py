"""The CDK, unmodified: bootstrap → deploy → diff → deploy again → destroy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(400)]

APP = Path(__file__).resolve().parents[2] / "examples" / "cdk"

Cdk = Callable[..., str]


@pytest.fixture
def cdk(instance: Instance, tmp_path: Path) -> Cdk:
    """Runs the CDK's command line in a copy of the example; fails with what it printed when it fails."""
    app = tmp_path / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("node_modules", "cdk.out"))
    environment = {**instance.environment, "CDK_DISABLE_VERSION_CHECK": "1", "CI": "true", "HOME": str(tmp_path)}

    def run(*command: str) -> str:
        result = subprocess.run(command, cwd=app, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline")

    def cdk(*arguments: str) -> str:
        return run("npx", "--no-install", "cdk", *arguments)

    return cdk


def answers(instance: Instance, url: str) -> bool:
    return instance.curl(url).status == 200


def test_bootstrap_deploy_diff_deploy_destroy(instance: Instance, cdk: Cdk) -> None:
    cloudformation = instance.client("cloudformation")
    cdk("bootstrap", f"aws://123456789012/{instance.region}")
    cdk("deploy", "--require-approval", "never", "--all")
    stacks = {stack["StackName"]: stack for stack in cloudformation.describe_stacks()["Stacks"]}
    assert {stack["StackStatus"] for stack in stacks.values()} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    balancer = instance.client("elbv2").describe_load_balancers()["LoadBalancers"][0]
    eventually(lambda: answers(instance, f"http://{balancer['DNSName']}/"), "the load balancer answers", timeout=60)

    assert "There were no differences" in cdk("diff")
    changed = cdk("diff", "--context", "count=3")
    assert "DesiredCount" in changed
    cdk("deploy", "--require-approval", "never", "--all", "--context", "count=3")
    ecs = instance.client("ecs")
    cluster = ecs.list_clusters()["clusterArns"][0]
    service = ecs.list_services(cluster=cluster)["serviceArns"][0]
    assert ecs.describe_services(cluster=cluster, services=[service])["services"][0]["runningCount"] == 3

    cdk("destroy", "--force", "--all")
    left = {stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]}
    assert left == {"CDKToolkit"}
    assert not instance.client("elbv2").describe_load_balancers()["LoadBalancers"]
    eventually(
        lambda: not [name for name in instance.namespaces() if name.startswith("t")], "no task's namespace is left"
    )
