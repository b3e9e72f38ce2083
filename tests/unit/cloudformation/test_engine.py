"""The engine against a made-up world: order, roll-back, replacement, clean-up, and a crash at any moment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cfn_fakes import FakeWorld, backed, native, slow, template
from cfn_rig import CountingIds, Rig, with_rig

from ecsnet.model import tables
from ecsnet.model.cloudformation import StackStatus
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.decide import STABILISE_SECONDS

IAM = ["CAPABILITY_IAM"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    made = FakeWorld()
    monkeypatch.setattr("ecsnet.services.cloudformation._TYPES", made.provisioners().keys())
    return made


async def create(rig: Rig, body: str, **more: Any) -> str:
    reply = await rig.call("CreateStack", StackName="s", TemplateBody=body, Capabilities=IAM, **more)
    return str(reply["StackId"])


async def update(rig: Rig, body: str, **more: Any) -> None:
    await rig.call("UpdateStack", StackName="s", TemplateBody=body, Capabilities=IAM, **more)


def test_what_is_needed_is_made_first_and_deleted_last(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await create(rig, template(C=native(needs=("B",)), B=backed(needs=("A",)), A=native()))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE
        assert world.calls == ["create A", "create B", "create C"]
        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        assert world.calls[3:] == ["delete C", "delete B", "delete A"]
        assert world.things == {}

    rig = with_rig(body, provisioners=world.provisioners())
    assert rig.events("s")[:4] == [
        "s CREATE_IN_PROGRESS",
        "A CREATE_IN_PROGRESS",
        "A CREATE_IN_PROGRESS",
        "A CREATE_COMPLETE",
    ]
    assert rig.events("s")[-3:] == ["A DELETE_IN_PROGRESS", "A DELETE_COMPLETE", "s DELETE_COMPLETE"]


def test_a_slow_resource_holds_back_its_dependants_only(world: FakeWorld) -> None:
    world.slow = {"a"}

    async def body(rig: Rig) -> None:
        await create(rig, template(A=slow(), B=native(needs=("A",)), C=native()))
        await wait_for(rig, "C CREATE_COMPLETE")
        assert rig.stack("s").status is StackStatus.CREATE_IN_PROGRESS
        assert "create B" not in world.calls
        world.slow.clear()
        touch(rig)
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE
        assert "create B" in world.calls

    with_rig(body, provisioners=world.provisioners())


async def wait_for(rig: Rig, event: str) -> None:
    changed = asyncio.Event()
    rig.store.subscribe(lambda commit: changed.set())
    while event not in rig.events("s"):
        changed.clear()
        await asyncio.wait_for(changed.wait(), 60)


def touch(rig: Rig) -> None:
    """A commit about something else."""
    with rig.store.transaction() as tx:
        row = next(tx.rows(tables.VPCS))
        tx.put(tables.VPCS, type(row)(**{**_fields(row), "dns_hostnames": not row.dns_hostnames}))


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


@pytest.mark.parametrize("kind", [native, backed])
def test_a_failed_creation_is_rolled_back(world: FakeWorld, kind: Any) -> None:
    world.fail = {"create B"}

    async def body(rig: Rig) -> None:
        await create(rig, template(A=native(), B=kind(needs=("A",)), C=native(needs=("B",)), D=backed()))
        stack = await rig.settled("s")
        assert stack.status is StackStatus.ROLLBACK_COMPLETE
        assert world.things == {}
        assert "create C" not in world.calls
        assert "The following resource(s) failed to create: [B]." in rig.reasons("s")
        assert any("create of B fails" in reason for reason in rig.reasons("s"))
        with pytest.raises(AwsError, match="ROLLBACK_COMPLETE state and can not be updated"):
            await update(rig, template(A=native(dns=True)))
        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE

    with_rig(body, provisioners=world.provisioners())


def test_what_settles_while_another_fails_is_cancelled_and_deleted(world: FakeWorld) -> None:
    world.slow, world.fail = {"a"}, {"create B"}

    async def body(rig: Rig) -> None:
        await create(rig, template(A=slow(), B=native(needs=("C",)), C=native()))
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert "Resource creation cancelled" in rig.reasons("s")
        assert world.things == {}

    with_rig(body, provisioners=world.provisioners())


def test_a_resource_that_breaks_fails_the_stack(world: FakeWorld) -> None:
    world.slow = {"broken a"}

    async def body(rig: Rig) -> None:
        await create(rig, template(A=slow()))
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert "it broke" in rig.reasons("s")

    with_rig(body, provisioners=world.provisioners())


def test_a_resource_that_never_settles_fails_in_the_end(world: FakeWorld) -> None:
    world.slow = {"a"}

    async def body(rig: Rig) -> None:
        await create(rig, template(A=slow()))
        await wait_for(rig, "A CREATE_IN_PROGRESS")
        rig.now += STABILISE_SECONDS + 1
        touch(rig)
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("did not stabilize" in reason for reason in rig.reasons("s"))

    with_rig(body, provisioners=world.provisioners())


@pytest.mark.parametrize("stage", ["A CREATE_IN_PROGRESS", "B CREATE_IN_PROGRESS", "C CREATE_IN_PROGRESS"])
def test_a_stack_may_be_deleted_while_it_is_made(world: FakeWorld, stage: str) -> None:
    world.slow = {"c"}

    async def body(rig: Rig) -> None:
        await create(rig, template(A=backed(), B=native(needs=("A",)), C=slow(needs=("B",))))
        await wait_for(rig, stage)
        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        assert world.things == {}

    with_rig(body, provisioners=world.provisioners())


def test_a_deletion_waits_for_what_still_uses_the_resource(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A is used by B without the template saying so."""
    world.slow = {"gone b"}
    delete = world.delete

    def guarded(env: Any, id_: str, p: Any) -> None:
        if id_.startswith("a-") and "gone b" in world.slow:
            raise AwsError("DependencyViolation", f"{id_} has dependencies")
        delete(env, id_, p)

    monkeypatch.setattr(world, "delete", guarded)

    async def body(rig: Rig) -> None:
        await create(rig, template(A=native(), B=slow()))
        await rig.settled("s")
        await rig.call("DeleteStack", StackName="s")
        await wait_for(rig, "A DELETE_IN_PROGRESS")
        await wait_for(rig, "B DELETE_IN_PROGRESS")
        assert rig.stack("s").status is StackStatus.DELETE_IN_PROGRESS
        world.slow.clear()
        touch(rig)
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        assert world.things == {}

    with_rig(body, provisioners=world.provisioners())


