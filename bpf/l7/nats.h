/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NATS, the client protocol.
 *
 * https://docs.nats.io/reference/reference-protocols/nats-protocol
 *
 * Lines of text, with payloads behind some. A publication whose reply subject is an inbox is a request: the first message on that
 * subject is its response. Everything else is one-way, unless the client asked for a word on every line (verbose). PING is answered
 * by PONG; the server's own PING and its INFO are not counted. The endpoint is the verb with the subject, ids collapsed, an
 * inbox as one.
 */
#ifndef MESHLENS_NATS_H
#define MESHLENS_NATS_H

#include "run.h"
#include "subject.h"

FRAMED_PROTOCOL(nats, PROTOCOL_NATS, 1)

#define NATS_HEADER 5
#define NATS_TURNS 2
#define NATS_STATUS_BYTES 12 /* NATS/1.0 503 */
#define NATS_AHEAD 128 /* bytes that are read ahead, so that few lines are not whole */
#define NATS_OVERLAP 16 /* of the pieces of a long line: a flag must not be cut */
#define NATS_INBOX 0x5f494e424f582eULL /* "_INBOX." */

/* Ids of requests: replies by their subject's hash, the others in their order. */
#define NATS_PINGS 0x80000000U
#define NATS_VERBOSE 0x40000000U
#define NATS_SUBJECTS 0x3fffffffU

/* Also what is mixed into the endpoint. */
enum nats_verb {
	NATS_NONE, NATS_CONNECT, NATS_PUB, NATS_HPUB, NATS_SUB, NATS_UNSUB, NATS_PING, NATS_PONG, NATS_INFO, NATS_MSG, NATS_HMSG,
	NATS_OK, NATS_ERR, NATS_REQ,
};

enum nats_flag { NATS_IS_VERBOSE = 1, NATS_OK_FOR_CONNECT = 2 };
enum nats_state { NATS_LINE, NATS_LINE_GOES_ON };

/* Words behind the verb, at least: 2 PUB, 3 HPUB, 2 SUB, 1 UNSUB, 3 MSG, 4 HMSG. */
#define NATS_FEWEST(verb) (0x0000043000123200ULL >> (4 * (verb)) & 15)

/* Sets of verbs, so that few branches are needed. */
#define NATS_PUBS (1 << NATS_PUB | 1 << NATS_HPUB)
#define NATS_PAYLOADS (NATS_PUBS | 1 << NATS_MSG | 1 << NATS_HMSG)
#define NATS_NONES (1 << NATS_NONE)
#define NATS_OBJECTS (1 << NATS_CONNECT | 1 << NATS_INFO | 1 << NATS_ERR | NATS_NONES)
#define NATS_NAMED (NATS_PAYLOADS | 1 << NATS_SUB)
#define NATS_LONG (1 << NATS_HPUB | 1 << NATS_HMSG | 1 << NATS_UNSUB)
#define NATS_CLIENTS (NATS_PUBS | 1 << NATS_CONNECT | 1 << NATS_SUB | 1 << NATS_UNSUB | 1 << NATS_PING | 1 << NATS_PONG)
#define NATS_SERVERS (1 << NATS_INFO | 1 << NATS_MSG | 1 << NATS_HMSG | 1 << NATS_OK | 1 << NATS_ERR | 1 << NATS_PING | 1 << NATS_PONG)

/*
 * What is known of a line, in the scratch of its message. It is read again each time: what the verifier does not know of a value
 * cannot tell one way through the program from another.
 */
enum nats_known { NATS_ID, NATS_OUTCOME, NATS_STATUS, NATS_VERB, NATS_SPACES, NATS_LENGTH, NATS_HASH };

#define NATS_IS(f, set) ((set) >> (f)->scratch[NATS_VERB] & 1)

