"""
What the kernel side and Python must agree on: numbers, layouts, and the histogram's index.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path
from typing import Final

import pytest

from services.probe_manager.assembly import SOURCES, assemble
from services.probe_manager.decode import CAUSES, CONTROL, SAMPLE, SERIES_KEY, SERIES_VALUE_BYTES
from services.probe_manager.kernel import Kernel
from services.probe_manager.unanswered import QUERY
from shared.histogram import BUCKETS, bucket_of
from shared.messages.kernel import OVERFLOW_ENDPOINT, Outcome, Protocol, Role
from tests.compiled import SharedKernel

RECORDS: Final = (SOURCES / "include" / "records.h").read_text(encoding="utf-8")
PRIME: Final = 0x100000001B3


def enumerators(name: str, text: str = RECORDS) -> list[str]:
    """
    Return the words of enum *name*, in order.
    """
    body = re.search(rf"enum {name} {{(.*?)}};", text, re.DOTALL)
    assert body is not None
    plain = re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL)
    return [word.split("=")[0].strip() for word in plain.split(",") if word.strip()]


def test_numbers_are_the_same() -> None:
    """
    Roles, protocols and outcomes have the numbers that the messages have.
    """
    assert [f"ROLE_{role.name}" for role in Role] == enumerators("role")
    assert [f"PROTOCOL_{protocol.name}" for protocol in Protocol] == enumerators("protocol")
    assert [f"OUTCOME_{outcome.name}" for outcome in Outcome] == enumerators("outcome")
    assert f"#define OVERFLOW_ENDPOINT {OVERFLOW_ENDPOINT}" in RECORDS
    assert f"#define BUCKETS {BUCKETS}" in RECORDS


def test_every_cause_has_its_word() -> None:
    """
    The causes of the kernel side are those of decode.py, number by number.
    """
    requests = enumerators("lost_request_cause")
    processes = enumerators("lost_process_cause", (SOURCES / "include" / "lost.h").read_text(encoding="utf-8"))

    found = {number: word for number, word in enumerate(requests)} | {
        32 + number: word for number, word in enumerate(processes)
    }
    assert {number: f"LOST_{word.upper()}" for number, word in CAUSES.items()} == found


def test_every_cause_is_explained() -> None:
    """
    The reference page has a row for each cause.
    """
    page = (SOURCES.parent / "docs" / "reference" / "losses.md").read_text(encoding="utf-8")

    assert [] == [word for word in CAUSES.values() if f"| `{word}` |" not in page]


def test_layouts_have_the_same_size() -> None:
    """
    The static assertions of the headers say the sizes that Python reads.
    """
    text = RECORDS + (SOURCES / "l7" / "dns.h").read_text(encoding="utf-8")
    said = dict(re.findall(r"_Static_assert\(sizeof\(struct (\w+)\) == (\d+)", text))

    assert {
        "series_key": SERIES_KEY.size,
        "series_value": SERIES_VALUE_BYTES,
        "sample": SAMPLE.size,
        "control": CONTROL.size,
        "dns_query": QUERY.size,
    } == {name: int(size) for name, size in said.items()}


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.c")), ids=lambda path: path.stem)
def test_every_probe_can_be_assembled(path: Path) -> None:
    """
    Every header that a probe includes is in the tree, and none is left to be included.
    """
    assert '#include "' not in assemble(path)


HISTOGRAM: Final = """
struct question {
	u64 duration;
	u32 parent;
	u32 unused;
};
BPF_ARRAY(asked, struct question, 1);
BPF_ARRAY(answered, u32, 1);
int raw_tracepoint__sched_process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0;
	struct question *question = asked.lookup(&zero);
	u32 *answer = answered.lookup(&zero);

	if (question && answer && (u32)(bpf_get_current_pid_tgid() >> 32) == question->parent)
		*answer = bucket_of(question->duration);
	return 0;
}
"""


@pytest.mark.kernel
def test_the_kernel_side_finds_the_same_bucket() -> None:
    """
    Both sides put every duration into the same bucket, at the edges of all buckets too.
    """
    durations = [0, 1, 1023, 1024, 8191, 8192, 999_999, 2**31, 2**37, 2**40, 2**63]
    durations += [(1 << bit) + delta for bit in range(10, 40, 3) for delta in (-1, 0, (1 << bit) // 3)]
    found = []
    kernel = Kernel(Path(f"/sys/fs/bpf/meshlens-test-histogram-{os.getpid()}"), {}, {})
    try:
        # The public way takes the files of bpf/ only.
        text = _assembled('#include "series.h"\n' + HISTOGRAM)
        kernel.probes["histogram"] = kernel._attach("histogram", "preferred", text)
        for duration in durations:
            kernel.map("asked").write(bytes(4), struct.pack("<QI4x", duration, os.getpid()))
            subprocess.run(["true"], check=True)
            found.append(struct.unpack("<I", kernel.map("answered").read(bytes(4)) or b"")[0])
    finally:
        kernel.close(remove=True)

    assert [bucket_of(duration) for duration in durations] == found


def _assembled(text: str) -> str:
    seen = set()

    def insert(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return re.sub(r'^#include "([^"]+)"$', insert, (SOURCES / "include" / match[1]).read_text(), flags=re.MULTILINE)

    return re.sub(r'^#include "([^"]+)"$', insert, text, flags=re.MULTILINE)


@pytest.mark.kernel
@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.c")), ids=lambda path: path.stem)
def test_every_probe_loads(path: Path) -> None:
    """
    The kernel's verifier accepts every probe, attaches it, and says how many instructions it has walked.
    """
    pins = Path(f"/sys/fs/bpf/meshlens-test-load-{os.getpid()}-{path.stem}")
    kernel = SharedKernel(pins)
    try:
        for needed in ("listen_queue", "tcp_connections"):
            if path.stem != needed:
                kernel.load(needed)
        loaded = kernel.load(path.stem)
        figures = kernel.figures(path.stem)
    finally:
        kernel.close(remove=True)

    assert loaded.hook
    assert all(0 < figure.instructions < 1_000_000 for figure in figures)
    assert not pins.exists()
