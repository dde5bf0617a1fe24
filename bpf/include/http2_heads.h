/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The heads of HTTP/2 samples, put together anew: what was made of a block, in HPACK that needs no table. shared/protocols reads them
 * as it reads what was sent.
 */
#ifndef MESHLENS_HTTP2_HEADS_H
#define MESHLENS_HTTP2_HEADS_H

#include "hpack.h"

#define HTTP2_FRAME_BYTES 9

enum http2_type { H2_DATA, H2_HEADERS, H2_PRIORITY, H2_RESET, H2_SETTINGS, H2_PROMISE, H2_PING, H2_GOAWAY, H2_WINDOW, H2_CONTINUATION };
enum http2_flag { H2_END_STREAM = 1, H2_END_HEADERS = 4, H2_PADDED = 8, H2_PRIORITISED = 0x20 };

struct http2_path {
	u32 bytes;
	u32 huffman;
	u8 sent[120];
};

struct http2_scratch {
	struct http2_path path;
	u32 have;
	u32 length;
	u32 place;
	u32 unused;
	u8 head[FRAME_HEAD_BYTES];
};

BPF_TABLE("lru_hash", u64, struct http2_path, l7_http2_paths, 4096);
SCRATCH(l7_http2_scratch, struct http2_scratch)

static __always_inline volatile struct http2_scratch *http2_scratch(void)
{
	return l7_http2_scratch_here();
}

/* Puts the bytes that are being read aside. */
static __always_inline void http2_put_aside(volatile struct http2_scratch *aside, volatile struct framed *f)
{
	aside->have = f->have;
	aside->length = f->length;
	aside->place = f->place;
	bpf_probe_read_kernel((void *)aside->head, FRAME_HEAD_BYTES, (void *)f->head);
}

static __always_inline void http2_put_back(volatile struct http2_scratch *aside, volatile struct framed *f)
{
	f->have = aside->have;
	f->length = aside->length;
	f->place = aside->place;
	bpf_probe_read_kernel((void *)f->head, FRAME_HEAD_BYTES, (void *)aside->head);
}

static __always_inline void http2_frame_header(volatile struct framed *f, u32 bytes, u32 stream)
{
	f->have = f->length = bytes;
	bytes -= HTTP2_FRAME_BYTES;
	f->head[0] = 0;
	f->head[1] = bytes >> 8;
	f->head[2] = bytes;
	f->head[3] = H2_HEADERS;
	f->head[4] = H2_END_HEADERS;
	*(volatile u32 *)&f->head[5] = __builtin_bswap32(stream);
}

/* `content-type: application/grpc`, at a place below 128. */
static __always_inline u32 http2_type_field(volatile struct framed *f, u32 to)
{
	asm volatile("%0 &= 127" : "+r"(to));
	f->head[to] = 0x0f;
	f->head[to + 1] = 0x10;
	f->head[to + 2] = 0x10;
	*(volatile u64 *)&f->head[to + 3] = 0x746163696c707061;
	*(volatile u64 *)&f->head[to + 11] = 0x637072672f6e6f69;
	return to + 19;
}

/* Remembers how a path was sent that a later request names by its number, or finds it. */
static __always_inline void http2_path_known(volatile struct http2_scratch *aside, volatile struct hpack *said)
{
	u64 key = said->path;
	struct http2_path *known;

	if (!key)
		return;
	known = l7_http2_paths.lookup(&key);
	if (!said->path_said) {
		if (!known)
			return;
		said->path_bytes = known->bytes;
		said->path_huffman = known->huffman;
		bpf_probe_read_kernel((void *)said->path_sent, HPACK_PATH_BYTES, known->sent);
		said->path_said = 1;
	} else if (!known) {
		aside->path.bytes = said->path_bytes;
		aside->path.huffman = said->path_huffman;
		bpf_probe_read_kernel((void *)aside->path.sent, HPACK_PATH_BYTES, (void *)said->path_sent);
		l7_http2_paths.update(&key, (struct http2_path *)&aside->path);
	}
}

/* The head of a request: method, trace context, type, path. */
static __always_inline void http2_request_head(volatile struct framed *f, volatile struct hpack *said, u32 stream)
{
	u32 bytes = said->path_bytes;
	u64 to = HTTP2_FRAME_BYTES;

	f->head[to] = said->method == METHOD_POST ? 0x83 : 0x82;
	to += said->method == METHOD_GET || said->method == METHOD_POST;
	bpf_probe_read_kernel((void *)&f->head[to], sizeof(said->head), (void *)said->head);
	to += said->head_bytes;
	if (said->type == TYPE_GRPC)
		to = http2_type_field(f, to);
	asm volatile("%0 &= 255" : "+r"(to));
	if (said->path_said) {
		f->head[to++] = 4;
		f->head[to++] = (bytes < 127 ? bytes : 127) | (said->path_huffman ? 0x80 : 0);
		if (bytes >= 127) {
			f->head[to++] = ((bytes - 127) & 0x7f) | 0x80;
			f->head[to++] = (bytes - 127) >> 7;
		}
		asm volatile("%0 &= 255" : "+r"(to));
		bpf_probe_read_kernel((void *)&f->head[to], HPACK_PATH_BYTES, (void *)said->path_sent);
		to += bytes;
	}
	http2_frame_header(f, to, stream);
	if (f->have > FRAME_HEAD_BYTES || bytes > HPACK_PATH_BYTES)
		f->have = to - bytes + HPACK_PATH_BYTES;
}

/* The head of a response: `:status`, of gRPC also the type and `grpc-status`. */
static __always_inline void http2_response_head(volatile struct framed *f, u32 stream, u32 http, bool grpc, u32 status)
{
	u64 to = HTTP2_FRAME_BYTES;

	f->head[to] = 0x08;
	f->head[to + 1] = 3;
	f->head[to + 2] = '0' + http / 100 % 10;
	f->head[to + 3] = '0' + http / 10 % 10;
	f->head[to + 4] = '0' + http % 10;
	to = http ? to + 5 : to;
	if (grpc) {
		to = http2_type_field(f, to);
		asm volatile("%0 &= 127" : "+r"(to));
		f->head[to] = 0;
		f->head[to + 1] = 11;
		*(volatile u64 *)&f->head[to + 2] = 0x6174732d63707267;
		*(volatile u32 *)&f->head[to + 10] = 0x2737574;
		f->head[to + 14] = '0' + status / 10 % 10;
		f->head[to + 15] = '0' + status % 10;
		to += 16;
	}
	http2_frame_header(f, to, stream);
}

#endif
