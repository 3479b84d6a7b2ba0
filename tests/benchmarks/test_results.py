"""The results file, what is computed of it, and what is written of it."""

import csv
import io
from ipaddress import IPv4Network
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from benchmarks.failover.__main__ import main, understood
from benchmarks.failover.cells import Cell, cells, percentile
from benchmarks.failover.markdown import BEGIN, COMMITTED, END, PROJECT, for_readme, in_readme, number, table
from benchmarks.failover.report import CSV, FIGURES_CSV, HTML, MARKDOWN, SIZES_CSV, as_csv, page, write_report
from benchmarks.failover.results import NAME, RUNS, OtherFigure, Results, ResultsError, Scale, load, save
from benchmarks.failover.session import Session
from benchmarks.failover.setting import ADDRESS, MOST_ROUTERS
from benchmarks.figures import Figure, Samples
from tests.benchmarks.samples import results, run

DOCUMENTATION = PROJECT / "docs" / "benchmarking.md"


def cell(found: Results, speaker: str, fault: str = "silent") -> Cell:
    return next(one for one in cells(found) if (one.speaker, one.fault) == (speaker, fault))


def test_a_cell_has_median_90th_percentile_worst_and_number() -> None:
    outage = cell(results(), "vrrpd").figures["outage_ms"]
    assert (outage.n, outage.median, outage.p90, outage.worst) == (10, 104.5, 108.0, 109.0)
    assert cell(results(), "vrrpd").figures["excess_ms"].median == 1


def test_ratios_are_those_of_runs_of_the_same_number() -> None:
    outage = cell(results(), "vrrpd").figures["outage_ms"]
    assert (outage.ratio, outage.ratios) == (0.5, 10)
    assert cell(results(), "other<&>").figures["outage_ms"].ratio is None
    some = results(run("vrrpd", 0, 30.0), run("vrrpd", 1, 90.0), run("other<&>", 1, 30.0), run("other<&>", 0, 0.0))
    assert "| 3 (1)" in table(some), "one pair counts"
    assert cell(some, "vrrpd").figures["outage_ms"].ratio == 3


def test_noisy_runs_are_told_and_do_not_count() -> None:
    found = results(run("vrrpd", 0, 10.0), run("vrrpd", 1, 500.0, noisy=True), run("other<&>", 1, 5.0))
    assert (cell(found, "vrrpd").noisy, cell(found, "vrrpd").figures["outage_ms"].worst) == (1, 10.0)
    assert cell(found, "vrrpd").figures["outage_ms"].ratio is None, "its partner is noisy"
    assert "1 (1 noisy)" in table(found)


def test_what_was_not_restored_is_more_than_it_says() -> None:
    found = results(run("vrrpd", 0, 10.0, restored=False))
    assert all("10 (or more)" in made(found) for made in (for_readme, table, page))
    assert next(csv.DictReader(io.StringIO(as_csv(found))))["not_restored"] == "1"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5.0], 90, 5.0), ([1.0, 2.0], 90, 2.0), ([3.0, 1.0, 2.0], 50, 2.0), ([*map(float, range(1, 11))], 90, 9.0)],
)
def test_percentiles_are_values_that_occurred(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_the_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    save(results(), tmp_path)
    assert load(tmp_path) == results()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / NAME / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=NAME):
        save(results(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_so_many_routers_leave_room_for_the_client_and_the_virtual_address(capsys: pytest.CaptureFixture[str]) -> None:
    client = IPv4Network("192.0.2.0/24")[MOST_ROUTERS + 1]
    assert str(client + 1) == ADDRESS[4]
    with pytest.raises(SystemExit):
        understood(["--speaker", "vrrpd", "--routers", str(MOST_ROUTERS + 1)])
    assert "--routers: '99' is not 2-98" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        ("", "no results file"),
        ("{", "no results file"),
        ("[]", "no results file"),
        ("[" * 100_000, "no results file"),
        ('{"schema": 1, "runs": 3}', "no results file"),
        ('{"schema": 99}', "schema 99"),
        (
            msgspec.json.encode(results()).decode().replace('"figures":[]', '"figures":[{"name":"x"}]'),
            "no results file",
        ),
    ],
)
def test_files_that_are_none_are_named(tmp_path: Path, content: str | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / NAME).write_text(content, encoding="ascii")
    with pytest.raises(ResultsError, match=complaint):
        load(tmp_path)


def test_a_file_that_contradicts_itself_is_none(tmp_path: Path) -> None:
    odd = results(run("vrrpd", 0, 1.0, "fire"), run("bird", 0, 1.0), run("vrrpd", 1, 1.0, during={}))
    odd.scale.append(Scale("instances", "vrrpd", 7, 0.1, {"sender_cpu_percent": 1.0}))
    del odd.machine["kernel"]
    save(replace(odd, baseline="quagga"), tmp_path)
    with pytest.raises(ResultsError, match="no results file") as caught:
        load(tmp_path)
    complaints = ("quagga is not among", "bird is not among", "fire is no fault", "runs without icmp", "has no kernel")
    for complaint in (*complaints, "not all sizes of instances"):
        assert complaint in str(caught.value)


def session(directory: Path) -> Results:
    """What a program that resumes there begins with."""
    arguments, speakers, baseline = understood(["--speaker", "vrrpd", "--out", str(directory), "--resume"])
    Session(arguments, speakers, baseline, Console())
    return load(directory)


