"""RecTools' SASRec and BERT4Rec (`pip install "rectools[torch]==0.19.0"`), a worker of `peers.py`: full softmax over
the last items of each user, its defaults otherwise."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from _peer_task import QUIET, Fit, Task, arguments

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

import pandas as pd  # noqa: E402
import pytorch_lightning as pl  # noqa: E402
import rectools  # noqa: E402
import torch  # noqa: E402
from rectools import Columns  # noqa: E402
from rectools.dataset import Dataset  # noqa: E402
from rectools.models import BERT4RecModel, SASRecModel  # noqa: E402

given = arguments(["sasrec", "bert4rec"])
task = Task(given.split)
pl.seed_everything(given.seed, verbose=False)
rows = [(user, item, 1.0, place) for user, history in enumerate(task.train) for place, item in enumerate(history)]
frame = pd.DataFrame(rows, columns=[Columns.User, Columns.Item, Columns.Weight, "place"])
frame[Columns.Datetime] = pd.Timestamp("2000-01-01") + pd.to_timedelta(frame.pop("place"), unit="s")


class Epochs(pl.Callback):  # type: ignore[misc]
    fit: Fit

    def __deepcopy__(self, memo: Any) -> Epochs:  # RecTools copies its trainer before it fits
        return self

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.eval()
        trainer.should_stop = self.fit.after_epoch()
        pl_module.train()


epochs = Epochs()


def trainer() -> pl.Trainer:
    return pl.Trainer(max_epochs=given.epochs, callbacks=[epochs], **QUIET)


kind, more = (SASRecModel, {}) if given.model == "sasrec" else (BERT4RecModel, {"mask_prob": 0.2})
model = kind(
    n_blocks=2,
    n_heads=2,
    n_factors=64,
    dropout_rate=0.2,
    session_max_len=given.length,
    loss="softmax",
    lr=1e-3,
    batch_size=128,
    recommend_torch_device="cpu",
    get_trainer_func=trainer,
    **more,
)


def scores_of(histories: list[list[int]]) -> torch.Tensor:
    net, ids = model.lightning_model.torch_model, model.data_preparator.item_id_map
    known = set(ids.to_internal.index)
    theirs = torch.tensor([0, *(int(ids.to_internal[n]) if n in known else 0 for n in range(1, task.n_items + 1))])
    net.eval()
    items = net.item_model.get_all_embeddings()
    sessions: list[tuple[list[int], None, dict[str, Any]]] = []
    for history in histories:
        sessions.append(([int(theirs[item]) for item in history if theirs[item]], None, {}))
    state = net.encode_sessions(model.data_preparator._collate_fn_recommend(sessions), items)[:, -1, :]
    out: torch.Tensor = (state @ items.T)[:, theirs]
    # items without a training interaction are unknown to it, and stand behind all others
    out[:, theirs == 0] = out.min() - 1
    return out


def weights() -> dict[str, torch.Tensor]:
    """None before it has made its network."""
    net = getattr(model, "lightning_model", None)
    return {} if net is None else {name: weight.clone() for name, weight in net.state_dict().items()}


epochs.fit = Fit(given, task, scores_of, weights, lambda state: model.lightning_model.load_state_dict(state))  # noqa: PLW0108
model.fit(Dataset.construct(frame))
epochs.fit.report("RecTools", rectools.__version__)
