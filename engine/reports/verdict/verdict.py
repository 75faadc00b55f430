"""Does the claim hold on these runs: the rule of docs/method.md D.3, the 2 x 2 effects, rivals, explained shares.

The claim: LLM vectors keep the training CE above that of an ID baseline, and normalisation and Rec-PCA
together, but neither alone, bring it down to that level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.errors import UserError
from engine.metrics import parse_metric
from engine.reports.boards.arms import Arm, Bench, benches, essence
from engine.reports.boards.budgets import ROW_LENGTH, SHARED, UnequalBudget, unequal_values
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.shared import unshared
from engine.reports.stats.paired import paired_differences
from engine.reports.stats.statistics import Summary, seeds_to_decide, summary
from engine.reports.verdict.convergence import first_epoch_at, has_converged
from engine.reports.verdict.effects import Effect, effects_of
from engine.reports.verdict.explain import Explained, explained
from engine.spec import MARGIN, PCA, Experiment, Tuning

Outcome: TypeAlias = Literal["reaches", "misses", "undecided"]
Role: TypeAlias = Literal["norm + Rec-PCA", "norm only", "Rec-PCA only", "neither", "baseline", "rival", "other"]

BASELINES = ("id", "id-norm")
CORE: dict[Role, str] = {
    "norm + Rec-PCA": "tf-llmer/full",
    "norm only": "tf-llmer/no-rec-pca",
    "Rec-PCA only": "tf-llmer/no-norm",
    "neither": "tf-llmer/no-both",
}
_TAKEN_AWAY: dict[Role, tuple[bool, bool]] = {
    "norm + Rec-PCA": (False, False),
    "norm only": (False, True),
    "Rec-PCA only": (True, False),
    "neither": (True, True),
}
"""Whether an arm of the 2 x 2 lacks normalisation, and Rec-PCA."""
_WHITENED = ("whitening", "zca", "cholesky", "batch-norm", "group-whitening", "whitening-head", "zca-head")
RIVALS = (*(f"tf-llmer/{ablation}" for ablation in (*_WHITENED, "ace", "rescale")), "ace", "llm-pca")
"""Arms without the collaborative graph or without normalisation that would refute the claim by reaching too, as they
are or with settings changed by hand (whitening with and without normalised rows)."""

_CE = parse_metric("train_ce")
_MEAN_CE = parse_metric("train_ce_mean")
_NDCG = parse_metric("test.ndcg@10")


@dataclass(frozen=True)
class Standing:
    """An arm against the baseline b."""

    arm: Arm
    role: Role
    ce: Summary
    """Training CE at the last epoch, evaluation mode, over all its seeds."""
    ndcg: Summary | None
    """Test NDCG@10 at the best validation epoch."""
    valid_ce: float | None
    """Mean over seeds, at the best validation epoch."""
    gap: Summary | None
    """arm - b over the seeds that both have; None for b itself, and without a common seed."""
    outcome: Outcome | None
    """None for the baselines."""
    mean_ce: Summary | None
    """Area under the curve, as the mean level of the training CE over the epochs; None where it was not measured."""
    epochs_to_b: int | None
    """The first epoch whose mean training CE over seeds is not above b; None where it never gets there."""
    converged: bool
    """Whether no run's training CE still fell by a tenth of the margin or more over its last ten epochs."""
    seeds_needed: int | None
    """Seeds in all that would probably decide an undecided arm; None where that cannot be told."""


@dataclass(frozen=True)
class Verdict:
    bench: Bench
    margin_share: float
    margin: float
    """delta = share of b, in nats."""
    baseline: Standing
    standings: tuple[Standing, ...]
    """Baselines, then the 2 x 2, rivals, others."""
    supported: bool | None
    """The rule on the four arms and the rivals; None where it is undecided."""
    verdict: str
    effects: tuple[Effect, ...]
    explained: Explained
    differences: tuple[UnequalBudget, ...]
    """What the baseline and the arms of the 2 x 2 do not share, beside what the 2 x 2 is about; and where they, or a
    rival, were tuned more than others."""
    withheld: bool
    """Whether the rule's outcome is not told, since the arms' row lengths differ and were not searched alike, or since
    it would be "supported" and something else differs."""
    tuning: Tuning | None
    """Where the baseline and the arms of the 2 x 2 were tuned alike."""
    not_converged: tuple[str, ...]
    """Arms of the comparison whose training CE was still falling."""
    untuned: tuple[str, ...]
    """Arms of the comparison that had no grid of learning rates, or another one than the others."""
    notes: tuple[str, ...]

    def of(self, role: Role) -> Standing | None:
        return next((s for s in self.standings if s.role == role), None)

    @property
    def reaching_rivals(self) -> list[Standing]:
        return [s for s in self.standings if s.role == "rival" and s.outcome == "reaches"]


