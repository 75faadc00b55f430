"""What Optuna is asked: the settings of the next trial, and whether a curve goes on.

Both are functions of the trials given and a seed alone: a study in memory is made of the trials each time. So the
store is the one place that knows how far a tuning is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.presets.spaces import Choices, Domain, Range
from engine.queue.tuning.criteria import Criterion

if TYPE_CHECKING:
    import optuna

_TO_COMPARE = 4
"""Finished trials that a curve is compared with, at least."""


@dataclass(frozen=True)
class Tried:
    """An ended trial as the sampler sees it."""

    values: Mapping[str, Any]
    value: float | None
    """None where it has none, which is worse than any."""
    curve: Mapping[int, float]
    pruned: bool


def draw(
    domains: Mapping[str, Domain], by: Criterion, history: Sequence[Tried], *, seed: int, startup: int
) -> dict[str, Any]:
    """Settings of the next trial: at random while fewer than `startup` have ended, then by TPE (Bergstra et al.
    2011). The same arguments give the same settings. Raises UserError where Optuna is not installed."""
    study = _study(by, history, domains)
    study.sampler = _optuna().samplers.TPESampler(seed=seed, n_startup_trials=startup)
    trial = study.ask({name: _distribution(domain) for name, domain in domains.items()})
    return {name: _short(domains[name], value) for name, value in trial.params.items()}


def _short(domain: Domain, value: Any) -> Any:
    """A number from a range in four digits, which people can read and copy."""
    if isinstance(domain, Range):
        return min(max(float(f"{value:.4g}"), domain.low), domain.high)
    return value


def seed_of(seed: int, number: int, attempt: int) -> int:
    """The sampler's seed for a trial; the same for all arms, so that what is drawn at random is drawn alike."""
    digest = hashlib.sha256(f"{seed} {number} {attempt}".encode()).digest()
    return int.from_bytes(digest[:4])


def pruned_at(by: Criterion, curve: Mapping[int, float], history: Sequence[Tried], *, warmup: int) -> int | None:
    """The first epoch, from `warmup` on and before the curve's last possible one, at which the best value so far is
    worse than the median of the finished trials at that epoch (Golovin et al. 2017, the median rule); None where it
    goes on. It is the same whoever asks, and however often."""
    optuna = _optuna()
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_TO_COMPARE, n_warmup_steps=warmup)
    study = _study(by, [tried for tried in history if not tried.pruned and tried.value is not None], {})
    so_far: dict[int, float] = {}
    for epoch in sorted(curve):
        so_far[epoch] = curve[epoch]
        trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=dict(so_far))
        if pruner.prune(study, trial):
            return epoch
    return None


def require() -> None:
    """Raises UserError where Optuna is not installed."""
    _optuna()


def _study(by: Criterion, history: Sequence[Tried], domains: Mapping[str, Domain]) -> optuna.Study:
    library = _optuna()
    study: optuna.Study = library.create_study(direction="maximize" if by.higher_is_better else "minimize")
    for tried in history:
        known = {name: tried.values[name] for name in domains if _contains(domains[name], tried.values.get(name))}
        done = tried.value is not None and not tried.pruned
        study.add_trial(
            library.trial.create_trial(
                state=library.trial.TrialState.COMPLETE if done else library.trial.TrialState.PRUNED,
                value=tried.value if done else None,
                params=known,
                distributions={name: _distribution(domains[name]) for name in known},
                intermediate_values=dict(tried.curve) if tried.value is not None else {},
            )
        )
    return study


def _contains(domain: Domain, value: Any) -> bool:
    """Whether the preset's own value is one that could be drawn."""
    if isinstance(domain, Choices):
        return value in domain.values
    return isinstance(value, int | float) and domain.low <= value <= domain.high


def _distribution(domain: Domain) -> optuna.distributions.BaseDistribution:
    kinds = _optuna().distributions
    made: optuna.distributions.BaseDistribution
    if isinstance(domain, Range):
        made = kinds.FloatDistribution(domain.low, domain.high, log=domain.log)
    else:
        made = kinds.CategoricalDistribution(domain.values)
    return made


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("tuning needs Optuna: pip install 'tfllmer[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
