"""A checkpoint is gone on from where the records before it are there, and only there."""

import os
from pathlib import Path

import torch

from engine.spool import RunFolder, SpoolWriter, secured
from engine.training import checkpoint, loop


def test_a_checkpoint_that_is_ahead_of_the_records_is_not_used(tmp_path: Path) -> None:
    folder, model = RunFolder(tmp_path), torch.nn.Linear(2, 1)
    writer = SpoolWriter(folder)
    for step in range(100):
        writer.points(step, {"loss": 1.0})
    mark = secured(folder.spool)
    about = {"step": 99, "train_ce": [], "spool_offset": mark.offset, "spool_digest": mark.digest}
    checkpoint.save_weights(folder.last, model, about)
    writer.points(100, {"loss": 1.0})
    assert loop.why_unusable(folder) is None
    os.truncate(folder.spool, mark.offset)
    assert loop.why_unusable(folder) is None, "exactly what it was written after"
    os.truncate(folder.spool, mark.offset - 2)
    assert "has lost records" in (loop.why_unusable(folder) or "")
    checkpoint.save_weights(folder.last, model, {"step": 99, "train_ce": []})
    assert loop.why_unusable(folder) is None, "of an earlier version, which kept no mark"


def test_a_checkpoint_that_is_no_whole_file_is_not_used(tmp_path: Path) -> None:
    folder, model = RunFolder(tmp_path), torch.nn.Linear(2, 1)
    checkpoint.save_weights(folder.last, model, {"step": 9, "train_ce": [{"epoch": 0, "value": 1.0}]})
    assert loop.why_unusable(folder), "the weights of the best epoch are gone"
    checkpoint.save_weights(folder.best, model, {"epoch": 0})
    assert loop.why_unusable(folder) is None
    os.truncate(folder.last, folder.last.stat().st_size - 1)
    assert "not a checkpoint" in (loop.why_unusable(folder) or "")
