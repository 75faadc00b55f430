"""What tests of several folders of the engine begin with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.presets import Study, find_study


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Study]:
    """Write the study `mine` of the working folder, and read it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "study").mkdir(parents=True)

    def put(text: str) -> Study:
        (tmp_path / "configs" / "study" / "mine.yaml").write_text(text)
        return find_study("mine")

    return put
