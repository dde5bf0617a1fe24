"""
Runs anomaly-detector: `python -m services.anomaly_detector`.
"""

from __future__ import annotations

import sys

from services.anomaly_detector.config import Settings
from services.anomaly_detector.service import serve
from shared.runtime import process

if __name__ == "__main__":
    sys.exit(process.run("anomaly-detector", Settings, serve))
