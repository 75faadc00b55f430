"""Presets and flags become one run: what wins, where it came from, and what the messages say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import presets
from engine.errors import UserError
from engine.presets import resolve
from engine.presets.files import Setting
from engine.spec import BACKBONES, Demo, config_hash, flat, identity, spec_hash

REPO = Path(__file__).parents[3]
_WHITE = {"embedding.reduce": "pca"}
_TURNED = _WHITE | {"embedding.basis": "random"}
_HEAD = {"embedding.reduce": "none", "table.inject": "mlp"}
RIVALS: dict[str, dict[str, Any]] = {
    "truncate": {"embedding.reduce": "truncate"},
    "uniform": {"embedding.reduce": "uniform"},
    "variance": {"embedding.reduce": "variance", "embedding.reduce.popular_share": 0.2},
    "random-subset": {"embedding.reduce": "random-subset"},
    "random-projection": {"embedding.reduce": "gaussian"},
    "orthogonal-projection": {"embedding.reduce": "orthogonal"},
    "autoencoder": {"embedding.reduce": "autoencoder"},
    "graph-pca": {"embedding.reduce": "graph-pca"},
    "whitening": _WHITE | {"embedding.post": "whiten"},
    "whitened-rec-pca": {"embedding.post": "whiten"},
    "zca": _TURNED | {"embedding.post": "zca"},
    "cholesky": _TURNED | {"embedding.post": "cholesky"},
    "batch-norm": _TURNED | {"embedding.post": "batch-norm"},
    "group-whitening": _TURNED | {"embedding.post": "group-whiten"},
    "ace": _WHITE | {"embedding.post": "ace"},
    "raw-head": {"embedding.reduce": "none", "table.inject": "mlp"},
    "whitening-head": _HEAD | {"embedding.post": "whiten"},
    "zca-head": _HEAD | {"embedding.post": "zca"},
}
_FREE = {"table.normalize": "none", "table.row_length": "as-it-comes"}
CONTROLS: dict[str, dict[str, Any]] = {
    "unit-norms": _FREE | {"embedding.control": "unit-norms"},
    "shuffled-norms": _FREE | {"embedding.control": "shuffled-norms", "table.rescale": True},
    "lognormal-norms": _FREE | {"embedding.control": "lognormal-norms"},
    "permuted-items": {"embedding.control": "permuted-items"},
    "spectrum-matched": {"embedding.control": "spectrum-matched"},
    "rotation": {"embedding.control": "rotation"},
    "cluster-permuted": {"embedding.control": "cluster-permuted"},
    "id-angles": {"embedding.control": "id-directions"},
    "id-directions": _FREE | {"embedding.control": "id-directions", "table.rescale": True},
    "id-norms": _FREE | {"embedding.control": "id-norms", "table.rescale": True},
    "id-table": _FREE | {"table.init": "id-trained", "table.inject": "frozen"},
}


def values(**flags: Any) -> dict[str, Any]:
    return flat(resolve(**flags).experiment)


def message(**flags: Any) -> str:
    with pytest.raises(UserError) as error:
        resolve(**flags)
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$TFLLMER_DATA with `shop` (two sources of vectors), `one` (one source) and `ml-1m` (no vectors)."""
    root = tmp_path / "data"
    for name, sources in {"shop": ("a", "b"), "one": ("only",), "ml-1m": ()}.items():
        folder = root / name
        folder.mkdir(parents=True)
        (folder / f"{name}.inter").write_text("user_id:token\titem_id:token\nu\ti\n")
        (folder / f"{name}.item").write_text("item_id:token\ttitle:token_seq\ni\tA thing\n")
        for source in sources:
            np.save(folder / f"{name}.{source}.npy", np.ones((1, 3), dtype=np.float32))
    monkeypatch.setenv("TFLLMER_DATA", str(root))
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a preset of the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(place: str, text: str) -> None:
        file = tmp_path / "configs" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write


# ------------------------------------------------------------------------------------ what is shipped


