/* SPDX-License-Identifier: GPL-2.0 */
/*
 * HTTP/2, and gRPC over it.
 *
 * https://www.rfc-editor.org/rfc/rfc9113
 *
 * A frame is read in parts: its header with the first fields, then some fields at a time, then the path in pieces. A request begins with
 * the header block of a stream that is new. A plain one ends with the response's headers. A gRPC call ends with its trailers, which
 * have its status; where messages stream, its duration is the time until the response began, because how long a stream is held open
 * says nothing about the server.
 *
 * A sample's heads are put together anew: what the kernel made of the block, in HPACK that needs no table.
 */
#ifndef MESHLENS_HTTP2_H
#define MESHLENS_HTTP2_H

#include "framed.h"
#include "grpc_status.h"
#include "hpack_fields.h"
#include "http2_heads.h"
#include "http2_match.h"
#include "http2_kind.h"

FRAMED_PROTOCOL(http2, PROTOCOL_HTTP2, 1)

#define HTTP2_HEADER 1
#define HTTP2_TURNS 12
#define HTTP2_FIELDS 3 /* in one turn */
#define HTTP2_INDEXED 12 /* before them, that are only a number */
#define HTTP2_PREFACE_BYTES 24
#define HTTP2_LONGEST (1 << 20)
#define HTTP2_UNDER_WAY 128 /* responses of gRPC calls */
#define GRPC_PREFIX_BYTES 5

struct http2_side {
	struct hpack hpack;
	u64 began; /* when the block's first byte came */
	u32 stream;
	u32 last; /* the newest stream */
	u32 place; /* of the block in its direction */
	u32 bytes; /* of the block's frames */
	u32 padding;
	u8 in_block;
	u8 ends_block;
	u8 ends_stream;
	u8 promised;
};

/* The response of a gRPC call that is under way. */
struct http2_stream {
	u64 began;
	u32 id;
	u32 bytes;
};

struct http2 {
	struct http2_side sides[2];
	struct http2_stream streams[HTTP2_UNDER_WAY];
};

CONN_STORE(l7_http2, struct http2)

/* ---- requests and responses ------------------------------------------------------------------------------------- */

/* A header block from the client is complete. */
static __always_inline void http2_request(struct conn *conn, void *sk, volatile struct framed *f, volatile struct http2_side *side,
					  struct http2 *all)
{
	volatile struct http2_scratch *aside = http2_scratch();
	volatile struct hpack *said = &side->hpack;
	u64 endpoint = said->path;
	u32 place = side->stream >> 1;
	struct request *request;

	if (!aside)
		return;
	side->last = side->stream;
	http2_path_known(aside, said);
	if (endpoint && said->method == METHOD_SPELT)
		endpoint = (mix(endpoint, said->spelt) | 1024) & ~15ULL;
	if (endpoint)
		endpoint |= said->method;
	http2_put_aside(aside, f);
	http2_request_head(f, said, side->stream);
	f->place = side->place;
	f->began = side->began;
	f->spoken = said->type == TYPE_GRPC ? PROTOCOL_GRPC : 0;
	request = framed_request_id(conn, sk, f, side->stream, endpoint);
	http2_put_back(aside, f);
	if (!request)
		return;
	request->bytes = side->bytes;
	request->kind = (said->type == TYPE_GRPC ? HTTP2_GRPC : 0) | (side->ends_stream ? HTTP2_ENDED : 0);
	asm volatile("%0 &= 127" : "+r"(place));
	((volatile struct http2 *)all)->streams[place].id = 0;
}

/*
 * What came for *request*: the rest of it, or of its response. Sets scratch[3] to 1 when it ends it: then scratch[4] is the outcome,
 * scratch[5] the status, and f->spoken says what it was.
 */
static __always_inline void http2_progress(volatile struct framed *f, volatile struct http2_side *side, struct request *request,
					   volatile struct http2_stream *stream, u32 type)
{
	u32 status = side->hpack.status, code = f->scratch[5], elapsed;
	bool grpc;

	if (type == H2_HEADERS && !f->request && side->hpack.type == TYPE_GRPC)
		request->kind |= HTTP2_GRPC;
	grpc = request->kind & HTTP2_GRPC;
	f->spoken = grpc ? PROTOCOL_GRPC : 0;
	if (type == H2_RESET) {
		f->scratch[3] = 1;
		f->scratch[5] = grpc ? grpc_of_reset(code) : 0;
		f->scratch[4] = grpc ? grpc_outcome(f->scratch[5]) : f->request ? OUTCOME_NO_RESPONSE : OUTCOME_SERVER_ERROR;
		return;
	}
	if (f->request) {
		request->bytes += side->bytes;
		request->kind |= side->ends_stream ? HTTP2_ENDED : 0;
		return;
	}
	if (stream->id == side->stream)
		stream->bytes += side->bytes;
	if (type == H2_HEADERS && status >= 100 && status < 200)
		return;
	if (!grpc || side->ends_stream) {
		f->scratch[3] = grpc || type == H2_HEADERS;
		if (grpc)
			status = side->hpack.grpc_status ? side->hpack.grpc_status - 1 : type == H2_DATA ? 2 : grpc_of_http(status);
		f->scratch[5] = status;
		f->scratch[4] = grpc ? grpc_outcome(status) : status >= 500 ? OUTCOME_SERVER_ERROR :
				status >= 400 ? OUTCOME_CLIENT_ERROR : OUTCOME_OK;
		return;
	}
	if (type == H2_HEADERS && !(request->kind & HTTP2_ANSWERED)) {
		elapsed = (side->began - request->start_ns) >> HTTP2_ANSWER_SHIFT;
		request->kind |= HTTP2_ANSWERED | (request->kind & HTTP2_ENDED ? 0 : HTTP2_STREAMS) | elapsed << 8;
		stream->id = side->stream;
		stream->began = side->began;
		stream->bytes = side->bytes;
	} else if (type == H2_DATA && side->bytes > HTTP2_FRAME_BYTES) {
		if (request->kind & HTTP2_WHOLE)
			request->kind |= HTTP2_STREAMS;
		if (!(request->kind & HTTP2_PART))
			request->kind |= f->scratch[4];
	}
}

