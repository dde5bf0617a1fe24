"""
Runs a command under another Debian kernel, in a virtual machine without a network: `vm.py 6.1 -- pytest ...`.

The guest's root is the host's, read-only, under an overlay in memory, so everything installed here is there too. The
kernel image is downloaded as a Debian package and unpacked, never installed. The processor is emulated (TCG), so the
guest is some twenty times slower than the host: no figure from it is a performance figure.
"""

from __future__ import annotations

import argparse
import contextlib
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

META_PACKAGES = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64"}
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "modprobe": "kmod", "cpio": "cpio",
    "lz4": "lz4", "zstd": "zstd", "xz": "xz-utils",
}  # fmt: skip
"""The Debian package of each command."""
MODULES = ["virtio_pci", "virtiofs", "overlay", "veth", "bridge", "cls_bpf", "sch_ingress", "tun"]
PROJECT = Path(__file__).parent.parent.parent
CACHE = Path(os.environ.get("MESHLENS_VM_CACHE", "/var/tmp/meshlens-vm"))  # noqa: S108 - a cache, made by root
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"


def run(*command: str, cwd: Path | None = None) -> str:
    """
    Run a command and return what it prints.
    """
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def ensure_tools() -> None:
    """
    Install what the virtual machine needs.
    """
    if not (all(map(shutil.which, TOOLS)) and Path(VIRTIOFSD).exists()):
        run("apt-get", "install", "-y", "--no-install-recommends", *TOOLS.values())


def image_package(series: str) -> str:
    """
    Return the package that the series' meta package stands for now.
    """
    depends = run("apt-cache", "depends", META_PACKAGES[series])
    return next(
        line.split("Depends: ")[1].strip()
        for line in depends.splitlines()
        if "Depends: linux-image-" in line and "unsigned" not in line
    )


def fetch_kernel(series: str) -> tuple[Path, str]:
    """
    Return the unpacked kernel package and the kernel's release, from the cache if it is there.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    package = image_package(series)
    unpacked = CACHE / package
    release = package.removeprefix("linux-image-")
    if not (unpacked / "boot" / f"vmlinuz-{release}").exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            run("apt-get", "download", "-q", package, cwd=Path(folder))
            run("dpkg", "-x", str(next(Path(folder).glob("*.deb"))), str(unpacked))
        run("depmod", "-b", str(unpacked), release)
    return unpacked, release


def module_files(unpacked: Path, release: str) -> list[Path]:
    """
    Return the files of the modules, each after those that it needs; a module that is built in has none.
    """
    files: list[Path] = []
    for module in MODULES:
        shown = subprocess.run(
            ["modprobe", "-d", str(unpacked), "-S", release, "--show-depends", module],
            check=False, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for line in shown.splitlines():
            if line.startswith("insmod") and (path := Path(line.split()[1])) not in files:
                files.append(path)
    return files


def make_initrd(unpacked: Path, release: str) -> Path:
    """
    Return an initial RAM disk: busybox, the modules, and init.sh.
    """
    target = CACHE / f"initrd-{release}"
    init = Path(__file__).parent / "init.sh"
    if target.exists() and target.stat().st_mtime > init.stat().st_mtime:
        return target
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        tree = Path(folder)
        for name in ("bin", "modules", "proc", "sys", "dev", "lower", "upper", "new"):
            (tree / name).mkdir()
        shutil.copy("/bin/busybox", tree / "bin" / "busybox")
        (tree / "bin" / "sh").symlink_to("busybox")
        files = module_files(unpacked, release)
        names = [path.name.removesuffix(".xz") for path in files]
        for path, name in zip(files, names, strict=True):
            packed = path.read_bytes()  # busybox cannot unpack them, and Debian packs them since 6.12
            (tree / "modules" / name).write_bytes(lzma.decompress(packed) if path.suffix == ".xz" else packed)
        (tree / "modules" / "order").write_text("".join(f"{name}\n" for name in names))
        shutil.copy(init, tree / "init")
        (tree / "init").chmod(0o755)
        subprocess.run(f"find . | cpio -o -H newc --quiet | gzip -1 > {target}", shell=True, cwd=tree, check=True)  # noqa: S602 - fixed text
    return target


@contextlib.contextmanager
def shared_folders(work: Path, control: Path) -> Iterator[list[str]]:
    """
    Serve the root (read-only, without /proc, /sys and /dev), the project and the control folder; yield qemu's words.
    """
    root = work / "root"
    root.mkdir()
    run("mount", "--bind", "/", str(root))
    run("mount", "-o", "remount,bind,ro", str(root))
    servers, words = [], []
    try:
        for tag, source in (("root", root), ("project", PROJECT), ("control", control)):
            socket = work / f"{tag}.sock"
            command = [
                VIRTIOFSD,
                f"--socket-path={socket}",
                "-o",
                f"source={source}",
                "-o",
                "cache=always",
                "-o",
                "sandbox=chroot",
            ]
            servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            words += ["-chardev", f"socket,id={tag},path={socket}"]
            words += ["-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
            deadline = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        yield words
    finally:
        for server in servers:
            server.terminate()
            server.wait()
        run("umount", str(root))


def boot(series: str, command: str, limit_s: int, memory_mib: int) -> int:
    """
    Run *command* in the guest and return its exit status; 125 if the guest did not come to its end.
    """
    unpacked, release = fetch_kernel(series)
    initrd = make_initrd(unpacked, release)
    with tempfile.TemporaryDirectory() as folder:
        work, control = Path(folder), Path(folder) / "control"
        control.mkdir()
        (control / "command").write_text(command + "\n")
        with shared_folders(work, control) as folders:
            machine = [
                "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(memory_mib),
                "-object", f"memory-backend-memfd,id=mem,size={memory_mib}M,share=on", "-numa", "node,memdev=mem",
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none", "-serial", "stdio",
                *folders, "-kernel", str(unpacked / "boot" / f"vmlinuz-{release}"), "-initrd", str(initrd),
                "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
            ]  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(machine, stdin=subprocess.DEVNULL, timeout=limit_s, check=False)
        status = control / "status"
        return int(status.read_text()) if status.exists() else 125


def main() -> int:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", choices=sorted(META_PACKAGES))
    parser.add_argument("--limit-s", type=int, default=1500)
    parser.add_argument("--memory-mib", type=int, default=3072)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    words = parser.parse_args()
    if os.geteuid() != 0:
        print("vm.py mounts the root folder read-only for the guest, which needs root: use sudo", file=sys.stderr)
        return 2
    if "MESHLENS_VM_PRIVATE" not in os.environ:  # the mounts must not be seen outside
        private = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        os.execvpe(private[0], private, {**os.environ, "MESHLENS_VM_PRIVATE": "1"})  # noqa: S606 - our own words
    ensure_tools()
    return boot(words.series, " ".join(words.command).removeprefix("-- "), words.limit_s, words.memory_mib)


if __name__ == "__main__":
    sys.exit(main())
