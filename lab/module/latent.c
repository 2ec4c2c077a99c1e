// SPDX-License-Identifier: GPL-2.0
/*
 * Puts of inodes that others hold as well, mostly unused dentries alone: they go well until the
 * dentry cache has been shrunk, and do then what they would do as last ones.
 */
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>

#include "lab.h"

static DEFINE_SPINLOCK(lab_spinlock);
/* One scenario runs at a time. */
static unsigned long lab_flags;

#define LAB_UNUSED LAB_HELD_BY(.names = 1)

static struct inode *lab_new_linked_file(struct super_block *sb)
{
	return lab_new_file(sb, 1);
}

/* A scenario in which `call` makes the put of a cached inode and returns an error, or 0. */
#define LAB_CACHED_CALL(scenario, new_inode, holders, call)		\
	LAB_SCENARIO(scenario)						\
	{								\
		struct lab_cached cached;				\
		int error = lab_cache(&cached, sb, new_inode, holders);	\
		struct inode *inode = cached.inode;			\
									\
		if (error)						\
			return error;					\
		error = (call);						\
		lab_uncache(&cached);					\
		return error;						\
	}

/* The put is made between some statements and others. */
#define LAB_CACHED(scenario, new_inode, holders, before, after)		\
	LAB_PUT_IN(scenario)						\
	LAB_CACHED_CALL(scenario, new_inode, holders, ({		\
		before;							\
		lab_put_in_##scenario(inode);				\
		after;							\
		0;							\
	}))

