"""Filters against a slow evaluator in Python, and the messages of those that cannot be read."""

import operator
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlmodel import col

from engine.errors import UserError
from engine.store import Run, Store, list_records, list_values, open_store
from engine.store.annotations import add_note, add_tag
from engine.store.queries.filter_fields import all_fields
from engine.store.queries.filter_grammar import MAX_DEPTH, MAX_TERMS, And, Compare, Node, Not, Or, Value, Word
from engine.store.queries.filters import FilterError, complete, field_named, order_by, parse, word_start

from ..helpers import new_run

TAGS = ("baseline", "old", "Old-2", "x/y")
NOTES = ("Flat from epoch 20", "lr too small", 'says "no"')
ARMS: list[dict[str, Any]] = [
    {"ablation": "full"},
    {"ablation": "no-norm", "table": {"normalize": "none"}},
    {"method": "id", "table": {"init": {"kind": "id"}, "normalize": "none"}},
]
DAY = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[dict[str, Any]]]:
    """Forty runs of all kinds, and the same as plain dictionaries by field name."""
    store = open_store(Path(tmp_path_factory.mktemp("filters"), "experiments.db"))
    made = []
    for i in range(40):
        arm = ARMS[i % 3]
        lr, window = [1e-3, 3e-4, 0.1][i // 3 % 3], [3, None][i % 2]
        run = new_run(
            store,
            seed=i % 5,
            backbone={"name": ["sasrec", "gru4rec"][i % 2]},
            train={"lr": lr},
            **(
                {"embedding": {"reduce": {"kind": "rec-pca", "graph": {"kind": "co-occurrence", "window": window}}}}
                if i % 3 < 2
                else {}
            ),
            **arm,
        )
        status = ["finished", "failed", "queued", "lost"][i // 2 % 4]
        ndcg = round(0.01 * (i % 12), 4) if status == "finished" else None
        created = DAY + timedelta(hours=7 * i)
        result: dict[str, Any] = {
            "test": {"ndcg@10": ndcg},
            "valid": {"ndcg@10": None if ndcg is None else ndcg / 2},
            "train_ce": [{"epoch": 0, "value": 7.5}, {"epoch": 20, "value": None if i % 4 == 0 else 5.0 + i % 3}],
        }
        with store.write() as session:
            values: dict[str, Any] = {"status": status, "created": created}
            values |= {"result": result} if status == "finished" else {}
            session.connection().execute(update(Run).where(col(Run.id) == run.id).values(values))
        tags = [tag for t, tag in enumerate(TAGS) if i >> t & 1]
        for tag in tags:
            add_tag(store, [run.id], tag)
        notes = [NOTES[i % 5]] if i % 5 < 3 else []
        for note in notes:
            add_note(store, run.id, note)
        finished = status == "finished"
        made.append(
            {
                "run": run.id,
                "status": status,
                "arm": run.arm,
                "ablation": run.ablation,
                "dataset": "demo",
                "backbone": run.backbone,
                "embedding": run.embedding,
                "seed": run.seed,
                "tag": tags,
                "note": notes,
                "created": created,
                "ndcg@10": ndcg,
                "valid.ndcg@10": result["valid"]["ndcg@10"] if finished else None,
                "train_ce@20": result["train_ce"][1]["value"] if finished else None,
                "train.lr": lr,
                "embedding.reduce.graph.window": window if i % 3 < 2 else None,
                "table.normalize": "none" if i % 3 else "both",
                "evaluate.mask_seen": True,
                "backbone.hidden": 128 if i % 2 else None,
            }
        )
    return store, made


_WINDOW = "embedding.reduce.graph.window"
NUMBERS = ("seed", "ndcg@10", "valid.ndcg@10", "train_ce@20", "train.lr", _WINDOW, "backbone.hidden")
TEXTS = ("status", "arm", "ablation", "dataset", "backbone", "embedding", "tag", "note", "table.normalize", "run")
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}


def holds(run: dict[str, Any], node: Node) -> bool:
    """The slow, obvious meaning of a filter."""
    match node:
        case And(parts):
            return all(holds(run, part) for part in parts)
        case Or(parts):
            return any(holds(run, part) for part in parts)
        case Not(part):
            return not holds(run, part)
        case Word(text):
            places = [run["status"], run["arm"], run["dataset"], run["backbone"], run["embedding"] or ""]
            places += run["tag"] + run["note"]
            return run["run"].startswith(text.upper()) or any(text.lower() in place.lower() for place in places)
        case Compare(field, op, values):
            if op.startswith("!"):
                return not holds(run, Compare(field, {"!=": "=", "!~": "~"}[op], values))
            return any(_fits(run[field], field, op, value) for value in values)


def _fits(found: Any, field: str, op: str, value: Value) -> bool:
    if value.text == "none" and not value.quoted and op == "=":
        return found in (None, "none", [])
    if isinstance(found, list):
        return any(_fits(each, field, op, value) for each in found)
    if found is None:
        return False
    if isinstance(found, datetime):
        return _fits_time(found, op, datetime.fromisoformat(value.text).replace(tzinfo=UTC))
    if isinstance(found, int | float):
        given = value.text == "true" if isinstance(found, bool) else float(value.text)
        return bool(COMPARE[op](found, given))
    return _fits_text(found, field, op, value.text)


def _fits_time(found: datetime, op: str, start: datetime) -> bool:
    end = start + timedelta(days=1)
    return {
        "=": start <= found < end,
        "<": found < start,
        "<=": found < end,
        ">": found >= end,
        ">=": found >= start,
    }[op]


def _fits_text(found: str, field: str, op: str, text: str) -> bool:
    if op == "~":
        return text.lower() in found.lower()
    if field == "arm" and found.rpartition("/")[2] == text and "/" in found:
        return True
    return found.startswith(text.upper()) if field == "run" else found == text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(node: Node) -> str:
    match node:
        case And(parts):
            return "(" + " ".join(map(written, parts)) + ")" if parts else ""
        case Or(parts):
            return "(" + " or ".join(map(written, parts)) + ")"
        case Not(part):
            return f"-{written(part)}"
        case Word(text):
            return _quoted(text)
        case Compare(field, op, values):
            return f"{field} {op} " + ", ".join(_quoted(v.text) if v.quoted else v.text for v in values)


pieces = st.sampled_from(
    ["no", "NORM", "full", "old", "flat", "lr ", '"', "\\", "%", "_", "'; DROP TABLE run; --", "ø"]
)


@st.composite
def compares(draw: st.DrawFn) -> Node:
    kind = draw(st.sampled_from(["number", "text", "time", "flag"]))
    if kind == "number":
        field = draw(st.sampled_from(NUMBERS))
        op = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]))
        number = st.sampled_from(["0", "1", "3", "5", "128", "0.05", "5e-2", "1e-3", "3e-4", "-1", "6"])
        value = st.builds(Value, number | st.just("none")) if op in ("=", "!=") else st.builds(Value, number)
    elif kind == "text":
        field, op = draw(st.sampled_from(TEXTS)), draw(st.sampled_from(["=", "!=", "~", "!~"]))
        known = {
            "status": ["finished", "failed", "lost", "none"],
            "table.normalize": ["none", "both", "input"],
            "backbone": ["sasrec", "gru4rec", "none"],
            "run": ["0", "01", "1"],
        }.get(field, [*TAGS, "no-norm", "full", "demo", "none"])
        value = st.builds(Value, st.sampled_from(known))
        if op in ("~", "!~"):
            value |= st.builds(Value, pieces, st.just(True))
    elif kind == "flag":
        field, op = "evaluate.mask_seen", draw(st.sampled_from(["=", "!="]))
        value = st.builds(Value, st.sampled_from(["true", "false", "none"]))
    else:
        field, op = "created", draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]))
        value = st.builds(Value, st.sampled_from(["2026-11-01", "2026-11-05", "2026-11-30"]))
    count = draw(st.integers(1, 3)) if op in ("=", "!=", "~", "!~") else 1
    return Compare(field, op, tuple(draw(value) for _ in range(count)))


