"""What to do: an experiment and its parts, validated, with the two hashes that identify it.

One of the two rooms in which the bench wing (no torch) and the science wing (torch) meet; the other
is `engine.spool`. Nothing here reads a data set: paths and content fingerprints are filled in by
`engine.presets` before a run starts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import UserError, nearest

IDENTITY_VERSION = 1
"""Part of every identity: raise it when the meaning of a stored specification changes."""


class Part(BaseModel):
    """A frozen piece of a specification; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Demo(Part):
    """Dials of the generated data set `demo` (docs/demo-data.md gives the generative model)."""

    version: Literal[1] = Field(1, description="the generator; a new one gets a new number, so identities differ")
    seed: int = Field(0, ge=0, description="seed of the generated data, apart from the seed of training")
    users: int = Field(600, ge=20, description="number of users")
    items: int = Field(400, ge=20, description="number of items")
    communities: int = Field(16, ge=2, description="number of co-consumption communities, and of semantic clusters")
    dim: int = Field(128, ge=4, description="width D of the generated LLM-like vectors")
    norm_sd: float = Field(
        0.6, ge=0, le=2, description="standard deviation of log row norm about the common mean: the first trouble"
    )
    misalignment: float = Field(
        0.7, ge=0, le=1, description="share of items whose semantic cluster ignores their community: the second trouble"
    )

    @model_validator(mode="after")
    def _communities_have_items(self) -> Demo:
        if self.items < 2 * self.communities:
            raise ValueError(
                f"data.demo.communities={self.communities} needs data.demo.items >= {2 * self.communities} (two each)"
            )
        return self


class Data(Part):
    """Which interactions, how they are filtered, and how they are split (METHOD.md C, D.4)."""

    name: str = Field("demo", min_length=1, description="data set: demo, a name under $TFLLMER_DATA, or a folder")
    path: str | None = Field(
        None, description="folder that holds NAME.inter and NAME.item; found by name when left out"
    )
    fingerprint: str = Field("", description="hash of the files' content; filled in when the data set is found")
    k_core: int = Field(0, ge=0, description="keep users and items with at least this many interactions, repeatedly")
    rating_min: float | None = Field(None, description="keep interactions rated at least this")
    repeats: Literal["keep", "first"] = Field("keep", description="repeated (user, item) pairs: keep all, or the first")
    cold_items: Literal["exclude", "include"] = Field(
        "exclude", description="items of .item without any interaction: outside or inside the ranked catalogue"
    )
    split: Literal["leave-one-out", "temporal"] = Field("leave-one-out", description="how valid and test are held out")
    valid_share: float = Field(0.1, gt=0, lt=0.5, description="temporal split: share of interactions held out as valid")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="temporal split: share of interactions held out as test")
    demo: Demo = Field(default_factory=Demo, description="dials of the generated data set, used when name is demo")


class Graph(Part):
    """The item graph of Rec-PCA: co-occurrence in training histories, or a control for it (METHOD.md A.4, D.1)."""

    kind: Literal["co-occurrence", "rewired", "erdos-renyi", "permuted", "popularity", "content", "empty"] = Field(
        "co-occurrence",
        description="co-occurrence; or made from it: rewired (degrees kept), erdos-renyi (number of edges kept), "
        "permuted (items exchanged), popularity (Chung-Lu); or content (nearest neighbours of the vectors); or empty",
    )
    window: int | None = Field(3, ge=1, description="pairs at most this far apart count; none = the whole history")
    top_k: int | None = Field(
        None, ge=1, description="strongest neighbours kept per item before symmetrising; none = all"
    )
    weight: Literal["count", "binary", "log", "ppmi", "cosine"] = Field(
        "count", description="edge weight of a count c: c, 1, log(1 + c), positive PMI, or c / sqrt(c_a c_b)"
    )
    laplacian: Literal["normalized", "combinatorial", "random-walk"] = Field(
        "normalized",
        description="I - D^-1/2 A D^-1/2; D - A over its largest eigenvalue; or the random walk's, symmetrised",
    )
    users: float = Field(1.0, gt=0, le=1, description="share of the users, drawn at random, whose histories count")
    neighbours: int = Field(10, ge=1, description="content graph: nearest neighbours per item by cosine")
    seed: int = Field(0, ge=0, description="seed of the graphs that are drawn at random")


