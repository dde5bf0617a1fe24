/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Did the operator ask to observe this task? The answer is looked for at fork, exec, a move between cgroups, and once
 * at start; everybody else only asks `instances` (scope.h).
 */
#ifndef MESHLENS_MEMBERSHIP_H
#define MESHLENS_MEMBERSHIP_H

#include "exe_path.h"
#define CGROUP_DEPTH 16
#define MAX_PATTERNS 4
#define PATTERN_BYTES 64

/* services/probe_manager/scope.py has the same bits. */
enum scope_kind {
	SCOPE_TREE = 1, /* value: the thread group id of the tree's root */
	SCOPE_CGROUP = 2, /* value: cgroup v2 id, with everything below it */
	SCOPE_NETNS = 4, /* value: inode number of the network namespace */
	SCOPE_EXECUTABLE = 8, /* in scope_patterns */
	SCOPE_PORT = 16, /* value: a port; whoever listens on it joins */
	SCOPE_HOST = 32, /* everybody: only by explicit choice */
	SCOPE_EXCLUDED = 64, /* value: a thread group id that is never observed (probe-manager itself) */
};

struct scope_mark {
	u32 kind;
	u32 unused;
	u64 value;
};

/* A path matches that begins with prefix and ends with suffix; a pattern without a star is all prefix. */
struct scope_pattern {
	u32 prefix_length;
	u32 suffix_length;
	u32 whole;
	char prefix[PATTERN_BYTES];
	char suffix[PATTERN_BYTES];
};

BPF_TABLE("array", u32, u32, scope_kinds, 1);
BPF_TABLE("hash", struct scope_mark, u8, scope_marks, 256);
BPF_TABLE("array", u32, struct scope_pattern, scope_patterns, MAX_PATTERNS);

static __always_inline u32 scope_kinds_wanted(void)
{
	u32 zero = 0, *kinds = scope_kinds.lookup(&zero);

	return kinds ? *kinds : 0;
}

static __always_inline bool marked(u32 kind, u64 value)
{
	struct scope_mark mark = {.kind = kind, .value = value};

	return scope_marks.lookup(&mark) != NULL;
}

static __always_inline u32 netns_of(void *task)
{
	void *nsproxy = READ(void *, task, OFF_task_struct__nsproxy);
	void *net = nsproxy ? READ(void *, nsproxy, OFF_nsproxy__net_ns) : NULL;

	return net ? READ(u32, net, OFF_net__ns + OFF_ns_common__inum) : 0;
}

static __always_inline void *cgroup_of(void *task)
{
	void *set = READ(void *, task, OFF_task_struct__cgroups);

	return set ? READ(void *, set, OFF_css_set__dfl_cgrp) : NULL;
}

static __always_inline u64 cgroup_id(void *cgroup)
{
	void *node = cgroup ? READ(void *, cgroup, OFF_cgroup__kn) : NULL;

	return node ? READ(u64, node, OFF_kernfs_node__id) : 0;
}

static __always_inline bool below_marked_cgroup(void *cgroup)
{
	for (int i = 0; i < CGROUP_DEPTH && cgroup; i++) {
		if (marked(SCOPE_CGROUP, cgroup_id(cgroup)))
			return true;
		cgroup = READ(void *, cgroup, OFF_cgroup__self + OFF_cgroup_subsys_state__parent);
		cgroup = cgroup ? READ(void *, cgroup, OFF_cgroup_subsys_state__cgroup) : NULL;
	}
	return false;
}

/*
 * Whether *length* bytes of the path from *at* on are those of *part*. The length is made opaque at each step: else the
 * compiler folds both ends of the loop into one, which verifiers before 6.8 cannot bound.
 */
static __always_inline bool same_bytes(struct path_walk *path, u32 at, char *part, u32 length)
{
	for (u32 i = 0; i < PATTERN_BYTES; i++) {
		if (i >= length)
			break;
		asm volatile("" : "+r"(length));
		if (path->text[(at + i) & 255] != part[i])
			return false;
	}
	return true;
}

static __always_inline bool path_matches(struct path_walk *path, u32 index)
{
	struct scope_pattern *pattern = scope_patterns.lookup(&index);
	u32 length = PATH_END - path->start;

	if (!pattern || pattern->prefix_length + pattern->suffix_length == 0)
		return false;
	if (length < pattern->prefix_length + pattern->suffix_length)
		return false;
	if (pattern->whole && length != pattern->prefix_length)
		return false;
	return same_bytes(path, path->start, pattern->prefix, pattern->prefix_length) &&
	       same_bytes(path, PATH_END - pattern->suffix_length, pattern->suffix, pattern->suffix_length);
}

static __always_inline bool path_wanted(struct path_walk *path)
{
	for (u32 i = 0; path && i < MAX_PATTERNS; i++)
		if (path_matches(path, i))
			return true;
	return false;
}

/* By what the task is; belonging to a process tree is inherited, not looked up. */
static __always_inline bool wanted(void *task, u32 tgid, u32 kinds)
{
	if (kinds & SCOPE_HOST)
		return !marked(SCOPE_EXCLUDED, tgid);
	if (kinds & SCOPE_TREE && marked(SCOPE_TREE, tgid))
		return true;
	if (kinds & SCOPE_NETNS && marked(SCOPE_NETNS, netns_of(task)))
		return true;
	if (kinds & SCOPE_CGROUP && below_marked_cgroup(cgroup_of(task)))
		return true;
	return kinds & SCOPE_EXECUTABLE && path_wanted(exe_path(task));
}

#endif
