// SPDX-License-Identifier: GPL-2.0
/* Puts during writeback, by the filesystem's real flusher or by a task that syncs a file. */
#include <linux/kthread.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "lab.h"

/* Has the flusher write all of the superblock, and waits for it, as sync(2) does. */
static void lab_flush(struct super_block *sb)
{
	down_read(&sb->s_umount);
	writeback_inodes_sb(sb, WB_REASON_SYNC);
	up_read(&sb->s_umount);
}

static int lab_flush_thread(void *data)
{
	lab_flush(data);
	return 0;
}

/* A dirty file whose only reference the caller has. */
static struct inode *lab_new_dirty_file(struct super_block *sb, unsigned int nlink)
{
	struct inode *inode = lab_new_file(sb, nlink);
	int error;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	i_size_write(inode, PAGE_SIZE);
	error = lab_dirty_first_page(inode->i_mapping);
	if (!error)
		return inode;
	lab_discard(inode);
	return ERR_PTR(error);
}

/*
 * The put of the very inode that is being written: eviction waits for that write to end, which
 * is this task's own (inode_wait_for_writeback()). So CephFS put its inodes, once the dentry
 * and everyone else had let go.
 */
LAB_PUT_IN(writeback_self)
static void lab_put_self(struct lab_inode *li)
{
	struct completion *returned = li->returned;

	complete(li->reached);
	lab_put_in_writeback_self(&li->vfs);
	complete(returned);
}

LAB_SCENARIO(writeback_self)
{
	/* Never freed: the flusher holds on to it for ever. */
	struct completion *waits = kcalloc(2, sizeof(*waits), GFP_KERNEL);
	struct task_struct *thread;
	struct inode *inode;

	if (!waits)
		return -ENOMEM;
	inode = lab_new_dirty_file(sb, 0);
	if (IS_ERR(inode)) {
		kfree(waits);
		return PTR_ERR(inode);
	}
	init_completion(&waits[0]);
	init_completion(&waits[1]);
	LAB_I(inode)->reached = &waits[0];
	LAB_I(inode)->returned = &waits[1];
	LAB_I(inode)->on_writepages = lab_put_self;
	/* Whoever asks for the write will wait for ever too. */
	thread = kthread_run(lab_flush_thread, sb, "lastref_lab_sync");
	if (IS_ERR(thread)) {
		LAB_I(inode)->on_writepages = NULL;
		lab_discard(inode);
		kfree(waits);
		return PTR_ERR(thread);
	}
	wait_for_completion(&waits[0]);
	/* It must not come back; if it does, this kernel behaves otherwise than we claim. */
	return wait_for_completion_timeout(&waits[1], HZ / 2) ? -EIO : LAB_STUCK;
}

/* A dirty file that stays, and an unlinked one for the hook at the given slot to put. */
static struct inode *lab_new_pair(struct super_block *sb)
{
	struct inode *written = lab_new_dirty_file(sb, 1);

	if (IS_ERR(written))
		return written;
	LAB_I(written)->victim = lab_new_file(sb, 0);
	if (LAB_I(written)->victim)
		return written;
	lab_discard(written);
	return ERR_PTR(-ENOMEM);
}

LAB_PUT_IN(writeback_other)
static void lab_put_other(struct lab_inode *li)
{
	lab_put_in_writeback_other(li->victim);
}

LAB_SCENARIO(writeback_other)
{
	struct inode *written = lab_new_pair(sb);

	if (IS_ERR(written))
		return PTR_ERR(written);
	LAB_I(written)->on_writepages = lab_put_other;
	lab_flush(sb);
	lab_discard(written);
	return 0;
}

LAB_PUT_IN(fsync_other)
static void lab_put_other_in_fsync(struct lab_inode *li)
{
	lab_put_in_fsync_other(li->victim);
}

LAB_SCENARIO(fsync_other)
{
	struct inode *written = lab_new_pair(sb);
	int error;

	if (IS_ERR(written))
		return PTR_ERR(written);
	LAB_I(written)->on_writepages = lab_put_other_in_fsync;
	/* The heart of fsync(2) on the file. */
	error = filemap_write_and_wait(written->i_mapping);
	lab_discard(written);
	return error;
}

/* In the flusher, while it writes an inode's metadata: outside ->writepages. */
LAB_PUT_IN(flusher_write_inode)
static void lab_put_other_in_write_inode(struct lab_inode *li)
{
	lab_put_in_flusher_write_inode(li->victim);
}

LAB_SCENARIO(flusher_write_inode)
{
	struct inode *written = lab_new_pair(sb);

	if (IS_ERR(written))
		return PTR_ERR(written);
	LAB_I(written)->on_write_inode = lab_put_other_in_write_inode;
	mark_inode_dirty(written);
	lab_flush(sb);
	lab_discard(written);
	return 0;
}
