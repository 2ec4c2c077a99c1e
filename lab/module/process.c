// SPDX-License-Identifier: GPL-2.0
/* Puts by a user's task that holds nothing and is in no special context. */
#include <linux/dcache.h>
#include <linux/sched/mm.h>

#include "lab.h"

LAB_PUT_BETWEEN(process_unlinked, lab_new_file(sb, 0), LAB_NOTHING, LAB_NOTHING)

/* Kept on the LRU until the mount goes. */
LAB_PUT_BETWEEN(process_linked, lab_new_file(sb, 1), LAB_NOTHING, LAB_NOTHING)

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

/* A dentry with the only reference to an unlinked inode; the caller has the only one to it. */
static struct dentry *lab_new_dentry(struct super_block *sb)
{
	struct dentry *dentry = d_alloc_name(sb->s_root, "scratch");
	struct inode *inode = dentry ? lab_new_file(sb, 0) : NULL;

	if (inode) {
		d_instantiate(dentry, inode);
		return dentry;
	}
	dput(dentry);
	return NULL;
}

/* As when the last file of an unlinked name is closed. */
static noinline __noclone void lab_put_in_process_dput(struct dentry *dentry)
{
	dput(dentry);
}

LAB_SCENARIO(process_dput)
{
	struct dentry *dentry = lab_new_dentry(sb);

	if (!dentry)
		return -ENOMEM;
	lab_put_in_process_dput(dentry);
	return 0;
}

/* The same with the directory locked, as lookup, rmdir and rename do. */
static noinline __noclone void lab_put_in_process_dput_locked(struct dentry *dentry)
{
	dput(dentry);
}

LAB_SCENARIO(process_dput_locked)
{
	struct dentry *dentry = lab_new_dentry(sb);

	if (!dentry)
		return -ENOMEM;
	inode_lock(d_inode(sb->s_root));
	lab_put_in_process_dput_locked(dentry);
	inode_unlock(d_inode(sb->s_root));
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