def test_shipped_names() -> None:
    names = {kind: {p.name for p in presets.list_presets(kind)} for kind in presets.KINDS}
    assert names["dataset"] == {"amazon-beauty", "demo", "ml-100k", "ml-1m"}
    assert names["backbone"] == set(BACKBONES)
    assert names["method"] >= {"id", "id-norm", "llm-pca", "tf-llmer", "llm-init", "ace"}
    assert names["ablation"] >= {"full", "no-both", "no-norm", "no-rec-pca", "rescale", *RIVALS, *CONTROLS}
    for kind in presets.KINDS:
        for preset in presets.list_presets(kind):
            assert preset.meaning
            assert "\n" not in preset.meaning


@pytest.mark.parametrize("backbone", sorted(name for name, part in BACKBONES.items() if part.has_items))
@pytest.mark.parametrize("method", ["tf-llmer", "id", "id-norm", "llm-pca"])
def test_every_method_and_backbone_resolves(method: str, backbone: str) -> None:
    experiment = resolve(method=method, backbone=backbone).experiment
    assert experiment.backbone.name == backbone
    assert experiment.arm == ("tf-llmer/full" if method == "tf-llmer" else method)


def test_a_backbone_without_an_item_table_has_the_method_id_and_reads_nothing_else() -> None:
    resolved = resolve(backbone="ease")
    assert (resolved.experiment.arm, resolved.experiment.embedding) == ("id", None)
    same = resolve(backbone="ease", method="id").experiment
    assert config_hash(same) == config_hash(resolved.experiment)
    assert {"embedding", "table", "train"}.isdisjoint(identity(same))
    assert (same.train.epochs, resolved.origins["train.epochs"]) == (0, "backbone ease is not trained")
    for words in ({"method": "tf-llmer"}, {"method": "id-norm"}, {"sets": ["table.tau=0.5"]}):
        with pytest.raises(UserError, match="backbone ease has no item table"):
            resolve(backbone="ease", **words)
    with pytest.raises(UserError, match=r"^--set train\.lr: backbone ease is not trained; leave it out$"):
        resolve(backbone="ease", sets=["train.lr=0.1"])


def test_what_a_study_says_of_training_is_not_read_by_a_closed_form() -> None:
    resolved = resolve(backbone="ease", settings={"train.epochs": Setting(3, "study")})
    assert resolved.unread == {"train.epochs"}
    assert (resolved.overrides, resolved.experiment.train.epochs) == ({}, 0)


@pytest.mark.parametrize(
    ("ablation", "changes"),
    [
        ("full", {}),
        ("no-norm", {"table.normalize": "none"}),
        ("no-rec-pca", {"embedding.reduce": "pca"}),
        ("no-both", {"table.normalize": "none", "embedding.reduce": "pca"}),
        ("rescale", {"table.normalize": "none", "table.rescale": True, "table.row_length": "as-it-comes"}),
        (
            "freqd-graph",
            {
                "embedding.reduce.lambda": 0.5,
                "embedding.reduce.graph.window": None,
                "embedding.reduce.graph.top_k": 5,
                "embedding.reduce.graph.weight": "binary",
            },
        ),
        *RIVALS.items(),
        *CONTROLS.items(),
    ],
)
def test_an_ablation_changes_only_what_it_names(ablation: str, changes: dict[str, Any]) -> None:
    full, arm = values(ablation="full"), values(ablation=ablation)
    named = changes | ({"ablation": ablation} if changes else {})
    assert {k: v for k, v in arm.items() if (k in full or k in changes) and full.get(k) != v} == named
    assert all(any(k.startswith(f"{name}.") for name in changes) for k in arm if k not in full)


def test_methods_are_what_the_science_says() -> None:
    ours, ident, norm, pca = (values(method=m) for m in ("tf-llmer", "id", "id-norm", "llm-pca"))
    pipeline = ("embedding.center", "embedding.pre_normalize", "embedding.reduce", "embedding.reduce.lambda")
    assert [ours[k] for k in (*pipeline, "embedding.reduce.graph.window")] == [True, True, "rec-pca", 0.9, 3]
    assert ours["table.normalize"] == "both"
    assert [ident[f"table.{k}"] for k in ("init", "init.id_sd", "normalize")] == ["id", 0.02, "none"]
    assert {k for k in norm if norm[k] != ident[k]} == {"method", "table.normalize"}
    assert [pca[k] for k in (*pipeline[:3], "table.normalize")] == [True, False, "pca", "none"]
    same = ("table.normalize_h", "table.tau", "table.inject", "backbone.width", "train.epochs")
    assert all(ours[k] == other[k] for other in (ident, norm, pca) for k in same)


