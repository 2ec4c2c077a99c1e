// SPDX-License-Identifier: GPL-2.0
/*
 * Puts by the end of a file: a user's task ends its files in task work, on its way out of the
 * kernel; those of kernel threads are ended by a work item (fput(), fs/file_table.c).
 */
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mount.h>

#include "lab.h"

/*
 * The last reference to a file whose ->release puts another inode. It is on a mount of its own,
 * which lasts until the file is gone: that may be after the scenario.
 */
static struct file *lab_new_file_of_victim(lab_hook hook, struct completion *returned)
{
	struct vfsmount *mnt = lab_mount();
	struct inode *inode, *victim;
	struct file *file = ERR_PTR(-ENOMEM);

	if (IS_ERR(mnt))
		return ERR_CAST(mnt);
	inode = lab_new_file(mnt->mnt_sb, 1);
	victim = lab_new_file(mnt->mnt_sb, 0);
	if (inode && victim)
		file = lab_open(mnt, inode);
	if (IS_ERR(file)) {
		lab_discard(inode);
		lab_discard(victim);
	} else {
		LAB_I(inode)->victim = victim;
		LAB_I(inode)->returned = returned;
		LAB_I(inode)->on_release = hook;
	}
	kern_unmount(mnt);
	return file;
}

LAB_PUT_IN(task_work)
static void lab_put_in_release(struct lab_inode *li)
{
	lab_put_in_task_work(li->victim);
}

LAB_SCENARIO(task_work)
{
	struct file *file = lab_new_file_of_victim(lab_put_in_release, NULL);

	if (IS_ERR(file))
		return PTR_ERR(file);
	fput(file);
	return 0;
}

LAB_PUT_IN(delayed_fput)
static void lab_put_in_delayed_release(struct lab_inode *li)
{
	lab_put_in_delayed_fput(li->victim);
	complete(li->returned);
}

static int lab_fput_thread(void *file)
{
	fput(file);
	return 0;
}

LAB_SCENARIO(delayed_fput)
{
	static DECLARE_COMPLETION(returned);
	struct file *file = lab_new_file_of_victim(lab_put_in_delayed_release, &returned);
	struct task_struct *thread;

	if (IS_ERR(file))
		return PTR_ERR(file);
	reinit_completion(&returned);
	thread = kthread_run(lab_fput_thread, file, "lastref_lab");
	if (IS_ERR(thread)) {
		fput(file);
		return PTR_ERR(thread);
	}
	wait_for_completion(&returned);
	return 0;
}
