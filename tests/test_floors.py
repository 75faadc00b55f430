"""The house: floors (import-linter), and a front that starts without the heavy packages."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_no_module_imports_from_a_floor_above_it() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert f"{len(contracts)} kept, 0 broken" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from tfllmer_tui.cli import main\n"
        "sys.argv = ['tfllmer', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'sqlmodel', 'sqlalchemy', 'textual', 'pydantic', 'polars', 'numpy', 'scipy'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout
    assert "leaderboard" in done.stdout


def test_the_screens_start_without_the_store_and_the_specification() -> None:
    code = (
        "import sys\n"
        "import tfllmer_tui.tui.app\n"
        "heavy = {'torch', 'sqlmodel', 'sqlalchemy', 'pydantic', 'polars', 'scipy'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "HEAVY []\n", done.stdout + done.stderr