def test_default_arm_is_the_full_method() -> None:
    assert config_hash(resolve().experiment) == config_hash(resolve(ablation="full").experiment)


# ------------------------------------------------------------------------------------ flags and origins


def test_every_value_has_an_origin_and_file_origins_point_at_their_line() -> None:
    resolved = resolve(ablation="no-norm", seed=3, sets=["train.lr=3e-4"], threads=1)
    leaves = flat(resolved.experiment)
    assert set(resolved.origins) == set(leaves)
    for path, origin in resolved.origins.items():
        if match := re.fullmatch(r"(configs/.+\.yaml):(\d+)", origin):
            line = (REPO / match[1]).read_text().splitlines()[int(match[2]) - 1]
            assert line.strip().startswith((f"{path.split('.')[-1]}:", "kind:"))
    assert resolved.origins["table.normalize"] == "configs/ablation/no-norm.yaml:5"
    assert resolved.origins["embedding.reduce"] == "configs/method/tf-llmer.yaml:7"
    assert resolved.origins["train.lr"] == "--set"
    assert resolved.origins["seed"] == "--seed"
    assert resolved.origins["execution.threads"] == "--threads"
    assert resolved.origins["ablation"] == "--ablation"
    assert resolved.origins["train.weight_decay"] == resolved.origins["method"] == "default"
    assert resolved.overrides == {"train.lr": 3e-4}


@given(
    lr=st.floats(1e-6, 10),
    epochs=st.integers(0, 10**6),
    masked=st.booleans(),
    window=st.none() | st.integers(1, 50),
)
def test_set_is_typed(lr: float, epochs: int, masked: bool, window: int | None) -> None:
    wanted = {
        "train.lr": lr,
        "train.epochs": epochs,
        "evaluate.mask_seen": masked,
        "embedding.reduce.graph.window": window,
    }
    texts = [f"{path}={'none' if value is None else value}".lower() for path, value in wanted.items()]
    resolved = resolve(sets=texts)
    leaves = flat(resolved.experiment)
    assert {path: leaves[path] for path in wanted} == resolved.overrides == wanted
    assert all(type(leaves[path]) is type(value) for path, value in wanted.items())


def test_set_wins_over_presets_and_the_last_set_wins() -> None:
    assert values(ablation="no-norm", sets=["table.normalize=input"])["table.normalize"] == "input"
    assert values(sets=["train.epochs=3", "train.epochs=4"])["train.epochs"] == 4
    assert values(sets=["table.normalize=none"])["table.normalize"] == "none"  # a word here, not null


def test_setting_an_axis_is_the_same_as_its_flag() -> None:
    by_set = resolve(sets=["method=id", "backbone.name=gru4rec", "seed=4"]).experiment
    assert by_set == resolve(method="id", backbone="gru4rec", seed=4).experiment


def test_identity_ignores_seed_names_and_the_vectors_of_an_id_table(data_root: Path) -> None:
    one = resolve(method="id", dataset="shop", embedding="a").experiment
    other = resolve(method="id", dataset="shop", embedding="b", seed=1, note="again", threads=2).experiment
    assert config_hash(one) == config_hash(other)
    assert spec_hash(one) != spec_hash(other)
    a, b = (resolve(dataset="shop", embedding=source).experiment for source in "ab")
    assert a.vectors.fingerprint == b.vectors.fingerprint  # equal files
    assert config_hash(resolve(ablation="no-rec-pca").experiment) == config_hash(
        resolve(sets=["embedding.reduce=pca"]).experiment
    )


