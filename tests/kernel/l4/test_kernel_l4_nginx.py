"""
A real server with a connection for each request: the kernel side and the server's own count agree.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.l4.conftest import Lab

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("wrk")), reason="needs nginx and wrk"),
]

CONFIG = """
daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:8080; location / {{ return 200 "hello"; }} location /status {{ stub_status; }} }}
}}
"""

RUN = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
print(child.pid)
child.wait()
"""

ASK = """
import sys, time, urllib.request
while True:
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8080/status").read().split(b"\\n")[2].decode())
        break
    except OSError:
        time.sleep(0.02)
sys.stdin.read()
"""


def test_a_connection_for_each_request(lab: Lab, tmp_path: Path) -> None:
    """
    All that nginx says it has accepted was counted as opened and closed, at the master's instance, and joined.
    """
    netns = lab.namespace("a")
    lab.watch(f"netns:{netns}")
    (tmp_path / "nginx.conf").write_text(CONFIG.format(folder=tmp_path))
    started = lab.program(RUN, "nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf", netns=netns)
    master = int(started.hear())
    lab.program(ASK, netns=netns).hear()
    load = ["wrk", "-t1", "-c7", "-d2s", "-H", "Connection: close", "http://127.0.0.1:8080/"]
    lab.run("nsenter", f"--net=/run/netns/{netns}", *load)
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    accepts = int(re.split(r"\s+", lab.program(ASK, netns=netns).hear().strip())[0])
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    (nginx,) = [instance.id for instance in lab.instances.values() if instance.pid == master]
    names = {instance.id: instance.executable.rsplit("/", 1)[-1] for instance in lab.instances.values()}
    series = lab.series()
    served = {it.peer: it.opened for it in series if it.instance == nginx and it.opened}
    asked = {it.instance: it.opened for it in series if it.peer == nginx}

    assert accepts > 100
    assert accepts == sum(served.values())
    assert accepts == sum(it.closed for it in series if it.instance == nginx)
    assert asked == served
    assert {"wrk", os.path.basename(os.path.realpath("/proc/self/exe"))} == {names[instance] for instance in asked}
    assert lab.lost() == []
