"""
`python -m services.protocol_parser`.
"""

from __future__ import annotations

import sys

from services.protocol_parser.config import Settings
from services.protocol_parser.service import SERVICE, serve
from shared.runtime.process import run

if __name__ == "__main__":
    sys.exit(run(SERVICE, Settings, serve))
