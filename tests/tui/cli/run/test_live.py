"""The live picture in a real terminal of 80 x 24, and plain output where there is none."""

import re
import sys
import termios
from pathlib import Path

import pexpect

from tests.tui.cli.calls import call

RUN = [
    *("-c", "from tfllmer_tui.cli import main; main()", "run", "--method", "id", "--threads", "1"),
    *("--set", "data.source.users=60", "--set", "data.source.items=40", "--set", "backbone.width=16"),
]
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def terminal(folder: Path, *words: str) -> "pexpect.spawn[str]":
    return pexpect.spawn(
        sys.executable,
        [*RUN, *words],
        cwd=str(folder),
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=90,
        use_poll=True,
    )


def test_a_run_is_drawn_live_and_ends_with_its_result(tmp_path: Path) -> None:
    child = terminal(tmp_path, "--set", "train.epochs=3")
    child.expect("running")
    child.expect("finished")
    child.expect("MRR")
    child.expect("Next: tfllmer show")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_says_how_to_go_on_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    child = terminal(tmp_path, "--set", "train.epochs=100000")
    child.expect(r"epoch [1-9]\d*/100000")
    assert not termios.tcgetattr(child.child_fd)[3] & termios.ECHOCTL
    child.sendintr()
    child.expect("cancelled: stopped by the user")
    child.expect(r"tfllmer resume \w{26}")
    child.expect(pexpect.EOF)
    assert termios.tcgetattr(child.child_fd)[3] & termios.ECHOCTL
    child.close()
    assert child.exitstatus == 130


def test_without_a_terminal_there_is_a_line_per_epoch_and_no_control_code(tmp_path: Path) -> None:
    done = call(tmp_path, *RUN[2:], "--set", "train.epochs=2")
    assert done.returncode == 0, done
    lines = [line for line in done.stdout.splitlines() if re.match(r"epoch \d/2  train CE ", line)]
    assert [line[:9] for line in lines] == ["epoch 0/2", "epoch 1/2", "epoch 2/2"]
    assert not CONTROL.search(done.stdout)
    assert done.stderr == ""


def test_quiet_prints_the_result_line_only(tmp_path: Path) -> None:
    done = call(tmp_path, *RUN[2:], "--set", "train.epochs=1", "-q")
    assert done.returncode == 0, done
    assert re.fullmatch(r"\w{26}  id demo sasrec seed 0  test NDCG@10 0\.\d{4} .*\n", done.stdout)
