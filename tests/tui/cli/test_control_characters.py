"""Text from outside does not steer the terminal."""

import json
import xml.etree.ElementTree
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update
from sqlmodel import col

from engine.files import make_folder
from engine.store import Artifact, Run, StoreError, artifact_files, open_store
from engine.store.annotations import add_note
from engine.store.core.tables import Tag
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


HOSTILE = "x" + "y".join("\x1b\x07\x08\x7f\x85\x9b\u061c\u200f\u202e\u2066\u2028\ufeff") + "[red]=1+1"
COMMANDS = [
    *("runs", "runs --json", "runs --group seed", "runs --columns dataset,note,tag", "runs --trashed"),
    *("show {}", "show {} --json", "show {} --facts", "show {} --facts --json", "show {} --config", "tag {} a --json"),
    *("leaderboard", "leaderboard --json", "leaderboard --layout metrics", "compare {} {1}", "compare {} {1} --json"),
    *("export csv", "export json", "export markdown", "export latex", "export latex --fragment", "verdict"),
    *(
        "queue",
        "queue --json",
        "reproduce {}",
        "reproduce {} --json",
        "logs {}",
        "logs {} --json",
        "db info",
        "db check",
    ),
    *("wait {}", "resume {2}", "show " + HOSTILE, "runs --filter " + HOSTILE, "runs --status " + HOSTILE, HOSTILE),
    *("study show " + HOSTILE, "run --dataset " + HOSTILE, "run --set " + HOSTILE, "--" + HOSTILE),
    *("show {} --svg " + HOSTILE + "/x.svg",),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A store in which whatever comes from files and people steers a terminal."""
    folder = tmp_path_factory.mktemp("hostile")
    fill(folder / "experiments.db")
    store = open_store(str(folder / "experiments.db"))
    add_note(store, id_of(0), HOSTILE)
    store.folder(id_of(0)).log.parent.mkdir(parents=True, exist_ok=True)
    store.folder(id_of(0)).log.write_text(HOSTILE, "utf-8")
    with store.write() as session:
        session.connection().execute(update(Run).values(dataset=HOSTILE, arm=HOSTILE, backbone=HOSTILE, reason=HOSTILE))
        session.connection().execute(insert(Tag).values(run_id=id_of(0), name=HOSTILE))
        facts = {"provenance": None, HOSTILE: {"deep": [HOSTILE]}}
        session.connection().execute(update(Run).where(col(Run.id) == id_of(0)).values(facts=facts))
    return Cli(folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_is_stored_or_typed_steers_the_terminal(hostile: Cli, command: str) -> None:
    done = hostile(*command.replace("{}", id_of(0)).replace("{1}", id_of(1)).replace("{2}", id_of(3)).split(" "))
    assert not set(done.stdout + done.stderr) & set(HOSTILE) - set("xy[red]=1+1"), done
    assert "Traceback" not in done.stderr and "fault of tfllmer" not in done.stderr, done.stderr
    if "--json" in command or command == "export json":
        assert json.loads(done.stdout) is not None, done


def test_a_picture_of_such_a_run_is_xml(hostile: Cli) -> None:
    assert hostile("show", id_of(0), "--svg", "run.svg").returncode == 0
    text = (hostile.folder / "run.svg").read_text("utf-8")
    xml.etree.ElementTree.fromstring(text)
    assert not set(text) & set(HOSTILE) - set("xy[red]=1+1")


def test_files_of_other_places_are_no_files_of_a_run(tmp_path: Path) -> None:
    fill(tmp_path / "experiments.db")
    store, cli = open_store(str(tmp_path / "experiments.db")), Cli(tmp_path)
    folder = make_folder(store.folder(id_of(0)).root)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (make_folder(store.files / "splits") / "split").write_text("a split")
    (folder / "own").write_text("own")
    places = [
        "../../secret",
        str(tmp_path / "secret"),
        "link",
        "../../../../etc/passwd",
        f"../{id_of(1)}/own",
        "..",
        "own",
    ]
    for place in places:
        with store.write() as session:
            session.connection().execute(delete(Artifact))
            session.connection().execute(insert(Artifact).values(run_id=id_of(0), kind="map", path=place))
        inside = artifact_files(store, id_of(0))
        assert inside == ({"map": folder / "own"} if place == "own" else {}), place
        done = cli("export", "map", id_of(0), "-o", "out")
        assert (done.returncode, (tmp_path / "out").exists()) == ((0, True) if place == "own" else (2, False)), done
    with store.write() as session:
        session.connection().execute(insert(Artifact).values(run_id=id_of(0), kind="split", path="../splits/split"))
    assert artifact_files(store, id_of(0))["split"].resolve() == store.files / "splits" / "split"
    for name in ("..", "../x", "/etc", "", "a/b", "a\0"):
        with pytest.raises(StoreError, match="no run"):
            store.folder(name)
