"""Whatever a library raises in a child of the science wing becomes the reason of its end, never a silence."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import job
from engine.data import imports as data_imports
from engine.embeddings import imports as vector_imports
from engine.embeddings.encode import embed
from engine.spool import RunFolder, read_records
from engine.training import diagnosis, run


class PanicException(BaseException):
    """A panic of Rust code is no Exception."""


def panic(*given: object, **named: object) -> None:
    raise PanicException("index out of bounds\nat 3")


CHILDREN: list[tuple[str, object, str, Callable[[Path, RunFolder], int]]] = [
    ("import-data", data_imports, "import_data", job.import_data),
    ("import-vectors", vector_imports, "import_vectors", job.import_vectors),
    ("embed", embed, "embed", job.embed),
    ("diagnose", diagnosis, "run", job.diagnose),
    ("run", run, "carry_out", lambda request, folder: job.run(folder)),
]


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """A child handles SIGTERM; the process of the tests goes on as it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("kind", "module", "name", "child"), CHILDREN, ids=[each[0] for each in CHILDREN])
def test_a_panic_is_a_reason(
    kind: str,
    module: object,
    name: str,
    child: Callable[[Path, RunFolder], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from engine import spec

    monkeypatch.setattr(module, name, panic)
    experiment = json.loads(spec.to_json(spec.Experiment()))
    requests = {
        "import-data": {"source": "x", "folder": "x", "name": "x"},
        "import-vectors": {"source": "x", "out": "x"},
        "diagnose": {"experiment": experiment, "cache": str(tmp_path)},
        "run": experiment,
    }
    folder = RunFolder(tmp_path)
    folder.spec.write_text(json.dumps(requests.get(kind, {})))
    if kind == "embed":
        monkeypatch.setattr(embed.Embed, "model_validate_json", panic)
    assert child(folder.spec, folder) == 1
    records, _ = read_records(folder.spool)
    assert records[-1]["status"] == "failed"
    assert records[-1]["reason"] == "exception: PanicException: index out of bounds"


def test_a_run_keeps_the_threads_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine import spec

    carried: list[int | None] = []

    def carry_out(experiment: spec.Experiment, *given: object) -> None:
        carried.append(experiment.execution.threads)

    monkeypatch.setattr(run, "carry_out", carry_out)
    for at, (asked, began) in enumerate([(None, None), (None, 3), (2, None), (2, 3)]):
        folder = RunFolder(tmp_path / str(at))
        folder.root.mkdir()
        folder.spec.write_text(spec.to_json(spec.Experiment(execution=spec.Execution(threads=asked))))
        if began is not None:
            first = job.JobRecorder(folder)
            first.start(1, 1, 0.0)
            first.facts({"threads": began})
        job.run(folder)
    assert carried == [None, 3, 2, 2]
