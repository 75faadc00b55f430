"""Write `weights.json` anew: `python -m tests.golden.make_weights`.

Do not do so to make a test pass: it holds what released code computes. It was first made by commit ec201ce, before the
specification, the models and the training loop were rebuilt, which left every bit as it was. It was renewed when the
step was made faster, once for all backbones and once for GRU4Rec: the order of sums changed, so the last bits did, and
nothing else may have. So a number that differs from the one that is kept by more than rounding stops this script, and
nothing is written.
"""

import json
import sys
import tempfile
from pathlib import Path

from engine.presets import ablations_of, list_presets
from tests.golden.weights import GOLDEN, differences, key, train


def arms() -> list[str]:
    """All shipped arms: each method, or each of its ablations."""
    names: list[str] = []
    for method in list_presets("method"):
        ablations = ablations_of(method.name)
        names += [f"{method.name}/{ablation}" for ablation in ablations] or [method.name]
    return names


def main() -> None:
    before = json.loads(GOLDEN.read_text("utf-8"))["runs"]
    kept = {}
    for backbone in ("sasrec", "gru4rec", "bert4rec"):
        for arm in arms():
            with tempfile.TemporaryDirectory() as folder:
                kept[name := f"{backbone} {arm}"] = train(arm, backbone, Path(folder))
            print(name, kept[name]["result"]["test_ce"], file=sys.stderr, flush=True)
            if name in before and (changed := differences(kept[name], before[name], same_bits=False)):
                raise SystemExit(f"{name}: more than rounding changed: {changed}")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items())
    GOLDEN.write_text(f'{{"key": {json.dumps(key())},\n"runs": {{\n{lines}\n}}}}\n', "utf-8")


if __name__ == "__main__":
    main()