/* It is made by another file's function. */
#define LAB_CACHED_BY(scenario, new_inode, function)			\
	LAB_PUT_IN(scenario)						\
	LAB_CACHED_CALL(scenario, new_inode, LAB_UNUSED,		\
			function(inode, lab_put_in_##scenario))

/* Whoever evicts the inode releases its lock; while it is there, the caller does. */
#define LAB_CACHED_OWN_LOCK(scenario, holders, release, lock, unlock)	\
	LAB_CACHED(scenario, lab_new_linked_file, holders,		\
		   LAB_I(inode)->on_evict = release; lock,		\
		   if (xchg(&LAB_I(inode)->on_evict, NULL)) unlock)

#define LAB_CACHED_SPINLOCK(scenario, holders)				\
	LAB_CACHED(scenario, lab_new_atomic_file, holders,		\
		   spin_lock(&lab_spinlock), spin_unlock(&lab_spinlock))

#define LAB_CACHED_I_RWSEM(scenario, holders)				\
	LAB_CACHED_OWN_LOCK(scenario, holders, lab_release_i_rwsem,	\
			    inode_lock(inode), inode_unlock(inode))

/* Held by an unused dentry, in every context. */
LAB_CACHED(latent_process, lab_new_linked_file, LAB_UNUSED, LAB_NOTHING, LAB_NOTHING)
LAB_CACHED(latent_nofs, lab_new_linked_file, LAB_UNUSED,
	   unsigned int flags = memalloc_nofs_save(), memalloc_nofs_restore(flags))
LAB_CACHED_SPINLOCK(latent_spinlock, LAB_UNUSED)
LAB_CACHED(latent_spinlock_irqsave, lab_new_atomic_file, LAB_UNUSED,
	   spin_lock_irqsave(&lab_spinlock, lab_flags),
	   spin_unlock_irqrestore(&lab_spinlock, lab_flags))
LAB_CACHED(latent_preempt_disable, lab_new_atomic_file, LAB_UNUSED,
	   preempt_disable(), preempt_enable())
LAB_CACHED(latent_bh_disable, lab_new_atomic_file, LAB_UNUSED,
	   local_bh_disable(), local_bh_enable())
LAB_CACHED(latent_rcu_reader, lab_new_atomic_file, LAB_UNUSED,
	   rcu_read_lock(), rcu_read_unlock())
LAB_CACHED_BY(latent_softirq, lab_new_atomic_file, lab_softirq)
LAB_CACHED_BY(latent_hardirq, lab_new_atomic_file, lab_hardirq)
LAB_CACHED_I_RWSEM(latent_own_i_rwsem, LAB_UNUSED)
LAB_CACHED_OWN_LOCK(latent_own_invalidate_lock, LAB_UNUSED, lab_release_invalidate_lock,
		    lab_invalidate_lock(inode->i_mapping), lab_invalidate_unlock(inode->i_mapping))
LAB_CACHED_BY(latent_bio_end_io_worker, lab_new_linked_file, lab_bio_worker)
LAB_CACHED_BY(latent_ext4_handle, lab_new_linked_file, lab_ext4_request)

/* What a task inside a transaction looks like; nothing below looks into the handle. */
LAB_CACHED(latent_journal_info, lab_new_linked_file, LAB_UNUSED,
	   void *saved = current->journal_info; current->journal_info = inode,
	   current->journal_info = saved)

static int lab_put_with_2k_left(struct inode *inode, lab_put put)
{
	lab_descend(inode, 2048 - 256, put);
	return 0;
}

LAB_CACHED_BY(latent_low_stack, lab_new_atomic_file, lab_put_with_2k_left)

/* Held by others, too, or by more dentries: where nothing may sleep, and where it may. */
#define LAB_HELD_OTHERWISE(how, holders)				\
	LAB_CACHED_SPINLOCK(latent_spinlock_##how, holders)		\
	LAB_CACHED_I_RWSEM(latent_own_i_rwsem_##how, holders)

/* The dentry of an open file is in use. */
LAB_HELD_OTHERWISE(open, LAB_HELD_BY(.names = 1, .open = true))
LAB_HELD_OTHERWISE(open_gone, LAB_HELD_BY(.names = 1, .open = true, .unhashed = true,
					  .unlinked = true))
LAB_HELD_OTHERWISE(other, LAB_HELD_BY(.names = 1, .other = true))
LAB_HELD_OTHERWISE(links, LAB_HELD_BY(.names = 3))
LAB_HELD_OTHERWISE(links_16, LAB_HELD_BY(.names = 16))
LAB_HELD_OTHERWISE(links_17, LAB_HELD_BY(.names = 17))
LAB_HELD_OTHERWISE(negative, LAB_HELD_BY(.names = 1, .negative = true))
LAB_HELD_OTHERWISE(unhashed, LAB_HELD_BY(.names = 1, .unhashed = true))

/* Whether a hook is still to run: then it did not make the put, which this makes good for. */
static int lab_check_hook_ran(lab_hook *slot, struct inode *inode)
{
	if (!xchg(slot, NULL))
		return 0;
	lab_discard(inode);
	return -EAGAIN;
}

/* A flusher writes another inode. */
LAB_PUT_IN(latent_writeback_other)
static void lab_put_victim(struct lab_inode *li)
{
	lab_put_in_latent_writeback_other(li->victim);
}

static int lab_write_other(struct super_block *sb, struct inode *inode)
{
	struct inode *written;
	int error;

	lab_begin_flush(sb);
	written = lab_new_dirty_file(sb, 1);
	if (written) {
		LAB_I(written)->victim = inode;
		LAB_I(written)->on_writepages = lab_put_victim;
		lab_flush(sb);
	}
	lab_end_flush(sb);
	if (!written) {
		lab_discard(inode);
		return -ENOMEM;
	}
	error = lab_check_hook_ran(&LAB_I(written)->on_writepages, inode);
	lab_discard(written);
	return error;
}

LAB_CACHED_CALL(latent_writeback_other, lab_new_linked_file, LAB_UNUSED,
		lab_write_other(sb, inode))

/* A task writes the very inode's pages. */
LAB_PUT_IN(latent_fsync_self)
static void lab_put_self_in_fsync(struct lab_inode *li)
{
	lab_put_in_latent_fsync_self(&li->vfs);
}

static int lab_write_self(struct inode *inode)
{
	int error = lab_dirty(inode);

	LAB_I(inode)->on_writepages = lab_put_self_in_fsync;
	if (!error)
		error = filemap_write_and_wait(inode->i_mapping);
	return lab_check_hook_ran(&LAB_I(inode)->on_writepages, inode) ?: error;
}

LAB_CACHED_CALL(latent_fsync_self, lab_new_linked_file, LAB_UNUSED, lab_write_self(inode))

/* The flusher writes the very inode: as CephFS put its inodes. The last put hangs. */
LAB_PUT_IN(latent_writeback_self)
static void lab_put_self_in_flusher(struct lab_inode *li)
{
	struct completion *returned = li->returned;

	if (returned)
		complete(li->reached);
	lab_put_in_latent_writeback_self(&li->vfs);
	if (returned)
		complete(returned);
}

static int lab_thread_latent_writeback_self(void *data)
{
	struct inode *inode = data;

	lab_flush(inode->i_sb);
	return 0;
}

LAB_SCENARIO(latent_writeback_self)
{
	struct lab_cached cached;
	int error = lab_cache(&cached, sb, lab_new_linked_file, LAB_UNUSED);
	struct inode *inode = cached.inode;
	bool final;

	if (error)
		return error;
	lab_begin_flush(sb);
	error = lab_dirty(inode);
	LAB_I(inode)->on_writepages = lab_put_self_in_flusher;
	final = !error && atomic_read(&inode->i_count) == 1;
	if (final)
		error = lab_expect_stuck(inode, lab_thread_latent_writeback_self);
	else
		lab_flush(sb);
	lab_end_flush(sb);
	if (final)
		return error;
	error = lab_check_hook_ran(&LAB_I(inode)->on_writepages, inode) ?: error;
	lab_uncache(&cached);
	return error;
}
