"""
The text of a probe: its headers put in, and what every protocol needs alike written out.

A protocol that is read message by message is one header in `bpf/l7` with a line `FRAMED_PROTOCOL(name, number, rank)`
(see `bpf/include/framed.h`). Its matcher, its tail program and its state for each connection are generated here, so
that adding one touches nothing else. The compiler does not see what a macro makes of maps and programs: therefore text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import ConfigError
from shared.messages.kernel import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES: Final = Path(__file__).resolve().parents[2] / "bpf"
NATIVE: Final = (Protocol.POSTGRESQL,)
"""Followed by programs of their own, byte by byte."""

ALWAYS: Final = frozenset({"http", "redis"})
"""Framed protocols that are there from the beginning."""

_INCLUDE: Final = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)
_FRAMED: Final = re.compile(r"^FRAMED_PROTOCOL\((\w+), PROTOCOL_(\w+), (\d+)\);?$", re.MULTILINE)
_STORE: Final = re.compile(r"^CONN_STORE\((\w+), (struct \w+)\);?$", re.MULTILINE)
_SCRATCH: Final = re.compile(r"^SCRATCH\((\w+), (struct \w+)\);?$", re.MULTILINE)
_PROGRAMS: Final = re.compile(r"^FRAMED_PROGRAMS\((\w+), (.+)\);?$", re.MULTILINE)
_HEADERS, _MATCHERS, _FORGET = "FRAMED_HEADERS", "FRAMED_MATCHERS", "FORGET_STORES"

_MATCHER: Final = re.compile(
    r"^\tif \(!\(conn->refused >> (\w+)_number & 1\)\) \{\n.*?^\t\}\n", re.MULTILINE | re.DOTALL
)
_FUNCTION: Final = re.compile(r"^int (\w+)\(u64 \*ctx\)\n\{.*?^\}\n", re.MULTILINE | re.DOTALL)
_PLACE: Final = re.compile(r"(?:tail__(?:sock_recv_length|sys_exit|uprobe)|loop)__(\d+)$")
RECOGNISE: Final = 62
"""The place of the program that asks all matchers; `bpf/include/framed.h` has the same number."""

_STORE_TEXT: Final = """\
#ifdef FALLBACK
BPF_F_TABLE("hash", u64, {type}, {name}_by_sock, 8192, BPF_F_NO_PREALLOC);
BPF_TABLE("percpu_array", u32, {type}, {name}_empty, 1);
#else
BPF_SK_STORAGE({name}, {type});
#endif

