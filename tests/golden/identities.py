"""Stored specifications with the hashes that they had before the specification became a package of parts."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).with_name("identities.jsonl.gz")


@dataclass(frozen=True)
class Identity:
    """One stored specification. `origin` says which arm, study or setting it comes from."""

    origin: str
    spec: str
    spec_hash: str
    config_hash: str
    data_hash: str


def kept_identities() -> Iterator[Identity]:
    """All of them, as `make_identities` wrote them."""
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as file:
        for line in file:
            yield Identity(**json.loads(line))
