"""Training gives the bits that are kept (`make_weights.py` says since when): every shipped arm on every backbone, one
epoch."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.weights import GOLDEN, differences, key, train

_KEPT: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))
_USUAL = (
    "sasrec id",
    "sasrec id-norm",
    "sasrec alphafuse",
    "sasrec spectran-like",
    "sasrec tf-llmer/full",
    "sasrec tf-llmer/no-both",
    "sasrec tf-llmer/id-norms",
    "sasrec tf-llmer/gbce",
    "gru4rec tf-llmer/full",
    "gru4rec tf-llmer/freeze-then-free",
    "bert4rec tf-llmer/full",
    "bert4rec tf-llmer/sampled-ce",
)
"""What every run of the tests trains; the others are slow together."""


@pytest.mark.parametrize("name", [n if n in _USUAL else pytest.param(n, marks=pytest.mark.slow) for n in _KEPT["runs"]])
def test_an_epoch_leaves_the_weights_that_it_left_before(name: str, tmp_path: Path) -> None:
    backbone, arm = name.split()
    measured = train(arm, backbone, tmp_path)
    assert differences(measured, _KEPT["runs"][name], same_bits=key() == _KEPT["key"]) == []


def test_a_changed_number_is_a_difference_with_other_bits_too() -> None:
    kept = _KEPT["runs"]["sasrec id"]
    changed = json.loads(json.dumps(kept))
    changed["result"]["test_ce"] *= 1.001
    assert len(differences(changed, kept, same_bits=False)) == len(differences(changed, kept, same_bits=True)) == 1
    assert differences(changed | {"sha256": ""}, kept, same_bits=True)[0] == "the weights changed"
    assert differences(kept, kept, same_bits=False) == []
