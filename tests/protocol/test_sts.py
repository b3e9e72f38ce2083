"""STS: temporary credentials keep their account, and end."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from gatewayharness import Gateway

from ecsnet.model.tables import SESSION_KEYS

ROLE = "arn:aws:iam::444444444444:role/team/deploy"


def identity(client: Any) -> tuple[str, str]:
    found = client.get_caller_identity()
    return found["Account"], found["Arn"]


def test_who_am_i(gateway: Gateway) -> None:
    assert identity(gateway.client("sts")) == ("123456789012", "arn:aws:iam::123456789012:root")
    assert identity(gateway.client("sts", account="210987654321"))[0] == "210987654321"


def test_an_assumed_role_keeps_its_account(gateway: Gateway) -> None:
    assumed = gateway.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="cdk", DurationSeconds=900)
    arn = "arn:aws:sts::444444444444:assumed-role/deploy/cdk"
    assert assumed["AssumedRoleUser"]["Arn"] == arn
    key = assumed["Credentials"]
    assert key["Expiration"].timestamp() == gateway.now + 900
    assert identity(gateway.client("sts", account=key["AccessKeyId"], token=key["SessionToken"])) == (
        "444444444444",
        arn,
    )
    ecs = gateway.client("ecs", account=key["AccessKeyId"], token=key["SessionToken"])
    assert ":444444444444:" in ecs.list_clusters()["clusterArns"][0]

    again = gateway.client("sts", account=key["AccessKeyId"]).get_session_token()["Credentials"]
    assert identity(gateway.client("sts", account=again["AccessKeyId"])) == ("444444444444", arn)


def test_the_same_role_has_the_same_id_and_another_has_another(gateway: Gateway) -> None:
    sts = gateway.client("sts")
    ids = [
        sts.assume_role(RoleArn=arn, RoleSessionName=name)["AssumedRoleUser"]["AssumedRoleId"].partition(":")[0]
        for arn, name in ((ROLE, "aa"), (ROLE, "bb"), (ROLE.replace("deploy", "other"), "aa"))
    ]
    assert ids[0] == ids[1] != ids[2]


def test_credentials_end(gateway: Gateway) -> None:
    key = gateway.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="cdk")["Credentials"]
    gateway.now += 3601
    with pytest.raises(ClientError) as error:
        gateway.client("ecs", account=key["AccessKeyId"]).list_clusters()
    assert error.value.response["Error"]["Code"] == "ExpiredToken"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    gateway.now += 200_000
    gateway.client("sts").get_session_token()
    assert len(list(gateway.store.snapshot.rows(SESSION_KEYS))) == 1, "what ended long ago is forgotten"


def test_a_web_identity_needs_no_signature(gateway: Gateway) -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    token = ".".join([part({"alg": "none"}), part({"sub": "system:me", "iss": "https://issuer", "aud": "sts"}), "x"])
    sts = gateway.client("sts")
    sts.meta.config.signature_version = UNSIGNED
    given = sts.assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="pod", WebIdentityToken=token)
    assert given["SubjectFromWebIdentityToken"] == "system:me"
    assert identity(gateway.client("sts", account=given["Credentials"]["AccessKeyId"]))[0] == "444444444444"
    with pytest.raises(ClientError) as error:
        sts.assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="pod", WebIdentityToken="not a token")
    assert error.value.response["Error"]["Code"] == "InvalidIdentityToken"


@pytest.mark.parametrize(
    ("arn", "session"),
    [("arn:aws:iam::444444444444:user/x", "me"), (ROLE, "a b"), (ROLE + "\n", "me"), ("x" * 25, "me"), (ROLE, "a")],
)
def test_bad_parameters(gateway: Gateway, arn: str, session: str) -> None:
    with pytest.raises(ClientError) as error:
        gateway.client("sts").assume_role(RoleArn=arn, RoleSessionName=session)
    assert error.value.response["Error"]["Code"] == "ValidationError"


def test_sts_does_not_seed_pseudo_regions(gateway: Gateway) -> None:
    gateway.client("sts", region="aws-global").get_caller_identity()
    assert gateway.seeded == []
