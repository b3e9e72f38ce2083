"""The loop itself: due times, faults that stay apart, work in proportion to what changed."""

from __future__ import annotations

from ecs_harness import Cloud
from ecsnet.controllers import marks
from ecsnet.controllers.loop import CONTROLLERS, Controller, Controllers
from ecsnet.services.call import Call


class Recorder:
    """A controller that remembers what it was asked, and fails on one key."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.due: float | None = None
        self.broken: str | None = None

    def step(self, call: Call, key: str) -> float | None:
        self.keys.append(key)
        if key == self.broken:
            raise ValueError("broken on purpose")
        return self.due


def recorded(cloud: Cloud) -> tuple[Recorder, Controllers]:
    recorder = Recorder()
    table = {marks.TASK: Controller(step=recorder.step, home=CONTROLLERS[marks.TASK].home)}
    return recorder, Controllers(cloud.store, cloud._open_call, table)


def test_looks_only_at_what_changed(cloud: Cloud) -> None:
    cloud.definition()
    first = cloud.run_task()
    recorder, controllers = recorded(cloud)
    controllers.run_once(cloud.now)
    second = cloud.run_task()
    controllers.run_once(cloud.now)
    assert recorder.keys == [first, second]
    assert controllers.run_once(cloud.now) is None
    assert recorder.keys == [first, second]


def test_looks_again_when_due_and_not_before(cloud: Cloud) -> None:
    cloud.definition()
    cloud.run_task()
    recorder, controllers = recorded(cloud)
    recorder.due = cloud.now + 10
    assert controllers.run_once(cloud.now) == cloud.now + 10
    recorder.due = cloud.now + 50
    assert controllers.run_once(cloud.now + 9) == cloud.now + 10
    assert len(recorder.keys) == 1
    assert controllers.run_once(cloud.now + 10) == cloud.now + 50
    assert len(recorder.keys) == 2


def test_a_step_that_raises_stops_no_other_and_is_tried_again(cloud: Cloud) -> None:
    cloud.definition()
    first, second = cloud.run_task(), cloud.run_task()
    recorder, controllers = recorded(cloud)
    recorder.broken = first
    due = controllers.run_once(cloud.now)
    assert due == cloud.now + 5
    assert second in recorder.keys
    recorder.broken = None
    recorder.keys.clear()
    assert controllers.run_once(cloud.now + 5) is None
    assert recorder.keys == [first]


def test_every_mark_has_a_controller() -> None:
    assert set(CONTROLLERS) == {
        marks.TASK,
        marks.SERVICE,
        marks.TARGET,
        marks.NAT,
        marks.INTERFACE,
        marks.DEFINITION,
        marks.INSTANCE,
        marks.CONTAINER_AGENT,
        marks.GROUP,
        marks.MEMBER,
        marks.PROVIDER,
        marks.PEERING,
    }
