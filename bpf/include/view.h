/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The bytes of one system call on a socket, where the caller keeps them: one buffer, or the pieces of an iovec.
 */
#ifndef MESHLENS_VIEW_H
#define MESHLENS_VIEW_H

#include "conn.h"

struct view {
	u64 next; /* address of the next piece of an iovec, 0 for a plain buffer */
	u64 at; /* address of the bytes to come */
	u32 here; /* bytes left in this piece */
	u32 left; /* bytes left in all */
	u64 name; /* address of the peer's address, 0 when the call has none */
	bool seen; /* false: the content has no user buffer */
};

struct call_registers {
	u64 number;
	u64 buffer; /* the second argument */
	u64 count; /* the third */
	u64 name; /* the fifth */
	u32 thread;
	u32 unused;
};

struct user_piece {
	u64 base;
	u64 length;
};

struct user_message {
	u64 name;
	u64 name_length;
	u64 pieces;
	u64 count;
};

#if !defined(OFF_pt_regs__orig_ax)
#error "the registers of a system call are known for x86-64 only"
#endif

#define MESSAGE_STRIDE 64 /* sizeof(struct mmsghdr) */

enum call {
	CALL_READ = 0, CALL_WRITE = 1, CALL_READV = 19, CALL_WRITEV = 20, CALL_SENDTO = 44, CALL_RECVFROM = 45,
	CALL_SENDMSG = 46, CALL_RECVMSG = 47, CALL_RECVMMSG = 299, CALL_SENDMMSG = 307, CALL_SENDFILE = 40,
	CALL_SPLICE = 275, CALL_PREADV2 = 327, CALL_PWRITEV2 = 328,
};

/*
 * Reads at most 511 bytes into room for 512. The mask says so to verifiers that have forgotten the check before it, because the
 * value lay on the stack meanwhile.
 */
static __always_inline long read_user(void *into, u64 bytes, u64 from)
{
	asm volatile("%0 &= 511" : "+r"(bytes));
	return bpf_probe_read_user(into, bytes, (void *)from);
}

/* One buffer, whose address is the second argument. */
static __always_inline bool call_is_plain(u64 number)
{
	return number <= CALL_WRITE || number == CALL_SENDTO || number == CALL_RECVFROM;
}

static __always_inline void view_pieces(struct view *view, u64 pieces)
{
	view->next = pieces;
	view->here = 0;
}

static __always_inline void view_message(struct view *view, u64 address)
{
	struct user_message message = {};

	if (bpf_probe_read_user(&message, sizeof(message), (void *)address)) {
		view->seen = false;
		return;
	}
	view->name = message.name;
	view_pieces(view, message.pieces);
}

/* Several messages in one call: the hook fires once for each, in order. */
static __always_inline u64 message_of(struct conn *conn, u64 address, u64 count)
{
	if (conn->messages_at != address || conn->messages_next >= count)
		conn->messages_next = 0;
	conn->messages_at = address;
	return address + MESSAGE_STRIDE * conn->messages_next++;
}

/* Opens the *bytes* that *call* moved. */
static __always_inline void view_open(struct view *view, struct conn *conn, struct call_registers *call, u32 bytes)
{
	view->next = 0;
	view->at = call->buffer;
	view->here = bytes;
	view->left = bytes;
	view->name = 0;
	view->seen = true;
	switch (call->number) {
	case CALL_READ:
	case CALL_WRITE:
		return;
	case CALL_RECVFROM:
	case CALL_SENDTO:
		view->name = call->name;
		return;
	case CALL_READV:
	case CALL_WRITEV:
	case CALL_PREADV2:
	case CALL_PWRITEV2:
		view_pieces(view, call->buffer);
		return;
	case CALL_SENDMSG:
	case CALL_RECVMSG:
		view_message(view, call->buffer);
		return;
	case CALL_SENDMMSG:
	case CALL_RECVMMSG:
		view_message(view, message_of(conn, call->buffer, call->count));
		return;
	default:
		view->seen = false;
	}
}

/* Goes on to the next piece, which may be an empty one, when this one is used up; false when there is none to be read. */
static __always_inline bool view_ready(struct view *view)
{
	struct user_piece piece = {};

	if (!view->left || !view->seen)
		return false;
	if (view->here)
		return true;
	if (!view->next || bpf_probe_read_user(&piece, sizeof(piece), (void *)view->next)) {
		view->seen = false;
		return false;
	}
	view->next += sizeof(piece);
	view->at = piece.base;
	view->here = piece.length < view->left ? piece.length : view->left;
	return true;
}

static __always_inline void view_skip(struct view *view, u32 bytes)
{
	view->at += bytes;
	view->here -= bytes;
	view->left -= bytes;
}

#endif
