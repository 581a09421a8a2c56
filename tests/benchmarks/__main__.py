"""Measure what the app promises, and write docs/benchmarks.md.

`python -m tests.benchmarks` measures everything, `python -m tests.benchmarks app` (or another of PARTS) one.
"""

import argparse
import importlib
import sys

from tests.benchmarks import report

# A part is a module whose `section` returns its text and whether all its bounds were kept; some import torch or
# scikit-learn, so each is imported when its turn comes.
PARTS = {
    "app": "The app",
    "clustering": "Clustering, against scikit-learn",
    "encoding": "Encoding, against the demo and sentence-transformers",
    "encoders": "Encoders at their real size",
    "scale": "What scale costs",
    "large": "The app on ten million films",
    "text": "Free text",
    "imports": "What is imported before the first page",
    "load": "Fifty visitors",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="all of them, if none is named")
    wanted = parser.parse_args().part
    kept = []
    for name in [wanted] if wanted else PARTS:
        body, good = importlib.import_module(f"tests.benchmarks.{name}").section()
        report.write(PARTS[name], body)
        kept.append(good)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
