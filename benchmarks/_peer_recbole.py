"""RecBole's SASRec, GRU4Rec and BERT4Rec (`pip install recbole==1.2.1`), a worker of `peers.py`: full softmax, one row
for each prefix of a history, its own batch size of 2,048, width 64.

It keeps times as 32-bit floats, which changes the order of interactions seconds apart; it gets each interaction's place
in the history for its time. Names that numpy 2 has dropped, and a module `ray` that only its search of settings needs,
are put in place before it is imported.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
from _peer_task import Fit, Task, arguments, padded

for _alias, _real in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_, "bool8": np.bool_}.items():
    if not hasattr(np, _alias):
        setattr(np, _alias, _real)
if importlib.util.find_spec("ray") is None:
    for _name in ("ray", "ray.tune", "ray.tune.schedulers"):
        sys.modules[_name] = types.ModuleType(_name)
    sys.modules["ray"].tune = sys.modules["ray.tune"]  # type: ignore[attr-defined]
    sys.modules["ray.tune.schedulers"].ASHAScheduler = object  # type: ignore[attr-defined]

import recbole  # noqa: E402
import torch  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402

NAMES = {"sasrec": "SASRec", "gru4rec": "GRU4Rec", "bert4rec": "BERT4Rec"}
given = arguments(list(NAMES))
task = Task(given.split)
folder = tempfile.TemporaryDirectory()
data = Path(folder.name) / "split"
data.mkdir()
with (data / "split.inter").open("w", encoding="utf-8") as file:
    file.write("user_id:token\titem_id:token\ttimestamp:float\n")
    for user, history in enumerate(task.train):
        # two more places are held out by its own split, which nothing here reads: they repeat the last item
        for place, item in enumerate([*history, *history[-1:] * 2]):
            file.write(f"{user}\t{item}\t{place}\n")
settings = {
    "data_path": folder.name,
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "use_gpu": False,
    "seed": given.seed,
    "reproducibility": True,
    "show_progress": False,
    "state": "WARNING",
    "checkpoint_dir": folder.name,
    "MAX_ITEM_LIST_LENGTH": given.length,
    "train_batch_size": 2048,
    "learning_rate": 1e-3,
    "epochs": given.epochs,
    "loss_type": "CE",
    "train_neg_sample_args": None,
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
}
if given.model == "gru4rec":
    settings |= {"embedding_size": 64, "hidden_size": 128, "num_layers": 1, "dropout_prob": 0.3}
else:
    settings |= {"hidden_size": 64, "inner_size": 256, "n_layers": 2, "n_heads": 2}  # dropout .5, as it comes
sys.argv = sys.argv[:1]
config = Config(model=NAMES[given.model], dataset="split", config_dict=settings)
logging.disable(logging.WARNING)
init_seed(given.seed, True)
dataset = create_dataset(config)
train_data, _, _ = data_preparation(config, dataset)
model = get_model(NAMES[given.model])(config, train_data._dataset)
trainer = get_trainer(config["MODEL_TYPE"], NAMES[given.model])(config, model)
tokens = dataset.field2token_id["item_id"]
theirs = torch.tensor([0, *(tokens.get(str(number), 0) for number in range(1, task.n_items + 1))])


def scores_of(histories: list[list[int]]) -> torch.Tensor:
    model.eval()
    lengths = torch.tensor([max(1, min(len(history), given.length)) for history in histories])
    rows = theirs[padded(histories, given.length, "right")]
    out: torch.Tensor = model.full_sort_predict(Interaction({"item_id_list": rows, "item_length": lengths}))[:, theirs]
    out[:, theirs == 0] = out.min() - 1
    return out


fit = Fit(given, task, scores_of, lambda: {k: v.clone() for k, v in model.state_dict().items()}, model.load_state_dict)


def train_epoch() -> None:
    model.train()
    trainer._train_epoch(train_data, fit.epochs, show_progress=False)


fit.run(train_epoch)
fit.report("RecBole", recbole.__version__)
