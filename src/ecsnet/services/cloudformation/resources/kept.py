"""Types of services that have nothing to do with networks and that nobody here carries out.

They are kept in the stack alone: they can be referred to, their event says that nothing is done with them, and the
API of their service does not show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ecsnet.services.cloudformation.resources.base import Env, Made, Native, Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """One type. Texts are templates over `region`, `account`, `name` (its physical id) and `token`."""

    name: str | None = None
    """The property that names it."""
    attributes: Mapping[str, str]


def _arn(service: str, path: str) -> str:
    return f"arn:aws:{service}:{{region}}:{{account}}:{path}"


_KEPT: Mapping[str, _Kept] = {
    "AWS::AppConfig::Application": _Kept(attributes={"ApplicationId": "{name}"}),
    "AWS::AppConfig::Environment": _Kept(attributes={"EnvironmentId": "{name}"}),
    "AWS::Backup::BackupPlan": _Kept(
        attributes={"BackupPlanId": "{name}", "BackupPlanArn": _arn("backup", "backup-plan:{name}")}
    ),
    "AWS::Backup::BackupSelection": _Kept(attributes={"SelectionId": "{name}"}),
    "AWS::Backup::BackupVault": _Kept(
        name="BackupVaultName", attributes={"BackupVaultName": "{name}", "BackupVaultArn": _arn("backup", "{name}")}
    ),
    "AWS::CodeBuild::Project": _Kept(name="Name", attributes={"Arn": _arn("codebuild", "project/{name}")}),
    "AWS::CodeBuild::SourceCredential": _Kept(attributes={}),
    "AWS::CodeCommit::Repository": _Kept(
        name="RepositoryName",
        attributes={
            "Arn": _arn("codecommit", "{name}"),
            "CloneUrlHttp": "https://git-codecommit.{region}.amazonaws.com/v1/repos/{name}",
            "CloneUrlSsh": "ssh://git-codecommit.{region}.amazonaws.com/v1/repos/{name}",
            "Name": "{name}",
        },
    ),
    "AWS::CodeDeploy::Application": _Kept(name="ApplicationName", attributes={}),
    "AWS::CodeDeploy::DeploymentConfig": _Kept(name="DeploymentConfigName", attributes={}),
    "AWS::CodeDeploy::DeploymentGroup": _Kept(name="DeploymentGroupName", attributes={}),
    "AWS::CodePipeline::Pipeline": _Kept(name="Name", attributes={"Version": "1"}),
    "AWS::CodePipeline::Webhook": _Kept(
        name="Name", attributes={"Url": "https://{region}.webhooks.aws/trigger?t={token}"}
    ),
    "AWS::Evidently::Feature": _Kept(attributes={"Arn": _arn("evidently", "feature/{name}")}),
    "AWS::Evidently::Launch": _Kept(attributes={"Arn": _arn("evidently", "launch/{name}")}),
    "AWS::Evidently::Project": _Kept(attributes={"Arn": _arn("evidently", "project/{name}")}),
    "AWS::Lambda::EventSourceMapping": _Kept(attributes={"Id": "{name}"}),
    "AWS::Lambda::LayerVersion": _Kept(attributes={"LayerVersionArn": _arn("lambda", "layer:{name}:1")}),
    "AWS::Logs::MetricFilter": _Kept(name="FilterName", attributes={}),
    "AWS::SSM::Document": _Kept(name="Name", attributes={}),
    "AWS::SSM::MaintenanceWindow": _Kept(attributes={}),
    "AWS::SSM::MaintenanceWindowTarget": _Kept(attributes={}),
    "AWS::SSM::MaintenanceWindowTask": _Kept(attributes={}),
}


def _create(kind: str, kept: _Kept, env: Env, p: Properties) -> Made:
    given = p.get(kept.name) if kept.name is not None else None
    name = str(given or env.naming.name(100))
    facts = {"region": env.call.region, "account": env.call.account, "name": name, "token": env.naming.token()}
    attributes = {key: text.format_map(facts) for key, text in kept.attributes.items()}
    service = kind.split("::")[1]
    return Made(id=name, attributes=attributes, note=f"Recorded only: ecsnet does nothing with it ({service}).")


def _native(kind: str, kept: _Kept) -> Native:
    def create(env: Env, p: Properties) -> Made:
        return _create(kind, kept, env, p)

    def update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
        made = _create(kind, kept, env, after)
        # A name that the stack gave is the same after an update only if it is kept.
        return made if kept.name is not None and after.get(kept.name) else Made(id=id_, attributes=made.attributes)

    return Native(type=kind, create=create, update=update, delete=_nothing)


def _nothing(env: Env, id_: str, p: Properties) -> None:
    return None


PROVISIONERS = tuple(_native(kind, kept) for kind, kept in _KEPT.items())
