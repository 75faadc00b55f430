"""tfllmer embed: the text of a data set's items -> a file of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfllmer_tui.cli.options import Json
from tfllmer_tui.view.printing import put, terminal

if TYPE_CHECKING:
    from rich.console import Console


def add_to(app: typer.Typer) -> None:
    app.command()(embed)


def embed(
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="A name under $TFLLMER_DATA, or a folder.")],
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="MODEL", help="A local directory, or a hub id such as OWNER/NAME.")
    ],
    pooling: Annotated[
        str | None,
        typer.Option(
            "--pooling",
            metavar="KIND",
            help="From token vectors h_1..h_L (padding never counts) to one: mean; last = h_L; cls = h_1; max; "
            "eos-weighted = sum_i i h_i / sum_i i, which leans to the end of the text; mean-sqrt-len = sum_i h_i / "
            "sqrt(L). Several joined by + (cls+mean) stand side by side. What the encoder declares when left out, else "
            "mean.",
        ),
    ] = None,
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize",
            help="Scale vectors to length 1, or not; as the encoder declares when left out.",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="NAME",
            help="A prompt that the encoder declares, put before each text, or none; that for documents when left out.",
        ),
    ] = None,
    template: Annotated[
        str, typer.Option("--template", metavar="TEXT", help="The text of an item; see above.")
    ] = "{*}",
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            metavar="N",
            min=1,
            help="Tokens read of a text; the rest is cut off. As the encoder declares when left out, else 128.",
        ),
    ] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option("--batch-tokens", metavar="N", min=1, help="Tokens in a batch; chosen by device when left out."),
    ] = None,
    dtype: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option("--dtype", help="Precision of the encoder; auto: fp32 on a CPU, bf16 (or fp16) on a GPU."),
    ] = "auto",
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, or several: cuda:0,cuda:1.")
    ] = "auto",
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit of a hub id.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="DATASET.SOURCE.safetensors beside the data when left out."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="SOURCE", help="What --embedding calls it; the encoder's name when left out."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Encode everything again, and replace the file where it exists.")
    ] = False,
    json: Json = False,
) -> None:
    """Encode item texts with a transformers model, for --embedding.

    The default template {*} is every filled text field of the item as
    "field name: value" (underscores as spaces), joined by ". ":
    "title: Toy Story. release year: 1995. genres: Animation, Comedy".
    An item without text is "unknown". What the encoder's own files declare
    (modules.json and its folders, as sentence-transformers writes them) is
    the default for pooling, dense layers, normalisation, prompt and length.
    Where they declare nothing, the default pooling is the mean over real
    tokens, of at most 128. Other templates are made of

    \b
    {title}               a field of NAME.item; nothing where it is empty
    {title|untitled}      ... or "untitled" where it is empty
    [. genres: {genres}]  left out as a whole where a field in it is empty
    {{ }} [[ ]]           the brackets themselves

    A text that several items share is encoded once. Stopped or killed, the
    same command goes on where it was: what is done is kept in $TFLLMER_CACHE
    (~/.cache/tfllmer when left out) and may be deleted at any time. Only
    safetensors weights are read; code of a model's author is never run.

    \b
    tfllmer embed --dataset ml-100k --encoder sentence-transformers/all-MiniLM-L6-v2
    tfllmer embed --dataset ml-1m --encoder ./Qwen3 --pooling last --device cuda:0,cuda:1
    tfllmer embed --dataset ./mine --encoder ./e5 --template "{title}[. by {brand}]"
    """
    import os

    from engine.places import inter_name
    from engine.presets.locate import dataset_name, find_dataset

    if dataset == "demo":
        from engine.errors import UserError

        raise UserError("--dataset demo: its vectors are generated with it; name a data set that has a NAME.item file")
    folder = find_dataset(dataset)
    which = dataset_name(Path(dataset) if inter_name(dataset) is not None else folder)
    source = _source(name, encoder)
    out = _output(output, folder, which, source)
    result = _run(
        {
            "folder": str(folder),
            "dataset": which,
            "encoder": encoder,
            "revision": revision,
            "template": template,
            "pooling": pooling,
            "normalize": normalize,
            "prompt": prompt,
            "max_length": max_length,
            "batch_tokens": batch_tokens,
            "dtype": dtype,
            "device": device,
            "out": str(out),
            "cache": str(_cache()),
            "fresh": fresh,
            "parent": os.getpid(),
        }
    )
    found_by = source if output is None else str(out)
    _tell(result, ["tfllmer", "run", "--dataset", dataset, "--embedding", found_by], as_json=json)


def _source(name: str | None, encoder: str) -> str:
    """What the vectors are called: given, or the encoder's last word."""
    import re

    from engine.errors import UserError
    from engine.files import path_of

    chosen = name if name is not None else path_of(encoder).resolve().name.lower()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", chosen):
        raise UserError(f"--name {chosen}: letters, digits and . _ + - only; choose another with --name")
    return chosen


