"""Progress of a sweep while its chunks work in other processes, read from the run directories."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from mechlab.core.progress import duration
from mechlab.record.lock import is_held
from mechlab.record.status import STATUS, read_status
from mechlab.sweeps.manifest import Job, Sweep


class SweepProgress:
    """Counts the jobs that have ended since this object was made, and names those that run.

    Args:
        sweep: the sweep.
        indices: the jobs that are to be run.
    """

    def __init__(self, sweep: Sweep, indices: Sequence[int]):
        self._sweep = sweep
        self._started = self._last = time.monotonic()  # the last: when a job has ended
        self._waiting = {index: self._changed(sweep.jobs[index]) for index in indices}
        self._total = len(indices)
        self._ended: Counter[str] = Counter(done=0, failed=0)

    def line(self) -> str:
        """Return the progress in one line: jobs that are done and failed, time left, jobs that run."""
        running = [self._sweep.jobs[index] for index in list(self._waiting) if self._is_running(index)]
        ended = self._ended.total()
        words = [f"{ended}/{self._total} jobs: {self._ended['done']} done, {self._ended['failed']} failed"]
        if 0 < ended < self._total:
            seconds = (self._last - self._started) / ended * (self._total - ended) - (time.monotonic() - self._last)
            words.append(f"about {duration(max(seconds, 1))} left")
        names = ", ".join(job.run for job in running) or "none"
        return f"{', '.join(words)}; running: {names}"

    def _is_running(self, index: int) -> bool:
        """True if a process holds the job's run; one that has ended since is counted, and not looked at again."""
        job = self._sweep.jobs[index]
        folder = self._sweep.root / job.run
        if is_held(folder):
            return True
        if self._changed(job) == self._waiting[index]:
            return False
        state = read_status(folder)["status"]
        if state in ("done", "failed"):
            self._ended[state] += 1
            self._last = time.monotonic()
            del self._waiting[index]
        return False

    def _changed(self, job: Job) -> int | None:
        """Return the time of the last change of the job's status; None if it has none."""
        try:
            return (self._sweep.root / job.run / STATUS).stat().st_mtime_ns
        except OSError:
            return None
