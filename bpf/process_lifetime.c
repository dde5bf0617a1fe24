// SPDX-License-Identifier: GPL-2.0
/*
 * Which processes are in scope, which program does each run, and when do they begin and end?
 *
 * hooks:   raw tracepoints sched_process_fork, sched_process_exec, sched_process_exit, cgroup_attach_task;
 *          iterator task (once, at start)
 * emits:   maps instances (process -> instance) and families (instance -> what it is)
 * kernel:  6.1 (iterators; maps that grow in tracing programs)
 * cost:    6 us for each exec in scope, 1 to 2 us for each fork, exit and other exec; nothing between them
 * misses:  a process that enters a network namespace and executes nothing there; under the scope `tree`,
 *          orphans that were handed to init before meshlens started
 */
#include "family.h"
#include "iterators.h"

#ifndef BIT_task_struct__in_execve /* its first bit, where that is not the first of its byte */
#define BIT_task_struct__in_execve 0
#endif

RAW_TRACEPOINT_PROBE(sched_process_fork)
{
	void *parent = (void *)ctx->args[0], *child = (void *)ctx->args[1];
	u32 tgid = READ(u32, child, OFF_task_struct__tgid), parent_tgid = READ(u32, parent, OFF_task_struct__tgid);
	struct instance_ref *ref;

	if (tgid == parent_tgid) /* a thread */
		return 0;
	ref = instances.lookup(&parent_tgid);
	if (ref)
		family_join(tgid, ref);
	else if (scope_kinds_wanted() & SCOPE_CGROUP && below_marked_cgroup(cgroup_of(child)))
		family_begin(child, tgid, 0, true); /* clone3() into a cgroup */
	return 0;
}

static __always_inline u32 parent_of(void *task)
{
	void *parent = READ(void *, task, OFF_task_struct__real_parent);

	return READ(u32, parent, OFF_task_struct__tgid);
}

RAW_TRACEPOINT_PROBE(sched_process_exec)
{
	void *task = (void *)ctx->args[0];
	u32 tgid = READ(u32, task, OFF_task_struct__tgid), kinds = scope_kinds_wanted();
	u32 before = scope_instance_of(tgid), parent = before;

	if (!before && kinds & SCOPE_TREE) /* the iterator passed it by in the middle of this exec */
		parent = scope_instance_of(parent_of(task));
	if ((parent && kinds & SCOPE_TREE) || wanted(task, tgid, kinds))
		family_begin(task, tgid, parent, false);
	else if (before)
		instances.delete(&tgid);
	if (before)
		family_leave(before);
	return 0;
}

RAW_TRACEPOINT_PROBE(sched_process_exit)
{
	void *task = (void *)ctx->args[0];
	void *signal = READ(void *, task, OFF_task_struct__signal);
	u32 tgid = READ(u32, task, OFF_task_struct__tgid), instance = scope_instance_of(tgid);

	if (!instance || READ(u32, signal, OFF_signal_struct__live) != 0) /* other threads live on */
		return 0;
	instances.delete(&tgid);
	family_leave(instance);
	return 0;
}

/* A process was moved: into the scope, or out of it. */
RAW_TRACEPOINT_PROBE(cgroup_attach_task)
{
	void *task = (void *)ctx->args[2];
	u32 tgid = READ(u32, task, OFF_task_struct__tgid), kinds = scope_kinds_wanted();
	u32 before = scope_instance_of(tgid);
	bool inside;

	if (!(kinds & SCOPE_CGROUP))
		return 0;
	inside = below_marked_cgroup(cgroup_of(task));
	if (inside && !before) {
		family_begin(task, tgid, 0, true);
	} else if (!inside && before && kinds == SCOPE_CGROUP) {
		instances.delete(&tgid);
		family_leave(before);
	}
	return 0;
}

/* In the middle of an exec a task is neither the old program nor the new one; its exec will be seen. */
static __always_inline bool executing(void *task)
{
#ifdef OFF_task_struct__in_execve
	return READ(u8, task, OFF_task_struct__in_execve) >> BIT_task_struct__in_execve & 1;
#else
	return false;
#endif
}

/* What ran before: run it until it adds nobody. */
BPF_ITER(task)
{
	void *task = ctx->task;
	u32 tgid, kinds = scope_kinds_wanted();

	if (!task || !READ(void *, task, OFF_task_struct__mm))
		return 0;
	tgid = READ(u32, task, OFF_task_struct__tgid);
	if (tgid != READ(u32, task, OFF_task_struct__pid) || scope_instance_of(tgid) || executing(task))
		return 0;
	if ((kinds & SCOPE_TREE && scope_instance_of(parent_of(task))) || wanted(task, tgid, kinds))
		family_adopt(task, tgid);
	return 0;
}
