"""The numbers of docs/results.md that have an archive are those of its runs, and this version opens the archives."""

import json
import re
import shlex
import statistics
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine import spec
from engine.presets.tuned import Tuned, list_tuned
from engine.reports.stats.numbers import p_text
from engine.spec.settings import flat
from engine.store.archives.format import reading
from engine.store.archives.unpacking import look_into
from tests.tui.cli.calls import call

DOCS = Path(__file__).parent.parent / "docs"
ARCHIVES = sorted((DOCS / "results").glob("*.zip"))
CELL = re.compile(r"(\.\d{4}) / (\.\d{4})")


@cache
def runs_of(path: Path) -> list[tuple[spec.Experiment, dict[str, Any]]]:
    """Each run's specification and its result."""
    runs = []
    with reading(path) as archive:
        for run in archive.run_ids:
            records = [json.loads(line) for line in archive.read(f"runs/{run}/spool.jsonl").splitlines()]
            (result,) = [record["values"] for record in records if record["r"] == "result"]
            runs.append((spec.from_json(archive.read(f"runs/{run}/spec.json").decode()), result))
    return runs


def printed(value: float) -> str:
    """As the tables have it: four digits without the zero."""
    return f"{value:.4f}".removeprefix("0")


def section(heading: str) -> str:
    """What stands below a heading of the second level."""
    return (DOCS / "results.md").read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]


