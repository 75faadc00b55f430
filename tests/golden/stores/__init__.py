"""Small stores as earlier code wrote them (`make_stores` says by which), and what is asked about them."""

import re
from pathlib import Path

from engine.spec.upgrade import MOVED

HERE = Path(__file__).parent

_ALL = (
    "runs --limit 0",
    "runs --group seed",
    "runs --filter train_ce<4.2 --columns arm,seed,train.lr,ndcg@10,train_ce --sort -ndcg@10",
    "leaderboard",
    "leaderboard --metric train_ce --metric valid.hr@20 --metric mrr",
    "leaderboard --metric train_ce@2",
    "leaderboard --baseline id --backbone sasrec --test both",
    "verdict",
    "compare id full --backbone sasrec",
    "show {id-sasrec-0}",
    "show {tf-llmer/full-sasrec-1}",
    "show {tf-llmer/full-sasrec-1} --facts",
    "show {tf-llmer/no-rec-pca-sasrec-0}",
    "reproduce {id-sasrec-0}",
    "reproduce {tf-llmer/no-norm-sasrec-1}",
    "study run small --dry-run",
)
_WITH_STUDY = (
    *_ALL,
    "runs --filter tag:core",
    "queue",
    "leaderboard --study small",
    "verdict small",
    "study status small",
    "diagnose --set data.demo.users=60 --set data.demo.items=60 --set data.demo.dim=32 --set backbone.width=16"
    " --set table.row_length=as-it-comes",
)
QUESTIONS = {"0001": _ALL, "0002": _WITH_STUDY, "0003": _WITH_STUDY, "0004": _WITH_STUDY}
"""Commands of each store, without --json; {ARM-BACKBONE-SEED} is the id of a run."""

RENAMED: dict[str, str] = {
    **{old: new[0] for old, new in MOVED.items() if old != "train.patience"},
    "train.patience=none": "train.until=budget",
    "train.patience=null": "train.until=budget",
}
"""Settings and what they are called now, wherever they stand in questions and answers."""


def renamed(text: str) -> str:
    """Settings by their present names."""
    for old, new in RENAMED.items():
        text = re.sub(rf"(?<![\w.]){re.escape(old)}(?![\w.])", new, text)
    return text


def as_named(text: str, schema: str) -> str:
    """Settings by the names that they had in code of that schema."""
    return text if schema < "0003" else renamed(text)


def study_text(schema: str) -> str:
    """The file of the study `small`, as code of that schema reads it."""
    text = (HERE / "configs" / "study" / "small.yaml").read_text("utf-8")
    present = text.replace("data.demo:", "data.source:").replace("patience: null", "until: budget")
    return (
        text
        if schema < "0003"
        else present.replace("grid:", "  table.row_length: as-it-comes\n  train.probe_run: 1\ngrid:")
    )
