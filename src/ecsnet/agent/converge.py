"""Lead what the machine holds to what it must hold, with work proportional to what changed.

Three sets decide everything: `desired` (from control), `believed` (what is thought to exist, from the drivers' answers
and read-backs) and `dirty` (the keys in which the two differ). A key that fails stays dirty, is tried again with
back-off, and holds up only those that need it. On the first plan and on request everything is read back, after a
failure what its driver keeps (after a link's the namespaces too), so belief never replaces looking. One thread calls
`tick`; it waits only for drivers.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ecsnet.agent.driver import Driver
from ecsnet.agent.order import IN_KERNEL, KIND_OF_KEY, REMADE, STAGES
from ecsnet.hostplan.kernel import HostObject, Link, Namespace
from ecsnet.hostplan.messages import Applied, Delta, Failure, Sync

FIRST_RETRY, LAST_RETRY = 0.05, 5.0
"""Seconds until a failed key is tried again: doubling from the first to the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    text: str
    attempts: int
    again: float
    """When it may be tried again (monotonic seconds)."""


class Converge:
    """The loop's state. `clock` is monotonic, in seconds."""

    def __init__(self, drivers: Sequence[Driver], clock: Callable[[], float]) -> None:
        self._drivers = {kind: driver for driver in drivers for kind in driver.kinds}
        self._clock = clock
        self.desired: dict[str, HostObject] = {}
        self.believed: dict[str, HostObject | None] = {}
        self._kinds: dict[str, type[HostObject]] = {}
        self._dirty: dict[str, None] = {}
        self._needed_by: dict[str, set[str]] = {}
        self._trouble: dict[str, _Trouble] = {}
        self._unseen: set[Driver] = set(drivers)
        self._planned = False
        self._adopted = False
        self.revision = 0
        self.counters = {"ticks": 0, "made": 0, "removed": 0, "failed": 0, "read_backs": 0, "drift": 0}

    # ── what is wanted ───────────────────────────────────────────────────────────────────────────────────────────

    def sync(self, message: Sync) -> None:
        """Take a whole plan."""
        wanted = {item.key: item for item in message.objects}
        for key in [key for key in self.desired if key not in wanted]:
            self._unwant(key)
        for item in wanted.values():
            self._want(item)
        self.revision = message.revision
        self._planned = True

    def delta(self, message: Delta) -> None:
        """Take what changed. A key both put and removed is put."""
        putting = {item.key for item in message.put}
        for key in message.remove:
            if key not in putting:
                self._unwant(key)
        for item in message.put:
            self._want(item)
        self.revision = message.revision

    def _want(self, item: HostObject) -> None:
        key = item.key
        old = self.desired.get(key)
        if old == item:
            return
        if old is not None:
            for need in old.needs:
                self._needed_by.get(need, set()).discard(key)
        for need in item.needs:
            self._needed_by.setdefault(need, set()).add(key)
        self.desired[key] = item
        self._kinds[key] = type(item)
        self._trouble.pop(key, None)
        self._mark(key)

    def _unwant(self, key: str) -> None:
        old = self.desired.pop(key, None)
        if old is None:
            return
        for need in old.needs:
            dependants = self._needed_by.get(need)
            if dependants is not None:
                dependants.discard(key)
                if not dependants:
                    del self._needed_by[need]
        self._trouble.pop(key, None)
        self._mark(key)

    def _mark(self, key: str) -> None:
        """Dirty or clean, after `desired` or `believed` changed."""
        clean = self._holds(key) if key in self.desired else key not in self.believed
        if clean:
            self._dirty.pop(key, None)
            self._trouble.pop(key, None)
        else:
            self._dirty[key] = None

    def _holds(self, key: str) -> bool:
        wanted = self.desired.get(key)
        return wanted is not None and self.believed.get(key) == wanted

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def ask_read_back(self) -> None:
        """Look at the whole machine in the next tick."""
        self._unseen = set(self._drivers.values())

    def suspect(self, driver: Driver, keys: Collection[str], seen: Mapping[str, HostObject]) -> bool:
        """The patrol, which knew `seen` as desired, suspects keys: look, unless all of them are in motion anyway."""
        settled = any(self.desired.get(key) is seen.get(key) and key not in self._dirty for key in keys)
        if settled:
            self._unseen.add(driver)
        return settled

    def wanted_of(self, driver: Driver) -> dict[str, HostObject]:
        """A copy of the desired objects of a driver's kinds (any thread: the whole is copied in one step)."""
        everything = self.desired.copy()
        return {key: item for key, item in everything.items() if isinstance(item, driver.kinds)}

    def _look(self) -> None:
        """Ask the drivers whose machine state is in doubt what exists."""
        unseen, self._unseen = self._unseen, set()
        self.counters["read_backs"] += 1
        kinds = {kind for driver in unseen for kind in driver.kinds}
        wanted: dict[Driver, dict[str, HostObject]] = {driver: {} for driver in unseen}
        for key, item in self.desired.items():
            if type(item) in kinds:
                wanted[self._drivers[type(item)]][key] = item
        doubtful = {key for key in self.believed if self._kinds.get(key) in kinds}
        for driver, mine in wanted.items():
            try:
                found = driver.observe(mine)
            except Exception:  # noqa: BLE001 - the runner: what cannot be seen is believed as before, and looked at again
                traceback.print_exc()
                self._unseen.add(driver)
                continue
            for key in doubtful - found.keys():
                if self._drivers[self._kinds[key]] is driver:
                    del self.believed[key]
            for key, seen in found.items():
                self.believed[key] = seen
                self._kinds.setdefault(key, KIND_OF_KEY[key.partition(":")[0]])
            doubtful |= found.keys() | mine.keys()
        for key in doubtful:
            clean = key not in self._dirty
            self._mark(key)
            if clean and key in self._dirty and self._adopted:
                self.counters["drift"] += 1
        self._adopted = True

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> Applied | None:
        """Do what can be done now. The answer says what of the plan's revision is not in force; None without a plan."""
        if not self._planned:
            return None
        self.counters["ticks"] += 1
        if self._unseen:
            self._look()
        self._forget_what_goes_along()
        failed: dict[str, str] = {}
        self._spread_remakes()
        for stage in STAGES:
            for driver in dict.fromkeys(self._drivers[kind] for kind in stage.kinds if kind in self._drivers):
                kinds = frozenset(stage.kinds) & frozenset(driver.kinds)
                put = self._ready(kinds, failed) if stage.put else []
                remove = self._leaving(kinds, failed) if stage.remove else []
                if put or remove:
                    failed.update(self._apply(driver, put, remove))
        return Applied(revision=self.revision, failures=self._failures())

    def _apply(self, driver: Driver, put: list[HostObject], remove: list[str]) -> Mapping[str, str]:
        try:
            failures = driver.apply(put, remove)
        except Exception as error:  # noqa: BLE001 - the runner: one driver's fault must not stop the others
            traceback.print_exc()
            sentence = f"{type(driver).__name__} failed: {error!r}"
            failures = dict.fromkeys([*(item.key for item in put), *remove], sentence)
        now = self._clock()
        for key, sentence in failures.items():
            attempts = self._trouble[key].attempts + 1 if key in self._trouble else 1
            pause = min(FIRST_RETRY * 2 ** (attempts - 1), LAST_RETRY)
            self._trouble[key] = _Trouble(text=sentence, attempts=attempts, again=now + pause)
        for item in put:
            if item.key not in failures:
                self.believed[item.key] = item
                self._mark(item.key)
                self.counters["made"] += 1
        for key in remove:
            if key not in failures:
                self.believed.pop(key, None)
                if key not in self.desired:
                    self._kinds.pop(key, None)
                self._mark(key)
                self.counters["removed"] += 1
        if failures:
            self._unseen.add(driver)
            if any(self._kinds.get(key) is Link for key in failures):
                # The namespace of an end may be gone: the patrol sees the link first, which went along.
                self._unseen.add(self._drivers[Namespace])
            self.counters["failed"] += len(failures)
        return failures

    def _forget_what_goes_along(self) -> None:
        """What the kernel removes by itself together with a namespace that is to go needs no removal of its own."""
        going = {
            key.partition(":")[2]
            for key in self._dirty
            if self._kinds.get(key) is Namespace and key not in self.desired and key in self.believed
        }
        if not going:
            return
        for key in [key for key in self._dirty if key not in self.desired]:
            kind = self._kinds.get(key)
            if kind in IN_KERNEL and kind is not Namespace and going & self._places(key):
                self.believed.pop(key, None)
                self._kinds.pop(key, None)
                self._mark(key)
                self.counters["removed"] += 1

    def _places(self, key: str) -> set[str]:
        places = {key.partition(":")[2].partition("/")[0]}
        item = self.believed.get(key)
        if isinstance(item, Link):
            places.add(item.b.netns)
        return places

    def _spread_remakes(self) -> None:
        """Where an object that cannot be changed in place is to be changed, or is gone, all that need it are remade."""
        queue = [
            key
            for key in self._dirty
            if self._kinds.get(key) in REMADE and (key in self.believed or key in self._needed_by)
        ]
        seen: set[str] = set()
        while queue:
            key = queue.pop()
            if key in seen:
                continue
            seen.add(key)
            for dependant in self._needed_by.get(key, ()):
                self._trouble.pop(dependant, None)  # it may have been this one's
                if dependant in self.believed and self._lost_with(key, dependant):
                    del self.believed[dependant]
                    self._mark(dependant)
                    queue.append(dependant)

    def _lost_with(self, key: str, dependant: str) -> bool:
        """Processes outlive everything but their namespace."""
        return self._kinds.get(key) is Namespace or self._kinds.get(dependant) in IN_KERNEL

    def _ready(self, kinds: frozenset[type[HostObject]], failed: Mapping[str, str]) -> list[HostObject]:
        """The dirty wanted objects of `kinds` whose needs hold, or will by the same call."""
        now = self._clock()
        batch: dict[str, HostObject] = {}
        for key in self._dirty:
            item = self.desired.get(key)
            if item is None or type(item) not in kinds or key in failed:
                continue
            trouble = self._trouble.get(key)
            if trouble is None or trouble.again <= now:
                batch[key] = item
        while True:
            waiting = [
                key for key, item in batch.items() if not all(need in batch or self._holds(need) for need in item.needs)
            ]
            if not waiting:
                return list(batch.values())
            for key in waiting:
                del batch[key]

    def _leaving(self, kinds: frozenset[type[HostObject]], failed: Mapping[str, str]) -> list[str]:
        now = self._clock()
        return [
            key
            for key in self._dirty
            if key not in self.desired
            and self._kinds.get(key) in kinds
            and key not in failed
            and (key not in self._trouble or self._trouble[key].again <= now)
        ]

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _failures(self) -> tuple[Failure, ...]:
        return tuple(Failure(key=key, text=self._reason(key)) for key in sorted(self._dirty))

    def _reason(self, key: str) -> str:
        if key in self._trouble:
            return self._trouble[key].text
        item = self.desired.get(key)
        if item is None:
            return "is still there"
        for need in item.needs:
            if need not in self.desired:
                return f"needs {need}, which is not in the plan"
            if not self._holds(need):
                return f"waits for {need}"
        if type(item) not in self._drivers:
            return f"this agent has no driver for {type(item).__name__}"
        return "was not tried yet"

    def next_attempt(self) -> float | None:
        """When the next retry is due (monotonic seconds); None when nothing is waiting for one."""
        due = [self._trouble[key].again for key in self._dirty if key in self._trouble]
        if self._unseen and self._planned:
            due.append(self._clock() + LAST_RETRY)
        return min(due, default=None)