def anchor_of(heading: str) -> str:
    """What a link to the heading has behind #."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def tables(heading: str) -> list[list[list[str]]]:
    """The tables below a heading of the second level: rows of cells, without the line of dashes."""
    blocks = re.findall(r"(?:^\|.*\n)+", section(heading), re.MULTILINE)
    rows = ([line.strip("| \n").split(" | ") for line in block.splitlines()] for block in blocks)
    return [[row for row in table if set("".join(row)) - set("-: |")] for table in rows]


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_an_archive_opens_whole_and_says_nothing_of_a_machine(path: Path) -> None:
    contents = look_into(path, None)
    assert len(contents.new) == len(runs_of(path)) > 0
    assert path.name in (DOCS / "results.md").read_text("utf-8")
    for experiment, _ in runs_of(path):
        assert experiment.data.path is None


def changed(settings: spec.Backbone) -> str:
    """What differs from the preset of a closed form, as its table has it."""
    fields = type(settings).model_fields
    values = {name: value for name, value in settings if name != "name" and value != fields[name].default}
    return " ".join(f"{name}={value:g}" for name, value in values.items()) or "preset"


def test_every_number_of_a_closed_form_is_that_of_an_archived_run_with_these_settings() -> None:
    kept = {
        (e.backbone.name, e.data.name, changed(e.backbone), printed(r["test"]["ndcg@10"]), printed(r["test"]["hr@10"]))
        for e, r in runs_of(DOCS / "results" / "closed-forms.zip")
    }
    (head, *rows), (head_of_settings, *settings) = tables("Closed forms")
    data_sets = [name.split()[0] for name in head[1:]]
    assert data_sets == head_of_settings[1:] == ["ml-100k", "ml-1m", "amazon-beauty"]
    assert [row[0] for row in rows] == [row[0] for row in settings] and len(rows) >= 8
    for (model, *cells), (_, *settings_of) in zip(rows, settings, strict=True):
        name = model.split("`")[1]
        for data_set, cell, chosen in zip(data_sets, cells, settings_of, strict=True):
            numbers = CELL.search(cell)
            assert numbers, (name, cell)
            assert (name, data_set, chosen, *numbers.groups()) in kept, (name, data_set, cell, chosen)


NUMBER = re.compile(r"(?<![\w@.])\d*\.\d+")


def test_every_number_of_the_summary_stands_in_a_section_that_its_row_names() -> None:
    headings = re.findall(r"^## (.+)$", (DOCS / "results.md").read_text("utf-8"), re.MULTILINE)
    by_anchor = {anchor_of(heading): heading for heading in headings}
    checked = 0
    known: set[str] = set()
    _, *rows = tables("In short")[0]
    for question, answer, _, where in rows:
        if links := re.findall(r"\(#([\w-]+)\)", where):
            known = {number.lstrip("0") for link in links for number in NUMBER.findall(section(by_anchor[link]))}
        numbers = {number.lstrip("0") for number in NUMBER.findall(answer)}
        assert numbers <= known, (question, numbers - known)
        checked += len(numbers)
    assert checked > 20


def test_closed_forms_stand_with_the_settings_that_validation_chose() -> None:
    def best(path: Path) -> dict[tuple[str, str], str]:
        levels: dict[tuple[str, str], float] = defaultdict(float)
        for e, result in runs_of(path):
            place = e.data.name, e.backbone.name
            levels[place] = max(levels[place], result["valid"]["ndcg@10"])
        return {place: f"{level:.6f}" for place, level in levels.items() if place[0] != "ml-100k"}

    trials = DOCS / "results" / "closed-forms-trials.zip"
    assert all("test" not in result or not result["test"] for _, result in runs_of(trials))
    assert {e.data.name for e, _ in runs_of(trials)} == {"ml-1m", "amazon-beauty"}
    assert best(DOCS / "results" / "closed-forms.zip") == best(trials)


@pytest.mark.parametrize(("dataset", "stem"), [("amazon-beauty", "graph-models"), ("ml-1m", "graph-models-ml-1m")])
def test_every_number_of_a_graph_model_is_that_of_an_archived_run_with_these_settings(dataset: str, stem: str) -> None:
    kept = {}
    for e, result in runs_of(DOCS / "results" / f"{stem}.zip"):
        assert (e.data.name, e.seed, e.evaluate.test) == (dataset, 0, True)
        epochs = f"{result['epochs']}, {result['best_epoch']}" if e.backbone.is_trained else "–"
        test = f"{printed(result['test']['ndcg@10'])} / {printed(result['test']['hr@10'])}"
        name = e.backbone.name if e.method == "id" else e.method
        kept[f"`{name}`", epochs, printed(result["valid"]["ndcg@10"]), test] = flat(e)
    _, *rows = tables(f"Graph models on {dataset}")[0]
    assert len(rows) == len(kept)
    for model, chosen, epochs, valid, test, *_ in rows:
        settings = kept[model, epochs, valid.strip("*"), test.strip("*")]
        for name, value in (word.split("=") for word in chosen.split() if chosen != "preset"):
            (found,) = {found for full, found in settings.items() if full == name or full.endswith(f".{name}")}
            assert json.dumps(found).strip('"') in (value, f"{value}.0"), (model, name, found)


def test_what_is_said_of_users_is_what_a_command_says_of_the_archived_runs(tmp_path: Path) -> None:
    assert call(tmp_path, "import", "archive", str(DOCS / "results" / "graph-models.zip")).returncode == 0
    listed = json.loads(call(tmp_path, "runs", "--json").stdout)
    (base,) = (run["run"] for run in listed if run["method"] == "id" and run["overrides"].get("table.tau") == 0.15)
    (other,) = (run["run"] for run in listed if run["method"] == "alpharec")
    words = ("compare", base, other, "--metric", "ndcg@10", "--metric", "hr@10", "--metric", "mrr", "--json")
    lines = json.loads(call(tmp_path, *words).stdout)["metrics"]
    ndcg, hr = ([test["p_holm"] for test in line["tests"] if test["over"] == "users"] for line in lines[:2])
    said = re.search(r"better by NDCG@10 \(p (\S+)\) and HR@10 \(p (\S+)\)", section("Graph models on amazon-beauty"))
    assert said and said.groups() == tuple(p_text(p).removeprefix("0") for (p,) in (ndcg, hr))
    assert all(line["difference"] > 0 for line in lines)


def test_every_number_of_the_side_by_side_is_that_of_an_archived_run() -> None:
    kept = {}
    for e, result in runs_of(DOCS / "results" / "peers.zip"):
        system = e.method if isinstance(e.backbone, spec.Imported) else f"tfllmer-{e.backbone.name}"
        assert e.evaluate.mask_seen and e.data.name == "ml-100k"
        kept[f"`{system}`"] = [printed(result["test"][metric]) for metric in ("ndcg@10", "hr@10")]
    _, *rows = tables("Side by side with other libraries")[0]
    assert {row[0]: row[4:6] for row in rows} == kept


def means(path: Path) -> dict[tuple[str, str, str], dict[int, float]]:
    """Training CE at the last epoch by seed, of initialised tables with unit rows before any reduction; by data set,
    arm and setting of the row length."""
    levels: dict[tuple[str, str, str], dict[int, float]] = {}
    for e, result in runs_of(path):
        usual = e.embedding is None or e.embedding.pre_normalize
        if usual and e.table.inject.kind == "initialise" and e.train.epochs == 20:
            of_seed = levels.setdefault((e.data.name, e.arm, str(e.table.row_length)), {})
            of_seed[e.seed] = result["train_ce"][-1]["value"]
    return levels


def test_every_number_of_the_hidden_learning_rate_is_that_of_archived_runs() -> None:
    levels = means(DOCS / "results" / "row-length.zip")
    head, *rows = tables("The hidden learning rate")[0]
    lengths = {".016": "0.016", ".16": "id", ".8": "0.8", "2.4": "2.4", "8": "8.0"}
    assert {row[1] for row in rows} >= {"id-norm", "tf-llmer/full", "tf-llmer/no-both"}
    for where, arm, *cells in rows:
        data_set, seeds = where.split(", ", 1)
        numbers = [int(n) for n in re.findall(r"\d+", seeds)]
        for column, cell in zip(head[2:], cells, strict=True):
            if cell != "–":
                known = levels[data_set, arm, lengths[column]]
                assert cell == f"{sum(known[seed] for seed in numbers) / len(numbers):.4f}", (where, arm, column)


@pytest.mark.parametrize("tuned", list_tuned(), ids=lambda tuned: tuned.name)
def test_a_shipped_tuned_preset_is_the_best_of_its_archived_trials(tuned: Tuned) -> None:
    """Equal budgets, no trial that read the test split, and no finished one that is better."""
    own = tuned.document
    path = DOCS / "results" / f"tuned-{tuned.name}.zip"
    with reading(path) as archive:
        trials = dict(zip(archive.run_ids, runs_of(path), strict=True))
    metric, finished = own.by.removeprefix("valid."), dict.fromkeys(own.arms, 0)
    for experiment, result in trials.values():
        assert not experiment.evaluate.test and "test" not in result
        assert result["valid"][metric] <= own.evidence[experiment.arm]["value"] + 1e-9
        finished[experiment.arm] += 1
    _, *rows = tables("Tuned presets")[0]
    for arm, settings in own.arms.items():
        evidence = own.evidence[arm]
        assert evidence["finished"] + evidence["pruned"] + evidence["failed"] == own.trials
        assert evidence["finished"] == finished[arm]
        experiment, result = trials[evidence["run"]]
        assert experiment.arm == arm and (experiment.data.name, experiment.backbone.name) == (own.dataset, own.backbone)
        assert result["valid"][metric] == pytest.approx(evidence["value"], abs=1e-9)
        values = spec.flat(experiment)
        assert {name: values[name] for name in settings} == settings
        cells = [own.by, str(own.trials), f"{evidence['preset']:.4f}", f"{evidence['value']:.4f}"]
        assert [f"`{tuned.name}`", arm, *cells] in rows


def test_every_number_of_a_tuned_arm_is_that_of_archived_runs_with_its_settings() -> None:
    kept: dict[str, list[dict[str, float]]] = defaultdict(list)
    (own,) = (tuned.document for tuned in list_tuned() if tuned.name == "ml-100k-gru4rec")
    for e, result in runs_of(DOCS / "results" / "ml-100k-gru4rec-test.zip"):
        values = spec.flat(e)
        assert {name: values[name] for name in own.arms[e.arm]} == own.arms[e.arm]
        kept[e.arm].append(result["test"])
    _, *rows = tables("Tuned presets")[1]
    for arm, seeds, *cells in rows:
        assert seeds == ", ".join(map(str, range(len(kept[arm]))))
        for cell, metric in zip(cells, ("ndcg@10", "hr@10"), strict=True):
            reached = [test[metric] for test in kept[arm]]
            assert cell == f"{printed(statistics.mean(reached))} ± {printed(statistics.stdev(reached))}"
    assert {row[0] for row in rows} == set(kept) == set(own.arms)


def test_what_is_said_of_tuned_arms_is_what_a_command_says_of_their_archive(tmp_path: Path) -> None:
    archive = DOCS / "results" / "ml-100k-gru4rec-test.zip"
    assert call(tmp_path, "import", "archive", str(archive)).returncode == 0
    said = section("Tuned presets").replace("\n", " ")
    for arms in (("id", "id-norm", "tf-llmer/full"), ("id-norm", "tf-llmer/full")):
        told = json.loads(call(tmp_path, "compare", *arms, "--metric", "ndcg@10", "--json").stdout)["metrics"]
        ranking = [line for line in told if line["metric"] == "test.ndcg@10"]
        over_seeds = [test for line in ranking for test in line["tests"] if test["over"] == "seeds"]
        assert len(over_seeds) == len(arms) - 1
        for test in over_seeds:
            numbers = [printed(test[name]) for name in ("difference", "lo", "hi")]
            assert numbers[0] in said and f"{numbers[1]} to {numbers[2]}" in said, numbers
            assert f"{p_text(test['p_holm']).removeprefix('0')}" in said, test


def test_every_dose_at_one_length_is_the_mean_of_archived_runs() -> None:
    levels: dict[tuple[str, str, str], dict[int, float]] = {}
    for e, result in runs_of(DOCS / "results" / "norm-dose.zip"):
        assert isinstance(e.data.source, spec.Demo)
        key = (str(e.table.row_length), e.arm, f"{e.data.source.norm_sd:g}")
        levels.setdefault(key, {})[e.seed] = result["train_ce"][-1]["value"]
    head, *rows = tables("Doses on demo: how much disparity, how much misalignment")[0]
    lengths = {"root mean square": "id", "median": "id-median"}
    assert {row[0] for row in rows} == set(lengths)
    shown = 0
    for which, arm, seeds, *cells in rows:
        for dose, cell in zip(head[3:], cells, strict=True):
            if cell == "–":
                continue
            known = levels[lengths[which], arm, dose]
            assert (seeds, cell) == (", ".join(map(str, sorted(known))), f"{statistics.mean(known.values()):.4f}")
            shown += 1
    assert shown == len(levels)


def cells_of(arm: dict[str, Any]) -> list[str]:
    """A row of a regime's table: arm, seeds, training CE, gaps to both baselines, kappa at both ends, NDCG@10."""
    gaps = [spread(arm["gaps"][base], "+.4f") if base in arm["gaps"] else "–" for base in ("id-norm", "id")]
    kappa = "–" if arm["kappa_start"] is None else f"{arm['kappa_start']:.3g}, {arm['kappa_end']:.3g}"
    levels = [f"{arm[name]['mean']:.4f}" for name in ("train_ce", "ndcg@10")]
    return [arm["arm"], ", ".join(map(str, arm["seeds"])), levels[0], *gaps, kappa, levels[1]]


