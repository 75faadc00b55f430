"""RePlay's SASRec (`pip install "replay-rec[torch]==0.22.0"`), a worker of `peers.py`: full softmax over the last
`length` + 1 training items of each user, its defaults otherwise."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from _peer_task import QUIET, Fit, Task, arguments, padded

warnings.filterwarnings("ignore")
import lightning  # noqa: E402
import pandas as pd  # noqa: E402
import replay  # noqa: E402
import torch  # noqa: E402
from replay.data import FeatureHint, FeatureType  # noqa: E402
from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorSchema  # noqa: E402
from replay.nn.lightning import LightningModule  # noqa: E402
from replay.nn.lightning.optimizer import OptimizerFactory  # noqa: E402
from replay.nn.sequential import SasRec  # noqa: E402
from replay.nn.transform.template import make_default_sasrec_transforms  # noqa: E402

given = arguments(["sasrec"])
task = Task(given.split)
lightning.seed_everything(given.seed, verbose=False)
folder = tempfile.TemporaryDirectory()
table = Path(folder.name) / "train.parquet"
known = [[item - 1 for item in history] for history in task.train if history]
pd.DataFrame({"user_id": range(len(known)), "item_id": known}).to_parquet(table)
schema = TensorSchema(
    [
        TensorFeatureInfo(
            name="item_id",
            is_seq=True,
            padding_value=task.n_items,
            cardinality=task.n_items,
            embedding_dim=64,
            feature_type=FeatureType.CATEGORICAL,
            feature_hint=FeatureHint.ITEM_ID,
        )
    ]
)
data = ParquetModule(
    train_path=table,
    batch_size=128,
    metadata={"train": {"item_id": {"shape": given.length + 1, "padding": task.n_items}}},
    transforms=make_default_sasrec_transforms(schema),
)
net = SasRec.from_params(
    schema=schema,
    embedding_dim=64,
    num_heads=2,
    num_blocks=2,
    max_sequence_length=given.length,
    dropout=0.2,
    hidden_dim=256,
)


def scores_of(histories: list[list[int]]) -> torch.Tensor:
    net.eval()
    rows = padded([[item - 1 for item in history] for history in histories], given.length, "left", task.n_items)
    logits = net(feature_tensors={"item_id": rows}, padding_mask=rows != task.n_items)["logits"]
    return torch.cat([torch.zeros(len(rows), 1), logits[:, : task.n_items]], 1)


fit = Fit(given, task, scores_of, lambda: {k: v.clone() for k, v in net.state_dict().items()}, net.load_state_dict)


class Epochs(lightning.Callback):  # type: ignore[misc]
    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        pl_module.eval()
        trainer.should_stop = fit.after_epoch()
        pl_module.train()


lightning.Trainer(max_epochs=given.epochs, limit_val_batches=0, callbacks=[Epochs()], **QUIET).fit(
    LightningModule(net, optimizer_factory=OptimizerFactory(optimizer="adam", learning_rate=1e-3)), datamodule=data
)
fit.report("RePlay", replay.__version__)
