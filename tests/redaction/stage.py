"""
The real servers that are sent secrets, started side by side, each in a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.local.postgres import PostgresServer
from tests.data.ldap import server as ldap
from tests.kernel.l7 import clickhouse_server, mariadb, rabbitmq
from tests.kernel.l7.lab import accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S: Final = 60.0
SEARCHED: Final = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
  server {{
    listen 127.0.0.1:{http}; listen 127.0.0.1:{http2} http2; listen 127.0.0.1:{https} ssl http2;
    add_header Set-Cookie "session=$arg_password"; add_header X-Token $arg_password;
    location / {{ return 200 "$args"; }}
    location /reset {{ return 503 "$uri"; }}
    location /php {{
      include /etc/nginx/fastcgi.conf; fastcgi_param SCRIPT_FILENAME {folder}/index.php; fastcgi_keep_conn on;
      fastcgi_pass 127.0.0.1:{fastcgi};
    }}
  }}
}}
"""
FPM: Final = """
[global]
daemonize = no
error_log = {folder}/fpm.log
[shop]
user = nobody
group = nogroup
listen = 127.0.0.1:{fastcgi}
pm = static
pm.max_children = 1
"""
PHP: Final = "<?php setcookie('session', $_GET['password'] ?? ''); print_r($_REQUEST); print_r(getallheaders());\n"
REDIS: Final = ("--save", "", "--bind", "127.0.0.1", "--port")
DNSMASQ: Final = ("-k", "--no-resolv", "--no-hosts", "--address=/ok.test/10.0.0.1", "--listen-address=127.0.0.1",
                  "--pid-file=", "--bind-interfaces", "--conf-file=/dev/null", "--user=root", "-p")  # fmt: skip


class Stage:
    """
    What runs, by name, and where it listens.
    """

    def __init__(self) -> None:
        self.ports: Final[dict[str, int]] = {}
        self.rabbitmq: rabbitmq.RabbitMq
        self.mariadb: mariadb.MariaDb
        self.folder: Final = Path(tempfile.mkdtemp(prefix="meshlens-stage-"))
        self.folder.chmod(0o755)
        self._failures: Final[list[str]] = []
        self._programs: Final[list[subprocess.Popen[bytes]]] = []
        self._held: Final = contextlib.ExitStack()

    def start(self) -> None:
        """
        Start all servers, and return when each accepts.
        """
        works = (self._web, self._rabbitmq, self._mariadb, self._clickhouse, self._ldap, self._small)
        threads = [threading.Thread(target=self._try, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        self._postgres()  # the kernel ends it with the thread that started it
        for thread in threads:
            thread.join()
        assert not self._failures, self._failures

    def close(self) -> None:
        """
        End what was started.
        """
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(10)
            if program.poll() is None:
                program.kill()
                program.wait()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # told by start()
            self._failures.append(f"{work.__name__}: {failure!r}")

    def _folder(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir(mode=0o755)
        return made

    def _run(self, name: str, *command: object, port: int) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            found = shutil.which(str(command[0]), path=SEARCHED)
            assert found, f"{command[0]} is not installed"
            words = [found, *map(str, command[1:])]
            program = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        self._programs.append(program)
        deadline = time.monotonic() + PATIENCE_S
        while not accepts(port):
            assert program.poll() is None, (self.folder / f"{name}.log").read_text()
            assert time.monotonic() < deadline, name
            time.sleep(0.05)
        self.ports[name] = port

    def _web(self) -> None:
        folder, ports = self._folder("web"), {name: free_port() for name in ("http", "http2", "https", "fastcgi")}
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        paths = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
        subprocess.run([*words, *paths], check=True, capture_output=True, timeout=60)
        (folder / "index.php").write_text(PHP)
        for name, text in (("fpm.conf", FPM), ("nginx.conf", NGINX)):
            (folder / name).write_text(text.format(folder=folder, **ports))
        self._run("fastcgi", "php-fpm8.2", "-n", "-R", "-y", folder / "fpm.conf", port=ports["fastcgi"])
        self._run("http", "nginx", "-c", folder / "nginx.conf", "-p", folder, port=ports["http"])
        self.ports.update(ports)

    def _postgres(self) -> None:
        folder, port = self._folder("postgres"), free_port()
        server = PostgresServer(folder / "data", port, "Tr0ub4dor&3")
        server.start()
        self._held.callback(server.stop)
        self.ports["postgresql"] = port

    def _rabbitmq(self) -> None:
        self.rabbitmq = self._held.enter_context(rabbitmq.running())
        self.ports["amqp"] = self.rabbitmq.port

    def _mariadb(self) -> None:
        self.mariadb = self._held.enter_context(mariadb.running())
        self.ports["mysql"] = self.mariadb.port

    def _clickhouse(self) -> None:
        self.ports["clickhouse"] = self._held.enter_context(clickhouse_server.running()).port

    def _ldap(self) -> None:
        port = free_port()
        self._run("ldap", *ldap.command(port, self._folder("ldap")), port=port)

    def _small(self) -> None:
        folder = self._folder("small")
        ports = {name: free_port() for name in ("redis", "memcached", "mqtt", "nats", "dns")}
        (folder / "mosquitto.conf").write_text(f"listener {ports['mqtt']} 127.0.0.1\nallow_anonymous true\n")
        nats = shutil.which("nats-server") or Path(sys.executable).with_name("nats-server")
        self._run("redis", "redis-server", *REDIS, ports["redis"], port=ports["redis"])
        self._run("memcached", "memcached", "-l", "127.0.0.1", "-u", "nobody", "-p", ports["memcached"],
                  port=ports["memcached"])  # fmt: skip
        self._run("mqtt", "mosquitto", "-c", folder / "mosquitto.conf", port=ports["mqtt"])
        self._run("nats", nats, "-a", "127.0.0.1", "-p", ports["nats"], port=ports["nats"])
        self._run("dns", "dnsmasq", *DNSMASQ, ports["dns"], port=ports["dns"])


@contextlib.contextmanager
def running() -> Iterator[Stage]:
    """
    Run all servers until the block ends.
    """
    stage = Stage()
    try:
        stage.start()
        yield stage
    finally:
        stage.close()
