"""The one process that imports torch: jobs, their progress, their cancelling, and the process's death.

`Worker` (keeper.py) lives in the web process. It owns at most one child, started as `python -m core.worker FD` and
spoken to over a socket pair (child.py), and gives it one job at a time. The child (process.py) writes each finished
chunk to the vector store before it starts the next (jobs.py), so that nothing finished is lost with it. POSIX only: the
child inherits its end of the socket pair as a file descriptor.

A visitor's own words (a query) are encoded too, but never stored: their vectors stay in the memory of the web process,
the latest ones only. Queries go before waiting jobs, and between the chunks of a running job for the same model.
"""

from core.worker.jobs import FINISHED, Progress, stored, work
from core.worker.keeper import Worker

__all__ = ["FINISHED", "Progress", "Worker", "stored", "work"]
