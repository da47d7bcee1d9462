"""The documentation site: its pages, links, what it loads, and what a browser makes of it."""

from __future__ import annotations

import html
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from built_site import Page, is_broken, is_external, read_pages

pytestmark = pytest.mark.xdist_group("site")  # one process builds it, for all tests
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
         "disable-component-update", "disable-sync", "hide-scrollbars", "enable-logging=stderr", "v=0")  # fmt: skip
FETCHES = re.compile(r"""(?:import\s*\(|import\s|from\s|fetch\(|url\(|@import)\s*["']?https?://[^"')\s]+""")
MEASURE = """
<pre id="measured"></pre>
<script>
const pages = {pages}, width = {width}, measured = {{}};
const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
const scrolls = element => element && (/auto|scroll|hidden/.test(getComputedStyle(element).overflowX) &&
  !/^(HTML|BODY)$/.test(element.tagName) || scrolls(element.parentElement));
(async () => {{
  for (const page of pages) {{
    const frame = document.createElement("iframe");
    frame.style = `border:0;width:${{width}}px;height:900px`;
    const loaded = new Promise(resolve => frame.onload = resolve);
    frame.src = page;
    document.body.append(frame);
    await loaded;
    await wait(200);
    const shown = frame.contentDocument;
    const wide = [...shown.querySelectorAll(".md-content *")].filter(
      element => element.getBoundingClientRect().right > width + 1 && !scrolls(element.parentElement) &&
      getComputedStyle(element).position != "fixed" && element.getBoundingClientRect().width > 1);
    measured[page] = {{
      width: shown.scrollingElement.scrollWidth,
      wide: wide.slice(0, 5).map(element => `${{element.tagName}}: ${{element.textContent.slice(0, 60)}}`),
      images: [...shown.images].filter(image => !image.naturalWidth).map(image => image.src),
    }};
    frame.remove();
  }}
  document.querySelector("#measured").textContent = JSON.stringify(measured);
}})();
</script>
"""


def pages_of(nav: Any) -> list[str]:
    """Return the files that the nav of mkdocs.yml names, in their order."""
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(entry)]


def built(config: Path, folder: Path) -> str:
    """Build a site strictly into a folder, and return what mkdocs printed."""
    program = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(folder),
    ]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    built(ROOT / "mkdocs.yml", folder)
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """The built pages by their paths."""
    return read_pages(site)


def test_nav_names_exactly_the_pages_that_exist() -> None:
    """A page that is in no menu is found by nobody, and a notebook is a page."""
    named = pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    existing = [path.relative_to(DOCS).as_posix() for ending in ("md", "ipynb") for path in DOCS.rglob(f"*.{ending}")]
    assert sorted(named) == sorted(path for path in existing if "checkpoint" not in path)


def test_external_links_have_a_plausible_form() -> None:
    """Links to other hosts are not followed here: they name a host with a dot, over http or https, without a space."""
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for address in re.findall(r"\]\((\w+:[^)\n]*)\)|<(https?:[^>\n]*)>", page.read_text(encoding="utf-8")):
            parts = urlsplit(address := "".join(address))
            assert parts.scheme in ("https", "http", "mailto"), f"{page.name}: {address}"
            assert " " not in address and (
                parts.scheme == "mailto" or re.fullmatch(r"[\w.-]+\.[a-z]{2,}", parts.netloc)
            ), f"{page.name}: {address}"


@pytest.mark.ci
def test_every_internal_link_anchor_and_image_resolves(site: Path, pages: dict[str, Page]) -> None:
    broken = [
        f"{page.path}: {address}"
        for page in pages.values()
        for address in [*page.links, *page.loads]
        if not is_external(address) and is_broken(site, pages, page, address)
    ]
    assert len(pages) >= 20 and not broken, "\n".join(broken)


@pytest.mark.ci
def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[str, Page]) -> None:
    """Scripts, styles, fonts and images are the site's own; so are those that styles and inline scripts name."""
    outside = [f"{page.path}: {address}" for page in pages.values() for address in page.loads if is_external(address)]
    outside += [
        f"{page.path}: {found}" for page in pages.values() for code in page.code for found in FETCHES.findall(code)
    ]
    for style in site.rglob("*.css"):
        outside += [f"{style.name}: {found}" for found in FETCHES.findall(style.read_text(encoding="utf-8"))]
    assert not outside, "\n".join(outside)


@pytest.mark.ci
def test_no_docstring_loses_its_signs(pages: dict[str, Page], site: Path) -> None:
    """In the reference, shapes such as (B, *shape) and examples are shown as they are written."""
    core = (site / "reference" / "core" / "index.html").read_text(encoding="utf-8")
    assert "(B, *shape)" in html.unescape(re.sub(r"<[^>]+>", "", core))
    for path, page in pages.items():
        if path.startswith("reference/"):
            text = (site / page.path).read_text(encoding="utf-8")
            assert "<blockquote>" not in text and not re.search(
                r"\\[*_<\[]", re.sub(r"<(pre|code).*?</\1>", "", text)
            ), path


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The address of a server of the built site."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.ci
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
@pytest.mark.parametrize("width", [400, 1400])
def test_no_page_overflows_or_fails_in_a_browser(
    site: Path, pages: dict[str, Page], address: str, width: int, tmp_path: Path
) -> None:
    """On phone and laptop, tables and code scroll in their own boxes; no script fails and all images are shown."""
    shown = [f"/{path.removesuffix('index.html')}" for path in pages if path != "404.html"]
    frame = site / f"measure-{width}.html"
    frame.write_text(MEASURE.format(pages=json.dumps(shown), width=width), encoding="utf-8")
    program = [CHROMIUM, *(f"--{word}" for word in QUIET), f"--user-data-dir={tmp_path / 'profile'}"]
    program += [f"--window-size={max(width, 500)},900", "--virtual-time-budget=600000", "--dump-dom"]
    done = subprocess.run([*program, f"{address}/{frame.name}"], capture_output=True, text=True, timeout=600)
    frame.unlink()
    assert done.returncode == 0, done.stderr
    measured = json.loads(html.unescape(re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)[1]))
    assert set(measured) == set(shown)
    wide = [
        f"{path}: {found['width']} px {found['wide']}" for path, found in measured.items() if found["width"] > width
    ]
    assert not wide, "\n".join(wide)
    assert not [f"{path}: {found['images']}" for path, found in measured.items() if found["images"]]
    failures = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "favicon" not in line]
    assert not failures, "\n".join(failures)
