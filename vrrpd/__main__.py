"""`python -m vrrpd`."""

import sys

from vrrpd.cli import main

sys.exit(main())
