"""Every screen as text, in the smallest and the largest size. TFLLMER_UPDATE_SNAPSHOTS=1 writes them anew."""

import os
from pathlib import Path

import pytest

from tests.tui.app.bench import app_of, id_of, opened, press, quiet, run, screen_text

SNAPSHOTS = Path(__file__).parent / "snapshots"
PLACES = {"runs": "1", "leaderboard": "2", "queue": "3", "launch": "4", "studies": "5", "geometry": "6"}


def check(name: str, shown: str) -> None:
    file = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("TFLLMER_UPDATE_SNAPSHOTS"):
        file.write_text(shown + "\n")
    assert shown + "\n" == file.read_text()


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
@pytest.mark.parametrize("theme", ["tfllmer-dark", "tfllmer-light"])
def test_every_screen_looks_as_it_did(filled: Path, size: tuple[int, int], theme: str) -> None:
    async def test() -> None:
        async with opened(filled, size) as pilot:
            pilot.app.theme = theme
            ends = f"{size[0]}x{size[1]}"
            for name, key in PLACES.items():
                await press(pilot, f"alt+{key}")
                check(f"{name}-{ends}", screen_text(pilot))
            await press(pilot, "alt+1", "f", "space")
            check(f"groups-{ends}", screen_text(pilot))
            app_of(pilot).open_run(id_of(0))
            await quiet(pilot)
            check(f"run-{ends}", screen_text(pilot))
            app_of(pilot).compare([id_of(0), id_of(3), id_of(5)])
            await quiet(pilot)
            check(f"compare-{ends}", screen_text(pilot))
            await press(pilot, "question_mark")
            check(f"help-{ends}", screen_text(pilot))

    run(test)
