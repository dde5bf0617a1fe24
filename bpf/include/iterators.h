/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel hands to an iterator program at each step; at the end of the walk the pointers are NULL.
 */
#ifndef MESHLENS_ITERATORS_H
#define MESHLENS_ITERATORS_H

struct bpf_iter__task {
	void *meta;
	void *task;
};

struct bpf_iter__task_file {
	void *meta;
	void *task;
	u32 fd;
	void *file;
};

/* An element of a map whose keys are socket addresses. */
struct visited_socket {
	void *meta;
	void *map;
	u64 *key;
	void *value;
};

#endif
