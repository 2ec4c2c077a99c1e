// SPDX-License-Identifier: GPL-2.0
/* Puts by a task with little of its kernel stack left. */
#include <linux/sched.h>
#include <linux/sched/task_stack.h>

#include "lab.h"

typedef void (*lab_put)(struct inode *inode);

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

static noinline __noclone void lab_descend(struct inode *inode, unsigned long left, lab_put put)
{
	char used[1024];

	barrier_data(used);
	if (lab_stack_left() > left + 1024 + 512)
		lab_descend(inode, left, put);
	else
		lab_descend_fine(inode, left, put);
	barrier_data(used);
}

LAB_PUT_IN(low_stack_4k)
LAB_SCENARIO(low_stack_4k)
{
	struct inode *inode = lab_new_atomic_file(sb);

	if (!inode)
		return -ENOMEM;
	lab_descend(inode, 4096 - 512, lab_put_in_low_stack_4k);
	return 0;
}

/* Enough for iput() and a probe in it, and not for a real eviction. */
LAB_PUT_IN(low_stack_2k)
LAB_SCENARIO(low_stack_2k)
{
	struct inode *inode = lab_new_atomic_file(sb);

	if (!inode)
		return -ENOMEM;
	lab_descend(inode, 2048 - 256, lab_put_in_low_stack_2k);
	return 0;
}
