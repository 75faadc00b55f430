"""The house's rules that no linter knows: no circle of modules, short files, one meaning for a class's name, one place
that prints."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("engine", "tfllmer_tui")
MOST_LINES = 400
REASON = "# Longer than 400 lines:"
"""How a file that has to be long begins a line, among its first ten, that says why."""


def modules() -> Iterator[tuple[Path, str]]:
    """Every module of the product, by its path in the repository, with its text."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield file.relative_to(ROOT), file.read_text("utf-8")


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """One way round in each knot of modules that import one another."""
    import networkx as nx  # type: ignore[import-untyped]

    graph = nx.DiGraph((importer, imported) for importer, all_ in imports.items() for imported in all_)
    knots = [knot for knot in nx.strongly_connected_components(graph) if len(knot) > 1]
    return [[importer for importer, _ in nx.find_cycle(graph.subgraph(knot))] for knot in knots]


def test_no_circle_of_modules_not_even_of_types() -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    assert circles({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}) == []


def test_a_circle_would_be_found() -> None:
    (found,) = circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert sorted(found) == ["a", "b", "c"]
    assert circles({"a": {"b", "c"}, "b": {"c"}}) == []


def test_files_are_short_or_say_why_not() -> None:
    long = {
        str(path): len(text.splitlines())
        for path, text in modules()
        if len(text.splitlines()) > MOST_LINES and not any(line.startswith(REASON) for line in text.splitlines()[:10])
    }
    assert long == {}


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, text in modules():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def unclosed(text: str) -> list[int]:
    """Lines of the matches whose last case is not `case _ as x: assert_never(x)`, under any name."""
    matches = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Match)]
    return [match.lineno for match in matches if not _is_closed(match.cases[-1])]


def _is_closed(case: ast.match_case) -> bool:
    takes_all = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None
    return takes_all and any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "assert_never"
        for statement in case.body
        for node in ast.walk(statement)
    )


def test_every_match_is_over_a_closed_set_and_says_so() -> None:
    assert {str(path): lines for path, text in modules() if (lines := unclosed(text))} == {}


@pytest.mark.parametrize(
    ("last", "is_closed"),
    [
        ("_: assert_never(x)", True),
        ("y: assert_never(y)", True),
        ("_: pass", False),
        ("2: ...", False),
    ],
)
def test_an_open_match_would_be_found(last: str, is_closed: bool) -> None:
    assert unclosed(f"match x:\n    case 1: ...\n    case {last}\n") == ([] if is_closed else [1])


MAY_PRINT = {
    "tfllmer_tui/view/printing.py": "the place itself",
    "tfllmer_tui/view/clean_console.py": "its console",
    "tfllmer_tui/cli/output.py": "asks by typer.confirm, with a cleaned question",
    "tfllmer_tui/cli/app.py": "sets what the streams do with characters that they lack",
    "engine/job.py": "writes a log, which is cleaned where it is shown",
    "engine/queue/__main__.py": "writes a log, which is cleaned where it is shown",
    "engine/forkserver.py": "writes a log, which is cleaned where it is shown",
}
_ASKS = {"echo", "secho", "confirm", "prompt", "echo_via_pager", "print_exc", "Console", "get_console", "pprint"}
_DRAWS = {"Live", "Progress", "Status", "Prompt", "Confirm"}
_STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}


def prints(text: str) -> Iterator[int]:
    """The lines that write to a stream, hand one on, or make a console of their own."""
    nodes = list(ast.walk(ast.parse(text)))
    asked = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr == "isatty"}
    for node in nodes:
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            last = function.rpartition(".")[2]
            own = last in _DRAWS and all(keyword.arg != "console" for keyword in node.keywords)
            descriptor = function == "os.write" and isinstance(node.args[0], ast.Constant)
            if own or descriptor or last in _ASKS or function in ("print", "input", "rich.print"):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in _STREAMS and id(node) not in asked:
            yield node.lineno


def test_nothing_prints_past_the_one_place() -> None:
    places = {str(path): lines for path, text in modules() if (lines := list(prints(text)))}
    assert {path: lines for path, lines in places.items() if path not in MAY_PRINT} == {}
    assert places.keys() == MAY_PRINT.keys() - {"tfllmer_tui/view/clean_console.py"}  # no reason is left over


@pytest.mark.parametrize(
    "code",
    [
        "print(x)",
        "rich.print(x)",
        "typer.echo(x)",
        "click.secho(x)",
        "typer.confirm(x)",
        "sys.stdout.write(x)",
        "sys.stdout.buffer.write(x)",
        "shutil.copyfileobj(x, sys.stdout)",
        "print(x, file=sys.stderr)",
        "sys.__stdout__.write(x)",
        "os.write(1, x)",
        "Console().print(x)",
        "Live(x)",
        "Progress()",
        "pprint.pprint(x)",
        "traceback.print_exc()",
        "out = sys.stderr",
    ],
)
def test_what_prints_would_be_found(code: str) -> None:
    assert list(prints(code)) != []


@pytest.mark.parametrize("code", ["sys.stdout.isatty()", "Live(x, console=c)", "os.write(pipe, x)", "put(x)"])
def test_what_does_not_print_is_let_alone(code: str) -> None:
    assert list(prints(code)) == []
