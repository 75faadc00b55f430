"""A stand-in for `tfllmer run` and `tfllmer resume`.

python front.py DB MODE            a new run
python front.py DB MODE RUN_ID     the run again
"""

import sys
from pathlib import Path

from engine.errors import UserError
from engine.queue import resume, start, supervise
from engine.records import RunStatus
from engine.spec import Experiment
from engine.store import Run, create_run, open_store


def main(db: str, mode: str, run_id: str | None = None) -> int:
    store = open_store(db)
    double = str(Path(__file__).with_name("double.py"))
    try:
        if run_id:
            run = resume(store, run_id, [sys.executable, double, mode, str(store.folder(run_id).root)])
        else:
            run = create_run(store, Experiment(), overrides={}, command=sys.argv, status=RunStatus.RUNNING)
            start(store, run, [sys.executable, double, mode, str(store.folder(run.id).root)])

        def told(run: Run) -> None:
            print(run.id, run.status, run.spool_offset, run.cancel_requested, flush=True)

        run = supervise(store, run, told, poll_s=0.02)
    except UserError as error:
        print("refused:", error, flush=True)
        return 2
    print("ended", run.status, run.reason, flush=True)
    return 0 if run.status == "finished" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
