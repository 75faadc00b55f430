"""SR-GNN: a gated graph network over the session's graph (Wu et al., AAAI 2019). docs/method.md B.1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.sequential.layout import Layout
from engine.models.transfer import sent


@dataclass(frozen=True)
class SessionGraphs:
    """The graphs of packed windows side by side: a node for each different item of a window, an edge for each step
    from an item to the next, as often as it was taken.

    node:    [T] the node of each place
    place:   [nodes] a place where each node's item stands
    sources, targets: [edges] nodes
    out_degrees, in_degrees: [nodes, 1] edges that leave and enter each node, at least 1
    """

    node: Tensor
    place: Tensor
    sources: Tensor
    targets: Tensor
    out_degrees: Tensor
    in_degrees: Tensor

    @staticmethod
    def of(layout: Layout, like: Tensor) -> SessionGraphs:
        """Of windows whose `layout.items` are known; degrees as the numbers of `like`."""
        if layout.items is None:
            raise ValueError("a session's graph needs to know which item stands where")
        key = layout.windows() * (layout.items.max() + 1) + layout.items
        keys, node = torch.unique(key, return_inverse=True)
        place = torch.empty_like(keys)
        place[node] = torch.arange(len(node), device=node.device)
        goes_on = torch.ones_like(node, dtype=torch.bool)
        goes_on[layout.last] = False
        steps = goes_on.nonzero().squeeze(1)
        sources, targets = node[steps], node[steps + 1]
        out_degrees, in_degrees = (
            torch.bincount(ends, minlength=len(keys)).clamp(min=1).unsqueeze(1).to(like) for ends in (sources, targets)
        )
        return SessionGraphs(node, place, sources, targets, out_degrees, in_degrees)

    def received(self, outgoing: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
        """A_out outgoing and A_in incoming, [nodes, d] each: the mean over the edges that leave, and that enter."""
        out = torch.zeros_like(outgoing).index_add(0, self.sources, outgoing.index_select(0, self.targets))
        into = torch.zeros_like(incoming).index_add(0, self.targets, incoming.index_select(0, self.sources))
        return out / self.out_degrees, into / self.in_degrees


class GatedStep(nn.Module):
    """One step of the gated graph network, equations 1 to 5."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.outgoing, self.incoming = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.empty(2 * width))
        self.from_graph = nn.Linear(2 * width, 3 * width)  # W_z, W_r, W_o
        self.from_node = nn.Linear(width, 2 * width, bias=False)  # U_z, U_r
        self.from_kept = nn.Linear(width, width, bias=False)  # U_o

    def forward(self, nodes: Tensor, graphs: SessionGraphs) -> Tensor:
        """[nodes, d] -> [nodes, d]."""
        messages = torch.cat(graphs.received(self.outgoing(nodes), self.incoming(nodes)), 1) + self.bias
        for_update, for_reset, for_new = self.from_graph(messages).chunk(3, 1)
        update_by_node, reset_by_node = self.from_node(nodes).chunk(2, 1)
        update, reset = torch.sigmoid(for_update + update_by_node), torch.sigmoid(for_reset + reset_by_node)
        new = torch.tanh(for_new + self.from_kept(reset * nodes))
        return torch.lerp(nodes, new, update)


class Readout(nn.Module):
    """W_3 [s_l; s_g], equations 6 and 7: the last item, and all weighted by attention to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_last, self.of_each = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.weigh = nn.Linear(width, 1, bias=False)
        self.join = nn.Linear(2 * width, width, bias=False)

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """States of the places [T, d] -> [N, d] with each used place as the last item, its whole window as all."""
        window, last = layout.windows(), layout.used
        asked = torch.arange(len(states), device=states.device) if last is None else last
        sizes = sent(layout.lengths, states.device)[window[asked]]
        reader = torch.repeat_interleave(torch.arange(len(asked), device=states.device), sizes)
        first = layout.last[window[asked]] + 1 - sizes
        read = torch.arange(len(reader), device=states.device) + (first - (sizes.cumsum(0) - sizes))[reader]
        local, each = states.index_select(0, asked), states.index_select(0, read)
        by_last = self.of_last(local).index_select(0, reader)
        weights = self.weigh(torch.sigmoid(by_last + self.of_each(states).index_select(0, read)))
        whole = torch.zeros_like(local).index_add(0, reader, weights * each)
        out: Tensor = self.join(torch.cat([local, whole], 1))
        return out


class SRGNNEncoder(nn.Module):
    """An output sees its whole window, which is one graph; the last predicts what follows."""

    mask_share: float | None = None

    def __init__(self, settings: spec.SRGNN) -> None:
        super().__init__()
        self.steps = settings.layers
        self.step, self.readout = GatedStep(settings.width), Readout(settings.width)
        self.drop = Dropout(settings.dropout)
        bound = settings.width**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """See `SequenceEncoder`."""
        graphs = SessionGraphs.of(layout, vectors)
        nodes = self.drop(vectors.index_select(0, graphs.place))
        for _ in range(self.steps):
            nodes = self.step(nodes, graphs)
        out: Tensor = self.readout(nodes.index_select(0, graphs.node), layout)
        return out