/* What a data frame of a response holds of its first message: all, all and more, or a part. */
static __always_inline u32 http2_message_in(volatile struct framed *f, u32 length)
{
	u32 message = head_be32(f, HTTP2_FRAME_BYTES + 1) + GRPC_PREFIX_BYTES;

	if (length < GRPC_PREFIX_BYTES || message > length)
		return HTTP2_PART;
	return message == length ? HTTP2_WHOLE : HTTP2_WHOLE | HTTP2_STREAMS;
}

/* Ends *request* as scratch[4] and [5] say. */
static __always_inline void http2_finish(struct conn *conn, volatile struct framed *f, volatile struct http2_side *side,
					 struct request *request, volatile struct http2_stream *stream)
{
	volatile struct http2_scratch *aside = http2_scratch();
	volatile struct pending *pending = pending_here();
	bool grpc = request->kind & HTTP2_GRPC;
	u32 known = stream->id == side->stream, bytes = known ? stream->bytes : f->request ? 0 : side->bytes;

	if (!aside || !pending)
		return;
	http2_put_aside(aside, f);
	http2_response_head(f, side->stream, grpc ? 200 : f->scratch[5], grpc, f->scratch[5]);
	f->began = side->began;
	if (request->kind & HTTP2_STREAMS && known)
		f->began = stream->began;
	stream->id = 0;
	framed_answer(pending, f, f->scratch[4], f->scratch[5]);
	pending->response_bytes = bytes;
	request_end(pending, conn, request);
	http2_put_back(aside, f);
}

/* A frame of a stream is there, or a header block: what it means for the stream's request. */
static __always_inline void http2_event(struct conn *conn, void *sk, volatile struct framed *f, volatile struct http2_side *side,
					struct http2 *all, u32 type)
{
	u32 place = side->stream >> 1;
	volatile struct http2_stream *stream;
	struct request *request;

