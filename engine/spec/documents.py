"""A specification as JSON, which carries the version of its form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engine.bounds import parse_json
from engine.errors import UserError
from engine.spec.experiment import Experiment
from engine.spec.messages import explain
from engine.spec.upgrade import FORMAT, upgrade


def to_document(experiment: Experiment) -> dict[str, Any]:
    """The complete specification as JSON; `from_document` is the inverse. What is recorded is there where it is."""
    document = {"version": FORMAT, **experiment.model_dump(mode="json", by_alias=True)}
    if experiment.tuning is None:
        del document["tuning"]
    return document


def from_document(document: Mapping[str, Any]) -> Experiment:
    """Read what `to_document` wrote, in this version or an earlier one. Raises UserError where it is not a valid
    specification, or one of a newer version."""
    version = document.get("version", 1)
    if version not in range(1, FORMAT + 1):
        raise UserError(f"the specification has version {version}, this program reads up to {FORMAT}; update tfllmer")
    try:
        present = json.dumps(upgrade(document))
    except (TypeError, LookupError, AttributeError, ValueError) as error:  # an earlier form has other places
        raise UserError(f"the specification is not what version {version} wrote ({error})") from None
    try:
        return Experiment.model_validate_json(present)
    except ValidationError as error:
        raise UserError(explain(error)) from None


def to_json(experiment: Experiment) -> str:
    """The complete specification as one line of JSON; `from_json` is its inverse."""
    return json.dumps(to_document(experiment), separators=(",", ":"), ensure_ascii=False)


def from_json(text: str) -> Experiment:
    """Read what `to_json` wrote, as `from_document` does. Raises UserError also where it is no JSON."""
    try:
        document = parse_json(text)
    except ValueError as error:
        raise UserError(f"the specification is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise UserError("the specification is not a JSON object")
    return from_document(document)
