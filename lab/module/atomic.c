// SPDX-License-Identifier: GPL-2.0
/*
 * Puts where nothing may sleep. Their inodes are on no list that an interrupted task could be
 * holding, and are evicted without sleeping (lab_new_atomic_file()).
 */
#include <linux/irq_work.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#include "lab.h"

static DEFINE_SPINLOCK(lab_lock);

LAB_PUT_IN(spinlock)
LAB_SCENARIO(spinlock)
{
	struct inode *inode = lab_new_atomic_file(sb);

	if (!inode)
		return -ENOMEM;
	spin_lock(&lab_lock);
	lab_put_in_spinlock(inode);
	spin_unlock(&lab_lock);
	return 0;
}

LAB_PUT_IN(spinlock_irqsave)
LAB_SCENARIO(spinlock_irqsave)
{
	struct inode *inode = lab_new_atomic_file(sb);
	unsigned long flags;

	if (!inode)
		return -ENOMEM;
	spin_lock_irqsave(&lab_lock, flags);
	lab_put_in_spinlock_irqsave(inode);
	spin_unlock_irqrestore(&lab_lock, flags);
	return 0;
}

LAB_PUT_IN(preempt_disable)
LAB_SCENARIO(preempt_disable)
{
	struct inode *inode = lab_new_atomic_file(sb);

	if (!inode)
		return -ENOMEM;
	preempt_disable();
	lab_put_in_preempt_disable(inode);
	preempt_enable();
	return 0;
}

LAB_PUT_IN(bh_disable)
LAB_SCENARIO(bh_disable)
{
	struct inode *inode = lab_new_atomic_file(sb);

	if (!inode)
		return -ENOMEM;
	local_bh_disable();
	lab_put_in_bh_disable(inode);
	local_bh_enable();
	return 0;
}

LAB_PUT_IN(rcu_reader)
LAB_SCENARIO(rcu_reader)
{
	struct inode *inode = lab_new_atomic_file(sb);

	if (!inode)
		return -ENOMEM;
	rcu_read_lock();
	lab_put_in_rcu_reader(inode);
	rcu_read_unlock();
	return 0;
}

/* One put that an interrupt makes on this CPU. */
struct lab_interrupt {
	struct timer_list timer;
	struct irq_work work;
	struct inode *inode;
	bool done;
};

/*
 * Interrupts mostly land in this loop, which holds nothing: i_lock, the superblock's inode list
 * and the inode hash are not safe to take in interrupts. Nobody else works on this superblock. It
 * gives way to ksoftirqd, which may have to run the timer (invoke_softirq(), kernel/softirq.c).
 */
static int lab_spin_until_done(struct lab_interrupt *interrupt)
{
	unsigned long give_up = jiffies + 60 * HZ;

	while (!smp_load_acquire(&interrupt->done)) {
		if (time_after(jiffies, give_up))
			return -ETIME;
		cpu_relax();
		cond_resched();
	}
	return 0;
}

LAB_PUT_IN(softirq_timer)
static void lab_timer_expired(struct timer_list *timer)
{
	struct lab_interrupt *interrupt = container_of(timer, struct lab_interrupt, timer);

	lab_put_in_softirq_timer(interrupt->inode);
	smp_store_release(&interrupt->done, true);
}

LAB_SCENARIO(softirq_timer)
{
	static struct lab_interrupt interrupt;
	int error;

	interrupt.done = false;
	interrupt.inode = lab_new_atomic_file(sb);
	if (!interrupt.inode)
		return -ENOMEM;
	timer_setup(&interrupt.timer, lab_timer_expired, TIMER_PINNED);
	mod_timer(&interrupt.timer, jiffies + 1);
	error = lab_spin_until_done(&interrupt);
	timer_delete_sync(&interrupt.timer);
	if (!interrupt.done)
		lab_discard(interrupt.inode);
	return error;
}

LAB_PUT_IN(hardirq)
static void lab_irq_work(struct irq_work *work)
{
	struct lab_interrupt *interrupt = container_of(work, struct lab_interrupt, work);

	lab_put_in_hardirq(interrupt->inode);
	smp_store_release(&interrupt->done, true);
}

LAB_SCENARIO(hardirq)
{
	static struct lab_interrupt interrupt;
	int error;

	interrupt.done = false;
	interrupt.inode = lab_new_atomic_file(sb);
	if (!interrupt.inode)
		return -ENOMEM;
	init_irq_work(&interrupt.work, lab_irq_work);
	irq_work_queue(&interrupt.work);
	error = lab_spin_until_done(&interrupt);
	/* From here on it has run. */
	irq_work_sync(&interrupt.work);
	return error;
}
