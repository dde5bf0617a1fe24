/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TLS, of which only the handshake can be read.
 *
 * https://www.rfc-editor.org/rfc/rfc8446
 *
 * The handshake is one request, named by the server that the client asks for. It is answered by the ServerHello, but how it ended is known
 * only when the client goes on: with what is encrypted, or with an alert. Under TLS 1.3 alerts are encrypted; one that the client sends in
 * place of its Finished is known by its length. What follows are turns: records out, records back, with their times and sizes; unless
 * the plain text is seen (joined.h), which then is counted in their stead. A session ticket that comes when the first request is on its
 * way looks like its answer, which then comes too early. Before TLS 1.3 the server's certificate is in the clear: what the server sends
 * up to the client's turn is kept for the handshake's sample.
 */
#ifndef MESHLENS_TLS_H
#define MESHLENS_TLS_H

#include "framed.h"
#include "joined.h"

FRAMED_PROTOCOL(tls, PROTOCOL_TLS, 1)

#define TLS_HEADER 5
#define TLS_TURNS 2
#define TLS_MOST 18432
#define TLS_RANDOM_AT 11
#define TLS_HELLO_BYTES 44 /* up to the length of the session's id */
#define TLS_EXTENSIONS 24
#define TLS_FLIGHT_BYTES 1024
#define TLS_NAME_BYTES 128
#define TLS_SHORT 19 /* an encrypted alert: two bytes, their type, and the tag */
#define TLS_FINISHED_256 53 /* an encrypted Finished: header, hash, type and tag */
#define TLS_FINISHED_384 69
#define TLS_AES_256_GCM_SHA384 0x1302
#define TLS_PADDING 16 /* that Java adds to each record of TLS 1.3 */
#define TLS_INTERNAL_ERROR 80
#define TLS_PRE_SHARED_KEY 41
#define TLS_SUPPORTED_VERSIONS 43
#define TLS_COOKIE 44
#define TLS_KEY_SHARE 51

enum tls_record { TLS_CHANGE = 20, TLS_ALERT, TLS_HANDSHAKE, TLS_DATA };

/* conn->ways[0].flags */
enum tls_seen { TLS_ASKED = 1, TLS_ANSWERED = 2, TLS_SINCE_1_3 = 4, TLS_SECURE = 8, TLS_UNFINISHED = 16 };

enum tls_step { TLS_NOTHING, TLS_ASK, TLS_KEEP_ANSWER, TLS_FOLLOW, TLS_END, TLS_ANSWER };

struct tls_hello {
	u64 began_ns;
	u32 bytes;
	u32 unused;
	u8 answer[FRAME_HEAD_BYTES];
	u8 saved[FRAME_HEAD_BYTES];
};

CONN_STORE(l7_tls, struct tls_hello)

/* What the server sent behind the head of its ServerHello, before TLS 1.3; the room beyond lets the verifier see that nothing overflows. */
struct tls_flight {
	u32 bytes;
	u32 ended; /* what comes is not in one piece with it */
	u8 data[2 * TLS_FLIGHT_BYTES];
};

CONN_STORE(l7_tls_flight, struct tls_flight)

static __always_inline enum match tls_match(struct conn *conn, volatile struct framed *f)
{
	u32 kind = head_u8(f, 0), length = head_be16(f, 3), hello;

	if (!f->request || (kind != TLS_HANDSHAKE && kind != TLS_DATA) || (f->have > 1 && head_u8(f, 1) != 3) ||
	    (f->have > 2 && head_u8(f, 2) > 4))
		return MATCH_NO;
	if (f->have < TLS_HEADER)
		return MATCH_MORE;
	if (kind == TLS_DATA)
		return conn->midstream && head_u8(f, 2) == 3 && length > 16 && length <= TLS_MOST ? MATCH_YES : MATCH_NO;
	if (length < TLS_HELLO_BYTES || length > TLS_MOST || (f->have > 5 && head_u8(f, 5) != 1))
		return MATCH_NO;
	if (f->have < TLS_HELLO_BYTES)
		return MATCH_MORE;
	hello = head_u8(f, 6) << 16 | head_be16(f, 7);
	if (hello + 4 > length && length < 4096)
		return MATCH_NO;
	return head_u8(f, 9) == 3 && head_u8(f, 10) <= 3 && head_u8(f, 43) <= 32 ? MATCH_YES : MATCH_NO;
}

