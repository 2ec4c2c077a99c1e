// SPDX-License-Identifier: GPL-2.0
/* Puts during writeback, by the filesystem's real flusher or by a task that syncs a file. */
#include <linux/writeback.h>

#include "lab.h"

/*
 * A flusher writes an inode when it is asked to, or when it finds by itself that there is something
 * to write. In the latter case it holds s_umount (trylock_super(), fs/fs-writeback.c), or passes the
 * superblock by where it can't have it. So only a flusher that was asked to writes.
 */
void lab_begin_flush(struct super_block *sb)
{
	down_write(&sb->s_umount);
}

void lab_flush(struct super_block *sb)
{
	writeback_inodes_sb(sb, WB_REASON_SYNC);
}

void lab_sync(struct super_block *sb)
{
	sync_inodes_sb(sb);
}

void lab_end_flush(struct super_block *sb)
{
	up_write(&sb->s_umount);
}

/* A dirty file that stays, and an unlinked one for a hook to put. */
static struct inode *lab_new_pair(struct super_block *sb)
{
	struct inode *written = lab_new_dirty_file(sb, 1);

	if (!written)
		return NULL;
	LAB_I(written)->victim = lab_new_file(sb, 0);
	if (LAB_I(written)->victim)
		return written;
	lab_discard(written);
	return NULL;
}

/* The hook puts another inode than the one that is written between `begin` and `end`. */
#define LAB_PUT_OTHER(scenario, slot, begin, write, end)		\
	LAB_PUT_IN(scenario)						\
	static void lab_hook_##scenario(struct lab_inode *li)		\
	{								\
		lab_put_in_##scenario(li->victim);			\
	}								\
	LAB_SCENARIO(scenario)						\
	{								\
		struct inode *written;					\
		int error = 0;						\
									\
		begin;							\
		written = lab_new_pair(sb);				\
		if (written) {						\
			LAB_I(written)->slot = lab_hook_##scenario;	\
			write;						\
		}							\
		end;							\
		if (!written)						\
			return -ENOMEM;					\
		if (xchg(&LAB_I(written)->slot, NULL)) {		\
			lab_discard(LAB_I(written)->victim);		\
			error = -EAGAIN;				\
		}							\
		lab_discard(written);					\
		return error;						\
	}

#define LAB_FLUSHER_PUTS_OTHER(scenario, slot, write)			\
	LAB_PUT_OTHER(scenario, slot, lab_begin_flush(sb), write, lab_end_flush(sb))

LAB_FLUSHER_PUTS_OTHER(writeback_other, on_writepages, lab_flush(sb))
LAB_FLUSHER_PUTS_OTHER(sync_other, on_writepages, lab_sync(sb))
/* In the flusher, while it writes an inode's metadata: outside ->writepages. */
LAB_FLUSHER_PUTS_OTHER(flusher_write_inode, on_write_inode,
		       mark_inode_dirty(written); lab_flush(sb))
/* The heart of fsync(2) on the file. */
LAB_PUT_OTHER(fsync_other, on_writepages, LAB_NOTHING,
	      error = filemap_write_and_wait(written->i_mapping), LAB_NOTHING)

/*
 * Writing a file's pages does not set I_SYNC (mm/filemap.c), so the eviction does not wait for
 * it, and comes back. The file is gone before its write is over: only its memory outlives it here.
 */
LAB_PUT_IN(fsync_self)
static void lab_put_self_in_fsync(struct lab_inode *li)
{
	lab_put_in_fsync_self(&li->vfs);
}

LAB_SCENARIO(fsync_self)
{
	struct inode *inode = lab_new_dirty_file(sb, 0);
	int error;

	if (!inode)
		return -ENOMEM;
	lab_keep_memory(inode);
	LAB_I(inode)->on_writepages = lab_put_self_in_fsync;
	error = filemap_write_and_wait(inode->i_mapping);
	if (xchg(&LAB_I(inode)->on_writepages, NULL)) {
		lab_discard(inode);
		error = -EAGAIN;
	}
	lab_put_memory(inode);
	return error;
}
