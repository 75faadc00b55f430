"""A specification as JSON."""

from __future__ import annotations

from pydantic import ValidationError

from engine.errors import UserError
from engine.spec.experiment import Experiment
from engine.spec.messages import explain


def to_json(experiment: Experiment) -> str:
    """The complete specification as one line of JSON; `from_json` is its inverse."""
    return experiment.model_dump_json(by_alias=True)


def from_json(text: str) -> Experiment:
    """Read what `to_json` wrote. Raises UserError where it is not a valid specification."""
    try:
        return Experiment.model_validate_json(text)
    except ValidationError as error:
        raise UserError(explain(error)) from None
