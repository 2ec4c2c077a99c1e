// SPDX-License-Identifier: GPL-2.0
/*
 * Puts that meet another CPU, a signal or a change of the machine on their way. All are made in a
 * NOFS scope, so that each must be a finding, and none can be lost unnoticed.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "lab.h"

/* How long one side waits for the other; long, since guests are emulated. */
#define LAB_PATIENCE (20 * HZ)

/* What the two sides of a race share. */
struct lab_race {
	struct inode *inode;
	atomic_t missing;
	struct completion go;
	struct completion done;
	struct task_struct *other;
	struct inode *found;
	bool failed;
};

static void lab_race_prepare(struct lab_race *race, struct inode *inode)
{
	memset(race, 0, sizeof(*race));
	race->inode = inode;
	atomic_set(&race->missing, 2);
	init_completion(&race->go);
	init_completion(&race->done);
}

/* A thread on the nth CPU that is online, not yet running. */
static struct task_struct *lab_thread_on(unsigned int nth, int (*function)(void *), void *data)
{
	unsigned int cpu = cpumask_first(cpu_online_mask);
	struct task_struct *thread;

	while (nth--)
		cpu = cpumask_next(cpu, cpu_online_mask);
	if (cpu >= nr_cpu_ids)
		return ERR_PTR(-ENODEV);
	thread = kthread_create(function, data, "lastref_lab/%u", cpu);
	if (!IS_ERR(thread))
		kthread_bind(thread, cpu);
	return thread;
}

/* Both CPUs leave here at the same moment. */
static void lab_meet(struct lab_race *race)
{
	atomic_dec(&race->missing);
	while (atomic_read(&race->missing) > 0) {
		cpu_relax();
		cond_resched();
	}
}

/* Two CPUs drop the last two references: exactly one of these puts is the last, either. */
LAB_PUT_IN(last_two)
static int lab_drop_one(void *data)
{
	struct lab_race *race = data;
	unsigned int flags = memalloc_nofs_save();

	lab_meet(race);
	lab_put_in_last_two(race->inode);
	memalloc_nofs_restore(flags);
	complete(&race->done);
	return 0;
}

LAB_SCENARIO(last_two)
{
	struct inode *inode = lab_new_file(sb, 0);
	struct task_struct *threads[2];
	struct lab_race race;
	int i;

	if (!inode)
		return -ENOMEM;
	ihold(inode);
	lab_race_prepare(&race, inode);
	for (i = 0; i < 2; i++) {
		threads[i] = lab_thread_on(i, lab_drop_one, &race);
		if (IS_ERR(threads[i])) {
			if (i)
				kthread_stop(threads[0]);
			lab_discard(inode);
			lab_discard(inode);
			return PTR_ERR(threads[i]);
		}
	}
	for (i = 0; i < 2; i++)
		wake_up_process(threads[i]);
	for (i = 0; i < 2; i++)
		wait_for_completion(&race.done);
	return 0;
}

/* A lookup on another CPU, as by a reader of an inode cache. */
static int lab_grab(void *data)
{
	struct lab_race *race = data;

	if (wait_for_completion_timeout(&race->go, LAB_PATIENCE))
		race->found = igrab(race->inode);
	complete(&race->done);
	return 0;
}

/*
 * In the put, after it has found the last reference and before it drops that: iput() writes lazy
 * time stamps back first.
 */
static void lab_grabbed_meanwhile(struct lab_inode *li)
{
	struct lab_race *race = li->race;

	complete(&race->go);
	wait_for_completion(&race->done);
}

/* The put comes with the last reference, but another CPU takes one before it drops its own. */
LAB_PUT_IN(lookup_wins)
LAB_SCENARIO(lookup_wins)
{
	struct inode *inode = lab_new_file(sb, 1);
	struct lab_race race;
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	lab_race_prepare(&race, inode);
	race.other = lab_thread_on(1, lab_grab, &race);
	if (IS_ERR(race.other)) {
		lab_discard(inode);
		return PTR_ERR(race.other);
	}
	wake_up_process(race.other);
	__mark_inode_dirty(inode, I_DIRTY_TIME);
	LAB_I(inode)->race = &race;
	LAB_I(inode)->on_dirty = lab_grabbed_meanwhile;
	flags = memalloc_nofs_save();
	lab_put_in_lookup_wins(inode);
	memalloc_nofs_restore(flags);
	if (race.found)
		lab_discard(race.found);
	return race.found ? 0 : -EIO;
}

