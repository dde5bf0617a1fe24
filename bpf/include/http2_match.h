/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Are these bytes HTTP/2? At the beginning of a connection, and in its middle.
 */
#ifndef MESHLENS_HTTP2_MATCH_H
#define MESHLENS_HTTP2_MATCH_H

#include "framed.h"
#include "http2_heads.h"

/* Settings, a ping, a window update or a reset as a first frame: their lengths are fixed. */
static __always_inline bool http2_is_control(volatile struct framed *f, u32 length, u32 type, u32 flags, u32 stream)
{
	switch (type) {
	case H2_SETTINGS:
		return !stream && (flags ? flags == 1 && !length : length && length <= 96 && length % 6 == 0 && !head_u8(f, 9) &&
								   head_u8(f, 10) - 1U < 16);
	case H2_PING:
		return !stream && length == 8 && flags <= 1;
	case H2_WINDOW:
		return length == 4 && !flags && stream < 1 << 24 && !(head_u8(f, 9) & 0x80);
	case H2_RESET:
		return length == 4 && !flags && stream && stream < 1 << 24 && head_be32(f, 9) < 14;
	}
	return false;
}

/* The preface; in the middle of a connection a frame with a header block that begins as they do, or one of fixed length. */
static __always_inline enum match http2_match(struct conn *conn, volatile struct framed *f)
{
	u32 length = head_be32(f, 0) >> 8, type = head_u8(f, 3), flags = head_u8(f, 4), stream = head_be32(f, 5), first, second;

	if (f->request && head_u8(f, 0) == 'P') {
		if (f->have < 8)
			return f->have < 4 || head_be32(f, 0) == 0x50524920 ? MATCH_MORE : MATCH_NO;
		return head_be64(f, 0) == 0x505249202a204854 ? MATCH_YES : MATCH_NO; /* "PRI * HT" */
	}
	if (head_u8(f, 0) || (f->have > 3 && (type > H2_WINDOW || length > 1 << 14)))
		return MATCH_NO;
	if (f->have < 11)
		return f->have < HTTP2_FRAME_BYTES || length > f->have - HTTP2_FRAME_BYTES ? MATCH_MORE :
		       http2_is_control(f, length, type, flags, stream) ? MATCH_YES : MATCH_NO;
	if (stream >> 31)
		return MATCH_NO;
	if (type != H2_HEADERS)
		return http2_is_control(f, length, type, flags, stream) ? MATCH_YES : MATCH_NO;
	first = head_u8(f, flags & H2_PRIORITISED ? 14 : 9);
	second = head_u8(f, flags & H2_PRIORITISED ? 15 : 10);
	if (length < 2 || flags & ~(H2_END_STREAM | H2_END_HEADERS | H2_PRIORITISED) || !(flags & H2_END_HEADERS) || !(stream & 1) ||
	    stream >= 1 << 24)
		return MATCH_NO;
	if (f->request)
		return (first == 0x82 || first == 0x83) && second & 0xc0 ? MATCH_YES : MATCH_NO;
	return first >= 0x88 && first <= 0x8e && second & 0xc0 ? MATCH_YES : MATCH_NO;
}

#endif
