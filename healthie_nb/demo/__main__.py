"""Run the demo practice: `python -m healthie_nb.demo --help`."""

import sys

from healthie_nb.demo.process import main

sys.exit(main(sys.argv[1:]))
