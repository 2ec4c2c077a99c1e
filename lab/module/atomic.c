// SPDX-License-Identifier: GPL-2.0
/*
 * Puts where nothing may sleep. Their inodes are on no list that an interrupted task could be
 * holding, and are evicted without sleeping (lab_new_atomic_file()).
 */
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#include "lab.h"

static DEFINE_SPINLOCK(lab_spinlock);
static DEFINE_RWLOCK(lab_rwlock);
static DEFINE_SEQLOCK(lab_seqlock);
/* One scenario runs at a time. */
static unsigned long lab_irq_flags;

#define LAB_ATOMIC(scenario, enter, leave) \
	LAB_PUT_BETWEEN(scenario, lab_new_atomic_file(sb), enter, leave)

LAB_ATOMIC(spinlock, spin_lock(&lab_spinlock), spin_unlock(&lab_spinlock))
LAB_ATOMIC(spinlock_irqsave, spin_lock_irqsave(&lab_spinlock, lab_irq_flags),
	   spin_unlock_irqrestore(&lab_spinlock, lab_irq_flags))
LAB_ATOMIC(read_lock, read_lock(&lab_rwlock), read_unlock(&lab_rwlock))
LAB_ATOMIC(seqlock_write, write_seqlock(&lab_seqlock), write_sequnlock(&lab_seqlock))
LAB_ATOMIC(preempt_disable, preempt_disable(), preempt_enable())
LAB_ATOMIC(bh_disable, local_bh_disable(), local_bh_enable())
LAB_ATOMIC(rcu_reader, rcu_read_lock(), rcu_read_unlock())

/* One put that an interrupt makes on this CPU. */
struct lab_interrupt {
	struct timer_list timer;
	struct tasklet_struct tasklet;
	struct irq_work work;
	struct inode *inode;
	lab_put put;
	bool done;
};

static void lab_interrupt_put(struct lab_interrupt *interrupt)
{
	interrupt->put(interrupt->inode);
	smp_store_release(&interrupt->done, true);
}

/*
 * Interrupts mostly land in this loop, which holds nothing: i_lock, the superblock's inode list
 * and the inode hash are not safe to take in interrupts. Nobody else works on this superblock. It
 * gives way to ksoftirqd, which may have to run the softirq (invoke_softirq(), kernel/softirq.c).
 */
static void lab_spin_until_done(struct lab_interrupt *interrupt)
{
	unsigned long give_up = jiffies + 60 * HZ;

	while (!smp_load_acquire(&interrupt->done) && time_before(jiffies, give_up)) {
		cpu_relax();
		cond_resched();
	}
}

/* Has an interrupt make the put; `raise` asks for it, `cancel` returns once it is over. */
static int lab_put_by_interrupt(struct inode *inode, lab_put put,
				void (*raise)(struct lab_interrupt *interrupt),
				void (*cancel)(struct lab_interrupt *interrupt))
{
	static struct lab_interrupt interrupt;

	interrupt.done = false;
	interrupt.put = put;
	interrupt.inode = inode;
	if (!inode)
		return -ENOMEM;
	raise(&interrupt);
	lab_spin_until_done(&interrupt);
	cancel(&interrupt);
	if (interrupt.done)
		return 0;
	lab_discard(inode);
	return -ETIME;
}

static void lab_timer_expired(struct timer_list *timer)
{
	lab_interrupt_put(container_of(timer, struct lab_interrupt, timer));
}

static void lab_raise_timer(struct lab_interrupt *interrupt)
{
	timer_setup(&interrupt->timer, lab_timer_expired, TIMER_PINNED);
	mod_timer(&interrupt->timer, jiffies + 1);
}

static void lab_cancel_timer(struct lab_interrupt *interrupt)
{
	timer_delete_sync(&interrupt->timer);
}

static void lab_tasklet(struct tasklet_struct *tasklet)
{
	lab_interrupt_put(container_of(tasklet, struct lab_interrupt, tasklet));
}

static void lab_raise_tasklet(struct lab_interrupt *interrupt)
{
	tasklet_setup(&interrupt->tasklet, lab_tasklet);
	tasklet_schedule(&interrupt->tasklet);
}

static void lab_cancel_tasklet(struct lab_interrupt *interrupt)
{
	tasklet_kill(&interrupt->tasklet);
}

static void lab_irq_work(struct irq_work *work)
{
	lab_interrupt_put(container_of(work, struct lab_interrupt, work));
}

static void lab_raise_irq_work(struct lab_interrupt *interrupt)
{
	init_irq_work(&interrupt->work, lab_irq_work);
	irq_work_queue(&interrupt->work);
}

static void lab_cancel_irq_work(struct lab_interrupt *interrupt)
{
	irq_work_sync(&interrupt->work);
}

#define LAB_INTERRUPT(scenario, kind)						\
	LAB_PUT_IN(scenario)							\
	LAB_SCENARIO(scenario)							\
	{									\
		return lab_put_by_interrupt(lab_new_atomic_file(sb), lab_put_in_##scenario, \
					    lab_raise_##kind, lab_cancel_##kind); \
	}

LAB_INTERRUPT(softirq_timer, timer)
LAB_INTERRUPT(softirq_tasklet, tasklet)
LAB_INTERRUPT(hardirq, irq_work)

/* On PREEMPT_RT no interrupt: these are other facts, so they are other scenarios. */
LAB_INTERRUPT(softirq_thread_timer, timer)
LAB_INTERRUPT(softirq_thread_tasklet, tasklet)

int lab_hardirq(struct inode *inode, lab_put put)
{
	return lab_put_by_interrupt(inode, put, lab_raise_irq_work, lab_cancel_irq_work);
}

/*
 * The softirq runs when bottom halves are switched on again, and not whenever this CPU is next
 * interrupted: somebody who shrinks the caches meanwhile may then hold the superblock's locks.
 */
static void lab_raise_tasklet_here(struct lab_interrupt *interrupt)
{
	local_bh_disable();
	lab_raise_tasklet(interrupt);
	local_bh_enable();
}

int lab_softirq(struct inode *inode, lab_put put)
{
	return lab_put_by_interrupt(inode, put, lab_raise_tasklet_here, lab_cancel_tasklet);
}