static __always_inline u32 nats_verb(volatile struct framed *f)
{
	u32 word = head_be32(f, 0);

	switch (word) {
	case 0x50554220: /* "PUB " */
		return NATS_PUB;
	case 0x48505542: /* "HPUB" */
		return head_u8(f, 4) == ' ' ? NATS_HPUB : NATS_NONE;
	case 0x53554220: /* "SUB " */
		return NATS_SUB;
	case 0x554e5355: /* "UNSU" */
		return head_u8(f, 4) == 'B' ? NATS_UNSUB : NATS_NONE;
	case 0x4d534720: /* "MSG " */
		return NATS_MSG;
	case 0x484d5347: /* "HMSG" */
		return head_u8(f, 4) == ' ' ? NATS_HMSG : NATS_NONE;
	case 0x50494e47: /* "PING" */
		return NATS_PING;
	case 0x504f4e47: /* "PONG" */
		return NATS_PONG;
	case 0x494e464f: /* "INFO" */
		return NATS_INFO;
	case 0x434f4e4e: /* "CONN" */
		return head_u8(f, 4) == 'E' ? NATS_CONNECT : NATS_NONE;
	case 0x2b4f4b0d: /* "+OK\r" */
		return NATS_OK;
	case 0x2d455252: /* "-ERR" */
		return NATS_ERR;
	}
	return NATS_NONE;
}

/*
 * Looks for the line's end, and for the spaces in it: of the last eight the places are kept, a byte each. The length stays 0 when the
 * end is not there. Without branches: it is a long way.
 */
static __always_inline void nats_line(volatile struct framed *f)
{
	u64 spaces = 0, length = 0, live = 1, ends, space;

	for (u64 i = 3; i < FRAME_HEAD_BYTES; i++) {
		u8 c = f->head[i];

		live &= is_below(i, f->have);
		ends = is_equal(c, '\n') & live;
		space = is_equal(c, ' ') & live;
		length += (i + 1) * ends;
		spaces = (spaces << (8 * space)) + i * space;
		live ^= ends;
	}
	f->scratch[NATS_LENGTH] = length;
	f->scratch[NATS_SPACES] = spaces;
}

/* Where the space lies that is *back* before the last, 0 when there is none. */
static __always_inline u32 nats_space(volatile struct framed *f, u32 back)
{
	return f->scratch[NATS_SPACES] >> (8 * back) & 0xff;
}

/* How many words stand behind the verb, at most eight. */
static __always_inline u32 nats_words(volatile struct framed *f)
{
	u32 words = 0;

	for (u32 i = 0; i < 8; i++)
		words += is_below(0, nats_space(f, i));
	return words;
}

/* The number behind the last space, which ends the line; beyond a billion when it is none. */
static __always_inline u32 nats_size(volatile struct framed *f)
{
	u32 at = nats_space(f, 0) + 1, digits, number = run_number(f, at, &digits);

	return digits && at + digits + 2 == f->scratch[NATS_LENGTH] ? number : ~0U;
}

/* The endpoint's hash of the subject that stands behind the verb: ids collapse, an inbox is one. */
static __always_inline u64 nats_subject(volatile struct framed *f)
{
	u32 start = 4 + NATS_IS(f, NATS_LONG), end = nats_space(f, (nats_words(f) - 2) & 7);

	if (head_be64(f, start) >> 8 == NATS_INBOX)
		return NATS_INBOX;
	return subject_hash(f, mix(HASH_START, PROTOCOL_NATS), start, end, '.');
}

/* An id made of the last bytes of the word that ends at *end*. */
static __always_inline u32 nats_id(volatile struct framed *f, u32 end)
{
	u64 hash = mix(mix(HASH_START, head_be64(f, end - 8)), head_be64(f, end - 16));

	return (hash ^ hash >> 32) & NATS_SUBJECTS;
}

/* Whether the words of the line are such as the verb needs. */
static __always_inline bool nats_fits(volatile struct framed *f)
{
	u64 words = nats_words(f), fewest = NATS_FEWEST(f->scratch[NATS_VERB]);
	u64 payload = NATS_IS(f, NATS_PAYLOADS), size = nats_size(f);

	return 1 ^ is_below(words, fewest) ^ (payload & (is_below(fewest + 1, words) | is_below(1 << 30, size)));
}

