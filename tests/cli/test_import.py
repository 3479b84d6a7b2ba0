"""`vrrpd import`, and the commands that take a keepalived.conf as it is."""

import socket
from pathlib import Path

import pytest

from tests.config.keepalived.files import GLOBAL, instance
from vrrpd.cli import main
from vrrpd.config.keepalived.reading import read_keepalived
from vrrpd.config.load import load

HERE = socket.gethostname().partition(".")[0]
HEAD = "global_defs {\nrouter_id x\nvrrp_version 3\n}\n"
TEXT = instance(f"@{HERE} priority 150", "smtp_alert", "@other priority 50", head=HEAD)
MAIL = "{file}:2: router_id, smtp_alert: vrrpd sends no mail: have notify, or an alert on its metrics, do it\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keepalived.conf"
    path.write_text(TEXT)
    return path


def test_the_file_that_is_written_says_the_same(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "vrrpd.toml"
    assert main(["import", str(file), "-o", str(out)]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", MAIL.format(file=file))
    assert out.read_text().startswith(
        f"# Made of {file} by vrrpd import.\n# Without effect here, or with another one:\n#   {MAIL.format(file=file)}"
    )
    assert load(out) == read_keepalived(TEXT, str(file)).config
    assert main(["import", str(file)]) == 0
    assert capsys.readouterr().out == out.read_text()


def test_the_id_that_conditions_are_for(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(file), "--config-id", "other"]) == 0
    assert "priority = 50\n" in capsys.readouterr().out


def test_what_is_refused_is_left_out_only_if_asked(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(instance("use_vmac", "track_process {\nx\n}"))
    out = tmp_path / "vrrpd.toml"
    assert main(["import", str(file), "-o", str(out)]) == 2
    assert not out.exists()
    *lines, hint = capsys.readouterr().err.splitlines(keepends=True)
    assert hint == "with --partial the rest is written, and comments say what is left out\n"
    said = "".join(lines)
    assert [line.split(": ")[1] for line in said.splitlines()] == ["use_vmac", "track_process"]
    assert main(["import", str(file), "-o", str(out), "--partial"]) == 0
    assert capsys.readouterr().err == said
    assert out.read_text().splitlines()[1:4] == [
        "# LEFT OUT, though it matters:",
        *(f"#   {line}" for line in said.splitlines()),
    ]
    assert load(out) == read_keepalived(instance(), str(file)).config


def test_what_is_wrong_is_told_all_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(instance("use_vmac", "priority 300"))
    assert main(["import", str(file), "--partial"]) == 2
    assert capsys.readouterr() == ("", f"{file}:9: priority: 300 is out of range; use 1-255\n")


def test_a_file_that_is_not_there_and_one_that_cannot_be_written(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    assert main(["import", str(missing)]) == 2
    assert f"{missing}: there is no such file" in capsys.readouterr().err
    assert main(["import", str(file), "-o", str(tmp_path)]) == 1
    assert f"{tmp_path}: it cannot be written: Is a directory" in capsys.readouterr().err


def test_toml_is_not_imported(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('control_socket = "/run/x"\n')
    assert main(["import", str(file)]) == 2
    assert "it is not written for keepalived" in capsys.readouterr().err


def test_the_name_of_a_file_cannot_end_a_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a\nvip_lease = 0\n"
    file.write_text(GLOBAL + TEXT.partition("}\n")[2])
    out = tmp_path / "vrrpd.toml"
    assert main(["import", str(file), "-o", str(out)]) == 0
    assert load(out).vip_lease == 5
    assert capsys.readouterr().out == ""


def test_check_takes_it_as_it_is_and_says_what_has_no_effect(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(file)]) == 0
    printed = capsys.readouterr()
    assert printed.err == MAIL.format(file=file)
    assert printed.out.endswith(f"{file}: valid, 1 virtual router\n")
    file.write_text(instance("use_vmac"))
    assert main(["check", "-c", str(file)]) == 2
    assert f"{file}:8: use_vmac: vrrpd has no virtual MAC" in capsys.readouterr().err