nodes: st.SearchStrategy[Node] = st.recursive(
    compares() | st.builds(Word, st.sampled_from(["norm", "old", "sas", "01", "flat"]) | pieces),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(lambda parts: And(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
        | st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=6,
)


def found_by(store: Store, text: str) -> set[str]:
    return {row[0] for row in list_values(store, (), parse(text).clause())}


@settings(max_examples=250, deadline=None)
@given(node=nodes)
def test_a_filter_finds_what_the_slow_evaluator_finds(runs: tuple[Store, list[dict[str, Any]]], node: Node) -> None:
    store, made = runs
    text = written(node)
    assert parse(text).root == node
    assert found_by(store, text) == {run["run"] for run in made if holds(run, node)}


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="abst=!~<>:,()\"'\\-. 0142seednor@10tag\n\0ü😀", max_size=40))
def test_any_text_is_read_or_refused_with_its_column(runs: tuple[Store, list[dict[str, Any]]], text: str) -> None:
    try:
        found_by(runs[0], text)
    except FilterError as error:
        assert 1 <= error.column <= len(text) + 1
        assert "\n" not in str(error)
        assert error.pointer.endswith("^")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("", "run~0 or run!~0"),
        ("tag:old", "tag=old"),
        ("not tag:old", "-tag:old"),
        ("!tag:old", "-tag:old"),
        ("seed=0 and status=failed", "status=failed seed=0"),
        ("seed=0 or seed=1 status=failed", "seed=0 or (seed=1 status=failed)"),
        ("seed=0,1", "seed=0 or seed=1"),
        ("seed!=0,1", "-seed=0 -seed=1"),
        ("SEED=0 Or Status=failed", "seed=0 or status=failed"),
        ("ndcg@10>0.05", "test.ndcg@10>0.05"),
        ("train_ce@20>5", "train_ce>5"),
        ('ablation="none"', "seed<0"),
        ("created>=2026-11-03 created<2026-11-04", "created=2026-11-03"),
        ("created=2026-11-01T07:00", "created=2026-11-01T08:00+01:00"),
        ("status='failed'", 'status="failed"'),
        ("arm:no-norm", "arm=tf-llmer/no-norm"),
        ("arm!=full,no-norm", "-ablation:full -ablation:no-norm"),
        ("arm=id", "method=id"),
        ("-arm:'no-norm'", "arm!=tf-llmer/no-norm"),
    ],
)
def test_ways_to_say_the_same(runs: tuple[Store, list[dict[str, Any]]], text: str, same: str) -> None:
    assert found_by(runs[0], text) == found_by(runs[0], same)


