"""
A ClickHouse server for the tests of one file: an unprivileged one, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.kernel.l7.lab import accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S: Final = 30.0
CONFIG: Final = """<yandex>
<logger><level>error</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
<tcp_port>{port}</tcp_port><listen_host>127.0.0.1</listen_host>
<path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
<users_config>{folder}/users.xml</users_config><mark_cache_size>1048576</mark_cache_size>
<default_profile>default</default_profile><default_database>default</default_database>
</yandex>
"""
USERS: Final = """<yandex>
<profiles><default><max_threads>2</max_threads></default></profiles>
<users><default><password>s3cr3t</password><networks><ip>::/0</ip></networks><profile>default</profile>
<quota>default</quota></default></users>
<quotas><default><interval><duration>3600</duration><queries>0</queries><errors>0</errors><result_rows>0</result_rows>
<read_rows>0</read_rows><execution_time>0</execution_time></interval></default></quotas>
</yandex>
"""


class ClickHouse:
    """
    A running server, which each test puts in scope when it wants to.
    """

    def __init__(self, pid: int, port: int) -> None:
        self.pid: Final = pid
        self.port = port


@contextlib.contextmanager
def running() -> Iterator[ClickHouse]:
    """
    Run ClickHouse until the block ends.
    """
    if not shutil.which("clickhouse-server"):
        pytest.skip("there is no clickhouse-server: apt-get install clickhouse-server")
    folder, port = Path(tempfile.mkdtemp(prefix="meshlens-clickhouse-")), free_port()
    folder.chmod(0o755)
    (folder / "config.xml").write_text(CONFIG.format(folder=folder, port=port), encoding="utf-8")
    (folder / "users.xml").write_text(USERS, encoding="utf-8")
    user: Any = {"user": "nobody"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody")
    with (folder / "output").open("wb") as output:
        words = ["clickhouse-server", f"--config-file={folder}/config.xml"]
        server = subprocess.Popen(words, stdout=output, stderr=output, cwd=folder, **user)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not accepts(port):
            assert time.monotonic() < deadline, (folder / "output").read_text()[-2000:]
            assert server.poll() is None, (folder / "output").read_text()[-2000:]
            time.sleep(0.05)
        yield ClickHouse(server.pid, port)
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)
