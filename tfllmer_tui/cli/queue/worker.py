"""tfllmer worker: takes queued runs and trains them on the devices of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from tfllmer_tui.cli.options import Db, On
from tfllmer_tui.view.printing import put


def add_to(app: typer.Typer) -> None:
    app.command()(worker)


def worker(
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus",
            metavar="LIST",
            help="GPUs in order of preference, such as 0,1; none = only the CPU; all when left out.",
        ),
    ] = None,
    slots_per_gpu: Annotated[
        int, typer.Option("--slots-per-gpu", metavar="K", min=1, help="Runs that share a GPU.")
    ] = 1,
    cpu_slots: Annotated[
        int | None,
        typer.Option(
            "--cpu-slots",
            metavar="N",
            min=0,
            help="CPU threads for runs on the CPU; the cores, but for one a GPU slot, when left out.",
        ),
    ] = None,
    exclude: Annotated[str | None, typer.Option("--exclude", metavar="LIST", help="GPUs to leave alone.")] = None,
    nice: Annotated[
        int,
        typer.Option(
            "--nice", metavar="N", min=0, max=19, help="Leave the machine to others: runs with N less priority."
        ),
    ] = 0,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="Leave when the queue is empty and every run has ended.")
    ] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Ask the workers of this store to finish their runs and leave.")
    ] = False,
    on: On = None,
    db: Db = None,
) -> None:
    """Train queued runs on the devices of this machine.

    Any number of workers may share a store. The first Ctrl-C drains the worker: it takes nothing new and
    leaves when its runs have ended. The second stops them; they save their state and are queued again. The
    third leaves at once, and the runs go on alone: the next worker adopts them. So it is with kill -9.
    A closed terminal changes nothing.

    --nice N is as nice -n N before the command: 19 takes what nobody else wants of the processors. It holds for every
    run of this worker, also against other sessions, among which Linux by itself shares alike.

    A GPU takes no run while other people's processes hold the memory of its slot. With --on slurm the worker trains
    nothing here: it submits the runs that were queued for the cluster, and follows their jobs.

    \b
    tfllmer worker
    tfllmer worker --gpus 0,1 --slots-per-gpu 3
    tfllmer worker --gpus none --cpu-slots 4 --until-empty
    tfllmer worker --nice 19
    tfllmer worker --on slurm
    tfllmer worker --drain
    """
    import os
    import time

    from engine import queue
    from engine.errors import UserError
    from engine.queue.executors.base import Executor
    from engine.queue.executors.local.devices import choose
    from engine.queue.executors.local.executor import LocalExecutor
    from engine.queue.executors.registry import LOCAL
    from engine.queue.executors.registry import executor as named
    from engine.queue.worker import Worker
    from engine.store import open_store

    if drain:
        asked = queue.drain(open_store(db))
        for each in asked:
            when = "drains" if each.alive else f"on {each.host} is silent; it drains when it comes back"
            put(f"worker {each.id} (pid {each.pid}) {when}")
        if not asked:
            put("No worker is alive.")
        return
    store = open_store(db)
    executor: Executor
    if on is None or on == LOCAL:
        executor = LocalExecutor(store.files, choose(gpus, exclude, slots_per_gpu, cpu_slots))
    elif not (gpus is None and exclude is None and cpu_slots is None and slots_per_gpu == 1 and nice == 0):
        here = "--gpus, --exclude, --slots-per-gpu, --cpu-slots, --nice"
        raise UserError(f"--on {on}: has devices of its own; leave {here} out")
    else:
        executor = named(on, store.files)
        executor.sees()

    os.nice(nice)

    def say(text: str) -> None:
        put(f"{time.strftime('%H:%M:%S')} {text}")

    if not Worker(store, executor, say, 0.0 if until_empty else None).run():
        raise typer.Exit(1)