def test_spans_count_back_from_now(store: Store) -> None:
    old, new = new_run(store), new_run(store, seed=1)
    with store.write() as session:
        moved = update(Run).where(col(Run.id) == old.id)
        session.connection().execute(moved.values(created=datetime.now(UTC) - timedelta(days=3)))
    assert found_by(store, "created>2d") == found_by(store, "age<2d") == {new.id}
    assert found_by(store, "created<=2d") == found_by(store, "age>=48h") == {old.id}
    assert found_by(store, "age<1w age>1.5d") == {old.id}


def test_a_setting_that_an_old_specification_lacks_has_its_default(store: Store) -> None:
    run = new_run(store)
    with store.write() as session:
        session.connection().exec_driver_sql("UPDATE run SET spec = json_remove(spec, '$.train.lr', '$.table.bias')")
    assert found_by(store, "train.lr=1e-3 table.bias=none") == {run.id}


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("stats=failed", 1, "'stats' is no field (did you mean status?)"),
        ("seed=0 train.lrr>1", 8, "did you mean train.lr?"),
        ("ndgc@10>1", 1, "did you mean ndcg@10?"),
        ("lr>1e-3", 1, "'lr' is no field (did you mean train.lr?)"),
        ("lambda=1", 1, "did you mean embedding.reduce.lambda?"),
        ("graph.window=3", 1, "did you mean embedding.reduce.graph.window?"),
        ("dropot=.1", 1, "did you mean backbone.dropout?"),
        ("norm_sd=1", 1, "did you mean data.source.norm_sd or embedding.control.norm_sd?"),
        ("valid>.1", 1, "did you mean valid.ndcg@10?"),
        ("test>.1", 1, "did you mean test.ndcg@10?"),
        ("data:demo", 1, "did you mean dataset?"),
        ("CE<5", 1, "did you mean train_ce?"),
        ("zzzz=1", 1, "for instance status, arm"),
        ("status=fialed", 8, "never 'fialed' (did you mean failed?)"),
        ("table.normalize=inputs", 17, "did you mean input?"),
        ("seed~3", 5, "seed is a number and takes"),
        ("arm<3", 4, "arm is text and takes"),
        ("seed=x", 6, "seed is a number, not 'x'"),
        ("seed=nan", 6, "seed is a number"),
        ("seed<1,2", 7, "< takes one value"),
        ("seed=", 6, "a value of seed is missing"),
        ("seed=1,", 8, "a value of seed is missing"),
        ("=3", 1, "a field is missing before ="),
        ("(seed=1", 1, "this ( is not closed"),
        ("seed=1)", 7, "this ) closes nothing"),
        ("seed=1 or", 10, "a term is missing"),
        ("-", 2, "a term is missing"),
        ("arm='a", 5, "not closed"),
        ("created=2d", 9, "a span such as 2d takes < <= > >="),
        ("created>soon", 9, "is a time such as"),
        ("age=2d", 4, "age takes < <="),
        ("age>2x", 5, "a span such as"),
        ("evaluate.mask_seen=1", 20, "true or false, not '1'"),
        ("(" * (MAX_DEPTH + 5), MAX_DEPTH + 2, "deep"),
        ("a " * (MAX_TERMS + 1), 2 * MAX_TERMS + 1, "terms"),
        ("a" * 5000, 4001, "longer than"),
    ],
)
def test_errors_point_at_the_column(text: str, column: int, says: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert caught.value.column == column
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"filter, column {column}: ")


