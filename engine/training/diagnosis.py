"""What `tfllmer diagnose` asks of its process: geometry before training, or the curvature of a finished run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, field_validator
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine import spec
from engine.data import Dataset, Split, load_dataset, split_dataset
from engine.data.arrays import FloatArray
from engine.data.cases import training_probe
from engine.embeddings.graph.cooccurrence import cooccurrence
from engine.embeddings.pipeline import item_vectors, source_vectors
from engine.errors import UserError
from engine.geometry.curvature.parameter_space import other_factor, parameter_curvature
from engine.geometry.curvature.probe import probe_curvature, samples_apart
from engine.geometry.graph.score_bands import EDGES, score_bands
from engine.geometry.report import Say, Subject, at_start, diagnose
from engine.models.base import Scorer, Trained, item_table
from engine.models.interactions import interactions
from engine.models.registry import build, build_fitted
from engine.spool import Recorder
from engine.training import checkpoint, ranking
from engine.training.curvature import probe_cases
from engine.training.reference import id_table

BATCH = 64
"""Training positions of the fixed batch in parameter space."""
STEPS, PROBES = (60, 16), 10
_LANCZOS_NUMBERS = 1.2e8
"""Numbers of a Lanczos basis (1 GB); larger models get fewer steps."""
_SAMPLES = 8
_LEAST_USERS, _MOST_USERS, _SCORES = 16, 512, 1 << 24
"""Users whose scores are looked at: so many that the scores of all of them are held at once."""
_START_INTERACTIONS = 1_000_000
"""Up to so many training interactions a run counts the graph at its start."""


class Diagnosis(spec.Part):
    """A question to the process."""

    experiment: spec.Experiment
    weights: str | None = Field(None, description="checkpoint of a finished run; none = geometry before training")
    cache: str | None = Field(None, description="folder of tables that were computed before")

    @field_validator("experiment", mode="before")
    @classmethod
    def _of_document(cls, value: Any) -> Any:
        """The experiment as it is stored, with its version."""
        return spec.from_document(value) if isinstance(value, dict) else value


def run(request: Diagnosis, recorder: Recorder) -> dict[str, Any]:
    """The answer, as JSON. Progress goes to the recorder: events, and points `done` from 0 to 1."""
    began = time.monotonic()
    experiment = request.experiment
    torch.set_num_threads(experiment.execution.threads or 1)
    say = _say(recorder)
    say("data set", 0.0)
    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    cache = None if request.cache is None else Path(request.cache)
    say("item vectors", 0.0)
    if not experiment.backbone.is_trained:
        fitted = build_fitted(
            experiment, split.train, len(dataset.item_ids), _vectors(experiment, dataset, split, cache)
        )
        say("fitting", 0.1)
        fitted.fit()
        found = {"score_bands": _score_bands(experiment, split, len(dataset.item_ids), fitted.scorer(), say)}
    else:
        model = _model(experiment, dataset, split, recorder, cache)
        if request.weights is None:
            found = _before_training(experiment, dataset, split, model, say)
        else:
            checkpoint.load_weights(Path(request.weights), model)
            with ranking.evaluating(model) as scorer:
                bands = _score_bands(experiment, split, model.n_items, scorer, say)
            found = _of_weights(experiment, split, model, say) | {"score_bands": bands}
    return finite(found | {"wall_s": round(time.monotonic() - began, 2)})


def start_facts(experiment: spec.Experiment, split: Split, model: Trained) -> dict[str, Any]:
    """The cheap part of the geometry of a model's own table, for `facts` at the start of a run."""
    n_items, table = model.n_items, item_table(model)
    graph = None
    if len(split.train.items) <= _START_INTERACTIONS:
        graph = cooccurrence(split.train, n_items, spec.reference_graph(experiment))
    rows = table.rows().detach().cpu().numpy()
    popularity = np.bincount(split.train.items, minlength=n_items)
    return finite(at_start(rows, popularity, graph, unit=table.unit_scoring, tau=model.scorer().temperature))


def _model(
    experiment: spec.Experiment, dataset: Dataset, split: Split, recorder: Recorder, cache: Path | None
) -> Trained:
    """As a run builds it."""
    n_items = len(dataset.item_ids)
    z = borrowed = None
    if experiment.reference_sd is not None:
        if cache is None:
            raise UserError("this arm borrows an ID table, which a run trains first; diagnose it with --db STORE")
        device = torch.device("cpu")
        z = borrowed = id_table(experiment, split, n_items, recorder, cache, device=device, should_stop=lambda: False)
    if experiment.reads_vectors:
        z = _vectors(experiment, dataset, split, cache, borrowed)
    return build(experiment, split.train, n_items, z)


