"""A pool of subprocesses on one machine, each in a slot of its own: a device, or a share of the processors."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO


@dataclass(frozen=True)
class Slot:
    """A place for one process at a time, and the environment that puts a process there."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a process: everything it printed, and its exit status as a shell reports it.

    That is 128 + N if signal N killed it, and 127 if it could not be started.
    """

    status: int
    output: str


def make_slots(devices: Sequence[str], per_device: int = 1) -> list[Slot]:
    """Return `per_device` slots on each of the devices, which are numbers or ids as CUDA_VISIBLE_DEVICES takes them."""
    return [
        Slot(f"gpu {device}", {"CUDA_VISIBLE_DEVICES": str(device)}) for _ in range(per_device) for device in devices
    ]


def cpu_slots(count: int | None = None) -> list[Slot]:
    """Return slots without a device: one for each processor by default."""
    return [Slot(f"cpu {i}") for i in range(count or len(os.sched_getaffinity(0)))]


def visible_devices() -> list[str]:
    """Return the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in map(str.strip, named.split(",")) if name and name != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU (\d+):", listed.stdout, re.MULTILINE)


def run_all(
    commands: Sequence[Sequence[str]],
    slots: Sequence[Slot],
    environment: Mapping[str, str],
    on_end: Callable[[int, Slot, Outcome], None] | None = None,
) -> list[Outcome]:
    """Run every command as a subprocess, as many at a time as there are slots, and return the outcomes in order.

    A failing command does not stop the others. When this process receives a stopping signal, it forwards it to the
    running commands, waits for them, and starts no others; those have the status 143.

    Args:
        commands: argument lists.
        slots: the places.
        environment: of every command, to which a slot adds its own.
        on_end: called with the number, slot and outcome of each command as it ends.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(commands)):
        waiting.put(number)
    outcomes = [Outcome(143, "")] * len(commands)
    running: set[subprocess.Popen] = set()
    stopping, lock = threading.Event(), threading.RLock()  # a second signal may interrupt the handler of the first

    def start(command: Sequence[str], variables: Mapping[str, str], output: IO[str]) -> subprocess.Popen | Outcome:
        try:
            process = subprocess.Popen(
                command,
                env=variables,
                stdout=output,  # a file, not a pipe: the command survives if this process is killed
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which forwards it
            )
        except OSError as error:
            return Outcome(127, f"{error}\n")
        running.add(process)
        return process

    def wait(process: subprocess.Popen, output: IO[str]) -> Outcome:
        status = process.wait()
        with lock:
            running.discard(process)
        output.seek(0)
        return Outcome(status if status >= 0 else 128 - status, output.read())

    def work(slot: Slot) -> None:
        while not stopping.is_set():
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
                with lock:
                    if stopping.is_set():
                        return
                    process = start(commands[number], {**environment, **slot.environment}, output)
                outcome = process if isinstance(process, Outcome) else wait(process, output)
            with lock:
                outcomes[number] = outcome
                if on_end is not None:
                    on_end(number, slot, outcome)

    def stop(_number: int, _frame: object) -> None:
        stopping.set()
        with lock:  # a command that is being started is in `running` by then
            for process in running:
                process.send_signal(signal.SIGTERM)

    in_main = threading.current_thread() is threading.main_thread()
    stopping_signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # a terminal was closed; nohup ignores that
        stopping_signals.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in stopping_signals} if in_main else {}
    workers = [threading.Thread(target=work, args=(slot,), name=slot.name) for slot in slots]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(0.2)  # short waits, so that signals are handled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return outcomes


def python(*arguments: str) -> list[str]:
    """Return the command that runs this Python with the arguments."""
    return [sys.executable, *arguments]
