"""Keeps the part of the kernel's table that is ours as it should be, and leaves the rest alone.

What the kernel has of ours is remembered, so that a change costs the messages it consists of and no dump. What others
do to our part is drift: it is found when a step is refused, or by `resync`, and mended.
"""

import errno
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from vrrpd.ipvs.model import Table, VirtualServer, VirtualServerKey
from vrrpd.ipvs.plan import AddVirtualServer, EditVirtualServer, Step, place_of, plan, shown_step


class Kernel(Protocol):
    """What `vrrpd.ipvs.kernel.Ipvs` is."""

    def table(self) -> dict[VirtualServerKey, VirtualServer]:
        """Everything that is there, whoever put it there."""

    def each(self) -> Iterator[VirtualServer]:
        """The same one by one; the real servers of each are read when it is its turn."""

    def apply(self, steps: Sequence[Step]) -> list[tuple[Step, OSError]]:
        """Take the steps in their order, going on past those that are refused; returns these, and why."""


class Refusal(Struct, frozen=True):
    """A step that the kernel does not take; it is tried again with the next change and with each resync."""

    step: Step
    reason: str

    def __str__(self) -> str:
        return f"{shown_step(self.step)}: {self.reason}"


class Reconciler:
    """One for a network namespace.

    Args:
        kernel: its table.
        ours: what an earlier life has put there; what of it is not desired any more goes.
    """

    def __init__(self, kernel: Kernel, ours: Iterable[VirtualServerKey] = ()) -> None:
        self.ours = set(ours)
        """Everything in the kernel that we answer for."""
        self.drift = 0
        """Steps that were needed because somebody else had changed what is ours."""
        self.refusals: tuple[Refusal, ...] = ()
        """What the kernel did not take the last time."""
        self._kernel = kernel
        self.desired: Table = {}
        """What was wanted last."""
        self._remembered: Table | None = None
        """Ours as the kernel has it; None: it must be asked."""

    def want(self, desired: Table) -> int:
        """Have the kernel's part that is ours be this; returns the number of steps that it took.

        A virtual server that is there already is adopted. For speed, what has not changed should be the same object as
        the last time.

        Raises:
            IpvsError: the kernel does not let us read its table.
        """
        self.desired = desired
        if self._remembered is None:
            self._remembered = self._kernel.table()
        return self._take(plan(self._remembered, desired, self.ours))

    def towards(self, desired: Table, most: int) -> Table:
        """What to `want` on the way to `desired`: that, if it has no more than `most` virtual servers that are new.

        Else a part of them, beside what is there. It is done in one go where that would not be safe: before it is known
        what an earlier life has left, and while the kernel does not take something, which has it asked each time.
        """
        if self.refusals or not self.ours <= self.desired.keys():
            return desired
        news = [key for key, server in desired.items() if self.desired.get(key) != server]
        return desired if len(news) <= most else {**self.desired, **{key: desired[key] for key in news[:most]}}

    def resync(self) -> Iterator[int]:
        """Look at what the kernel really has, and mend what others have changed; yields the number of steps, often.

        Between two looks others may have their turn, and `want` something else: that is in the kernel then, and is
        looked at the next time.

        Raises:
            IpvsError: the kernel does not let us read its table.
        """
        before, missing, refusals = self.desired, dict(self.desired), list[Refusal]()
        for server in self._kernel.each():
            key = server.key
            missing.pop(key, None)
            wanted = before.get(key)
            if self.desired.get(key) is wanted:
                desired: Table = {key: wanted} if wanted else {}
                yield self._mend(plan({key: server}, desired, self.ours & {key}), refusals)
        for key, wanted in missing.items():
            if self.desired.get(key) is wanted:
                yield self._mend(plan({}, {key: wanted}), refusals)
        if self.desired is before:
            self.refusals = tuple(refusals)
            self._remember(self.desired, failed=bool(refusals))

    def _mend(self, steps: Sequence[Step], refusals: list[Refusal]) -> int:
        refused = {place_of(refusal.step) for refusal in self.refusals}
        self.drift += sum(place_of(step) not in refused for step in steps)
        refusals += _refusals(self._kernel.apply(steps)) if steps else ()
        return len(steps)

    def _take(self, steps: Sequence[Step]) -> int:
        taken, failed = len(steps), self._kernel.apply(steps)
        if failed:  # because we remember something wrongly, or because the kernel does not want it
            left = plan(self._kernel.table(), self.desired, self.ours)
            refused = {place_of(step) for step, _ in failed}
            unexpected = sum(place_of(step) not in refused for step in left)
            if unexpected:
                self.drift += unexpected
                taken, failed = taken + len(left), self._kernel.apply(left)
            else:
                remaining = set(map(place_of, left))
                failed = [(step, error) for step, error in failed if place_of(step) in remaining]
        self.refusals = _refusals(failed)
        self._remember(self.desired, failed=bool(failed))
        return taken

    def _remember(self, table: Table, *, failed: bool) -> None:
        self.ours = self.ours | table.keys() if failed else set(table)
        self._remembered = None if failed else table


def _refusals(failed: Iterable[tuple[Step, OSError]]) -> tuple[Refusal, ...]:
    return tuple(Refusal(step, _reason(step, error)) for step, error in failed)


def _reason(step: Step, error: OSError) -> str:
    if error.errno == errno.ENOENT and isinstance(step, AddVirtualServer | EditVirtualServer):
        scheduler = step.server.scheduler
        return (
            f"the kernel has no scheduler {scheduler}: it needs the module ip_vs_{scheduler}, or use another lvs_sched"
        )
    return error.strerror or str(error)
