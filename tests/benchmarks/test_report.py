"""The report as a browser has it."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.failover.markdown import COMMITTED
from benchmarks.failover.report import HTML, write_report
from benchmarks.failover.results import load
from tests.benchmarks.samples import results

BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0")
PROBE = """<script>
addEventListener("load", () => {
  const boxes = [...document.querySelectorAll("figure")].map(one => {
    const box = one.querySelector("svg").getBoundingClientRect();
    return one.id + ":" + (box.width > 300 && box.height > 100 && one.querySelectorAll("path").length > 10);
  });
  const wide = document.documentElement.scrollWidth > innerWidth;
  document.title = [...boxes, "scrolls:" + wide, "rows:" + document.querySelectorAll("tbody tr").length].join(" ");
});
</script>"""


PAPER = "1031,900"
"""CSS pixels between the margins of a page."""


def title_of(done: subprocess.CompletedProcess[str]) -> str:
    return str(re.findall(r"<title>(.*?)</title>", done.stdout)[0])


def browse(page: Path, *options: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    argv = [*BROWSER, f"--user-data-dir={scratch}", "--window-size=1200,900", *options, page.as_uri()]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.browser
def test_a_browser_finds_no_fault_with_it_and_every_plot_is_drawn(tmp_path: Path) -> None:
    found = results()
    found.not_measured.append(f"speaker: its log ends with: /{'long' * 99}")
    write_report(found, tmp_path)
    page = tmp_path / HTML
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</head>", f"{PROBE}</head>"), encoding="utf-8")
    done = browse(page, "--dump-dom", scratch=tmp_path / "profile")
    title = title_of(done)
    assert title.split()[:4] == ["timeline:true", "outages:true", "excess:true", "processor:true"]
    assert "scrolls:false" in title, "only tables scroll sideways"
    assert int(title.rpartition("rows:")[2]) > 10
    assert "CONSOLE" not in done.stderr, done.stderr


@pytest.mark.browser
def test_all_columns_are_on_the_paper(tmp_path: Path) -> None:
    write_report(load(COMMITTED), tmp_path)
    page = tmp_path / HTML
    text = page.read_text(encoding="utf-8").replace("@media print", "@media all")
    page.write_text(text.replace("</head>", f"{PROBE}</head>"), encoding="utf-8")
    done = browse(page, "--dump-dom", f"--window-size={PAPER}", scratch=tmp_path / "profile")
    assert "scrolls:false" in title_of(done)


@pytest.mark.browser
def test_it_is_printed(tmp_path: Path) -> None:
    write_report(results(), tmp_path)
    browse(tmp_path / HTML, f"--print-to-pdf={tmp_path / 'report.pdf'}", scratch=tmp_path / "profile")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_it_needs_nothing_else_and_names_of_others_are_text(tmp_path: Path) -> None:
    write_report(results(), tmp_path)
    text = (tmp_path / HTML).read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!#)|@import|<script|url\((?!#)""", text)
    assert "other<&>" not in text
    assert "other&lt;&amp;&gt;" in text
    assert "this kernel has no netem" in text
