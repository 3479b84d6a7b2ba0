"""Settings that hold for every test."""

import os

from hypothesis import settings

# A shared machine is slow now and then, which is no failure. In CI the same examples run each time.
settings.register_profile("vrrpd", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("vrrpd")
