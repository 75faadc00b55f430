"""A verdict in words that can be quoted, as a table, and as JSON."""

from __future__ import annotations

from typing import Any

from engine.reports.boards.compare import summary_json, test_json
from engine.reports.render.layouts import Entry, Grid
from engine.reports.stats.numbers import finite, p_text
from engine.reports.stats.statistics import FEW_SEEDS, MOST_SEEDS, POWER, Summary, caution
from engine.reports.verdict.effects import Effect
from engine.reports.verdict.verdict import CORE, Standing, Verdict
from engine.spec import Converged

_FLAT = Converged()


def prose(verdict: Verdict) -> list[str]:
    """Paragraphs: the verdict, how it comes about, the 2 x 2, rivals, explained shares, reservations."""
    paragraphs = [_headline(verdict), _arms(verdict), _effects(verdict), _rivals(verdict), _explained(verdict)]
    notes = [f"Not shared: {'; '.join(each.text() for each in verdict.differences)}."] if verdict.differences else []
    notes += [f"Reservation: {note}." for note in verdict.notes]
    few = {s.gap.n for s in verdict.standings if s.outcome in ("reaches", "misses") and s.gap and s.gap.n < FEW_SEEDS}
    notes += [f"Caution: {caution(few)}."] if few else []
    return [paragraph for paragraph in [*paragraphs, *notes] if paragraph]


def _headline(verdict: Verdict) -> str:
    bench, b = verdict.bench, verdict.baseline
    others = [s for s in verdict.standings if s.role == "baseline" and s is not b]
    remainder = f" ({', '.join(f'{s.arm.name}: {_mean(s.ce)}' for s in others)})" if others else ""
    vectors = f" and vectors {bench.embedding}" if bench.embedding else ""
    changed = f" ({', '.join(bench.conditions)})" if bench.conditions else ""
    return (
        f"Claim: normalisation and Rec-PCA together, and neither alone, bring the training loss of a recommender with "
        f"LLM vectors down to that of an ID baseline. On {bench.dataset} with {bench.backbone}{vectors}{changed}: "
        f"{verdict.verdict}. The baseline is {b.arm.name}{_choice(b)}, training CE {_mean(b.ce)} nats after "
        f"{bench.epochs} epochs{remainder}; the margin is {100 * verdict.margin_share:g} % of it, {verdict.margin:.4f} "
        f"nats.{_tuned(verdict)}{_untuned(verdict)}{_not_converged(verdict)}"
    )


def _tuned(verdict: Verdict) -> str:
    tuning = verdict.tuning
    if tuning is None:
        return ""
    about = "" if tuning.by.endswith("_ce") else "; that is a choice for claims about ranking, and this one is about CE"
    return f" Tuned alike: the baseline and the 2 x 2 had {tuning.text} each (tuned preset {tuning.name}){about}."


def _untuned(verdict: Verdict) -> str:
    if not verdict.untuned:
        return ""
    if len(verdict.untuned) == sum(s.role != "other" for s in verdict.standings):
        return " Untuned: no arm had a grid of learning rates."
    return f" Untuned, or tuned on another grid of learning rates than the rest: {', '.join(verdict.untuned)}."


def _not_converged(verdict: Verdict) -> str:
    if not verdict.not_converged:
        return ""
    falls = f"over the last {_FLAT.window} epochs the CE still fell by {_FLAT.share:g} of the margin"
    return f" Not converged ({falls}): {falling(verdict)}."


def falling(verdict: Verdict) -> str:
    """The arms that have not converged, in words."""
    judged = [s for s in verdict.standings if s.role != "other"]
    return "all arms" if len(verdict.not_converged) == len(judged) else ", ".join(verdict.not_converged)


def _arms(verdict: Verdict) -> str:
    parts = [f"{role} ({s.arm.name}{_choice(s)}) {_outcome(s)}" for role in CORE if (s := verdict.of(role)) is not None]
    return f"{'; '.join(parts)}." if parts else ""