def test_runs_that_were_kept_one_by_one_are_had_again_but_for_what_is_cut_off(tmp_path: Path) -> None:
    first, second, noisy = (msgspec.json.encode(run("vrrpd", number, 1.0, noisy=number == 2)) for number in range(3))
    session(tmp_path)
    (tmp_path / RUNS).write_bytes(first + b"\nnonsense\n" + noisy + b"\n" + second[:20])
    assert [one.number for one in session(tmp_path).runs] == [0]
    with (tmp_path / RUNS).open("ab") as kept:  # as the one that resumed does, until it is killed, too
        kept.write(second + b"\n" + noisy.replace(b'"noisy":true', b'"noisy":false') + b"\n")
    assert [one.number for one in session(tmp_path).runs] == [0, 1, 2]


@pytest.mark.parametrize(
    ("what", "changed", "complaint"),
    [
        ("machine", {"kernel": "1.0"}, "kernel 1.0, not "),
        ("machine", {"processors": 999}, "processors 999, not "),
        ("versions", {"vrrpd": "0.0.9"}, "vrrpd 0.0.9, not "),
        ("settings", {"routers": 7}, "routers 7, not 2"),
    ],
)
def test_what_was_measured_of_something_else_is_not_gone_on_with(
    tmp_path: Path, what: str, changed: dict[str, object], complaint: str
) -> None:
    there = session(tmp_path)
    save(replace(there, **{what: getattr(there, what) | changed}), tmp_path)
    with pytest.raises(ResultsError, match=f"was measured with {complaint}.*take another --out"):
        session(tmp_path)


def test_a_report_is_written_beside_its_file_or_where_it_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(COMMITTED.read_bytes())
    assert main(["--report", str(file)]) == 0
    assert (tmp_path / HTML).exists()
    assert main(["--report", str(COMMITTED), "--out", str(tmp_path / "there" / "it is")]) == 0
    assert (tmp_path / "there" / "it is" / HTML).read_bytes() == (tmp_path / HTML).read_bytes()


def test_sizes_and_other_figures_are_in_every_file(tmp_path: Path) -> None:
    found = results()
    kept = Figure("memory of all", "MB", vrrpd=Samples([1.0, 3.0]))
    found.figures.append(msgspec.convert(kept.as_dict(), OtherFigure))
    write_report(found, tmp_path)
    for name in (HTML, MARKDOWN, FIGURES_CSV):
        assert "memory of all" in (tmp_path / name).read_text(encoding="utf-8"), name
    for name in (HTML, MARKDOWN):
        assert "sender cpu percent" in (tmp_path / name).read_text(encoding="utf-8"), name
    sizes = list(csv.DictReader(io.StringIO((tmp_path / SIZES_CSV).read_text(encoding="utf-8"))))
    assert sizes[0] == {
        "what": "instances",
        "advert_int": "0.1",
        "size": "1",
        "speaker": "vrrpd",
        "number": "0",
        "value": "sender_cpu_percent",
        "measured": "0.1",
    }
    write_report(replace(found, scale=[], figures=[]), other := tmp_path / "other")
    assert {path.name for path in other.iterdir()} == {HTML, CSV, MARKDOWN}


def test_figures_that_cannot_be_had_are_noted_and_the_others_kept(tmp_path: Path) -> None:
    def fail() -> list[Figure]:
        raise RuntimeError("the machine failed:\nand said a lot")

    words = ["--speaker", "vrrpd", "--out", str(tmp_path)]
    one = Session(*understood(words), Console())
    kept = Figure("memory", "MB", vrrpd=Samples([1.0]))
    assert not one.keep_each({"IPVS": fail, "memory": lambda: [kept]})
    found = load(tmp_path)
    assert [figure.name for figure in found.figures] == ["memory"]
    assert found.not_measured == ["IPVS: the machine failed:"]


def test_csv_has_a_line_a_figure() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(results()))))
    outage = next(
        row for row in rows if (row["speaker"], row["fault"], row["figure"]) == ("vrrpd", "silent", "outage_ms")
    )
    assert (outage["n"], outage["median"], outage["worst"], outage["ratio"]) == ("10", "104.5", "109.0", "0.5")


def test_the_same_results_make_the_same_page() -> None:
    assert page(results()) == page(results())


def test_a_page_of_nothing_is_a_page() -> None:
    empty = replace(results(), runs=[], scale=[])
    assert "No run is there." in page(empty)
    assert table(empty) == "nothing was measured"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (12.0, "12"), (332.81, "333"), (4.44, "4.4"), (0.126, "0.13")]
)
def test_numbers_have_the_digits_that_matter(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_readme_has_the_figures_of_the_committed_results() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert in_readme(text, for_readme(load(COMMITTED))) == text, (
        "python -m benchmarks.failover.markdown writes them anew"
    )
    with pytest.raises(ValueError, match="there is no"):
        in_readme(f"{BEGIN} but no end", "")
    assert END in text


def test_the_committed_results_make_a_report(tmp_path: Path) -> None:
    write_report(load(COMMITTED), tmp_path)
    text = (tmp_path / HTML).read_text(encoding="utf-8")
    assert all(f'id="{name}"' in text for name in ("timeline", "outages", "excess", "processor"))


def test_the_schema_is_documented() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    _, _, after = text.partition("## The results file\n")
    named = {word for word in after.replace("`", " ` ").split() if word.isidentifier()}
    data = msgspec.json.decode(msgspec.json.encode(results()))
    keys = {
        *data,
        *data["runs"][0],
        *data["runs"][0]["timeline"],
        *data["runs"][0]["during"]["icmp"],
        *data["scale"][0],
    }
    keys |= set(data["runs"][0]["timeline"]["segments"]["icmp"][0])
    assert keys <= named, keys - named
