"""The layers that a model of sentence-transformers has behind its pooling, on float32 vectors [B x D]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.embeddings.encode.declared import VectorLayer
from engine.errors import UserError


def load_layers(layers: Sequence[VectorLayer], name: str) -> list[nn.Module]:
    """In order. Raises UserError where their files do not fit together or ask for an unknown activation."""
    return [_load(layer, name).eval().requires_grad_(False) for layer in layers]


class Normalized(nn.Module):
    """x / |x|; zero stays zero."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x, p=2, dim=-1)


class Truncated(nn.Module):
    """The first numbers of x."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self._dimensions = dimensions

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self._dimensions]


class DenseLayer(nn.Module):
    """activation(x W^T + b), plus x or its projection where the layer has a residual connection."""

    def __init__(self, layer: VectorLayer, name: str) -> None:
        super().__init__()
        config = layer.config
        inner, outer = int(config["in_features"]), int(config["out_features"])
        self._encoder, self._place = name, layer.folder.name
        self.linear = nn.Linear(inner, outer, bias=bool(config.get("bias", True)))
        self.activation_function = _activation(str(config.get("activation_function", "torch.nn.Tanh")), name)
        self._adds_input = bool(config.get("use_residual", False))
        if self._adds_input and inner != outer:
            self.residual = nn.Linear(inner, outer, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.linear.in_features:
            raise UserError(
                f"--encoder {self._encoder}: its {self._place} takes vectors of {self.linear.in_features} numbers, "
                f"the pooling gives {x.shape[1]}; leave --pooling out to use what the encoder declares"
            )
        y: Tensor = self.activation_function(self.linear(x))
        if not self._adds_input:
            return y
        return y + (self.residual(x) if hasattr(self, "residual") else x)


class NormLayer(nn.Module):
    """VectorLayer normalisation with learned scale and shift."""

    def __init__(self, layer: VectorLayer) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(int(layer.config["dimension"]))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        return y


def _load(layer: VectorLayer, name: str) -> nn.Module:
    match layer.kind:
        case "normalize":
            return Normalized()
        case "truncate":
            return Truncated(int(layer.config["dimensions"]))
        case "dense" | "layer-norm":
            place = layer.folder.name
            try:
                weights = load_file(layer.folder / "model.safetensors")
                module = DenseLayer(layer, name) if layer.kind == "dense" else NormLayer(layer)
                module.load_state_dict({key: value.float() for key, value in weights.items()})
            except (SafetensorError, OSError) as error:
                raise UserError(f"--encoder {name}: {place}/model.safetensors cannot be read ({error})") from None
            except (KeyError, TypeError, ValueError, RuntimeError):
                raise UserError(
                    f"--encoder {name}: the weights of {place} are not those of its config.json; copy both again"
                ) from None
            return module
        case _:
            assert_never(layer.kind)


def _activation(path: str, name: str) -> nn.Module:
    """Of torch's own activations one; a name from a file runs nothing else."""
    last = path.rsplit(".", 1)[-1]
    known = nn.Identity if last == "Identity" else getattr(nn.modules.activation, last, None)
    own = getattr(known, "__module__", "") in ("torch.nn.modules.activation", "torch.nn.modules.linear")
    if not path.startswith("torch.nn.") or not own or not isinstance(known, type) or not issubclass(known, nn.Module):
        raise UserError(f"--encoder {name}: a dense layer declares the activation {path}, which is none of torch's own")
    activation: nn.Module = known()
    return activation