/* Sets scratch 1 and 2 to where the server's name begins and ends, as far as the head shows it. */
static __always_inline void tls_find_name(volatile struct framed *f)
{
	u32 at = TLS_HELLO_BYTES + head_u8(f, 43), kind, length;

	f->scratch[1] = f->scratch[2] = 0;
	at += 2 + head_be16(f, at); /* ciphers */
	if (at >= f->have)
		return;
	at += 1 + head_u8(f, at) + 2; /* compression, length of the extensions */
	f->scratch[0] = at;
	for (u32 i = 0; i < TLS_EXTENSIONS; i++) {
		at = f->scratch[0];
		if (at + 9 >= f->have)
			return;
		kind = head_be16(f, at);
		length = head_be16(f, at + 2);
		if (!kind) {
			length = head_be16(f, at + 7);
			if (at + 9 + length > f->have)
				return;
			f->scratch[1] = at + 9;
			f->scratch[2] = at + 9 + length;
			return;
		}
		f->scratch[0] = at + 4 + length;
	}
}

static __always_inline u64 tls_endpoint(volatile struct framed *f)
{
	volatile struct text_state *text = text_start(PROTOCOL_TLS);
	u32 at;
	u8 c;

	if (!text)
		return 0;
	tls_find_name(f);
	for (u32 i = 0; i < TLS_NAME_BYTES; i++) {
		at = f->scratch[1] + i;
		if (at >= f->scratch[2])
			break;
		c = head_u8(f, at);
		if (c == '.')
			segment_end(text, c);
		else
			segment_byte(text, is_letter(c) ? c | 0x20 : c);
	}
	segment_end(text, 0);
	return endpoint_of(text->hash);
}

/* A ServerHello of TLS 1.3 has these four extensions and no other; those before have none of them. */
static __always_inline bool tls_is_1_3(volatile struct framed *f)
{
	u32 at = TLS_HELLO_BYTES + head_u8(f, 43) + 5, kind = head_be16(f, at); /* cipher, compression, length of the extensions */

	return at + 2 <= f->have && (kind == TLS_PRE_SHARED_KEY || kind == TLS_SUPPORTED_VERSIONS || kind == TLS_COOKIE ||
				     kind == TLS_KEY_SHARE);
}

/* Whether the client's record is its Finished, which tells whether it pads. *way* holds its length without, and the padding. */
static __always_inline bool tls_is_finished(volatile struct follower *way, u32 length)
{
	u32 finished = way->number;

	if (length == finished + TLS_PADDING)
		way->pending = TLS_PADDING;
	return length == finished || length == finished + TLS_PADDING;
}

