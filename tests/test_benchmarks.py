"""The suite of benchmarks: its scripts are there and documented, its table says what was met. Nothing is timed here."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("[!_]*.py"))


@pytest.fixture(scope="module")
def suite() -> Any:
    """The module, which stands in no package."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module("suite")
    finally:
        sys.path.pop(0)


def test_every_benchmark_of_the_suite_is_a_script_that_runs_alone(suite: Any) -> None:
    for benchmark in suite.SUITE:
        text = (ROOT / "benchmarks" / benchmark.words[0]).read_text("utf-8")
        assert f"python benchmarks/{benchmark.words[0]}" in text
        assert '__name__ == "__main__"' in text
        assert benchmark.quick[0] == benchmark.words[0]
        assert benchmark.quick != benchmark.words
    assert len({benchmark.name for benchmark in suite.SUITE}) == len(suite.SUITE)


def test_the_runs_of_the_queue_are_what_specifications_look_like_now() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        overhead = importlib.import_module("queue_overhead")
    finally:
        sys.path.pop(0)
    assert [experiment.seed for experiment in overhead.experiments(2)] == [0, 1]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_named_in_the_documents(script: str) -> None:
    assert f"`{script}`" in (ROOT / "docs" / "performance.md").read_text("utf-8")


def test_the_table_says_what_was_met_missed_and_not_measured(suite: Any) -> None:
    ratios = (
        suite.Ratio(("ratio",), "a / b", 1.3),
        suite.Ratio(("of", "file"), "c / d", 0.5, "more"),
        suite.Ratio(("none", "here"), "e / f", 1),
    )
    benchmark = suite.Benchmark("one", ("x.py",), ("x.py", "1"), ratios)
    met, missed, none = suite.lines(benchmark, {"ratio": 1.3, "of": {"file": 0.49}, "none": 3})
    assert met.split() == ["one", "1.30", "<=", "1.3", "✓", "a", "/", "b"]
    assert missed.split() == ["one", "0.49", ">=", "0.5", "✗", "c", "/", "d"]
    assert none.endswith("e / f: not measured on this machine")
    assert suite.lines(benchmark, "why")[0].endswith("  why")


def test_facts_of_the_machine(suite: Any) -> None:
    facts = suite.machine()
    assert facts["cores"] >= 1
    assert facts["packages"]["torch"]
    assert set(facts["flags"]) <= {"avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"}


def test_the_small_form_of_the_suite_runs_small(suite: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its whole path, with a script in place of those that take seconds."""
    (tmp_path / "sizes.py").write_text("import json, sys\nprint(json.dumps({'ratio': float(sys.argv[1])}))\n")
    one = suite.Benchmark("one", ("sizes.py", "2"), ("sizes.py", "1"), (suite.Ratio(("ratio",), "a / b", 1.5),))
    monkeypatch.setattr(suite, "SUITE", (one,))
    monkeypatch.setattr(suite, "HERE", tmp_path)
    for words, ratio in (([], 2.0), (["--quick"], 1.0)):
        monkeypatch.setattr(sys, "argv", ["suite.py", *words, "--output", str(tmp_path / "bench.json")])
        suite.main()
        document = json.loads((tmp_path / "bench.json").read_text("utf-8"))
        assert document["reports"] == {"one": {"ratio": ratio}}
        assert document["quick"] == bool(words)
