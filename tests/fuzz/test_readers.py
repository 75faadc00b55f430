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
    assert len({mutated(n, samples) for n in range(200)}) > 150


def test_what_is_wrong_would_be_found(tmp_path: Path) -> None:
    def fails(folder: Path, data: bytes) -> object:
        raise IndexError("list index out of range")

    assert outcome(Reader("x", [b""], fails), tmp_path, b"").startswith("IndexError")


@pytest.mark.slow
def test_a_campaign_counts_what_it_reads() -> None:
    total = campaign(0, 20_000)
    assert sum(total["counts"].values()) == 20_000
    assert not total["wrong"] and not total["hangs"] and total["peak"] < 1 << 30, table(total)