/* What this record means; its outcome and status go into scratch 3 and 4. */
static __always_inline u32 tls_step(struct conn *conn, void *sk, volatile struct framed *f, u32 kind, u32 length)
{
	volatile struct follower *way = &conn->ways[0];
	u32 seen = way->flags;

	f->scratch[3] = OUTCOME_OK;
	f->scratch[4] = 0;
	if (kind == TLS_HANDSHAKE && f->request)
		return !seen && head_u8(f, 5) == 1 ? TLS_ASK : TLS_NOTHING;
	if (kind == TLS_HANDSHAKE)
		return (seen == TLS_ASKED || (seen & TLS_SINCE_1_3 && !(seen & TLS_SECURE))) && head_u8(f, 5) == 2 ?
			       TLS_KEEP_ANSWER : /* the last one counts: the first may ask for another ClientHello */
		       seen == (TLS_ASKED | TLS_ANSWERED) ? TLS_FOLLOW :
							    TLS_NOTHING;
	if (seen & TLS_ASKED && !(seen & TLS_SECURE)) {
		if (kind == TLS_ALERT && length == 2 && head_u8(f, 5) == 2) {
			f->scratch[4] = head_u8(f, 6);
			f->scratch[3] = f->request || f->scratch[4] == TLS_INTERNAL_ERROR ? OUTCOME_SERVER_ERROR :
											     OUTCOME_CLIENT_ERROR;
			return f->request ? TLS_END : TLS_ANSWER;
		}
		if (!f->request && kind == TLS_CHANGE && seen == (TLS_ASKED | TLS_ANSWERED))
			return TLS_FOLLOW; /* the session goes on: what follows is encrypted */
		if (!f->request || !(seen & TLS_ANSWERED) || (kind == TLS_CHANGE && seen & TLS_SINCE_1_3))
			return TLS_NOTHING;
		if (kind == TLS_DATA && (length == TLS_SHORT || length == TLS_SHORT + TLS_PADDING))
			f->scratch[3] = OUTCOME_SERVER_ERROR;
		return TLS_END;
	}
	if (kind != TLS_DATA || (length == TLS_SHORT + (f->request ? way->pending : 0) && (seen & TLS_SINCE_1_3 || !seen)))
		return TLS_NOTHING;
	if (seen & TLS_UNFINISHED) { /* the client's certificate, up to its Finished, or until the server goes on */
		if (!f->request || tls_is_finished(way, length))
			way->flags = seen & ~TLS_UNFINISHED;
		return TLS_NOTHING;
	}
	if (is_joined(sk)) {
		f->credited = 1;
		if (in_flight(conn))
			conn->popped = conn->pushed;
		return TLS_NOTHING;
	}
	if (!f->request)
		return in_flight(conn) ? TLS_ANSWER : TLS_NOTHING;
	return in_flight(conn) ? TLS_NOTHING : TLS_ASK;
}

/* Lets the head be that of the ServerHello, which ends the handshake's duration, or puts back what it was. */
static __always_inline void tls_recall(struct tls_hello *hello, volatile struct framed *f, bool back)
{
	if (back) {
		bpf_probe_read_kernel((void *)f->head, FRAME_HEAD_BYTES, hello->saved);
		f->began = f->scratch[5];
		f->length = f->scratch[6];
		f->have = f->scratch[7];
		return;
	}
	bpf_probe_read_kernel(hello->saved, FRAME_HEAD_BYTES, (void *)f->head);
	bpf_probe_read_kernel((void *)f->head, FRAME_HEAD_BYTES, hello->answer);
	f->scratch[5] = f->began;
	f->scratch[6] = f->length;
	f->scratch[7] = f->have;
	f->began = hello->began_ns;
	f->length = hello->bytes;
	f->have = hello->bytes;
}

/* The library keeps the client's random too: so an object is found to belong to a socket that it does not read from itself. */
static __always_inline void tls_remember(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct known_socket now = {.sock = (u64)sk, .id = conn->id};
	struct hello_key key = {.tgid = conn->tgid};
	struct known_socket *before;

	bpf_probe_read_kernel(key.random, sizeof(key.random), (void *)&f->head[TLS_RANDOM_AT]);
	before = l7_hellos.lookup(&key);
	if (before && before->sock != now.sock)
		now.sock = 0; /* both ends are in this process: neither is guessed */
	l7_hellos.update(&key, &now);
}

/* Keeps the record in *f*, of the first one what lies behind its head. */
static __always_inline void tls_keep(volatile struct tls_flight *flight, volatile struct framed *f, bool first)
{
	u64 at = first ? 0 : flight->bytes, head = f->have < f->length ? f->have : f->length, rest;

	asm volatile("%0 &= 1023" : "+r"(at));
	if (!first) {
		bpf_probe_read_kernel((void *)&flight->data[at], FRAME_HEAD_BYTES, (void *)f->head);
		at += head;
	}
	f->rest = TLS_FLIGHT_BYTES;
	rest = rest_in_reach(f);
	f->rest = 0;
	flight->ended = head + rest < f->length || at + rest >= TLS_FLIGHT_BYTES;
	if (at < TLS_FLIGHT_BYTES && rest) {
		if (rest > TLS_FLIGHT_BYTES - 1 - at)
			rest = TLS_FLIGHT_BYTES - 1 - at;
		asm volatile("%0 &= 1023" : "+r"(at));
		asm volatile("%0 &= 1023" : "+r"(rest));
		if (!bpf_probe_read_user((void *)&flight->data[at], rest, (void *)(f->view.at + f->have - f->before)))
			at += rest;
		else
			flight->ended = 1;
	}
	flight->bytes = at < TLS_FLIGHT_BYTES ? at : TLS_FLIGHT_BYTES - 1;
}