def effects_of(title: str, stand: dict[str, Any]) -> list[str]:
    """A row of the table of effects on the training CE: norm, Rec-PCA, interaction, each with p after Holm."""
    cells = [f"`{title}`"]
    for effect in stand["effects"]:
        if effect["metric"] == "train_ce":
            test = effect["test"]
            shown = spread(effect if test is None else {**test, "mean": test["difference"]}, "+.4f")
            cells.append(shown if effect["p_holm"] is None else f"{shown}, p {p_text(effect['p_holm'])}")
    return cells


def spread(numbers: dict[str, Any], digits: str) -> str:
    """A mean and its interval, where more than one seed gives one."""
    if numbers.get("lo") is None:
        return f"{numbers['mean']:{digits}}"
    return f"{numbers['mean']:{digits}} [{numbers['lo']:{digits}}, {numbers['hi']:{digits}}]"


BY_REGIME = [
    ("settle-screen", "settle-screen", "minilm-l6", "The claim on ml-100k, early in training"),
    ("settle-beauty", "settle-beauty", "minilm-l6", "The claim on amazon-beauty, early in training"),
    ("settle-beauty", "settle-beauty-gru4rec", "minilm-l6", "GRU4Rec on amazon-beauty"),
    ("settle-ml-1m", "settle-ml-1m", "bert-title-pq", "The claim on ml-1m, where norms differ"),
    ("settle-ml-1m", "settle-ml-1m", "minilm-l6", "The claim on ml-1m with MiniLM's vectors"),
    ("settle-ml-1m", "settle-ml-1m-gru4rec", "bert-title-pq", "GRU4Rec on ml-1m, where norms differ"),
    ("settle-ml-1m", "settle-ml-1m-gru4rec", "minilm-l6", "GRU4Rec on ml-1m with MiniLM's vectors"),
]
"""Study, archive, vectors and heading of each section with a table for each way in."""


