"""
Where the jars of the Dubbo laboratory lie, and how its provider and consumer are started.

`mvn -f tests/data/dubbo/pom.xml dependency:copy-dependencies -DoutputDirectory=FOLDER/jars` fetches the jars.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(os.environ.get("MESHLENS_LAB", "/var/tmp/meshlens-lab")) / "dubbo"  # noqa: S108  # holds no secrets
SOURCE = Path(__file__).parent / "Lab.java"


def missing() -> str:
    """
    Return what is needed and not there; empty when everything is.
    """
    if not shutil.which("java") or not shutil.which("javac"):
        return "needs a JDK"
    return "" if list(FOLDER.glob("jars/dubbo-2*.jar")) else f"needs Dubbo's jars in {FOLDER}/jars, see {__file__}"


def command(*words: object, **properties: object) -> list[str]:
    """
    Return what runs the laboratory's program with these words; it is compiled first if that has not been done.
    """
    classes = FOLDER / "classes"
    compiled = classes / "com" / "example" / "Lab.class"
    if not compiled.exists() or compiled.stat().st_mtime < SOURCE.stat().st_mtime:
        compile_it = ["javac", "-nowarn", "-cp", f"{FOLDER}/jars/*", "-d", str(classes), str(SOURCE)]
        subprocess.run(compile_it, check=True, capture_output=True, timeout=120)
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.math")]
    options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true", *opened]
    options += [f"-Dlab.{name}={value}" for name, value in properties.items()]
    return ["java", *options, "-cp", f"{classes}:{FOLDER}/jars/*", "com.example.Lab", *map(str, words)]
