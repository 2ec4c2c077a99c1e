/* SPDX-License-Identifier: GPL-2.0 */
/* What the module's parts share: its inodes, and the shape of a scenario. */
#ifndef LAB_H
#define LAB_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

#include "compat.h"

#define LAB_NAME "lastref_lab"

struct lab_inode;
struct lab_race;
typedef void (*lab_hook)(struct lab_inode *li);

/* An inode of the lab filesystem, with what a scenario wants done at points of its life. */
struct lab_inode {
	struct inode vfs;
	bool drop_always;	/* ->drop_inode answers yes although it has links */
	bool atomic_evict;	/* ->evict_inode neither sleeps nor switches interrupts on */
	refcount_t memory;	/* the VFS, and who called lab_keep_memory() */
	lab_hook on_writepages;	/* once, at the end of ->writepages */
	lab_hook on_write_inode; /* once, at the end of ->write_inode */
	lab_hook on_evict;	/* once, at the start of ->evict_inode */
	lab_hook on_dirty;	/* once, in ->dirty_inode */
	lab_hook on_release;	/* once, when a file of it is closed */
	struct mutex lock;	/* for hooks */
	struct inode *victim;	/* another inode for a hook to put */
	struct lab_race *race;	/* what a hook shares with another task */
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
/* Gives it a dirty page, which a flusher or a sync writes. */
int lab_dirty(struct inode *inode);
/* One with a dirty page. */
struct inode *lab_new_dirty_file(struct super_block *sb, unsigned int nlink);
/* Puts a reference that is not part of what a scenario shows. */
void lab_discard(struct inode *inode);
/* The memory of an inode outlives its eviction, until lab_put_memory(). */
void lab_keep_memory(struct inode *inode);
void lab_put_memory(struct inode *inode);
/* An open file of the inode, whose reference it takes; the inode's on_release runs when it goes. */
struct file *lab_open(struct vfsmount *mnt, struct inode *inode);

/*
 * The function of one scenario that makes its put. Reports name it, so it is never inlined,
 * cloned or merged, and makes no tail call (see Kbuild).
 */
#define LAB_PUT_IN(scenario)						\
	static noinline __noclone void lab_put_in_##scenario(struct inode *inode) \
	{								\
		iput(inode);						\
	}

/* A function of LAB_PUT_IN(). */
typedef void (*lab_put)(struct inode *inode);

/* Says that there is nothing to do before or after a put. */
#define LAB_NOTHING

/*
 * A scenario that puts a new inode between some statements and others, which have it as
 * `inode`: most often they take locks and release them.
 */
#define LAB_PUT_BETWEEN(scenario, new_inode, before, after)		\
	LAB_PUT_IN(scenario)						\
	LAB_SCENARIO(scenario)						\
	{								\
		struct inode *inode = (new_inode);			\
									\
		if (!inode)						\
			return -ENOMEM;					\
		before;							\
		lab_put_in_##scenario(inode);				\
		after;							\
		return 0;						\
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

/*
 * writeback.c: between the beginning of a flush, before something gets dirty, and its end the
 * flusher writes a superblock only when asked to: by lab_flush() what is dirty, by lab_sync()
 * waiting for its pages, too, as sync(2) has it do.
 */
void lab_begin_flush(struct super_block *sb);
void lab_flush(struct super_block *sb);
void lab_sync(struct super_block *sb);
void lab_end_flush(struct super_block *sb);

/* cached.c: who holds an inode besides the scenario that puts it. */
struct lab_holders {
	unsigned int names;	/* dentries, unused and on the LRU but for an open file's */
	bool unhashed;		/* they are found by no lookup any more */
	bool negative;		/* there is an unused dentry without an inode, too */
	bool open;		/* a file of the inode is open */
	bool unlinked;		/* it has no links any more */
	bool other;		/* a reference of no dentry */
};

#define LAB_HELD_BY(...) ((struct lab_holders) { __VA_ARGS__ })

/* An inode whose dentries are in the cache. */
struct lab_cached {
	struct inode *inode;
	bool other;		/* a reference of no dentry */
	struct file *file;
	struct vfsmount *mnt;	/* the file's */
};

/*
 * A new inode with its holders and one more reference, which the caller owns; its last put evicts
 * it. If there is patience (a parameter of the module), somebody is waited for who empties the
 * dentry cache: then no unused dentry holds it any more.
 */
int lab_cache(struct lab_cached *cached, struct super_block *sb,
	      struct inode *(*new_inode)(struct super_block *sb), struct lab_holders holders);
/* Lets all holders go. The inode's memory is there until then. */
void lab_uncache(struct lab_cached *cached);

/* Other files' ways into a context, for a put of an inode that the caller has prepared. */
int lab_hardirq(struct inode *inode, lab_put put);
int lab_softirq(struct inode *inode, lab_put put);
void lab_descend(struct inode *inode, unsigned long left, lab_put put);
int lab_ext4_request(struct inode *inode, lab_put put);
int lab_bio_worker(struct inode *inode, lab_put put);
int lab_expect_stuck(struct inode *inode, int (*function)(void *inode));
/* Hooks: the inode's own locks are let go at the start of its eviction. */
void lab_release_i_rwsem(struct lab_inode *li);
void lab_release_invalidate_lock(struct lab_inode *li);

/* table.c */
extern const struct lab_scenario lab_scenarios[];
extern const unsigned int lab_scenario_count;

/* control.c */
int lab_control_init(void);
void lab_control_exit(void);
/* The file that the guest has named for this run, or "". */
const char *lab_path(void);

/* chain.c: a put from the call chain that the lowest `bits` of `chain` choose. */
void lab_chain(struct inode *inode, unsigned int bits, unsigned int chain, lab_put put);

/* bench.c */
int lab_bench_init(void);
void lab_bench_exit(void);

/* fire.c */
int lab_fire_init(void);
void lab_fire_exit(void);

/* What the scenarios of these files need as long as the module is there. */
extern struct workqueue_struct *lab_plain_queue;
int lab_worker_init(void);
void lab_worker_exit(void);
int lab_held_init(void);
void lab_held_exit(void);
int lab_block_init(void);
void lab_block_exit(void);
int lab_reclaim_init(void);
void lab_reclaim_exit(void);
int lab_disk_init(void);
void lab_disk_exit(void);

/* race.c: the function of the second module that puts an inode, or NULL when it goes. */
void lab_set_unloadable(lab_put put);

/* The scenarios, named as in the table. */
#define LAB_SCENARIO(scenario) int lab_run_##scenario(struct super_block *sb)

LAB_SCENARIO(process_unlinked);
LAB_SCENARIO(process_linked);
LAB_SCENARIO(process_nonfinal);
LAB_SCENARIO(process_nested);
LAB_SCENARIO(process_dput);
LAB_SCENARIO(process_dput_locked);
LAB_SCENARIO(null_inode);
LAB_SCENARIO(nofs_scope);
LAB_SCENARIO(noio_scope);
LAB_SCENARIO(memalloc);
LAB_SCENARIO(journal_info);
LAB_SCENARIO(mutex_held);
LAB_SCENARIO(own_i_rwsem);
LAB_SCENARIO(own_invalidate_lock);
LAB_SCENARIO(s_umount_held);
LAB_SCENARIO(s_umount_read_held);
LAB_SCENARIO(s_umount_other_held);
LAB_SCENARIO(other_i_rwsem);
LAB_SCENARIO(rwsem_read);
LAB_SCENARIO(rwsem_write);
LAB_SCENARIO(mutex_interruptible);
LAB_SCENARIO(mutex_killable);
LAB_SCENARIO(mutex_try);
LAB_SCENARIO(rwsem_read_killable);
LAB_SCENARIO(rwsem_read_try);
LAB_SCENARIO(rwsem_write_killable);
LAB_SCENARIO(rwsem_write_try);
LAB_SCENARIO(rwsem_downgraded);
LAB_SCENARIO(rwsem_try_failed);
LAB_SCENARIO(mutex_then_rwsem);
LAB_SCENARIO(percpu_rwsem_write);
LAB_SCENARIO(freeze_protection);
LAB_SCENARIO(evict_lock);
LAB_SCENARIO(spinlock);
LAB_SCENARIO(spinlock_irqsave);
LAB_SCENARIO(read_lock);
LAB_SCENARIO(seqlock_write);
LAB_SCENARIO(preempt_disable);
LAB_SCENARIO(bh_disable);
LAB_SCENARIO(rcu_reader);
LAB_SCENARIO(softirq_timer);
LAB_SCENARIO(softirq_tasklet);
LAB_SCENARIO(softirq_thread_timer);
LAB_SCENARIO(softirq_thread_tasklet);
LAB_SCENARIO(hardirq);
LAB_SCENARIO(low_stack_4k);
LAB_SCENARIO(low_stack_2k);
LAB_SCENARIO(stack_above_4k);
LAB_SCENARIO(workqueue_plain);
LAB_SCENARIO(workqueue_mem_reclaim);
LAB_SCENARIO(workqueue_ordered);
LAB_SCENARIO(worker_after_writeback);
LAB_SCENARIO(kthread);
LAB_SCENARIO(task_work);
LAB_SCENARIO(delayed_fput);
LAB_SCENARIO(bio_end_io_worker);
LAB_SCENARIO(bio_end_io_hardirq);
LAB_SCENARIO(bio_end_io_deferred);
LAB_SCENARIO(writeback_self);
LAB_SCENARIO(sync_self);
LAB_SCENARIO(sync_inode_self);
LAB_SCENARIO(write_inode_self);
LAB_SCENARIO(writeback_other);
LAB_SCENARIO(sync_other);
LAB_SCENARIO(fsync_other);
LAB_SCENARIO(fsync_self);
LAB_SCENARIO(flusher_write_inode);
LAB_SCENARIO(latent_process);
LAB_SCENARIO(latent_nofs);
LAB_SCENARIO(latent_spinlock);
LAB_SCENARIO(latent_spinlock_irqsave);
LAB_SCENARIO(latent_preempt_disable);
LAB_SCENARIO(latent_bh_disable);
LAB_SCENARIO(latent_rcu_reader);
LAB_SCENARIO(latent_softirq);
LAB_SCENARIO(latent_hardirq);
LAB_SCENARIO(latent_low_stack);
LAB_SCENARIO(latent_own_i_rwsem);
LAB_SCENARIO(latent_own_invalidate_lock);
LAB_SCENARIO(latent_journal_info);
LAB_SCENARIO(latent_ext4_handle);
LAB_SCENARIO(latent_bio_end_io_worker);
LAB_SCENARIO(latent_writeback_other);
LAB_SCENARIO(latent_fsync_self);
LAB_SCENARIO(latent_writeback_self);
LAB_SCENARIO(latent_spinlock_open);
LAB_SCENARIO(latent_own_i_rwsem_open);
LAB_SCENARIO(latent_spinlock_open_gone);
LAB_SCENARIO(latent_own_i_rwsem_open_gone);
LAB_SCENARIO(latent_spinlock_other);
LAB_SCENARIO(latent_own_i_rwsem_other);
LAB_SCENARIO(latent_spinlock_links);
LAB_SCENARIO(latent_own_i_rwsem_links);
LAB_SCENARIO(latent_spinlock_links_16);
LAB_SCENARIO(latent_own_i_rwsem_links_16);
LAB_SCENARIO(latent_spinlock_links_17);
LAB_SCENARIO(latent_own_i_rwsem_links_17);
LAB_SCENARIO(latent_spinlock_negative);
LAB_SCENARIO(latent_own_i_rwsem_negative);
LAB_SCENARIO(latent_spinlock_unhashed);
LAB_SCENARIO(latent_own_i_rwsem_unhashed);
LAB_SCENARIO(shrinker_dcache);
LAB_SCENARIO(shrinker_dcache_reclaim);
LAB_SCENARIO(shrinker_own);
LAB_SCENARIO(kswapd);
LAB_SCENARIO(memcg_reclaim);
LAB_SCENARIO(ext4_handle);
LAB_SCENARIO(btrfs_transaction);
LAB_SCENARIO(last_two);
LAB_SCENARIO(lookup_wins);
LAB_SCENARIO(lookup_waits);
LAB_SCENARIO(task_killed);
LAB_SCENARIO(cpu_offline);
LAB_SCENARIO(module_unloaded);

#endif
