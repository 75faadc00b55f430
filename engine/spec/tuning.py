"""Where the settings of a tuned arm come from."""

from __future__ import annotations

from pydantic import Field

from engine.spec.part import Part


class Tuning(Part):
    """A tuned preset, and what has to be equal for two arms to have been tuned alike. It changes no number of a run."""

    name: str = Field(description="name of the tuned preset")
    by: str = Field(description="what chose: valid_ce, valid.ndcg@10, ...")
    trials: int = Field(description="trials of the arm")
    space: str = Field(description="hash of the search space")
    settings: tuple[str, ...] = Field(description="settings that were searched for the arm")

    @property
    def text(self) -> str:
        """What has to be equal, in words."""
        return f"{self.trials} trials by {self.by} in space {self.space[:6]}"
