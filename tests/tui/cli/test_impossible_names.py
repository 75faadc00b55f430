"""Words that name nothing and never can: refused on one line by whatever command takes them."""

from pathlib import Path

import pytest

from engine.errors import UserError
from engine.files import path_of
from tests.tui.cli.calls import Cli
from tests.tui.cli.store.stores import store_of_four

LONG, NOBODYS, BYTES = "a" * 300, "~nobody1/x", "a\udc80"
FILES = [LONG, f"/{LONG}", NOBODYS]


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("names")
    store_of_four(folder / "experiments.db")
    return Cli(folder)


@pytest.mark.parametrize("name", FILES, ids=["long", "long and absolute", "of nobody"])
def test_names_that_no_file_can_have(cli: Cli, name: str) -> None:
    for words in (
        ["run", "--dataset", name],
        ["data", "show", name],
        ["data", "import", name],
        ["vectors", "import", name, "-o", "x.safetensors"],
        ["embed", "--dataset", name, "--encoder", "x"],
        ["diagnose", "--dataset", name],
        ["db", "restore", name],
        ["db", "backup", name],
        ["db", "rebuild", "--db", name],
        ["runs", "--db", name],
        ["report", "-o", name],
    ):
        if name == NOBODYS and words[:2] in (["db", "backup"], ["report", "-o"]):
            continue  # a folder of that name is made here, as by every other program
        said = cli.refusal(*words)
        assert any(why in said for why in ("File name too long", "no such user")), (words, said)
    assert {path.name.partition("-")[0] for path in cli.folder.iterdir()} == {"experiments.db", "experiments.files"}


def test_bytes_that_are_no_text(cli: Cli) -> None:
    for words in (["show", BYTES], ["runs", "--filter", BYTES], ["note", "baseline", BYTES],
                  ["rm", BYTES], ["verdict", BYTES], ["study", "status", BYTES], ["reproduce", BYTES]):  # fmt: skip
        said = cli.refusal(*words)
        assert "a�" in said, said


def test_the_root_is_no_database(cli: Cli) -> None:
    for words in (["db", "rebuild", "--db", "/"], ["db", "restore", "/"], ["runs", "--db", "/"]):
        assert "names no file" in cli.refusal(*words)


def test_a_wrong_folder_of_data_is_named_with_its_variable(cli: Cli) -> None:
    done = cli("data", "list", TFLLMER_DATA=NOBODYS)
    assert (done.returncode, done.stderr) == (2, f"tfllmer: $TFLLMER_DATA: {NOBODYS}: there is no such user\n")


@pytest.mark.parametrize("name", [*FILES, "a\0b", "a\ud800", "\ud800"])
def test_a_path_that_cannot_be_is_a_users_error(name: str) -> None:
    with pytest.raises(UserError):
        path_of(name)


def test_a_path_that_is_not_there_yet_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("x/y/z", "file/x", "~/x", f"{tmp_path}/file/x"):
        assert path_of(name) == Path(name).expanduser()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(UserError, match="symbolic links"):
        path_of(tmp_path / "circle" / "x")