def verdicts(
    evidence: Iterable[Evidence], *, margin: float = MARGIN, baselines: Sequence[str] = BASELINES
) -> list[Verdict]:
    """One verdict per data set, backbone, vectors and budget that has a baseline and one of the four arms.

    margin: delta as a share of b, to be fixed before looking. baselines: names of the ID arms; the one of
    lower mean training CE is b. Raises UserError where there is nothing to judge.
    """
    runs = list(evidence)
    complete = [run for run in runs if not run.stopped_early()]
    refused = [run for run in runs if run.stopped_early()]
    judgements = [
        _verdict(bench, margin, baselines, _refusals(bench, refused))
        for bench in benches(complete)
        if any(bench.arm(name) for name in baselines) and core_arms(bench)
    ]
    if not judgements:
        early = f"; {len(refused)} were stopped before their last epoch and do not count" if refused else ""
        needed = f"a baseline ({' or '.join(baselines)}) and an arm of the 2 x 2 ({', '.join(CORE.values())})"
        raise UserError(f"verdict: needs finished runs of {needed} on one data set and backbone{early}")
    return judgements


def core_arms(bench: Bench) -> dict[Role, Arm]:
    """The arms of the 2 x 2 that were trained: by their presets' names, else by what they compute, taken from
    norm + Rec-PCA."""
    full = bench.arm(CORE["norm + Rec-PCA"])
    by_essence = {essence(arm.runs[0].experiment): arm for arm in bench.arms}
    by_role = {}
    for role, name in CORE.items():
        arm = bench.arm(name)
        if arm is None and full is not None:
            arm = by_essence.get(essence(_without(full.runs[0].experiment, *_TAKEN_AWAY[role])))
        if arm is not None:
            by_role[role] = arm
    return by_role


def _without(full: Experiment, norm: bool, rec_pca: bool) -> Experiment:
    """norm + Rec-PCA with components taken away, as the ablations do."""
    table = full.table.model_copy(update={"normalize": "none"}) if norm else full.table
    embedding = full.embedding
    if rec_pca and embedding is not None:
        embedding = embedding.model_copy(update={"reduce": PCA()})
    return full.model_copy(update={"table": table, "embedding": embedding})


def _refusals(bench: Bench, refused: Sequence[Evidence]) -> list[str]:
    early = [
        run
        for run in refused
        if (run.experiment.data.name, run.experiment.backbone.name) == (bench.dataset, bench.backbone)
    ]
    arms = ", ".join(sorted({run.experiment.arm for run in early}))
    text = (
        f"{len(early)} runs stopped before their last epoch do not count ({arms}); a verdict needs train.until=budget"
    )
    return [text] if early else []


# ------------------------------------------------------------------------------------ the rule


def _verdict(bench: Bench, share: float, baselines: Sequence[str], notes: list[str]) -> Verdict:
    candidates = [arm for name in baselines if (arm := bench.arm(name)) is not None]
    best = min(candidates, key=lambda arm: summary(list(arm.values(_CE).values())).mean)
    b = summary(list(best.values(_CE).values())).mean
    core = core_arms(bench)
    standings = [_standing(arm, role, best, b, share * b) for arm, role in _roles(bench, candidates, core)]
    notes += [f"no finished run of {role} ({name})" for role, name in CORE.items() if role not in core]
    notes += _fairness(bench, core)
    if any(s.outcome == "undecided" and (s.gap is None or s.gap.n == 1) for s in standings):
        notes.append("an arm needs two seeds or more in common with the baseline, better five, for an interval")
    compared = [best, *core.values()]
    differences = _differences(compared)
    lengths = _lengths_differ(compared)
    outcomes = {s.role: s.outcome for s in standings if s.role in CORE}
    comparable = [s for s in standings if s.role != "rival" or not _lengths_differ([best, s.arm])]
    notes += [
        f"{s.arm.name} refutes nothing: {_lengths_differ([best, s.arm])[0].text()}"
        for s in standings
        if s not in comparable
    ]
    supported, verdict = _decide(outcomes, comparable)
    differences += _unequal_tuning([*compared, *(s.arm for s in comparable if s.role == "rival")])
    withheld = bool(lengths) or (supported is True and bool(differences))
    if withheld:
        supported, verdict = None, _withheld(lengths or differences, lengths=bool(lengths))
    return Verdict(
        bench=bench,
        margin_share=share,
        margin=share * b,
        baseline=next(s for s in standings if s.arm is best),
        standings=tuple(standings),
        supported=supported,
        verdict=verdict,
        effects=tuple(effects_of([core[role] for role in CORE]) if len(core) == len(CORE) else ()),
        explained=explained(bench, best),
        differences=tuple(differences),
        withheld=withheld,
        tuning=tuned_alike(compared),
        not_converged=tuple(s.arm.name for s in standings if s.role != "other" and not s.converged),
        untuned=tuple(_untuned([s for s in standings if s.role != "other"])),
        notes=tuple(notes),
    )