	if (!(side->stream & 1) || side->promised)
		return;
	asm volatile("%0 &= 127" : "+r"(place));
	stream = &all->streams[place];
	if (f->request && type == H2_HEADERS && side->stream > side->last) {
		http2_request(conn, sk, f, side, all);
		return;
	}
	request = framed_find(conn, sk, side->stream);
	if (!request) {
		if (!f->request && type == H2_HEADERS && side->hpack.status >= 200 && side->stream > 1)
			response_unexpected(conn);
		return;
	}
	f->scratch[3] = 0;
	http2_progress(f, side, request, stream, type);
	if (f->scratch[3])
		http2_finish(conn, f, side, request, stream);
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

/*
 * The header of a frame. Returns the bytes of it that are needed, HTTP2_READ when it is read: then the block's fields begin at
 * scratch[0], or f->length is set and scratch[2] says whether it is one that matters.
 */
#define HTTP2_READ 0

static __always_inline u32 http2_frame(volatile struct framed *f, volatile struct http2_side *side)
{
	u32 length = head_be32(f, 0) >> 8, type = head_u8(f, 3), flags = head_u8(f, 4), stream = head_be32(f, 5), extra = 0;

	f->scratch[2] = 0;
	if (f->have < HTTP2_FRAME_BYTES)
		return HTTP2_FRAME_BYTES;
	if (f->request && head_be32(f, 0) == 0x50524920 && type == ' ') {
		f->length = HTTP2_PREFACE_BYTES;
		return f->have < HTTP2_PREFACE_BYTES ? HTTP2_PREFACE_BYTES : HTTP2_READ;
	}
	if (length > HTTP2_LONGEST || type > 0x20 || stream >> 31)
		return FRAME_WRONG;
	f->length = HTTP2_FRAME_BYTES + length;
	if (type == H2_HEADERS || type == H2_PROMISE || type == H2_CONTINUATION) {
		if (type != H2_CONTINUATION && flags & H2_PADDED)
			extra++;
		if (type == H2_HEADERS && flags & H2_PRIORITISED)
			extra += 5;
		if (type == H2_PROMISE)
			extra += 4;
		if (extra > length || !stream)
			return FRAME_WRONG;
		if (f->have < HTTP2_FRAME_BYTES + extra)
			return HTTP2_FRAME_BYTES + extra;
		side->padding = type != H2_CONTINUATION && flags & H2_PADDED ? head_u8(f, HTTP2_FRAME_BYTES) : 0;
		if (extra + side->padding > length)
			return FRAME_WRONG;
		if (type != H2_CONTINUATION) {
			hpack_begin(&side->hpack);
			side->bytes = 0;
			side->began = f->began;
			side->place = f->place;
			side->stream = stream;
			side->promised = type == H2_PROMISE;
			side->ends_stream = type == H2_HEADERS && flags & H2_END_STREAM;
		}
		side->bytes += HTTP2_FRAME_BYTES + length;
		side->hpack.block_left = length - extra - side->padding;
		side->ends_block = !!(flags & H2_END_HEADERS);
		side->in_block = 1;
		f->scratch[0] = HTTP2_FRAME_BYTES + extra;
		return HTTP2_READ;
	}
	if (type != H2_DATA && type != H2_RESET)
		return HTTP2_READ;
	extra = type == H2_RESET ? 4 : !f->request && length >= GRPC_PREFIX_BYTES ? GRPC_PREFIX_BYTES : 0;
	if (!stream || (type == H2_RESET && length != 4))
		return FRAME_WRONG;
	if (f->have < HTTP2_FRAME_BYTES + extra)
		return HTTP2_FRAME_BYTES + extra;
	side->stream = stream;
	side->bytes = f->length;
	side->began = f->began;
	side->promised = 0;
	side->ends_stream = type == H2_DATA && flags & H2_END_STREAM;
	side->hpack.status = side->hpack.grpc_status = 0;
	f->scratch[2] = type == H2_RESET ? 2 : 1;
	f->scratch[4] = type == H2_DATA && !(flags & H2_PADDED) ? http2_message_in(f, length) : HTTP2_PART;
	f->scratch[5] = head_be32(f, HTTP2_FRAME_BYTES);
	return HTTP2_READ;
}

/* Reads fields of the block at scratch[0]; returns the bytes of the head that are needed when not even one was whole. */
static __always_inline u32 http2_fields(volatile struct framed *f, volatile struct http2_side *side)
{
	u64 start;
	u32 step;

	for (int i = 0; i < HTTP2_INDEXED && hpack_indexed(&side->hpack, f); i++)
		;
	for (int i = 0; i < HTTP2_FIELDS; i++) {
		if (!side->hpack.block_left || side->hpack.broken)
			break;
		start = f->scratch[0];
		if (start > 128 || (start && start >= f->have))
			break;
		step = hpack_field(&side->hpack, f);
		f->settled = step;
		step = f->settled;
		if (step == HPACK_BROKEN)
			side->hpack.broken = 1;
		if (step == HPACK_WANTS || step == HPACK_BROKEN) {
			f->scratch[0] = start;
			break;
		}
		if (step == HPACK_PATH_COMES) {
			hpack_path_begin(&side->hpack);
			if (!side->hpack.text_left)
				hpack_path_end(&side->hpack);
			break;
		}
	}
	return f->scratch[1];
}

static __always_inline u32 http2_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct http2 *all = l7_http2_of(sk, true);
	volatile struct http2_side *side;
	volatile struct follower *way;
	u32 type = H2_HEADERS, wanted = 0;
	u64 back;

	if (!all)
		return FRAME_WRONG;
	back = f->request;
	asm volatile("%0 ^= 1" : "+r"(back));
	asm volatile("%0 &= 1" : "+r"(back)); /* one pointer for the verifier to follow, not two */
	side = &all->sides[back];
	way = &conn->ways[back];
	if (!way->type) {
		way->type = 1;
		hpack_reset(&side->hpack);
		side->in_block = side->last = 0;
	}
	f->credited = 1;
	f->scratch[0] = 0;
	if (side->hpack.reading_path) {
		f->scratch[0] = hpack_path_piece(&side->hpack, f);
	} else {
		if (!side->in_block)
			wanted = http2_frame(f, side);
		if (wanted)
			return wanted;
		if (side->in_block)
			wanted = http2_fields(f, side);
	}
	if (side->in_block) {
		if (side->hpack.broken) { /* its field is passed over, and all that comes behind it in the frame */
			f->scratch[0] += side->hpack.block_left;
			side->hpack.block_left = 0;
			hpack_forget(&side->hpack);
		}
		f->length = f->scratch[0];
		if (side->hpack.block_left || side->hpack.reading_path)
			return f->length ? FRAME_DONE : wanted;
		f->length += side->padding;
		side->in_block = 0;
		if (!side->ends_block)
			return FRAME_DONE;
		hpack_settle(&side->hpack);
	} else if (f->scratch[2]) {
		type = f->scratch[2] == 2 ? H2_RESET : H2_DATA;
	} else {
		return FRAME_DONE;
	}
	http2_event(conn, sk, f, side, all, type);
	return FRAME_DONE;
}

#endif
