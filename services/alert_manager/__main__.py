"""
Runs alert-manager: `python -m services.alert_manager`.
"""

from __future__ import annotations

import sys

from services.alert_manager.config import Settings
from services.alert_manager.service import serve
from shared.runtime import process

if __name__ == "__main__":
    sys.exit(process.run("alert-manager", Settings, serve))
