"""Write `golden.json`: `python -m tests.engine.spec.golden`."""

import json

from tests.engine.spec.test_identity import GOLDEN, golden

if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), indent=1) + "\n", "utf-8")
