"""The one list of metrics and the one way to read their names.

    test.ndcg@10   valid.hr@3   mrr   test.coverage@10   train_ce   train_ce@20

A name without a split means test. What is installed beside this program may add metrics: an entry point of the
group `tfllmer.metrics` names a `RankMeasure` or a `ListMeasure` (docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from engine.errors import UserError, nearest
from engine.installed import entries
from engine.metrics import formulas
from engine.metrics.kinds import TOP, CurveMeasure, ListMeasure, Measure, Metric, RankMeasure

CUTOFFS = (10, 5, 20)
"""The cut-offs that every result holds and lists offer, the usual one first; any other may be asked for."""
GROUP = "tfllmer.metrics"
SELECTION = "ndcg@10"
"""The validation metric whose best epoch is kept."""

BUILT_IN: tuple[Measure, ...] = (
    RankMeasure(
        name="ndcg",
        title="NDCG",
        direction="higher",
        about="how far up the held-out item stands among the first k, discounted by the logarithm of its rank",
        formula="mean over users of [r <= k] / log2(r + 1)",
        source="Järvelin and Kekäläinen 2002, with one relevant item",
        gain=formulas.discounted,
    ),
    RankMeasure(
        name="hr",
        title="HR",
        direction="higher",
        about="how often the held-out item is among the first k (recall@k, with one relevant item)",
        formula="mean over users of [r <= k]",
        source="Deshpande and Karypis 2004",
        gain=formulas.hit,
    ),
    RankMeasure(
        name="mrr",
        title="MRR",
        direction="higher",
        about="the mean reciprocal rank of the held-out item, over all ranks or the first k",
        formula="mean over users of 1 / r; with a cut-off of [r <= k] / r",
        source="Voorhees 1999",
        gain=formulas.reciprocal,
        cutoff="optional",
    ),
    CurveMeasure(
        name="train_ce",
        title="train CE",
        direction="lower",
        about="the cross-entropy of a fixed sample of training targets over the whole catalogue, in nats, in "
        "evaluation mode, after an epoch",
        formula="mean over targets of log sum_j exp(s_j) - s_target",
        source="docs/method.md C",
        curve="train_ce",
    ),
    CurveMeasure(
        name="train_ce_mean",
        title="mean train CE",
        direction="lower",
        about="the area under the curve of the training CE over the epochs, as a mean level: it counts how early a "
        "level is reached, where the last epoch says how low it gets",
        formula="(1 / T) sum_t (e_t - e_(t-1)) (v_(t-1) + v_t) / 2, T epochs in all",
        source="docs/method.md D.2",
        curve="train_ce",
        mean=True,
    ),
    ListMeasure(
        name="coverage",
        title="coverage",
        direction="higher",
        about="the share of the catalogue that is recommended to anybody",
        formula="|union of the users' first k| / n items",
        source="Herlocker et al. 2004; Ge et al. 2010, catalogue coverage",
        value=formulas.coverage,
    ),
    ListMeasure(
        name="gini",
        title="Gini",
        direction="lower",
        about="how unequally the recommendations are spread over the catalogue: 0 equally, near 1 on few items",
        formula="sum_i (2 i - n - 1) x_(i) / (n sum x), x_(i) ascending: how often each item is among the first k",
        source="Fleder and Hosanagar 2009",
        value=formulas.gini,
    ),
    ListMeasure(
        name="tail",
        title="tail share",
        direction="higher",
        about="the share of recommendations outside the fifth of the items with most interactions in training",
        formula="mean over users and their first k of [item outside the head]",
        source="Abdollahpouri et al. 2019, average percentage of long-tail items",
        value=formulas.tail,
    ),
    ListMeasure(
        name="novelty",
        title="novelty",
        direction="higher",
        about="how surprising the recommended items are by their popularity alone, in bits",
        formula="mean over users and their first k of -log2((c_i + 1) / (sum c + n)), c: interactions in training",
        source="Zhou et al. 2010; Vargas and Castells 2011, mean self-information",
        value=formulas.novelty,
    ),
    ListMeasure(
        name="popularity_rank",
        title="popularity rank",
        direction="neither",
        about="the mean place of the recommended items by interactions in training, 1 = most popular",
        formula="mean over users and their first k of the item's rank, equal items sharing the mean of theirs",
        source="Celma and Herrera 2008",
        value=formulas.popularity_rank,
        digits=1,
    ),
)


@cache
def measures() -> Mapping[str, Measure]:
    """Every metric by its name without split and cut-off: those that come with the program, then installed ones.
    Raises UserError where an installed one cannot be loaded, is none, or takes the name of another."""
    known = {measure.name: measure for measure in BUILT_IN}
    for name, package, measure in _installed():
        where = f"entry point {name} ({GROUP}) of {package}"
        if not isinstance(measure, RankMeasure | ListMeasure):
            raise UserError(f"{where}: is no RankMeasure or ListMeasure; mend or uninstall it")
        if measure.name in known:
            raise UserError(f"{where}: there is a metric {measure.name} already; mend or uninstall it")
        known[measure.name] = measure
    return known


def _installed() -> Iterator[tuple[str, str, object]]:
    for entry in entries(GROUP):
        package = entry.dist.name if entry.dist else "an unknown package"
        try:
            yield entry.name, package, entry.load()
        except Exception as error:  # whatever the module of another package does
            raise UserError(
                f"entry point {entry.name} ({GROUP}) of {package}: cannot be loaded: {error!r}; mend or uninstall it"
            ) from error


@cache
def offered() -> tuple[Metric, ...]:
    """The metrics that lists offer, the usual cut-off first: those that every result holds."""
    metrics: list[Metric] = []
    for at in CUTOFFS:
        for measure in measures().values():
            if measure.cutoff == "required":
                metrics += [Metric(measure, split, at) for split in measure.splits]
            elif at == CUTOFFS[0]:
                metrics += [Metric(measure, split) for split in measure.splits]
    return tuple(metrics)


# ------------------------------------------------------------------------------------ reading names


def parse_metric(name: str) -> Metric:
    """The metric that a name means; upper and lower case are the same.

    Raises UserError: with the nearest name where there is no such metric, else with what its cut-off, epoch or split
    may be. Filters, sorting, columns, boards, exports and screens all say what this says.
    """
    given = name.strip().lower()
    split, dot, key = given.rpartition(".")
    base, sign, place = key.partition("@")
    measure = measures().get(base)
    if measure is None or (dot and split not in ("test", "valid")) or (dot and isinstance(measure, CurveMeasure)):
        raise UserError(f"no metric {name.strip()!r}{nearest(given, _near(base, sign + place, dotted=bool(dot)))}")
    if isinstance(measure, CurveMeasure):
        return Metric(measure, "train", _epoch(name, base, place) if sign else None)
    if split == "valid" and isinstance(measure, ListMeasure):
        raise UserError(f"metric {name.strip()!r}: top lists are kept of test users only; write {key}")
    at = _cutoff(name, measure, place) if sign else None
    if at is None and measure.cutoff == "required":
        raise UserError(f"metric {name.strip()!r}: needs a cut-off; write {given}@{CUTOFFS[0]}")
    return Metric(measure, "valid" if split == "valid" else "test", at)


def is_metric_name(name: str) -> bool:
    """Whether a name is meant as a metric's, be it right or wrong."""
    base = name.strip().lower().rpartition(".")[2].partition("@")[0]
    return "@" in name or base in measures()


