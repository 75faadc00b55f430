"""How a run in the foreground ended: its result line or its picture, what to do next, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import typer

from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from engine.store import Run, Store

Mode = Literal["live", "lines", "quiet", "json"]
"""A drawn picture, a line an epoch, the result line only, or JSON."""


def print_result(store: Store, run: Run, mode: Mode) -> None:
    """What a finished run has reached, as the mode wants it; JSON is printed at the end, of all runs together."""
    from engine.store import record
    from tfllmer_tui.cli.output import print_rich
    from tfllmer_tui.cli.run.picture import picture
    from tfllmer_tui.view.runs import result_table
    from tfllmer_tui.view.text import duration, number

    summary = record(store, run)
    if mode == "quiet":
        reached = summary.result
        put(
            f"{run.id}  {run.arm} {run.dataset} {run.backbone} seed {run.seed}  "
            f"test NDCG@10 {number(reached.test.get('ndcg@10'))} HR@10 {number(reached.test.get('hr@10'))}  "
            f"{reached.chosen_text}  {duration(reached.wall_s)}",
        )
    elif mode != "json":
        print_rich(result_table(summary) if mode == "live" else picture(store, run.id))


def say_next(ended: list[Run], mode: Mode) -> None:
    """What to do now: once, however many runs there were."""
    from engine.text import shell_line
    from tfllmer_tui.cli.output import say

    if any(run.reason.startswith("diverged") for run in ended):
        say("Train it with a smaller learning rate, for instance --set train.lr=3e-4.")
    finished = [run for run in ended if run.status == "finished"]
    if finished and mode in ("live", "lines"):
        board = shell_line(["tfllmer", "leaderboard", "--dataset", finished[-1].dataset])
        put(f"Next: tfllmer show {finished[-1].id}\n      {board}")


def say_left(seeds: list[int]) -> None:
    """Which seeds of a command that was stopped have not been started, and how to train them."""
    from tfllmer_tui.cli.output import say

    if not seeds:
        return
    first, many = seeds[0], len(seeds) > 1
    say(
        f"{f'Seeds {first} to {seeds[-1]} were' if many else f'Seed {first} was'} not started: the same command with "
        f"--seed {first} --seeds {len(seeds)} trains {'them' if many else 'it'}."
    )


def explain(store: Store, run: Run) -> None:
    """Why a run did not finish, on stderr: the reason, the end of its log, and what can be done."""
    from tfllmer_tui.cli.output import say

    if run.reason.startswith("user error: "):
        say(f"tfllmer: {run.reason.removeprefix('user error: ')}")
        return
    say(f"tfllmer: run {run.id} {run.status}: {run.reason}")
    if run.status != "cancelled":
        log = store.folder(run.id).log
        text = log.read_text("utf-8", errors="replace") if log.exists() else ""
        tail = [line for line in text.splitlines() if line.strip()][-8:]
        say("".join(f"  | {line}\n" for line in tail) + f"The whole log: tfllmer show {run.id} --log")
    if not run.reason.startswith("diverged"):
        say(f"Go on with it: tfllmer resume {run.id}")


def leave(ended: list[Run]) -> None:
    """Exit with what the runs' ends mean together."""
    from engine.records import RunStatus

    last = ended[-1]
    if last.status == "cancelled":
        raise typer.Exit(130)
    if last.reason.startswith("user error"):
        raise typer.Exit(2)
    if any(run.status != RunStatus.FINISHED for run in ended):
        raise typer.Exit(1)
