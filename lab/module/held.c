// SPDX-License-Identifier: GPL-2.0
/* Puts by a task that holds sleeping locks: the module's own, an inode's, a superblock's. */
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/percpu-rwsem.h>
#include <linux/rwsem.h>

#include "lab.h"

static DEFINE_MUTEX(lab_mutex);
static DECLARE_RWSEM(lab_rwsem);
static struct percpu_rw_semaphore lab_percpu_rwsem;

#define LAB_HELD(scenario, lock, unlock) \
	LAB_PUT_BETWEEN(scenario, lab_new_file(sb, 0), lock, unlock)

LAB_HELD(mutex_held, mutex_lock(&lab_mutex), mutex_unlock(&lab_mutex))
LAB_HELD(rwsem_read, down_read(&lab_rwsem), up_read(&lab_rwsem))
LAB_HELD(rwsem_write, down_write(&lab_rwsem), up_write(&lab_rwsem))
LAB_HELD(mutex_then_rwsem, mutex_lock(&lab_mutex); down_write(&lab_rwsem),
	 up_write(&lab_rwsem); mutex_unlock(&lab_mutex))
LAB_HELD(percpu_rwsem_write, percpu_down_write(&lab_percpu_rwsem),
	 percpu_up_write(&lab_percpu_rwsem))
/* Every way to take them: some may fail, and one does. */
LAB_HELD(mutex_interruptible, WARN_ON(mutex_lock_interruptible(&lab_mutex)),
	 mutex_unlock(&lab_mutex))
LAB_HELD(mutex_killable, WARN_ON(mutex_lock_killable(&lab_mutex)), mutex_unlock(&lab_mutex))
LAB_HELD(mutex_try, WARN_ON(!mutex_trylock(&lab_mutex)), mutex_unlock(&lab_mutex))
LAB_HELD(rwsem_read_killable, WARN_ON(down_read_killable(&lab_rwsem)), up_read(&lab_rwsem))
LAB_HELD(rwsem_read_try, WARN_ON(!down_read_trylock(&lab_rwsem)), up_read(&lab_rwsem))
LAB_HELD(rwsem_write_killable, WARN_ON(down_write_killable(&lab_rwsem)), up_write(&lab_rwsem))
LAB_HELD(rwsem_write_try, WARN_ON(!down_write_trylock(&lab_rwsem)), up_write(&lab_rwsem))
LAB_HELD(rwsem_downgraded, down_write(&lab_rwsem); downgrade_write(&lab_rwsem),
	 up_read(&lab_rwsem))
LAB_HELD(rwsem_try_failed, down_read(&lab_rwsem); WARN_ON(down_write_trylock(&lab_rwsem)),
	 up_read(&lab_rwsem))
/* What every system call that changes a filesystem holds, from mnt_want_write(). */
LAB_HELD(freeze_protection, sb_start_write(sb), sb_end_write(sb))
LAB_HELD(s_umount_held, down_write(&sb->s_umount), up_write(&sb->s_umount))
LAB_HELD(s_umount_read_held, down_read(&sb->s_umount), up_read(&sb->s_umount))
LAB_HELD(other_i_rwsem, inode_lock(d_inode(sb->s_root)), inode_unlock(d_inode(sb->s_root)))

/*
 * The inode's own locks are let go at the start of its eviction: after the put it is gone. A
 * filesystem whose ->evict_inode takes the lock instead would wait for itself.
 */
void lab_release_i_rwsem(struct lab_inode *li)
{
	inode_unlock(&li->vfs);
}

void lab_release_invalidate_lock(struct lab_inode *li)
{
	lab_invalidate_unlock(li->vfs.i_mapping);
}

LAB_HELD(own_i_rwsem, LAB_I(inode)->on_evict = lab_release_i_rwsem;
	 inode_lock(inode), LAB_NOTHING)
LAB_HELD(own_invalidate_lock, LAB_I(inode)->on_evict = lab_release_invalidate_lock;
	 lab_invalidate_lock(inode->i_mapping), LAB_NOTHING)

LAB_PUT_IN(s_umount_other_held)
LAB_SCENARIO(s_umount_other_held)
{
	struct vfsmount *other = lab_mount();
	struct inode *inode;

	if (IS_ERR(other))
		return PTR_ERR(other);
	inode = lab_new_file(sb, 0);
	if (inode) {
		down_write(&other->mnt_sb->s_umount);
		lab_put_in_s_umount_other_held(inode);
		up_write(&other->mnt_sb->s_umount);
	}
	kern_unmount(other);
	return inode ? 0 : -ENOMEM;
}

int lab_held_init(void)
{
	return percpu_init_rwsem(&lab_percpu_rwsem);
}

void lab_held_exit(void)
{
	percpu_free_rwsem(&lab_percpu_rwsem);
}