def _epoch(name: str, base: str, place: str) -> int:
    if place.isascii() and place.isdigit() and len(place) < 10:
        return int(place)
    raise UserError(f"metric {name.strip()!r}: {place!r} is no epoch; write {base}@20, or {base} for the last epoch")


def _cutoff(name: str, measure: RankMeasure | ListMeasure, place: str) -> int:
    right = f"{measure.name}@{CUTOFFS[0]}"
    if not (place.isascii() and place.isdigit() and len(place) < 10 and not place.startswith("0")):
        raise UserError(f"metric {name.strip()!r}: {place!r} is no cut-off, which is a number from 1 on; write {right}")
    if isinstance(measure, ListMeasure) and int(place) > TOP:
        raise UserError(
            f"metric {name.strip()!r}: the first {TOP} items of each list are kept, so its cut-off is at most {TOP}"
        )
    return int(place)


def _near(base: str, place: str, *, dotted: bool) -> list[str]:
    """Names like the one given, to find the nearest among: with its split and its cut-off."""
    names = []
    for measure in measures().values():
        keys = [f"{measure.name}{place}"] if place and not isinstance(measure, CurveMeasure) else []
        keys = keys or ([f"{measure.name}@{CUTOFFS[0]}"] if measure.cutoff == "required" else [measure.name])
        for split in measure.splits:
            names += [f"{split}.{key}" if dotted and split != "train" else key for key in keys]
    return list(dict.fromkeys(names))