def _roles(bench: Bench, baselines: Sequence[Arm], core: Mapping[Role, Arm]) -> list[tuple[Arm, Role]]:
    assigned = [*baselines, *core.values()]
    unassigned = [arm for arm in bench.arms if arm not in assigned]
    rivals = [arm for arm in unassigned if _is_rival(arm)]
    others = [arm for arm in unassigned if arm not in rivals]
    return [
        *((arm, "baseline") for arm in baselines),
        *((arm, role) for role, arm in core.items()),
        *((arm, "rival") for arm in rivals),
        *((arm, "other") for arm in others),
    ]


def _is_rival(arm: Arm) -> bool:
    return any(run.experiment.arm in RIVALS for run in arm.runs)


def _standing(arm: Arm, role: Role, best: Arm, b: float, margin: float) -> Standing:
    ce, ndcg, level = arm.values(_CE), arm.values(_NDCG), arm.values(_MEAN_CE)
    differences = paired_differences(ce, best.values(_CE))
    gap = summary(differences) if differences and arm is not best else None
    outcome = None if role == "baseline" else judge(gap, margin)
    valid = [v for run in arm.runs if (v := run.result.valid_ce) is not None]
    return Standing(
        arm=arm,
        role=role,
        ce=summary(list(ce.values())),
        ndcg=summary(list(ndcg.values())) if ndcg else None,
        valid_ce=sum(valid) / len(valid) if valid else None,
        gap=gap,
        outcome=outcome,
        mean_ce=summary(list(level.values())) if level else None,
        epochs_to_b=first_epoch_at(arm, b),
        converged=all(has_converged(run, margin) for run in arm.runs),
        seeds_needed=seeds_to_decide(differences, margin) if outcome == "undecided" else None,
    )


def judge(gap: Summary | None, margin: float) -> Outcome:
    """An arm reaches the baseline if hi < margin, misses it if lo > margin, else it is undecided;
    without an interval (fewer than two paired seeds) it is undecided."""
    if gap is None or gap.lo is None or gap.hi is None:
        return "undecided"
    return "reaches" if gap.hi < margin else "misses" if gap.lo > margin else "undecided"


def _decide(core: dict[Role, Outcome | None], standings: Sequence[Standing]) -> tuple[bool | None, str]:
    """Supported iff norm + Rec-PCA reaches and each of the other three misses; what else can be said."""
    both, neither = core.get("norm + Rec-PCA"), core.get("neither")
    singles: list[Role] = ["norm only", "Rec-PCA only"]
    reaching = [role for role in singles if core.get(role) == "reaches"]
    if both == "misses":
        return False, "not supported: norm + Rec-PCA misses the baseline"
    if neither == "reaches":
        return False, "not supported: there is no barrier, LLM vectors reach the baseline with neither component"
    if reaching:
        one = f"{' and '.join(reaching)} reach{'es' * (len(reaching) == 1)}"
        if both == "reaches" and neither == "misses":
            return False, f"supported with one component: {one} too"
        return False, f"not supported: {one} the baseline alone"
    if both == "reaches" and all(core.get(role) == "misses" for role in singles) and neither == "misses":
        rivals = [s.arm.name for s in standings if s.role == "rival" and s.outcome == "reaches"]
        return (False, f"not supported: a rival reaches too ({', '.join(rivals)})") if rivals else (True, "supported")
    missing = len(core) < len(CORE)
    return None, f"undecided: {'arms of the 2 x 2 are missing' if missing else 'more seeds needed'}"


# ------------------------------------------------------------------------------------ fairness


def _differences(arms: Sequence[Arm]) -> list[UnequalBudget]:
    """What these arms do not share, without what validation chose for all of them."""
    searched = {ROW_LENGTH} if _searched_alike(arms) else set()
    searched |= {name for name in SHARED if all(_searched(name, arm) for arm in arms)}
    return [each for each in unshared({arm.name: arm.runs for arm in arms}) if each.setting not in searched]