_ID_CONTROLS = ("id-norms", "id-directions")


class Embedding(Part):
    """From the LLM matrix X (n x D) to the initial item table Z (n x k) (METHOD.md A.4)."""

    source: str = Field("demo", min_length=1, description="vectors: a name beside the data set, or a file")
    path: str | None = Field(None, description="the file of vectors; found by name when left out")
    fingerprint: str = Field("", description="hash of the file's content; filled in when it is found")
    center: bool = Field(True, description="subtract the mean vector")
    pre_normalize: bool = Field(True, description="unit rows before the reduction (after centring)")
    reduce: Literal[
        "truncate",
        "uniform",
        "variance",
        "random-subset",
        "gaussian",
        "orthogonal",
        "autoencoder",
        "pca",
        "rec-pca",
        "graph-pca",
        "none",
    ] = Field(
        "rec-pca",
        description="reduction to the backbone's width: coordinates picked (the first, evenly spaced, of largest "
        "variance, at random), random projections, a trained linear autoencoder, PCA, Rec-PCA, PCA of filtered rows; "
        "or none: all D columns, under a trained adapter",
    )
    lambda_: float = Field(
        1.0, ge=0, alias="lambda", description="weight of the total variation over the graph in Rec-PCA; 0 is plain PCA"
    )
    popular_share: float = Field(
        1.0, gt=0, le=1, description="variance picks: measured on this share of the items, the most popular ones"
    )
    ae_steps: int = Field(1000, ge=1, description="autoencoder: steps of Adam on the whole matrix")
    basis: Literal["own", "random"] = Field(
        "own", description="axes of the reduced vectors before the post step: the reduction's, or turned at random"
    )
    post: Literal["none", "whiten", "zca", "cholesky", "batch-norm", "group-whiten", "ace"] = Field(
        "none",
        description="what is done to the k reduced columns: PCA-, ZCA- or Cholesky-whitening, each to unit variance, "
        "ZCA in groups of columns, or ACE's shrinkage of singular values",
    )
    epsilon: float = Field(
        1e-6, ge=0, description="whitening: added to the variances, as a share of their mean, before inverse roots"
    )
    groups: int = Field(8, ge=1, description="group-whiten: groups of columns; must divide backbone.width")
    shrinkage: float = Field(
        100.0, gt=0, description="ace: lambda in sqrt(s^2 / (s^2 + lambda)); to 0 whitening, large plain PCA to scale"
    )
    scale: float | None = Field(
        None, gt=0, description="one constant gives the table rows this root mean square norm; none = as they come"
    )
    control: Literal[
        "none",
        "unit-norms",
        "shuffled-norms",
        "lognormal-norms",
        "permuted-items",
        "cluster-permuted",
        "spectrum-matched",
        "rotation",
        "id-norms",
        "id-directions",
    ] = Field(
        "none",
        description="counterfactual table: norms all 1, exchanged among items or log-normal; whole rows exchanged "
        "among items, or among whole clusters of them; a Gaussian of the same mean and singular values; the table in "
        "randomly rotated axes; with the norms or the directions of an ID table that is trained first",
    )
    norm_sd: float = Field(
        1.0, ge=0, le=3, description="lognormal-norms: standard deviation of the logarithm of the row norms"
    )
    clusters: int = Field(20, ge=2, description="cluster-permuted: number of spherical k-means clusters of the rows")
    seed: int = Field(0, ge=0, description="seed of picks, projections, bases and controls drawn at random")
    graph: Graph = Field(default_factory=Graph, description="the item graph of Rec-PCA and graph-PCA")

    @property
    def uses_graph(self) -> bool:
        """Whether the reduction looks at the item graph."""
        return self.reduce in ("rec-pca", "graph-pca")

    @property
    def is_random(self) -> bool:
        """Whether anything on the way from X to Z is drawn at random."""
        drawn = self.reduce in ("random-subset", "gaussian", "orthogonal", "autoencoder") or self.basis == "random"
        return drawn or self.control not in ("none", "unit-norms", *_ID_CONTROLS)


