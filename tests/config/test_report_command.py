"""The report of a real sweep, as a command; what a browser makes of it; and the sweep in a real TensorBoard."""

from __future__ import annotations

import contextlib
import csv
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import write_run, write_runs, write_status
from warm_process import command

from mechlab.record.events import tag_of
from mechlab.report import report
from mechlab.reporting.request import Request

RECORDED = Path(__file__).parents[1] / "data" / "recorded_runs"
SMALL = ("task.words=1000", "analysis.ambiguity.n_init=1", "analysis.ambiguity.curve=[]")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
         "disable-component-update", "disable-sync", "hide-scrollbars", "allow-file-access-from-files")  # fmt: skip
WIDTHS = [400, 1400]  # pixels of a phone and of a laptop
MEASURE = """
<iframe src="{page}" style="border:0;width:{width}px;height:800px"></iframe><pre id="told"></pre>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const visible = [...page.querySelectorAll("figure")].filter(figure => figure.getBoundingClientRect().width > 0);
  const open = visible.length;
  page.querySelectorAll("details").forEach(details => details.open = true);
  const boxes = [...page.querySelectorAll(".scroll, pre")].filter(box => box.scrollWidth > box.clientWidth);
  document.querySelector("#told").textContent = JSON.stringify({{
    width: page.scrollingElement.scrollWidth,
    scrolling: boxes.map(box => `${{box.textContent.trim().slice(0, 60)}} ${{box.scrollWidth}} > ${{box.clientWidth}}`),
    plots: [...page.querySelectorAll(".plots svg, .plot svg")].map(plot => plot.getBoundingClientRect().width),
    open: open,
    images: [...page.images].map(image => image.complete && image.naturalWidth > 0),
    captions: [...page.querySelectorAll("caption")].map(caption => caption.textContent),
    verdicts: page.querySelectorAll(".verdict").length,
    scheme: getComputedStyle(page.body).backgroundColor,
  }});
}});
</script>
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep over two tasks, two models and three seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    for task, more in (("tomita", SMALL), ("repeat_copy", ("task.d=2", "task.s=3"))):
        words = ("-m", f"task={task}", "model=rnn,gru", "seed=0,1,2", "trainer=smoke", "model.hidden=8", *more)
        done = command("train", *words, folder=folder)
        assert done.exit == 0, done.text
    return folder


@pytest.fixture(scope="module")
def reported(swept: Path) -> str:
    """What the command prints that reports the sweep."""
    return run("runs=runs/*/*", folder=swept).stdout


def run(*words: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess:
    """Run the report as a command."""
    program = [sys.executable, "-W", "error", "-m", "mechlab.report", *words]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / "runs" / "report" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.ci
def test_a_real_sweep_is_reported(swept: Path, reported: str) -> None:
    assert reported.splitlines()[-1] == "report: runs/report.html"
    assert "12 runs in 4 cells" in reported and "next:" in reported
    page = (swept / "runs" / "report.html").read_text(encoding="utf-8")
    assert page.count("seed=0,1,2</pre>") == 4
    results = {path.parent: json.loads(path.read_text()) for path in (swept / "runs").glob("*/*/result.json")}
    for row in rows(swept, "runs"):
        result = results[swept / row["run"]]
        assert {name: float(row[name]) for name in result["metrics"]} == result["metrics"]
        for analysis, finding in result["findings"].items():
            assert all(float(row[f"{analysis}/{name}"]) == value for name, value in finding["scalars"].items())
    findings = [found for result in results.values() for found in result["findings"].items()]
    claims = {(analysis, slug) for analysis, finding in findings for slug in finding["claims"]}
    assert {(row["analysis"], row["claim"]) for row in rows(swept, "claims")} == claims
    assert rows(swept, "failures") == []


@pytest.mark.ci
def test_the_command_of_a_cell_finds_its_runs_done(swept: Path, reported: str) -> None:
    page = (swept / "runs" / "report.html").read_text(encoding="utf-8")
    lines = re.findall(r"<pre[^>]*>python -m mechlab\.train (.*?)</pre>", page)
    line = next(line for line in lines if "task=tomita" in line)
    done = command("train", *shlex.split(html.unescape(line)), folder=swept)
    assert done.exit == 0, done.text
    assert done.out.count("the run is done already") == 3


@pytest.mark.ci
def test_reporting_again_writes_the_same(swept: Path, reported: str) -> None:
    files = [path for path in (swept / "runs" / "report").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".csv", ".tex", ".svg", ".pdf"}
    files.append(swept / "runs" / "report.html")
    before = {path: path.read_bytes() for path in files}
    run("runs=runs/*/*", folder=swept)
    assert {path for path in files if path.read_bytes() != before[path]} == set()


@pytest.mark.ci
def test_by_and_out(swept: Path) -> None:
    done = run("runs=runs/*/*", "by=[task]", "out=made/here.html", folder=swept)
    assert done.stdout.splitlines()[-1] == "report: made/here.html"
    assert "12 runs in 2 cells" in done.stdout
    with open(swept / "made" / "here" / "metrics.csv", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert {row["task"] for row in found} == {"tomita", "repeat_copy"}
    assert {row["n"] for row in found if row["metric"] == "test/accuracy"} == {"6"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs=nothing/*/*"], "this matches no file or folder"),
        (["runs=runs/tomita-gru/*/provenance"], "runs must name at least one run directory"),
        (["runs=runs/tomita-gur/*"], "did you mean 'tomita-gru'?"),
        (["run=runs/*/*"], "did you mean 'runs'?"),
        (["runs=runs/*/*", "by=modle"], "did you mean 'model'?"),
        (["runs=runs/*/*", "by=task.indx"], "did you mean 'task.index'?"),
        (["runs/*/*"], "key=value"),
        ([], 'python -m mechlab.report runs="runs/*/*"'),
    ],
)
def test_mistakes_are_told(words: list[str], told: str, tmp_path: Path) -> None:
    shutil.copytree(RECORDED, tmp_path / "runs")
    done = run(*words, folder=tmp_path, code=1)
    assert done.stderr.startswith("error: ") and told in done.stderr and "Traceback" not in done.stderr


def test_help(tmp_path: Path) -> None:
    printed = run("--help", folder=tmp_path).stdout
    assert all(f"{key}=" in printed for key in ("runs", "by", "out"))


@pytest.mark.ci
def test_neither_torch_nor_hydra_is_imported(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs=2)
    code = "import sys, mechlab.report as r; sys.argv = ['report', 'runs=runs']; r.main(); "
    code += "print([n for n in ('torch', 'hydra', 'omegaconf', 'pandas', 'scipy', 'sklearn') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.ci
def test_many_runs_are_reported_soon(tmp_path: Path) -> None:
    """500 runs in 30 s and 1 GB of memory; listed in 2 s."""
    write_runs(tmp_path / "runs", runs=500)
    code = "import resource, sys, mechlab.report as r; sys.argv = ['report', 'runs=runs']; r.main(); "
    code += "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_maxrss, used.ru_utime + used.ru_stime)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    kilobytes, seconds = map(float, done.stdout.splitlines()[-1].split())
    assert kilobytes < 1e6 and seconds < 30
    assert (tmp_path / "runs" / "report.html").stat().st_size < 8e6
    start = os.times()
    listed = subprocess.run([sys.executable, "-m", "mechlab.runs", "ls"], cwd=tmp_path, capture_output=True, text=True)
    end = os.times()
    assert "500 runs" in listed.stderr
    assert end.children_user + end.children_system - start.children_user - start.children_system < 2


def browse(page: Path, *options: str) -> subprocess.CompletedProcess:
    """Show a page in headless Chromium, and assert that its console stays empty."""
    profile = page.parent / ".profile"
    told = (f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0")
    program = [CHROMIUM, *(f"--{word}" for word in QUIET), *told, *options, page.as_uri()]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120)
    shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done


def measure(page: Path, width: int, *options: str) -> dict[str, Any]:
    """Show a page in a frame of so many pixels, and return its measures with all details open."""
    frame = page.parent / f"frame-{width}.html"
    frame.write_text(MEASURE.format(page=page.as_uri(), width=width))
    size = f"--window-size={max(width, 500)},900"
    dom = browse(frame, size, "--virtual-time-budget=10000", "--dump-dom", *options).stdout
    return json.loads(html.unescape(re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)[1]))


@pytest.mark.ci
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(swept: Path, reported: str, tmp_path: Path, width: int, scheme: str) -> None:
    """Tables, plots, claims and saved figures are there, and the page is as wide as the window, however narrow."""
    page = shutil.copy(swept / "runs" / "report.html", tmp_path)
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    told = measure(Path(page), width, *dark)
    assert told["width"] <= width
    assert width < 1400 or told["scrolling"] == [], "\n".join(told["scrolling"])
    assert len(told["plots"]) >= 8 and all(250 < plot <= width for plot in told["plots"])
    assert told["open"] >= 4 and len(told["images"]) >= 4 and all(told["images"]) and told["verdicts"] >= 8
    assert any("claims" in caption for caption in told["captions"])
    brightness = sum(map(int, re.findall(r"\d+", told["scheme"])))
    assert brightness < 150 if scheme == "dark" else brightness > 650
    browse(Path(page), f"--window-size={max(width, 500)},900", f"--screenshot={tmp_path / 'shot.png'}", *dark)
    assert (tmp_path / "shot.png").stat().st_size > 20_000


@pytest.mark.ci
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_scrolls_sideways(tmp_path: Path, width: int) -> None:
    """Neither do many cells, nor long names, sentences, values and commands: on a phone single tables may."""
    write_runs(tmp_path / "runs", runs=60, seeds=2)
    name, words = "a_long_name_without_a_break_" * 4, "A sentence of many words about the network. " * 12
    statement = {"statement": words, "value": 1.23456789e-7, "threshold": 0.5, "holds": True, "kind": "exact"}
    claims = {name: {**statement, "null": 0.123456, "interval": [1e-9, 1.2345e-7]}, "short": statement}
    findings = {name: {"scalars": {name: 1.0}, "claims": claims, "notes": {"x": f"{words} {name}"}}}
    expected = {f"{name}/{name}": {"published": 1.0, "source": name, "measured": 0.5, "within": False}}
    for hidden in (1, 2):
        run = write_run(tmp_path / "runs", "tomita", "gru", 9, hidden, 0, findings=findings, expected=expected)
        config = {"name": "tomita-gru", "seed": 0, "model": {name: name * 3, "hidden": hidden}}
        (run / "provenance" / "config.yaml").write_text(json.dumps(config))
        (run / "provenance" / "overrides.json").write_text(json.dumps([f"model.{name}={name}"]))
    for seed in (1, 2):
        run = write_run(tmp_path / "runs", "tomita", "gru", 9, 3, seed)
        (run / "provenance" / "config.yaml").write_text(json.dumps({"name": f"{name}-gru", "seed": seed}))
        write_status(run, "failed", reason=name * 3) if seed == 1 else (run / "result.json").write_text(name)
    report(Request((str(tmp_path / "runs"),), out=tmp_path / "report.html"))
    told = measure(tmp_path / "report.html", width)
    assert told["width"] <= width
    assert width < 1400 or told["scrolling"] == [], "\n".join(told["scrolling"])


@contextlib.contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Yield the address of a TensorBoard that serves a folder on a free port."""
    program = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--host", "127.0.0.1"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = None
            while address is None and (line := process.stderr.readline()):
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address, "TensorBoard must start"
            yield address[0]
        finally:
            process.kill()  # asked to stop, TensorBoard may wait for its data server for ever


