"""What a router waits for before it takes part."""

import asyncio
from ipaddress import ip_interface
from unittest.mock import Mock

import pytest

import vrrpd.speaker.tracking as tracking_module
from vrrpd.config.model import TrackedScript, VirtualAddress, VrrpInstance
from vrrpd.speaker.timers import Timers
from vrrpd.speaker.tracking import Tracking

VIP = VirtualAddress(ip_interface("192.0.2.100/24"), "eth0")
INSTANCE = VrrpInstance("VI_1", "eth0", 51, (VIP,), track_script=(TrackedScript("chk"),))


@pytest.mark.parametrize("leaves", [False, True])
def test_it_goes_on_without_a_word_of_its_programs_unless_it_has_left(
    monkeypatch: pytest.MonkeyPatch, *, leaves: bool
) -> None:
    monkeypatch.setattr(tracking_module, "UNTOLD_MAX", 0.01)

    async def run() -> bool:
        loop = asyncio.get_running_loop()
        timers, went_on, later = Timers(loop), Mock(), loop.create_future()
        tracking = Tracking(INSTANCE, Mock(), timers, went_on)
        tracking.start(as_master=False)
        assert tracking.untold
        timers.deadline(lambda: later.set_result(None)).at(loop.time() + 0.1)
        if leaves:
            tracking.stop()
        await later
        timers.close()
        assert tracking.untold is leaves
        return bool(went_on.called)

    assert asyncio.run(run()) is not leaves
