"""What is named elsewhere exists: sections of docs/method.md that docstrings cite, and settings that the pages name."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec.settings import leaves_by_name

ROOT = Path(__file__).parent.parent
METHOD = (ROOT / "docs" / "method.md").read_text("utf-8")
FILES = [path for folder in ("engine", "tfllmer_tui", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
FILES.remove(Path(__file__))

_CITATION = re.compile(
    r"docs/method\.md[\s,]+("
    r"(?:[A-H](?:\.\d+)?(?![\w.]*\w)|(?:rows?|steps?|points?)\s+[\d\s,-]*\d|\(\d\)|[\s,;-]|and(?=\s+[A-H]\b))+)"
)
_PARTS = re.compile(r"([A-H](?:\.\d+)?)(?:-([A-H]\.\d+))?|(row|step|point)s?\s+([\d\s,-]*\d)|\((\d)\)")


def headings(text: str) -> dict[str, str]:
    """Section -> its text, with that of the sections below it."""
    found = list(re.finditer(r"^(#{2,3}) ([A-H](?:\.\d+)?)\.? .*$", text, re.MULTILINE))
    made = {}
    for place, match in enumerate(found):
        after = [later.start() for later in found[place + 1 :] if len(later[1]) <= len(match[1])]
        made[match[2]] = text[match.end() : after[0] if after else len(text)]
    return made


def numbers(text: str) -> Iterator[int]:
    """1, 3-5 -> 1, 3, 4, 5."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def wrong(citation: str, sections: dict[str, str]) -> Iterator[str]:
    """What a citation names and the document does not have."""
    at = ""
    for section, last, kind, which, equation in _PARTS.findall(citation):
        if section:
            at = section
            letter, _, first = section.partition(".")
            names = [f"{letter}.{n}" for n in range(int(first), int(last[2:]) + 1)] if last else [section]
            yield from (name for name in names if name not in sections)
        elif equation:
            if not re.search(rf"^    .*\({equation}\)$", sections.get(at, ""), re.MULTILINE):
                yield f"{at} ({equation})"
        else:
            start = r"\| {} " if kind == "row" else r"{}\. "
            for n in numbers(which):
                if not re.search("^" + start.format(n), sections.get(at, ""), re.MULTILINE):
                    yield f"{at} {kind} {n}"


def test_what_docstrings_cite_is_there() -> None:
    sections, cited, missing = headings(METHOD), 0, []
    for path in FILES:
        text = path.read_text("utf-8")
        for match in _CITATION.finditer(text):
            cited += bool(re.search("[A-H]", match[1]))
            missing += [f"{path.relative_to(ROOT)}: {name}" for name in wrong(match[1], sections)]
    assert not missing
    assert cited >= 40


@pytest.mark.parametrize(
    ("citation", "expected"),
    [
        ("docs/method.md A.4 steps 4-5)", []),
        ("docs/method.md F.2-F.5, with its numbers", []),
        ("docs/method.md F.1 (2), F.7 points 4-5", []),
        ("docs/method.md D.1 rows 12-13, D.3", []),
        ("docs/method.md A.4 step 3 and F.6; ours", []),
        ("docs/method.md A.3", ["A.3"]),
        ("docs/method.md F.6-F.9", ["F.8", "F.9"]),
        ("docs/method.md D.1 row 17", ["D.1 row 17"]),
        ("docs/method.md A.4 step 7", ["A.4 step 7"]),
        ("docs/method.md F.1 (9)", ["F.1 (9)"]),
        ("docs/method.md C, D.4, E", ["E"]),
    ],
)
def test_the_check_itself(citation: str, expected: list[str]) -> None:
    (found,) = _CITATION.findall(citation)
    assert list(wrong(found, headings(METHOD))) == expected


def test_every_document_that_is_named_is_there() -> None:
    named = re.compile(r"(?<![\w./-])[A-Z]{4,}\.md\b")
    for path in (*FILES, *(ROOT / "docs").glob("*.md")):
        missing = {name for name in named.findall(path.read_text("utf-8")) if not (ROOT / name).exists()}
        assert not missing, path


PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem != "keys"]  # that one names bindings
_SETTING = re.compile(
    r"(?<![\w./-])((?:data|embedding|table|backbone|train|evaluate|execution)(?:\.[a-z_]+)+)\b(?<!\.md)(?<!\.tex)(?![./(])"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_that_a_page_names_is_there(page: Path) -> None:
    facts = {"embedding.trade_off"}  # of a run, not of its specification
    assert sorted(set(_SETTING.findall(page.read_text("utf-8"))) - set(leaves_by_name()) - facts) == []
