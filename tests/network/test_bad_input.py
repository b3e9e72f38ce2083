"""Bad input gets one clear error that names what is wrong, and nothing half-made stays behind."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecsnet.home import Home
from ecsnet.testing.instance import Instance, free_port

pytestmark = [pytest.mark.network]

VPC = "  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}\n"

TEMPLATES = {
    "unknown type": (
        "Resources:\n" + VPC + "  Odd: {Type: AWS::EC2::Teapot}\n",
        "AWS::EC2::Teapot",
    ),
    "missing parameter": (
        "Parameters: {Cidr: {Type: String}}\nResources:\n"
        "  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Ref Cidr}}\n",
        "Cidr",
    ),
    "wrong CIDR": (
        "Resources:\n" + VPC + "  Subnet:\n    Type: AWS::EC2::Subnet\n"
        "    Properties: {VpcId: !Ref Vpc, CidrBlock: 192.168.0.0/24}\n",
        "192.168.0.0/24",
    ),
    "cyclic dependency": (
        "Resources:\n"
        "  A: {Type: AWS::EC2::VPC, DependsOn: B, Properties: {CidrBlock: 10.0.0.0/16}}\n"
        "  B: {Type: AWS::EC2::VPC, DependsOn: A, Properties: {CidrBlock: 10.1.0.0/16}}\n",
        "Circular dependency",
    ),
    "not YAML": ("Resources: [\n", "line"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_cannot_work(instance: Instance, tmp_path: Path, name: str) -> None:
    text, named = TEMPLATES[name]
    template = tmp_path / "template.yaml"
    template.write_text(text)
    before = {vpc["VpcId"] for vpc in instance.client("ec2").describe_vpcs()["Vpcs"]}
    result = instance.run("deploy", str(template), "--stack-name", "bad", "--quiet", check=False)
    assert result.returncode == 1
    error = result.stderr.strip().splitlines()
    assert error[0].startswith("ecsnet: ")
    assert named in result.stderr, result.stderr
    assert "Traceback" not in result.stderr
    assert {vpc["VpcId"] for vpc in instance.client("ec2").describe_vpcs()["Vpcs"]} == before
    instance.run("destroy", "bad", "--quiet", check=False)


def post(instance: Instance, body: bytes, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
    try:
        connection.request("POST", "/", body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_malformed_and_oversized_requests(instance: Instance) -> None:
    scope = (
        "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
    )
    target = "AmazonEC2ContainerServiceV20141113.ListTasks"
    json_type = "application/x-amz-json-1.1"
    status, body = post(
        instance, b"{not json", Authorization=scope.format("ecs"), X_Amz_Target=target, Content_Type=json_type
    )
    assert status == 400
    assert b"SerializationException" in body
    status, body = post(
        instance, b"x" * (3 << 20), Authorization=scope.format("ecs"), X_Amz_Target=target, Content_Type=json_type
    )
    assert status == 413
    assert b"larger than" in body
    status, body = post(instance, b"Action=Teapot&Version=2016-11-15", Authorization=scope.format("ec2"))
    assert status == 400
    assert b"InvalidAction" in body
    status, body = post(instance, b"", Host="evil.example")
    assert status == 403
    assert instance.client("ec2").describe_vpcs()["Vpcs"]


def test_a_machine_without_nft(tmp_path: Path) -> None:
    """Without libnftables nothing could be enforced: refused with what to install, and nothing is left."""
    library = next(Path("/usr/lib").rglob("libnftables.so.1")).resolve()
    made = Instance(home=Home(path=tmp_path / "home"), port=free_port())
    hide = f"mount --bind /dev/null {library} && exec {sys.executable} -m ecsnet.cli.main up --port {made.port}"
    private = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    result = subprocess.run(
        [*private, "sh", "-c", hide], env=made.environment, capture_output=True, text=True, timeout=110
    )
    assert result.returncode == 5, result.stdout + result.stderr
    assert "cannot run real networks" in result.stderr
    assert "libnftables" in result.stderr
    assert "nftables" in result.stderr.split("install")[1]
    assert not made.home.path.exists()


def test_the_home_must_not_be_where_the_world_mounts(tmp_path: Path) -> None:
    made = Instance(home=Home(path=Path(f"/run/ecsnet-test-{os.getpid()}")), port=free_port())
    result = made.run("up", "--port", str(made.port), check=False)
    assert result.returncode == 5
    assert "choose one on disk" in result.stderr
    assert not made.home.path.exists()
