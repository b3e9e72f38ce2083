"""`ecsnet deploy` and `ecsnet destroy`: CloudFormation stacks, with live progress by resource.

botocore and the template reader are imported where they are used: they would cost every other command half a second.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ecsnet.agent.runtimes.podman_store import write_aliases
from ecsnet.cli.client import aws
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.show import console
from ecsnet.home import default_home

POLL = 0.05
_BOOTSTRAP = re.compile(r"/cdk-bootstrap/[a-z0-9]{1,10}/version")
_BOOTSTRAP_VERSION = "30"


def deploy(
    template: Annotated[Path, typer.Argument(help="CloudFormation template (YAML or JSON).")],
    stack_name: Annotated[str | None, typer.Option("--stack-name", help="Default: the file's name.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE")] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PRESENT", help="Run the present image PRESENT where a task definition says NAME."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the outcome.")] = False,
) -> None:
    """Deploy a CloudFormation template: create the stack, or update it when it exists."""
    name = stack_name or stack_name_of(template)
    if images:
        write_aliases(default_home().path / "podman", _pairs("--images", images))
    outputs = deploy_stack(template, name, _pairs("--param", param or []), quiet=quiet)
    for key, value in outputs.items():
        console().print(f"  {key} = {value}", soft_wrap=True)


def stack_name_of(template: Path) -> str:
    """A valid stack name from a file name: `public-private-vpc.yml` → `public-private-vpc`."""
    stem = template.name.split(".")[0]
    name = "".join(char if char.isalnum() else "-" for char in stem).strip("-")
    return name if name[:1].isalpha() else f"stack-{name}"


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    result = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise CliError(f"{option} {item!r} is not KEY=VALUE.", code=Exit.USAGE)
        result[key] = value
    return result


def deploy_stack(template: Path, name: str, parameters: dict[str, str], *, quiet: bool) -> dict[str, str]:
    """Create or update a stack and wait for it; returns its outputs.

    Raises CliError with the first resource that failed and its reason.
    """
    import botocore.exceptions

    from ecsnet.services.cloudformation.errors import ValidationError
    from ecsnet.services.cloudformation.package import PackageError

    if not template.is_file():
        raise CliError(f"{template} is not a file.", code=Exit.USAGE)
    cloudformation = aws("cloudformation")
    request: dict[str, Any] = {
        "StackName": name,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    started = time.monotonic()
    try:
        _seed_bootstrap_version(template)
        request |= _template_argument(template)
        updating = _exists(name)
        if updating:
            request.pop("OnFailure", None)
            stack = cloudformation.update_stack(**request)["StackId"]
        else:
            stack = cloudformation.create_stack(**request)["StackId"]
    except (PackageError, ValidationError) as error:
        raise CliError(f"{template}: {error}") from error
    except botocore.exceptions.ClientError as error:
        message = error.response["Error"]["Message"]
        if message == "No updates are to be performed.":
            console().print(f"[green]{name}[/] is up to date.")
            return _outputs(name)
        raise CliError(f"{name}: {message}") from error
    final = follow(stack, quiet=quiet)
    seconds = time.monotonic() - started
    if final["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reason = first_failure(stack) or final.get("StackStatusReason") or "no resource gave a reason"
        raise CliError(f"{name}: {final['StackStatus']}: {reason}", hint=_failure_hint(final))
    console().print(f"[green]{name}[/] {final['StackStatus']} in {seconds:.1f} s")
    return {output["OutputKey"]: output["OutputValue"] for output in final.get("Outputs", [])}


def _failure_hint(final: dict[str, Any]) -> str:
    if final["StackStatus"] == "ROLLBACK_COMPLETE":
        return f"Nothing of it is left but the stack's record; remove it with: ecsnet destroy {final['StackName']}"
    return ""


def _template_argument(template: Path) -> dict[str, str]:
    """TemplateBody, or TemplateURL with every nested template uploaded, as `aws cloudformation package` does."""
    from ecsnet.services.cloudformation.package import BUCKET, package

    packaged = package(template)
    if not packaged.parts and len(packaged.body.encode()) <= 51_200:
        return {"TemplateBody": packaged.body}
    s3 = aws("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, body in packaged.parts.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
    key = f"{packaged.digest}.template"
    s3.put_object(Bucket=BUCKET, Key=key, Body=packaged.body.encode())
    return {"TemplateURL": f"https://{BUCKET}.s3.amazonaws.com/{key}"}


def _seed_bootstrap_version(template: Path) -> None:
    """Give a synthesized CDK template the parameter that `cdk bootstrap` would have left in the account.

    Such a template checks the version of the bootstrap stack; nothing else of that stack is needed to deploy it here.
    """
    import botocore.exceptions

    from ecsnet.services.cloudformation.template import parse

    parameters = parse(template.read_text(encoding="utf-8")).body.get("Parameters")
    if not isinstance(parameters, dict):
        return
    for parameter in parameters.values():
        name = parameter.get("Default") if isinstance(parameter, dict) else None
        if not isinstance(name, str) or not _BOOTSTRAP.fullmatch(name):
            continue
        try:
            aws("ssm").put_parameter(Name=name, Value=_BOOTSTRAP_VERSION, Type="String")
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ParameterAlreadyExists":
                raise
        else:
            console().print(f"[dim]made {name}, as `cdk bootstrap` would[/]")


def _exists(name: str) -> bool:
    import botocore.exceptions

    try:
        status = aws("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    except botocore.exceptions.ClientError:
        return False
    if status == "ROLLBACK_COMPLETE":
        raise CliError(
            f"{name} failed before and was rolled back; it cannot be updated.",
            hint=f"Remove it first: ecsnet destroy {name}",
        )
    return bool(status != "REVIEW_IN_PROGRESS")


def _outputs(name: str) -> dict[str, str]:
    stack = aws("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def destroy(
    stack_name: Annotated[str, typer.Argument(help="Name of the stack.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the outcome.")] = False,
) -> None:
    """Delete a stack and everything that it made."""
    import botocore.exceptions

    cloudformation = aws("cloudformation")
    started = time.monotonic()
    try:
        stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]["StackId"]
        cloudformation.delete_stack(StackName=stack_name)
    except botocore.exceptions.ClientError as error:
        raise CliError(f"{stack_name}: {error.response['Error']['Message']}", code=Exit.NOT_FOUND) from error
    final = follow(stack, quiet=quiet)
    if final["StackStatus"] != "DELETE_COMPLETE":
        reason = final.get("StackStatusReason") or first_failure(stack) or "no resource gave a reason"
        raise CliError(f"{stack_name}: {final['StackStatus']}: {reason}")
    console().print(f"[green]{stack_name}[/] deleted in {time.monotonic() - started:.1f} s")


def follow(stack: str, *, quiet: bool) -> dict[str, Any]:
    """Show the resources of a stack while it works; returns its last description."""
    cloudformation = aws("cloudformation")
    out = console()
    if quiet or not out.is_terminal:
        for description in _descriptions(stack):
            last = description
        return last
    with Live(console=out, refresh_per_second=12, transient=True) as live:
        for description in _descriptions(stack):
            resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
            live.update(_progress(description, resources))
            last = description
    return last


def _descriptions(stack: str) -> Iterator[dict[str, Any]]:
    cloudformation = aws("cloudformation")
    while True:
        description: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        yield description
        if not description["StackStatus"].endswith("_IN_PROGRESS"):
            return
        time.sleep(POLL)


_STYLES = {"COMPLETE": "green", "FAILED": "red", "PROGRESS": "yellow"}


def _progress(description: dict[str, Any], resources: list[dict[str, Any]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    done = sum(1 for resource in resources if resource["ResourceStatus"].endswith("_COMPLETE"))
    table.add_row(Text(description["StackName"], "bold"), f"{done}/{len(resources)}", description["StackStatus"])
    unfinished = [resource for resource in resources if not resource["ResourceStatus"].endswith("_COMPLETE")]
    for resource in unfinished[:12]:
        status = resource["ResourceStatus"]
        style = _STYLES.get(status.rpartition("_")[2], "")
        table.add_row(
            f"  {resource['LogicalResourceId']}",
            resource["ResourceType"].removeprefix("AWS::"),
            Text(f"{status} {resource.get('ResourceStatusReason', '')}".strip(), style),
        )
    return table


def first_failure(stack: str) -> str:
    """The first failed event that is a cause and not a consequence, or the stack's own reason to roll back.

    Of a nested stack it is what failed inside.
    """
    pages = aws("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [event for page in pages for event in page["StackEvents"]]
    for event in reversed(events):
        reason = event.get("ResourceStatusReason", "")
        if not event["ResourceStatus"].endswith("FAILED") or "cancelled" in reason.lower():
            continue
        nested = event.get("PhysicalResourceId") or ""
        if event["ResourceType"] == "AWS::CloudFormation::Stack" and nested not in ("", stack):
            return first_failure(nested) or reason
        return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
    return next((event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event), "")