/* CONNECT or INFO with its object, or a whole line. PING alone says too little. */
static __always_inline enum match nats_match(struct conn *conn, volatile struct framed *f)
{
	u32 first = head_u8(f, 0);

	if (f->request ? first != 'C' && first != 'P' && first != 'H' && first != 'S' && first != 'U' :
			 first != 'I' && first != 'M' && first != 'H')
		return MATCH_NO;
	if (f->have < NATS_HEADER)
		return MATCH_MORE;
	f->scratch[NATS_VERB] = nats_verb(f);
	if (!((f->request ? NATS_CLIENTS : NATS_SERVERS) >> f->scratch[NATS_VERB] & 1))
		return MATCH_NO;
	if (1 << f->scratch[NATS_VERB] & (1 << NATS_PING | 1 << NATS_PONG))
		return MATCH_NO;
	if (f->scratch[NATS_VERB] == NATS_CONNECT || f->scratch[NATS_VERB] == NATS_INFO) {
		if (f->have < 10)
			return MATCH_MORE;
		if (f->request)
			return head_be64(f, 1) == 0x4f4e4e454354207bULL ? MATCH_YES : MATCH_NO; /* "ONNECT {" */
		return head_u8(f, 4) == ' ' && head_be16(f, 5) == 0x7b22 ? MATCH_YES : MATCH_NO; /* {" */
	}
	nats_line(f);
	if (!f->scratch[NATS_LENGTH])
		return f->have < FRAME_HEAD_BYTES ? MATCH_MORE : MATCH_NO;
	return nats_fits(f) && nats_size(f) < 1 << 30 ? MATCH_YES : MATCH_NO;
}

/* Whether the client asks for a word on every line: a flag of CONNECT, `"verbose":true`. */
static __always_inline bool nats_asks_words(volatile struct framed *f)
{
	u64 found = 0;

	for (u32 i = 0; i < FRAME_HEAD_BYTES - 12; i++)
		found |= is_equal(*(volatile u64 *)(f->head + i), 0x2265736f62726576ULL) & is_below(i + 10, f->have) &
			 (is_equal(f->head[i + 9], 't') | is_equal(f->head[i + 10], 't'));
	return found;
}

/* Who is at fault, from the first words of an error. */
static __always_inline u32 nats_error(volatile struct framed *f)
{
	u8 first = head_u8(f, 6) | 0x20, second = head_u8(f, 7) | 0x20, ninth = head_u8(f, 14) | 0x20;

	if ((first == 's' && (second == 'l' || second == 't')) || (first == 'c' && second == 'o'))
		return OUTCOME_SERVER_ERROR;
	if (first == 'm' && (ninth == 'a' || (ninth == 'c' && head_u8(f, 17) == 'n')))
		return OUTCOME_SERVER_ERROR;
	return OUTCOME_CLIENT_ERROR;
}

/* The status in a message's headers, 0 when it has none. */
static __always_inline u32 nats_status(volatile struct framed *f, u32 at)
{
	if (at + NATS_STATUS_BYTES > f->have || head_be64(f, at) != 0x4e4154532f312e30ULL || head_u8(f, at + 8) != ' ')
		return 0;
	return (u8)(head_u8(f, at + 9) - '0') * 100 + (u8)(head_u8(f, at + 10) - '0') * 10 + (u8)(head_u8(f, at + 11) - '0');
}

enum nats_act { NATS_NOTHING, NATS_ASK, NATS_ANSWER, NATS_TELL };

/* A word from the server that may be the answer to a line. */
static __always_inline u32 nats_word(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 otherwise = f->scratch[NATS_VERB] == NATS_ERR ? NATS_TELL : NATS_NOTHING;

	if (conn->ways[0].flags & NATS_OK_FOR_CONNECT) {
		conn->ways[0].flags &= ~NATS_OK_FOR_CONNECT;
		return otherwise;
	}
	if (otherwise == NATS_NOTHING)
		conn->ways[0].flags |= NATS_IS_VERBOSE;
	if (conn->groups_done == conn->groups_opened)
		return otherwise;
	f->scratch[NATS_ID] = NATS_VERBOSE | (conn->groups_done++ & NATS_SUBJECTS);
	return framed_find(conn, sk, f->scratch[NATS_ID]) ? NATS_ANSWER : otherwise;
}

