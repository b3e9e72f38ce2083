"""Provisioners of a made-up world: it remembers what exists and every call that it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Backed,
    BackedEnv,
    Broken,
    Env,
    Made,
    Native,
    Observed,
    Properties,
    Provisioner,
)
from ecsnet.store.snapshot import Reader

NATIVE, BACKED, SLOW = "AWS::EC2::VPC", "AWS::IAM::Role", "AWS::EC2::NatGateway"
"""Real types, because a template is checked against the real schemas; what they do here is made up."""


@dataclass
class FakeWorld:
    """What exists, by physical id, and what was asked for."""

    things: dict[str, Properties] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fail: set[str] = field(default_factory=set)
    """"verb Logical": fails whenever it is tried."""
    slow: set[str] = field(default_factory=set)
    """Logical ids of slow things that are not ready yet; "gone <id>" for those that do not go."""
    after_outside: Callable[[], None] | None = None
    """Runs when something was made outside the store and nobody knows it yet."""

    def provisioners(self) -> Mapping[str, Provisioner]:
        native = Native(type=NATIVE, create=self.create, update=self.update, delete=self.delete)
        slow = Native(
            type=SLOW, create=self.create, update=self.update, delete=self.delete, ready=self.ready, gone=self.gone
        )
        backed = Backed(type=BACKED, create=self.create_backed, update=self.update_backed, delete=self.delete_backed)
        return {NATIVE: native, SLOW: slow, BACKED: backed}

    def _try(self, verb: str, logical: str) -> None:
        self.calls.append(f"{verb} {logical}")
        if f"{verb} {logical}" in self.fail:
            raise AwsError("Boom", f"{verb} of {logical} fails")

    def create(self, env: Env, p: Properties) -> Made:
        logical = env.naming.logical
        self._try("create", logical)
        id_ = f"{logical.lower()}-{env.naming.token(6)}"
        self.things[id_] = p
        return Made(id=id_, attributes={"VpcId": id_, "Name": logical})

    def update(self, env: Env, id_: str, before: Properties, after: Properties) -> Made:
        self._try("update", env.naming.logical)
        self.things[id_] = after
        return Made(id=id_, attributes={"VpcId": id_})

    def delete(self, env: Env, id_: str, p: Properties) -> None:
        self._try("delete", env.naming.logical)
        self.things.pop(id_, None)

    def ready(self, reader: Reader, id_: str, p: Properties) -> Observed:
        if f"broken {id_.split('-')[0]}" in self.slow:
            return Broken(reason="it broke")
        return WAITING if id_.split("-")[0] in self.slow else READY

    def gone(self, reader: Reader, id_: str, p: Properties) -> Observed:
        return WAITING if f"gone {id_.split('-')[0]}" in self.slow else READY

    async def create_backed(self, env: BackedEnv, p: Properties) -> Made:
        logical = env.naming.logical
        await asyncio.sleep(0)
        self._try("create", logical)
        id_ = f"{logical.lower()}-{env.naming.token(6)}"
        if id_ in self.things and not env.resumed:
            raise AwsError("EntityAlreadyExists", f"{id_} exists")
        self.things[id_] = p
        if self.after_outside is not None:
            self.after_outside()
        return Made(id=id_, attributes={"Arn": f"arn:{id_}"})

    async def update_backed(self, env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
        await asyncio.sleep(0)
        self._try("update", env.naming.logical)
        if id_ not in self.things:
            raise AwsError("NoSuchEntity", f"{id_} cannot be found")
        self.things[id_] = after
        return Made(id=id_, attributes={"Arn": f"arn:{id_}"})

    async def delete_backed(self, env: BackedEnv, id_: str, p: Properties) -> None:
        await asyncio.sleep(0)
        self._try("delete", env.naming.logical)
        self.things.pop(id_, None)


def native(cidr: str = "10.0.0.0/16", *, dns: bool | None = None, needs: tuple[str, ...] = (), **more: Any) -> Any:
    """A thing made at once. Changing its CIDR replaces it, changing `dns` does not."""
    properties: dict[str, Any] = {"CidrBlock": cidr}
    if dns is not None:
        properties["EnableDnsSupport"] = dns
    return {"Type": NATIVE, "Properties": properties, **({"DependsOn": list(needs)} if needs else {}), **more}


def slow(subnet: str = "s", *, needs: tuple[str, ...] = (), **more: Any) -> Any:
    """A thing that is ready when the world says so. Changing its subnet replaces it."""
    return {"Type": SLOW, "Properties": {"SubnetId": subnet}, **({"DependsOn": list(needs)} if needs else {}), **more}


def backed(description: str = "d", *, needs: tuple[str, ...] = (), **more: Any) -> Any:
    """A thing outside the store."""
    return {
        "Type": BACKED,
        "Properties": {"AssumeRolePolicyDocument": {}, "Description": description},
        **({"DependsOn": list(needs)} if needs else {}),
        **more,
    }


def template(outputs: Mapping[str, Any] | None = None, **resources: Any) -> str:
    body: dict[str, Any] = {"Resources": resources}
    if outputs:
        body["Outputs"] = dict(outputs)
    return json.dumps(body)