/* A record of the server's that follows its ServerHello, before TLS 1.3. */
static __always_inline void tls_follow(void *sk, volatile struct framed *f)
{
	volatile struct tls_flight *flight = l7_tls_flight_of(sk, false);

	if (flight && !flight->ended)
		tls_keep(flight, f, false);
}

/* What the sample of the handshake may have beyond the ServerHello. */
static __always_inline void tls_rest(void *sk, volatile struct framed *f)
{
	struct tls_flight *flight = l7_tls_flight_of(sk, false);

	if (!flight)
		return;
	f->rest_at = (u64)flight->data;
	f->rest = flight->bytes;
}

static __always_inline u32 tls_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];
	u32 kind = head_u8(f, 0), length = head_be16(f, 3), want;
	volatile struct tls_flight *flight;
	struct tls_hello *hello;

	if (kind < TLS_CHANGE || kind > TLS_DATA || head_u8(f, 1) != 3 || head_u8(f, 2) > 4 || !length || length > TLS_MOST)
		return FRAME_WRONG;
	want = kind == TLS_ALERT ? 7 : kind == TLS_HANDSHAKE && !(way->flags & TLS_SECURE) ? FRAME_HEAD_BYTES : TLS_HEADER;
	if (want > length + TLS_HEADER)
		want = length + TLS_HEADER;
	if (f->have < want)
		return want;
	f->length = length + TLS_HEADER;
	f->settled = tls_step(conn, sk, f, kind, length);
	if (f->settled == TLS_ASK) {
		if (kind == TLS_HANDSHAKE) {
			way->flags |= TLS_ASKED;
			tls_remember(conn, sk, f);
		}
		framed_request(conn, sk, f, kind == TLS_HANDSHAKE ? tls_endpoint(f) : endpoint_of(PROTOCOL_TLS));
		return FRAME_DONE;
	}
	if (f->settled == TLS_FOLLOW)
		tls_follow(sk, f);
	if (f->settled == TLS_NOTHING || f->settled == TLS_FOLLOW)
		return FRAME_DONE;
	hello = l7_tls_of(sk, true);
	if (!hello)
		return FRAME_DONE;
	if (f->settled == TLS_KEEP_ANSWER) {
		way->flags |= tls_is_1_3(f) ? TLS_ANSWERED | TLS_SINCE_1_3 : TLS_ANSWERED;
		way->pending = 0;
		way->number = head_be16(f, TLS_HELLO_BYTES + head_u8(f, 43)) == TLS_AES_256_GCM_SHA384 ? TLS_FINISHED_384 :
												      TLS_FINISHED_256;
		hello->began_ns = f->began;
		hello->bytes = f->have < f->length ? f->have : f->length;
		bpf_probe_read_kernel(hello->answer, FRAME_HEAD_BYTES, (void *)f->head);
		flight = way->flags & TLS_SINCE_1_3 ? NULL : l7_tls_flight_of(sk, true);
		if (flight)
			tls_keep(flight, f, true);
		return FRAME_DONE;
	}
	if (!(way->flags & TLS_SECURE) && way->flags & TLS_ASKED)
		way->flags |= kind == TLS_DATA && !tls_is_finished(way, length) ? TLS_SECURE | TLS_UNFINISHED : TLS_SECURE;
	f->scratch[0] = f->settled;
	if (f->scratch[0] == TLS_END) {
		tls_recall(hello, f, false);
		tls_rest(sk, f);
	}
	framed_response(conn, sk, f, f->scratch[3], f->scratch[4]);
	framed_long(conn, f);
	if (f->scratch[0] == TLS_END)
		tls_recall(hello, f, true);
	return FRAME_DONE;
}

#endif