def test_the_caret_stands_under_the_place() -> None:
    with pytest.raises(FilterError) as caught:
        parse("note~数据 seed=x")
    assert caught.value.pointer == "note~数据 seed=x\n" + " " * 15 + "^"


def test_the_longest_filter_is_one_that_sqlite_takes(runs: tuple[Store, list[dict[str, Any]]]) -> None:
    assert found_by(runs[0], " ".join(["norm"] * MAX_TERMS)) == found_by(runs[0], "norm")
    nested = "(" * (MAX_DEPTH - 1) + "norm" + ")" * (MAX_DEPTH - 1)
    assert found_by(runs[0], nested) == found_by(runs[0], "norm")


def test_sorting_by_any_field_puts_what_lacks_it_last(runs: tuple[Store, list[dict[str, Any]]]) -> None:
    store, made = runs
    for text, sign in (("ndcg@10,seed", 1), ("-ndcg@10,seed", -1)):
        rows = list_values(store, [field_named("ndcg@10", ""), field_named("seed", "")], order=order_by(text))
        known = [row[1:] for row in rows if row[1] is not None]
        assert known == sorted(known, key=lambda pair: (sign * pair[0], pair[1]))
        assert all(row[1] is None for row in rows[len(known) :])
        assert len(rows) == len(made)
    newest = [row[0] for row in list_values(store, [], order=order_by("age"))]
    assert newest == [run["run"] for run in sorted(made, key=lambda run: run["created"], reverse=True)]
    with pytest.raises(UserError, match=r"--sort sed: no such field \(did you mean seed\?\)"):
        order_by("-sed")
    with pytest.raises(UserError, match=r"--columns lr: no such field \(did you mean train.lr\?\)"):
        field_named("lr", "--columns")


def test_every_field_can_be_filtered_sorted_and_listed(store: Store) -> None:
    new_run(store)
    for name, field in all_fields().items():
        rows = list_values(store, [field], parse(f"{name}!=none").clause() if field.kind != "age" else None)
        assert len(list_values(store, [], order=order_by(name))) == 1
        assert all(len(row) == 2 for row in rows)


def test_completion(runs: tuple[Store, list[dict[str, Any]]]) -> None:
    store, _ = runs

    def at_end(text: str) -> list[str]:
        return complete(text, len(text), store)

    assert at_end("sta")[0] == "status"
    assert at_end("seed=0 -ta")[0] == "tag"
    assert at_end("status=f") == ["finished", "failed"]
    assert at_end("status=failed,lo") == ["lost"]
    assert at_end("tag:") == sorted(TAGS)
    assert at_end("backbone=") == ["gru4rec", "sasrec"]
    assert at_end("table.normalize=")[0] == "none"
    assert at_end("nothing=") == []
    assert at_end("lr")[0] == "train.lr" and at_end("seed=0 -lr")[0] == "train.lr"
    assert at_end("normalize")[0] == "table.normalize"
    assert at_end("arm:no-n") == ["tf-llmer/no-norm"]
    assert complete("status=f", 8) == ["finished", "failed"]
    assert complete("sta seed=1", 3)[0] == "status"
    assert word_start("seed=0 -ta", 10) == 8
    assert word_start("note~a.b", 8) == 5


def positions(text: str) -> Iterator[int]:
    return iter(range(len(text) + 1))


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=30))
def test_completion_takes_any_text(text: str) -> None:
    for cursor in positions(text):
        assert 0 <= word_start(text, cursor) <= cursor
        complete(text, cursor)


def test_a_number_that_may_be_a_word_is_asked_for_by_either(store: Store) -> None:
    for seed, length in enumerate(("id", "as-it-comes", 0.8, 2.4)):
        new_run(store, seed=seed, table={"row_length": length})

    def seeds(text: str) -> list[int]:
        return sorted(run.seed for run in list_records(store, parse(text).clause()))

    asked = ("=id", "=as-it-comes", "=0.8", "=id,2.4", "!=id", ">1", "<=0.8")
    assert [seeds(f"table.row_length{each}") for each in asked] == [[0], [1], [2], [0, 3], [1, 2, 3], [3], [2]]
    for wrong in ("table.row_length=ids", "table.row_length>id"):
        with pytest.raises(FilterError, match="is a number or id or id-median or as-it-comes"):
            parse(wrong)
