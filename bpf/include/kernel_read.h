/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fields of kernel structures at the offsets that the running kernel's BTF gives: READ(u32, task, OFF_task_struct__tgid).
 */
#ifndef MESHLENS_KERNEL_READ_H
#define MESHLENS_KERNEL_READ_H

#define READ(type, base, offset)                                                                                       \
	({                                                                                                             \
		type _value = 0;                                                                                       \
		bpf_probe_read_kernel(&_value, sizeof(_value), (char *)(base) + (offset));                             \
		_value;                                                                                                \
	})

#endif
