/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is known of one socket: whose it is, which side, who is at the other end, and the requests in flight.
 *
 * The state hangs on the socket itself where the program is handed a typed socket (the preferred hooks), else in a hash
 * by its address, which is emptied when the connection closes. It is made at the first bytes, so connections that
 * were opened before the probe was attached are covered.
 *
 * Both ends of a connection on one node find each other through `l7_ends`, keyed by both initial sequence numbers: they
 * are the same at both ends, whatever addresses were translated in between.
 */
#ifndef MESHLENS_CONN_H
#define MESHLENS_CONN_H

#include "kernel_read.h"
#include "lost.h"
#include "records.h"
#include "scope.h"

#define MAX_IN_FLIGHT 256
#define PEER_TRIES 8
#define INFER_TRIES 16
#define LINE_WORDS 8

struct request {
	u64 start_ns;
	u64 endpoint;
	u32 bytes;
	u32 offset;
	u32 group; /* PostgreSQL: of the batch that it belongs to */
	u32 kind; /* PostgreSQL: the type of its message */
};

/* How far a message is read: protocols whose messages are followed byte by byte keep it for each direction. */
struct follower {
	u32 skip; /* bytes to pass over before the next header */
	u32 number; /* that is being read */
	u32 pending; /* elements that still belong to the message */
	s32 ahead; /* bytes that messages claimed before they came, less those that came before they were claimed */
	u8 state;
	u8 type;
	u8 count; /* of header bytes read */
	u8 flags;
};

/* A statement that is being read. */
struct sql_text {
	u64 hash;
	u8 mode; /* enum sql_mode */
	u8 after_value;
	u8 separator; /* waits to be mixed */
	u8 type; /* of the message that holds it */
	u32 unused;
};

/* A connection that turned into something that has no requests. */
enum ignored { NOT_IGNORED, IGNORED, IGNORED_AFTER_ANSWER };

struct conn {
	u32 instance;
	u32 peer;
	u32 tgid;
	u16 port; /* the server's */
	u8 role;
	u8 protocol;
	u8 datagram;
	u8 gathering; /* the head of the newest request is not complete */
	u8 ignored; /* enum ignored */
	u8 infer_tries;
	u8 peer_tries;
	u8 line_words; /* of line that tell its request apart from others */
	u8 unused_answer;
	u8 unknown_samples;
	u8 midstream; /* bytes went by before it was watched */
	u8 by_id; /* responses name their requests; else they come in order */
	u8 encrypted; /* on the wire: this is the state of the plain text */
	u16 closing; /* the connection has ended: which place of the pipeline comes next */
	u32 owed; /* bytes of requests that came when nothing was counted yet; the first to be counted has them */
	u64 refused; /* protocols, by number, that later bytes have contradicted */
	u64 began_ns[2]; /* when the message whose head is kept began: towards the server, and back */
	u8 remote[16];
	u64 id; /* both initial sequence numbers, the client's in the upper half */
	u32 passed[2]; /* bytes of the stream received, sent */
	u32 pushed; /* requests seen */
	u32 popped; /* of these answered */
	u32 overflowed; /* in flight but without a place */
	u32 one_index; /* which request `one` is */
	struct request one;
	u64 last_endpoint;
	u16 last_status;
	u8 last_outcome;
	u8 last_spoken;
	u32 head_index; /* which request `head` is */
	u32 head_bytes;
	u32 thread; /* that handled its first byte */
	u64 messages_at; /* sendmmsg, recvmmsg: which array, and which message of it comes next */
	u32 messages_next;
	u64 bound_endpoint; /* PostgreSQL: of the portal to be executed */
	u64 unnamed_endpoint; /* PostgreSQL: of the unnamed statement */
	u32 groups_opened; /* PostgreSQL: batches that the client has ended, that the server has answered */
	u32 groups_done;
	u32 line_kind; /* HTTP: what the response of the request that has line depends on */
	u32 owed_back; /* as owed, of responses */
	u64 name; /* PostgreSQL: hash of the name that is being read */
	u64 parsed; /* PostgreSQL: hash of the name of the statement that was parsed last */
	struct sql_text sql;
	u64 answer_ns; /* when the oldest request's response began, if that was with an earlier call */
	struct follower ways[2]; /* of requests, of responses */
	u32 line_total; /* bytes of the call that brought the line */
	u32 line_more; /* run.h: whose run it is */
	u64 line_endpoint;
	u64 line[LINE_WORDS]; /* the beginning of the request that has this endpoint */
	u8 answer[32]; /* the upper half stays empty, as that of head does */
	u8 head[2 * REQUEST_HEAD_BYTES]; /* the upper half stays empty: it lets the verifier see that nothing overflows */
};

struct pipeline {
	struct request requests[MAX_IN_FLIGHT];
};

struct verdict_key {
	u32 instance;
	u16 port;
	u16 unused;
};

