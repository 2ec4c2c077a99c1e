// SPDX-License-Identifier: GPL-2.0
/* Puts by kernel threads: workers of three kinds of workqueue, and a thread of its own. */
#include <linux/kthread.h>
#include <linux/workqueue.h>

#include "lab.h"

static struct workqueue_struct *lab_plain_queue;
static struct workqueue_struct *lab_reclaim_queue;
static struct workqueue_struct *lab_ordered_queue;

struct lab_deferred {
	struct work_struct work;
	struct completion done;
	struct inode *inode;
};

static int lab_put_by_work(struct super_block *sb, struct workqueue_struct *queue,
			   work_func_t function)
{
	struct lab_deferred deferred;

	deferred.inode = lab_new_file(sb, 0);
	if (!deferred.inode)
		return -ENOMEM;
	INIT_WORK_ONSTACK(&deferred.work, function);
	queue_work(queue, &deferred.work);
	flush_work(&deferred.work);
	destroy_work_on_stack(&deferred.work);
	return 0;
}

LAB_PUT_IN(workqueue_plain)
static void lab_plain_work(struct work_struct *work)
{
	lab_put_in_workqueue_plain(container_of(work, struct lab_deferred, work)->inode);
}

LAB_SCENARIO(workqueue_plain)
{
	return lab_put_by_work(sb, lab_plain_queue, lab_plain_work);
}

LAB_PUT_IN(workqueue_mem_reclaim)
static void lab_reclaim_work(struct work_struct *work)
{
	lab_put_in_workqueue_mem_reclaim(container_of(work, struct lab_deferred, work)->inode);
}

LAB_SCENARIO(workqueue_mem_reclaim)
{
	return lab_put_by_work(sb, lab_reclaim_queue, lab_reclaim_work);
}

LAB_PUT_IN(workqueue_ordered)
static void lab_ordered_work(struct work_struct *work)
{
	lab_put_in_workqueue_ordered(container_of(work, struct lab_deferred, work)->inode);
}

LAB_SCENARIO(workqueue_ordered)
{
	return lab_put_by_work(sb, lab_ordered_queue, lab_ordered_work);
}

LAB_PUT_IN(kthread)
static int lab_thread(void *data)
{
	struct lab_deferred *deferred = data;

	lab_put_in_kthread(deferred->inode);
	complete(&deferred->done);
	return 0;
}

LAB_SCENARIO(kthread)
{
	struct lab_deferred deferred;
	struct task_struct *thread;

	deferred.inode = lab_new_file(sb, 0);
	if (!deferred.inode)
		return -ENOMEM;
	init_completion(&deferred.done);
	thread = kthread_run(lab_thread, &deferred, "lastref_lab");
	if (IS_ERR(thread)) {
		lab_discard(deferred.inode);
		return PTR_ERR(thread);
	}
	wait_for_completion(&deferred.done);
	return 0;
}

int lab_worker_init(void)
{
	lab_plain_queue = alloc_workqueue("lastref_lab_plain", WQ_UNBOUND, 0);
	lab_reclaim_queue = alloc_workqueue("lastref_lab_reclaim", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	lab_ordered_queue = alloc_ordered_workqueue("lastref_lab_ordered", 0);
	if (lab_plain_queue && lab_reclaim_queue && lab_ordered_queue)
		return 0;
	lab_worker_exit();
	return -ENOMEM;
}

void lab_worker_exit(void)
{
	struct workqueue_struct *queues[] = { lab_plain_queue, lab_reclaim_queue, lab_ordered_queue };
	int i;

	for (i = 0; i < ARRAY_SIZE(queues); i++)
		if (queues[i])
			destroy_workqueue(queues[i]);
}
