"""A pool of subprocesses: each in its slot, none in another's way, all told when it is to stop."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from mechlab.jobs.pool import Slot, cpu_slots, make_slots, python, run_all, visible_devices

QUICK = [sys.executable, "-S", "-c"]
TELL_DEVICE = """
import os, time
start = time.monotonic()
time.sleep(0.15)
print(os.environ["CUDA_VISIBLE_DEVICES"], start, time.monotonic())
"""
PARENT = """
import json, signal, sys
from mechlab.jobs.pool import cpu_slots, run_all
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup, and some programs that start tests, have ignored
print("started", flush=True)
def tell(number, slot, outcome):
    print("ended", number, flush=True)
outcomes = run_all(json.loads(sys.argv[1]), cpu_slots(2), {}, tell)
print(json.dumps([[outcome.status, outcome.output] for outcome in outcomes]))
"""
PATIENT = """
import signal, sys, time
def told(*_):
    print("told")
    sys.exit(143)
signal.signal(signal.SIGTERM, told)
open(sys.argv[1], "w").close()
time.sleep(60)
"""


def test_each_device_gets_as_many_slots_as_asked_and_the_first_slots_are_on_different_devices():
    slots = make_slots(["0", "MIG-a"], per_device=2)
    assert [slot.environment for slot in slots] == [{"CUDA_VISIBLE_DEVICES": device} for device in ("0", "MIG-a") * 2]
    assert [slot.name for slot in slots[:2]] == ["gpu 0", "gpu MIG-a"]


def test_without_devices_there_is_a_slot_for_each_processor():
    assert len(cpu_slots()) == len(os.sched_getaffinity(0))
    assert cpu_slots(3) == [Slot("cpu 0"), Slot("cpu 1"), Slot("cpu 2")]


@pytest.mark.parametrize("per_device", [1, 2])
def test_every_command_sees_one_device_and_no_device_gets_too_many_at_a_time(per_device):
    outcomes = run_all(
        [[*QUICK, TELL_DEVICE]] * 9, make_slots(["0", "1", "2"], per_device), {"CUDA_VISIBLE_DEVICES": "all"}
    )
    spans = [outcome.output.split() for outcome in outcomes]
    assert {device for device, *_ in spans} == {"0", "1", "2"}
    for device, start, _ in spans:
        at_once = sum(d == device and float(a) <= float(start) < float(b) for d, a, b in spans)
        assert at_once <= per_device
    assert Counter(outcome.status for outcome in outcomes) == {0: 9}


def test_outcomes_keep_the_order_of_the_commands_and_a_failure_stops_nothing():
    told = []
    programs = [
        f"import sys, time; time.sleep({0.1 * (i == 0)}); print({i}); sys.stderr.write('e'); sys.exit({i % 3})"
        for i in range(7)
    ]
    commands = [[*QUICK, program] for program in programs]
    outcomes = run_all(commands, cpu_slots(2), {}, lambda number, slot, outcome: told.append((number, outcome)))
    assert [(outcome.status, outcome.output) for outcome in outcomes] == [(i % 3, f"{i}\ne") for i in range(7)]
    assert sorted(told, key=lambda pair: pair[0]) == list(enumerate(outcomes))
    assert told[0][0] == 1, "the others do not wait for a slow one"


def test_a_command_killed_by_a_signal_has_the_status_that_shells_give_it():
    outcomes = run_all([[*QUICK, f"import os; os.kill(os.getpid(), {number})"] for number in (9, 15)], cpu_slots(1), {})
    assert [outcome.status for outcome in outcomes] == [137, 143]


def test_a_command_that_cannot_be_started_fails_alone():
    outcomes = run_all([["/no/such/program"], [*QUICK, "print(1)"]], cpu_slots(1), {})
    assert [outcome.status for outcome in outcomes] == [127, 0]
    assert "/no/such/program" in outcomes[0].output


def test_output_that_is_no_text_is_no_failure():
    (outcome,) = run_all([[*QUICK, "import sys; sys.stdout.buffer.write(b'a\\xff')"]], cpu_slots(1), {})
    assert outcome.status == 0 and outcome.output[0] == "a"


def test_nothing_to_run_gives_no_outcomes():
    assert run_all([], cpu_slots(2), {}) == []


def test_a_pool_works_outside_of_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.extend(run_all([[*QUICK, "print(1)"]], cpu_slots(1), {})))
    thread.start()
    thread.join()
    assert [outcome.output for outcome in found] == ["1\n"]


def test_a_running_command_ends_as_it_would_when_the_pool_is_killed(tmp_path: Path):
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    program = f"""
import os, time
parent = os.getppid()
open({str(ready)!r}, "w").close()
while os.getppid() == parent:
    time.sleep(0.01)
print("alone", flush=True)
open({str(ended)!r}, "w").close()
"""
    command = [sys.executable, "-c", PARENT, json.dumps([[*QUICK, program]])]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as parent:
        wait_for(ready)
        parent.kill()
    wait_for(ended)


def wait_for(path: Path) -> None:
    """Wait until there is a file, for half a minute at most."""
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.01)
    raise TimeoutError(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_it_tells_the_running_ones_and_starts_no_other(number, tmp_path: Path):
    ready = [tmp_path / name for name in ("a", "b", "c")]
    commands = [[*QUICK, PATIENT, str(path)] for path in ready[:1]]
    commands += [[*QUICK, f"import time; open({str(ready[1])!r}, 'w'); time.sleep(60)"]]  # does not care
    commands += [[*QUICK, PATIENT, str(ready[2])]]
    command = [sys.executable, "-c", PARENT, json.dumps(commands)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        wait_for(ready[0])
        wait_for(ready[1])
        parent.send_signal(number)
        out = parent.communicate(timeout=20)[0].splitlines()
    assert parent.returncode == 0, "what the stop means is the caller's to say"
    assert json.loads(out[-1]) == [[143, "told\n"], [143, ""], [143, ""]]
    assert sorted(out[1:-1]) == ["ended 0", "ended 1"]
    assert not ready[2].exists()


def test_the_handlers_of_signals_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    run_all([[*QUICK, ""]], cpu_slots(1), {})
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize(
    ("variable", "devices"), [("2,GPU-ab", ["2", "GPU-ab"]), ("", []), ("-1", []), ("0", ["0"]), ("0, 1", ["0", "1"])]
)
def test_visible_devices_are_those_of_the_variable(variable, devices, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_devices() == devices


def test_without_the_variable_the_driver_is_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_devices() == []
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-1)'\necho '  MIG 1g'\necho 'GPU 1: A (UUID: GPU-2)'\n")
    driver.chmod(0o755)
    assert visible_devices() == ["0", "1"]


def test_a_command_is_run_by_this_python():
    assert python("-m", "x") == [sys.executable, "-m", "x"]
