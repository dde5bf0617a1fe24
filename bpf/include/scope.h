/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who is observed: a process is in scope when, and only when, its thread group id is in `instances`.
 *
 * The map is filled at fork, exec and exit (process_lifetime.c) and once at start for what ran before. Its value names
 * the instance: the program that one exec started, together with the processes that it forked without another exec.
 * Every probe asks scope_instance() first and does nothing for a process that is not ours to see.
 */
#ifndef MESHLENS_SCOPE_H
#define MESHLENS_SCOPE_H

#define MAX_PROCESSES 32768

struct instance_ref {
	u32 instance; /* given out at exec, never 0, never used twice within an epoch */
	u32 leader_tgid; /* the process that executed the program */
};

BPF_F_TABLE("hash", u32, struct instance_ref, instances, MAX_PROCESSES, BPF_F_NO_PREALLOC);

/* The instance of a process, 0 when it is out of scope. */
static __always_inline u32 scope_instance_of(u32 tgid)
{
	struct instance_ref *found = instances.lookup(&tgid);

	return found ? found->instance : 0;
}

/* The instance of the process that runs now, 0 when it is out of scope (or when nobody's work is being done). */
static __always_inline u32 scope_instance(void)
{
	return scope_instance_of(bpf_get_current_pid_tgid() >> 32);
}

#endif