def ask(address: str, path: str, body: Any = None, **query: str) -> bytes:
    """Ask a server, with a JSON body if given."""
    data = None if body is None else json.dumps(body).encode()
    words = f"?{urllib.parse.urlencode(query)}" if query else ""
    request = urllib.request.Request(f"{address}/data/{path}{words}", data=data)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


@pytest.mark.ci
def test_tensorboard_shows_scalars_figures_and_hyperparameters(swept: Path, tmp_path: Path) -> None:
    wanted = {}
    for number, folder in enumerate(sorted((swept / "runs" / "tomita-gru").iterdir())):
        wanted[f"run{number}/tb"] = json.loads((folder / "result.json").read_text())
        shutil.copytree(folder / "tb", tmp_path / f"run{number}" / "tb")
    assert len(wanted) == 3
    with tensorboard(tmp_path) as address:
        for _ in range(100):
            tags = json.loads(ask(address, "plugin/scalars/tags"))
            if set(tags) == set(wanted):
                break
            time.sleep(0.2)
        images = json.loads(ask(address, "plugin/images/tags"))
        for name, result in wanted.items():
            for metric in ("train/loss", "val/accuracy", "test/accuracy"):
                curve = json.loads(ask(address, "plugin/scalars/scalars", run=name, tag=tag_of(metric)))
                assert curve[-1][2] == pytest.approx(result["metrics"][metric], rel=1e-6), metric
                assert curve[-1][1] == 60
            figures = [tag for tag in images[name] if tag.startswith("~ambiguity/figures/")]
            assert figures
            for tag in figures:
                shown = json.loads(ask(address, "plugin/images/images", run=name, tag=tag, sample="0"))
                picture = ask(address, f"plugin/images/individualImage?{shown[-1]['query']}")
                assert picture.startswith(b"\x89PNG") and len(picture) > 5000
        check_hyperparameters(address, wanted)


