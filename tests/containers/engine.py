"""
A Docker engine of our own for the container tests: Debian's packages unpacked, never installed, in its own namespace.

The engine that builds has the machine's network (host mode only: it makes no bridge); the engine that runs the cluster
lives in a network namespace of its own, with its own bridge and rules, and can be reached from nowhere else. It also
sees cgroup v2 alone, as current distributions have it, whatever this machine's own hierarchy looks like.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE: Final = Path(os.environ.get("MESHLENS_CONTAINER_CACHE", "/var/tmp/meshlens-containers"))  # noqa: S108 - root's
NAMESPACE: Final = "mesh-docker"
BASE_IMAGE: Final = "debian:bookworm-slim"


def run(*command: str, timeout_s: float = 600, env: dict[str, str] | None = None) -> str:
    """
    Run a command and return its output; its error output is in the exception when it fails.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout_s, env=env)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def ensure_tools() -> dict[str, str]:
    """
    Bring debootstrap, runc, iptables and an unpacked Docker; return the environment in which they are found.
    """
    if not all(shutil.which(tool) for tool in ("debootstrap", "runc", "iptables", "ip")):
        run("apt-get", "install", "-y", "--no-install-recommends", "debootstrap", "runc", "iptables", "iproute2")
    unpacked = CACHE / "engine"
    if not (unpacked / "usr/sbin/dockerd").exists():
        packages = CACHE / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", "docker.io", "containerd"], cwd=packages, check=True)
        for package in packages.glob("*.deb"):
            run("dpkg", "-x", str(package), str(unpacked))
    return {**os.environ, "PATH": f"{unpacked}/usr/bin:{unpacked}/usr/sbin:{os.environ['PATH']}"}


class Engine:
    """
    A running dockerd.
    """

    def __init__(self, socket: Path, env: dict[str, str]) -> None:
        self.host: Final = f"unix://{socket}"
        self.env: Final = {**env, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0"}

    def docker(self, *words: str, timeout_s: float = 600) -> str:
        """
        Run the docker client.
        """
        return run("docker", *words, timeout_s=timeout_s, env=self.env)


@contextlib.contextmanager
def engine(env: dict[str, str], *, namespace: str = "") -> Iterator[Engine]:
    """
    Run dockerd, in the machine's network for builds or in *namespace* for clusters, and end it.
    """
    state = CACHE / "state"
    run_folder = CACHE / f"run-{namespace or 'build'}"
    clear(run_folder)
    run_folder.mkdir(parents=True)
    socket = run_folder / "docker.sock"
    words = ["dockerd", "--data-root", str(state), "--exec-root", str(run_folder / "exec"), "-H", f"unix://{socket}"]
    words += ["--pidfile", str(run_folder / "pid"), "--exec-opt", "native.cgroupdriver=cgroupfs"]
    words += ["--storage-driver", "overlay2"]
    if namespace:
        unified = 'umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup /sys/fs/cgroup && exec "$@"'
        words = ["bash", "-c", unified, "unified", *words, "--userland-proxy=false"]
        words = ["unshare", "--mount", "--propagation", "private", "nsenter", f"--net=/run/netns/{namespace}", *words]
    else:
        words += ["--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"]
    with (run_folder / "log").open("wb") as log:
        daemon = subprocess.Popen(words, stdout=log, stderr=log, env=env)
        try:
            wait_until(lambda: socket.exists() and _answers(socket, env), 60, "dockerd")
            yield Engine(socket, env)
        finally:
            daemon.terminate()
            daemon.wait(60)
            clear(run_folder)


def clear(folder: Path) -> None:
    """
    Remove *folder*, and first what dockerd has left mounted below it.
    """
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{folder}/")), reverse=True):
        run("umount", mount)
    shutil.rmtree(folder, ignore_errors=True)


def _answers(socket: Path, env: dict[str, str]) -> bool:
    asked = subprocess.run(
        ["docker", "-H", f"unix://{socket}", "info"], check=False, capture_output=True, env=env, timeout=20
    )
    return asked.returncode == 0


def wait_until(true: object, limit_s: float, what: str) -> None:
    """
    Wait until *true*() holds.

    Raises:
        TimeoutError: it did not within *limit_s*.
    """
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if callable(true) and true():
            return
        time.sleep(0.2)
    raise TimeoutError(f"{what} was not there after {limit_s:g} s")


@contextlib.contextmanager
def network_namespace(name: str) -> Iterator[str]:
    """
    Make a network namespace with loopback up, and remove it.
    """
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        run("ip", "netns", "del", name)


def ensure_base_image(engine_: Engine) -> None:
    """
    Make Debian's minimal system into the base image, where no registry gives one.
    """
    if engine_.docker("images", "-q", BASE_IMAGE).strip():
        return
    root = CACHE / "rootfs"
    if not (root / "etc/debian_version").exists():
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root))
        for settings in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"):
            if Path(settings).exists():
                shutil.copy(settings, root / settings.removeprefix("/"))
    tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["docker", "import", "-", BASE_IMAGE], stdin=tar.stdout, env=engine_.env, check=True)
    tar.wait()
