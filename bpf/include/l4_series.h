/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What TCP did, by series: the same two ends, the same role, the same server port. Double-buffered like the L7 series:
 * programs write the active buffer, user space drains the other one.
 */
#ifndef MESHLENS_L4_SERIES_H
#define MESHLENS_L4_SERIES_H

#include "lost.h"
#include "series.h"
#include "socket.h"

#define MAX_L4_SERIES 8192
#define MAX_L4_NOTES 4096

struct l4_key {
	u32 instance;
	u32 peer; /* instance of the other end, 0 when it is not known */
	struct address remote; /* zero where peer says it better */
	u16 port; /* the server's */
	u8 role; /* enum role */
	u8 unused;
};

struct l4_figures {
	u64 opened;
	u64 closed;
	u64 bytes_sent;
	u64 bytes_received;
	u64 segments_sent;
	u64 retransmits;
	u64 resets_sent;
	u64 resets_received;
	u64 listen_overflows;
	u32 connect[BUCKETS];
	u32 rtt[BUCKETS];
};

enum l4_note_kind { NOTE_FAILED = 1 /* code: errno */, NOTE_DROPPED = 2 /* code: skb drop reason */ };

/* Counts that most series never have. */
struct l4_note {
	struct l4_key series;
	u16 kind;
	u16 code;
};

_Static_assert(sizeof(struct l4_key) == 28, "decode.py reads 28 bytes");
_Static_assert(sizeof(struct l4_figures) == 72 + 8 * BUCKETS, "decode.py reads nine counters, two histograms");
_Static_assert(sizeof(struct l4_note) == 32, "decode.py reads 32 bytes");

BPF_F_TABLE("hash", struct l4_key, struct l4_figures, l4_series_0, MAX_L4_SERIES, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct l4_key, struct l4_figures, l4_series_1, MAX_L4_SERIES, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct l4_note, u64, l4_notes_0, MAX_L4_NOTES, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct l4_note, u64, l4_notes_1, MAX_L4_NOTES, BPF_F_NO_PREALLOC);
BPF_TABLE("array", u32, struct l4_figures, l4_nothing, 1); /* all zero: what a series begins with */

static __always_inline void histogram_add(u32 *histogram, u64 duration_ns)
{
	u64 bucket = bucket_of(duration_ns);

	asm volatile("" : "+r"(bucket)); /* the verifier must see the check of the value that is used */
	if (bucket < BUCKETS)
		__sync_fetch_and_add(&histogram[bucket], 1);
}

static __always_inline struct l4_figures *l4_figures_of(struct l4_key *key)
{
	u32 zero = 0;
	struct l4_figures *nothing = l4_nothing.lookup(&zero), *figures = NULL;

	if (!nothing)
		return NULL;
	if (series_active())
		figures = l4_series_1.lookup_or_try_init(key, nothing);
	else
		figures = l4_series_0.lookup_or_try_init(key, nothing);
	if (!figures)
		lost_count(LOST_L4_SERIES_FULL);
	return figures;
}

static __always_inline void l4_note_count(struct l4_key *series, u16 kind, u16 code, u64 number)
{
	struct l4_note note = {.series = *series, .kind = kind, .code = code};
	u64 none = 0, *count;

	if (series_active())
		count = l4_notes_1.lookup_or_try_init(&note, &none);
	else
		count = l4_notes_0.lookup_or_try_init(&note, &none);
	if (count)
		__sync_fetch_and_add(count, number);
	else
		lost_count(LOST_L4_SERIES_FULL);
}

#endif
