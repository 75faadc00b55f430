"""What is remembered: of the person, and of each store."""

import json
from pathlib import Path

import pytest

from engine.files import user_state
from tests.tui.app.bench import app_of, fill, opened, press, quiet, screen_text
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.tui.memory import Memory

HERE, THERE = Path("/data/here.db"), Path("/data/there.db")


def kept(store: Path, **values: object) -> Memory:
    memory = Memory(store)
    for name, value in values.items():
        memory.keep(name, value)
    memory.save()
    return memory


def test_a_store_has_its_own_and_a_person_the_same_everywhere(tmp_path: Path) -> None:
    kept(HERE, theme="tfllmer-light", spacious=True, runs={"filter": "seed:1"}, look={"smoothing": 0.9})
    here, there = Memory(HERE), Memory(THERE)
    assert here.section("runs") == {"filter": "seed:1"} and here.section("look") == {"smoothing": 0.9}
    assert there.get("runs") is None and there.section("look") == {}
    assert [each.get("theme") for each in (here, there)] == ["tfllmer-light"] * 2
    assert there.get("spacious") is True and not here.notices

    kept(THERE, theme="tfllmer-dark", runs={"filter": "seed:2"})
    here = Memory(HERE)
    assert here.get("theme") == "tfllmer-dark" and here.section("runs") == {"filter": "seed:1"}


def test_the_file_of_a_store_says_which_it_is_and_holds_nothing_personal(tmp_path: Path) -> None:
    kept(HERE, theme="tfllmer-light", preview=False)
    [file] = (user_state() / "stores").glob("*/*")
    assert json.loads(file.read_text()) == {"store": str(HERE), "preview": False}
    assert json.loads((user_state() / "tui.json").read_text()) == {"theme": "tfllmer-light"}


def test_a_file_of_the_released_version_keeps_the_theme_and_is_no_error(tmp_path: Path) -> None:
    user_state().mkdir(parents=True)
    old = {"theme": "tfllmer-contrast", "spacious": True, "runs": {"filter": "x"}, "run tab": "log", "look": {}}
    (user_state() / "tui.json").write_text(json.dumps(old))
    memory = Memory(HERE)
    assert memory.get("theme") == "tfllmer-contrast" and memory.get("spacious") is True
    assert memory.section("runs") == {} and memory.get("run tab") is None and not memory.notices


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", "3", "\xff\xfe", "[" * 100_000],
    ids=["empty", "torn", "list", "null", "number", "no text", "deep"],
)
@pytest.mark.parametrize("which", ["tui.json", "store"])
def test_a_file_that_makes_no_sense_is_set_aside_with_a_line(tmp_path: Path, which: str, text: str) -> None:
    kept(HERE, theme="tfllmer-light", preview=False)
    file = user_state() / which if which != "store" else next((user_state() / "stores").glob("*/*"))
    file.write_text(text, "latin-1")
    memory = Memory(HERE)
    [notice] = memory.notices
    assert str(file) in notice and "broken" in notice and "\n" not in notice
    assert not file.exists() and file.with_suffix(".broken").read_text("latin-1") == text
    assert memory.get("theme") == (None if which == "tui.json" else "tfllmer-light")
    assert memory.get("preview") is (None if which == "store" else False)
    memory.keep("theme", "tfllmer-dark")
    memory.save()
    assert Memory(HERE).notices == []


def test_reading_only_touches_nothing() -> None:
    user_state().mkdir(parents=True)
    (user_state() / "tui.json").write_text("{")
    memory = Memory(HERE, read_only=True)
    assert memory.notices
    memory.keep("theme", "tfllmer-light")
    memory.save()
    assert [file.name for file in user_state().iterdir()] == ["tui.json"] and (
        user_state() / "tui.json"
    ).read_text() == "{"


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the place of the folder")
    memory = kept(HERE, theme="tfllmer-light")
    assert memory.get("theme") == "tfllmer-light"
    assert len(memory.notices) == 2 and "Not a directory" in memory.notices[0]


async def test_the_filter_of_one_store_is_not_that_of_another(filled: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "experiments.db"
    other.parent.mkdir()
    fill(other).engine.dispose()

    async def look(path: Path, *keys: str) -> str:
        async with opened(path) as pilot:
            await press(pilot, *keys)
            return screen_text(pilot)

    await look(filled, "slash", *"seed:1", "enter", "f", "ctrl+t")
    assert "seed:1" in await look(filled)
    assert "seed:1" not in await look(other)
    async with opened(other) as pilot:
        assert app_of(pilot).theme == "tfllmer-light"
    (tmp_path / "link.db").symlink_to(filled)
    assert "seed:1" in await look(tmp_path / "link.db")  # the same store by another name


async def test_the_baseline_is_there_again_for_as_long_as_its_runs_are(filled: Path) -> None:
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, "b")
        assert "Δ to tf-llmer/no-rec-pca" in screen_text(pilot)
    async with opened(filled, (100, 40)) as pilot:
        assert "Δ to tf-llmer/no-rec-pca" in screen_text(pilot)
    gone = {"arm": "tf-llmer/gone", "embedding": "demo", "changes": [], "config": "0123"}
    kept(filled, baselines={"demo": gone, "other": 3})
    async with opened(filled, (100, 40)) as pilot:
        assert "Δ to" not in screen_text(pilot)


async def test_a_broken_file_is_told_on_screen_and_nonsense_in_a_file_ends_nothing(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonsense = {"theme": ["x"], "spacious": "?", "runs": 3, "board": [1], "look": {"axis": 5}, "run tab": {"a": 1}}
    nonsense |= {"geometry": "x", "preview": None, "baselines": "x"}
    kept(filled, **nonsense)
    async with opened(filled, (100, 40)) as pilot:
        assert app_of(pilot).theme == "tfllmer-dark"
        for key in ("2", "6", "1", "enter"):
            await press(pilot, key)
    (user_state() / "tui.json").write_text("{")
    said: list[str] = []
    app = TfllmerApp(str(filled))
    with monkeypatch.context() as patch:  # what is on screen goes by itself after some seconds
        patch.setattr(app, "notify", lambda message, **_: said.append(message))
        async with app.run_test(size=(160, 40)) as pilot:
            await quiet(pilot)
    assert [line for line in said if "tui.json makes no sense" in line]