/* Finds the inode only to wait until it is gone (__wait_on_freeing_inode(), fs/inode.c). */
static int lab_look_up(void *data)
{
	struct lab_race *race = data;

	/* Interruptible, so that its sleep in the lookup can be told from this one. */
	if (wait_for_completion_interruptible_timeout(&race->go, LAB_PATIENCE) > 0)
		race->found = ilookup(race->inode->i_sb, race->inode->i_ino);
	complete(&race->done);
	return 0;
}

/* Whether the task comes to sleep uninterruptibly. */
static bool lab_falls_asleep(struct task_struct *task)
{
	unsigned long give_up = jiffies + LAB_PATIENCE;

	while (task_state_to_char(task) != 'D') {
		if (time_after(jiffies, give_up))
			return false;
		usleep_range(100, 1000);
	}
	return true;
}

static void lab_looked_up_meanwhile(struct lab_inode *li)
{
	struct lab_race *race = li->race;

	complete(&race->go);
	race->failed = !lab_falls_asleep(race->other);
}

/* While the put evicts the inode, another CPU looks it up: it must wait, and find nothing. */
LAB_PUT_IN(lookup_waits)
LAB_SCENARIO(lookup_waits)
{
	struct inode *inode = lab_new_file(sb, 0);
	struct lab_race race;
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	lab_race_prepare(&race, inode);
	race.other = lab_thread_on(1, lab_look_up, &race);
	if (IS_ERR(race.other)) {
		lab_discard(inode);
		return PTR_ERR(race.other);
	}
	get_task_struct(race.other);
	wake_up_process(race.other);
	LAB_I(inode)->race = &race;
	LAB_I(inode)->on_evict = lab_looked_up_meanwhile;
	flags = memalloc_nofs_save();
	lab_put_in_lookup_waits(inode);
	memalloc_nofs_restore(flags);
	wait_for_completion(&race.done);
	put_task_struct(race.other);
	lab_discard(race.found);
	return race.failed || race.found ? -EIO : 0;
}

/* Somebody else, who kills the task that sleeps in its put. */
struct lab_killer {
	struct work_struct work;
	struct task_struct *victim;
};

static void lab_kill(struct work_struct *work)
{
	struct lab_killer *killer = container_of(work, struct lab_killer, work);

	/* Killed in any case: the task sleeps until then. */
	lab_falls_asleep(killer->victim);
	send_sig(SIGKILL, killer->victim, 1);
}

static void lab_sleep_until_killed(struct lab_inode *li)
{
	struct lab_killer killer = { .victim = current };
	struct completion never;

	init_completion(&never);
	INIT_WORK_ONSTACK(&killer.work, lab_kill);
	schedule_work(&killer.work);
	if (!wait_for_completion_killable(&never))
		pr_err("%s: a sleep ended that had to last until the kill\n", LAB_NAME);
	flush_work(&killer.work);
	destroy_work_on_stack(&killer.work);
}

/* The task, a child that the guest starts for this, is killed while its put evicts. */
LAB_PUT_IN(task_killed)
LAB_SCENARIO(task_killed)
{
	struct inode *inode = lab_new_file(sb, 0);
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	LAB_I(inode)->on_evict = lab_sleep_until_killed;
	flags = memalloc_nofs_save();
	lab_put_in_task_killed(inode);
	memalloc_nofs_restore(flags);
	return 0;
}

/* By the other module, which the guest loads for this and unloads with the call on record. */
static lab_put lab_unloadable_put;

void lab_set_unloadable(lab_put put)
{
	WRITE_ONCE(lab_unloadable_put, put);
}
EXPORT_SYMBOL_GPL(lab_set_unloadable);

LAB_SCENARIO(module_unloaded)
{
	lab_put put = READ_ONCE(lab_unloadable_put);
	struct inode *inode;
	unsigned int flags;

	if (!put)
		return -ENODEV;
	inode = lab_new_file(sb, 0);
	if (!inode)
		return -ENOMEM;
	flags = memalloc_nofs_save();
	put(inode);
	memalloc_nofs_restore(flags);
	return 0;
}

/*
 * On each CPU in turn, as far as it is online; the guest takes one down and up again between the
 * runs. What was counted on a CPU must still be counted when it is gone.
 */
LAB_PUT_IN(cpu_offline)
LAB_SCENARIO(cpu_offline)
{
	static unsigned int last;
	struct inode *inode = lab_new_file(sb, 0);
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	last = cpumask_next(last, cpu_possible_mask);
	if (last >= nr_cpu_ids)
		last = cpumask_first(cpu_possible_mask);
	/* Refused for a CPU that is offline: then it is put on this one. */
	(void)set_cpus_allowed_ptr(current, cpumask_of(last));
	flags = memalloc_nofs_save();
	lab_put_in_cpu_offline(inode);
	memalloc_nofs_restore(flags);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	return 0;
}