# ------------------------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"ablation": "no-nrom"}, "--ablation no-nrom: method tf-llmer has no such ablation (did you mean no-norm?)"),
        ({"method": "tfllmer"}, "--method tfllmer: no such method (did you mean tf-llmer?)"),
        ({"backbone": "sasrek"}, "--backbone sasrek: no such backbone (did you mean sasrec?)"),
        (
            {"method": "id", "ablation": "full"},
            "--ablation full: method id has no ablations; leave --ablation out",
        ),
        ({"sets": ["train.lrr=1"]}, "--set train.lrr: no such setting (did you mean train.lr?)"),
        ({"sets": ["traning.lr=1"]}, "--set traning.lr: no such setting (did you mean train.lr?)"),
        ({"sets": ["lrr=1"]}, "--set lrr: no such setting (did you mean train.lr?)"),
        (
            {"sets": ["id_sd=1"]},
            "--set id_sd: several settings are called so: embedding.control.id_sd, table.init.id_sd,"
            " table.inject.id_sd; name one of them",
        ),
        (
            {"sets": ["embedding.lambda=1"]},
            "--set embedding.lambda: no such setting; it is embedding.reduce.lambda now",
        ),
        ({"sets": ["train.gbce_t=1"]}, "--set train.gbce_t: no such setting; it is train.loss.t now"),
        (
            {"sets": ["embedding.seed=1"]},
            "--set embedding.seed: no such setting; it is embedding.reduce.seed or embedding.basis.seed or"
            " embedding.control.seed now",
        ),
        (
            {"ablation": "no-rec-pca", "sets": ["lambda=1"]},
            "--set embedding.reduce.lambda: needs embedding.reduce=rec-pca or graph-pca, not pca",
        ),
        ({"sets": ["train.loss.t=1"]}, "--set train.loss.t: needs train.loss=gbce, not ce"),
        ({"method": "id", "sets": ["center=no"]}, "--set embedding.center: needs table.init=embedding, not id"),
        (
            {"backbone": "gru4rec", "sets": ["heads=1"]},
            "--set backbone.heads: needs backbone.name=sasrec, bert4rec, hstu or bsarec, not gru4rec",
        ),
        ({"sets": ["reduce=rec_pca"]}, "--set embedding.reduce: no such kind 'rec_pca' (did you mean rec-pca?)"),
        ({"sets": ["train.lr"]}, "--set train.lr: write field=value, such as --set train.lr=3e-4"),
        ({"sets": ["train.lr.x=1"]}, "--set train.lr.x: train.lr is one value, not a group of settings"),
        (
            {"sets": ["evaluate=1"]},
            "--set evaluate: a group of settings, not one value (there are evaluate.mask_seen, evaluate.test, "
            "evaluate.every, evaluate.curvature)",
        ),
        ({"sets": ["train.lr=-1"]}, "--set train.lr: input should be greater than 0, not '-1'"),
        (
            {"sets": ["table.normalize=rows"]},
            "--set table.normalize: input should be 'none', 'input', 'scoring' or 'both', not 'rows'",
        ),
        ({"sets": ["backbone.heads=3"]}, "--set backbone.heads=3 does not divide backbone.width=64"),
        (
            {"ablation": "group-whitening", "sets": ["groups=5"]},
            "embedding.post.groups=5 does not divide backbone.width=64",
        ),
        (
            {"sets": ["embedding.reduce.lambda=-1"]},
            "--set embedding.reduce.lambda: input should be greater than or equal to 0, not '-1'",
        ),
        (
            {"ablation": "ace", "sets": ["shrinkage=0"]},
            "--set embedding.post.shrinkage: input should be greater than 0, not '0'",
        ),
        (
            {"sets": ["data.source.fingerprint=1"]},
            "--set data.source.fingerprint=1: data.source.fingerprint is measured from the files; leave it out",
        ),
        ({"seed": -1}, "--seed: input should be greater than or equal to 0, not -1"),
        ({"device": "gpu"}, "--device: give auto, cpu, cuda or cuda:N, not 'gpu'"),
        ({"embedding": "minilm-l6"}, "--embedding minilm-l6: data set demo makes its own vectors; leave it out"),
    ],
)
def test_wrong_flags(flags: dict[str, Any], text: str) -> None:
    assert message(**flags) == text


def test_a_setting_of_another_backbone_is_refused() -> None:
    assert resolve(sets=["backbone.heads=4"]).experiment.backbone.name == "sasrec"
    assert message(backbone="gru4rec", sets=["backbone.heads=4"]).startswith(
        "--set backbone.heads: needs backbone.name="
    )


# ------------------------------------------------------------------------------------ the working folder