static __always_inline {type} *{name}_of(void *sk, bool make)
{{
#ifdef FALLBACK
	u64 key = SOCK_KEY(sk);
	u32 zero = 0;
	{type} *found = {name}_by_sock.lookup(&key), *empty;

	if (found || !make)
		return found;
	empty = {name}_empty.lookup(&zero);
	if (empty)
		{name}_by_sock.insert(&key, empty);
	return {name}_by_sock.lookup(&key);
#else
	return {name}.sk_storage_get(sk, 0, make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
#endif
}}
"""
_SCRATCH_TEXT: Final = """\
#ifdef PLAINTEXT
BPF_TASK_STORAGE({name}_of_task, {type});
#else
BPF_TABLE("percpu_array", u32, {type}, {name}, 1);
#endif

static __always_inline {type} *{name}_here(void)
{{
#ifdef PLAINTEXT
	return {name}_of_task.task_storage_get((void *)bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
#else
	u32 zero = 0;

	return {name}.lookup(&zero);
#endif
}}
"""
"""Memory from one program to the next of a call. Programs on functions may be interrupted: theirs is the thread's."""
_MATCHER_TEXT: Final = """\
	if (!(conn->refused >> {name}_number & 1)) {{
		match = {name}_match(conn, f);
		if (match == MATCH_YES)
			return {name}_number;
		f->settled |= match == MATCH_MORE;
	}}
"""
_PROGRAM_TEXT: Final = """\
#ifdef LOOPS
int loop__{slot}(u64 *ctx)
{{
	return !framed_turn_{name}(turns_of(ctx));
}}
#endif

int tail__{tracepoint}__{slot}(u64 *ctx)
{{
	u32 next = framed_{name}({sock});

	if (next)
		tails_{tracepoint}.call(ctx, next);
	return 0;
}}
"""


class Framed(msgspec.Struct, frozen=True, order=True):
    """
    A protocol that is read message by message.
    """

    rank: int
    """Matchers are asked in this order: magic words before mere structure."""
    number: int
    name: str
    """Its header in `bpf/l7`, without the suffix, and the prefix of its functions."""


def framed_protocols(wanted: frozenset[str] | None = None) -> list[Framed]:
    """
    Return the framed protocols of the folder, or those of them whose header is *wanted*, as they are to be asked.

    Raises:
        ConfigError: a header declares another name than its file's, an unknown number, or one that is taken.
    """
    found: dict[int, Framed] = {}
    for path in sorted((SOURCES / "l7").glob("*.h")):
        said = _FRAMED.search(path.read_text(encoding="utf-8"))
        if said is None or (wanted is not None and path.stem not in wanted | ALWAYS):
            continue
        if said[1] != path.stem or said[2] not in Protocol.__members__:
            raise ConfigError(f"bpf/l7/{path.name} declares {said[0]}: the file's name and a known number are needed")
        framed = Framed(int(said[3]), Protocol[said[2]], said[1])
        taken = found.setdefault(framed.number, framed)
        if taken is not framed:
            raise ConfigError(f"bpf/l7/{path.name}: {said[2]} belongs to {taken.name}.h already")
    return sorted(found.values())


def wanted_protocols(off: str) -> frozenset[str] | None:
    """
    Return the framed protocols to follow without those that *off* names, None for all.

    Raises:
        ConfigError: *off* names one that does not exist, or that is always followed.
    """
    unwanted = {name.strip() for name in off.split(",") if name.strip()}
    if not unwanted:
        return None
    known = {framed.name for framed in framed_protocols()}
    if unwanted - known:
        raise ConfigError(
            f"PROBE_MANAGER_PROTOCOLS_OFF names no protocol: {', '.join(sorted(unwanted - known))}; "
            f"there are {', '.join(sorted(known))}"
        )
    if unwanted & ALWAYS:
        raise ConfigError(
            f"PROBE_MANAGER_PROTOCOLS_OFF names {', '.join(sorted(unwanted & ALWAYS))}: always followed, leave it out"
        )
    return frozenset(known - unwanted)


def assemble(path: Path, wanted: frozenset[str] | None = None) -> str:
    """
    Return the text of the probe at *path* with its headers put in, each once, and with the *wanted* framed protocols.
    """
    framed = framed_protocols(wanted)
    seen: set[str] = set()

    def insert(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in seen:
            return ""
        seen.add(name)
        for folder in (SOURCES / "include", SOURCES / "l7"):
            if (folder / name).exists():
                return put_in((folder / name).read_text(encoding="utf-8"))
        raise ConfigError(f"bpf/{path.name} includes {name}, which is neither in bpf/include nor in bpf/l7")

    def put_in(text: str) -> str:
        headers = "\n".join(f'#include "{one.name}.h"' for one in framed)
        return _INCLUDE.sub(insert, re.sub(rf"^{_HEADERS}$", headers, text, flags=re.MULTILINE))

    return _written_out(put_in(path.read_text(encoding="utf-8")), framed)


def _written_out(text: str, framed: list[Framed]) -> str:
    stores = [match[1] for match in _STORE.finditer(text)]
    text = _STORE.sub(lambda match: _STORE_TEXT.format(name=match[1], type=match[2]), text)
    text = _SCRATCH.sub(lambda match: _SCRATCH_TEXT.format(name=match[1], type=match[2]), text)
    forget = "".join(f"\t{name}_by_sock.delete(&key);\n" for name in stores)
    text = re.sub(rf"^\t{_FORGET}\n", lambda _: forget, text, flags=re.MULTILINE)
    matchers = "".join(_MATCHER_TEXT.format(name=one.name) for one in framed)
    text = re.sub(rf"^\t{_MATCHERS}\n", lambda _: matchers, text, flags=re.MULTILINE)
    text = _PROGRAMS.sub(lambda match: _programs(framed, match[1], match[2]), text)
    if "FOLLOWED" not in text:
        return text
    by_frames = sum(1 << one.number for one in framed)
    masks = {"FOLLOWED_BY_FRAMES": by_frames, "FOLLOWED": by_frames | sum(1 << number for number in NATIVE)}
    return "".join(f"#define {word} {mask:#x}ULL\n" for word, mask in masks.items()) + text


def _programs(framed: list[Framed], tracepoint: str, sock: str) -> str:
    loops = [f"FRAMED({f.name}, {f.name}_number, {f.name.upper()}_HEADER, {f.name.upper()}_TURNS)" for f in framed]
    programs = [_PROGRAM_TEXT.format(tracepoint=tracepoint, slot=f.number, name=f.name, sock=sock) for f in framed]
    return "\n".join([*loops, *programs])


def parts(text: str) -> tuple[str, str]:
    """
    Return an assembled probe without the programs of framed protocols, and with these alone, empty where it has none.

    Both have the program that recognises; the first one's asks only for protocols that are always there.
    """
    later = {framed.number for framed in framed_protocols() if framed.name not in ALWAYS}

    def place_of(function: str) -> int:
        found = _PLACE.match(function)
        return int(found[1]) if found else -1

    def without(unwanted: Callable[[int], bool]) -> str:
        return _FUNCTION.sub(lambda match: "" if unwanted(place_of(match[1])) else match[0], text)

    if not any(place_of(one[1]) in later | {RECOGNISE} for one in _FUNCTION.finditer(text)):
        return text, ""
    first = _MATCHER.sub(lambda match: match[0] if match[1] in ALWAYS else "", without(lambda place: place in later))
    return f"#define BEGINNING 1\n{first}", without(lambda place: place not in later | {RECOGNISE})
