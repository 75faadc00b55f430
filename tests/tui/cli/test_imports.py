"""Commands that only read do not wait for SQLAlchemy: the import takes longer than what they do."""

import subprocess
import sys
from pathlib import Path

from engine.records import RunStatus
from engine.store import open_store, set_status
from engine.store.annotations import add_tag
from tests.engine.store.helpers import new_run

COMMANDS = (
    "runs",
    "runs --json",
    "runs --filter status=failed --sort -ndcg@10 --columns seed,tag,train.lr,age",
    "runs --group seed",
    "runs --trashed",
    "show best",
    "show best --json",
    "show best --facts",
    "leaderboard",
    "leaderboard --json",
)
READ = """
import sys
from tfllmer_tui.cli import main
for words in {commands!r}:
    sys.argv = ["tfllmer", *words.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
heavy = {{"torch", "sqlmodel", "sqlalchemy", "alembic", "textual", "polars", "scipy", "engine.queue"}}
print("HEAVY", sorted(heavy & set(sys.modules)))
"""
SHORT = READ.replace("heavy = {{", 'heavy = {{"pydantic", "importlib.metadata", ')
SCREENS = """
import sys
from pathlib import Path
import tfllmer_tui.tui.app
from tfllmer_tui.tui.opening import SCREENS, import_all, opened
of = "tfllmer_tui.tui.screens."
print(sorted(name.removeprefix(of) for name in sys.modules if name.startswith(of)))
opened("runs")
print(sorted(set(SCREENS) & {name.removeprefix(of) for name in sys.modules if name.startswith(of)}))
import_all()
print(sorted(SCREENS.keys() - {name.removeprefix(of) for name in sys.modules if name.startswith(of)}))
"""


def test_reading_commands_import_neither_sqlalchemy_nor_the_queue(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    for seed, status in enumerate((RunStatus.FINISHED, RunStatus.FAILED, RunStatus.QUEUED)):
        run = new_run(store, seed=seed)
        if status is not RunStatus.QUEUED:
            set_status(store, run.id, status, "")
        if status is RunStatus.FINISHED:
            add_tag(store, [run.id], "best")
    store.engine.dispose()
    code = READ.format(commands=COMMANDS)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_values_that_are_of_their_type_import_nothing_to_be_read(tmp_path: Path) -> None:
    new_run(open_store(tmp_path / "experiments.db"), seed=0)
    code = SHORT.format(commands=("runs",))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_the_first_frame_waits_for_no_screen_but_its_own(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCREENS], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['base', 'overlay']", "['runs']", "[]"]