def test_the_working_folder_overlays_presets_by_name(overlay: Any) -> None:
    overlay("ablation/no-norm.yaml", "meaning: mine\napplies_to: tf-llmer\ntable:\n  normalize: input\n")
    overlay("ablation/cold.yaml", "meaning: cooler\napplies_to: tf-llmer\ntable: {tau: 0.07}\n")
    overlay("dataset/demo-hard.yaml", "meaning: harder\ndata:\n  source:\n    kind: demo\n    misalignment: 1\n")
    resolved = resolve(ablation="no-norm")
    assert resolved.experiment.table.normalize == "input"
    assert resolved.origins["table.normalize"] == "./configs/ablation/no-norm.yaml:4"
    assert resolve(ablation="cold").experiment.table.tau == 0.07
    hard = resolve(dataset="demo-hard").experiment.data
    assert hard.source == Demo(misalignment=1.0)
    assert [p.meaning for p in presets.list_presets("ablation") if p.name == "no-norm"] == ["mine"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "table: {tau: 1}\n",
            "./configs/method/x.yaml:1: a preset starts with `meaning:`, one line that says what it is",
        ),
        ("", "./configs/method/x.yaml:1: needs a list of `name: value` lines"),
        ("meaning: [m]\n", "./configs/method/x.yaml:1: a preset takes `name: value` lines, no lists"),
        ("meaning: 3\n", "./configs/method/x.yaml:1: meaning must be text, not 3"),
        (
            "meaning: m\ntable:\n  normalise: both\n",
            "./configs/method/x.yaml:3: table.normalise: no such setting (did you mean table.normalize?)",
        ),
        (
            "meaning: m\ntrain:\n\n  lr: fast\n",
            "./configs/method/x.yaml:4: train.lr: input should be a valid number, unable to parse string as a number,"
            " not 'fast'",
        ),
        (
            "meaning: m\ntable:\n  tau: 1\n  tau: 2\n",
            "./configs/method/x.yaml:4: table.tau is set twice, first in line 3",
        ),
        ("meaning: m\nseed: 3\n", "./configs/method/x.yaml:2: seed is not for presets; remove it"),
        (
            "meaning: m\nbackbone:\n  name: lstm\n",
            "./configs/method/x.yaml:3: backbone.name: no backbone 'lstm' (did you mean slim?)",
        ),
        (
            "meaning: m\ntable:\n  normalize: both\n  rescale: true\n",
            "./configs/method/x.yaml:4: table.rescale changes nothing when table.normalize is both;"
            " set table.normalize=none",
        ),
        ("meaning: m\na: &a\n  b: *a\n", None),
        ("meaning: !!python/object/apply:os.getcwd []\n", None),
        ("meaning: 'm\n", None),
        ("meaning: m\n\ttable: 1\n", None),
    ],
)
def test_a_wrong_preset_is_told_with_file_and_line(overlay: Any, text: str, expected: str | None) -> None:
    overlay("method/x.yaml", text)
    told = message(method="x")
    assert re.match(r"\./configs/method/x\.yaml:\d+: ", told)
    assert expected in (None, told)


def test_a_preset_that_is_not_text(overlay: Any, tmp_path: Path) -> None:
    overlay("method/x.yaml", "")
    (tmp_path / "configs/method/x.yaml").write_bytes(b"meaning: \xff\n")
    assert message(method="x") == "./configs/method/x.yaml: not UTF-8 text"


# ------------------------------------------------------------------------------------ data on disk


def test_data_sets_are_found_by_name_by_folder_and_by_file(data_root: Path) -> None:
    folder = data_root / "one"
    by_name = resolve(dataset="one")
    data, embedding = by_name.experiment.data, by_name.experiment.vectors
    assert (data.name, data.path, embedding.source) == ("one", str(folder), "only")
    assert embedding.path == str(folder / "one.only.npy")
    assert len(data.fingerprint) == len(embedding.fingerprint) == 16
    assert by_name.origins["data.source.path"] == "$TFLLMER_DATA"
    assert by_name.origins["embedding.source"] == "found beside the data set"
    for place in (str(folder), str(folder / "one.inter"), "data/one"):
        assert resolve(dataset=place).experiment == by_name.experiment
    assert presets.list_datasets() == [(name, data_root / name) for name in ("ml-1m", "one", "shop")]