@pytest.mark.parametrize(("study", "stem", "vectors", "heading"), BY_REGIME)
def test_a_table_by_regime_is_what_a_command_says_of_its_archive(
    tmp_path: Path, study: str, stem: str, vectors: str, heading: str
) -> None:
    archive = DOCS / "results" / f"{stem}.zip"
    assert call(tmp_path, "import", "archive", str(archive)).returncode == 0
    done = call(tmp_path, "verdict", study, "--by-regime", "--json")
    (comparison,) = [each for each in json.loads(done.stdout) if f"vectors {vectors}" in each["title"]]
    stands = {stand["title"]: stand for stand in comparison["regimes"]}
    verdicts = re.findall(r'^`(.+)`: printed "(.+)"', section(heading), re.MULTILINE)
    assert verdicts == [(title, stand["verdict"]) for title, stand in stands.items()]
    assert f"{len(runs_of(archive))} runs have finished" in section(heading)
    *shown, effects = tables(heading)
    assert [rows for _, *rows in shown] == [[cells_of(arm) for arm in stand["arms"]] for stand in stands.values()]
    assert effects[1:] == [effects_of(title, stand) for title, stand in stands.items() if stand["effects"]]


def test_the_claim_in_one_table_repeats_the_sections_that_it_links() -> None:
    """Those are checked against their archives above."""
    _, *rows = tables("The claim in one table")[0]
    links = [re.findall(r"\(#([\w-]+)\)", row[0]) for row in rows]
    assert sorted(link for (link,) in links) == sorted(anchor_of(heading) for *_, heading in BY_REGIME)
    headings = {anchor_of(heading): heading for *_, heading in BY_REGIME}
    for (link,), (_, *cells) in zip(links, rows, strict=True):
        _, adapter, (_, *effects) = tables(headings[link])
        (full,) = (row for row in adapter if row[0] == "tf-llmer/full")
        assert cells == [effect for way_in in effects for effect in way_in[1:3]] + [full[4]], link


