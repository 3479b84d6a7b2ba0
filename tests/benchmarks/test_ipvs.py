"""What `benchmarks.ipvs` does in the program that calls it."""

import subprocess
import sys


def test_a_director_for_once_says_nothing_in_the_midst_of_a_progress_bar() -> None:
    code = "from benchmarks.ipvs import one_change; assert len(one_change(3, 2, 4).values) == 4"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
