"""The services that are not ours: a real moto child behind the gateway, driven by boto3."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from gatewayharness import Gateway, serve

from ecsnet.hostplan.messages import LogLine, LogLines
from ecsnet.model.tables import SCHEMA
from ecsnet.services.backing import Backing
from ecsnet.services.call import AwsError
from ecsnet.store.store import Store


class Running:
    """A gateway with a real backing server, and one event loop for both."""

    def __init__(self, directory: Path) -> None:
        self.backing = Backing(directory)
        self.gateway = Gateway(store=Store(None, SCHEMA), elsewhere=self.backing)  # type: ignore[arg-type]
        self.gateway.port, self.stop = serve(self.gateway.app())

    def client(self, service: str, **options: Any) -> Any:
        return self.gateway.client(service, **options)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("backing"))
    try:
        yield made
    finally:
        made.stop()
        made.backing.close()


def test_accounts_are_apart_there_too(running: Running) -> None:
    for account in ("111111111111", "222222222222"):
        running.client("iam", account=account).create_role(RoleName="task", AssumeRolePolicyDocument="{}")
    arn = running.client("iam", account="222222222222").get_role(RoleName="task")["Role"]["Arn"]
    assert arn == "arn:aws:iam::222222222222:role/task"
    with pytest.raises(ClientError) as error:
        running.client("iam", account="333333333333").get_role(RoleName="task")
    assert error.value.response["Error"]["Code"] == "NoSuchEntity"


def test_an_assumed_role_keeps_its_account_there(running: Running) -> None:
    assumed = running.client("sts").assume_role(RoleArn="arn:aws:iam::444444444444:role/x", RoleSessionName="me")
    key = assumed["Credentials"]
    ssm = running.client("ssm", account=key["AccessKeyId"], token=key["SessionToken"])
    ssm.put_parameter(Name="/a", Value="1", Type="String")
    arn = running.client("ssm", account="444444444444").get_parameter(Name="/a")["Parameter"]["ARN"]
    assert ":444444444444:" in arn


def test_s3_objects_of_every_size_and_name(running: Running) -> None:
    s3 = running.client("s3", region="us-east-1")
    s3.create_bucket(Bucket="things")
    body = os.urandom(7_000_000)
    for key in ("plain", "with space/ü+&%.json", "a//b/../c"):
        s3.put_object(Bucket="things", Key=key, Body=body, Metadata={"who": "me"})
        read = s3.get_object(Bucket="things", Key=key)
        assert hashlib.sha256(read["Body"].read()).digest() == hashlib.sha256(body).digest()
        assert read["Metadata"] == {"who": "me"}
    assert s3.head_object(Bucket="things", Key="plain")["ContentLength"] == len(body)
    assert sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket="things")["Contents"]) == sorted(
        ["plain", "with space/ü+&%.json", "a//b/../c"]
    )


def test_a_multipart_upload(running: Running) -> None:
    s3 = running.client("s3", region="us-east-1")
    s3.create_bucket(Bucket="parts")
    upload = s3.create_multipart_upload(Bucket="parts", Key="big")["UploadId"]
    parts = []
    for number in (1, 2):
        part = s3.upload_part(Bucket="parts", Key="big", UploadId=upload, PartNumber=number, Body=b"x" * 5_300_000)
        parts.append({"ETag": part["ETag"], "PartNumber": number})
    s3.complete_multipart_upload(Bucket="parts", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.head_object(Bucket="parts", Key="big")["ContentLength"] == 10_600_000


def test_a_presigned_url_and_a_bucket_in_the_host_name(running: Running) -> None:
    s3 = running.client("s3", region="us-east-1")
    s3.create_bucket(Bucket="shared")
    s3.put_object(Bucket="shared", Key="t.json", Body=b"{}", ACL="public-read")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "shared", "Key": "t.json"})
    assert httpx.get(url).content == b"{}"
    ask = http.client.HTTPConnection("127.0.0.1", running.gateway.port)
    ask.request("GET", "/t.json", headers={"host": f"shared.localhost:{running.gateway.port}"})
    assert ask.getresponse().read() == b"{}"
    ask.request("GET", "/t.json", headers={"host": "shared.s3.us-east-1.amazonaws.com"})
    assert ask.getresponse().read() == b"{}"


def test_a_chunked_upload(running: Running) -> None:
    s3 = running.client("s3", region="us-east-1")
    s3.create_bucket(Bucket="chunks")

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b"0123456789"

    place = {"Bucket": "chunks", "Key": "k"}
    assert httpx.put(s3.generate_presigned_url("put_object", Params=place), content=pieces()).status_code == 200
    assert s3.get_object(**place)["Body"].read() == b"0123456789" * 100


def test_its_own_pages_and_its_own_port_are_closed(running: Running) -> None:
    base = f"http://127.0.0.1:{running.gateway.port}"
    assert httpx.post(f"{base}/moto-api/reset").status_code == 403
    address = asyncio.run(running.backing._child.ready())
    assert httpx.get(f"http://127.0.0.1:{address.port}/moto-api/").status_code == 403


def test_operations_for_other_parts_of_control(tmp_path: Path) -> None:
    async def use() -> None:
        backing = Backing(tmp_path)
        try:
            call = {"account": "555555555555", "region": "eu-west-1"}
            with pytest.raises(AwsError) as error:
                await backing.call("iam", "GetRole", {"RoleName": "none"}, **call)
            assert (error.value.code, error.value.status) == ("NoSuchEntity", 404)
            made = await backing.call("iam", "CreateRole", {"RoleName": "r", "AssumeRolePolicyDocument": "{}"}, **call)
            assert made["Role"]["Arn"] == "arn:aws:iam::555555555555:role/r"
            assert isinstance(made["Role"]["CreateDate"], float)
            await backing.call("s3", "CreateBucket", {"Bucket": "bucket"}, account="555555555555", region="us-east-1")
            await backing.call("s3", "PutObject", {"Bucket": "bucket", "Key": "k", "Body": b"text"}, **call)
            assert await backing.get_object("bucket", "k", account="555555555555") == b"text"
            with pytest.raises(AwsError) as error:
                await backing.get_object("bucket", "none", account="555555555555")
            assert error.value.code == "NoSuchKey"

            await backing.call("logs", "CreateLogGroup", {"logGroupName": "/web"}, **call)
            for number in range(3):
                line = LogLine(at=time.time(), text=f"line {number}")
                backing.log_lines(LogLines(group="/web", stream="web/1", lines=(line,), **call))
            shipping = backing._logs._task
            assert shipping is not None
            await shipping
            names = {"logGroupName": "/web", "logStreamName": "web/1"}
            events = (await backing.call("logs", "GetLogEvents", names, **call))["events"]
            assert [event["message"] for event in events] == ["line 0", "line 1", "line 2"]

            await backing.reset()
            with pytest.raises(AwsError):
                await backing.call("iam", "GetRole", {"RoleName": "r"}, **call)

            process = backing._child._process
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            await backing.call("iam", "ListRoles", {}, **call)
            assert backing._child._process is not process, "a child that died is started again"
        finally:
            backing.close()

    asyncio.run(use())


def test_nothing_is_started_for_nothing(tmp_path: Path) -> None:
    async def use() -> None:
        backing = Backing(tmp_path)
        line = LogLine(at=0.0, text="x")
        backing.log_lines(LogLines(account="1" * 12, region="us-east-1", group="g", stream="s", lines=(line,)))
        await backing.reset()
        assert not backing.running
        backing.close()

    asyncio.run(use())


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, os, signal, sys\n"
        "from ecsnet.services.backing import Backing\n"
        "backing = Backing(pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(backing._child.ready())\n"
        "print(backing._child._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False)
    child = int(parent.stdout)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{child}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
    raise AssertionError(f"the child {child} outlived its parent")