@pytest.mark.slow
def test_a_verdict_on_runs_of_unequal_length_is_withheld_by_name(tmp_path: Path) -> None:
    assert call(tmp_path, "import", "archive", str(DOCS / "results" / "row-length.zip")).returncode == 0
    text = (DOCS / "results.md").read_text("utf-8")
    unequal, equal = (
        json.loads(call(tmp_path, *shlex.split(line)[1:], "--json").stdout)[0]
        for line in re.findall(r"^    (tfllmer verdict init-scale --where .*)$", text, re.MULTILINE)
    )
    assert unequal["withheld"]
    assert "0.16 for id-norm, 0.8 for the others" in unequal["verdict"]
    assert not equal["withheld"]
    assert {arm["arm"]: arm["outcome"] for arm in equal["arms"]}["tf-llmer/full"] is not None


def test_every_number_of_a_sequential_backbone_is_that_of_an_archived_run() -> None:
    kept = set()
    groups = defaultdict(list)
    for archive in ("sequential.zip", "sequential-100k.zip"):
        for e, result in runs_of(DOCS / "results" / archive):
            test = f"{printed(result['test']['ndcg@10'])} / {printed(result['test']['hr@10'])}"
            epochs = f"{result['epochs']}, {result['best_epoch']}"
            valid = printed(result["valid"]["ndcg@10"])
            kept.add((e.data.name, f"`{e.backbone.name}`", str(e.seed), epochs, valid, test))
            groups[e.data.name, e.backbone.name].append(result["test"])
    _, *rows = tables("Sequential backbones")[0]
    assert set(map(tuple, rows)) == kept
    for tests in groups.values():
        for shown, metric in (("NDCG@10", "ndcg@10"), ("HR@10", "hr@10")):
            values = [test[metric] for test in tests]
            spread = f"{shown} {printed(statistics.mean(values))} ± {printed(statistics.stdev(values))}"
            assert spread in section("Sequential backbones").replace("\n ", "")
