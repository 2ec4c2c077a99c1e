// SPDX-License-Identifier: GPL-2.0
/* A second module, with nothing but a function that puts an inode: it comes and goes. */
#include <linux/module.h>

#include "lab.h"

LAB_PUT_IN(module_unloaded)

static int __init lab_unloadable_init(void)
{
	lab_set_unloadable(lab_put_in_module_unloaded);
	return 0;
}

static void __exit lab_unloadable_exit(void)
{
	lab_set_unloadable(NULL);
}

module_init(lab_unloadable_init);
module_exit(lab_unloadable_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A function of lastref_lab that can be unloaded");
