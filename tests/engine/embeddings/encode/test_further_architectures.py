"""Further members of each kind: batches against one text at a time, as for the usual ones, but not in every run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.embeddings.encode import test_architectures as usual
from tests.engine.embeddings.encode.test_architectures import BART, GROUPED, ROBERTA, SMALL, TOWERS, VISION, Part

FURTHER: dict[str, tuple[str, Mapping[str, Any], Part]] = {
    # sliding windows
    "Cohere2": ("Cohere2", GROUPED | {"sliding_window": 4}, lambda m: m),
    "Phi3": ("Phi3", SMALL | {"num_key_value_heads": 1, "sliding_window": 4, "pad_token_id": None,
             "original_max_position_embeddings": 64}, lambda m: m),
    "GptOss": ("GptOss", GROUPED | {"sliding_window": 4, "num_local_experts": 2, "num_experts_per_tok": 1},
               lambda m: m),
    # state spaces
    "Bamba": ("Bamba", GROUPED | {"mamba_n_heads": 4, "mamba_d_state": 4, "mamba_d_head": 8, "mamba_n_groups": 1,
              "mamba_chunk_size": 8, "attn_layer_indices": [1]}, lambda m: m),
    "RecurrentGemma": ("RecurrentGemma", SMALL | {"num_key_value_heads": 1, "lru_width": 16, "head_dim": 8,
                       "attention_window_size": 4, "block_types": ["recurrent", "attention"]}, lambda m: m),
    "Lfm2": ("Lfm2", GROUPED | {"conv_L_cache": 3, "full_attn_idxs": [1]}, lambda m: m),
    # two towers
    "CLIPSeg": ("CLIPSeg", TOWERS | {"projection_dim": 8}, lambda m: m.text_model),
    "Align": ("Align", {"text_config": SMALL, "vision_config": {"hidden_dim": 16, "image_size": 32},
              "projection_dim": 8}, lambda m: m.text_model),
    "Blip": ("Blip", {"text_config": SMALL | {"encoder_hidden_size": 16, "bos_token_id": 2}, "vision_config": VISION,
             "projection_dim": 8}, lambda m: m.text_model),
    # decoders without a pad token
    "Phi": ("Phi", SMALL | {"pad_token_id": None}, lambda m: m),
    "GPTNeoX": ("GPTNeoX", SMALL | {"pad_token_id": None}, lambda m: m),
    "Olmo2": ("Olmo2", GROUPED, lambda m: m),
    # positions behind the pad token, and encoders of encoder-decoders
    "XLMRobertaXL": ("XLMRobertaXL", ROBERTA, lambda m: m),
    "Data2VecText": ("Data2VecText", ROBERTA, lambda m: m),
    "MBart": ("MBart", BART, lambda m: m.encoder),
    "Blenderbot": ("Blenderbot", BART, lambda m: m.encoder),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", FURTHER)
def test_a_batch_gives_what_each_text_gives_alone(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, shape, part = FURTHER[kind]
    check: Callable[[str, Path], None] = usual.test_a_batch_gives_what_each_text_gives_alone
    monkeypatch.setitem(usual.KINDS, kind, (f"{name}Model", f"{name}Config", shape, part))
    check(kind, tmp_path)
