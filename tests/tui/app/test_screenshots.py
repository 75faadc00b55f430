"""docs/screenshots.py makes the pictures of the documents, or says in one line why it cannot."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("store", "says"),
    [("none.db", "no store yet"), ("old.db", "was made by an older tfllmer"), ("text.db", "is not a SQLite file")],
)
async def test_a_store_that_cannot_be_read_ends_it_in_one_line(
    store: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "")  # main sets them; what they were comes back
    shutil.copy(ROOT / "tests" / "golden" / "stores" / "0004" / "experiments.db", tmp_path / "old.db")
    (tmp_path / "text.db").write_text("notes\n" * 1000)
    place = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "screenshots.py")
    assert place is not None and place.loader is not None
    screenshots: Any = importlib.util.module_from_spec(place)
    place.loader.exec_module(screenshots)
    with pytest.raises(SystemExit, match=f"screenshots.py: .*{says}") as caught:
        await screenshots.main(tmp_path / store, "sasrec")
    assert "\n" not in str(caught.value)
