// SPDX-License-Identifier: GPL-2.0
/* Puts by a task with little of its kernel stack left. */
#include <linux/sched.h>
#include <linux/sched/task_stack.h>

#include "lab.h"

static __always_inline unsigned long lab_stack_left(void)
{
	return current_stack_pointer - (unsigned long)end_of_stack(current);
}

/* Two step widths, so that neither the stack trace gets too deep nor the aim too coarse. */
static noinline __noclone void lab_descend_fine(struct inode *inode, unsigned long left, lab_put put)
{
	char used[128];

	barrier_data(used);
	if (lab_stack_left() > left + 256)
		lab_descend_fine(inode, left, put);
	else
		put(inode);
	barrier_data(used);
}

noinline __noclone void lab_descend(struct inode *inode, unsigned long left, lab_put put)
{
	char used[1024];

	barrier_data(used);
	if (lab_stack_left() > left + 1024 + 512)
		lab_descend(inode, left, put);
	else
		lab_descend_fine(inode, left, put);
	barrier_data(used);
}

/* The put is made with `left` bytes left, or up to 256 more. */
#define LAB_LOW_STACK(scenario, left)					\
	LAB_PUT_IN(scenario)						\
	LAB_SCENARIO(scenario)						\
	{								\
		struct inode *inode = lab_new_atomic_file(sb);		\
									\
		if (!inode)						\
			return -ENOMEM;					\
		lab_descend(inode, left, lab_put_in_##scenario);	\
		return 0;						\
	}

LAB_LOW_STACK(stack_above_4k, 4096 + 512)
LAB_LOW_STACK(low_stack_4k, 4096 - 512)
/* Enough for iput() and a probe in it, and not for a real eviction. */
LAB_LOW_STACK(low_stack_2k, 2048 - 256)
