/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An instance: the program that one exec started, with the processes that it forked without another exec.
 *
 * The records stay in the map until user space has published the end of the instance and deletes them, so a
 * probe-manager that is killed and started again misses none, however short-lived.
 */
#ifndef MESHLENS_FAMILY_H
#define MESHLENS_FAMILY_H

#include "lost.h"
#include "membership.h"
#include "scope.h"

#define MAX_FAMILIES 16384
#define ARGUMENT_BYTES 192
#define PF_FORKNOEXEC 0x40

struct family {
	u64 started_ns; /* monotonic clock */
	u64 ended_ns; /* monotonic clock; 0 while it runs */
	u64 cgroup_id;
	s64 processes; /* that are alive */
	u32 pid; /* thread group id of the process that executed the program */
	u32 parent; /* instance that started it, 0 if out of scope */
	u32 netns; /* inode number */
	u32 argument_bytes;
	u32 adopted; /* 1: it ran before meshlens looked */
	u32 unused;
	char comm[16];
	char executable[PATH_BYTES];
	char arguments[ARGUMENT_BYTES]; /* NUL between them; user space keeps only words that name the program */
};

_Static_assert(sizeof(struct family) == 392, "decode.py reads 392 bytes");

BPF_F_TABLE("hash", u32, struct family, families, MAX_FAMILIES, BPF_F_NO_PREALLOC);
BPF_TABLE("array", u32, u64, family_changes, 2); /* [0] the last instance id, [1] grows whenever a record changes */
BPF_F_TABLE("hash", u32, u8, observed_netns, 4096, BPF_F_NO_PREALLOC); /* namespaces in which somebody is in scope */
BPF_PERCPU_ARRAY(family_scratch, struct family, 1);

static __always_inline void family_changed(void)
{
	u32 one = 1;
	u64 *changes = family_changes.lookup(&one);

	if (changes)
		__sync_fetch_and_add(changes, 1);
}

static __always_inline void family_join(u32 tgid, struct instance_ref *ref)
{
	struct instance_ref copy = *ref;
	struct family *family = families.lookup(&copy.instance);

	if (instances.update(&tgid, &copy)) {
		lost_count(LOST_PROCESS_MAP_FULL);
		return;
	}
	if (family)
		__sync_fetch_and_add(&family->processes, 1);
}

static __always_inline void family_leave(u32 instance)
{
	struct family *family = families.lookup(&instance);

	if (family && __sync_fetch_and_add(&family->processes, -1) == 1) {
		family->ended_ns = bpf_ktime_get_ns();
		family_changed();
	}
}

static __always_inline void describe(struct family *family, void *task)
{
	struct path_walk *path = exe_path(task);
	u32 at = path ? path->start : 0;

	family->cgroup_id = cgroup_id(cgroup_of(task));
	family->netns = netns_of(task);
	bpf_probe_read_kernel(family->comm, sizeof(family->comm), (char *)task + OFF_task_struct__comm);
	if (!path)
		return;
	if (at < PATH_END + 1 - PATH_BYTES)
		at = PATH_END + 1 - PATH_BYTES;
	asm volatile("%0 &= 255" : "+r"(at));
	bpf_probe_read_kernel_str(family->executable, sizeof(family->executable), &path->text[at]);
}

/* The arguments can be read only while the task itself runs. */
static __always_inline void read_arguments(struct family *family, void *task)
{
	void *mm = READ(void *, task, OFF_task_struct__mm);
	u64 start = READ(u64, mm, OFF_mm_struct__arg_start), length = READ(u64, mm, OFF_mm_struct__arg_end) - start;

	if (length > ARGUMENT_BYTES)
		length = ARGUMENT_BYTES;
	asm volatile("%0 &= 255" : "+r"(length));
	if (length <= ARGUMENT_BYTES && !bpf_probe_read_user(family->arguments, length, (void *)start))
		family->argument_bytes = length;
}

/* Gives *tgid* a new instance, which *task* describes; returns it, 0 when there is no room. */
static __always_inline u32 family_begin(void *task, u32 tgid, u32 parent, bool adopted)
{
	struct instance_ref ref = {.leader_tgid = tgid};
	u32 zero = 0;
	u8 yes = 1;
	struct family *family = family_scratch.lookup(&zero);
	u64 *last = family_changes.lookup(&zero);

	if (!family || !last)
		return 0;
	ref.instance = __sync_fetch_and_add(last, 1) + 1;
	__builtin_memset(family, 0, sizeof(*family));
	describe(family, task);
	family->pid = tgid;
	family->parent = parent;
	family->processes = 1;
	family->adopted = adopted;
	family->started_ns = adopted ? READ(u64, task, OFF_task_struct__start_time) : bpf_ktime_get_ns();
	if (!adopted)
		read_arguments(family, task);
	if (instances.update(&tgid, &ref)) {
		lost_count(LOST_PROCESS_MAP_FULL);
		return 0;
	}
	observed_netns.update(&family->netns, &yes);
	if (families.update(&ref.instance, family))
		lost_count(LOST_INSTANCE_MAP_FULL);
	family_changed();
	return ref.instance;
}

static __always_inline void *exe_inode(void *task)
{
	void *mm = READ(void *, task, OFF_task_struct__mm);
	void *file = mm ? READ(void *, mm, OFF_mm_struct__exe_file) : NULL;

	return file ? READ(void *, file, OFF_file__f_inode) : NULL;
}

/*
 * A process that ran before. One that never executed anything belongs to its parent's instance, unless the parent has
 * become another program since.
 */
static __always_inline u32 family_adopt(void *task, u32 tgid)
{
	void *parent = READ(void *, task, OFF_task_struct__real_parent);
	u32 parent_tgid = READ(u32, parent, OFF_task_struct__tgid);
	struct instance_ref *ref = instances.lookup(&parent_tgid);

	if (!ref || !(READ(u32, task, OFF_task_struct__flags) & PF_FORKNOEXEC) || exe_inode(task) != exe_inode(parent))
		return family_begin(task, tgid, ref ? ref->instance : 0, true);
	family_join(tgid, ref);
	family_changed();
	return ref->instance;
}

#endif