def _outcome(standing: Standing) -> str:
    if standing.gap is None:
        return "is undecided: it shares no seed with the baseline"
    gap = standing.gap
    numbers = f"{gap.mean:+.4f}"
    if gap.lo is None or gap.hi is None:
        return f"is undecided ({numbers}; one seed has no interval)"
    numbers = f"{numbers}, 95 % interval [{gap.lo:+.4f}, {gap.hi:+.4f}], {gap.n} seeds"
    if standing.outcome != "undecided":
        return f"{standing.outcome} the baseline ({numbers})"
    more = standing.seeds_needed - gap.n if standing.seeds_needed is not None else None
    advice = (
        f"about {more} more seed{'s' * (more != 1)} would probably decide ({100 * POWER:.0f} % chance, if mean and "
        "spread stay)"
        if more is not None
        else f"not even {MOST_SEEDS} seeds would probably decide; it lies at the margin"
    )
    return f"is undecided ({numbers}): {advice}"


def _effects(verdict: Verdict) -> str:
    if not verdict.effects:
        return ""
    effects = [f"{e.name} on {e.metric.title} {_effect(e)}" for e in verdict.effects]
    refused = dict.fromkeys(e.refused for e in verdict.effects if e.refused)
    how = "; ".join(refused) or "paired over seeds, 95 % intervals of each effect alone, not adjusted; p after Holm"
    return f"Effects in the 2 x 2 ({how}): {'; '.join(effects)}."


def _effect(effect: Effect) -> str:
    if effect.test is None or effect.p_holm is None:
        return f"{effect.mean:+.4f}"
    test = effect.test
    return f"{test.difference:+.4f} [{test.lo:+.4f}, {test.hi:+.4f}], p = {p_text(effect.p_holm)}".replace("= <", "<")


def _rivals(verdict: Verdict) -> str:
    rivals = [s for s in verdict.standings if s.role == "rival"]
    if not rivals:
        return "No rival (whitening, ACE, plain PCA, rescale) was trained, so none can refute the claim."
    return f"Rivals: {'; '.join(f'{s.arm.name}{_choice(s)} {_outcome(s)}' for s in rivals)}."


def _explained(verdict: Verdict) -> str:
    explained = verdict.explained
    if not explained.shares:
        return f"Explained shares: {explained.note}."
    shares = []
    for share in explained.shares:
        partial = (
            ""
            if share.partial_r2 is None or share.lo is None or share.hi is None
            else f"partial R² {share.partial_r2:.2f} [{share.lo:.2f}, {share.hi:.2f}], "
        )
        shares.append(
            f"{share.name}: {partial}Spearman {share.spearman:+.2f} (p {p_text(share.spearman_p)}, {share.n} arms)"
        )
    whole = "" if explained.r2 is None else f"; R² {explained.r2:.2f}"
    return f"Explained shares of the gap in training CE ({explained.note}{whole}): {'; '.join(shares)}."


def _mean(summary: Summary) -> str:
    return f"{summary.mean:.4f}" if summary.sd is None else f"{summary.mean:.4f} ± {summary.sd:.4f}"


def _choice(standing: Standing) -> str:
    if standing.arm.tried == 1:
        return ""
    settings = ", ".join(standing.arm.choice) or "as preset"
    return f" [{settings}, chosen of {standing.arm.tried} on validation]"


# ------------------------------------------------------------------------------------ table and JSON


