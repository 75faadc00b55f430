"""Regimes side by side: as tables, in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.reports.boards.compare import summary_json
from engine.reports.render import verdict_text
from engine.reports.render.layouts import Entry, Grid
from engine.reports.stats.numbers import finite, p_text
from engine.reports.stats.statistics import Summary
from engine.reports.verdict.effects import Effect
from engine.reports.verdict.explain import Explained
from engine.reports.verdict.regimes import RegimeArm, RegimeComparison, RegimeVerdict


def grids(comparisons: Iterable[RegimeComparison]) -> list[Grid]:
    """For each comparison its arms, the effects within each regime, and what explains the training CE."""
    return [
        grid
        for comparison in comparisons
        for grid in (*_arms(comparison), _effects(comparison), _explained(comparison))
        if grid is not None
    ]


def prose(comparison: RegimeComparison) -> list[str]:
    """A sentence a regime: what the rule says there."""
    return [
        f"{stand.regime.title}: {stand.verdict.verdict} (baseline {stand.verdict.baseline.arm.name}, training CE "
        f"{stand.verdict.baseline.ce.mean:.4f}{_reservations(stand)})."
        for stand in comparison.stands
    ]


def _reservations(stand: RegimeVerdict) -> str:
    claim = stand.verdict
    parts = [f"not converged: {verdict_text.falling(claim)}"] if claim.not_converged else []
    parts += ["untuned"] if claim.untuned and claim.tuning is None else []
    return "".join(f"; {part}" for part in parts)


def _arms(comparison: RegimeComparison) -> list[Grid]:
    """A table a way in; where it has one regime, its title says which."""
    standings = [arm.standing for stand in comparison.stands for arm in stand.arms]
    names = list(dict.fromkeys(s.arm.name for s in standings if s.role == "baseline"))
    columns = (
        "train CE ↓",
        *(f"gap to {name}" for name in names),
        "outcome",
        "row length",
        "kappa, start",
        "kappa, end",
        "NDCG@10 ↑",
    )
    caption = (
        "training CE at the last epoch, its difference to each ID baseline of the regime with its 95 % interval over "
        "paired seeds, the root mean square length of the raw initial rows, the condition number of the curvature on "
        "a fixed probe before the first step and after the last, and test NDCG@10 at the best validation epoch."
    )
    result = []
    for way in dict.fromkeys(stand.regime.way for stand in comparison.stands):
        stands = [stand for stand in comparison.stands if stand.regime.way == way]
        alone = len(stands) == 1  # then the title says the regime once, for all rows
        where = stands[0].regime.title if alone else way
        title = f"regimes · {comparison.title} · {where}"
        rows = tuple(
            ("" if alone else f"{stand.regime.place} · ") + arm.standing.arm.name
            for stand in stands
            for arm in stand.arms
        )
        cells = tuple(_cells(arm, names) for stand in stands for arm in stand.arms)
        corner = "arm" if alone else "regime and arm"
        result.append(Grid(title, (f"{where}: {caption}",), corner, (), columns, tuple(zip(rows, cells, strict=True))))
    return result


def _cells(arm: RegimeArm, names: Sequence[str]) -> tuple[Entry | None, ...]:
    standing, gaps = arm.standing, dict(arm.gaps)
    return (
        _entry(standing.ce),
        *(None if name not in gaps else _gap(gaps[name]) for name in names),
        Entry(standing.outcome or standing.role),
        None if arm.row_length is None else Entry(f"{arm.row_length:.3g}"),
        None if arm.kappa is None else Entry(_rounded(arm.kappa.start)),
        None if arm.kappa is None else Entry(_rounded(arm.kappa.end)),
        None if standing.ndcg is None else _entry(standing.ndcg),
    )


def _rounded(value: float) -> str:
    """Three digits that count: 0.16, 1030, 2.43e7."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if not exponent:
        return mantissa
    return f"{float(f'{value:.3g}'):.0f}" if 0 < int(exponent) < 6 else f"{mantissa}e{int(exponent)}"


