"""`python -m iaclab.sentinel`: the command `sentinel`."""

import sys

from iaclab.sentinel.command import main

sys.exit(main(sys.argv[1:]))
