"""
Measures recognition and writes `docs/reference/recognition.md`: `python -m tests.recognition`.

With `--kernel` (root) the kernel side is measured too, on the first message of each example.
"""

from __future__ import annotations

import sys

from shared.protocols import recognise
from tests.recognition.corpus import corpus
from tests.recognition.measure import measure
from tests.recognition.page import PAGE, page


def main() -> int:
    """
    Measure, print what went wrong, and write the page.
    """
    examples = corpus()
    measured = {
        "request and answer": measure(examples, lambda one: recognise(*one.heads)[0]),
        "the request alone": measure(examples, lambda one: recognise(one.heads[0], b"")[0]),
    }
    if "--kernel" in sys.argv[1:]:
        from tests.recognition.kernel import kernel_side  # needs root

        measured["the kernel, from the first message"] = kernel_side(examples)
    for name, matrix in measured.items():
        print(f"{name}: precision {matrix.precision:.2%}, recall {matrix.recall:.2%}", *matrix.wrong(), sep="\n  ")
    PAGE.write_text(page(measured), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
