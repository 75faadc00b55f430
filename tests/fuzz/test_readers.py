"""Every reader, a few damaged inputs each: refused on one line or read, never a traceback."""

import time
from pathlib import Path

import pytest

from tests.fuzz.campaign import campaign, inputs, outcome, table
from tests.fuzz.mutations import mutated
from tests.fuzz.readers import READERS, Reader

SHORT = 1000


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of state and of ./configs change where they look for them."""
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def test_samples_are_read(tmp_path: Path) -> None:
    for number, reader in enumerate(READERS):
        if reader.name in ("encoder: adapter_config.json", "keys.json"):  # an adapter is refused; see test_keys
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        assert outcome(reader, folder, reader.samples[0]) == "accepted", reader.name


def test_damaged_inputs_are_one_line_or_read(tmp_path: Path) -> None:
    wrong = []
    for number, reader, data in inputs(0, SHORT):
        began = time.monotonic()
        how = outcome(reader, tmp_path, data)
        if how not in ("refused", "accepted") or time.monotonic() - began > 30:
            wrong.append((number, reader.name, how))
    assert wrong == []


def test_the_same_number_is_the_same_input() -> None:
    samples = [b"user_id:token\titem_id:token\n", b"{}"]
    assert [mutated(n, samples) for n in range(200)] == [mutated(n, samples) for n in range(200)]
    assert len({mutated(n, samples) for n in range(200)}) > 100


def test_what_is_wrong_would_be_found(tmp_path: Path) -> None:
    def fails(folder: Path, data: bytes) -> object:
        raise IndexError("list index out of range")

    assert outcome(Reader("x", [b""], fails), tmp_path, b"").startswith("IndexError")


def test_no_file_that_says_its_length_is_read_when_it_is_cut_off(tmp_path: Path) -> None:
    """Text may end anywhere, and so may raw numbers; what declares its size must have it."""
    sized = ("vectors: npy", "vectors: npz", "vectors: parquet", "vectors: safetensors", "vectors import: torch",
             "data import: parquet", "data import: gzip", "data: .inter, packed", "archives",
             "ranks", "top lists", "checkpoint", "map", "spec.json")  # fmt: skip
    readers = [reader for reader in READERS if reader.name in sized]
    assert len(readers) == len(sized)
    for reader in readers:
        for sample in reader.samples[:2]:
            for length in sorted({*range(12, len(sample), max(1, len(sample) // 25)), len(sample) - 1}):
                how = outcome(reader, tmp_path, sample[:length])
                assert how == "refused", (reader.name, length, how)


@pytest.mark.slow
def test_a_campaign_counts_what_it_reads() -> None:
    total = campaign(0, 20_000)
    assert sum(total["counts"].values()) == 20_000
    assert not total["wrong"] and not total["hangs"] and total["peak"] < 1 << 30, table(total)
