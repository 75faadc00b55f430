"""docs/metrics.md says what the registry says."""

from pathlib import Path

from engine.metrics.registry import BUILT_IN

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_has_a_line_for_every_metric_and_no_other() -> None:
    page = PAGE.read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `") and line.count(" | ") == 4]
    expected = [
        f"| {', '.join(f'`{form}`' for form in m.forms)} | {m.title} | {m.direction} | {m.formula} | {m.source} |"
        for m in BUILT_IN
    ]
    assert sorted(row.replace("\\|", "|") for row in rows) == sorted(expected)
