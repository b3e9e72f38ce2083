"""A gateway on a loopback port with little services of its own, and clients for it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import uvloop
from botocore.config import Config

from ecsnet.aws.app import make_app
from ecsnet.aws.http import AsgiApp, Head, HttpReply, HttpRequest, Send, send_reply
from ecsnet.aws.ids import RandomIds
from ecsnet.aws.models import load
from ecsnet.aws.serialize.json import JsonCompiler
from ecsnet.aws.server import make_server
from ecsnet.aws.websocket import WebSocket
from ecsnet.model import ec2
from ecsnet.model.base import scope
from ecsnet.model.tables import GROUPS, GROUPS_BY_SCOPE, SEEDED_ACCOUNTS
from ecsnet.services import sts
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, Settings, read, write
from ecsnet.store.store import Store

NOW = 1_800_000_000.0
ANSWER = b"<R><ListRolesResult><Roles/></ListRolesResult><DescribeLoadBalancersResult/></R>"
"""What the services that are not ours say in these tests; enough for every client that asks them."""


def create_security_group(call: Call, request: Request) -> Reply:
    taken = {group.name for group in call.tx.find(GROUPS_BY_SCOPE, scope(call.account, call.region))}
    if request["GroupName"] in taken:
        raise AwsError("InvalidGroup.Duplicate", f"The security group '{request['GroupName']}' already exists")
    group = ec2.SecurityGroup(
        id=call.ids.resource("sg"),
        account=call.account,
        region=call.region,
        vpc=request.get("VpcId", "vpc-0"),
        name=request["GroupName"],
        description=request["Description"],
    )
    call.tx.put(GROUPS, group)
    return {"GroupId": group.id}


def _group(group: ec2.SecurityGroup) -> Mapping[str, Any]:
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": group.account,
        "VpcId": group.vpc,
    }


def describe_security_groups(call: Call, request: Request) -> Reply:
    groups = sorted(call.tx.find(GROUPS_BY_SCOPE, scope(call.account, call.region)), key=lambda group: group.name)
    return {"SecurityGroups": [Cached(key=g.id, sources=(g,), build=lambda group=g: _group(group)) for g in groups]}


def delete_security_group(call: Call, request: Request) -> Reply:
    if call.tx.get(GROUPS, request["GroupId"]) is None:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{request['GroupId']}' does not exist")
    call.tx.delete(GROUPS, request["GroupId"])
    return {"GroupId": request["GroupId"]}


def delete_vpc(call: Call, request: Request) -> Reply:
    return {}


def broken(call: Call, request: Request) -> Reply:
    raise RuntimeError("a fault of ours")


def list_clusters(call: Call, request: Request) -> Reply:
    return {"clusterArns": [f"arn:aws:ecs:{call.region}:{call.account}:cluster/{request.get('nextToken', 'web')}"]}


def describe_tasks(call: Call, request: Request) -> Reply:
    tasks = [
        Cached(key=t, sources=(t,), build=lambda arn=t: {"taskArn": arn, "createdAt": NOW}) for t in request["tasks"]
    ]
    return {"tasks": tasks, "failures": []}


def describe_load_balancers(call: Call, request: Request) -> Reply:
    return {
        "LoadBalancers": [
            {"LoadBalancerName": name, "CreatedTime": NOW + 0.25} for name in request.get("Names", ["front & <back>"])
        ]
    }


def describe_stacks(call: Call, request: Request) -> Reply:
    if "StackName" in request:
        raise AwsError("ValidationError", f"Stack with id {request['StackName']} does not exist")
    return {"Stacks": []}


SERVICES: dict[str, tuple[Operation, ...]] = {
    "ec2": (
        write("CreateSecurityGroup", create_security_group),
        write("DeleteSecurityGroup", delete_security_group),
        write("DeleteVpc", delete_vpc),
        read("DescribeSecurityGroups", describe_security_groups),
        read("DescribeVpcs", broken),
    ),
    "ecs": (read("ListClusters", list_clusters), read("DescribeTasks", describe_tasks)),
    "elbv2": (read("DescribeLoadBalancers", describe_load_balancers),),
    "cloudformation": (read("DescribeStacks", describe_stacks),),
    "sts": sts.OPERATIONS,
}


@dataclass(slots=True)
class Elsewhere:
    """Stands for the backing services: remembers what it was asked and says so."""

    asked: list[tuple[str, str, str, bytes]] = field(default_factory=list)

    async def forward(self, head: Head, body: AsyncIterator[bytes], *, account: str, send: Send) -> None:
        content = b"".join([chunk async for chunk in body])
        self.asked.append((account, head.method, head.target, content))
        await send_reply(send, HttpReply(headers=((b"content-type", b"application/xml"),), body=ANSWER))

    async def call(self, service: str, operation: str, params: Request, *, account: str, region: str) -> Reply:
        raise AssertionError("not used here")


@dataclass(slots=True)
class Gateway:
    """A running gateway and what it did."""

    store: Store
    elsewhere: Elsewhere
    applied: list[int] = field(default_factory=list)
    seeded: list[tuple[str, str]] = field(default_factory=list)
    now: float = NOW
    port: int = 0
    services: Mapping[str, tuple[Operation, ...]] = field(default_factory=lambda: SERVICES)
    seed: Callable[[Call], None] | None = None
    quotas: Mapping[str, int] = field(default_factory=dict)

    def client(self, service: str, *, account: str = "", region: str = "eu-west-1", token: str | None = None) -> Any:
        return boto3.session.Session().client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=region,
            aws_access_key_id=account or "AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="secret",
            aws_session_token=token,
            config=Config(retries={"max_attempts": 0}, parameter_validation=False),
        )

    def app(self) -> AsgiApp:
        async def applied(revision: int) -> None:
            self.applied.append(revision)

        def seed(call: Call) -> None:
            self.seeded.append((call.account, call.region))
            if self.seed is not None:
                self.seed(call)
            call.tx.put(SEEDED_ACCOUNTS, ec2.SeededAccount(account=call.account, region=call.region))

        async def reset(request: HttpRequest) -> HttpReply:
            self.store.clear()
            return HttpReply(body=b"{}")

        return make_app(
            store=self.store,
            services=self.services,
            ids=RandomIds(),
            clock=lambda: self.now,
            settings=Settings(quotas=self.quotas),
            backing=self.elsewhere,
            seed=seed,
            applied=applied,
            routes={"POST /_ecsnet/reset": reset, "GET /_ecsnet/view/*": _echo},
            streams={"/v1/echo/": _echo_stream},
        )


async def _echo(request: HttpRequest) -> HttpReply:
    return HttpReply(body=request.head.target.encode())


async def _echo_stream(head: Head, socket: WebSocket) -> None:
    await socket.accept()
    await socket.send(head.target.encode())
    while (message := await socket.receive()) is not None:
        if message == "enough":
            await socket.close()
            return
        await socket.send(message if isinstance(message, bytes) else message.encode())


def conforming(services: Mapping[str, tuple[Operation, ...]]) -> dict[str, tuple[Operation, ...]]:
    """The services, with every reply checked member by member against its shape.

    Writing XML checks that by itself; JSON replies are written as they stand.
    """
    return {
        name: tuple(_conforming(name, operation) for operation in operations) for name, operations in services.items()
    }


def _conforming(service: str, operation: Operation) -> Operation:
    shape = load(service).output(operation.name)
    check = JsonCompiler().compile(shape) if shape is not None else None

    def built(value: Any) -> Any:
        if isinstance(value, Cached):
            return built(value.build())
        if isinstance(value, Mapping):
            return {key: built(member) for key, member in value.items()}
        return [built(member) for member in value] if isinstance(value, (list, tuple)) else value

    def run(call: Call, request: Request) -> Reply:
        reply = operation.run(call, request)
        if check is not None:
            check(built(reply))
        return reply

    return replace(operation, run=run)


def serve(app: AsgiApp) -> tuple[int, Callable[[], None]]:
    """Run an application on a free loopback port; returns the port and how to stop it."""
    server = make_server(app, port=0)
    ready = threading.Event()
    port: list[int] = []

    async def run() -> None:
        config = server.config
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        port.append(server.servers[0].sockets[0].getsockname()[1])
        ready.set()
        await server.main_loop()
        await server.shutdown()

    thread = threading.Thread(target=lambda: uvloop.run(run()), daemon=True)
    thread.start()
    assert ready.wait(60)

    def stop() -> None:
        server.should_exit = True
        server.force_exit = True
        thread.join(60)

    return port[0], stop
