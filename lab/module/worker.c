// SPDX-License-Identifier: GPL-2.0
/* Puts by kernel threads: workers of three kinds of workqueue, and a thread of its own. */
#include <linux/kthread.h>
#include <linux/pagemap.h>
#include <linux/workqueue.h>

#include "lab.h"

struct workqueue_struct *lab_plain_queue;
static struct workqueue_struct *lab_reclaim_queue;
static struct workqueue_struct *lab_ordered_queue;

struct lab_deferred {
	struct work_struct work;
	struct completion done;
	struct inode *inode;
};

static int lab_put_by_work(struct inode *inode, struct workqueue_struct *queue,
			   work_func_t function)
{
	struct lab_deferred deferred = { .inode = inode };

	if (!inode)
		return -ENOMEM;
	INIT_WORK_ONSTACK(&deferred.work, function);
	queue_work(queue, &deferred.work);
	flush_work(&deferred.work);
	destroy_work_on_stack(&deferred.work);
	return 0;
}

/* A worker of the queue puts the inode, after something else that it does with it. */
#define LAB_WORK(scenario, queue, new_inode, before)			\
	LAB_PUT_IN(scenario)						\
	static void lab_work_##scenario(struct work_struct *work)	\
	{								\
		struct inode *inode = container_of(work, struct lab_deferred, work)->inode; \
									\
		before;							\
		lab_put_in_##scenario(inode);				\
	}								\
	LAB_SCENARIO(scenario)						\
	{								\
		return lab_put_by_work((new_inode), queue, lab_work_##scenario); \
	}

LAB_WORK(workqueue_plain, lab_plain_queue, lab_new_file(sb, 0), LAB_NOTHING)
LAB_WORK(workqueue_mem_reclaim, lab_reclaim_queue, lab_new_file(sb, 0), LAB_NOTHING)
LAB_WORK(workqueue_ordered, lab_ordered_queue, lab_new_file(sb, 0), LAB_NOTHING)
/* It has written the inode itself, and is through with that. */
LAB_WORK(worker_after_writeback, lab_plain_queue, lab_new_dirty_file(sb, 0),
	 write_inode_now(inode, 1))

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