def _lengths_differ(arms: Sequence[Arm]) -> list[UnequalBudget]:
    """The row lengths of these arms where they differ, a hidden learning rate (docs/method.md H.1)."""
    return [each for each in _differences(arms) if each.setting == ROW_LENGTH]


def _unequal_tuning(arms: Sequence[Arm]) -> list[UnequalBudget]:
    """Whether some arms were chosen among more settings, or among other ones, of what all arms have; of those that
    were tuned by a command, what they share says so."""
    arms = [arm for arm in arms if arm.tuning is None]
    return [
        *unequal_values("settings tried:", {arm.name: arm.tried for arm in arms}),
        *unequal_values("train.lr tried:", {arm.name: _numbers(arm.lrs) for arm in arms}),
        *unequal_values("train.weight_decay tried:", {arm.name: _numbers(arm.decays) for arm in arms}),
    ]


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _searched_alike(arms: Sequence[Arm]) -> bool:
    """Whether each arm chose its row length among the same ones."""
    if tuned_alike(arms) is not None and all(_searched("table.row_length", arm) for arm in arms):
        return True
    return len(arms[0].lengths) > 1 and all(arm.lengths == arms[0].lengths for arm in arms)


def _withheld(differences: Sequence[UnequalBudget], *, lengths: bool) -> str:
    what = "; ".join(each.text() for each in differences)
    if lengths:
        return (
            f"withheld: the arms' row lengths differ, a hidden learning rate ({what}); train all with one "
            "table.row_length, or search it alike for every arm"
        )
    return f"withheld: the arms do not share what they should ({what})"


def _untuned(standings: Sequence[Standing]) -> list[str]:
    """Arms that are of no tuned preset, and without a grid of learning rates or with another grid than the widest."""
    untuned = [s.arm for s in standings if s.arm.tuning is None]
    widest = max((arm.lrs for arm in untuned), key=len, default=())
    return [arm.name for arm in untuned if len(arm.lrs) < 2 or arm.lrs != widest]


def tuned_alike(arms: Sequence[Arm]) -> Tuning | None:
    """What one of the arms knows of its tuning where all had the same number of trials in the same space, chosen by
    the same criterion."""
    known = [arm.tuning for arm in arms if arm.tuning is not None]
    alike = len(known) == len(arms) and len({tuning.text for tuning in known}) == 1
    return known[0] if alike else None


_SHARED: tuple[tuple[str, Callable[[Experiment], object]], ...] = (
    ("embedding.center", lambda e: None if e.embedding is None else e.embedding.center),
    ("embedding.pre_normalize", lambda e: None if e.embedding is None else e.embedding.pre_normalize),
    ("table.normalize_h", lambda e: e.table.normalize_h),
    ("table.tau", lambda e: e.table.tau),
    ("table.inject", lambda e: e.table.inject.kind),
)


def _fairness(bench: Bench, core: Mapping[Role, Arm]) -> list[str]:
    """What the arms of the comparison should share and do not (docs/method.md D.3, "Fair arms")."""
    notes = []
    full = core.get("norm + Rec-PCA")
    judged = [*core.values(), *(arm for arm in bench.arms if arm not in core.values() and _is_rival(arm))]
    for arm in judged if full else []:
        assert full is not None
        mine, its = arm.runs[0].experiment, full.runs[0].experiment
        searched = {name for name, _ in _SHARED if _searched(name, arm) and _searched(name, full)}
        differ = [(name, of) for name, of in _SHARED if of(mine) != of(its) and name not in searched]
        other = [f"{name} {of(mine)}, not {of(its)}" for name, of in differ]
        if other:
            notes.append(f"{arm.name} does not share everything with norm + Rec-PCA: {', '.join(other)}")
    if full and full.runs[0].experiment.table.inject.kind == "frozen":
        notes.append("norm + Rec-PCA is frozen: it has fewer free parameters than the ID baseline, whatever its loss")
    if not any(run.experiment.arm == "tf-llmer/rescale" for arm in bench.arms for run in arm.runs):
        notes.append("without the arm rescale, the norm arm says nothing of disparity apart from scale")
    return notes


def _searched(name: str, arm: Arm) -> bool:
    """Whether validation chose this setting of the arm."""
    if arm.tuning is not None:
        return name in arm.tuning.settings
    return arm.tried > 1 and any(choice.startswith(f"{name}=") for choice in arm.choice)
