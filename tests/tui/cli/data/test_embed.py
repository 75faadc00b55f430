"""tfllmer embed: where the file goes, how --embedding finds it, how it is stopped and how it refuses."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import typer

from tests.engine.embeddings.encode.encoders import WORDS, save_encoder, save_model, write_items
from tests.tui.cli.calls import TFLLMER, call, refusal
from tfllmer_tui.cli.child import run_child


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("models") / "Tiny-Bert")


def test_vectors_lie_beside_the_data_and_are_found_by_name(model: Path, tmp_path: Path) -> None:
    folder = write_items(tmp_path / "data" / "shop", [f"{WORDS[n]} {WORDS[3]}" for n in range(30)])
    env = {"TFLLMER_DATA": str(tmp_path / "data"), "TFLLMER_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    words = ["embed", "--dataset", "shop", "--encoder", str(model), "--max-length", "64"]
    done = call(tmp_path, *words, **env)
    assert done.returncode == 0, done.stderr
    file = folder / "shop.tiny-bert.safetensors"
    assert f"{file}: 30 items x 16 float32" in done.stdout
    assert "Next: tfllmer run --dataset shop --embedding tiny-bert" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    listed = json.loads(call(tmp_path, "data", "list", "--json", **env).stdout)
    assert next(one for one in listed if one["name"] == "shop")["embeddings"] == ["tiny-bert"]
    shown = call(tmp_path, "run", "--dataset", "shop", "--embedding", "tiny-bert", "--show-config", **env)
    assert str(file) in shown.stdout

    again = call(tmp_path, *words, "--json", **env)
    told = json.loads(again.stdout)
    assert (told["encoded"], told["reused"], told["file"]) == (0, 30, str(file))
    assert "--fresh" in refusal(tmp_path, *words, "--template", "{title} x", **env).split("other vectors")[1]
    (folder / "shop.other.npy").touch()
    assert "shop.other.npy" in refusal(tmp_path, *words, "--name", "other", **env)


def test_wrong_use_is_one_line(model: Path, tmp_path: Path) -> None:
    folder = write_items(tmp_path / "shop", [*WORDS])
    env = {"TFLLMER_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    words = ["embed", "--dataset", str(folder), "--encoder"]

    assert "did you mean title?" in refusal(tmp_path, *words, str(model), "--template", "{titel}", **env)
    assert "http://127.0.0.1:9 cannot be reached" in refusal(tmp_path, *words, "tiny/model", **env)
    before = sorted(path.name for path in folder.iterdir())
    assert before == ["shop.inter", "shop.item"]
    assert "-o" in refusal(tmp_path, *words, str(model), "-o", "x.npy", **env)
    assert "--name a/b" in refusal(tmp_path, *words, str(model), "--name", "a/b", **env)
    assert "generated" in refusal(tmp_path, "embed", "--dataset", "demo", "--encoder", str(model), **env)


def test_ctrl_c_keeps_what_is_encoded(model: Path, tmp_path: Path) -> None:
    texts = [" ".join(WORDS[(n * k + k * k) % 40] for k in range(1, 30)) + f" w{n % 37}" for n in range(2500)]
    folder = write_items(tmp_path / "shop", texts)
    env = os.environ | {"TFLLMER_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    words = ["embed", "--dataset", str(folder), "--encoder", str(model), "--max-length", "64", "--batch-tokens", "40"]
    front = subprocess.Popen([*TFLLMER, *words, "--json"], env=env, stderr=subprocess.PIPE, text=True)
    assert front.stderr is not None
    while not list((tmp_path / "cache").glob("encode/*/lock")):
        assert front.poll() is None
        time.sleep(0.02)
    time.sleep(1.0)
    front.send_signal(signal.SIGINT)
    said = front.stderr.read()
    assert front.wait() == 130, said
    assert "the same command goes on from here" in said
    assert not (folder / "shop.tiny-bert.safetensors").exists()
    words[-1] = "4000"  # a faster end
    rest = call(tmp_path, *words, "--json", TFLLMER_CACHE=env["TFLLMER_CACHE"])
    assert rest.returncode == 0, rest.stderr
    told = json.loads(rest.stdout)
    assert told["encoded"] + told["reused"] == told["texts"] == len(set(texts))
    if told["reused"]:
        assert f"{told['reused']:,} of {told['texts']:,} texts are encoded already" in rest.stderr


def test_help_states_template_and_pooling(tmp_path: Path) -> None:
    page = call(tmp_path, "embed", "--help", COLUMNS="200").stdout
    for option in ("--dataset", "--encoder", "--pooling", "--normalize", "--prompt",
                   "--template", "--max-length", "--batch-tokens", "--dtype",
                   "--device", "--revision", "--output", "--name", "--fresh", "--json"):  # fmt: skip
        assert option in page
    text = " ".join(page.split())
    assert 'every filled text field of the item as "field name: value"' in text
    assert "title: Toy Story. release year: 1995. genres: Animation, Comedy" in text
    assert "Where they declare nothing, the default pooling is the mean over real tokens, of at most 128." in text
    assert re.search(r"^ +\[\. genres: \{genres\}\]  left out as a whole", page, re.MULTILINE), page
    assert re.search(r"^ +\{\{ \}\} \[\[ \]\] ", page, re.MULTILINE), page


def test_what_the_encoder_declares_is_printed_and_an_option_against_it_warns(tmp_path: Path) -> None:
    model = save_encoder(tmp_path / "Declared")
    for name, config in (("1_Pooling", {"pooling_mode": ["cls", "max"]}), ("2_Normalize", {})):
        (model / name).mkdir()
        (model / name / "config.json").write_text(json.dumps(config))
    (model / "sentence_bert_config.json").write_text('{"max_seq_length": 30}')
    folder = write_items(tmp_path / "shop", [*WORDS])
    env = {"TFLLMER_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    words = ["embed", "--dataset", str(folder), "--encoder", str(model)]
    done = call(tmp_path, *words, **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "pooling cls+max, then normalize, at most 30 tokens (the encoder's files declare the defaults)" in done.stdout
    )
    done = call(tmp_path, *words, "--fresh", "--pooling", "mean", "--no-normalize", **env)
    assert "pooling mean, at most 30 tokens" in done.stdout
    assert re.findall(r"warning: (--\S+ ?\S*) contradicts", done.stderr) == ["--pooling mean", "--no-normalize"]
    assert "--pooling medium: 'medium' is none of mean, last" in refusal(tmp_path, *words, "--pooling", "medium", **env)


def test_a_failure_that_would_repeat_is_not_called_resumable(tmp_path: Path) -> None:
    """A model that reads pictures fails in one line at every try; only a killed process may go on."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
             "image_size": 8, "patch_size": 4}  # fmt: skip
    model = save_model(tmp_path / "vit", "ViTModel", "ViTConfig", shape, {"cls_token": "[CLS]"})
    folder = write_items(tmp_path / "shop", [*WORDS])
    env = {"TFLLMER_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    said = refusal(tmp_path, "embed", "--dataset", str(folder), "--encoder", str(model), **env)
    assert "ViTModel cannot encode text of" in said and "goes on" not in said
    assert not (folder / "shop.vit.safetensors").exists()


@pytest.mark.parametrize(("sent", "says"), [(signal.SIGKILL, "the same command goes on"), (None, "tfllmer: broken: ")])
def test_only_a_lost_process_is_said_to_go_on(
    sent: signal.Signals | None, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def take(record: dict[str, object]) -> None:
        if sent is not None and record["r"] == "facts":
            for child in psutil.Process().children():
                if "--embed" in child.cmdline():
                    child.send_signal(sent)

    request: dict[str, object]
    if sent is None:
        kind, request = "import-data", {"files": "many"}  # a request that the process, whichever it is, cannot read
    else:
        texts = [f"{WORDS[n % 40]} {WORDS[n // 40]}" for n in range(1600)]  # each its own batch: seconds, to be hit in
        folder, model = write_items(tmp_path / "shop", texts), save_encoder(tmp_path / "bert")
        kind, request = "embed", {"folder": str(folder), "dataset": "shop", "encoder": str(model), "batch_tokens": 1}
        request |= {"out": str(tmp_path / "x.safetensors"), "cache": str(tmp_path / "cache")}
    with pytest.raises(typer.Exit) as caught:
        run_child(kind, request, take, failed="broken", lost="lost (the same command goes on)")
    assert caught.value.exit_code == 1
    assert says in capfd.readouterr().err
