"""Old identities map one to one onto present ones: specifications that were one run are one run, others are not."""

import json
from collections import defaultdict

import pytest

from engine.spec import config_hash, data_hash, from_json, spec_hash
from tests.golden.identities import Identity, kept_identities


def present(identity: Identity) -> tuple[str, str, str]:
    """The present hashes of a specification as it was stored then."""
    experiment = from_json(identity.spec)
    return spec_hash(experiment), config_hash(experiment), data_hash(experiment.data)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Identity, tuple[str, str, str]]]:
    return [(identity, present(identity)) for identity in kept_identities()]


@pytest.mark.parametrize("index, name", [(0, "spec_hash"), (1, "config_hash"), (2, "data_hash")])
def test_old_and_new_hashes_correspond_one_to_one(
    index: int, name: str, pairs: list[tuple[Identity, tuple[str, str, str]]]
) -> None:
    forth: dict[str, set[str]] = defaultdict(set)
    back: dict[str, set[str]] = defaultdict(set)
    origins: dict[str, str] = {}
    for identity, hashes in pairs:
        old, new = getattr(identity, name), hashes[index]
        forth[old].add(new)
        back[new].add(old)
        origins.setdefault(old, identity.origin)
    apart = [origins[old] for old, news in forth.items() if len(news) > 1]
    merged = [[origins[old] for old in olds] for olds in back.values() if len(olds) > 1]
    assert (apart[:5], merged[:5]) == ([], [])


def test_what_is_kept_covers_arms_studies_and_settings(pairs: list[tuple[Identity, tuple[str, str, str]]]) -> None:
    origins = {identity.origin for identity, _ in pairs}
    assert {"sasrec tf-llmer/full", "bert4rec id", "study barrier", "study rivals"} <= origins
    assert any("data.split=temporal" in origin for origin in origins)
    assert len({identity.spec_hash for identity, _ in pairs}) > 4800
    assert all("/tmp" not in identity.spec and json.loads(identity.spec) for identity, _ in pairs)
