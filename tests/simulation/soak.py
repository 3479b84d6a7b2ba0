"""The soak: very many random episodes on all cores.

    python -m tests.simulation.soak [--episodes 100000] [--seed N] [--jobs 2]

It prints how much was simulated, the seed, and the worst convergence as a share of the bound. Episode i has the seed
N + i. On a failure it prints the seed of the episode and the shortest history that shows it, and exits with 1.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.episodes import Episode, failure, random_episode, run, shortest
from tests.simulation.referee import InvariantError

BATCH = 250
CENTISECONDS_PER_HOUR = 360_000


@dataclass(slots=True)
class Tally:
    """What some episodes came to."""

    episodes: int = 0
    router_centiseconds: float = 0.0
    worst_share: float = 0.0
    worst_seed: int = 0
    failed: Episode | None = None

    def add(self, other: "Tally") -> None:
        """Count the other's episodes too."""
        self.episodes += other.episodes
        self.router_centiseconds += other.router_centiseconds
        if other.worst_share > self.worst_share:
            self.worst_share, self.worst_seed = other.worst_share, other.worst_seed
        self.failed = self.failed or other.failed


def play(seeds: Iterable[int]) -> Tally:
    """Play the episodes of these seeds, until one fails."""
    tally = Tally()
    for seed in seeds:
        episode = random_episode(seed)
        try:
            outcome = run(episode)
        except InvariantError:
            tally.add(Tally(episodes=1, failed=episode))
            break
        tally.add(Tally(1, outcome.router_centiseconds, outcome.share, seed))
    return tally


def describe(failed: Episode) -> str:
    """The shortest history that shows the failure, for people."""
    episode = shortest(failed, lambda candidate: failure(candidate) is not None)
    lines = [f"seed {episode.seed}: {failure(episode)}", f"  {episode.weather}"]
    lines += [f"  host {place}: {machine}" for place, machine in enumerate(episode.machines)]
    lines += [
        f"  {mishap.at:10.3f} cs: host {mishap.host}: {mishap.fault.value} {mishap.value or ''}".rstrip()
        for mishap in episode.history
    ]
    return "\n".join(lines)


def soak(episodes: int, seed: int, jobs: int) -> Tally:
    """Play the episodes on so many cores."""
    tally = Tally()
    batches = [range(start, min(start + BATCH, seed + episodes)) for start in range(seed, seed + episodes, BATCH)]
    with multiprocessing.Pool(jobs) as pool:
        for batch in pool.imap_unordered(play, batches):
            tally.add(batch)
            if tally.failed:
                break
    return tally


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak", description="Soak the protocol core.")
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000_000)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    chosen = parser.parse_args()
    began = time.monotonic()
    tally = soak(chosen.episodes, chosen.seed, chosen.jobs)
    hours = tally.router_centiseconds / CENTISECONDS_PER_HOUR
    print(f"{tally.episodes} fault episodes, {hours:.0f} router-hours, in {time.monotonic() - began:.0f} s")
    print(f"seed {chosen.seed}; worst convergence {tally.worst_share:.3f} of the bound (seed {tally.worst_seed})")
    if tally.failed:
        print(f"FAILED\n{describe(tally.failed)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
