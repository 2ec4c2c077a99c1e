// SPDX-License-Identifier: GPL-2.0
/* The table of scenarios. */
#include <linux/kernel.h>

#include "lab.h"

#define LAB_ANYWHERE(scenario) { #scenario, lab_run_##scenario, NULL }
#define LAB_IF(condition, scenario, reason) \
	{ #scenario, lab_run_##scenario, (condition) ? NULL : (reason) }
#define LAB_NOT_ON_RT(scenario, reason) LAB_IF(!IS_ENABLED(CONFIG_PREEMPT_RT), scenario, reason)

#define RT_LOCKS_SLEEP "PREEMPT_RT: i_lock sleeps, so no inode can be put here"
#define RT_LOCK_NOT_ATOMIC "PREEMPT_RT: a spinlock's holder may be preempted and may sleep"
#define RT_SOFTIRQ_THREADED "PREEMPT_RT: softirqs run in threads that may be preempted"

const struct lab_scenario lab_scenarios[] = {
	LAB_ANYWHERE(process_unlinked),
	LAB_ANYWHERE(process_linked),
	LAB_ANYWHERE(process_nonfinal),
	LAB_ANYWHERE(process_nested),
	LAB_ANYWHERE(null_inode),
	LAB_ANYWHERE(nofs_scope),
	LAB_ANYWHERE(noio_scope),
	LAB_ANYWHERE(memalloc),
	LAB_ANYWHERE(journal_info),
	LAB_ANYWHERE(mutex_held),
	LAB_ANYWHERE(own_i_rwsem),
	LAB_IF(LAB_HAS_INVALIDATE_LOCK, own_invalidate_lock, "mapping->invalidate_lock came in 5.15"),
	LAB_ANYWHERE(s_umount_held),
	LAB_NOT_ON_RT(spinlock, RT_LOCK_NOT_ATOMIC),
	LAB_NOT_ON_RT(spinlock_irqsave, RT_LOCK_NOT_ATOMIC),
	LAB_NOT_ON_RT(preempt_disable, RT_LOCKS_SLEEP),
	LAB_ANYWHERE(bh_disable),
	LAB_ANYWHERE(rcu_reader),
	LAB_NOT_ON_RT(softirq_timer, RT_SOFTIRQ_THREADED),
	LAB_NOT_ON_RT(hardirq, RT_LOCKS_SLEEP),
	LAB_ANYWHERE(low_stack_4k),
	LAB_ANYWHERE(low_stack_2k),
	LAB_ANYWHERE(workqueue_plain),
	LAB_ANYWHERE(workqueue_mem_reclaim),
	LAB_ANYWHERE(workqueue_ordered),
	LAB_ANYWHERE(kthread),
	LAB_ANYWHERE(writeback_self),
	LAB_ANYWHERE(writeback_other),
	LAB_ANYWHERE(fsync_other),
	LAB_ANYWHERE(flusher_write_inode),
	LAB_ANYWHERE(shrinker_dcache),
	LAB_ANYWHERE(shrinker_dcache_reclaim),
	LAB_ANYWHERE(shrinker_own),
};

const unsigned int lab_scenario_count = ARRAY_SIZE(lab_scenarios);
