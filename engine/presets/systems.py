"""Every system of the paper's references and of this field that stands beside it, and what there is of it here.

A preset without a line here, and a line with a preset that does not exist, fail a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["exact", "ours", "vectors", "ranks"]

STATES: dict[State, str] = {
    "exact": "exact",
    "ours": "ours, with a named difference",
    "vectors": "vectors supplied",
    "ranks": "ranks imported",
}
"""What the states are called: the published equations, checked against a slow reference; the same with a difference
that is named; a recommender for vectors that the system has made elsewhere; nothing but a place on the boards."""


@dataclass(frozen=True)
class System:
    """One system."""

    name: str
    reference: str
    state: State
    difference: str = ""
    """What differs from the publication; empty where nothing does."""
    method: str | None = None
    backbone: str | None = None
    settings: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What runs it, or brings it in."""
        if self.state == "ranks":
            return (
                f"tfllmer import ranks FILE --system {self.name.lower().replace(' ', '-')} --split FOLDER --seen masked"
            )
        words = ["tfllmer run"]
        words += [f"--backbone {self.backbone}"] if self.backbone else []
        words += [f"--method {self.method}"] if self.method else []
        words += ["--embedding FILE"] if self.state == "vectors" else []
        return " ".join([*words, *(f"--set {each}" for each in self.settings)])

    @property
    def page(self) -> str:
        """Where it is described."""
        if self.method and self.method not in _IN_METHOD:
            return f"docs/methods/{self.method}.md"
        if self.backbone:
            return "docs/models.md"
        return "docs/method.md" if self.method else "docs/outside.md"


_IN_METHOD = ("id", "id-norm", "tf-llmer", "llm-pca")


def systems() -> tuple[System, ...]:
    """All of them: the paper's own, vectors in recommenders and in graphs, sequences, graphs, closed forms, and what
    needs an LLM."""
    return (*_own(), *_vectors(), *_guided(), *_distilled(), *_sequences(), *_graphs(), *_closed_forms(), *_tuned())


def _own() -> Iterator[System]:
    paper = "arXiv 2604.20490"
    yield System("TF-LLMER", paper, "ours", "our reading: the abstract gives no equation", method="tf-llmer")
    yield System("ID table", paper, "exact", method="id")
    yield System("ID table, unit rows", paper, "ours", "a control of this program", method="id-norm")
    yield System("PCA of LLM vectors", paper, "ours", "the usual way in, without one source", method="llm-pca")


def _vectors() -> Iterator[System]:
    init = "Zhang et al. 2025, arXiv 2503.01814"
    yield System(
        "LLMInit (Var)", init, "ours", "users are trained, not means of items, unless asked", method="llm-init"
    )
    yield System("LLMInit (Rand)", init, "ours", "the same", method="llm-init-random")
    yield System("LLMInit (Uni)", init, "ours", "the same", method="llm-init-uniform")
    yield System(
        "LLM2X",
        "Harte et al., RecSys 2023; Boz et al., TORS 2025",
        "ours",
        "its autoencoder is linear here",
        method="llm2x",
    )
    yield System(
        "WhitenRec", "Zhang et al., ICDE 2024, arXiv 2402.10602", "ours", "width of the head is d", method="whitenrec"
    )
    yield System("WhitenRec+", "Zhang et al., ICDE 2024, arXiv 2402.10602", "ours", "the same", method="whitenrec-plus")
    yield System(
        "DWSRec",
        "Zhang et al., AAAI 2024",
        "ours",
        "views are read apart, without attention across them",
        method="dwsrec",
    )
    yield System(
        "AlphaFuse", "Hu et al., SIGIR 2025", "ours", "full softmax, cosine in training and ranking", method="alphafuse"
    )
    yield System(
        "UniSRec",
        "Hou et al., KDD 2022, arXiv 2206.05941",
        "ours",
        "without pre-training, text alone",
        method="unisrec",
    )
    yield System("MoRec", "Yuan et al., SIGIR 2023, arXiv 2303.13835", "ours", "its encoder is frozen", method="morec")
    yield System(
        "RecXplore", "Shi et al. 2025, arXiv 2509.14979", "ours", "its best adapter; no tuned LLM", method="recxplore"
    )
    yield System("ACE", "SIGIR 2026, arXiv 2605.29322", "ours", "read through a secondary note", method="ace")
    yield System(
        "SpecTran", "Cui et al., SIGIR 2026, arXiv 2601.21986", "ours", "its formula is ours", method="spectran-like"
    )
    yield System(
        "LLM-ESR",
        "Liu et al., NeurIPS 2024, arXiv 2405.20646",
        "ours",
        "causal cross-attention, full softmax; vectors of users are a substitute: means of their items",
        method="llm-esr",
    )
    yield System(
        "LLMEmb", "Liu et al., AAAI 2025, arXiv 2409.19925", "ours", "stage 2 (RAT) on any vectors", method="llmemb"
    )
    yield System("LLM2Rec", "He et al., KDD 2025, arXiv 2506.21579", "vectors", "its recommender", method="llm2rec")
    yield System("SAID", "Hu et al., WWW 2024", "vectors", "its recommender, our reading", method="said")