def _p(value: float) -> str:
    text = p_text(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _entry(value: Summary) -> Entry:
    return Entry(f"{value.mean:.4f}", spread="" if value.sd is None else f"{value.sd:.4f}")


def _gap(value: Summary) -> Entry:
    interval = "" if value.lo is None or value.hi is None else f"[{value.lo:+.4f}, {value.hi:+.4f}]"
    return Entry(f"{value.mean:+.4f}", interval=interval)


def _effects(comparison: RegimeComparison) -> Grid | None:
    """None where no regime has all four arms."""
    with_all = [stand for stand in comparison.stands if stand.verdict.effects]
    if not with_all:
        return None
    columns = tuple(dict.fromkeys(effect.metric.title for stand in with_all for effect in stand.verdict.effects))
    rows = []
    for stand in with_all:
        effects = {(effect.name, effect.metric.title): effect for effect in stand.verdict.effects}
        for name in dict.fromkeys(name for name, _ in effects):
            cells = tuple(_effect(effects.get((name, column))) for column in columns)
            rows.append((f"{name} [{stand.regime.title}]", cells))
    caption = (
        "Main effects of normalisation and Rec-PCA and their interaction within each regime, paired over seeds, with "
        "95 % intervals of each alone; p after Holm over the six of a regime.",
    )
    return Grid(f"effects by regime · {comparison.title}", caption, "effect within a regime", (), columns, tuple(rows))


def _effect(effect: Effect | None) -> Entry | None:
    if effect is None:
        return None
    if effect.test is None or effect.p_holm is None:
        return Entry(f"{effect.mean:+.4f}")
    test = effect.test
    interval = f"[{test.lo:+.4f}, {test.hi:+.4f}], {_p(effect.p_holm)}"
    return Entry(f"{test.difference:+.4f}", interval=interval)


def _explained(comparison: RegimeComparison) -> Grid | None:
    """None where no way in has shares."""
    rows = []
    for way, explained in comparison.explained:
        for share in explained.shares:
            partial = (
                None
                if share.partial_r2 is None or share.lo is None or share.hi is None
                else Entry(f"{share.partial_r2:.2f}", interval=f"[{share.lo:.2f}, {share.hi:.2f}]")
            )
            slope = None if share.slope is None else Entry(f"{share.slope:+.3f}")
            spearman = Entry(f"{share.spearman:+.2f}", interval=_p(share.spearman_p), count=str(share.n))
            rows.append((f"{way} · {share.name}", (partial, slope, spearman)))
    if not rows:
        return None
    caption = (
        "Shares of the training CE that quantities of the table at the start explain, over the arms of all regimes of "
        "a way in; slope in nats per standard deviation, Spearman's correlation with the number of arms.",
        *(f"{way}: {_regression(explained)}." for way, explained in comparison.explained),
    )
    columns = ("partial R²", "slope", "Spearman")
    return Grid(f"explained shares · {comparison.title}", caption, "way in and quantity", (), columns, tuple(rows))


def _regression(explained: Explained) -> str:
    return explained.note if explained.r2 is None else f"{explained.note}; R² {explained.r2:.2f}"


def to_json(comparison: RegimeComparison) -> dict[str, Any]:
    """All of it; numbers that are not finite become null."""
    return {
        "title": comparison.title,
        "regimes": [_json_regime(stand) for stand in comparison.stands],
        "explained": [
            {
                "way": way,
                "arms": explained.n,
                "r2": finite(explained.r2),
                "note": explained.note,
                "shares": [{k: finite(v) for k, v in vars(share).items()} for share in explained.shares],
            }
            for way, explained in comparison.explained
        ],
    }


def _json_regime(stand: RegimeVerdict) -> dict[str, Any]:
    regime = stand.regime
    own = {
        "title": regime.title,
        "way": regime.way,
        "changes": list(regime.changes),
        "row_length": regime.row_length,
    }
    return {**verdict_text.to_json(stand.verdict), **own, "arms": [_json_arm(arm) for arm in stand.arms]}


def _json_arm(arm: RegimeArm) -> dict[str, Any]:
    return verdict_text.standing_json(arm.standing) | {
        "gaps": {name: summary_json(gap) for name, gap in arm.gaps},
        "row_length": finite(arm.row_length),
        "kappa_start": None if arm.kappa is None else arm.kappa.start,
        "kappa_end": None if arm.kappa is None else arm.kappa.end,
    }
