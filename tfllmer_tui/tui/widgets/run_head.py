"""The head of a run: what it is, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from engine.records import RunStatus
from engine.records.runs import origin_text
from engine.views.words import printable
from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.text import span
from tfllmer_tui.view.text import STATUS, epoch_text, number

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow


def run_head(row: RunRow, colors: Inks, now: float, width: int) -> Text:
    """Two lines for a screen of that width. `now`: Unix seconds."""
    mark = STATUS.get(row.status, ("?", ""))[0]
    vectors = f" · {row.embedding}" if row.embedding not in ("", row.dataset) else ""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{mark} {row.status}", colors.status(row.status))
    text.append(f"  {printable(row.arm)}", colors["bold"])
    text.append(printable(f" · {row.dataset}{vectors} · {row.backbone} · seed {row.seed}"), colors["text"])
    text.append(f"   {row.id}", colors["dim"])
    if row.tags:
        text.append(f"   {printable(' '.join(row.tags))}", colors["accent"])
    if row.archive:
        text.append(f"   {printable(origin_text(row.archive, row.backbone))}", colors["dim"])
    if row.removed:
        text.append("   removed; R restores", colors["warning"])
    text.append("\n")
    done = row.epoch or 0.0
    share = min(done / row.epochs, 1.0) if row.epochs else float(row.status == RunStatus.FINISHED)
    room = max(8, min(24, width // 6))
    filled = round(share * room)
    text.append("━" * filled, colors.status(row.status))
    text.append("━" * (room - filled), colors["faint"])
    end = now if row.status in (RunStatus.RUNNING, "stopping") else row.ended
    took = f" · {span(end - row.started)}" if row.started and end else ""
    left = f" · {span(row.ends_at - now)} left" if row.ends_at and row.ends_at > now else ""
    text.append(f"  {epoch_text(done, row.epochs)}{took}{left}", colors["text"])
    if row.reason:  # first of all, why it has not come to its end
        text.append(f"   {printable(row.reason)}", colors.status(row.status))
    for name, values in (("valid", row.valid), ("test", row.test)):
        if "ndcg@10" in values:
            text.append(f"   {name} NDCG@10 ", colors["dim"])
            text.append(number(values["ndcg@10"]), colors["bold"])
    return text
