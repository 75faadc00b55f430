"""The worker: takes queued runs, places them on devices, follows them, and settles what they leave."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from ulid import ULID

from engine.errors import UserError
from engine.files import is_held
from engine.queue.contact import Contact
from engine.queue.executors.base import Ending, Executor, How, Offer, Placed, RefusedError, Task
from engine.queue.executors.endings import last_word
from engine.queue.followed import Followed
from engine.queue.liveness import HEARTBEAT_S, handle_of, is_alive, may_return, names, own, worker_lives
from engine.queue.policy import after_end
from engine.queue.recovery import conclude, isolated, settle
from engine.queue.signals import heard_signals
from engine.queue.starting import IMPATIENT_S
from engine.records import RunStatus
from engine.spec import Execution
from engine.store import Run, Store, StoreError, StoreLostError, experiment_of, get_run, ingest, request_cancel
from engine.store import queue as rows
from engine.store.core.tables import StoredWorker
from engine.store.runs import mark_damaged

DRAIN_GRACE_S = 60.0
"""What a run that goes back to the queue, or is beyond its time limit, has for saving its state."""
_POLL_S = 0.2


class Worker:
    """One worker process. `say` is told what happens, in lines.

    The first SIGTERM or Ctrl-C (or a request in the store) drains it: it takes nothing new and leaves
    when its runs have ended. The second stops the runs, which save their state and are queued again. The
    third leaves at once; the runs go on, and the next worker adopts them. A closed terminal is ignored.
    With `linger_s` it also leaves when nothing that it could take has been queued for so long.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        say: Callable[[str], None],
        linger_s: float | None = None,
    ) -> None:
        self.id = str(ULID())
        self._wait_s = store.wait_s
        self._store = store.waiting(min(IMPATIENT_S, store.wait_s))
        self._executor, self._say, self._linger_s = executor, say, linger_s
        self._jobs: dict[str, Followed] = {}
        self._contact, self._degrees, self._draining = Contact(), 0, False

    def run(self) -> bool:
        """Work until it is told to leave; False where the database was deleted or damaged meanwhile, or did not answer
        for long (`Contact`): it has followed its runs to their end. Raises UserError where none can be started here."""
        self._store.make_files()
        with heard_signals() as came:
            self._begin(came)
            slots = ", ".join(slot if n == 1 else f"{slot} × {n}" for slot, n in Counter(self._executor.slots).items())
            self._say(f"worker {self.id} (pid {os.getpid()}) on {slots}; Ctrl-C drains it")
            try:
                there = self._loop(came)
            finally:
                self._executor.close()
                if not self._jobs:
                    with suppress(StoreError):
                        rows.leave(self._store, self.id)
            self._say(f"worker {self.id} leaves" + (f"; {len(self._jobs)} runs go on" if self._jobs else ""))
        return there

    def _begin(self, came: Sequence[int]) -> None:
        give_up = time.monotonic() + self._wait_s
        while True:
            try:
                settle(self._store)
                self._executor.ready()
                self._row = rows.add_worker(self._store, self.id, self._executor.slots, self._executor.name)
                return
            except StoreLostError:
                raise
            except StoreError:
                if came:
                    raise KeyboardInterrupt from None
                if time.monotonic() > give_up:
                    raise

    def _loop(self, came: Sequence[int]) -> bool:
        beat_at, care_at, busy_at = 0.0, 0.0, time.monotonic()
        while not self._leaves_at_once(came):
            now = time.monotonic()
            try:
                if now >= beat_at:  # before anything else: who was silent for long may have been taken for gone
                    beat_at = now + HEARTBEAT_S
                    self._beat()
                changed = self._follow()
                if now >= care_at:
                    self._care_for_orphans()
                    care_at = now + HEARTBEAT_S
                if not self._draining:
                    changed |= self._place()
                if changed:
                    self._beat()
                busy_at = time.monotonic() if self._jobs else busy_at
                if not self._jobs and (self._draining or self._nothing_comes(now - busy_at)):
                    return True
                self._contact.answered()
            except StoreError as error:  # locked, full or away for now: the runs do not need it
                if self._contact.is_lost(error):
                    self._say(f"{error}; nothing new is taken, {len(self._jobs)} runs are followed to their end")
                    self._follow_alone(came)
                    return False
            self._executor.wait(_POLL_S)
        return True

    def _nothing_comes(self, idle_s: float) -> bool:
        late = self._linger_s is not None and idle_s >= self._linger_s
        return late and rows.leave(self._store, self.id, self._wishes)

    def _beat(self) -> None:
        load = self._executor.load([job.placed for job in self._jobs.values()])
        if not rows.beat(self._store, self.id, load, draining=self._draining):
            self._row = rows.add_worker(self._store, self.id, self._executor.slots, self._executor.name)
            self._say(f"worker {self.id} was silent for so long that it was taken for gone; it goes on")

    @property
    def _wishes(self) -> rows.Wishes:
        """The runs that it could take."""
        return rows.Wishes(self._executor.name, self._executor.accepts, most_gpus=self._gpus)

    @property
    def _gpus(self) -> int | None:  # None where only the executor knows
        return len({slot for slot in self._executor.slots if slot.startswith("cuda:")}) or None

    # -------------------------------------------------------------------------------- taking runs

    def _place(self) -> bool:
        """Fill the free places with queued runs; whether any was taken."""
        taken = False
        while self._offers([]) and rows.anything_queued(self._store, self._wishes) and self._executor.ready():
            claimed = self._claim()
            if not claimed:
                return taken
            taken = True
            self._start(claimed)
        return taken

    def _claim(self) -> list[Run]:
        """Runs for free places, as many as are started together."""
        claimed: list[Run] = []
        while len(claimed) < self._executor.at_once:
            for offer in self._offers(claimed):
                wishes = rows.Wishes(self._executor.name, offer.accepts, offer.free, offer.gpus, self._gpus)
                run = rows.claim(self._store, self._row, offer.device, wishes)
                if run is not None:
                    claimed.append(run)
                    break
            else:
                break
        return claimed

    def _offers(self, claimed: Sequence[Run]) -> list[Offer]:
        """Places that are free beside its runs and those just claimed."""
        placed = [job.placed for job in self._jobs.values()]
        return self._executor.offers([*placed, *(Placed(run.device or "", 1, None) for run in claimed)])

    def _start(self, claimed: Sequence[Run]) -> None:
        held = rows.held_runs(self._store, self.id, [run.id for run in claimed])
        wishes = {run.id: wish for run in claimed if run.id in held and (wish := self._wish(run)) is not None}
        runs = [run for run in claimed if run.id in wishes]
        tasks = [
            Task(self._store.folder(r.id), w.threads or 0, r.device or "", r.cluster, r.attempt + 1, w.devices)
            for r, w in ((run, wishes[run.id]) for run in runs)
        ]
        try:
            handles = self._executor.start(tasks)
        except RefusedError as error:
            if len(runs) > 1:  # it may be one of them that is not taken
                for run in runs:
                    self._start([run])
                return
            conclude(self._store, runs[0], RunStatus.FAILED, str(error))
            self._say(f"{runs[0].id} failed: {error}")
            return
        except UserError:
            for run in runs:
                rows.put_back(self._store, run, "its worker could not start it", crashes=run.crashes)
            raise
        for run, handle in zip(runs, handles, strict=True):
            limit = wishes[run.id].time_limit_s
            job = Followed(run.id, run.device or "", self._width(wishes[run.id]), handle)
            if limit is not None and self._executor.at_once == 1:  # elsewhere it may wait, and keeps its limit itself
                job.hard_limit = time.monotonic() + limit + DRAIN_GRACE_S
            self._jobs[run.id] = job
            self._say(f"{run.id} starts on {job.device}: {run.arm} {run.dataset} {run.backbone} seed {run.seed}")
        for run in runs:
            self._own(self._jobs[run.id])

    def _own(self, job: Followed) -> None:
        """Have the run's row name its work; where the run was given to somebody else meanwhile, that work goes."""
        job.owned = own(self._store, job.run_id, self._executor.name, job.handle, self.id)
        if not job.owned:
            self._give_up(job)

    def _give_up(self, job: Followed) -> None:
        """End what is left here of a run that somebody else has now."""
        self._executor.stop(job.handle, kill=True)
        del self._jobs[job.run_id]
        self._say(f"{job.run_id} was given to somebody else while this worker was silent; it is left to them")

    def _wish(self, run: Run) -> Execution | None:
        """How the run wants to be executed; None where nobody can say: it has failed then, and the others do not wait
        for it."""
        try:
            return experiment_of(run).execution
        except Exception as error:
            mark_damaged(self._store, run.id, f"its specification cannot be read: {error}")
            conclude(self._store, run, RunStatus.FAILED, f"its specification cannot be read: {error}")
            self._say(f"{run.id} failed: its specification cannot be read")
            return None

    def _width(self, wish: Execution) -> int:
        """The slots that it takes: all where it wants more threads, one where it leaves them to its place."""
        return min((wish.threads or 1) * wish.devices, max(self._executor.slots.count("cpu"), 1))

    # -------------------------------------------------------------------------------- following them

    def _follow(self) -> bool:
        """Bring the rows of the runs up to date, do what is asked of them, settle those that have ended;
        whether any has."""
        if not self._jobs:
            return False
        before = len(self._jobs)
        held = rows.held_runs(self._store, self.id, self._jobs)
        for job in list(self._jobs.values()):
            attend = partial(self._attend, job, cancel=held.get(job.run_id, False))
            if job.run_id not in held:
                attend = partial(self._take_back_or_give_up, job)
            if not isolated(self._store, job.run_id, attend):
                self._executor.stop(job.handle, kill=True)
                del self._jobs[job.run_id]
                self._say(f"{job.run_id} cannot be followed; `tfllmer show {job.run_id}` says why")
        return len(self._jobs) < before

    def _take_back_or_give_up(self, job: Followed) -> None:
        """A worker on another machine may have adopted the run, but only here its process can be stopped."""
        run = get_run(self._store, job.run_id)
        if run.status != RunStatus.RUNNING or not names(run, job.handle):
            self._give_up(job)
            return
        follower = {seen.row.id: seen.row.host for seen in rows.list_workers(self._store)}.get(run.worker_id or "")
        if follower == self._row.host or not rows.adopt(self._store, run, self._row):
            del self._jobs[job.run_id]

    def _attend(self, job: Followed, *, cancel: bool) -> None:
        if not job.owned:
            self._own(job)
            if not job.owned:
                return
        self._look_after(job)
        self._ingest(job)
        if (state := self._executor.state(job.handle)) != job.state:
            rows.note_state(self._store, job.run_id, job.handle, state)
            job.state = state
        if job.ending is None:
            self._do_as_asked(job, cancel=cancel)
        elif self._executor.clear(job.handle):
            self._settle(job, job.ending)

    def _follow_alone(self, came: Sequence[int]) -> None:
        """Follow the runs to their end without a store: their folders have all that they do."""
        self._draining = True
        while self._jobs and not self._leaves_at_once(came):
            for job in list(self._jobs.values()):
                folder = self._store.folder(job.run_id)
                job.ending = job.ending or self._executor.ending(job.handle)
                if job.ending is None or (job.ending.how is How.VANISHED and is_held(folder.lock)):
                    job.ending = None
                    self._do_as_asked(job, cancel=False)
                elif self._executor.clear(job.handle):
                    del self._jobs[job.run_id]
                    how = last_word(folder) or job.ending.reason
                    self._say(f"{job.run_id} has ended ({how}); its folder keeps it for `tfllmer db rebuild`")
            self._executor.wait(_POLL_S)

    def _look_after(self, job: Followed) -> None:
        """Find out whether the run's work has ended."""
        if job.ending is not None:
            return
        ending = self._executor.ending(job.handle)
        if ending is not None and ending.how is How.VANISHED:
            run = get_run(self._store, job.run_id)
            job.handle = handle_of(run) or job.handle  # its own work may not have been known when it was adopted
            if is_alive(self._store, run):
                return
        job.ending = ending

    def _ingest(self, job: Followed) -> None:
        spool = self._store.folder(job.run_id).spool
        size = spool.stat().st_size if spool.exists() else 0
        if size != job.read:
            ingest(self._store, job.run_id)
            job.read = size

    def _do_as_asked(self, job: Followed, *, cancel: bool) -> None:
        now = time.monotonic()
        if cancel and (job.kill_at is None or job.kill_at > now + self._executor.cancel_grace_s):
            self._say(f"{job.run_id} is asked to stop")
            self._stop(job, self._executor.cancel_grace_s)
        if job.hard_limit is not None and now >= job.hard_limit and job.kill_at is None:
            job.too_long, job.kill_at = True, now
        if job.kill_at is not None and now >= job.kill_at:
            job.killed = True
            self._executor.stop(job.handle, kill=True)

    def _stop(self, job: Followed, grace_s: float) -> None:
        job.kill_at, job.blame = time.monotonic() + grace_s, False
        self._executor.stop(job.handle)

    def _settle(self, job: Followed, ending: Ending) -> None:
        if ending.how is How.CANCELLED and job.kill_at is None:  # by a person who went to the executor itself
            request_cancel(self._store, job.run_id)
        run = after_end(
            self._store, job.run_id, job.how(ending), blame=job.blame and ending.blame, give_up=job.too_long
        )
        if run.status == RunStatus.RUNNING and run.worker_id == self.id:
            job.ending, job.handle = None, handle_of(run) or job.handle  # another process has it: follow that one
            return
        del self._jobs[job.run_id]
        self._say(f"{run.id} {run.status}" + (f": {run.reason}" if run.reason else ""))

    # -------------------------------------------------------------------------------- orphans

    def _care_for_orphans(self) -> None:
        """Adopt the runs of dead workers that go on, settle those that do not, forget workers that cannot come back."""
        self._draining |= rows.asked_to_drain(self._store, self.id)
        for seen in rows.list_workers(self._store):
            worker = seen.row
            if worker.executor != self._executor.name or worker.id == self.id or worker_lives(seen):
                continue
            for run in rows.runs_of(self._store, [worker.id]):
                isolated(self._store, run.id, partial(self._take_over, run, worker))
            if not may_return(seen) and not rows.runs_of(self._store, [worker.id]):
                rows.leave(self._store, worker.id)

    def _take_over(self, run: Run, dead: StoredWorker) -> None:
        if not is_alive(self._store, run):
            begun = bool(run.handle) or (run.pid, run.pid_start) != (dead.pid, dead.pid_start)
            gone = "its worker is gone, and so is its process"
            run = after_end(self._store, run.id, gone, blame=begun, worker_gone=True)
            self._say(f"{run.id} of worker {dead.id} {run.status}" + (f": {run.reason}" if run.reason else ""))
        elif run.status == RunStatus.RUNNING and rows.adopt(self._store, run, self._row):
            threads, device = self._width(experiment_of(run).execution), run.device or "cpu"
            self._jobs[run.id] = Followed(run.id, device, threads, handle_of(run) or "", owned=True)
            self._say(f"{run.id} adopted from worker {dead.id}")

    # -------------------------------------------------------------------------------- leaving

    def _leaves_at_once(self, came: Sequence[int]) -> bool:
        """Do what the signals ask that came; whether they ask to leave without the runs."""
        while self._degrees < len(came):
            self._degrees += 1
            self._leave_by_degrees(self._degrees)
        return self._degrees >= 3

    def _leave_by_degrees(self, times: int) -> None:
        if times == 1:
            self._draining = True
            self._say(f"draining: nothing new is taken, {len(self._jobs)} runs go on; again stops them")
        elif times == 2:
            self._say("the runs save their state and are queued again; again leaves at once")
            for job in self._jobs.values():
                if job.kill_at is None:
                    self._stop(job, DRAIN_GRACE_S)
