"""
The Go and the Java program: built once, kept in a cache, left out where their compiler is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
LIMIT_S: Final = 300
SOURCES: Final = {"go": HERE / "pricing" / "main.go", "java": HERE / "payment" / "Payment.java"}


def cached(kind: str, cache: Path) -> Path:
    """
    Return where the program of *kind* lies once it is built from the present source.
    """
    digest = hashlib.sha256(SOURCES[kind].read_bytes()).hexdigest()[:16]
    return cache / f"{kind}-{digest}" / ("pricing" if kind == "go" else "payment.jar")


def begin(kind: str, cache: Path) -> subprocess.Popen[bytes]:
    """
    Start building the program of *kind* into *cache*.
    """
    target = cached(kind, cache)
    part = target.parent.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if kind == "go":
        script = 'go build -buildvcs=false -o "$PART/pricing" . && mv "$PART" "$TARGET"'
    else:
        script = (
            'javac -d "$PART/classes" Payment.java && printf "Main-Class: Payment\\n" > "$PART/manifest" && '
            'jar cfm "$PART/payment.jar" "$PART/manifest" -C "$PART/classes" . && mv "$PART" "$TARGET"'
        )
    environment = {
        **os.environ,
        "PART": str(part),
        "TARGET": str(target.parent),
        "GOPROXY": "off",
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(cache / "go-build"),
        "GOTMPDIR": str(part),
        "CGO_ENABLED": "0",
    }
    with (cache / f"{kind}.log").open("wb") as log:
        return subprocess.Popen(
            ["timeout", str(LIMIT_S), "sh", "-c", script],
            cwd=SOURCES[kind].parent, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
