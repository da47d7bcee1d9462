"""A SLURM of our own: one node, in a folder of its own, with ports and keys of its own, ended by its processes' ids."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CPUS, MEGABYTES = 4, 64000  # declared, since most jobs wait most of the time: the machine may have less
# cred_expire is how long a requeued job waits before it may start again (two minutes by default).
# In the partition `low` a preempted job has 10 s between SIGTERM and SIGKILL.
CONFIGURATION = """
ClusterName=mechlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2,batch_sched_delay=1
JobRequeue=1
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={megabytes} State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=10
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""


def missing() -> str | None:
    """Say what this machine lacks to run a SLURM of its own; None if nothing."""
    if lacking := [name for name in DAEMONS if shutil.which(name) is None]:
        return f"{', '.join(lacking)} not installed (Debian: apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "SLURM's daemons start jobs as their users, which takes root"


class Cluster:
    """A running SLURM of one node.

    Args:
        folder: for all its files; the path must be short, since it holds a socket.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")

    def start(self) -> None:
        """Start the daemons, and wait until the node takes jobs."""
        folder, host = self._folder, socket.gethostname().split(".")[0]
        (folder / "state").mkdir()
        (folder / "spool").mkdir()
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller, node = _free_ports(2)
        declared = {"cpus": CPUS, "megabytes": MEGABYTES}
        text = CONFIGURATION.format(folder=folder, host=host, controller=controller, node=node, **declared)
        (folder / "slurm.conf").write_text(text)
        munge = {"key-file": key, "pid-file": "munge.pid", "log-file": "munged.log", "seed-file": "munge.seed"}
        options = [f"--{name}={folder / path}" for name, path in munge.items()]
        self._daemon("munged", "--foreground", "--force", f"--socket={folder}/munge.sock", *options)
        wait_until(lambda: (folder / "munge.sock").exists(), 30, self.logs)
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        wait_until(lambda: "idle" in ask("sinfo", "--noheader", "--format=%T", check=False), 60, self.logs)

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        try:
            if len(self._daemons) == len(DAEMONS):
                ask("scancel", "--partition=low", check=False)
                ask("scancel", "--partition=high", check=False)
                wait_until(lambda: not self.queue(), 60, self.logs)
        finally:
            for daemon in reversed(self._daemons):
                daemon.terminate()
                try:
                    daemon.wait(30)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
            del os.environ["SLURM_CONF"]

    def queue(self) -> list[str]:
        """Return the jobs that wait or run, an array's elements apart: number, name, state."""
        return ask("squeue", "--noheader", "--array", "--format=%i %j %T").splitlines()

    def wait(self, seconds: float = 150) -> None:
        """Wait until no job is left."""
        wait_until(lambda: not self.queue(), seconds, self.logs)

    def job(self, number: str) -> dict[str, str]:
        """Return what `scontrol show job` says of one job or element."""
        words = ask("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def logs(self) -> str:
        """Return the ends of the daemons' logs and the queue, for messages of failing tests."""
        parts = [path.read_text(errors="replace")[-3000:] for path in sorted(self._folder.glob("*.log"))]
        return "\n".join([*parts, ask("squeue", check=False), ask("sinfo", check=False)])

    def _daemon(self, *command: str) -> None:
        with open(self._folder / f"{command[0]}.out", "wb") as output:
            self._daemons.append(subprocess.Popen(command, stdout=output, stderr=output, cwd=self._folder))


def ask(*command: str, folder: Path | None = None, environment: Mapping[str, str] = {}, check: bool = True) -> str:
    """Run a command and return what it prints."""
    env = os.environ | environment
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wait_until(holds: Callable[[], object], seconds: float, explain: Callable[[], str]) -> None:
    """Wait until something holds, or raise TimeoutError with an explanation."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"still not so after {seconds} s\n{explain()}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
