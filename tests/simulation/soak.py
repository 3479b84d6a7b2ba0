"""The soak: very many random episodes on all cores.

    make soak [EPISODES=100000] [SEED=N] [JOBS=2]

It prints how many faults befell how many episodes, the router-hours, the seed, and the worst convergence as a share of
the bound. Episode i has the seed N + i. On a failure it prints the seed of the episode and the shortest history that
shows it, and exits with 1. Ctrl-C prints what was done until then, and exits with 130.
"""

import argparse
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterable, Iterator

from msgspec import Struct

from tests.simulation.episodes import Episode, failure, random_episode, run, shortest
from tests.simulation.referee import InvariantError

BATCH = 250
CENTISECONDS_PER_HOUR = 360_000
SECONDS_BETWEEN_LINES = 10.0
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


class Tally(Struct):
    """What some episodes came to."""

    episodes: int = 0
    faults: int = 0
    router_centiseconds: float = 0.0
    worst_share: float = 0.0
    worst_seed: int = 0
    failed: Episode | None = None

    def add(self, other: "Tally") -> None:
        """Count the other's episodes too."""
        self.episodes += other.episodes
        self.faults += other.faults
        self.router_centiseconds += other.router_centiseconds
        if other.worst_share > self.worst_share:
            self.worst_share, self.worst_seed = other.worst_share, other.worst_seed
        if self.failed is None or (other.failed and other.failed.seed < self.failed.seed):
            self.failed = other.failed

    def __str__(self) -> str:
        hours = self.router_centiseconds / CENTISECONDS_PER_HOUR
        return (
            f"{self.episodes} fault episodes with {self.faults} faults, {hours:.1f} router-hours, "
            f"worst convergence {self.worst_share:.3f} of the bound"
        )


def play(seeds: Iterable[int]) -> Tally:
    """Play the episodes of these seeds, until one fails."""
    tally = Tally()
    for seed in seeds:
        episode = random_episode(seed)
        try:
            outcome = run(episode)
        except InvariantError:
            tally.add(Tally(1, len(episode.history), failed=episode))
            break
        tally.add(Tally(1, len(episode.history), outcome.router_centiseconds, outcome.share, seed))
    return tally


def describe(failed: Episode) -> str:
    """The shortest history that shows the same rule broken, for people."""
    error = failure(failed)
    assert error

    def fails(candidate: Episode) -> bool:
        other = failure(candidate)
        return other is not None and other.rule is error.rule

    episode = shortest(failed, fails)
    lines = [f"seed {episode.seed}: {failure(episode)}", f"  {episode.weather}"]
    lines += [f"  host {place}: {machine}" for place, machine in enumerate(episode.machines)]
    lines += [
        f"  {mishap.at:10.3f} cs: host {mishap.host}: {mishap.fault.value} {mishap.value or ''}".rstrip()
        for mishap in episode.history
    ]
    return "\n".join(lines)


def soak(episodes: int, seed: int, jobs: int) -> Iterator[Tally]:
    """Play the episodes on so many cores; what they have come to so far, after each batch."""
    tally = Tally()
    batches = [range(start, min(start + BATCH, seed + episodes)) for start in range(seed, seed + episodes, BATCH)]
    with multiprocessing.Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        for batch in pool.imap_unordered(play, batches):
            tally.add(batch)
            yield tally
            if tally.failed:
                break


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.soak",
        description="Soak the protocol core: random faults on a simulated LAN.",
        epilog="example: python -m tests.simulation.soak --episodes 1000 --seed 9568",
    )
    parser.add_argument("--episodes", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000_000, help="default: the time")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="default: all cores")
    chosen = parser.parse_args()
    if chosen.episodes < 1 or chosen.jobs < 1:
        parser.error("--episodes and --jobs must be at least 1")
    began = told = time.monotonic()
    tally, code = Tally(), 0
    try:
        for tally in soak(chosen.episodes, chosen.seed, chosen.jobs):
            if time.monotonic() - told >= SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                print(f"{told - began:4.0f} s: {tally}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted; {chosen.episodes} were wanted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    print(f"{tally} (seed {tally.worst_seed})")
    print(f"seed {chosen.seed}, {time.monotonic() - began:.0f} s on {chosen.jobs} cores")
    if tally.failed:
        print(f"FAILED\n{describe(tally.failed)}")
        return EXIT_FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
