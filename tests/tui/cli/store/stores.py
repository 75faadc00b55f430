"""A store as a few trainings leave it, without any training."""

from pathlib import Path

from engine.presets import resolve
from engine.spool import SpoolWriter
from engine.store import Store, create_run, ingest, open_store
from engine.store.annotations import add_note, add_tag


def store_of_four(path: Path) -> Store:
    """Four finished runs, two arms and two seeds, the first with a tag and a note."""
    store = open_store(path)
    for arm, quality in (("full", 0.2), ("no-norm", 0.1)):
        for seed in range(2):
            experiment = resolve(ablation=arm, seed=seed).experiment
            run = create_run(store, experiment, overrides={}, command=["tfllmer", "run"])
            writer = SpoolWriter(store.folder(run.id))
            writer.start(1, 4_000_000, 1.0)
            for epoch in range(3):
                writer.points(epoch, {"epoch": float(epoch), "train_ce": 5 - quality * epoch - seed / 10})
            curve = [{"epoch": epoch, "value": 5 - quality * epoch} for epoch in range(3)]
            measured = {"ndcg@10": quality + seed / 100, "hr@10": quality * 2}
            writer.result({"epochs": 2, "best_epoch": 2, "train_ce": curve, "test": measured, "valid": measured})
            writer.end("finished", "")
            writer.close()
            ingest(store, run.id)
    add_tag(store, [run.id], "baseline")
    add_note(store, run.id, "flat from epoch 2 on")
    store.engine.dispose()
    return store
