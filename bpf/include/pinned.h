/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Maps that all programs of a node share and that outlive probe-manager: they are pinned under PIN_DIR, which the
 * loader defines, so whoever is compiled first creates them and everybody after that adopts them.
 */
#ifndef MESHLENS_PINNED_H
#define MESHLENS_PINNED_H

#ifndef PIN_DIR
#error "PIN_DIR is the folder in bpffs where the maps of this node are pinned; the loader defines it"
#endif

#define PINNED(kind, key, leaf, name, entries) BPF_TABLE_PINNED(kind, key, leaf, name, entries, PIN_DIR "/" #name)

/* Allocated as it fills: for maps that are large at most and small as a rule. */
#define PINNED_LAZY(kind, key, leaf, name, entries)                                                                    \
	BPF_TABLE_PINNED7(kind, key, leaf, name, entries, PIN_DIR "/" #name, BPF_F_NO_PREALLOC)

#endif
