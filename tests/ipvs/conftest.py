import os

INSIDE = "VRRPD_TEST_IPVS_KERNEL"
"""Set in a machine that is there to be programmed: see test_on_kernel.py."""

collect_ignore = [] if INSIDE in os.environ else ["on_kernel"]