/* PING and PONG: the client's are a request, the server's are not. */
static __always_inline u32 nats_ping(struct conn *conn, volatile struct framed *f)
{
	u32 ping = f->scratch[NATS_VERB] == NATS_PING, number;

	if (f->request != ping)
		return NATS_NOTHING;
	number = ping ? conn->ways[0].pending++ : conn->ways[1].pending++;
	f->scratch[NATS_ID] = NATS_PINGS | ((number + 128) & NATS_SUBJECTS); /* not in the places of lines */
	return ping ? NATS_ASK : NATS_ANSWER;
}

/* What a whole line means: sets id, outcome and status in the scratch. */
static __always_inline u32 nats_act(struct conn *conn, void *sk, volatile struct framed *f)
{
	bool verbose = conn->ways[0].flags & NATS_IS_VERBOSE;

	switch (f->scratch[NATS_VERB]) {
	case NATS_PING:
	case NATS_PONG:
		return nats_ping(conn, f);
	case NATS_REQ:
		conn->groups_opened += verbose;
		return NATS_ASK;
	case NATS_CONNECT:
	case NATS_PUB:
	case NATS_SUB:
	case NATS_UNSUB:
		if (!verbose)
			return NATS_TELL;
		f->scratch[NATS_ID] = NATS_VERBOSE | (conn->groups_opened++ & NATS_SUBJECTS);
		return NATS_ASK;
	case NATS_OK:
	case NATS_ERR:
		return nats_word(conn, sk, f);
	case NATS_MSG:
		return f->scratch[NATS_ID] && framed_find(conn, sk, f->scratch[NATS_ID]) ? NATS_ANSWER : NATS_TELL;
	}
	return NATS_NOTHING;
}

/* How the server took it. */
static __always_inline void nats_judge(volatile struct framed *f)
{
	f->scratch[NATS_STATUS] = f->scratch[NATS_OUTCOME] = 0;
	if (NATS_IS(f, 1 << NATS_ERR))
		f->scratch[NATS_OUTCOME] = nats_error(f);
	if (NATS_IS(f, 1 << NATS_HMSG))
		f->scratch[NATS_STATUS] = nats_status(f, f->scratch[NATS_LENGTH]);
	if (f->scratch[NATS_STATUS] >= 400)
		f->scratch[NATS_OUTCOME] = f->scratch[NATS_STATUS] >= 500 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
}

/* What makes a publication a request, and a delivery a reply: a subject that is an inbox, whose hash is the id. */
static __always_inline void nats_pair(volatile struct framed *f)
{
	u64 words = nats_words(f), headers = NATS_IS(f, NATS_LONG), from;

	f->scratch[NATS_ID] = 0;
	if (NATS_IS(f, NATS_PUBS)) {
		from = nats_space(f, 1 + headers) + 1;
		f->scratch[NATS_VERB] = NATS_PUB;
		if (words < 3 + headers || head_be64(f, from) >> 8 != NATS_INBOX)
			return;
		f->scratch[NATS_ID] = nats_id(f, nats_space(f, headers));
		f->scratch[NATS_VERB] = NATS_REQ;
	} else if (NATS_IS(f, 1 << NATS_MSG | 1 << NATS_HMSG)) {
		f->scratch[NATS_VERB] = NATS_MSG;
		if (head_be64(f, 4 + headers) >> 8 == NATS_INBOX)
			f->scratch[NATS_ID] = nats_id(f, nats_space(f, (words - 2) & 7));
	}
}

