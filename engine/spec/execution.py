"""How a run is executed here."""

from __future__ import annotations

from pydantic import Field, model_validator

from engine.spec.part import Part


class Execution(Part):
    """How to run it here; never part of the identity."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    threads: int | None = Field(
        None,
        ge=1,
        description="CPU threads, which change the last bits of the numbers; none = for a large step as many as its "
        "place has and make it faster, else 1; the run keeps the number that it began with",
    )
    devices: int = Field(
        1,
        ge=1,
        description="devices that share each batch, a process each (on cpu: so many processes). Batches and loss stay "
        "those of one; sums change the last bits, and dropout takes other entries",
    )
    shard_items: bool = Field(
        False,
        description="each of several devices holds a slice of the item table and its moments, for catalogues that do "
        "not fit one; for the full softmax of backbones that read histories",
    )
    checkpoint_s: float = Field(30.0, gt=0, description="seconds between checkpoints inside an epoch")
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="windows per forward pass; their gradients add up to one step of batch_size windows. none = all at "
        "once; less needs less memory and changes the last bits, and which entries dropout takes",
    )
    time_limit_s: float | None = Field(
        None, gt=0, description="stop an attempt after so many seconds, with its state saved; none = never"
    )

    @model_validator(mode="after")
    def _slices_have_devices(self) -> Execution:
        if self.shard_items and self.devices == 1:
            raise ValueError("execution.shard_items: slices are for several devices; set execution.devices too")
        return self

    @model_validator(mode="after")
    def _devices_are_there(self) -> Execution:
        if self.devices > 1 and self.device.startswith("cuda:"):
            raise ValueError(
                f"execution.devices={self.devices} takes the devices by itself: execution.device is auto, cpu or cuda, "
                f"not {self.device}"
            )
        return self
