// SPDX-License-Identifier: GPL-2.0
/* Inodes that the dentry cache holds, alone or with others, as those of files that were closed. */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mount.h>

#include "lab.h"

static unsigned int patience_ms;
module_param(patience_ms, uint, 0600);
MODULE_PARM_DESC(patience_ms, "How long to wait until the dentry cache is emptied by somebody else");

/* The caller owns a reference to the dentry, which owns one to the inode, if it has one. */
static struct dentry *lab_add_name(struct super_block *sb, struct inode *inode)
{
	static atomic_t names;
	struct dentry *dentry;
	char name[16];

	snprintf(name, sizeof(name), "name%d", atomic_inc_return(&names));
	dentry = d_alloc_name(sb->s_root, name);
	if (!dentry)
		return NULL;
	if (inode)
		ihold(inode);
	d_add(dentry, inode);
	return dentry;
}

/* dput() keeps no dentry that is unhashed already (retain_dentry()): it happens to unused ones. */
static void lab_unhash(struct inode *inode)
{
	struct dentry *dentry;

	spin_lock(&inode->i_lock);
	lab_for_each_alias(dentry, inode)
		d_drop(dentry);
	spin_unlock(&inode->i_lock);
}

static int lab_add_holders(struct lab_cached *cached, const struct lab_holders *holders)
{
	struct inode *inode = cached->inode;
	struct path path = { .mnt = cached->mnt };
	unsigned int i;

	for (i = 0; i < holders->names; i++) {
		path.dentry = lab_add_name(inode->i_sb, inode);
		if (!path.dentry)
			return -ENOMEM;
		if (path.mnt)
			cached->file = dentry_open(&path, O_RDONLY, current_cred());
		dput(path.dentry);
	}
	if (IS_ERR(cached->file))
		return PTR_ERR(cached->file);
	if (holders->negative)
		dput(lab_add_name(inode->i_sb, NULL));
	if (holders->unhashed)
		lab_unhash(inode);
	if (holders->unlinked)
		clear_nlink(inode);
	if (holders->other)
		ihold(inode);
	cached->other = holders->other;
	return 0;
}

/* Until nobody holds it but the caller and those whom no shrinker can send away. */
static int lab_wait_for_shrinker(const struct lab_cached *cached)
{
	unsigned long give_up = jiffies + msecs_to_jiffies(READ_ONCE(patience_ms));
	int left = 1 + !!cached->file + cached->other;

	if (!READ_ONCE(patience_ms))
		return 0;
	while (atomic_read(&cached->inode->i_count) > left) {
		if (time_after(jiffies, give_up))
			return -ETIME;
		msleep(10);
	}
	return 0;
}

int lab_cache(struct lab_cached *cached, struct super_block *sb,
	      struct inode *(*new_inode)(struct super_block *sb), struct lab_holders holders)
{
	int error = -ENOMEM;

	memset(cached, 0, sizeof(*cached));
	if (holders.open) {
		/* Of its own, and until the file is gone: that may be after the scenario. */
		cached->mnt = lab_mount();
		if (IS_ERR(cached->mnt))
			return PTR_ERR(cached->mnt);
		sb = cached->mnt->mnt_sb;
	}
	cached->inode = new_inode(sb);
	if (cached->inode) {
		LAB_I(cached->inode)->drop_always = true;
		lab_keep_memory(cached->inode);
		set_nlink(cached->inode, holders.names);
		error = lab_add_holders(cached, &holders);
		if (!error)
			error = lab_wait_for_shrinker(cached);
		if (!error)
			return 0;
		lab_discard(cached->inode);
	}
	lab_uncache(cached);
	return error;
}

void lab_uncache(struct lab_cached *cached)
{
	if (!IS_ERR_OR_NULL(cached->file))
		fput(cached->file);
	if (cached->inode) {
		if (cached->other)
			lab_discard(cached->inode);
		shrink_dcache_sb(cached->inode->i_sb);
		lab_put_memory(cached->inode);
	}
	if (cached->mnt)
		kern_unmount(cached->mnt);
}