def _output(given: Path | None, folder: Path, dataset: str, source: str) -> Path:
    """The file to write. Raises UserError where `--embedding SOURCE` would then be ambiguous."""
    from engine.errors import UserError
    from engine.files import path_of
    from engine.presets import list_vectors

    if given is not None:
        if given.suffix != ".safetensors":
            raise UserError(f"-o {given}: vectors are written as .safetensors; end the name so")
        return path_of(given).resolve()
    out = folder / f"{dataset}.{source}.safetensors"
    others = [file.name for file in list_vectors(folder, dataset).get(source, []) if file != out]
    if others:
        raise UserError(f"--name {source}: {others[0]} in {folder} has this name already; choose another with --name")
    return out


def _cache() -> Path:
    from engine.files import user_cache

    return user_cache() / "encode"


def _run(settings: dict[str, Any]) -> dict[str, Any]:
    """Have the science wing's process do it, show how far it is, and return its result."""
    from tfllmer_tui.cli.child import run_child
    from tfllmer_tui.cli.output import no_caret_c

    bar = _Bar(terminal(stderr=True))
    try:
        with no_caret_c():
            return run_child(
                "embed",
                settings,
                bar.take,
                failed="not encoded",
                lost="not encoded (the same command goes on from what is done)",
                on_ctrl_c=lambda: bar.say("Stopping: what is encoded is kept. Ctrl-C again kills it."),
            )
    finally:
        bar.close()


class _Bar:
    """A bar with the time left on a terminal, and lines elsewhere."""

    def __init__(self, console: Console) -> None:
        import time

        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._console, self._clock = console, time.monotonic
        self._bar = Progress(
            TextColumn("{task.fields[texts]:,} of {task.fields[of]:,} texts"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]:.0f}/s"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
        )
        self._task: Any = None
        self._facts: dict[str, Any] = {}
        self._began = self._said_at = 0.0

    def take(self, record: dict[str, Any]) -> None:
        if record["r"] == "event" and record["level"] == "warning":
            self.say(f"warning: {record['text']}")
        elif record["r"] == "event" and self._console.is_terminal:
            self.say(record["text"])
        elif record["r"] == "facts":
            self._begin(record["values"])
        elif record["r"] == "points":
            self._move(record["step"], record["values"]["tokens"])

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def close(self) -> None:
        if self._task is not None:
            self._bar.stop()

    def _begin(self, facts: dict[str, Any]) -> None:
        self._facts, self._began, self._said_at = facts, self._clock(), self._clock()
        if facts["reused"]:
            self.say(f"{facts['reused']:,} of {facts['texts']:,} texts are encoded already")
        if self._console.is_terminal:
            self._task = self._bar.add_task(
                "", total=facts["tokens"], completed=facts["reused_tokens"], texts=facts["reused"], of=facts["texts"],
                speed=0.0,
            )  # fmt: skip
            self._bar.start()

    def _move(self, texts: int, tokens: int) -> None:
        from tfllmer_tui.view.text import duration

        passed = self._clock() - self._began
        speed = (texts - self._facts["reused"]) / passed if passed > 0 else 0.0
        if self._task is not None:
            self._bar.update(self._task, completed=tokens, texts=texts, speed=speed)
        elif self._clock() - self._said_at >= 5.0:
            self._said_at = self._clock()
            encoded = tokens - self._facts["reused_tokens"]
            left = passed * (self._facts["tokens"] - tokens) / encoded
            self.say(f"{texts:,} of {self._facts['texts']:,} texts, {speed:.0f}/s, {duration(left)} left")


def _tell(result: dict[str, Any], then: list[str], *, as_json: bool) -> None:
    from engine.text import shell_line
    from tfllmer_tui.cli.output import print_json
    from tfllmer_tui.view.text import duration

    if as_json:
        print_json(result)
        return
    summary = f"{result['encoded']:,} texts encoded" if result["encoded"] else "nothing left to encode"
    reused = f", {result['reused']:,} reused" if result["reused"] else ""
    put(f"{result['file']}: {result['items']:,} items x {result['dimensions']} {result['stored_as']}")
    put(_recipe(result))
    put(f"{summary}{reused} ({result['texts']:,} distinct texts), {duration(result['wall_s'])}")
    put(f"Next: {shell_line(then)}")


def _recipe(result: dict[str, Any]) -> str:
    """How a text became a vector, and who said so."""
    parts = [f"pooling {result['pooling']}"]
    parts += [f"then {result['layers']}"] if "layers" in result else []
    parts += [f"prompt {result['prompt']!r}"] if "prompt" in result else []
    parts += ["lower case"] if "lower_case" in result else []
    origin = "the encoder's files declare the defaults" if result["declared"] else "the encoder declares no pooling"
    return f"{', '.join(parts)}, at most {result['max_length']} tokens ({origin})"
