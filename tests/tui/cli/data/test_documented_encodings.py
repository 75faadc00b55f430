"""The commands of docs/embeddings.md, run as they stand there, on a small data set of that name and the real encoder in
the hub's cache."""

import re
import shlex
from pathlib import Path

import pytest

from tests.engine.embeddings.encode.encoders import real_encoder
from tests.tui.cli.calls import call

DOCS = Path(__file__).parents[4] / "docs" / "embeddings.md"
COMMANDS = re.findall(r"^    (tfllmer .*)$", DOCS.read_text("utf-8"), re.MULTILINE)
HUB_ID, COMMIT = "sentence-transformers/all-MiniLM-L6-v2", "0123456789abcdef0123456789abcdef01234567"
USERS, ITEMS = 30, 24


def _fetched_before(home: Path) -> None:
    """The model where the hub's library keeps what it has fetched."""
    cached = home / "hub" / f"models--{HUB_ID.replace('/', '--')}"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / COMMIT).symlink_to(real_encoder())


def _fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    titles = "".join(f"i{n}\tfilm number {n} of the {n % 5}th series\n" for n in range(ITEMS))
    (folder / f"{folder.name}.item").write_text("item_id:token\tmovie_title:token_seq\n" + titles)
    rows = "".join(f"u{u}\ti{(u + t * t) % ITEMS}\t{t}\n" for u in range(USERS) for t in range(8))
    (folder / f"{folder.name}.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + rows)


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    assert [command.split()[1] for command in COMMANDS] == ["embed", "run"]
    _fetched_before(tmp_path / "hf")
    _fill(tmp_path / "data" / "ml-100k")
    env = {"TFLLMER_DATA": str(tmp_path / "data"), "TFLLMER_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    env |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    embedded, trained = (call(tmp_path, *shlex.split(command)[1:], **env) for command in COMMANDS)
    assert embedded.returncode == 0, embedded.stderr
    assert f"{ITEMS} items x 384 float32" in embedded.stdout
    assert f"Next: {COMMANDS[1]}" in embedded.stdout  # the second command is what the first one says
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "Next: tfllmer show " in trained.stdout and "tfllmer leaderboard --dataset ml-100k" in trained.stdout
