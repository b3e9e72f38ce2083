"""Tasks → processes, metadata documents and their host objects."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import msgspec
import rows

from ecsnet.compile import metadata, workload
from ecsnet.compile.view import View
from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel import workload as lowering
from ecsnet.logical.workload import Documents, Process
from ecsnet.model import ec2, ecs
from ecsnet.model import tables as t
from ecsnet.store.store import Store

ROLE = "arn:aws:iam::123456789012:role/shop"
CONTAINERS = (
    ecs.ContainerDefinition(
        name="web",
        image="shop/web:7",
        ports=(ecs.PortMapping(container_port=80, host_port=80),),
        command=("serve",),
        environment=(("A", "1"), ("B", "2")),
        log_driver="awslogs",
        log_options=(("awslogs-group", "/ecs/shop"), ("awslogs-stream-prefix", "web")),
    ),
    ecs.ContainerDefinition(name="side", image="shop/side:1", stop_timeout=2, depends_on=(("web", "START"),)),
)


def stored(**changes: Any) -> Store:
    store = Store(None, t.SCHEMA)
    body = {
        "taskRoleArn": ROLE,
        "containerDefinitions": [{"name": "web", "dockerLabels": {"ecsnet.runtime": "podman"}}, {"name": "side"}],
    }
    definition = ecs.TaskDefinition(
        arn="arn:aws:ecs:us-east-1:123456789012:task-definition/web:3",
        account=rows.ACCOUNT,
        region=rows.REGION,
        family="web",
        number=3,
        network_mode="awsvpc",
        containers=CONTAINERS,
        cpu="256",
        memory="512",
        body=json.dumps(body),
        registered=0.0,
    )
    given = {
        "task_definition": definition.arn,
        "containers": tuple(ecs.Container(arn=f"c/{one.name}", name=one.name, image=one.image) for one in CONTAINERS),
        "private_ip": IPv4Address("10.0.1.25"),
        "subnet": rows.identifier("subnet", 1),
        "mac": "02:00:00:00:00:02",
        "az": "us-east-1a",
        **changes,
    }
    with store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc())
        tx.put(t.SUBNETS, rows.subnet(1, "10.0.1.0/24"))
        tx.put(
            t.DHCP_OPTIONS,
            ec2.DhcpOptions(
                id="dopt-1",
                account=rows.ACCOUNT,
                region=rows.REGION,
                options=(("domain-name", ("ec2.internal",)), ("domain-name-servers", ("AmazonProvidedDNS",))),
            ),
        )
        rows.put_interface(tx, rows.interface(2, "10.0.1.25", 1, owner=("task", rows.task_arn(1))))
        tx.put(t.TASK_DEFINITIONS, definition)
        tx.put(t.TASKS, msgspec.structs.replace(rows.task(1, 2, ecs.TaskStatus.PENDING), **given))
    return store


def processes(store: Store) -> dict[str, Process]:
    return {one.name: one for one in workload.processes(View(store.snapshot), rows.task_arn(1))}


def documents(store: Store) -> dict[str, Any]:
    (made,) = metadata.documents(View(store.snapshot), rows.task_arn(1))
    assert isinstance(made, Documents)
    assert made.reader == IPv4Address("10.0.1.25")
    return {path: json.loads(page.body) for page in made.pages for path in page.paths}


def task_of(store: Store) -> ecs.Task:
    task = store.snapshot.get(t.TASKS, rows.task_arn(1))
    assert task is not None
    return task


def test_a_container_gets_what_the_agent_gives_it() -> None:
    store = stored()
    web = processes(store)["web"]
    environment = dict(web.environment)
    token = ecs.container_token(task_of(store), "web")
    assert environment["ECS_CONTAINER_METADATA_URI_V4"] == f"http://169.254.170.2/v4/{token}"
    assert environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"].startswith("/v2/credentials/")
    assert environment["AWS_REGION"] == "us-east-1"
    assert (environment["A"], environment["B"]) == ("1", "2")
    assert web.runtime == "podman"
    assert (web.resolver, web.search) == (IPv4Address("10.0.0.2"), ("ec2.internal",))
    assert web.hostname == "ip-10-0-1-25.ec2.internal"
    assert (IPv4Address("10.0.1.25"), "ip-10-0-1-25.ec2.internal") in web.hosts
    assert web.log is not None
    assert (web.log.group, web.log.stream) == ("/ecs/shop", f"web/web/{rows.task_arn(1).rpartition('/')[2]}")
    assert web.stop_timeout == 30


def test_overrides_change_command_and_environment() -> None:
    overrides = {
        "containerOverrides": [
            {"name": "web", "command": ["other"], "environment": [{"name": "B", "value": "3"}], "cpu": 10}
        ],
        "taskRoleArn": "arn:other",
    }
    store = stored(overrides=json.dumps(overrides))
    web = processes(store)["web"]
    assert web.command == ("other",)
    assert dict(web.environment)["B"] == "3"
    path = dict(web.environment)["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    assert documents(store)[path]["RoleArn"] == "arn:other"


def test_a_container_waits_for_what_it_depends_on() -> None:
    assert set(processes(stored())) == {"web"}
    running = tuple(
        ecs.Container(
            arn="c", name=one.name, image=one.image, last_status="RUNNING" if one.name == "web" else "PENDING"
        )
        for one in CONTAINERS
    )
    both = processes(stored(containers=running))
    assert set(both) == {"web", "side"}
    assert both["side"].stop_timeout == 2
    assert both["side"].log is None
    assert both["side"].runtime == "auto"


def test_a_task_that_stops_has_no_process_but_its_documents_until_the_interface_goes() -> None:
    stopping = stored(last_status=ecs.TaskStatus.STOPPING)
    assert processes(stopping) == {}
    assert documents(stopping)
    over = stored(last_status=ecs.TaskStatus.STOPPED)
    assert processes(over) == {}
    assert list(metadata.documents(View(over.snapshot), rows.task_arn(1))) == []


def test_metadata_documents() -> None:
    store = stored()
    pages = documents(store)
    token = ecs.container_token(task_of(store), "web")
    web = pages[f"/v4/{token}"]
    assert web["Name"] == "web"
    assert web["Ports"] == [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 80}]
    assert web["Networks"] == [
        {
            "NetworkMode": "awsvpc",
            "IPv4Addresses": ["10.0.1.25"],
            "AttachmentIndex": 0,
            "MACAddress": "02:00:00:00:00:02",
            "IPv4SubnetCIDRBlock": "10.0.1.0/24",
            "SubnetGatewayIpv4Address": "10.0.1.1/24",
            "DomainNameServers": ["10.0.0.2"],
            "DomainNameSearchList": ["ec2.internal"],
            "PrivateDNSName": "ip-10-0-1-25.ec2.internal",
        }
    ]
    task = pages[f"/v4/{token}/task"]
    assert (task["Family"], task["Revision"], task["Limits"]) == ("web", "3", {"CPU": 0.25, "Memory": 512})
    assert [one["Name"] for one in task["Containers"]] == ["web", "side"]
    assert task == pages[f"/v3/{token}/task"]
    path = dict(processes(store)["web"].environment)["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    assert pages[path]["AccessKeyId"] == rows.ACCOUNT
    assert set(pages[path]) == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}


def test_a_workload_waits_for_its_interface_and_its_documents() -> None:
    store = stored()
    (host,) = lowering.process(processes(store)["web"])
    (made,) = metadata.documents(View(store.snapshot), rows.task_arn(1))
    (pages,) = lowering.documents(made)
    assert host.netns == naming.task_namespace(rows.task_arn(1))
    assert set(host.after) == {naming.published_key(rows.VPC, rows.identifier("eni", 2)), pages.key}
    assert pages.netns == naming.router_namespace(rows.VPC)
