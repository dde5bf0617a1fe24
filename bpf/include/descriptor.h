/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From the file descriptor of a system call to its socket: the way of kernels that hand none over.
 */
#ifndef MESHLENS_DESCRIPTOR_H
#define MESHLENS_DESCRIPTOR_H

#include "view.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* The socket behind a file descriptor of the task that runs now, NULL when it is none. */
static __always_inline void *sock_of(void *task, u32 fd)
{
	void *files = LOAD(void *, task, OFF_task_struct__files), *table, *file, *inode, *socket;

	table = READ(void *, files, OFF_files_struct__fdt);
	if (fd >= READ(u32, table, OFF_fdtable__max_fds))
		return NULL;
	file = READ(void *, READ(void *, table, OFF_fdtable__fd), fd * sizeof(void *));
	inode = file ? READ(void *, file, OFF_file__f_inode) : NULL;
	if (!inode || (READ(u16, inode, OFF_inode__i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = READ(void *, file, OFF_file__private_data);
	return READ(void *, socket, OFF_socket__sk);
}

/* Which descriptor a call works on and in which direction; -1 for one that moves no bytes of a socket. */
static __always_inline int descriptor_of(u64 number, u64 first, u64 third, bool *sent)
{
	switch (number) {
	case CALL_WRITE:
	case CALL_WRITEV:
	case CALL_PWRITEV2:
	case CALL_SENDTO:
	case CALL_SENDMSG:
	case CALL_SENDMMSG:
	case CALL_SENDFILE:
		*sent = true;
		return first;
	case CALL_SPLICE:
		*sent = true;
		return third;
	case CALL_READ:
	case CALL_READV:
	case CALL_PREADV2:
	case CALL_RECVFROM:
	case CALL_RECVMSG:
	case CALL_RECVMMSG:
		*sent = false;
		return first;
	}
	return -1;
}

#endif