struct ends {
	u32 instance[2]; /* by role */
};

#ifdef PLAINTEXT
#define SOCK_KEY(sk) ((u64)(sk) + 1) /* beside the state of what is on the wire */
#else
#define SOCK_KEY(sk) ((u64)(sk))
#endif
#ifdef FALLBACK
#define SOCK_FIELD(type, sk, offset) READ(type, sk, offset)
BPF_F_TABLE("hash", u64, struct conn, l7_conns_by_sock, 65536, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", u64, struct pipeline, l7_pipelines_by_sock, 16384, BPF_F_NO_PREALLOC);
BPF_TABLE("percpu_array", u32, struct conn, l7_conn_empty, 1);
BPF_TABLE("percpu_array", u32, struct pipeline, l7_pipeline_empty, 1);
#else
#define SOCK_FIELD(type, sk, offset) LOAD(type, sk, offset)
BPF_SK_STORAGE(l7_conns, struct conn);
BPF_SK_STORAGE(l7_pipelines, struct pipeline);
#endif
BPF_TABLE("lru_hash", u64, struct ends, l7_ends, 65536);
BPF_F_TABLE("hash", struct verdict_key, u32, l7_verdicts, 4096, BPF_F_NO_PREALLOC);

/* The task that runs now, typed: its fields can be loaded without a call. */
#define CURRENT() ((void *)bpf_get_current_task_btf())
#define LOAD(type, typed, offset) (*(type *)((void *)(typed) + (offset)))

static __always_inline struct conn *conn_find(void *sk)
{
#ifdef FALLBACK
	u64 key = SOCK_KEY(sk);

	return l7_conns_by_sock.lookup(&key);
#else
	return l7_conns.sk_storage_get(sk, 0, 0);
#endif
}

static __always_inline struct conn *conn_make(void *sk)
{
#ifdef FALLBACK
	u64 key = SOCK_KEY(sk);
	u32 zero = 0;
	struct conn *empty = l7_conn_empty.lookup(&zero);

	if (empty)
		l7_conns_by_sock.insert(&key, empty);
	return l7_conns_by_sock.lookup(&key);
#else
	return l7_conns.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
#endif
}

static __always_inline struct pipeline *pipeline_of(void *sk, bool make)
{
#ifdef FALLBACK
	u64 key = SOCK_KEY(sk);
	u32 zero = 0;
	struct pipeline *found = l7_pipelines_by_sock.lookup(&key), *empty;

	if (found || !make)
		return found;
	empty = l7_pipeline_empty.lookup(&zero);
	if (empty)
		l7_pipelines_by_sock.insert(&key, empty);
	return l7_pipelines_by_sock.lookup(&key);
#else
	return l7_pipelines.sk_storage_get(sk, 0, make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
#endif
}

static __always_inline void pipeline_forget(void *sk)
{
#ifdef FALLBACK
	u64 key = SOCK_KEY(sk);

	l7_pipelines_by_sock.delete(&key);
#else
	l7_pipelines.sk_storage_delete(sk);
#endif
}

/* Addresses of IPv4 are mapped, as IPv6 sockets show them. */
static __always_inline void read_remote(void *sk, u8 *remote)
{
	u32 address;

	if (READ(u16, sk, OFF_sock_common__skc_family) == 10) {
		bpf_probe_read_kernel(remote, 16, sk + OFF_sock_common__skc_v6_daddr);
		return;
	}
	address = READ(u32, sk, OFF_sock_common__skc_daddr);
	__builtin_memset(remote, 0, 16);
	remote[10] = remote[11] = 0xff;
	__builtin_memcpy(remote + 12, &address, 4);
}

/*
 * Both initial sequence numbers, each plus one. What the kernel counts as acknowledged includes the SYN at the end that
 * sent it first. Both counters of a pair change together, but not at once: read until they stand still.
 */
static __always_inline bool initial_numbers(void *sk, u32 *theirs, u32 *ours)
{
	u64 received = READ(u64, sk, OFF_tcp_sock__bytes_received), acked = READ(u64, sk, OFF_tcp_sock__bytes_acked);

	*theirs = READ(u32, sk, OFF_tcp_sock__rcv_nxt) - (u32)received;
	*ours = READ(u32, sk, OFF_tcp_sock__snd_una) - (u32)acked;
	return received == READ(u64, sk, OFF_tcp_sock__bytes_received) && acked == READ(u64, sk, OFF_tcp_sock__bytes_acked);
}

static __always_inline u64 connection_id(void *sk, u8 role)
{
	u32 theirs = 0, ours = 0;

	/* Not a loop: the compiler turns it so that verifiers before 6.4 see an edge back that they do not allow. */
	if (!initial_numbers(sk, &theirs, &ours) && !initial_numbers(sk, &theirs, &ours))
		initial_numbers(sk, &theirs, &ours);
	if (role == ROLE_CLIENT)
		return (u64)(ours + 1) << 32 | theirs;
	return (u64)theirs << 32 | ours;
}

/* Writes this end down and returns the instance at the other end, 0 while it is not known. */
static __always_inline u32 join_ends(u64 id, u8 role, u32 instance)
{
	struct ends mine = {{role == ROLE_CLIENT ? instance : 0, role == ROLE_CLIENT ? 0 : instance}}, *both;

	both = l7_ends.lookup(&id);
	if (!both) {
		if (!l7_ends.insert(&id, &mine))
			return 0;
		both = l7_ends.lookup(&id);
	}
	if (!both)
		return 0;
	both->instance[role & 1] = instance;
	return both->instance[!(role & 1)];
}

/*
 * What protocol-parser made of earlier connections like this one. It counts for protocols that are followed only: their
 * bytes contradict a wrong one at once.
 */
static __always_inline u8 verdict_on(struct conn *conn)
{
	struct verdict_key key = {.instance = conn->instance, .port = conn->port};
	u32 *protocol = l7_verdicts.lookup(&key);

	if (protocol && *protocol < 64 && (FOLLOWED >> *protocol & 1))
		return *protocol;
	return PROTOCOL_UNKNOWN;
}

static __always_inline void conn_name(struct conn *conn, void *sk, u8 role)
{
	u16 dport = READ(u16, sk, OFF_sock_common__skc_dport), num = READ(u16, sk, OFF_sock_common__skc_num);

	conn->role = role;
	conn->port = role == ROLE_SERVER ? num : __builtin_bswap16(dport);
	read_remote(sk, conn->remote);
}

/* An accepted socket inherits the length of its listener's queue; one that was connected has none. */
static __always_inline u8 tcp_role(void *sk)
{
	return READ(u32, sk, OFF_sock__sk_max_ack_backlog) ? ROLE_SERVER : ROLE_CLIENT;
}

/* The state of *sk*, made for the process that runs now; NULL when that is out of scope or the socket is not for us. */
static __always_inline struct conn *conn_begin(void *sk, u32 instance, u8 role)
{
	u16 kind = READ(u16, sk, OFF_sock__sk_protocol);
	struct conn *conn;

	if (kind != 6 && kind != 17)
		return NULL;
	conn = conn_make(sk);
	if (!conn) {
		lost_count(LOST_CONNECTION_STATE_FULL);
		return NULL;
	}
	conn->instance = instance;
	conn->tgid = bpf_get_current_pid_tgid() >> 32;
	conn->datagram = kind == 17;
	conn_name(conn, sk, role);
	if (!conn->datagram)
		conn->protocol = verdict_on(conn);
	return conn;
}

static __always_inline void conn_identify(struct conn *conn, void *sk)
{
	conn->id = connection_id(sk, conn->role);
	conn->peer = join_ends(conn->id, conn->role, conn->instance);
	conn->passed[0] = READ(u32, sk, OFF_tcp_sock__copied_seq) - (u32)(conn->role == ROLE_CLIENT ? conn->id : conn->id >> 32);
	conn->passed[1] = READ(u32, sk, OFF_tcp_sock__write_seq) - (u32)(conn->role == ROLE_CLIENT ? conn->id >> 32 : conn->id);
}

/* The state of the socket that process *tgid* uses now to move *bytes*, NULL when it is out of scope. */
static __always_inline struct conn *conn_of(void *sk, u32 tgid, bool sent, u32 bytes)
{
	struct conn *conn = conn_find(sk);
	u32 instance;

	if (conn && conn->tgid == tgid) {
		conn->passed[sent] += bytes;
		return conn;
	}
	instance = scope_instance_of(tgid);
	if (!instance)
		return NULL;
	if (conn) {
		/* The socket was handed on: from now on this process answers for it. */
		conn->tgid = tgid;
		if (conn->instance != instance) {
			conn->instance = instance;
			if (!conn->datagram)
				conn_identify(conn, sk);
		}
		conn->passed[sent] += bytes;
		return conn;
	}
	conn = conn_begin(sk, instance, tcp_role(sk));
	if (!conn || conn->datagram)
		return conn;
	conn_identify(conn, sk);
	conn->midstream = conn->passed[0] + conn->passed[1] != bytes;
	return conn;
}

/* Connections are written down before the first byte, so that the other end knows whom it answers. */
static __always_inline void conn_established(void *sk)
{
	struct conn *conn = conn_find(sk);

	if (!conn)
		return;
	conn_name(conn, sk, ROLE_CLIENT);
	conn_identify(conn, sk);
}

static __always_inline void conn_peer_again(struct conn *conn)
{
	struct ends *both;

	if (conn->peer || conn->datagram || conn->peer_tries >= PEER_TRIES)
		return;
	conn->peer_tries++;
	both = l7_ends.lookup(&conn->id);
	if (both)
		conn->peer = both->instance[!(conn->role & 1)];
}

#endif
