"""What `--help` says, and what a wrong command line gets."""

import pytest

from vrrpd.cli import main

COMMANDS = ["run", "agent", "check", "status", "show", "reload", "import", "sniff", "demo"]


def printed_help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_of_the_command(capsys: pytest.CaptureFixture[str], command: str) -> None:
    last = printed_help(capsys, command).rstrip().rpartition("\n\n")[2]
    assert last.startswith("example")
    assert f"vrrpd {command}" in last


def test_help_names_every_command_and_ends_with_an_example_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_help(capsys)
    assert all(f"\n    {command}" in text for command in COMMANDS)
    assert text.rstrip().rpartition("\n")[2].startswith("example: vrrpd check")


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check", "--no-such"], ["run", "--log-level", "loud"]])
def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: vrrpd" in capsys.readouterr().err
