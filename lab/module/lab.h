/* SPDX-License-Identifier: GPL-2.0 */
/* What the module's parts share: its inodes, and the shape of a scenario. */
#ifndef LAB_H
#define LAB_H

#include <linux/completion.h>
#include <linux/fs.h>

#include "compat.h"

#define LAB_NAME "lastref_lab"

struct lab_inode;
typedef void (*lab_hook)(struct lab_inode *li);

/* An inode of the lab filesystem, with what a scenario wants done at points of its life. */
struct lab_inode {
	struct inode vfs;
	bool drop_always;	/* ->drop_inode answers yes although it has links */
	bool atomic_evict;	/* ->evict_inode neither sleeps nor switches interrupts on */
	lab_hook on_writepages;	/* once, at the end of ->writepages */
	lab_hook on_write_inode; /* once, at the end of ->write_inode */
	lab_hook on_evict;	/* once, at the start of ->evict_inode */
	struct inode *victim;	/* another inode for a hook to put */
	struct completion *reached;
	struct completion *returned;
};

static inline struct lab_inode *LAB_I(struct inode *inode)
{
	return container_of(inode, struct lab_inode, vfs);
}

/* fs.c */
int lab_fs_init(void);
void lab_fs_exit(void);
struct vfsmount *lab_mount(void);

/*
 * A new regular file's inode with one reference, which the caller owns, and no dentry.
 * With a link it is hashed and survives its last put; without, its last put evicts it.
 */
struct inode *lab_new_file(struct super_block *sb, unsigned int nlink);
/* The same without links, on no list or hash but the superblock's, with an atomic eviction. */
struct inode *lab_new_atomic_file(struct super_block *sb);
/* Puts a reference that is not part of what a scenario shows. */
void lab_discard(struct inode *inode);

/*
 * The function of one scenario that makes its put. Reports name it, so it is never inlined,
 * cloned or merged, and makes no tail call (see Kbuild).
 */
#define LAB_PUT_IN(scenario)						\
	static noinline __noclone void lab_put_in_##scenario(struct inode *inode) \
	{								\
		iput(inode);						\
	}

/* Returned by a scenario whose put hangs, as it should: its mount can't be taken down. */
#define LAB_STUCK 1

struct lab_scenario {
	const char *name;
	/* One put. 0, LAB_STUCK or an error; called in a user's task that holds nothing. */
	int (*run)(struct super_block *sb);
	/* Why this kernel can't run it, or NULL. */
	const char *unsupported;
};

/* table.c */
extern const struct lab_scenario lab_scenarios[];
extern const unsigned int lab_scenario_count;

/* control.c */
int lab_control_init(void);
void lab_control_exit(void);

/* worker.c, reclaim.c: what these scenarios need as long as the module is there. */
int lab_worker_init(void);
void lab_worker_exit(void);
int lab_reclaim_init(void);
void lab_reclaim_exit(void);

/* The scenarios, named as in the table. */
#define LAB_SCENARIO(scenario) int lab_run_##scenario(struct super_block *sb)

LAB_SCENARIO(process_unlinked);
LAB_SCENARIO(process_linked);
LAB_SCENARIO(process_nonfinal);
LAB_SCENARIO(process_nested);
LAB_SCENARIO(null_inode);
LAB_SCENARIO(nofs_scope);
LAB_SCENARIO(noio_scope);
LAB_SCENARIO(memalloc);
LAB_SCENARIO(journal_info);
LAB_SCENARIO(mutex_held);
LAB_SCENARIO(own_i_rwsem);
LAB_SCENARIO(own_invalidate_lock);
LAB_SCENARIO(s_umount_held);
LAB_SCENARIO(spinlock);
LAB_SCENARIO(spinlock_irqsave);
LAB_SCENARIO(preempt_disable);
LAB_SCENARIO(bh_disable);
LAB_SCENARIO(rcu_reader);
LAB_SCENARIO(softirq_timer);
LAB_SCENARIO(hardirq);
LAB_SCENARIO(low_stack_4k);
LAB_SCENARIO(low_stack_2k);
LAB_SCENARIO(workqueue_plain);
LAB_SCENARIO(workqueue_mem_reclaim);
LAB_SCENARIO(workqueue_ordered);
LAB_SCENARIO(kthread);
LAB_SCENARIO(writeback_self);
LAB_SCENARIO(writeback_other);
LAB_SCENARIO(fsync_other);
LAB_SCENARIO(flusher_write_inode);
LAB_SCENARIO(shrinker_dcache);
LAB_SCENARIO(shrinker_dcache_reclaim);
LAB_SCENARIO(shrinker_own);

#endif
