/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Maps that all programs of a node share and that outlive probe-manager: the loader (kernel.py) makes each map once by
 * its name, pins it in bpffs, and hands it to every probe that declares it alike.
 */
#ifndef MESHLENS_PINNED_H
#define MESHLENS_PINNED_H

#define PINNED(kind, key, leaf, name, entries) BPF_TABLE(kind, key, leaf, name, entries)

/* Allocated as it fills: for maps that are large at most and small as a rule. */
#define PINNED_LAZY(kind, key, leaf, name, entries) BPF_F_TABLE(kind, key, leaf, name, entries, BPF_F_NO_PREALLOC)

#endif
