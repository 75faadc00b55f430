"""FMLP-Rec: learnable filters over the sequence (Zhou et al., WWW 2022). docs/method.md B.1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.sequential.layout import Asked, Layout
from engine.models.sequential.post_norm import FeedForward, PositionedInput, Residual, small_weights


class FrequencyFilter(nn.Module):
    """norm(x + drop(F^-1(W * F(x)))), F the discrete Fourier transform along a sequence of `max_length` places.

    That is circular convolution with the kernel F^-1(W), which is how it is computed: a window stands at the end of
    the sequence behind zeros, in every layer, so a short one needs only the kernel's entries for lags within it.
    """

    def __init__(self, settings: spec.FMLPRec) -> None:
        super().__init__()
        self.length = settings.max_length
        self.weight = nn.Parameter(torch.empty(self.length // 2 + 1, settings.width, 2))  # real and imaginary parts
        self.residual = Residual(settings.width, settings.dropout)
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor, layout: Layout, used: Tensor | None) -> Tensor:
        """[T, d] -> [T, d], or [N, d] at the positions `used`."""
        kernel = torch.fft.irfft(torch.view_as_complex(self.weight), n=self.length, dim=0)
        parts = []
        for group in layout.groups:
            if used is None:
                parts.append(group.unpad(self._everywhere(group.pad(x), kernel)))
            elif group.asked is not None:
                parts.append(self._at(group.asked, group.pad(x), kernel))
        filtered = parts[0] if len(parts) == 1 else torch.cat(parts)
        out: Tensor = self.residual(x if used is None else x.index_select(0, used), filtered, used, len(x))
        return out

    def _everywhere(self, block: Tensor, kernel: Tensor) -> Tensor:
        """[b, n, d] -> [b, n, d]: for each column, the matrix of the kernel at the lags of all pairs of places."""
        place = torch.arange(block.shape[1], device=block.device)
        lags = (place[:, None] - place) % self.length
        return torch.bmm(kernel.T[:, lags], block.permute(2, 1, 0)).permute(2, 1, 0)

    def _at(self, asked: Asked, block: Tensor, kernel: Tensor) -> Tensor:
        """[b, n, d] -> [M, d] at the M positions that are asked."""
        place = torch.arange(block.shape[1], device=block.device)
        lags = (asked.positions[:, None] - place) % self.length
        owners = torch.div(asked.slots, asked.width, rounding_mode="floor")
        windows = block if len(owners) == len(block) and asked.width == 1 else block.index_select(0, owners)
        return (windows * F.embedding(lags, kernel)).sum(1)


class FMLPRecEncoder(nn.Module):
    """Blocks of a filter and a feed-forward layer. An output sees its whole window; the last predicts what follows."""

    mask_share: float | None = None

    def __init__(self, settings: spec.FMLPRec) -> None:
        super().__init__()
        s = settings
        self.enter = PositionedInput(s.max_length, s.width, s.dropout)
        self.filters = nn.ModuleList(FrequencyFilter(s) for _ in range(s.layers))
        self.mlps = nn.ModuleList(FeedForward(s.width, s.inner, s.dropout) for _ in range(s.layers))
        small_weights(self)

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """See `SequenceEncoder`."""
        x = self.enter(vectors, layout)
        for number, (filter_layer, mlp) in enumerate(zip(self.filters, self.mlps, strict=True), 1):
            used = layout.used if number == len(self.filters) else None
            x = mlp(filter_layer(x, layout, used), used, len(vectors))
        out: Tensor = x
        return out
