"""A real SLURM of one node in a folder: munged, slurmctld and slurmd of Debian's packages, ended with the test."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.queue.workers import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONF = """
ClusterName=one
SlurmctldHost=localhost({address})
SlurmctldPort={ctld}
SlurmdPort={d}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_min_interval=100000
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
MinJobAge=300
JobRequeue=1
NodeName=one NodeHostname={host} NodeAddr={address} CPUs=4 State=UNKNOWN
PartitionName=main Nodes=one Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def require_slurm() -> None:
    """Skips where SLURM is not installed or the test is not root's; with CI=true that is a failure."""
    path = os.environ["PATH"] + ":/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    why = f"needs {', '.join(missing)} (slurm-wlm, munge)" if missing else "needs root" if os.geteuid() else ""
    if why:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which SLURM's commands speak to a cluster of one node."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, host=host, address="127.0.0.1", ctld=free_port(), d=free_port()))
    env = os.environ | {"SLURM_CONF": str(conf), "PATH": os.environ["PATH"] + ":/usr/sbin"}
    words = [f"--socket={folder}/munge.socket", f"--key-file={key}", f"--pid-file={folder}/munged.pid"]
    daemons = [
        ["munged", "--foreground", "--force", *words, f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed"],
        ["slurmctld", "-D", "-i"],
        ["slurmd", "-D", "-N", "one"],
    ]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for argv in daemons:
            with open(folder / f"{argv[0]}.out", "wb") as out:
                running.append(subprocess.Popen(argv, env=env, stdout=out, stderr=out, start_new_session=True))
            if argv[0] == "munged":
                until((folder / "munge.socket").exists, "munged listens")

        def idle() -> bool:
            time.sleep(0.1)
            done = subprocess.run(["sinfo", "-h", "-o", "%t"], env=env, capture_output=True, text=True, check=False)
            return done.stdout.strip() == "idle"

        until(idle, f"the node is idle; logs in {folder}")
        yield env
    finally:
        subprocess.run(["scancel", "--full", "--signal=KILL", "--user=root"], env=env, check=False, timeout=30)
        for daemon in reversed(running):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