def grid(verdict: Verdict) -> Grid:
    """One row per arm: training CE, gap to the baseline with its interval, outcome, valid CE, test NDCG@10."""
    rows = []
    for s in verdict.standings:
        gap = None
        if s.gap is not None:
            interval = "" if s.gap.lo is None or s.gap.hi is None else f"[{s.gap.lo:+.4f}, {s.gap.hi:+.4f}]"
            gap = Entry(f"{s.gap.mean:+.4f}", interval=interval)
        role = "baseline b" if s is verdict.baseline else s.role
        cells = (
            Entry(role),
            Entry(str(s.ce.n)),
            _entry(s.ce),
            gap,
            None if s.mean_ce is None else _entry(s.mean_ce),
            Entry("never" if s.epochs_to_b is None else str(s.epochs_to_b)),
            Entry(s.outcome) if s.outcome else None,
            None if s.valid_ce is None else Entry(f"{s.valid_ce:.4f}"),
            None if s.ndcg is None else _entry(s.ndcg),
        )
        rows.append((f"{s.arm.name}{_choice(s)}", cells))
    popularity = _popularity(verdict)
    reference = f" Popularity alone has a training CE of {popularity:.4f}." if popularity is not None else ""
    caption = (
        f"{verdict.bench.title}: training CE at the last epoch (full softmax, evaluation mode), its gap to the "
        "baseline over paired seeds with the 95 % t interval, its mean over the epochs (the area under the curve), the "
        "first epoch at which it is down at b, valid CE and test NDCG@10 at the best validation "
        f"epoch.{reference}",
        f"An arm reaches the baseline if the interval ends below {verdict.margin:.4f} nats "
        f"({100 * verdict.margin_share:g} %), misses it if it begins above.",
        f"Verdict: {verdict.verdict}.",
        *([f"Not shared: {'; '.join(each.text() for each in verdict.differences)}."] if verdict.differences else []),
        *([f"Tuned alike: {verdict.tuning.text}."] if verdict.tuning else []),
        *(["Untuned."] if verdict.untuned and verdict.tuning is None else []),
        *([f"Not converged: {falling(verdict)}."] if verdict.not_converged else []),
    )
    columns = (
        "role",
        "seeds",
        "train CE ↓",
        "gap to b",
        "mean CE ↓",
        "epochs to b",
        "outcome",
        "valid CE ↓",
        "NDCG@10 ↑",
    )
    return Grid(f"verdict · {verdict.bench.title}", caption, "arm", (), columns, tuple(rows))


def _popularity(verdict: Verdict) -> float | None:
    """The training CE that popularity alone has."""
    return verdict.baseline.arm.runs[0].facts.popularity_train_ce


def _entry(summary: Summary) -> Entry:
    return Entry(f"{summary.mean:.4f}", spread="" if summary.sd is None else f"{summary.sd:.4f}")


def to_json(verdict: Verdict) -> dict[str, Any]:
    """Everything the verdict rests on; numbers that are not finite become null."""
    bench = verdict.bench
    return {
        "dataset": bench.dataset,
        "backbone": bench.backbone,
        "embedding": bench.embedding,
        "epochs": bench.epochs,
        "conditions": list(bench.conditions),
        "verdict": verdict.verdict,
        "supported": verdict.supported,
        "withheld": verdict.withheld,
        "not_shared": [difference.text() for difference in verdict.differences],
        "tuning": verdict.tuning and verdict.tuning.model_dump(mode="json"),
        "untuned": list(verdict.untuned),
        "not_converged": list(verdict.not_converged),
        "baseline": verdict.baseline.arm.name,
        "b": verdict.baseline.ce.mean,
        "popularity_train_ce": finite(_popularity(verdict)),
        "margin_share": verdict.margin_share,
        "margin": verdict.margin,
        "arms": [standing_json(standing) for standing in verdict.standings],
        "effects": list(map(_json_effect, verdict.effects)),
        "rivals_that_reach": [s.arm.name for s in verdict.reaching_rivals],
        "explained": {
            "arms": verdict.explained.n,
            "r2": verdict.explained.r2,
            "note": verdict.explained.note,
            "shares": [{k: finite(v) for k, v in vars(share).items()} for share in verdict.explained.shares],
        },
        "notes": list(verdict.notes),
        "prose": prose(verdict),
    }


def _json_effect(effect: Effect) -> dict[str, Any]:
    return {
        "metric": str(effect.metric),
        "effect": effect.name,
        "mean": finite(effect.mean),
        "p_holm": effect.p_holm,
        "refused": effect.refused,
        "test": None if effect.test is None else test_json(effect.test),
    }


def standing_json(s: Standing) -> dict[str, Any]:
    """An arm against the baseline b."""
    return {
        "arm": s.arm.name,
        "role": s.role,
        "outcome": s.outcome,
        "seeds": list(s.arm.seeds),
        "runs": [run.run for run in s.arm.runs],
        "choice": list(s.arm.choice),
        "configurations_tried": s.arm.tried,
        "learning_rates": list(s.arm.lrs),
        "train_ce": summary_json(s.ce),
        "gap": None if s.gap is None else summary_json(s.gap),
        "valid_ce": finite(s.valid_ce),
        "ndcg@10": None if s.ndcg is None else summary_json(s.ndcg),
        "seeds_needed": s.seeds_needed,
        "train_ce_mean": None if s.mean_ce is None else summary_json(s.mean_ce),
        "epochs_to_b": s.epochs_to_b,
        "converged": s.converged,
    }
