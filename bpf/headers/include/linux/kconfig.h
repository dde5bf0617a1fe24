/* SPDX-License-Identifier: GPL-2.0 */
/* Stands in for the kernel's build configuration: bcc includes it before anything else. */
#pragma once
#define CONFIG_BPF_SYSCALL 1
