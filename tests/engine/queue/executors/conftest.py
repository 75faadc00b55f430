"""Real clusters on this machine, one of each kind for all tests that ask for it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.queue.executors.cluster_of_one import require_slurm, slurm
from tests.engine.queue.executors.ray_cluster import ray_cluster, require_ray


@pytest.fixture(scope="session")
def slurm_here() -> Iterator[dict[str, str]]:
    """The variables with which commands speak to a SLURM of one node."""
    require_slurm()
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, slurm(Path(folder)) as env:  # sockets want short paths
        yield dict(env)


@pytest.fixture(scope="session")
def ray_here() -> Iterator[dict[str, str]]:
    """The variables with which commands speak to a Ray cluster of one node."""
    require_ray()
    with ray_cluster(["--head", "--num-cpus=4"]) as cluster:
        yield {"RAY_API_SERVER_ADDRESS": cluster.address}
