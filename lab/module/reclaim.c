// SPDX-License-Identifier: GPL-2.0
/* Puts by memory reclaim: the dcache's shrinker, and a shrinker of the module's own. */
#include <linux/dcache.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "lab.h"

/* What marks a task that reclaims memory for its own allocation (__perform_reclaim()). */
struct lab_reclaim {
	struct reclaim_state state;
	unsigned int flags;
};

static void lab_reclaim_begin(struct lab_reclaim *reclaim)
{
	memset(&reclaim->state, 0, sizeof(reclaim->state));
	reclaim->flags = memalloc_noreclaim_save();
	current->reclaim_state = &reclaim->state;
}

static void lab_reclaim_end(struct lab_reclaim *reclaim)
{
	current->reclaim_state = NULL;
	memalloc_noreclaim_restore(reclaim->flags);
}

/* An unused dentry that has the only reference to an inode, as after a file is closed. */
static int lab_new_unused_dentry(struct super_block *sb)
{
	struct inode *inode = lab_new_file(sb, 1);
	struct dentry *dentry;

	if (!inode)
		return -ENOMEM;
	dentry = d_alloc_name(sb->s_root, "unused");
	if (!dentry) {
		lab_discard(inode);
		return -ENOMEM;
	}
	LAB_I(inode)->drop_always = true;
	d_add(dentry, inode);
	dput(dentry);
	return 0;
}

/* One pass of the superblock's own shrinker, which prunes its unused dentries. */
static int lab_shrink_super(struct super_block *sb)
{
	struct shrinker *shrinker = lab_super_shrinker(sb);
	struct shrink_control control = {
		.gfp_mask = GFP_KERNEL,
		.nr_to_scan = 1024,
	};

	return shrinker->scan_objects(shrinker, &control) == 1 ? 0 : -EAGAIN;
}

static noinline __noclone int lab_put_in_shrinker_dcache(struct super_block *sb)
{
	return lab_shrink_super(sb);
}

LAB_SCENARIO(shrinker_dcache)
{
	int error = lab_new_unused_dentry(sb);

	return error ? error : lab_put_in_shrinker_dcache(sb);
}

/* The same, as when an allocation reclaims directly. */
static noinline __noclone int lab_put_in_shrinker_dcache_reclaim(struct super_block *sb)
{
	return lab_shrink_super(sb);
}

LAB_SCENARIO(shrinker_dcache_reclaim)
{
	int error = lab_new_unused_dentry(sb);
	struct lab_reclaim reclaim;

	if (error)
		return error;
	lab_reclaim_begin(&reclaim);
	error = lab_put_in_shrinker_dcache_reclaim(sb);
	lab_reclaim_end(&reclaim);
	return error;
}

/* The module's shrinker has one object at most: this inode. */
static struct shrinker *lab_shrinker;
static struct inode *lab_reclaimable;

static unsigned long lab_shrinker_count(struct shrinker *shrinker, struct shrink_control *control)
{
	return READ_ONCE(lab_reclaimable) ? 1 : SHRINK_EMPTY;
}

LAB_PUT_IN(shrinker_own)
static unsigned long lab_shrinker_scan(struct shrinker *shrinker, struct shrink_control *control)
{
	struct inode *inode = xchg(&lab_reclaimable, NULL);

	if (!inode)
		return SHRINK_STOP;
	lab_put_in_shrinker_own(inode);
	return 1;
}

/*
 * Runs every shrinker of the system, by the kernel's own way from the sysctl to shrink_slab(),
 * as a task in direct reclaim.
 */
static int lab_drop_slab(void)
{
	struct file *file = filp_open("/proc/sys/vm/drop_caches", O_WRONLY, 0);
	struct lab_reclaim reclaim;
	loff_t pos = 0;
	ssize_t written;

	if (IS_ERR(file))
		return PTR_ERR(file);
	lab_reclaim_begin(&reclaim);
	written = kernel_write(file, "2", 1, &pos);
	lab_reclaim_end(&reclaim);
	filp_close(file, NULL);
	return written == 1 ? 0 : -EIO;
}

LAB_SCENARIO(shrinker_own)
{
	int error;

	lab_reclaimable = lab_new_file(sb, 0);
	if (!lab_reclaimable)
		return -ENOMEM;
	error = lab_drop_slab();
	lab_discard(xchg(&lab_reclaimable, NULL));
	return error;
}

int lab_reclaim_init(void)
{
	struct shrinker *shrinker = lab_shrinker_alloc();

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = lab_shrinker_count;
	shrinker->scan_objects = lab_shrinker_scan;
	shrinker->seeks = DEFAULT_SEEKS;
	lab_shrinker = shrinker;
	return lab_shrinker_register(shrinker);
}

void lab_reclaim_exit(void)
{
	lab_shrinker_free(lab_shrinker);
}
