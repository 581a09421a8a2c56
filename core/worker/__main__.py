"""What `python -m core.worker FD` runs: the child's side."""

import os
import sys

from core.worker import process

if __name__ == "__main__":
    process.serve(int(sys.argv[1]))
    # Taking torch down in good order takes a second, and there is nothing left to save.
    os._exit(0)
