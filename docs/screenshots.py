"""The README's pictures of the terminal, made by the app itself from a store with finished runs.

    tfllmer study run demo
    tfllmer run --method llm-pca --seeds 3
    python docs/screenshots.py

Writes docs/tui-runs.svg, docs/tui-compare.svg and docs/tui-leaderboard.svg.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from textual.pilot import Pilot

from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.tui.widgets.run_table import RunTable

SIZE = (140, 38)
ARMS = ("llm-pca", "id", "tf-llmer/full", "tf-llmer/no-both")
HERE = Path(__file__).parent


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Keys, and all that comes of them."""
    await pilot.press(*keys)
    for _ in range(4):
        await pilot.pause(0.25)
        while not all(worker.is_finished for worker in pilot.app.workers):
            await pilot.pause(0.05)


async def take(pilot: Pilot[None], name: str) -> None:
    """Keep what is on screen."""
    pilot.app.clear_notifications()
    await pilot.pause(0.5)
    (HERE / f"{name}.svg").write_text(pilot.app.export_screenshot(), "utf-8")


async def mark(pilot: Pilot[None], arm: str) -> None:
    """Move down to the first run of an arm in the table, and mark it."""
    table = pilot.app.screen.query_one(RunTable)
    rows = [row.arm for row in table.rows]
    await press(pilot, "home", *["down"] * rows.index(arm), "space")


async def main(db: Path, backbone: str) -> None:
    """Go through the screens as one does by hand: the arms with seed 0 are marked, then compared."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = os.environ["XDG_CONFIG_HOME"] = state  # looks and keys as they are at first
        app = TfllmerApp(str(db))
        async with app.run_test(size=SIZE) as pilot:
            while not app.snapshot.complete:
                if app.snapshot.state in ("missing", "trouble"):
                    raise SystemExit(f"{Path(__file__).name}: {app.snapshot.text}")
                await pilot.pause(0.05)
            await press(pilot, "slash", *f"backbone:{backbone} seed:0 status:finished", "enter", "home")
            for arm in ARMS:
                await mark(pilot, arm)
            await press(pilot, "slash", "ctrl+u", *f"backbone:{backbone}", "enter", "home")
            await take(pilot, "tui-runs")
            await press(pilot, "c")
            await take(pilot, "tui-compare")
            await press(pilot, "2")
            await take(pilot, "tui-leaderboard")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--db", type=Path, default=Path("experiments.db"))
    parser.add_argument("--backbone", default="sasrec", help="whose runs are compared")
    given = parser.parse_args()
    asyncio.run(main(given.db.resolve(), given.backbone))
