"""A store as a few trainings leave it, without any training: runs, a study of them, a tag, a note."""

from pathlib import Path

from engine.presets import resolve
from engine.records import StudyCell
from engine.spool import SpoolWriter
from engine.store import Store, create_run, ingest, open_store
from engine.store.annotations import add_note, add_tag
from engine.store.studies import save_study


def store_of_four(path: Path) -> Store:
    """Four finished runs, the ID baseline and an arm with two seeds each, the last with a tag and a note."""
    store = open_store(path)
    cells = []
    for method, ablation, quality in ((None, "full", 0.2), ("id", None, 0.1)):
        arm = ablation or method
        for seed in range(2):
            experiment = resolve(method=method, ablation=ablation, seed=seed, sets=["train.epochs=2"]).experiment
            run = create_run(store, experiment, overrides={}, command=["tfllmer", "run"])
            axes = {"arm": arm, "seed": seed}
            cells.append(StudyCell(f"{arm}, {seed}", axes, run.spec_hash, run.config_hash, {}))
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
    save_study(store, "pair", {"meaning": "two arms", "axes": {"arm": ["full", "id"], "seed": [0, 1]}}, cells, [])
    add_tag(store, [run.id], "baseline")
    add_note(store, run.id, "flat from epoch 2 on")
    store.engine.dispose()
    return store