def test_the_fingerprint_follows_the_content(data_root: Path) -> None:
    before = resolve(dataset="one").experiment
    (data_root / "one" / "one.item").write_text("item_id:token\ttitle:token_seq\ni\tAnother thing\n")
    after = resolve(dataset="one").experiment
    assert before.data.fingerprint != after.data.fingerprint
    assert config_hash(before) != config_hash(after)


def test_presets_of_a_data_set_apply_by_path_too(data_root: Path) -> None:
    assert values(method="id", dataset=str(data_root / "ml-1m"))["backbone.max_length"] == 200
    assert values(method="id", dataset="ml-1m", backbone="gru4rec")["backbone.max_length"] == 200


def test_an_embedding_is_a_name_or_a_file(data_root: Path) -> None:
    file = data_root / "shop" / "shop.b.npy"
    by_name, by_file = (resolve(dataset="shop", embedding=e).experiment for e in ("b", str(file)))
    assert by_name == by_file
    assert by_name.vectors.source == "b"


def test_what_is_not_found_is_told_with_what_there_is(data_root: Path) -> None:
    root = str(data_root)
    assert message(dataset="shopp") == (
        f"--dataset shopp: no data set 'shopp' under TFLLMER_DATA={root} (did you mean shop?);"
        " there are demo, ml-1m, one, shop"
    )
    assert message(dataset="./nowhere") == "--dataset nowhere: no such folder"
    assert message(dataset=root) == f"--dataset {root}: no NAME.inter in this folder (RecBole atomic files)"
    assert message(dataset="shop") == (f"--dataset shop: several vectors in {root}/shop; choose with --embedding a|b")
    assert message(dataset="shop", embedding="aa") == (
        f"--embedding aa: no such vectors in {root}/shop (did you mean a?)"
    )
    assert message(dataset="shop", embedding="x.npy") == "--embedding x.npy: no such file"
    assert message(dataset="ml-1m") == (
        f"--embedding minilm-l6: no such vectors in {root}/ml-1m; put them at {root}/ml-1m/ml-1m.minilm-l6.npy"
    )


def test_files_in_other_forms_are_told_the_command_that_reads_them(data_root: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw data"
    raw.mkdir()
    for name in ("plays.csv", "plays.jsonl.gz", "table.pt", "words.vec"):
        (raw / name).touch()
    for name in ("plays.csv", "plays.jsonl.gz"):
        file = raw / name
        assert message(dataset=str(file)) == (
            f"--dataset {file}: not a NAME.inter; `tfllmer data import '{file}'` reads other forms"
        )
    assert message(dataset=str(raw)).endswith(
        f" (RecBole atomic files); `tfllmer data import '{raw}'` reads other forms"
    )
    for name in ("table.pt", "words.vec"):
        assert message(dataset="shop", embedding=str(raw / name)) == (
            f"--embedding {raw / name}: not a file ending in .npy, .npz, .parquet, .safetensors; "
            f"`tfllmer vectors import '{raw / name}'` reads other forms"
        )


def test_files_of_the_working_folder_are_named_without_a_path(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plays.csv").touch()
    (tmp_path / "table.pt").touch()
    assert message(dataset="plays.csv") == (
        "--dataset plays.csv: not a NAME.inter; `tfllmer data import plays.csv` reads other forms"
    )
    assert message(dataset="shop", embedding="table.pt").endswith("`tfllmer vectors import table.pt` reads other forms")


def test_without_roots_it_says_how_to_set_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TFLLMER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert presets.list_datasets() == []
    assert message(dataset="ml-100k") == (
        "--dataset ml-100k: no data set 'ml-100k', and TFLLMER_DATA is not set: export TFLLMER_DATA=/path/to/data"
        " (the folder that holds ml-100k/ml-100k.inter), give the folder itself, or use demo"
    )


def test_earlier_roots_hide_later_ones(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine" / "one"
    mine.mkdir(parents=True)
    (mine / "one.inter").write_text("user_id:token\titem_id:token\n")
    monkeypatch.setenv("TFLLMER_DATA", f"{tmp_path / 'mine'}:{data_root}")
    assert presets.find_dataset("one") == mine
    assert presets.find_dataset("shop") == data_root / "shop"
