"""Write `weights.json`: `python -m tests.golden.make_weights` in a checkout of commit ec201ce with this folder in it.

It was made by the code before the specification, the models and the training loop were rebuilt, so that they
can be shown to compute the same. Do not write it anew to make a test pass.
"""

import json
import sys
import tempfile
from pathlib import Path

from engine.presets import ablations_of, list_presets
from tests.golden.weights import GOLDEN, key, train


def arms() -> list[str]:
    """All shipped arms: each method, or each of its ablations."""
    names: list[str] = []
    for method in list_presets("method"):
        ablations = ablations_of(method.name)
        names += [f"{method.name}/{ablation}" for ablation in ablations] or [method.name]
    return names


def main() -> None:
    kept = {}
    for backbone in ("sasrec", "gru4rec", "bert4rec"):
        for arm in arms():
            with tempfile.TemporaryDirectory() as folder:
                kept[f"{backbone} {arm}"] = train(arm, backbone, Path(folder))
            print(backbone, arm, kept[f"{backbone} {arm}"]["result"]["test_ce"], file=sys.stderr, flush=True)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items())
    GOLDEN.write_text(f'{{"key": {json.dumps(key())},\n"runs": {{\n{lines}\n}}}}\n', "utf-8")


if __name__ == "__main__":
    main()
