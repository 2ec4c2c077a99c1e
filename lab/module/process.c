// SPDX-License-Identifier: GPL-2.0
/* Puts by a user's task that holds nothing and is in no special context. */
#include <linux/sched/mm.h>

#include "lab.h"

LAB_PUT_IN(process_unlinked)
LAB_SCENARIO(process_unlinked)
{
	struct inode *inode = lab_new_file(sb, 0);

	if (!inode)
		return -ENOMEM;
	lab_put_in_process_unlinked(inode);
	return 0;
}

/* Kept on the LRU until the mount goes. */
LAB_PUT_IN(process_linked)
LAB_SCENARIO(process_linked)
{
	struct inode *inode = lab_new_file(sb, 1);

	if (!inode)
		return -ENOMEM;
	lab_put_in_process_linked(inode);
	return 0;
}

/*
 * One of two references: no report may name this function. In a NOFS scope, where a put that was
 * taken for the last one would be a finding.
 */
LAB_PUT_IN(process_nonfinal)
LAB_SCENARIO(process_nonfinal)
{
	struct inode *inode = lab_new_file(sb, 0);
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	ihold(inode);
	flags = memalloc_nofs_save();
	lab_put_in_process_nonfinal(inode);
	memalloc_nofs_restore(flags);
	lab_discard(inode);
	return 0;
}

/* The eviction of one inode makes the last put of another. */
LAB_PUT_IN(process_nested)
static void lab_put_nested(struct lab_inode *li)
{
	lab_put_in_process_nested(li->victim);
}

LAB_SCENARIO(process_nested)
{
	struct inode *outer = lab_new_file(sb, 0);
	struct inode *inner = lab_new_file(sb, 0);

	if (!outer || !inner) {
		lab_discard(outer);
		lab_discard(inner);
		return -ENOMEM;
	}
	LAB_I(outer)->victim = inner;
	LAB_I(outer)->on_evict = lab_put_nested;
	lab_discard(outer);
	return 0;
}

/* iput(NULL) is allowed and does nothing: no report may name this function, either. */
LAB_PUT_IN(null_inode)
LAB_SCENARIO(null_inode)
{
	unsigned int flags = memalloc_nofs_save();

	lab_put_in_null_inode(NULL);
	memalloc_nofs_restore(flags);
	return 0;
}
