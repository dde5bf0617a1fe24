"""
`python -m services.topology_builder`.
"""

from __future__ import annotations

import sys

from services.topology_builder.config import NAME, Config
from services.topology_builder.service import serve
from shared.runtime import process

if __name__ == "__main__":
    sys.exit(process.run(NAME, Config, serve))
