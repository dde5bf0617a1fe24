/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What could not be counted in full, by cause. services/probe_manager/decode.py has the same numbers and their words.
 */
#ifndef MESHLENS_LOST_H
#define MESHLENS_LOST_H

#define MAX_LOST_CAUSES 64

/* Below 32: requests and samples. From 32 on: processes and TCP. */
enum lost_process_cause {
	LOST_PROCESS_MAP_FULL = 32, /* a process in scope that found no room: nothing of it is seen */
	LOST_INSTANCE_MAP_FULL, /* an instance is counted, its name found no room */
	LOST_CONNECTION_MAP_FULL, /* a TCP connection that found no room: its L4 figures are missing */
	LOST_LISTENER_MAP_FULL, /* a listening address that found no room */
	LOST_L4_SERIES_FULL, /* figures of a connection that found no room for their series */
	LOST_JOIN_MAP_FULL, /* the two ends of a connection were not joined */
};

BPF_TABLE("percpu_array", u32, u64, lost, MAX_LOST_CAUSES);

static __always_inline void lost_add(u32 cause, u64 more)
{
	u64 *count = lost.lookup(&cause);

	if (count)
		*count += more;
}

static __always_inline void lost_count(u32 cause)
{
	lost_add(cause, 1);
}

#endif
