// SPDX-License-Identifier: GPL-2.0
/* Puts by a task whose flags or journal handle forbid what an eviction may do. */
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "lab.h"

LAB_PUT_IN(nofs_scope)
LAB_SCENARIO(nofs_scope)
{
	struct inode *inode = lab_new_file(sb, 0);
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	flags = memalloc_nofs_save();
	lab_put_in_nofs_scope(inode);
	memalloc_nofs_restore(flags);
	return 0;
}

LAB_PUT_IN(noio_scope)
LAB_SCENARIO(noio_scope)
{
	struct inode *inode = lab_new_file(sb, 0);
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	flags = memalloc_noio_save();
	lab_put_in_noio_scope(inode);
	memalloc_noio_restore(flags);
	return 0;
}

/* PF_MEMALLOC without being in reclaim, as in a swap or network block device's path. */
LAB_PUT_IN(memalloc)
LAB_SCENARIO(memalloc)
{
	struct inode *inode = lab_new_file(sb, 0);
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	flags = memalloc_noreclaim_save();
	lab_put_in_memalloc(inode);
	memalloc_noreclaim_restore(flags);
	return 0;
}

/* What a task inside a transaction looks like; nothing below looks into the handle. */
LAB_PUT_IN(journal_info)
LAB_SCENARIO(journal_info)
{
	struct inode *inode = lab_new_file(sb, 0);
	void *saved = current->journal_info;

	if (!inode)
		return -ENOMEM;
	current->journal_info = inode;
	lab_put_in_journal_info(inode);
	current->journal_info = saved;
	return 0;
}
