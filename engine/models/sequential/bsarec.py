"""BSARec: self-attention beside a rescaler of frequencies (Shin et al., AAAI 2024). docs/method.md B.1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.sequential.attention import attend, attend_used
from engine.models.sequential.layout import Layout
from engine.models.sequential.post_norm import FeedForward, PositionedInput, Residual, small_weights


class FrequencyRescaler(nn.Module):
    """norm(x + drop(low + beta^2 (x - low))), `low` the lowest frequencies of x along a sequence of `max_length`
    places, beta a number for each column.

    A window stands at the end of the sequence and zeros before it, in every layer.
    """

    def __init__(self, settings: spec.BSARec) -> None:
        super().__init__()
        self.length, self.kept = settings.max_length, settings.components // 2 + 1
        self.beta = nn.Parameter(torch.randn(settings.width))
        self.residual = Residual(settings.width, settings.dropout)

    def forward(self, x: Tensor, layout: Layout, used: Tensor | None) -> Tensor:
        """[T, d] -> [T, d], or [N, d] at the positions `used`."""
        kernel = self._kernel(x)
        parts = [group.unpad(_circulant(kernel, group.length) @ group.pad(x)) for group in layout.groups]
        low = parts[0] if len(parts) == 1 else torch.cat(parts)
        total = len(x)
        if used is not None:
            x, low = x.index_select(0, used), low.index_select(0, used)
        out: Tensor = self.residual(x, low + self.beta**2 * (x - low), used, total)
        return out

    def _kernel(self, like: Tensor) -> Tensor:
        """[length] what the filter that lets the first `kept` frequencies pass makes of a single 1."""
        passes = torch.zeros(self.length // 2 + 1, dtype=torch.complex128)
        passes[: self.kept] = 1
        kernel: Tensor = torch.fft.irfft(passes, n=self.length)
        return kernel.to(like)


def _circulant(kernel: Tensor, n: int) -> Tensor:
    """[n, n] the kernel at the lag of each pair of places."""
    place = torch.arange(n, device=kernel.device)
    return kernel[(place[:, None] - place) % len(kernel)]


class SelfAttention(nn.Module):
    """norm(x + drop(W_o attention(x))), causal."""

    def __init__(self, settings: spec.BSARec) -> None:
        super().__init__()
        self.heads, width = settings.heads, settings.width
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.residual = Residual(width, settings.dropout)

    def forward(self, x: Tensor, layout: Layout, used: Tensor | None) -> Tensor:
        """[T, d] -> [T, d], or [N, d] at the positions `used`."""
        once = self.training or not torch.is_grad_enabled()  # curvature differentiates twice, in evaluation mode
        qkv, width, total = self.qkv(x), x.shape[1], len(x)
        if used is None:
            mixed = attend(qkv, layout, self.heads, causal=True, once=once)
        else:
            x, q = x.index_select(0, used), qkv[:, :width].index_select(0, used)
            mixed = attend_used(q, qkv[:, width:], layout, self.heads, causal=True)
        out: Tensor = self.residual(x, self.out(mixed), used, total)
        return out


class BSARecBlock(nn.Module):
    """alpha rescaler(x) + (1 - alpha) attention(x), then a feed-forward layer."""

    def __init__(self, settings: spec.BSARec) -> None:
        super().__init__()
        self.alpha = settings.alpha
        self.rescaler, self.attention = FrequencyRescaler(settings), SelfAttention(settings)
        self.mlp = FeedForward(settings.width, settings.inner, settings.dropout)

    def forward(self, x: Tensor, layout: Layout, used: Tensor | None) -> Tensor:
        """[T, d] -> [T, d], or [N, d] at the positions `used`."""
        mixed = self.alpha * self.rescaler(x, layout, used) + (1 - self.alpha) * self.attention(x, layout, used)
        out: Tensor = self.mlp(mixed, used, len(x))
        return out


class BSARecEncoder(nn.Module):
    """An output sees its whole window, since frequencies are those of all of it; the last predicts what follows."""

    mask_share: float | None = None

    def __init__(self, settings: spec.BSARec) -> None:
        super().__init__()
        self.enter = PositionedInput(settings.max_length, settings.width, settings.dropout)
        self.blocks = nn.ModuleList(BSARecBlock(settings) for _ in range(settings.layers))
        small_weights(self)

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """See `SequenceEncoder`."""
        x = self.enter(vectors, layout)
        for number, block in enumerate(self.blocks, 1):
            x = block(x, layout, layout.used if number == len(self.blocks) else None)
        out: Tensor = x
        return out