def check_hyperparameters(address: str, wanted: dict[str, Any]) -> None:
    """Assert that the HParams page has a line for each run, with its seed, settings and final metrics."""
    experiment = json.loads(ask(address, "plugin/hparams/experiment", {"experimentName": ""}))
    names = {info["name"] for info in experiment["hparamInfos"]}
    assert {"task", "model", "seed", "model.hidden", "task.words"} <= names
    assert len(names) < 20, "what was given, not the whole configuration"
    metrics = {info["name"]["tag"] for info in experiment["metricInfos"]}
    assert {"val/loss", "~test/accuracy", "~test/loss"} <= metrics
    columns = [{"hparam": name, "order": "ORDER_UNSPECIFIED"} for name in sorted(names)]
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    question = {"experimentName": "", "allowedStatuses": statuses, "colParams": columns}
    page = {"startIndex": 0, "sliceSize": 10}
    groups = json.loads(ask(address, "plugin/hparams/session_groups", question | page))["sessionGroups"]
    assert len(groups) == 3
    by_seed = {result["seed"]: result for result in wanted.values()}
    for group in groups:
        result = by_seed[group["hparams"]["seed"]]
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert values["~test/accuracy"] == pytest.approx(result["metrics"]["test/accuracy"], rel=1e-6)
        assert group["hparams"]["model.hidden"] == 8