def _vectors(
    experiment: spec.Experiment,
    dataset: Dataset,
    split: Split,
    cache: Path | None,
    borrowed: FloatArray | None = None,
) -> FloatArray | None:
    """The vectors that the experiment's items start from, where it reads any."""
    return item_vectors(experiment, dataset, split, cache, borrowed).z if experiment.reads_vectors else None


def _before_training(
    experiment: spec.Experiment, dataset: Dataset, split: Split, model: Trained, say: Say
) -> dict[str, Any]:
    say("item graph", 0.0)
    n_items, table = len(dataset.item_ids), item_table(model)
    graph = spec.reference_graph(experiment)
    subject = Subject(
        table=table.rows().detach().numpy(),
        unit=table.unit_scoring,
        popularity=np.bincount(split.train.items, minlength=n_items),
        graph=cooccurrence(split.train, n_items, graph),
        ppmi=lambda: cooccurrence(split.train, n_items, graph.model_copy(update={"weight": "ppmi"})),
        source=source_vectors(experiment.vectors, dataset) if experiment.reads_vectors else None,
        neighbours=spec.reference_neighbours(experiment),
    )
    return diagnose(subject, say)


def _say(recorder: Recorder) -> Say:
    step = 0

    def say(text: str, done: float) -> None:
        nonlocal step
        step += 1
        recorder.event(text)
        recorder.points(step, {"done": done})

    return say


# ------------------------------------------------------------------------------------ a finished run


def _score_bands(experiment: spec.Experiment, split: Split, n_items: int, scorer: Scorer, say: Say) -> dict[str, Any]:
    """Of the scores of a fixed sample of validation users."""
    say("bands of the scores", 0.02)
    cases = probe_cases(split, max(_LEAST_USERS, min(_MOST_USERS, _SCORES // n_items)))
    with torch.no_grad():
        scores = scorer.scores(cases).double().cpu().numpy()
    graph = cooccurrence(split.train, n_items, spec.reference_graph(experiment))
    bands = score_bands(scores, interactions(split.train, n_items), graph)
    return {"users": len(cases), "edges": list(EDGES)} | bands


def _of_weights(experiment: spec.Experiment, split: Split, model: Trained, say: Say) -> dict[str, Any]:
    """Curvature at h on the probe, spectra in parameter space, and H beside J J^T; dropout off, float64."""
    model.double()
    model.train(False)
    say("curvature at the sequence representation", 0.05)
    cases = probe_cases(split, experiment.evaluate.curvature or 256)
    with torch.no_grad():
        scorer = model.scorer()
        h = scorer.queries(cases)
    rows, width, tau = scorer.items, scorer.width, scorer.temperature
    at_h = probe_curvature(h, rows, torch.from_numpy(cases.targets), width, tau)
    batch = training_probe(split.train, BATCH)
    parameters = [p for p in model.parameters() if p.requires_grad]
    size = sum(p.numel() for p in parameters)
    most = max(10, int(_LANCZOS_NUMBERS / size))
    steps = (min(STEPS[0], most), min(STEPS[1], most))
    with sdpa_kernel(SDPBackend.MATH):  # the other kernels can be differentiated only once
        say(f"Hessian and Gauss-Newton matrix, {size:,} parameters", 0.1)
        space = parameter_curvature(
            lambda: model.scorer().scores(batch),
            torch.from_numpy(batch.targets),
            parameters,
            steps=steps,
            probes=PROBES,
        )
        say("H beside J J^T", 0.8)
        few = [batch[case : case + 1] for case in range(min(_SAMPLES, len(batch)))]
        with torch.no_grad():
            p = torch.cat([scorer.scores(one) for one in few]).softmax(1).numpy()
        table = rows[:, :width].detach().numpy()
        factor = other_factor(lambda n: model.scorer().queries(few[n])[0, :width] * tau, table, p, parameters, tau)
    return {
        "items": len(rows),
        "curvature": at_h | {"prefixes": len(cases), "apart": samples_apart(len(cases), len(rows), width)},
        "parameter_space": space,
        "other_factor": factor,
    }


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same JSON with plain numbers, and None for those that are not finite."""
    return {key: _finite(value) for key, value in values.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return finite(value)
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
