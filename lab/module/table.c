// SPDX-License-Identifier: GPL-2.0
/* The table of scenarios. */
#include <linux/kernel.h>

#include "lab.h"

#define LAB_ANYWHERE(scenario) { #scenario, lab_run_##scenario, NULL }
#define LAB_IF(condition, scenario, reason) \
	{ #scenario, lab_run_##scenario, (condition) ? NULL : (reason) }
#define LAB_NOT_ON_RT(scenario, reason) LAB_IF(!IS_ENABLED(CONFIG_PREEMPT_RT), scenario, reason)
#define LAB_ONLY_ON_RT(scenario, reason) LAB_IF(IS_ENABLED(CONFIG_PREEMPT_RT), scenario, reason)

#define RT_LOCKS_SLEEP "PREEMPT_RT: i_lock sleeps, so no inode can be put here"
#define RT_SOFTIRQ_THREADED "PREEMPT_RT: softirqs run in threads"
#define RT_DEVICE_THREADED "PREEMPT_RT: interrupts of devices run in threads"
#define RT_ALONE "without PREEMPT_RT softirqs run in interrupts"

const struct lab_scenario lab_scenarios[] = {
	LAB_ANYWHERE(process_unlinked),
	LAB_ANYWHERE(process_linked),
	LAB_ANYWHERE(process_nonfinal),
	LAB_ANYWHERE(process_nested),
	LAB_ANYWHERE(process_dput),
	LAB_ANYWHERE(process_dput_locked),
	LAB_ANYWHERE(null_inode),
	LAB_ANYWHERE(nofs_scope),
	LAB_ANYWHERE(noio_scope),
	LAB_ANYWHERE(memalloc),
	LAB_ANYWHERE(journal_info),
	LAB_ANYWHERE(mutex_held),
	LAB_ANYWHERE(own_i_rwsem),
	LAB_IF(LAB_HAS_INVALIDATE_LOCK, own_invalidate_lock, "mapping->invalidate_lock came in 5.15"),
	LAB_ANYWHERE(s_umount_held),
	LAB_ANYWHERE(s_umount_read_held),
	LAB_ANYWHERE(s_umount_other_held),
	LAB_ANYWHERE(other_i_rwsem),
	LAB_ANYWHERE(rwsem_read),
	LAB_ANYWHERE(rwsem_write),
	LAB_ANYWHERE(mutex_interruptible),
	LAB_ANYWHERE(mutex_killable),
	LAB_ANYWHERE(mutex_try),
	LAB_ANYWHERE(rwsem_read_killable),
	LAB_ANYWHERE(rwsem_read_try),
	LAB_ANYWHERE(rwsem_write_killable),
	LAB_ANYWHERE(rwsem_write_try),
	LAB_ANYWHERE(rwsem_downgraded),
	LAB_ANYWHERE(rwsem_try_failed),
	LAB_ANYWHERE(mutex_then_rwsem),
	LAB_ANYWHERE(percpu_rwsem_write),
	LAB_ANYWHERE(freeze_protection),
	LAB_ANYWHERE(evict_lock),
	LAB_ANYWHERE(spinlock),
	LAB_ANYWHERE(spinlock_irqsave),
	LAB_ANYWHERE(read_lock),
	LAB_ANYWHERE(seqlock_write),
	LAB_NOT_ON_RT(preempt_disable, RT_LOCKS_SLEEP),
	LAB_ANYWHERE(bh_disable),
	LAB_ANYWHERE(rcu_reader),
	LAB_NOT_ON_RT(softirq_timer, RT_SOFTIRQ_THREADED),
	LAB_NOT_ON_RT(softirq_tasklet, RT_SOFTIRQ_THREADED),
	LAB_ONLY_ON_RT(softirq_thread_timer, RT_ALONE),
	LAB_ONLY_ON_RT(softirq_thread_tasklet, RT_ALONE),
	LAB_NOT_ON_RT(hardirq, RT_LOCKS_SLEEP),
	LAB_ANYWHERE(low_stack_4k),
	LAB_ANYWHERE(low_stack_2k),
	LAB_ANYWHERE(stack_above_4k),
	LAB_ANYWHERE(workqueue_plain),
	LAB_ANYWHERE(workqueue_mem_reclaim),
	LAB_ANYWHERE(workqueue_ordered),
	LAB_ANYWHERE(worker_after_writeback),
	LAB_ANYWHERE(kthread),
	LAB_ANYWHERE(task_work),
	LAB_ANYWHERE(delayed_fput),
	LAB_ANYWHERE(bio_end_io_worker),
	LAB_NOT_ON_RT(bio_end_io_hardirq, RT_DEVICE_THREADED),
	LAB_ANYWHERE(bio_end_io_deferred),
	LAB_ANYWHERE(writeback_self),
	LAB_ANYWHERE(sync_self),
	LAB_ANYWHERE(sync_inode_self),
	LAB_ANYWHERE(write_inode_self),
	LAB_ANYWHERE(writeback_other),
	LAB_ANYWHERE(sync_other),
	LAB_ANYWHERE(fsync_other),
	LAB_ANYWHERE(fsync_self),
	LAB_ANYWHERE(flusher_write_inode),
	LAB_ANYWHERE(shrinker_dcache),
	LAB_ANYWHERE(shrinker_dcache_reclaim),
	LAB_ANYWHERE(shrinker_own),
	LAB_ANYWHERE(kswapd),
	LAB_ANYWHERE(memcg_reclaim),
	LAB_ANYWHERE(ext4_handle),
	LAB_ANYWHERE(btrfs_transaction),
	LAB_ANYWHERE(last_two),
	LAB_ANYWHERE(lookup_wins),
	LAB_ANYWHERE(lookup_waits),
	LAB_ANYWHERE(task_killed),
	LAB_ANYWHERE(cpu_offline),
	LAB_ANYWHERE(module_unloaded),
};

const unsigned int lab_scenario_count = ARRAY_SIZE(lab_scenarios);
