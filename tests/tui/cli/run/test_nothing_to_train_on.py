"""Data that leave nothing to do end with one line that says why, whatever is asked of them."""

from pathlib import Path

from tests.tui.cli.calls import Cli, refusal

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


def write(folder: Path, rows: list[tuple[str, str, int]]) -> None:
    (folder / "b1").mkdir()
    lines = "".join(f"{user}\t{item}\t{time}\n" for user, item, time in rows)
    (folder / "b1" / "b1.inter").write_text(HEADER + lines)


def test_one_training_interaction_each(tmp_path: Path) -> None:
    write(tmp_path, [(f"u{u}", f"i{(u + p) % 7}", 100 * u + p) for u in range(20) for p in range(3)])
    words = ("--method", "id", "--dataset", "./b1", "--set", "train.epochs=1", "--set", "backbone.width=8")
    line = refusal(tmp_path, "run", *words)
    assert line.startswith("tfllmer: b1: nothing to train on: two interactions of every user are held out")
    done = Cli(tmp_path)("runs", "--json")
    assert '"status": "failed"' in done.stdout
    assert "nothing to train on" in done.stdout
