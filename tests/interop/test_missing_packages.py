"""Where a peer is not installed, the tests here say so and how to come by it; in CI that is a failure."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 error"), ("", "1 skipped")], ids=["ci", "desk"])
def test_what_is_missing_is_named(ci: str, outcome: str) -> None:
    one = "tests/interop/test_frames.py::test_a_gratuitous_arp_reply_byte_by_byte"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", one],
        env=os.environ | {"PATH": "/nonexistent", "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "it needs keepalived: apt-get install keepalived" in done.stdout
