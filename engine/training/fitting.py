"""Models with a closed form: no epochs, one point of the curve."""

from __future__ import annotations

import time
from typing import Any

from engine import spec
from engine.data import Split
from engine.models.base import Fitted
from engine.spool import Recorder, RunFolder
from engine.training.outcome import tell_files, tested


def fit(
    experiment: spec.Experiment, split: Split, model: Fitted, recorder: Recorder, folder: RunFolder
) -> dict[str, Any]:
    """Fit the model, test it, and return the result record; one point of validation metrics goes to the recorder at
    step 0. Scores of a closed form are no logits, so there is no cross-entropy, and no curve of it. A run that was
    killed is fitted again, to the same numbers."""
    began = time.perf_counter()
    recorder.event(f"fits {experiment.backbone.name}")
    model.fit()
    fitted = time.perf_counter()
    recorder.event(f"fitted in {fitted - began:.1f} s; ranks the held-out items")
    outcome = tested(experiment, split, model.scorer(), folder)
    recorder.points(0, {"epoch": 0} | {f"valid.{name}": value for name, value in outcome["valid"].items()})
    tell_files(recorder, folder)
    without_ce = {name: value for name, value in outcome.items() if not name.endswith("_ce")}
    return without_ce | {
        "epochs": 0,
        "best_epoch": 0,
        "train_ce": [],
        "wall_s": round(time.perf_counter() - began, 3),
        "fit_s": round(fitted - began, 3),
    }
