/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Are these bytes MySQL's? What its packets consist of, and how they begin.
 */
#ifndef MESHLENS_MYSQL_MATCH_H
#define MESHLENS_MYSQL_MATCH_H

#include "framed.h"

#define MYSQL_TEXT_BYTES 16 /* of a statement that are read in one turn */
#define MYSQL_FULL 0xffffff /* bytes of a packet that the next one goes on with */
#define MYSQL_ANSWER_BYTES 32 /* of a response's packet that are looked at */
#define MYSQL_PACKETS 8 /* short ones that are passed over in one turn */
#define MYSQL_LOGIN 0x100 /* a kind of request that is no command */
#define MYSQL_PREPARED 0x5052455041524544ULL /* tells the endpoint of a PREPARE from that of its statement */
#define MYSQL_LAST_STATEMENT 0xffffffff /* MariaDB: the id of what was prepared last */

enum mysql_command {
	MYSQL_QUIT = 0x01, MYSQL_QUERY = 0x03, MYSQL_FIELDS = 0x04, MYSQL_STATISTICS = 0x09, MYSQL_CHANGE_USER = 0x11,
	MYSQL_BINLOG = 0x12, MYSQL_PREPARE = 0x16, MYSQL_EXECUTE = 0x17, MYSQL_LONG_DATA = 0x18, MYSQL_CLOSE = 0x19,
	MYSQL_FETCH = 0x1c, MYSQL_BINLOG_GTID = 0x1e, MYSQL_RESET_CONNECTION = 0x1f, MYSQL_BULK = 0xfa, MYSQL_EVENT = 0x1000, MYSQL_COMPRESSION = 0x2000,
};

/* Of a way towards the server: whether a statement is being read, or data of a file come; of a way back: which packet comes next. */
enum mysql_state {
	MYSQL_START, MYSQL_TEXT, MYSQL_FILE, MYSQL_COLUMNS, MYSQL_FIRST_ROW, MYSQL_ROWS, MYSQL_TAIL, MYSQL_EVENTS, MYSQL_BLIND,
	MYSQL_COMPRESSED,
};
enum mysql_flag { MYSQL_GOES_ON = 1, MYSQL_BEGUN = 2, MYSQL_GREETED = 4 };
enum mysql_status { MYSQL_MORE_RESULTS = 8, MYSQL_CURSOR = 64 };
enum mysql_capability { MYSQL_PROTOCOL_41 = 0x200, MYSQL_TLS = 0x800, MYSQL_COMPRESS = 0x20, MYSQL_ZSTD = 1 << 26 };
enum mysql_action { MYSQL_PASS, MYSQL_AGAIN, MYSQL_ASK, MYSQL_ONE_WAY, MYSQL_END };

/* What has been decided about a message, in f->scratch. */
enum mysql_decided { DECIDED_ACTION, DECIDED_ENDPOINT, DECIDED_KIND, DECIDED_OUTCOME, DECIDED_STATUS, DECIDED_BEGAN };

struct mysql_statement {
	u64 connection;
	u64 id; /* the role in the upper half: each end of a connection keeps its own */
};

struct mysql_text {
	u8 head[FRAME_HEAD_BYTES];
};

BPF_TABLE("lru_hash", struct mysql_statement, u64, l7_mysql_statements, 16384);
BPF_TABLE("lru_hash", u64, struct mysql_text, l7_mysql_texts, 1024); /* by endpoint: PREPAREs, as heads of their executions */

static __always_inline u32 mysql_length(volatile struct framed *f, u32 at)
{
	return head_le32(f, at) & 0xffffff;
}

static __always_inline u64 mysql_named(u32 command)
{
	return endpoint_of(mix(mix(HASH_START, PROTOCOL_MYSQL), command << 8));
}

/* Everything that is left of this call, from the message on. */
static __always_inline u32 mysql_rest(volatile struct framed *f)
{
	return f->before + f->view.left;
}

static __always_inline void mysql_key(struct mysql_statement *key, struct conn *conn, u32 id)
{
	key->connection = conn->id;
	key->id = (u64)conn->role << 32 | id;
}

/* Capabilities, packet limit, character set, and zeros. */
static __always_inline bool mysql_is_login(volatile struct framed *f, u32 length)
{
	u32 sequence = head_u8(f, 3);

	return (sequence == 1 || sequence == 2) && length >= 32 && length < 4096 && f->have >= 36 &&
	       head_le32(f, 4) & MYSQL_PROTOCOL_41 && !head_le64(f, 13) && !head_le64(f, 21) && !head_le16(f, 29);
}

static __always_inline enum match mysql_match_server(volatile struct framed *f, u32 length)
{
	u32 at = 5;

	if (head_u8(f, 3) || length < 8 || length > 600)
		return MATCH_NO;
	if (f->have < 10)
		return MATCH_MORE;
	if (head_u8(f, 4) == 0xff)
		return (u16)(head_le16(f, 5) - 1000) < 1000 && head_u8(f, 7) > ' ' && head_u8(f, 7) < 0x7f ? MATCH_YES : MATCH_NO;
	if (head_u8(f, 4) != 10 || !is_digit(head_u8(f, at)))
		return MATCH_NO;
	at += is_digit(head_u8(f, at + 1)) ? 2 : 1;
	return head_u8(f, at) == '.' && is_digit(head_u8(f, at + 1)) ? MATCH_YES : MATCH_NO;
}

/* A text of letters and white space, as statements begin. */
static __always_inline bool mysql_is_text(volatile struct framed *f, u32 at)
{
	u8 c;

	for (u32 i = 0; i < 4; i++) {
		c = head_u8(f, at + i);
		if (!is_letter(c) && !(c == ' ' || (u8)(c - 9) < 5) && c != '(' && c != '/' && c != '*' && c != '-' && c != '#' && c != '!')
			return false;
	}
	return true;
}

static __always_inline enum match mysql_match_command(volatile struct framed *f, u32 length)
{
	u32 command = head_u8(f, 4);

	if (f->have < 5)
		return MATCH_MORE;
	if (command == MYSQL_QUERY || command == MYSQL_PREPARE) {
		if (length < 6)
			return MATCH_NO;
		if (f->have < 11)
			return MATCH_MORE;
		return mysql_is_text(f, head_u8(f, 5) ? 5 : 7) ? MATCH_YES : MATCH_NO;
	}
	if (command == MYSQL_EXECUTE) {
		if (length < 10)
			return MATCH_NO;
		if (f->have < 14)
			return MATCH_MORE;
		return head_u8(f, 9) < 16 && head_le32(f, 10) == 1 ? MATCH_YES : MATCH_NO;
	}
	/* PING, RESET CONNECTION: such a call has nothing else. */
	return (command == 0x0e || command == MYSQL_RESET_CONNECTION) && length == 1 && f->have == 5 ? MATCH_YES : MATCH_NO;
}

static __always_inline enum match mysql_match(struct conn *conn, volatile struct framed *f)
{
	u32 length = mysql_length(f, 0);

	if (f->have < 4)
		return f->request && f->have == 3 && !length ? MATCH_NO : MATCH_MORE;
	if (!length)
		return MATCH_NO;
	if (!f->request)
		return mysql_match_server(f, length);
	if (!head_u8(f, 3))
		return mysql_match_command(f, length);
	if (length < 32 || length >= 4096 || head_u8(f, 3) > 2)
		return MATCH_NO;
	if (f->have < 36)
		return MATCH_MORE;
	return mysql_is_login(f, length) ? MATCH_YES : MATCH_NO;
}

#endif
