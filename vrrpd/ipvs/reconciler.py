"""Keeps the part of the kernel's table that is ours as it should be, and leaves the rest alone.

What the kernel has of ours is remembered, so that a change costs the messages it consists of and no dump. What others
do to our part is drift: it is found when a step is refused, or by `resync`, and mended.

A virtual server that is wanted and that somebody else has there already stays theirs, and is told of as refused. An
earlier life of ours that could leave no word of what is its, as one in a container that was killed, is told from others
by its settings: what is exactly as we want it is taken over at the first look.
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
        known: whether that is certain; if not, what looks like ours at the first look is.
    """

    def __init__(self, kernel: Kernel, ours: Iterable[VirtualServerKey] = (), *, known: bool = False) -> None:
        self.ours = set(ours)
        """Everything in the kernel that we answer for."""
        self.drift = 0
        """Steps that were needed because somebody else had changed what is ours."""
        self.refusals: tuple[Refusal, ...] = ()
        """What the kernel did not take the last time."""
        self._kernel = kernel
        self.desired: Table = {}
        """What was wanted last."""
        self.theirs: frozenset[VirtualServerKey] = frozenset()
        """What of it somebody else has in the kernel."""
        self._known = known
        self._remembered: Table | None = None
        """Ours as the kernel has it; None: it must be asked."""

    def want(self, desired: Table) -> int:
        """Have the kernel's part that is ours be this; returns the number of steps that it took.

        For speed, what has not changed should be the same object as the last time.

        Raises:
            IpvsError: the kernel does not let us read its table.
        """
        self.desired = desired
        if self._remembered is None:
            self._remembered = self._kernel.table()
            self._see_whose(self._remembered)
        return self._take(plan(self._remembered, self._mine, self.ours))

    @property
    def _mine(self) -> Table:
        """What is desired, without what others have."""
        if not self.theirs:
            return self.desired
        return {key: server for key, server in self.desired.items() if key not in self.theirs}

    def _see_whose(self, table: Table) -> None:
        """Of what is desired and there: what is ours, and what is not."""
        theirs = self.desired.keys() & table.keys() - self.ours
        if not self._known:
            self._known = True
            alike = {key for key in theirs if table[key].settings == self.desired[key].settings}
            self.ours |= alike
            theirs -= alike
        self.theirs = frozenset(theirs)

    def towards(self, desired: Table, most: int) -> Table:
        """What to `want` on the way to `desired`: that, if it has no more than `most` virtual servers that are new.

        Else a part of them, beside what is there. It is done in one go where that would not be safe: before it is known
        what an earlier life has left, and while the kernel does not take something, which has it asked each time.
        """
        if self.refusals or not self._known or not self.ours <= self.desired.keys():
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
        theirs: set[VirtualServerKey] = set()
        for server in self._kernel.each():
            key = server.key
            missing.pop(key, None)
            wanted = before.get(key)
            if self.desired.get(key) is wanted:
                if wanted and key not in self.ours:
                    theirs.add(key)
                    continue
                desired: Table = {key: wanted} if wanted else {}
                yield self._mend(plan({key: server}, desired, self.ours & {key}), refusals)
        for key, wanted in missing.items():
            if self.desired.get(key) is wanted:
                yield self._mend(plan({}, {key: wanted}), refusals)
        if self.desired is before:
            self.theirs = frozenset(theirs)
            self._remember(refusals)

    def _mend(self, steps: Sequence[Step], refusals: list[Refusal]) -> int:
        refused = {place_of(refusal.step) for refusal in self.refusals}
        places = [place_of(step) for step in steps]
        # What comes with a virtual server that was refused is none: nobody has taken it away.
        if not any(place in refused for place in places if place[0] is AddVirtualServer):
            self.drift += sum(place not in refused for place in places)
        refusals += _refusals(self._apply(steps)) if steps else ()
        return len(steps)

    def _apply(self, steps: Sequence[Step]) -> list[tuple[Step, OSError]]:
        """Take the steps, but none within a virtual server that turns out to be somebody else's."""
        adding = [step for step in steps if isinstance(step, AddVirtualServer)]
        failed = self._kernel.apply(adding) if adding else []
        theirs = {place_of(step)[1] for step, error in failed if error.errno == errno.EEXIST}
        self.ours |= {step.server.key for step in adding} - {place_of(step)[1] for step, _ in failed}
        rest = [step for step in steps if not isinstance(step, AddVirtualServer) and place_of(step)[1] not in theirs]
        return failed + self._kernel.apply(rest)

    def _take(self, steps: Sequence[Step]) -> int:
        taken, failed = len(steps), self._apply(steps)
        if failed:  # because we remember something wrongly, or because the kernel does not want it
            table = self._kernel.table()
            self._see_whose(table)
            failed = [(step, error) for step, error in failed if place_of(step)[1] not in self.theirs]
            left = plan(table, self._mine, self.ours)
            refused = {place_of(step) for step, _ in failed}
            unexpected = sum(place_of(step) not in refused for step in left)
            if unexpected:
                self.drift += unexpected
                taken, failed = taken + len(left), self._apply(left)
            else:
                remaining = set(map(place_of, left))
                failed = [(step, error) for step, error in failed if place_of(step) in remaining]
        self._remember(_refusals(failed))
        return taken

    def _remember(self, refusals: Iterable[Refusal]) -> None:
        self.refusals = (*refusals, *(_clash(self.desired[key]) for key in self.theirs))
        mine, failed = self._mine, bool(self.refusals)
        self.ours = self.ours | mine.keys() if failed else set(mine)
        self._remembered = None if failed else mine


def _clash(wanted: VirtualServer) -> Refusal:
    remedy = "have it remove that, or `ipvsadm` if nobody has it any more"
    return Refusal(AddVirtualServer(wanted), f"there is one that is not ours, which is left alone: {remedy}")


def _refusals(failed: Iterable[tuple[Step, OSError]]) -> tuple[Refusal, ...]:
    return tuple(Refusal(step, _reason(step, error)) for step, error in failed)


def _reason(step: Step, error: OSError) -> str:
    if error.errno == errno.ENOENT and isinstance(step, AddVirtualServer | EditVirtualServer):
        scheduler = step.server.scheduler
        return (
            f"the kernel has no scheduler {scheduler}: it needs the module ip_vs_{scheduler}, or use another lvs_sched"
        )
    return error.strerror or str(error)
