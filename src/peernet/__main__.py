"""`python -m peernet` is the command `peernet`."""

import sys

from peernet.cli.main import main

sys.exit(main())
