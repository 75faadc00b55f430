"""A store whose names, notes and reasons steer terminals: no screen lets them through."""

import base64
from pathlib import Path

from sqlalchemy import insert, update

from engine.store import Run, open_store
from engine.store.annotations import add_note
from engine.store.core.tables import Tag
from tests.tui.app.bench import app_of, fill, id_of, opened, press, quiet

HOSTILE = "x" + "y".join("\x1b\x07\x08\x7f\x85\x9b\u061c\u200f\u202e\u2066\u2028\ufeff") + "[red]z"
STEERING = set(HOSTILE) - set("xyz[red]")


async def test_no_screen_lets_a_control_character_through(tmp_path: Path) -> None:
    path = tmp_path / "experiments.db"
    fill(path)
    store = open_store(str(path))
    add_note(store, id_of(0), HOSTILE)
    store.folder(id_of(0)).log.parent.mkdir(parents=True, exist_ok=True)
    store.folder(id_of(0)).log.write_text(HOSTILE, "utf-8")
    with store.write() as session:
        hostile = update(Run).values(dataset=HOSTILE, arm=HOSTILE, backbone=HOSTILE, reason=HOSTILE, embedding=HOSTILE)
        session.connection().execute(hostile)
        session.connection().execute(insert(Tag).values(run_id=id_of(0), name=HOSTILE))
    async with opened(path, (160, 50)) as pilot:
        for keys in (
            ["1"],
            ["end"],
            ["enter"],
            ["2"],
            ["3"],
            ["5"],
            ["6"],
            ["question_mark"],
            ["escape"],
            ["1"],
            ["ctrl+p"],
        ):
            await press(pilot, *keys)
            await quiet(pilot)
            strips = pilot.app.screen._compositor.render_strips()
            text = "".join(segment.text for strip in strips for segment in strip if not segment.control)
            assert not set(text) & STEERING, keys
            assert "x�y" in text or keys not in (["1"], ["end"]), keys
        await press(pilot, "escape")
        pilot.app.notify(HOSTILE, title=HOSTILE, markup=False)
        await quiet(pilot)
        strips = pilot.app.screen._compositor.render_strips()
        assert not set("".join(segment.text for strip in strips for segment in strip if not segment.control)) & STEERING
        svg = app_of(pilot).export_screenshot(title=HOSTILE)
        assert not set(svg) & STEERING and "[red]z" in svg
        copied: list[str] = []
        driver = pilot.app._driver
        assert driver is not None
        driver.write = copied.append  # type: ignore[method-assign, assignment]
        app_of(pilot).copy("name", f"a\n{HOSTILE}")
        block = next(text for text in copied if "]52;" in text).partition(";c;")[2].rstrip("\a")
        assert not set(base64.b64decode(block).decode()) & STEERING