/* The line is read: what is it about, and what does it ask for? */
static __always_inline u32 nats_whole(struct conn *conn, void *sk, volatile struct framed *f)
{
	f->length = f->scratch[NATS_LENGTH] + ((nats_size(f) + 2) & -NATS_IS(f, NATS_PAYLOADS));
	if (NATS_IS(f, 1 << NATS_HMSG) && f->scratch[NATS_LENGTH] + NATS_STATUS_BYTES <= FRAME_HEAD_BYTES &&
	    f->have < f->length && f->have < f->scratch[NATS_LENGTH] + NATS_STATUS_BYTES)
		return f->have + 1;
	f->scratch[NATS_HASH] = mix(HASH_START, PROTOCOL_NATS);
	if (NATS_IS(f, NATS_NAMED))
		f->scratch[NATS_HASH] = nats_subject(f);
	nats_judge(f);
	nats_pair(f);
	f->scratch[NATS_HASH] = endpoint_of(mix(f->scratch[NATS_HASH], f->scratch[NATS_VERB]));
	f->settled = nats_act(conn, sk, f);
	if (f->settled == NATS_ASK)
		framed_request_id(conn, sk, f, f->scratch[NATS_ID], f->scratch[NATS_HASH]);
	if (f->settled == NATS_ANSWER)
		framed_response_id(conn, sk, f, f->scratch[NATS_ID], f->scratch[NATS_OUTCOME], f->scratch[NATS_STATUS]);
	if (f->settled != NATS_TELL)
		return FRAME_DONE;
	if (NATS_IS(f, 1 << NATS_PUB) || (head_u8(f, 0) == 'M' && head_be64(f, 4) >> 8 != NATS_INBOX))
		run_keep(conn, f, nats_space(f, 0) + 1, f->scratch[NATS_HASH]);
	framed_one_way(conn, f, f->scratch[NATS_HASH], f->scratch[NATS_OUTCOME], f->scratch[NATS_STATUS]);
	return FRAME_DONE;
}

/* One more publication or delivery like the last: only the size may differ. */
static __always_inline bool nats_again(struct conn *conn, volatile struct framed *f)
{
	u32 at = conn->line_total, digits, number = run_number(f, at, &digits);

	at += digits;
	if (!digits || at + 2 > f->have || head_be16(f, at) != 0x0d0a || !run_begins(conn, f))
		return false;
	f->length = at + 2 + number + 2;
	return true;
}

static __always_inline u32 nats_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = run_way(conn, f);

	if (way->state == NATS_LINE && RUN(conn, way, f, NATS_HEADER, nats_again))
		return NATS_HEADER;
	if (f->have < NATS_AHEAD)
		framed_fill(f);
	f->scratch[NATS_VERB] = way->state == NATS_LINE_GOES_ON ? NATS_NONE : nats_verb(f);
	if (!NATS_IS(f, (f->request ? NATS_CLIENTS : NATS_SERVERS) | (way->state == NATS_LINE_GOES_ON)))
		return FRAME_WRONG;
	nats_line(f);
	if (!f->scratch[NATS_LENGTH] && f->have < FRAME_HEAD_BYTES)
		return f->have + 1;
	if (f->request && NATS_IS(f, 1 << NATS_CONNECT | NATS_NONES) && nats_asks_words(f))
		conn->ways[0].flags |= NATS_IS_VERBOSE | (way->state == NATS_LINE_GOES_ON ? NATS_OK_FOR_CONNECT : 0);
	if (NATS_IS(f, NATS_NONES)) {
		/* A long line's next piece. */
		if (f->scratch[NATS_LENGTH])
			way->state = NATS_LINE;
		f->length = f->scratch[NATS_LENGTH] ? f->scratch[NATS_LENGTH] : FRAME_HEAD_BYTES - NATS_OVERLAP;
		return FRAME_DONE;
	}
	if (NATS_IS(f, NATS_OBJECTS)) {
		f->scratch[NATS_SPACES] = 0;
		/* What a long line is about stands in its first piece. */
		if (!f->scratch[NATS_LENGTH]) {
			way->state = NATS_LINE_GOES_ON;
			f->scratch[NATS_LENGTH] = FRAME_HEAD_BYTES - NATS_OVERLAP;
		}
	} else if (!f->scratch[NATS_LENGTH] || !nats_fits(f)) {
		return FRAME_WRONG;
	}
	return nats_whole(conn, sk, f);
}

#endif
