"""
`python -m deploy.reference` writes the pages; with `--check` it only says which of them are not current.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from deploy.reference.pages import pages

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"


def main(arguments: list[str]) -> int:
    """
    Write or check the pages, and return the exit status.
    """
    check = arguments == ["--check"]
    stale = 0
    for name, text in pages().items():
        path = FOLDER / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"docs/reference/{name} is not current: run `python -m deploy.reference`")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote docs/reference/{name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
