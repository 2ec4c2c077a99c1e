// SPDX-License-Identifier: GPL-2.0
/* Puts by memory reclaim: the dcache's shrinker, and a shrinker of the module's own. */
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/mm.h>
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

#define LAB_DROP_CACHES "/proc/sys/vm/drop_caches"
#define LAB_MIN_FREE "/proc/sys/vm/min_free_kbytes"
#define LAB_PRESSURE "/proc/sys/vm/vfs_cache_pressure"

#define LAB_VALUE 24

static int lab_sysctl(const char *path, char *value, bool write)
{
	struct file *file = filp_open(path, write ? O_WRONLY : O_RDONLY, 0);
	loff_t position = 0;
	ssize_t done;

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (write)
		done = kernel_write(file, value, strlen(value), &position);
	else
		done = kernel_read(file, value, LAB_VALUE - 1, &position);
	filp_close(file, NULL);
	if (!write && done >= 0)
		value[done] = '\0';
	return done > 0 ? 0 : -EIO;
}

/*
 * Without pressure on it the VFS keeps its caches (vfs_pressure_ratio()). Reclaim is to come to
 * what a scenario offers, and not to what the rest of the guest needs.
 */
static int lab_spare_others(char *before)
{
	char none[LAB_VALUE] = "0";
	int error = lab_sysctl(LAB_PRESSURE, before, false);

	return error ? error : lab_sysctl(LAB_PRESSURE, none, true);
}

/*
 * An unused dentry that has the only reference to an inode, as after a file is closed. The hook, if
 * there is one, runs when the inode is evicted.
 */
static int lab_new_unused_dentry(struct super_block *sb, lab_hook on_evict)
{
	struct inode *inode = lab_new_file(sb, 1);
	struct dentry *dentry;

	if (!inode)
		return -ENOMEM;
	LAB_I(inode)->on_evict = on_evict;
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
	int error = lab_new_unused_dentry(sb, NULL);

	return error ? error : lab_put_in_shrinker_dcache(sb);
}

/* The same, as when an allocation reclaims directly. */
static noinline __noclone int lab_put_in_shrinker_dcache_reclaim(struct super_block *sb)
{
	return lab_shrink_super(sb);
}

LAB_SCENARIO(shrinker_dcache_reclaim)
{
	int error = lab_new_unused_dentry(sb, NULL);
	struct lab_reclaim reclaim;

	if (error)
		return error;
	lab_reclaim_begin(&reclaim);
	error = lab_put_in_shrinker_dcache_reclaim(sb);
	lab_reclaim_end(&reclaim);
	return error;
}

/*
 * The kernel's own reclaim, which comes to the superblock's shrinker in its time. The shrinker is
 * called through a function of the scenario, and only for the task that the scenario is about.
 */
typedef unsigned long (*lab_shrink)(struct shrinker *shrinker, struct shrink_control *control);

static struct {
	lab_shrink scan;
	struct task_struct *task;
	struct completion evicted;
} lab_real_reclaim;

static void lab_note_evicted(struct lab_inode *li)
{
	complete(&lab_real_reclaim.evicted);
}

/* So many that reclaim asks for a batch of them at once (do_shrink_slab()). */
static unsigned long lab_count_many(struct shrinker *shrinker, struct shrink_control *control)
{
	return 1UL << 22;
}

/*
 * kswapd works while no zone has its high watermark free, half more than min_free_kbytes: with
 * that at four fifths of what is free it can hardly get there. Others find enough above the
 * minimum, and need not reclaim.
 */
static int lab_wake_kswapd(void)
{
	struct sysinfo memory;
	struct page *page;
	char value[LAB_VALUE];
	int error;

	si_meminfo(&memory);
	snprintf(value, sizeof(value), "%lu", memory.freeram / 5 * 4 << (PAGE_SHIFT - 10));
	error = lab_sysctl(LAB_MIN_FREE, value, true);
	page = alloc_page(GFP_NOWAIT | __GFP_NOWARN);
	if (page)
		__free_page(page);
	return error;
}

/* Does what makes the kernel reclaim until that has evicted the inode of an unused dentry. */
static int lab_wait_for_reclaim(struct super_block *sb, int (*press)(void), lab_shrink scan)
{
	struct shrinker *shrinker = lab_super_shrinker(sb);
	unsigned long give_up = jiffies + 60 * HZ;
	char pressure[LAB_VALUE];
	int error;

	init_completion(&lab_real_reclaim.evicted);
	lab_real_reclaim.task = current;
	error = lab_spare_others(pressure);
	if (error)
		return error;
	/* Until the unmount: somebody may be about to call them at any time. */
	if (shrinker->scan_objects != scan) {
		lab_real_reclaim.scan = shrinker->scan_objects;
		WRITE_ONCE(shrinker->scan_objects, scan);
		WRITE_ONCE(shrinker->count_objects, lab_count_many);
	}
	error = lab_new_unused_dentry(sb, lab_note_evicted);
	while (!error) {
		error = press();
		if (wait_for_completion_timeout(&lab_real_reclaim.evicted, HZ / 50))
			break;
		if (!error && time_after(jiffies, give_up))
			error = -ETIME;
	}
	shrink_dcache_sb(sb);
	return lab_sysctl(LAB_PRESSURE, pressure, true) ? -EIO : error;
}

static noinline __noclone unsigned long lab_put_in_kswapd(struct shrinker *shrinker,
							   struct shrink_control *control)
{
	if (!(current->flags & PF_KSWAPD))
		return SHRINK_STOP;
	return lab_real_reclaim.scan(shrinker, control);
}

LAB_SCENARIO(kswapd)
{
	char before[LAB_VALUE];
	int error = lab_sysctl(LAB_MIN_FREE, before, false);
	int restored;

	if (error)
		return error;
	error = lab_wait_for_reclaim(sb, lab_wake_kswapd, lab_put_in_kswapd);
	restored = lab_sysctl(LAB_MIN_FREE, before, true);
	return error ? error : restored;
}

/* This task, when it allocates at the limit of its memory cgroup. */
static noinline __noclone unsigned long lab_put_in_memcg_reclaim(struct shrinker *shrinker,
								  struct shrink_control *control)
{
	if (current != lab_real_reclaim.task)
		return SHRINK_STOP;
	return lab_real_reclaim.scan(shrinker, control);
}

/* Charges pages to the cgroup that the guest has put this task into, as many as go. */
static int lab_reach_limit(void)
{
	struct page *page, *next;
	LIST_HEAD(pages);

	while (!completion_done(&lab_real_reclaim.evicted)) {
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
		if (!page)
			break;
		list_add(&page->lru, &pages);
	}
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	return 0;
}

LAB_SCENARIO(memcg_reclaim)
{
	return lab_wait_for_reclaim(sb, lab_reach_limit, lab_put_in_memcg_reclaim);
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
	char slab[LAB_VALUE] = "2", pressure[LAB_VALUE];
	int error = lab_spare_others(pressure);
	struct lab_reclaim reclaim;

	if (error)
		return error;
	lab_reclaim_begin(&reclaim);
	error = lab_sysctl(LAB_DROP_CACHES, slab, true);
	lab_reclaim_end(&reclaim);
	return lab_sysctl(LAB_PRESSURE, pressure, true) ? -EIO : error;
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
