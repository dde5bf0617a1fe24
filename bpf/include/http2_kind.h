/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is known of an HTTP/2 request in flight, and what that means when its connection ends.
 */
#ifndef MESHLENS_HTTP2_KIND_H
#define MESHLENS_HTTP2_KIND_H

#include "emit.h"

#define HTTP2_ANSWER_SHIFT 20 /* a request's kind has the time until its answer began above its flags, in units of 1 ms or so */
#define GRPC_CANCELLED 1

enum http2_kind { HTTP2_GRPC = 1, HTTP2_ANSWERED = 2, HTTP2_ENDED = 4, HTTP2_STREAMS = 8, HTTP2_WHOLE = 16, HTTP2_PART = 32 };

/*
 * The connection ended with this request in flight. A stream that was answered, and was held open since, is no failure of the server:
 * it is cancelled, and took as long as its answer took to begin.
 */
static __always_inline void http2_closed(volatile struct pending *pending, struct request *request)
{
	if (!(request->kind & HTTP2_GRPC))
		return;
	pending->spoken = PROTOCOL_GRPC;
	if (!(request->kind & HTTP2_ANSWERED))
		return;
	pending->outcome = OUTCOME_CLIENT_ERROR;
	pending->status = GRPC_CANCELLED;
	pending->now = request->start_ns + ((u64)(request->kind >> 8) << HTTP2_ANSWER_SHIFT);
}

#endif