def test_on_failure_decides(world: FakeWorld) -> None:
    world.fail = {"create B"}

    async def body(rig: Rig) -> None:
        await create(rig, template(A=native(), B=native(needs=("A",))), OnFailure="DO_NOTHING")
        assert (await rig.settled("s")).status is StackStatus.CREATE_FAILED
        assert len(world.things) == 1
        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        await create(rig, template(A=native(), B=native(needs=("A",))), OnFailure="DELETE")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        assert world.things == {}

    with_rig(body, provisioners=world.provisioners())


def test_an_update_changes_only_what_differs(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await create(rig, template(A=native(), B=native(), D=backed()))
        await rig.settled("s")
        world.calls.clear()
        await update(rig, template(A=native(dns=True), B=native(), C=native(), D=backed("other")))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE
        assert sorted(world.calls) == ["create C", "update A", "update D"]
        with pytest.raises(AwsError, match=r"^No updates are to be performed\.$"):
            await update(rig, template(A=native(dns=True), B=native(), C=native(), D=backed("other")))

    with_rig(body, provisioners=world.provisioners())


def test_what_the_backing_server_has_lost_is_made_again(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await create(rig, template(A=backed()))
        await rig.settled("s")
        world.things.clear()
        await update(rig, template(A=backed("new")))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE
        assert world.calls == ["create A", "update A", "create A", "delete A"]
        assert len(world.things) == 1

    with_rig(body, provisioners=world.provisioners())


def test_a_replacement_is_made_before_the_old_one_goes(world: FakeWorld) -> None:
    output = {"Id": {"Value": {"Ref": "A"}}}

    async def body(rig: Rig) -> None:
        await create(rig, template(output, A=native(), B=native(needs=("A",))))
        old = (await rig.settled("s")).current.outputs[0].value
        world.calls.clear()
        await update(rig, template(output, A=native("10.1.0.0/16")))
        stack = await rig.settled("s")
        assert stack.status is StackStatus.UPDATE_COMPLETE
        assert world.calls[0] == "create A"
        assert sorted(world.calls[1:]) == ["delete A", "delete B"]
        assert stack.current.outputs[0].value != old
        assert list(world.things) == [stack.current.outputs[0].value]

    rig = with_rig(body, provisioners=world.provisioners())
    assert "s UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" in rig.events("s")


def test_a_failed_update_is_rolled_back(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await create(rig, template(A=native(), B=native(), C=backed(), E=native()))
        stack = await rig.settled("s")
        before = dict(world.things)
        world.fail = {"create D"}
        await update(
            rig,
            template(
                A=native(dns=True),
                B=native("10.1.0.0/16"),
                C=backed("new"),
                D=native(needs=("A", "B", "C")),
                F=native(),
            ),
        )
        after = await rig.settled("s")
        assert after.status is StackStatus.UPDATE_ROLLBACK_COMPLETE
        assert world.things == before
        assert after.current == stack.current
        assert "The following resource(s) failed to update: [D]." in rig.reasons("s")
        world.fail.clear()
        await update(rig, template(A=native(dns=True)))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE
        assert len(world.things) == 1

    with_rig(body, provisioners=world.provisioners())


def test_policies_keep_what_they_name(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
        await create(rig, template(A=native(**keep), B=native()))
        await rig.settled("s")
        await update(rig, template(A=native("10.1.0.0/16", **keep), B=native()))
        await rig.settled("s")
        assert len(world.things) == 3
        await rig.call("DeleteStack", StackName="s")
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        assert sorted(id_.split("-")[0] for id_ in world.things) == ["a", "a"]
        assert rig.events("s").count("A DELETE_SKIPPED") == 2

    with_rig(body, provisioners=world.provisioners())


def test_a_failed_deletion_can_be_finished(world: FakeWorld) -> None:
    async def body(rig: Rig) -> None:
        await create(rig, template(A=native(), B=native(needs=("A",)), C=native()))
        await rig.settled("s")
        world.fail = {"delete B"}
        await rig.call("DeleteStack", StackName="s")
        stack = await rig.settled("s")
        assert stack.status is StackStatus.DELETE_FAILED
        assert stack.reason == "The following resource(s) failed to delete: [B]."
        assert sorted(id_.split("-")[0] for id_ in world.things) == ["a", "b"]
        await rig.call("DeleteStack", StackName="s", RetainResources=["B"])
        assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE
        assert [id_.split("-")[0] for id_ in world.things] == ["b"]

    with_rig(body, provisioners=world.provisioners())


def test_a_stack_completes_only_after_the_data_plane_has_it(world: FakeWorld) -> None:
    asked: list[int] = []
    release = asyncio.Event()

    async def applied(revision: int) -> None:
        asked.append(revision)
        await release.wait()

    async def body(rig: Rig) -> None:
        await create(rig, template(A=native()))
        await wait_for(rig, "A CREATE_COMPLETE")
        while not asked:
            await asyncio.sleep(0)
        assert rig.stack("s").status is StackStatus.CREATE_IN_PROGRESS
        assert asked == [rig.store.snapshot.revision]
        release.set()
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE

    with_rig(body, provisioners=world.provisioners(), applied=applied)


def test_a_fault_in_a_provisioner_fails_its_resource_only(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(env: Any, p: Any) -> Any:
        raise KeyError("oops")

    async def body(rig: Rig) -> None:
        await create(rig, template(A=native()))
        assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("KeyError: 'oops'" in reason for reason in rig.reasons("s"))

    monkeypatch.setattr(world, "create", broken)
    with_rig(body, provisioners=world.provisioners())


class _Killed(BaseException):
    """The process ends here."""


def test_what_was_made_outside_without_being_recorded_is_found_again(world: FakeWorld, tmp_path: Path) -> None:
    """The crash comes between the backing server's answer and the commit that would have noted it."""
    ids = CountingIds()

    def end() -> None:
        raise _Killed

    async def killed(rig: Rig) -> None:
        world.after_outside = end
        await create(rig, template(A=backed()))
        await rig.settled("s")

    rig = Rig(path=tmp_path / "s.db", provisioners=world.provisioners(), ids=ids)
    with pytest.raises((_Killed, BaseExceptionGroup)):
        asyncio.run(_with(rig, killed))
    rig.store.close()
    assert len(world.things) == 1
    assert rig.stack("s").status is StackStatus.CREATE_IN_PROGRESS

    async def resume(rig: Rig) -> None:
        world.after_outside = None
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE

    with_rig(resume, path=tmp_path / "s.db", provisioners=world.provisioners(), ids=ids)
    assert world.calls == ["create A", "create A"]
    assert len(world.things) == 1


@pytest.mark.parametrize("operation", ["create", "update", "failed update", "delete"])
def test_a_crash_after_any_commit_changes_nothing_in_the_end(world: FakeWorld, tmp_path: Path, operation: str) -> None:
    """Kill control after its first, second, third … commit; every time a fresh one finishes the work."""
    first = template(A=native(), B=backed(needs=("A",)), C=slow(needs=("B",)), D=native())
    second = template(A=native(dns=True), B=backed("x", needs=("A",)), D=native("10.9.0.0/16"), E=backed())
    expected = {
        "create": (StackStatus.CREATE_COMPLETE, ["a", "b", "c", "d"]),
        "update": (StackStatus.UPDATE_COMPLETE, ["a", "b", "d", "e"]),
        "failed update": (StackStatus.UPDATE_ROLLBACK_COMPLETE, ["a", "b", "c", "d"]),
        "delete": (StackStatus.DELETE_COMPLETE, []),
    }[operation]
    kills = 0
    while True:
        finished = _run_and_kill(world, tmp_path / f"{kills}.db", operation, first, second, kills)
        assert finished.status is expected[0], kills
        assert sorted(id_.split("-")[0] for id_ in world.things) == expected[1], kills
        kills += 1
        if finished.unkilled:
            break
        world.things.clear()
    assert kills > 5


class _Finished:
    def __init__(self, status: StackStatus, unkilled: bool) -> None:
        self.status = status
        self.unkilled = unkilled


def _run_and_kill(world: FakeWorld, path: Path, operation: str, first: str, second: str, commits: int) -> _Finished:
    world.fail = set()
    ids = CountingIds()

    async def prepare(rig: Rig) -> None:
        if operation != "create":
            await create(rig, first)
            await rig.settled("s")

    async def begin(rig: Rig) -> None:
        if operation == "create":
            await create(rig, first)
        elif operation == "delete":
            await rig.call("DeleteStack", StackName="s")
        else:
            world.fail = {"create E"} if operation == "failed update" else set()
            await update(rig, second)

    rig = with_rig(prepare, path=path, provisioners=world.provisioners(), ids=ids)
    rig.store.close()

    async def killed(rig: Rig) -> None:
        left = commits

        def count(commit: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed

        await begin(rig)
        rig.store.subscribe(count)
        await rig.settled("s")

    unkilled = True
    rig = Rig(path=path, provisioners=world.provisioners(), ids=ids)
    try:
        asyncio.run(_with(rig, killed))
    except* _Killed:
        unkilled = False
    rig.store.close()

    async def resume(rig: Rig) -> None:
        await rig.settled("s")

    rig = with_rig(resume, path=path, provisioners=world.provisioners(), ids=ids)
    status = rig.stack("s").status
    rig.store.close()
    return _Finished(status, unkilled)


async def _with(rig: Rig, body: Any) -> None:
    engine = asyncio.ensure_future(rig.engine.run())
    work = asyncio.ensure_future(body(rig))
    done, _ = await asyncio.wait({engine, work}, return_when=asyncio.FIRST_COMPLETED)
    for task in (engine, work):
        if task not in done:
            task.cancel()
            await asyncio.wait({task})
    for task in done:
        task.result()