def _guided() -> Iterator[System]:
    yield System("AlphaRec", "Sheng et al., ICLR 2025, arXiv 2407.05441", "exact", "", "alpharec", "lightgcn")
    means = "vectors of users are means of their items'; no dropout of edges"
    rlmrec = "Ren et al., WWW 2024, arXiv 2310.15950"
    yield System("RLMRec-Con", rlmrec, "ours", means, "rlmrec-con", "lightgcn")
    yield System("RLMRec-Gen", rlmrec, "ours", means, "rlmrec-gen", "lightgcn")
    paper = "Yang et al., ICDE 2025, arXiv 2408.08231"
    yield System("DaRec", paper, "ours", "its terms as the abstract names them", "darec", "lightgcn")


def _distilled() -> Iterator[System]:
    for name, reference, kind, difference, backbone in (
        ("FreqD", "Zhu & Zhang 2024", "freqd", "no dropout of the graph's edges", "lightgcn"),
        ("FF-G2M", "Wu et al., AAAI 2023", "ff-g2m", "columns of rows for classes", "mlp"),
        ("Soft labels", "Menon et al., ICML 2021", "soft-labels", "the teacher's best items alone", "lightgcn"),
    ):
        yield System(name, reference, "ours", difference, "distil", backbone, (f"train.distil={kind}",))


def _sequences() -> Iterator[System]:
    yield System(
        "GRU4Rec", "Hidasi et al., ICLR 2016", "ours", "full softmax, not TOP1", method="id", backbone="gru4rec"
    )
    yield System(
        "SASRec", "Kang & McAuley, ICDM 2018", "ours", "pre-norm, full softmax", method="id", backbone="sasrec"
    )
    yield System("BERT4Rec", "Sun et al., CIKM 2019", "ours", "pre-norm blocks", "id", "bert4rec")
    yield System(
        "gSASRec", "Petrov & Macdonald, RecSys 2023", "ours", "one table", "id", "sasrec", ("train.loss=gbce",)
    )
    yield System("SASRec+", "Klenitskiy & Vasilev, RecSys 2023", "ours", "pre-norm blocks", "id", "sasrec")
    yield System("HSTU", "Zhai et al., ICML 2024", "ours", "the time bias uses the place's own time", "id", "hstu")
    yield System("BSARec", "Shin et al., AAAI 2024", "ours", "padding and positions", "id", "bsarec")
    yield System("FMLP-Rec", "Zhou et al., WWW 2022", "ours", "padding and positions", "id", "fmlp-rec")
    yield System("SR-GNN", "Wu et al., AAAI 2019", "ours", "weights of edges as in the paper", "id", "sr-gnn")


def _graphs() -> Iterator[System]:
    yield System("LightGCN", "He et al., SIGIR 2020", "exact", "", "id", "lightgcn")
    yield System("NGCF", "Wang et al., SIGIR 2019", "ours", "no dropout of edges", "id", "ngcf")
    yield System("GCN", "Kipf & Welling, ICLR 2017", "ours", "as a recommender, with a pairwise loss", "id", "gcn")
    yield System("GIN", "Xu et al., ICLR 2019", "ours", "as a recommender, with a pairwise loss", "id", "gin")
    yield System("JGCF", "Guo et al., KDD 2023", "exact", "", "id", "jgcf")
    yield System("GDE", "Peng et al., SIGIR 2022", "ours", "dropout acts on initial rows", "id", "gde")
    yield System("SVD-GCN", "Peng et al., CIKM 2022", "ours", "the basic form", "id", "svd-gcn")
    yield System("HetGNN", "Zhang et al., KDD 2019", "ranks")


def _closed_forms() -> Iterator[System]:
    yield System("SVD-GCN-S", "Peng et al., CIKM 2022", "ours", "held-out items are folded in", None, "svd-gcn-s")
    yield System("EASE", "Steck, WWW 2019", "exact", "", None, "ease")
    yield System("GF-CF", "Shen et al., CIKM 2021", "exact", "", None, "gf-cf")
    yield System("SGFCF", "Peng et al., KDD 2024", "ours", "held-out items are folded in", None, "sgfcf")
    yield System("L3AE", "Moon et al., CIKM 2025", "exact", "", None, "l3ae")
    yield System("SLIM", "Ning & Karypis, ICDM 2011", "exact", "", None, "slim")
    yield System("Item kNN", "Sarwar et al., WWW 2001", "ours", "cosine with shrinkage", None, "item-knn")
    yield System("Popularity", "the floor of all", "exact", "", None, "popularity")
    yield System("Markov chain", "the floor for sequences", "exact", "", None, "markov")


def _tuned() -> Iterator[System]:
    for name, reference in (
        ("LLM-CF", "Sun et al., CIKM 2024"),
        ("SLMRec", "Xu et al., ICLR 2025"),
        ("META ID", "arXiv 2406.08477"),
        ("Rec-R1", "Lin et al. 2025, arXiv 2503.24289"),
        ("LatentR3", "arXiv 2505.19092"),
        ("D3", "Bao et al. 2024, arXiv 2406.14900"),
    ):
        yield System(name, reference, "ranks")
