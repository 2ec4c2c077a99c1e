// SPDX-License-Identifier: GPL-2.0
/* Puts by a task that holds a sleeping lock: the module's own, the inode's, the superblock's. */
#include <linux/mutex.h>

#include "lab.h"

static DEFINE_MUTEX(lab_mutex);

LAB_PUT_IN(mutex_held)
LAB_SCENARIO(mutex_held)
{
	struct inode *inode = lab_new_file(sb, 0);

	if (!inode)
		return -ENOMEM;
	mutex_lock(&lab_mutex);
	lab_put_in_mutex_held(inode);
	mutex_unlock(&lab_mutex);
	return 0;
}

/*
 * The inode's own locks are let go at the start of its eviction: after the put it is gone. A
 * filesystem whose ->evict_inode takes the lock instead would wait for itself.
 */
static void lab_release_i_rwsem(struct lab_inode *li)
{
	inode_unlock(&li->vfs);
}

LAB_PUT_IN(own_i_rwsem)
LAB_SCENARIO(own_i_rwsem)
{
	struct inode *inode = lab_new_file(sb, 0);

	if (!inode)
		return -ENOMEM;
	LAB_I(inode)->on_evict = lab_release_i_rwsem;
	inode_lock(inode);
	lab_put_in_own_i_rwsem(inode);
	return 0;
}

static void lab_release_invalidate_lock(struct lab_inode *li)
{
	lab_invalidate_unlock(li->vfs.i_mapping);
}

LAB_PUT_IN(own_invalidate_lock)
LAB_SCENARIO(own_invalidate_lock)
{
	struct inode *inode = lab_new_file(sb, 0);

	if (!inode)
		return -ENOMEM;
	LAB_I(inode)->on_evict = lab_release_invalidate_lock;
	lab_invalidate_lock(inode->i_mapping);
	lab_put_in_own_invalidate_lock(inode);
	return 0;
}

LAB_PUT_IN(s_umount_held)
LAB_SCENARIO(s_umount_held)
{
	struct inode *inode = lab_new_file(sb, 0);

	if (!inode)
		return -ENOMEM;
	down_write(&sb->s_umount);
	lab_put_in_s_umount_held(inode);
	up_write(&sb->s_umount);
	return 0;
}
