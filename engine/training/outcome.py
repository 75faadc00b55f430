"""What is known of a run beside its curves: sizes before the first step, ranks and metrics at the end."""

from __future__ import annotations

from typing import Any

from safetensors.numpy import save

from engine import spec
from engine.data import Split
from engine.data.cases import held_out, training_probe
from engine.metrics import rank_counts, rank_metrics, top_metrics
from engine.models.base import Scorer
from engine.spool import Recorder, RunFolder
from engine.training import ranking
from engine.training.parallel.base import ALONE, Parallel


def tested(
    experiment: spec.Experiment, split: Split, scorer: Scorer, folder: RunFolder, parallel: Parallel = ALONE
) -> dict[str, Any]:
    """Metrics of validation and test; the ranks and the top lists they come from go to the folder. With
    `evaluate.test` off nothing of the test split is read: metrics and ranks are those of validation alone."""
    valid = held_out(split.valid_history, split.valid)
    n_users, mask_seen = len(split.train), experiment.evaluate.mask_seen
    valid_ranks, valid_ce = parallel.evaluate(scorer, valid, mask_seen)
    per_user = {"valid": ranking.per_user(valid, valid_ranks, n_users)}
    if not experiment.evaluate.test:
        parallel.write(folder.ranks, save(per_user))
        return {
            "valid": rank_metrics(valid_ranks),
            "rank_counts": {"valid": rank_counts(valid_ranks)},
            "valid_ce": valid_ce,
        }
    test = held_out(split.test_history, split.test)
    test_ranks, test_ce = parallel.evaluate(scorer, test, mask_seen)
    parallel.write(folder.ranks, save(per_user | {"test": ranking.per_user(test, test_ranks, n_users)}))
    lists = parallel.top_lists(scorer, test, mask_seen, split.train)
    parallel.write(folder.top, save({"test": lists.items, "popularity": lists.popularity}))
    return {
        "valid": rank_metrics(valid_ranks),
        "test": rank_metrics(test_ranks),
        "rank_counts": {"valid": rank_counts(valid_ranks), "test": rank_counts(test_ranks)},
        "top": top_metrics(lists),
        "valid_ce": valid_ce,
        "test_ce": test_ce,
    }


def tell_files(recorder: Recorder, folder: RunFolder) -> None:
    """Name the files that `tested` has made."""
    recorder.artifact("ranks", folder.ranks)
    if folder.top.exists():
        recorder.artifact("top", folder.top)


def sizes(experiment: spec.Experiment, split: Split, n_items: int) -> dict[str, Any]:
    """Counts of the data, and the cross-entropies of popularity as lines to compare with."""
    probe = training_probe(split.train, experiment.train.probe, experiment.train.probe_run)
    valid = held_out(split.valid_history, split.valid)
    return {
        "n_users": len(split.train),
        "n_items": n_items,
        "n_valid": len(valid),
        "popularity_train_ce": ranking.popularity_cross_entropy(split.train, n_items, probe.targets),
        "popularity_valid_ce": ranking.popularity_cross_entropy(split.train, n_items, valid.targets),
        "split_checksum": split.checksum(),
    }
