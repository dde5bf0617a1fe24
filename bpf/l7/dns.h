/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DNS over UDP.
 *
 * https://www.rfc-editor.org/rfc/rfc1035
 *
 * A query and its response have the same transaction id on the same socket. The endpoint is the type with the name, ids in
 * its labels collapsed. Queries that nobody answers are taken out by probe-manager after DNS_TIMEOUT_NS and counted as without
 * response: a datagram socket has no end that could be seen here.
 */
#ifndef MESHLENS_DNS_H
#define MESHLENS_DNS_H

#include "follow.h"

#define DNS_HEADER_BYTES 12
#define DNS_NAME_BYTES 128
#define DNS_TIMEOUT_NS 10000000000ULL

struct dns_key {
	u64 sock;
	u32 id;
	u32 unused;
};

struct dns_query {
	struct series_key key;
	struct request request;
	u32 more; /* queries beyond the first that have the same id */
	u32 swept; /* user space has counted it */
};

_Static_assert(sizeof(struct dns_query) == 80, "decode.py reads 80 bytes");

BPF_F_TABLE("hash", struct dns_key, struct dns_query, l7_dns, 16384, BPF_F_NO_PREALLOC);

struct dns_header {
	u16 id;
	u8 flags;
	u8 code;
	u16 questions;
	u16 answers;
	u16 authorities;
	u16 additional;
};

/* Works out the endpoint from the question, whose name begins at *start* of the *have* bytes at *from*; 0 when it is none. */
static __always_inline u64 dns_question(volatile u8 *from, u32 start, u32 have)
{
	volatile struct text_state *text = text_start(PROTOCOL_DNS);
	u8 c;

	if (!text)
		return 0;
	/* mode: bytes left in this label; at: place of the name's end */
	for (u32 i = start; i < start + DNS_NAME_BYTES; i++) {
		text->at = i;
		c = from[i];
		if (text->mode) {
			segment_byte(text, is_letter(c) ? c | 0x20 : c);
			text->mode--;
			continue;
		}
		if (c == 0 || c > 63)
			break;
		segment_end(text, '.');
		text->mode = c;
	}
	segment_end(text, 0);
	if (text->at + 5 > have || from[text->at & 0xff])
		return 0;
	text->hash = mix(text->hash, from[(text->at + 1) & 0xff] << 8 | from[(text->at + 2) & 0xff]);
	return endpoint_of(text->hash);
}

/* The other end of a socket that is not connected stands beside the message. */
static __always_inline void dns_name_peer(struct conn *conn, u64 name)
{
	u8 address[28] = {};
	u32 family;

	if (!name || bpf_probe_read_user(address, sizeof(address), (void *)name))
		return;
	family = address[0];
	if (family != 2 && family != 10)
		return;
	if (conn->role == ROLE_CLIENT)
		conn->port = address[2] << 8 | address[3];
	if (family == 10) {
		__builtin_memcpy(conn->remote, address + 8, 16);
		return;
	}
	__builtin_memset(conn->remote, 0, 10);
	conn->remote[10] = conn->remote[11] = 0xff;
	__builtin_memcpy(conn->remote + 12, address + 4, 4);
}

static __always_inline void dns_query(struct conn *conn, struct dns_key *key, volatile struct follow *follow)
{
	struct dns_query query = {}, *same = l7_dns.lookup(key);
	volatile struct pending *pending = pending_here();
	u64 take = follow->chunk_bytes;

	if (same && !same->swept) {
		same->more++;
		return;
	}
	query.request.endpoint = dns_question(follow->chunk, DNS_HEADER_BYTES, follow->chunk_bytes);
	if (!query.request.endpoint || !pending) {
		lost_count(LOST_DATAGRAM_UNRECOGNISED);
		return;
	}
	query.request.start_ns = follow->now;
	query.request.bytes = follow->bytes;
	key_of(pending, conn, query.request.endpoint, OUTCOME_NO_RESPONSE, 0);
	query.key = *(struct series_key *)&pending->key;
	if (l7_dns.update(key, &query))
		lost_count(LOST_DNS_TABLE_FULL);
	conn->head_index = key->id;
	conn->head_bytes = take;
	conn->thread = bpf_get_current_pid_tgid();
	bpf_probe_read_kernel(conn->head, REQUEST_HEAD_BYTES, (void *)follow->chunk);
}

static __always_inline void dns_response(struct conn *conn, struct dns_key *key, volatile struct follow *follow, u8 code)
{
	struct dns_query *query = l7_dns.lookup(key);
	volatile struct pending *pending = pending_here();

	if (!query || query->swept || !pending) {
		lost_count(LOST_UNPAIRED_RESPONSE);
		return;
	}
	pending_begin(pending, follow->now, follow->bytes, follow->chunk_address, follow->chunk_bytes);
	pending->request = query->request;
	pending->duration_ns = follow->now - query->request.start_ns;
	pending->index = key->id;
	pending->status = code;
	if (code)
		pending->outcome = code == 1 || code == 3 ? OUTCOME_CLIENT_ERROR : OUTCOME_SERVER_ERROR;
	if (conn->role == ROLE_CLIENT)
		__builtin_memcpy(conn->remote, query->key.remote, 16);
	if (query->more)
		query->more--;
	else
		l7_dns.delete(key);
	pending_end(pending, conn);
}

/* One datagram. */
static __always_inline void dns_datagram(struct conn *conn, void *sk, volatile struct follow *follow)
{
	struct dns_key key = {.sock = (u64)sk};
	struct dns_header *header;
	bool sent = follow->sent, answer;
	u16 questions, answers;

	if (!follow_refill((struct follow *)follow) || follow->chunk_bytes < DNS_HEADER_BYTES + 5)
		return;
	header = (struct dns_header *)follow->chunk;
	questions = header->questions;
	answers = header->answers;
	answer = header->flags & 0x80;
	if (header->flags & 0x78 || questions != 0x0100 || (!answer && answers)) {
		lost_count(LOST_DATAGRAM_UNRECOGNISED);
		return;
	}
	key.id = header->id;
	conn->protocol = PROTOCOL_DNS;
	conn->role = answer == sent ? ROLE_SERVER : ROLE_CLIENT;
	if (conn->role == ROLE_SERVER)
		conn->port = READ(u16, sk, OFF_sock_common__skc_num);
	if (sent)
		dns_name_peer(conn, follow->view.name);
	if (answer)
		dns_response(conn, &key, follow, header->code & 15);
	else
		dns_query(conn, &key, follow);
}

#endif