class Table(Part):
    """How item vectors enter the backbone and score its output (METHOD.md A.4 steps 4-5)."""

    init: Literal["embedding", "id", "id-trained"] = Field(
        "embedding",
        description="initial rows: reduced LLM vectors, random (ID), or those of an ID table that is trained first",
    )
    id_sd: float = Field(0.02, gt=0, description="standard deviation of the random ID table's entries")
    inject: Literal["initialise", "frozen", "linear", "mlp", "spectral", "sum", "split"] = Field(
        "initialise",
        description="train the table from Z; keep it at Z (frozen); frozen with a trained linear or mlp adapter, or "
        "with one that attends over its singular values (spectral, SpecTran-like); frozen plus a trained ID table "
        "(sum), or one in the last id_dims columns only (split, as AlphaFuse does)",
    )
    id_dims: int | None = Field(None, ge=1, description="split: columns of the trained ID part; none = half the width")
    freeze_epochs: int = Field(0, ge=0, description="initialise: epochs during which the table still stays at Z")
    normalize: Literal["none", "input", "scoring", "both"] = Field(
        "both", description="where rows are made unit length in the forward pass"
    )
    rescale: bool = Field(
        False, description="one constant for the whole initial table so that its mean row norm is 1 (the scale control)"
    )
    normalize_h: bool = Field(False, description="make the sequence representation h unit length before scoring")
    tau: float = Field(1.0, gt=0, description="temperature: scores are <h, e> / tau")
    tau_trained: bool = Field(False, description="train the temperature, from tau on")
    bias: Literal["none", "free", "popularity"] = Field(
        "none", description="added to the scores: nothing, a trained number per item, or beta log pi with beta trained"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Table:
        if self.rescale and self.normalize == "both":
            raise ValueError("table.rescale changes nothing when table.normalize is both; set table.normalize=none")
        if self.rescale and self.inject == "spectral":
            raise ValueError("table.rescale changes nothing when table.inject is spectral: it standardises the vectors")
        if self.init == "id" and self.inject not in ("initialise", "frozen"):
            raise ValueError(f"table.inject={self.inject} needs LLM vectors; table.init=id takes initialise or frozen")
        if self.freeze_epochs and self.inject != "initialise":
            raise ValueError(f"table.freeze_epochs needs table.inject=initialise, not {self.inject}")
        return self


class _Sequential(Part):
    width: int = Field(64, ge=2, description="width d of item vectors and of h; also k of the reduction")
    max_length: int = Field(50, ge=2, description="longest history the backbone sees")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout rate")


class SASRec(_Sequential):
    """Causal self-attention (Kang & McAuley 2018), pre-norm blocks."""

    name: Literal["sasrec"] = "sasrec"
    layers: int = Field(2, ge=1, description="transformer blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide width")
    inner: int = Field(256, ge=1, description="width of the feed-forward layer")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> SASRec:
        if self.width % self.heads:
            raise ValueError(f"backbone.heads={self.heads} does not divide backbone.width={self.width}")
        return self


class GRU4Rec(_Sequential):
    """Gated recurrent units (Hidasi et al. 2016) with a linear map from hidden state to width."""

    name: Literal["gru4rec"] = "gru4rec"
    layers: int = Field(1, ge=1, description="GRU layers")
    hidden: int = Field(128, ge=1, description="width of the hidden state")


class BERT4Rec(_Sequential):
    """Bidirectional self-attention trained on masked items (Sun et al. 2019), pre-norm blocks."""

    name: Literal["bert4rec"] = "bert4rec"
    layers: int = Field(2, ge=1, description="transformer blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide width")
    inner: int = Field(256, ge=1, description="width of the feed-forward layer")
    mask_share: float = Field(0.2, gt=0, lt=1, description="share of positions masked in training")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> BERT4Rec:
        if self.width % self.heads:
            raise ValueError(f"backbone.heads={self.heads} does not divide backbone.width={self.width}")
        return self


Backbone: TypeAlias = Annotated[SASRec | GRU4Rec | BERT4Rec, Field(discriminator="name")]
BACKBONES: dict[str, type[_Sequential]] = {"sasrec": SASRec, "gru4rec": GRU4Rec, "bert4rec": BERT4Rec}


_USUAL_NEGATIVES = {"ce": 0, "sampled-ce": 256, "bce": 1, "gbce": 256}


class Train(Part):
    """The optimisation: full-softmax cross-entropy unless another loss is named (METHOD.md D.1 row 16), a fixed
    budget of epochs (D.3)."""

    loss: Literal["ce", "sampled-ce", "bce", "gbce"] = Field(
        "ce",
        description="what is minimised: cross-entropy of the full softmax; of a softmax over target and negatives; "
        "binary cross-entropy of target against negatives (SASRec's own); or gBCE (gSASRec)",
    )
    negatives: int | None = Field(
        None,
        ge=1,
        description="items drawn against each target, uniformly, with replacement, from all others; none = as usual "
        "for the loss: 1 for bce, 256 for sampled-ce and gbce",
    )
    log_q: bool = Field(
        False, description="sampled-ce: log((n - 1) / negatives) on the negatives' scores, so that it estimates ce"
    )
    gbce_t: float = Field(
        0.75, ge=0, le=1, description="gbce: t of the exponent of sigma(s+); 0 is bce, 1 corrects for sampling in full"
    )
    offset: bool = Field(
        False,
        description="bce, gbce: a constant on all scores while training, so that scores of 0 give each candidate the "
        "share of targets among them; ranks and CE do not see it",
    )
    epochs: int = Field(40, ge=0, description="epochs; the best validation epoch is kept")
    batch_size: int = Field(128, ge=1, description="windows (pieces of histories) per step")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="optimiser")
    momentum: float = Field(0.0, ge=0, lt=1, description="sgd: momentum")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    weight_decay: float = Field(0.0, ge=0, description="weight decay (decoupled for adamw)")
    windows: Literal["fixed", "random"] = Field(
        "random", description="where long histories are cut: at fixed places, or at a new random offset each epoch"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after this many epochs without a better validation; none = never"
    )
    min_steps: int = Field(1000, ge=0, description="patience does not stop before this many steps")
    probe: int = Field(2048, ge=1, description="training positions on which the training CE is measured")

    @model_validator(mode="after")
    def _parts_fit_the_loss(self) -> Train:
        if self.negatives is not None and self.loss == "ce":
            raise ValueError("train.negatives needs train.loss=sampled-ce, bce or gbce; ce sums over all items")
        if self.log_q and self.loss != "sampled-ce":
            raise ValueError(f"train.log_q needs train.loss=sampled-ce, not {self.loss}")
        if self.offset and self.loss not in ("bce", "gbce"):
            raise ValueError(f"train.offset needs train.loss=bce or gbce, not {self.loss}")
        if self.gbce_t != Train.model_fields["gbce_t"].default and self.loss != "gbce":
            raise ValueError(f"train.gbce_t needs train.loss=gbce, not {self.loss}")
        return self

    @property
    def n_negatives(self) -> int:
        """Items drawn against each target; 0 for the full softmax."""
        return _USUAL_NEGATIVES[self.loss] if self.negatives is None else self.negatives


