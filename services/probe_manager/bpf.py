"""
The bpf(2) system call: maps, programs and links as file descriptors, their contents as raw bytes.

Nothing here knows what the bytes mean. Batches come back as two byte strings, so that draining ten thousand entries
costs no Python object for each.

https://docs.kernel.org/userspace-api/ebpf/syscall.html
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager.batches import Batch
from services.probe_manager.linking import function_types, opaque_types
from services.probe_manager.syscalls import ask, buffer, call

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MAP_CREATE, _LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _PROG_LOAD, _PIN, _GET = range(8)
_INFO, _RAW_TRACEPOINT_OPEN, _BTF_LOAD, _DELETE_BATCH = 15, 17, 18, 27
_LINK_CREATE, _ENABLE_STATS, _ITER_CREATE = 28, 32, 33

KPROBE, RAW_TRACEPOINT, TRACING = 2, 17, 26
"""Program types."""
TRACE_RAW_TP, TRACE_ITER, PERF_EVENT = 23, 28, 41
"""Attach types."""
SK_STORAGE, RINGBUF, TASK_STORAGE = 24, 27, 29
"""Map types that are made in their own way."""
_PER_CPU: Final = frozenset({5, 6, 10, 21})
_LOG_BYTES: Final = 4 << 20


def possible_cpus() -> int:
    """
    Return how many values a per-CPU map holds for each key.
    """
    with open("/sys/devices/system/cpu/possible") as file:
        return int(file.read().replace("-", ",").split(",")[-1]) + 1


def pin(fd: int, path: Path) -> None:
    """
    Keep what *fd* stands for at *path* in bpffs.
    """
    name = buffer(os.fsencode(path) + b"\0")
    call(_PIN, struct.pack("<QII", ctypes.addressof(name), fd, 0))


def pinned(path: Path) -> int:
    """
    Return a new file descriptor of what is pinned at *path*.
    """
    name = buffer(os.fsencode(path) + b"\0")
    return call(_GET, struct.pack("<QII", ctypes.addressof(name), 0, 0))


class Shape(msgspec.Struct, frozen=True):
    """
    What a map is made of.
    """

    type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int = 0


class Map:
    """
    A map, by file descriptor.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd: Final = fd
        self.name: Final = name
        kind, _, key, value, entries, flags = struct.unpack_from("<6I", _info(fd, 80))
        self.shape: Final = Shape(kind, key, value, entries, flags)
        self.value_bytes: Final = (value + 7) // 8 * 8 * possible_cpus() if kind in _PER_CPU else value
        """Bytes of one look-up: of all processors for a per-CPU map, each rounded up to 8."""
        self._value = ctypes.create_string_buffer(max(self.value_bytes, 1))

    def close(self) -> None:
        """
        Let go of the file descriptor.
        """
        os.close(self.fd)

    def read(self, key: bytes) -> bytes | None:
        """
        Return the value of *key*, None when it has none.
        """
        held = buffer(key)
        try:
            self._element(_LOOKUP, held, ctypes.addressof(self._value))
        except FileNotFoundError:
            return None
        return self._value.raw

    def write(self, key: bytes, value: bytes) -> None:
        """
        Set the value of *key*.
        """
        held, new = buffer(key), buffer(value)
        self._element(_UPDATE, held, ctypes.addressof(new))

    def delete(self, key: bytes) -> None:
        """
        Remove *key*, if it is there.
        """
        try:
            self._element(_DELETE, buffer(key), 0)
        except FileNotFoundError:
            return

    def keys(self) -> Iterator[bytes]:
        """
        Yield each key; one that is deleted meanwhile may be missed.
        """
        following = ctypes.create_string_buffer(self.shape.key_bytes)
        current: ctypes.Array[ctypes.c_char] | None = None
        while True:
            at = ctypes.addressof(current) if current is not None else 0
            try:
                call(_NEXT_KEY, struct.pack("<IIQQQ", self.fd, 0, at, ctypes.addressof(following), 0))
            except FileNotFoundError:
                return
            current = buffer(following.raw)
            yield following.raw

    def entries(self, few: int = 64, many: int = 1024) -> Iterator[tuple[bytes, bytes, int]]:
        """
        Yield the map in batches, a first one of up to *few* entries, then of up to *many*: the keys in one string, the
        values in another, the count.
        """
        batch = Batch(self.fd, self.shape.key_bytes, self.value_bytes, few)
        while not batch.ended:
            count = batch.look_up()
            if count:
                yield batch.taken(count)
            if count > few // 2 and batch.room < many:
                batch.widen(many)

    def delete_many(self, keys: bytes) -> None:
        """
        Remove all *keys*, given in one string.
        """
        width = self.shape.key_bytes
        while keys:
            held = buffer(keys)
            attributes = buffer(
                struct.pack("<QQQQIIQQ", 0, 0, ctypes.addressof(held), 0, len(keys) // width, self.fd, 0, 0)
            )
            try:
                ask(_DELETE_BATCH, attributes)
                return
            except FileNotFoundError:
                done = struct.unpack_from("<I", attributes, 32)[0]
                keys = keys[(done + 1) * width :]

    def _element(self, command: int, key: ctypes.Array[ctypes.c_char], value_at: int) -> None:
        call(command, struct.pack("<IIQQQ", self.fd, 0, ctypes.addressof(key), value_at, 0))


class Ring:
    """
    The reader's side of a ring buffer map.
    """

    def __init__(self, ring: Map) -> None:
        page = mmap.PAGESIZE
        self._size: Final = ring.shape.entries
        self._consumer: Final = mmap.mmap(ring.fd, page)
        self._producer: Final = mmap.mmap(ring.fd, page + 2 * self._size, prot=mmap.PROT_READ, offset=page)

    def close(self) -> None:
        """
        Unmap the ring.
        """
        self._consumer.close()
        self._producer.close()

    def drain(self) -> list[bytes]:
        """
        Return the records that were submitted since the last call, in order.
        """
        found: list[bytes] = []
        at = struct.unpack_from("<Q", self._consumer)[0]
        end = struct.unpack_from("<Q", self._producer)[0]
        while at < end:
            record = mmap.PAGESIZE + at % self._size
            length = struct.unpack_from("<I", self._producer, record)[0]
            if length & 1 << 31:  # being written
                break
            discarded, length = length & 1 << 30, length & (1 << 30) - 1
            if not discarded:
                found.append(self._producer[record + 8 : record + 8 + length])
            at += (length + 8 + 7) // 8 * 8
        struct.pack_into("<Q", self._consumer, 0, at)
        return found


def create_map(name: str, shape: Shape) -> Map:
    """
    Return a new map.
    """
    types = (0, 0, 0)
    if shape.type in (SK_STORAGE, TASK_STORAGE):
        types = (_load_types(opaque_types(shape.value_bytes)), 1, 3)
    head = struct.pack("<5I", shape.type, shape.key_bytes, shape.value_bytes, shape.entries, shape.flags)
    tail = struct.pack("<II16sI3I", 0, 0, name.encode()[:15], 0, *types)
    try:
        return Map(call(_MAP_CREATE, head + tail), name)
    finally:
        if types[0]:
            os.close(types[0])


def _load_types(types: bytes) -> int:
    blob = buffer(types)
    return call(_BTF_LOAD, struct.pack("<QQIII", ctypes.addressof(blob), 0, len(blob), 0, 0) + b"\0" * 4)


def load_program(
    name: str, code: bytes, kind: int, attach_type: int = 0, attach_btf_id: int = 0, starts: Sequence[int] = (0,)
) -> int:
    """
    Return the file descriptor of a verified program whose functions begin at *starts*.

    Raises:
        OSError: the kernel refuses it; *strerror* ends with the end of the verifier's log.
    """
    license_text, held = buffer(b"GPL\0"), buffer(code)
    types, places = function_types(starts)
    described, btf = buffer(places), _load_types(types)

    def attributes(log_level: int, log: ctypes.Array[ctypes.c_char] | None) -> bytes:
        log_at, log_bytes = (ctypes.addressof(log), len(log)) if log is not None else (0, 0)
        return (
            struct.pack("<IIQQ", kind, len(code) // 8, ctypes.addressof(held), ctypes.addressof(license_text))
            + struct.pack("<IIQII", log_level, log_bytes, log_at, 0, 0)
            + struct.pack("<16sIIII", name.encode()[:15], 0, attach_type, btf, 8)
            + struct.pack("<QIIQIII", ctypes.addressof(described), len(starts), 0, 0, 0, attach_btf_id, 0)
        )

    try:
        return call(_PROG_LOAD, attributes(0, None))
    except OSError as refusal:
        log = ctypes.create_string_buffer(_LOG_BYTES)
        try:
            return call(_PROG_LOAD, attributes(1, log))
        except OSError:
            tail = log.value[-4000:].decode(errors="replace").strip()
            raise OSError(refusal.errno, f"{os.strerror(refusal.errno or 0)}: {tail}") from None
    finally:
        os.close(btf)


def attach_raw(program: int, tracepoint: str | None) -> int:
    """
    Return a link of *program* to a raw tracepoint; a typed program brings its tracepoint with it.
    """
    name = buffer((tracepoint or "").encode() + b"\0")
    at = ctypes.addressof(name) if tracepoint else 0
    return call(_RAW_TRACEPOINT_OPEN, struct.pack("<QIIQ", at, program, 0, 0))


def attach_iterator(program: int, over_map: int = 0, process: int = 0) -> int:
    """
    Return a link of *program* to its iterator, over the elements of a map, or over one process only.
    """
    chosen = buffer(struct.pack("<IIII", over_map, process, 0, 0))
    at, length = (ctypes.addressof(chosen), len(chosen)) if over_map or process else (0, 0)
    return call(_LINK_CREATE, struct.pack("<IIIIQII", program, 0, TRACE_ITER, 0, at, length, 0))


def attach_perf_event(program: int, event: int) -> int:
    """
    Return a link of *program* to an open perf event; the link keeps the event open.
    """
    return call(_LINK_CREATE, struct.pack("<IIIIQ", program, event, PERF_EVENT, 0, 0))


def run_iterator(link: int) -> bytes:
    """
    Run an iterator to its end, and return what it wrote.
    """
    fd = call(_ITER_CREATE, struct.pack("<II", link, 0))
    with open(fd, "rb", buffering=0) as file:
        return file.readall() or b""


def enable_run_time_statistics() -> int:
    """
    Return a file descriptor that keeps the kernel's run-time statistics on until it is closed.
    """
    return call(_ENABLE_STATS, struct.pack("<I", 0))


class ProgramFigures(msgspec.Struct, frozen=True):
    """
    What the kernel tells about a loaded program.
    """

    name: str
    instructions: int
    runs: int
    run_time_ns: int
    missed: int
    """Events that it did not see because it was already running on that processor."""


def program_figures(program: int) -> ProgramFigures:
    """
    Return the figures of *program*.
    """
    info = _info(program, 240)
    name = info[64:80].split(b"\0")[0].decode()
    run_time, runs, missed = struct.unpack_from("<QQQ", info, 192)
    instructions = struct.unpack_from("<I", info, 216)[0]
    return ProgramFigures(name, instructions, runs, run_time, missed)


def link_program_id(link: int) -> int:
    """
    Return the id of the program behind *link*.
    """
    return int(struct.unpack_from("<I", _info(link, 64), 8)[0])


def program_by_id(identity: int) -> int:
    """
    Return a file descriptor of the program with this id.
    """
    return call(13, struct.pack("<III", identity, 0, 0))


def _info(fd: int, length: int) -> bytes:
    result = ctypes.create_string_buffer(length)
    try:
        call(_INFO, struct.pack("<IIQ", fd, length, ctypes.addressof(result)))
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
    return result.raw
