"""
One child process that cannot outlive its parent, and that an unprivileged user may own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PR_SET_PDEATHSIG: Final = 1
CLOSE_GRACE_S: Final = 5.0
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def unprivileged_user(name: str = "nobody") -> pwd.struct_passwd | None:
    """
    Return the user that embedded servers run as when this process is root, else None: they run as we do.

    Raises:
        ConfigError: there is no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(name)
    except KeyError as error:
        raise ConfigError(f"there is no user {name!r} for the embedded servers; name another one") from error
    if user.pw_uid == 0:
        raise ConfigError("the embedded servers must not run as root; name an unprivileged user")
    return user


class Child:
    """
    A program that we started, in a session of its own; the kernel ends it when we die.

    *prepare* runs in the child before it becomes the program, and before it gives up our user for *user*.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str],
        user: pwd.struct_passwd | None = None,
        directory: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.arguments: Final = [str(item) for item in arguments]
        self.log: Final = log
        self._stop_signal: Final = stop_signal
        self.started_at: Final = time.monotonic()
        with log.open("ab") as output:
            self._process: Final = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
                preexec_fn=_before_exec(os.getpid(), stop_signal, prepare, user),
            )

    @property
    def pid(self) -> int:
        """
        Return its process id.
        """
        return self._process.pid

    def status(self) -> int | None:
        """
        Return its exit status (negative: the signal that ended it), or None while it runs.
        """
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """
        Send *number* if it still runs.
        """
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def ask_to_end(self) -> None:
        """
        Ask it to end, and do not wait.
        """
        self.signal(self._stop_signal)

    def stop(self, grace_s: float = CLOSE_GRACE_S) -> int:
        """
        Ask it to end, insist after *grace_s*, and return its exit status.
        """
        self.ask_to_end()
        try:
            return self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _before_exec(
    parent: int, number: signal.Signals, prepare: Callable[[], None] | None, user: pwd.struct_passwd | None
) -> Callable[[], None]:
    """
    Return what the child does before it becomes the program; a change of user would clear the death signal.
    """

    def enter() -> None:
        if prepare is not None:
            prepare()
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        _LIBC.prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return enter


def last_lines(log: Path, most: int = 4, *, containing: tuple[str, ...] = ()) -> list[str]:
    """
    Return the end of *log*: at most *most* lines, those with one of the words in *containing* if any is given.
    """
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
        lines = file.read().decode(errors="replace").splitlines()
        return [line for line in lines if not containing or any(word in line for word in containing)][-most:]
    return []
