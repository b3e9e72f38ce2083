"""An EC2 that is called directly: an in-memory store, ids that count, a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import botocore.session
import pytest

from ecsnet.services.call import AwsError, Call, Settings
from ecsnet.services.ec2 import OPERATIONS
from ecsnet.store.store import Store
from in_memory import CountingIds, plain

MODEL = botocore.session.get_session().get_service_model("ec2")
RUN = {operation.name: operation.run for operation in OPERATIONS}


def fits(value: Any, shape: Any, where: str) -> None:
    """Fail unless the value has the members and types that the API model gives to the shape."""
    match shape.type_name if shape is not None else "structure":
        case "structure":
            members = shape.members if shape is not None else {}
            unknown = set(value) - set(members)
            assert not unknown, f"{where} has no member {unknown}"
            for name, item in value.items():
                assert item is not None, f"{where}.{name} is None"
                fits(item, members[name], f"{where}.{name}")
        case "list":
            for item in value:
                fits(item, shape.member, f"{where}[]")
        case "string":
            assert isinstance(value, str), where
        case "integer" | "long":
            assert isinstance(value, int), where
            assert not isinstance(value, bool), where
        case "boolean":
            assert isinstance(value, bool), where
        case "timestamp":
            assert isinstance(value, float), where
        case other:
            pytest.fail(f"{where} is of type {other}")


@dataclass
class Ec2:
    """One account in one region. `ec2("CreateVpc", CidrBlock="10.0.0.0/16")` is one API call."""

    store: Store
    account: str = "111122223333"
    region: str = "us-east-1"
    now: float = 1_700_000_000.0
    quotas: dict[str, int] = field(default_factory=dict)
    ids: CountingIds = field(default_factory=CountingIds)

    def call(self, tx: Any) -> Call:
        return Call(
            tx=tx,
            account=self.account,
            region=self.region,
            now=self.now,
            ids=self.ids,
            settings=Settings(quotas=self.quotas),
        )

    def __call__(self, operation: str, **request: Any) -> Any:
        model = MODEL.operation_model(operation)
        fits(request, model.input_shape, f"{operation} request")
        with self.store.transaction() as tx:
            reply = plain(RUN[operation](self.call(tx), request))
        fits(reply, model.output_shape, operation)
        return reply

    def verb(self, verb: Any, *arguments: Any, **named: Any) -> Any:
        """Call one of `ops`' verbs in a transaction of its own."""
        with self.store.transaction() as tx:
            return verb(self.call(tx), *arguments, **named)

    def error(self, operation: str, **request: Any) -> tuple[str, str]:
        """The code and text of the error that the call must answer with; it must leave no trace."""
        before = self.store.snapshot
        with pytest.raises(AwsError) as caught:
            self(operation, **request)
        assert self.store.snapshot is before
        return caught.value.code, caught.value.message

    def other(self, **changes: Any) -> Ec2:
        """The same store seen from another account or region."""
        return replace(self, **changes)

    def vpc(self, block: str = "10.0.0.0/16", **request: Any) -> str:
        return str(self("CreateVpc", CidrBlock=block, **request)["Vpc"]["VpcId"])

    def subnet(self, vpc: str, block: str = "10.0.0.0/24", **request: Any) -> str:
        return str(self("CreateSubnet", VpcId=vpc, CidrBlock=block, **request)["Subnet"]["SubnetId"])

    def interface(self, subnet: str, **request: Any) -> Any:
        return self("CreateNetworkInterface", SubnetId=subnet, **request)["NetworkInterface"]
