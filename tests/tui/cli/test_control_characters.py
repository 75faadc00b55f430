"""Text from outside does not steer the terminal."""

from pathlib import Path

import pytest

from engine.store import open_store
from engine.views.words import printable_lines
from tests.tui.app.bench import fill, id_of
from tests.tui.cli.calls import Cli, refusal

NASTY = ["\x1b]0;title\x07", "\x9b31m", "a\x08b", "\u202egpj", "\x1b[2J"]


@pytest.mark.parametrize("text", NASTY)
def test_errors_and_logs_are_clean(tmp_path: Path, text: str) -> None:
    assert text not in refusal(tmp_path, "run", "--dataset", text)
    fill(tmp_path / "experiments.db")
    store, cli = open_store(str(tmp_path / "experiments.db")), Cli(tmp_path)
    log = store.folder(id_of(0)).log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"one\t{text}\ntwo\n", "utf-8")
    for words in (("logs", id_of(0)), ("show", id_of(0), "--log")):
        done = cli(*words)
        assert text not in done.stdout and "one\t" in done.stdout and done.stdout.endswith("two\n"), done
    assert text in cli("logs", id_of(0), "--raw").stdout
    assert printable_lines("a\r\nb\rc\n") == "a\nb\nc\n"
