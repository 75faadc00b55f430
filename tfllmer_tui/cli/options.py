"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Db: TypeAlias = Annotated[
    str | None,
    typer.Option("--db", metavar="STORE", envvar="TFLLMER_DB", help="A file or a URL; ./experiments.db if left out."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Dataset: TypeAlias = Annotated[str | None, typer.Option("--dataset", metavar="NAME", help="Only this data set.")]
Backbone: TypeAlias = Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="Only this backbone.")]
Sets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Set any field of the specification; repeat it."),
]
RunId: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run, its unique beginning, or its name.")
]
Priority: TypeAlias = Annotated[
    int, typer.Option("--priority", metavar="N", help="Runs of higher priority are taken first; 0 when left out.")
]
On: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--on", metavar="NAME", help="What carries it out: local when left out; slurm, ray, or an installed one."
    ),
]
ClusterName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="NAME", help="For --on slurm or ray: what jobs ask for; see tfllmer presets cluster."
    ),
]
NoWorker: TypeAlias = Annotated[
    bool, typer.Option("--no-worker", help="Do not start a worker in the background where none is alive.")
]

Method: TypeAlias = Annotated[
    str | None, typer.Option("--method", metavar="NAME", help="tf-llmer when left out; see tfllmer presets method.")
]
Ablation: TypeAlias = Annotated[
    str | None, typer.Option("--ablation", metavar="NAME", help="Change to the method; see tfllmer ablations.")
]
DatasetName: TypeAlias = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAME", help="demo when left out; a name under $TFLLMER_DATA, or a folder."),
]
Embedding: TypeAlias = Annotated[
    str | None,
    typer.Option("--embedding", metavar="NAME", help="Item vectors: a name beside the data set, or a file."),
]
TunedName: TypeAlias = Annotated[
    str | None,
    typer.Option("--tuned", metavar="NAME", help="The settings that a tuning chose for the arm; see tfllmer tune."),
]
Device: TypeAlias = Annotated[
    str | None, typer.Option("--device", metavar="NAME", help="auto when left out; cpu, cuda, cuda:N.")
]
Devices: TypeAlias = Annotated[
    int | None, typer.Option("--devices", metavar="N", min=1, help="Devices that share each batch; 1 when left out.")
]
Threads: TypeAlias = Annotated[int | None, typer.Option("--threads", metavar="N", help="CPU threads; 1 when left out.")]
