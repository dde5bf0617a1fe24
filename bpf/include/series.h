/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests by series, with exponential histograms of their durations, in two maps of which one is filled while the
 * other is drained.
 *
 * Both the endpoints of an instance and the series of the node are bounded. What is over a bound is counted under
 * OVERFLOW_ENDPOINT, for which RESERVED_SERIES are kept free.
 */
#ifndef MESHLENS_SERIES_H
#define MESHLENS_SERIES_H

#include "lost.h"
#include "records.h"

#ifndef SERIES_LIMIT
#define SERIES_LIMIT 16384
#endif
#ifndef ENDPOINT_LIMIT
#define ENDPOINT_LIMIT 512
#endif
#define RESERVED_SERIES 1024
#define TICK_SHIFT 10
#define SUB_BITS 3
#define MAX_BITS 27

struct endpoint_key {
	u32 instance;
	u32 protocol;
	u64 endpoint; /* 0: the value counts the endpoints of this instance and protocol */
};

BPF_TABLE("hash", struct series_key, struct series_value, l7_series_0, 17408);
BPF_TABLE("hash", struct series_key, struct series_value, l7_series_1, 17408);
BPF_TABLE("array", u32, u64, l7_series_used, 2);
BPF_TABLE("percpu_array", u32, struct series_value, l7_series_empty, 1);
BPF_F_TABLE("hash", struct endpoint_key, u64, l7_endpoints, 65536, BPF_F_NO_PREALLOC);
BPF_TABLE("array", u32, struct control, l7_control, 1);

/* The position of the highest bit. No branches: each would double the ways that the verifier has to walk. */
static __always_inline u32 highest_bit(u32 value)
{
	value |= value >> 1;
	value |= value >> 2;
	value |= value >> 4;
	value |= value >> 8;
	value |= value >> 16;
	value -= value >> 1 & 0x55555555;
	value = (value & 0x33333333) + (value >> 2 & 0x33333333);
	value = (value + (value >> 4)) & 0x0f0f0f0f;
	return (value * 0x01010101 >> 24) - 1;
}

/* shared/histogram.py computes the same index; a test holds the two together. */
static __always_inline u32 bucket_of(u64 duration_ns)
{
	u64 ticks = duration_ns >> TICK_SHIFT;
	u32 octave;

	if (ticks < 1 << SUB_BITS)
		return ticks;
	if (ticks >> MAX_BITS)
		return BUCKETS - 1;
	octave = highest_bit(ticks);
	return ((octave - SUB_BITS + 1) << SUB_BITS) + (ticks >> (octave - SUB_BITS) & ((1 << SUB_BITS) - 1));
}

static __always_inline u32 series_active(void)
{
	u32 zero = 0;
	struct control *control = l7_control.lookup(&zero);

	return control ? control->active & 1 : 0;
}

static __always_inline struct series_value *series_lookup(u32 active, struct series_key *key)
{
	return active ? l7_series_1.lookup(key) : l7_series_0.lookup(key);
}

static __always_inline struct series_value *series_insert(u32 active, struct series_key *key)
{
	u32 zero = 0;
	struct series_value *empty = l7_series_empty.lookup(&zero);

	if (!empty)
		return NULL;
	if (active)
		l7_series_1.insert(key, empty);
	else
		l7_series_0.insert(key, empty);
	return series_lookup(active, key);
}

/* Whether this endpoint has its place among those of its instance; 2 when it has just taken it. */
static __always_inline int endpoint_admit(struct series_key *key)
{
	struct endpoint_key name = {.instance = key->instance, .protocol = key->protocol, .endpoint = key->endpoint};
	u64 now = bpf_ktime_get_ns(), zero = 0, *seen, *count;

	if (key->endpoint <= OVERFLOW_ENDPOINT)
		return 1;
	seen = l7_endpoints.lookup(&name);
	if (seen) {
		*seen = now;
		return 1;
	}
	name.endpoint = 0;
	count = l7_endpoints.lookup(&name);
	if (!count) {
		l7_endpoints.insert(&name, &zero);
		count = l7_endpoints.lookup(&name);
	}
	if (!count || *count >= ENDPOINT_LIMIT)
		return 0;
	name.endpoint = key->endpoint;
	if (l7_endpoints.insert(&name, &now)) /* another processor was quicker, or there is no room */
		return l7_endpoints.lookup(&name) ? 1 : 0;
	__sync_fetch_and_add(count, 1);
	return 2;
}

/* The series of *key*, made when it is new; sets *first* when the endpoint was never seen before. */
static __always_inline struct series_value *series_of(struct series_key *key, u32 *first)
{
	u32 active = series_active();
	struct series_value *value = series_lookup(active, key);
	int admitted;
	u64 *used;

	if (value)
		return value;
	admitted = endpoint_admit(key);
	used = l7_series_used.lookup(&active);
	*first = admitted == 2;
	if (admitted && used && *used < SERIES_LIMIT) {
		value = series_insert(active, key);
		if (value)
			__sync_fetch_and_add(used, 1);
	}
	if (value)
		return value;
	if (!admitted)
		lost_count(LOST_ENDPOINT_NAMES);
	key->endpoint = OVERFLOW_ENDPOINT;
	if (admitted)
		__builtin_memset(key->remote, 0, sizeof(key->remote));
	value = series_lookup(active, key);
	return value ? value : series_insert(active, key);
}

#endif
