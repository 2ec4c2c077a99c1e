// SPDX-License-Identifier: GPL-2.0
/* Loads and unloads the lab: each part in order, and back. */
#include <linux/module.h>

#include "lab.h"

static const struct {
	int (*init)(void);
	void (*exit)(void);
} lab_parts[] = {
	{ lab_fs_init, lab_fs_exit },
	{ lab_worker_init, lab_worker_exit },
	{ lab_held_init, lab_held_exit },
	{ lab_block_init, lab_block_exit },
	{ lab_reclaim_init, lab_reclaim_exit },
	{ lab_disk_init, lab_disk_exit },
	{ lab_control_init, lab_control_exit },
	{ lab_bench_init, lab_bench_exit },
	{ lab_fire_init, lab_fire_exit },
};

static void lab_exit_parts(int count)
{
	while (count--)
		lab_parts[count].exit();
}

static int __init lab_init(void)
{
	int i, error;

	for (i = 0; i < ARRAY_SIZE(lab_parts); i++) {
		error = lab_parts[i].init();
		if (error) {
			lab_exit_parts(i);
			return error;
		}
	}
	return 0;
}

static void __exit lab_exit(void)
{
	lab_exit_parts(ARRAY_SIZE(lab_parts));
}

module_init(lab_init);
module_exit(lab_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Puts inodes from every context, as ground truth for lastref");
MODULE_ALIAS_FS(LAB_NAME);
