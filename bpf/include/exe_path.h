/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The path of the program that a task executes, as the task itself would name it: from its own root.
 *
 * No helper gives it in a tracepoint, so the dentries are walked from the file up to the root, over mount points, and
 * the path is written from its end towards its beginning. A path longer than PATH_BYTES - 1 keeps its end and so does
 * not begin with a slash.
 */
#ifndef MESHLENS_EXE_PATH_H
#define MESHLENS_EXE_PATH_H

#include "kernel_read.h"

#define PATH_BYTES 128
#define PATH_DEPTH 24
#define NAME_MASK 63 /* of a longer name, its first 63 bytes */
#define PATH_END 255

struct path_walk {
	char text[512]; /* the path ends before PATH_END */
	u32 start; /* and begins here */
};

BPF_PERCPU_ARRAY(path_scratch, struct path_walk, 1);

static __always_inline u32 prepend(struct path_walk *walk, u32 at, void *dentry)
{
	u32 length = READ(u32, dentry, OFF_dentry__d_name + OFF_qstr__len);
	void *name = READ(void *, dentry, OFF_dentry__d_name + OFF_qstr__name);

	if (length > NAME_MASK)
		length = NAME_MASK;
	if (at < length + 1)
		return at;
	at -= length;
	asm volatile("%0 &= 255" : "+r"(at));
	asm volatile("%0 &= 63" : "+r"(length));
	bpf_probe_read_kernel(&walk->text[at], length, name);
	at -= 1;
	asm volatile("%0 &= 255" : "+r"(at));
	walk->text[at] = '/';
	return at;
}

static __always_inline struct path_walk *exe_path(void *task)
{
	u32 zero = 0, at = PATH_END;
	struct path_walk *walk = path_scratch.lookup(&zero);
	void *mm = READ(void *, task, OFF_task_struct__mm);
	void *file = mm ? READ(void *, mm, OFF_mm_struct__exe_file) : NULL;
	void *fs = READ(void *, task, OFF_task_struct__fs);
	void *dentry, *parent, *vfsmount, *mount, *root, *root_mount;

	if (!walk || !file)
		return NULL;
	root = fs ? READ(void *, fs, OFF_fs_struct__root + OFF_path__dentry) : NULL;
	root_mount = fs ? READ(void *, fs, OFF_fs_struct__root + OFF_path__mnt) : NULL;
	dentry = READ(void *, file, OFF_file__f_path + OFF_path__dentry);
	vfsmount = READ(void *, file, OFF_file__f_path + OFF_path__mnt);
	walk->text[PATH_END] = 0;
	for (int i = 0; i < PATH_DEPTH; i++) {
		if (dentry == root && vfsmount == root_mount)
			break;
		parent = READ(void *, dentry, OFF_dentry__d_parent);
		if (parent && parent != dentry) {
			at = prepend(walk, at, dentry);
			dentry = parent;
			continue;
		}
		mount = vfsmount - OFF_mount__mnt;
		parent = READ(void *, mount, OFF_mount__mnt_parent);
		if (!parent || parent == mount)
			break;
		dentry = READ(void *, mount, OFF_mount__mnt_mountpoint);
		vfsmount = parent + OFF_mount__mnt;
	}
	walk->start = at;
	return walk;
}

#endif
