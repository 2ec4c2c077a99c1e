// SPDX-License-Identifier: GPL-2.0
/* Puts that wait for themselves and never come back. */
#include <linux/kthread.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "lab.h"

/* Has a thread of its own run into the put, which tells li->reached before and li->returned after. */
int lab_expect_stuck(struct inode *inode, int (*function)(void *inode))
{
	/* Never freed: the thread holds on to it for ever. */
	struct completion *waits = kcalloc(2, sizeof(*waits), GFP_KERNEL);
	struct task_struct *thread;

	if (!waits) {
		lab_discard(inode);
		return -ENOMEM;
	}
	init_completion(&waits[0]);
	init_completion(&waits[1]);
	LAB_I(inode)->reached = &waits[0];
	LAB_I(inode)->returned = &waits[1];
	thread = kthread_run(function, inode, "lastref_lab_hang");
	if (IS_ERR(thread)) {
		lab_discard(inode);
		kfree(waits);
		return PTR_ERR(thread);
	}
	wait_for_completion(&waits[0]);
	/* It must not come back; if it does, this kernel behaves otherwise than we claim. */
	return wait_for_completion_timeout(&waits[1], HZ / 2) ? -EIO : LAB_STUCK;
}

/*
 * The hook puts the very inode that is being written: eviction waits for that write to end, which
 * is this task's own (inode_wait_for_writeback()). So CephFS put its inodes, once the dentry and
 * everyone else had let go. Whoever asked a flusher for the write waits for ever, too.
 */
#define LAB_PUT_SELF(scenario, slot, write)				\
	LAB_PUT_IN(scenario)						\
	static void lab_hook_##scenario(struct lab_inode *li)		\
	{								\
		struct completion *returned = li->returned;		\
									\
		complete(li->reached);					\
		lab_put_in_##scenario(&li->vfs);			\
		complete(returned);					\
	}								\
	static int lab_thread_##scenario(void *data)			\
	{								\
		struct inode *inode = data;				\
									\
		write;							\
		return 0;						\
	}								\
	LAB_SCENARIO(scenario)						\
	{								\
		struct inode *inode;					\
		int result = -ENOMEM;					\
									\
		lab_begin_flush(sb);					\
		inode = lab_new_dirty_file(sb, 0);			\
		if (inode) {						\
			LAB_I(inode)->slot = lab_hook_##scenario;	\
			result = lab_expect_stuck(inode, lab_thread_##scenario); \
		}							\
		lab_end_flush(sb);					\
		return result;						\
	}

LAB_PUT_SELF(writeback_self, on_writepages, lab_flush(inode->i_sb))
LAB_PUT_SELF(sync_self, on_writepages, lab_sync(inode->i_sb))
/* Without a flusher, as fsync(2) of filesystems does that write the inode with its pages. */
LAB_PUT_SELF(sync_inode_self, on_writepages, write_inode_now(inode, 1))
/* The same put where no pages are written, but the inode is. */
LAB_PUT_SELF(write_inode_self, on_write_inode,
	     mark_inode_dirty(inode); sync_inode_metadata(inode, 1))

/* The caller holds a lock that the filesystem's ->evict_inode takes. */
static void lab_take_lock(struct lab_inode *li)
{
	/*
	 * A subclass of its own, as for locks that nest along a hierarchy: lockdep, which would
	 * report this and know no locks from then on, believes it.
	 */
	mutex_lock_nested(&li->lock, SINGLE_DEPTH_NESTING);
	mutex_unlock(&li->lock);
}

LAB_PUT_IN(evict_lock)
static int lab_thread_evict_lock(void *data)
{
	struct lab_inode *li = LAB_I(data);
	struct completion *returned = li->returned;

	mutex_lock(&li->lock);
	complete(li->reached);
	lab_put_in_evict_lock(&li->vfs);
	complete(returned);
	return 0;
}

LAB_SCENARIO(evict_lock)
{
	struct inode *inode = lab_new_file(sb, 0);

	if (!inode)
		return -ENOMEM;
	LAB_I(inode)->on_evict = lab_take_lock;
	return lab_expect_stuck(inode, lab_thread_evict_lock);
}
