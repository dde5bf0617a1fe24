/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The head of the message that a framed protocol (framed.h) is reading, and the bytes of the call that brought it.
 */
#ifndef MESHLENS_FRAMING_H
#define MESHLENS_FRAMING_H

#include "view.h"

#define FRAME_HEAD_BYTES 256

struct framed {
	u64 now;
	u64 began; /* when the message's first byte came */
	u64 sock; /* for programs that are not handed it */
	u64 scratch[8]; /* for the protocol, within one message */
	struct view view; /* of what the head does not hold yet, less what lies in it beyond *before* */
	u32 have; /* bytes of the head */
	u32 before; /* of these, that the view has passed */
	u32 need; /* bytes that the protocol wants to see next */
	u32 length; /* of the message, set by the protocol */
	u32 place; /* of the message in its stream */
	u32 thread;
	u32 request; /* 1: bytes towards the server */
	u32 sent; /* 1: by the process that is watched */
	u32 turns; /* how often the program has called itself */
	u32 taken; /* turns in all */
	u32 late; /* bytes that belong to what is counted already, or to the newest request */
	u32 credited; /* this message's bytes were given to a request or a response */
	u32 settled;
	u32 spoken; /* which protocol the series is of, where one connection carries several; 0: the connection's */
	u32 bytes; /* of the whole call */
	u32 next; /* program that goes on */
	u32 rest; /* bytes behind the head of an answer that its sample may have, as many as this call has brought */
	u64 rest_at; /* where they lie in the kernel; 0: with the caller */
	u64 run_endpoint; /* run.h: as it was when the run began; the other direction may begin one meanwhile */
	u8 head[2 * FRAME_HEAD_BYTES]; /* the upper half stays empty */
};

SCRATCH(l7_framed, struct framed)

static __always_inline volatile struct framed *framed_here(void)
{
	return l7_framed_here();
}

/* Numbers and bytes of the head; what is beyond it reads as what lay there before, so look at `have` first. */
static __always_inline u8 head_u8(volatile struct framed *f, u32 at)
{
	return f->head[at & (FRAME_HEAD_BYTES - 1)];
}

static __always_inline u16 head_be16(volatile struct framed *f, u32 at)
{
	return (u16)head_u8(f, at) << 8 | head_u8(f, at + 1);
}

static __always_inline u32 head_be32(volatile struct framed *f, u32 at)
{
	return (u32)head_be16(f, at) << 16 | head_be16(f, at + 2);
}

static __always_inline u64 head_be64(volatile struct framed *f, u32 at)
{
	return (u64)head_be32(f, at) << 32 | head_be32(f, at + 4);
}

static __always_inline u16 head_le16(volatile struct framed *f, u32 at)
{
	return (u16)head_u8(f, at + 1) << 8 | head_u8(f, at);
}

static __always_inline u32 head_le32(volatile struct framed *f, u32 at)
{
	return (u32)head_le16(f, at + 2) << 16 | head_le16(f, at);
}

static __always_inline u64 head_le64(volatile struct framed *f, u32 at)
{
	return (u64)head_le32(f, at + 4) << 32 | head_le32(f, at);
}

#endif
