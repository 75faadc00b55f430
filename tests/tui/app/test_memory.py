"""What is remembered between sessions: written whole, read with forgiveness."""

from pathlib import Path

import pytest

from tfllmer_tui.tui.memory import keys_file, recall, remember, state_file


def test_files_lie_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_file() == tmp_path / "state" / "tfllmer" / "tui.json"
    assert keys_file() == tmp_path / "config" / "tfllmer" / "keys.json"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name)
    assert state_file() == tmp_path / "home" / ".local" / "state" / "tfllmer" / "tui.json"
    assert keys_file() == tmp_path / "home" / ".config" / "tfllmer" / "keys.json"


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "tui.json"
    assert recall(file) == {}
    remember(file, {"metric": "ndcg@10", "names": ["é", "x"], "n": None})
    assert recall(file) == {"metric": "ndcg@10", "names": ["é", "x"], "n": None}
    remember(file, {"metric": "mrr"})
    assert recall(file) == {"metric": "mrr"}
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'"text"', b"\xff\xfe"])
def test_what_makes_no_sense_is_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tui.json"
    file.write_bytes(content)
    assert recall(file) == {}


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remember(tmp_path / "file" / "tui.json", {"metric": "mrr"})  # its folder is a file
    assert recall(tmp_path / "file" / "tui.json") == {}
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