class Evaluate(Part):
    """Full ranking of the catalogue (METHOD.md C)."""

    mask_seen: bool = Field(True, description="leave the user's earlier items out of the ranking (never the target)")
    curvature: int = Field(
        256, ge=0, description="validation prefixes on which curvature is measured during training; 0 = never"
    )


class Execution(Part):
    """How to run it here; never part of the identity."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(
        1, ge=1, description="CPU threads; more help on an idle machine, and change the last bits of the numbers"
    )
    checkpoint_s: float = Field(30.0, gt=0, description="seconds between checkpoints inside an epoch")
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="windows per forward pass; their gradients add up to one step of batch_size windows. none = all at "
        "once; less needs less memory and changes the last bits, and which entries dropout takes",
    )
    time_limit_s: float | None = Field(
        None, gt=0, description="stop an attempt after so many seconds, with its state saved; none = never"
    )


class Experiment(Part):
    """One run, complete: everything that `tfllmer run` resolves presets and flags into."""

    method: str = Field("tf-llmer", description="name of the method preset")
    ablation: str | None = Field(None, description="name of the ablation preset, where the method has any")
    data: Data = Field(default_factory=Data)
    embedding: Embedding = Field(default_factory=Embedding)
    table: Table = Field(default_factory=Table)
    backbone: Backbone = Field(default_factory=SASRec)
    train: Train = Field(default_factory=Train)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    seed: int = Field(0, ge=0, description="seed of initialisation, order, dropout and masking")
    execution: Execution = Field(default_factory=Execution)
    note: str = Field("", description="free text")

    @model_validator(mode="after")
    def _groups_divide_width(self) -> Experiment:
        groups, width = self.embedding.groups, self.backbone.width
        reduced = self.uses_embedding and self.embedding.reduce != "none"
        if reduced and self.embedding.post == "group-whiten" and width % groups:
            raise ValueError(f"embedding.groups={groups} does not divide backbone.width={width}")
        return self

    @model_validator(mode="after")
    def _all_columns_need_an_adapter(self) -> Experiment:
        adapters = ("linear", "mlp", "spectral")
        if self.uses_embedding and self.embedding.reduce == "none" and self.table.inject not in adapters:
            raise ValueError(
                "embedding.reduce=none keeps all columns of the vectors, and backbone.width is another number: "
                f"set table.inject to {', '.join(adapters[:-1])} or {adapters[-1]}, not {self.table.inject}"
            )
        return self

    @property
    def arm(self) -> str:
        """The name of its leaderboard row: `tf-llmer/no-norm`, `id`."""
        return self.method if self.ablation is None else f"{self.method}/{self.ablation}"

    @property
    def uses_embedding(self) -> bool:
        """False for tables that start from random rows or from those of an ID table: the vectors are not read."""
        return self.table.init == "embedding"

    @property
    def uses_id_table(self) -> bool:
        """Whether an ID table is trained first (`engine.training.reference`)."""
        return self.table.init == "id-trained" or (self.uses_embedding and self.embedding.control in _ID_CONTROLS)


def to_json(experiment: Experiment) -> str:
    """The complete specification as one line of JSON; `from_json` is its inverse."""
    return experiment.model_dump_json(by_alias=True)


def from_json(text: str) -> Experiment:
    """Read what `to_json` wrote. Raises UserError where it is not a valid specification."""
    try:
        return Experiment.model_validate_json(text)
    except ValidationError as error:
        raise UserError(explain(error)) from None


# ------------------------------------------------------------------------------------ identity


def identity(experiment: Experiment) -> dict[str, Any]:
    """What the run computes, seed included: fields that only affect execution, names of presets and
    settings that this configuration never reads (the graph of a plain PCA, the vectors of an ID
    table) are left out, so that equal computations have equal identities."""
    e = experiment.model_dump(mode="json", by_alias=True, exclude={"method", "ablation", "execution", "note"})
    e["version"] = IDENTITY_VERSION
    del e["data"]["path"], e["evaluate"]["curvature"]  # what is measured beside changes no number of the run
    if experiment.data.name != "demo":
        del e["data"]["demo"]
    if experiment.data.split != "temporal":
        del e["data"]["valid_share"], e["data"]["test_share"]
    if experiment.uses_embedding:
        del e["embedding"]["path"]
        if experiment.table.inject not in ("sum", "split") and not experiment.uses_id_table:
            del e["table"]["id_sd"]
        _drop_unread_steps(e["embedding"], experiment.embedding)
        if not experiment.embedding.uses_graph:
            del e["embedding"]["lambda"], e["embedding"]["graph"]
        else:
            _drop_unread(e["embedding"]["graph"])
            if experiment.embedding.graph.kind == "empty":
                del e["embedding"]["lambda"]
    else:
        del e["embedding"]
    _drop_defaults(e["table"], experiment.table)
    _drop_unread_of_loss(e["train"], experiment.train)
    if experiment.train.patience is None:
        del e["train"]["min_steps"]
    if experiment.train.optimizer != "sgd":
        del e["train"]["momentum"]
    return e


def _drop_defaults(e: dict[str, Any], table: Table) -> None:
    """Settings of the table that change nothing as they are."""
    read = {
        "id_dims": table.inject == "split",
        "freeze_epochs": table.freeze_epochs > 0,
        "tau_trained": table.tau_trained,
        "bias": table.bias != "none",
    }
    for name, is_read in read.items():
        if not is_read:
            del e[name]


def _drop_unread_of_loss(e: dict[str, Any], train: Train) -> None:
    """What the loss does not read; the full softmax, which was once the only loss, leaves no trace."""
    e["negatives"] = train.n_negatives
    read = {
        "loss": train.loss != "ce",
        "negatives": train.loss != "ce",
        "log_q": train.log_q,
        "offset": train.offset,
        "gbce_t": train.loss == "gbce",
    }
    for name, is_read in read.items():
        if not is_read:
            del e[name]


def _drop_unread_steps(e: dict[str, Any], embedding: Embedding) -> None:
    """Steps that this way from X to Z does not take, and settings of steps that it does not take."""
    read = {
        "popular_share": embedding.reduce == "variance",
        "ae_steps": embedding.reduce == "autoencoder",
        "basis": embedding.basis != "own",
        "post": embedding.post != "none",
        "epsilon": embedding.post not in ("none", "ace"),
        "groups": embedding.post == "group-whiten",
        "shrinkage": embedding.post == "ace",
        "scale": embedding.scale is not None,
        "control": embedding.control != "none",
        "norm_sd": embedding.control == "lognormal-norms",
        "clusters": embedding.control == "cluster-permuted",
        "seed": embedding.is_random,
    }
    for name, is_read in read.items():
        if not is_read:
            del e[name]


def _drop_unread(graph: dict[str, Any]) -> None:
    """Settings that a graph of this kind never reads."""
    kind = graph["kind"]
    all_users = graph["users"] == 1
    if kind != "content":
        del graph["neighbours"]
    if kind in ("content", "empty") or (kind == "co-occurrence" and all_users):
        del graph["seed"]
    if kind in ("content", "empty") or all_users:
        del graph["users"]
    if kind in ("content", "empty"):
        del graph["window"], graph["top_k"], graph["weight"]
    if kind == "empty":
        del graph["laplacian"]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def spec_hash(experiment: Experiment) -> str:
    """Identity of one run, seed included: what "exists already" means."""
    return _digest(identity(experiment))


def config_hash(experiment: Experiment) -> str:
    """Identity without the seed: what a leaderboard row is."""
    e = identity(experiment)
    del e["seed"]
    return _digest(e)


def data_hash(data: Data) -> str:
    """Identity of a prepared and split data set: content and preprocessing, no paths."""
    return _digest(identity(Experiment(data=data))["data"])


def file_fingerprint(paths: Iterable[Path]) -> str:
    """Hash of the files' content (names and places do not count), 16 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


