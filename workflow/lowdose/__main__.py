"""``python -m lowdose <command>``: see :mod:`lowdose.cli`."""

import sys

from lowdose.cli import main

sys.exit(main(recorded=True))