# ------------------------------------------------------------------------------------ messages


def part_of(path: Iterable[str | int], root: type[BaseModel] = Experiment) -> type[BaseModel] | None:
    """The model that the dotted path leads to; None where it leads to a plain field. Names of
    union members, which pydantic puts into its error locations, are stepped into."""
    model: type[BaseModel] = root
    for key in path:
        if key in BACKBONES:
            model = BACKBONES[str(key)]
            continue
        field = next((f for n, f in model.model_fields.items() if key in (n, f.alias)), None)
        if field is None:
            return None
        if get_origin(field.annotation) is not None and _Sequential in _bases(field.annotation):
            model = SASRec
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
        else:
            return None
    return model


def _bases(annotation: Any) -> set[type]:
    return {base for member in get_args(annotation) if isinstance(member, type) for base in member.__mro__}


def fields_of(model: type[BaseModel]) -> list[str]:
    """The names by which people set the model's fields (aliases where there are any)."""
    return [field.alias or name for name, field in model.model_fields.items()]


def explain(error: ValidationError) -> str:
    """The first problem of a pydantic error as one line, with the nearest valid name."""
    first = error.errors(include_url=False)[0]
    location = [key for key in first["loc"] if key not in BACKBONES]
    where = ".".join(str(key) for key in location)
    if first["type"] == "extra_forbidden":
        model = part_of(first["loc"][:-1]) or Experiment
        return f"{where}: no such setting{nearest(str(first['loc'][-1]), fields_of(model))}"
    if first["type"] == "union_tag_invalid":
        given = str(first["ctx"]["tag"])
        return f"{where}.name: no backbone {given!r}{nearest(given, BACKBONES)}"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}: {message}, not {first['input']!r}"
