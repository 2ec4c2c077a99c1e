// SPDX-License-Identifier: GPL-2.0
/* The debugfs files: "run" starts a scenario (NAME COUNT [PATH]), "scenarios" lists them. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "lab.h"

#define LAB_COUNT_MAX 1000000

static struct dentry *lab_directory;
static unsigned long lab_busy;
static char lab_run_path[64];

const char *lab_path(void)
{
	return lab_run_path;
}

static int lab_run_counted(const struct lab_scenario *scenario, unsigned int count)
{
	struct vfsmount *mnt = NULL;
	int result = 0;

	while (count-- && result >= 0) {
		if (!mnt) {
			mnt = lab_mount();
			if (IS_ERR(mnt))
				return PTR_ERR(mnt);
		}
		result = scenario->run(mnt->mnt_sb);
		if (result == LAB_STUCK) {
			/*
			 * This mount stays until the machine goes down. Read-only, it is passed
			 * over by sync(2), which would otherwise hang on it.
			 */
			mnt->mnt_sb->s_flags |= SB_RDONLY;
			mnt = NULL;
		}
	}
	if (mnt)
		kern_unmount(mnt);
	return min(result, 0);
}

static const struct lab_scenario *lab_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < lab_scenario_count; i++)
		if (!strcmp(lab_scenarios[i].name, name))
			return &lab_scenarios[i];
	return NULL;
}

static ssize_t lab_run_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	const struct lab_scenario *scenario;
	char line[128], name[33], path[sizeof(lab_run_path)] = "";
	unsigned int count;
	int result;

	if (size >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, from, size))
		return -EFAULT;
	line[size] = '\0';
	if (sscanf(line, "%32s %u %63s", name, &count, path) < 2 || !count || count > LAB_COUNT_MAX)
		return -EINVAL;
	scenario = lab_find(name);
	if (!scenario)
		return -ENOENT;
	if (scenario->unsupported)
		return -EOPNOTSUPP;
	/* One at a time, but not by a lock, which the scenario would then hold. */
	if (test_and_set_bit(0, &lab_busy))
		return -EBUSY;
	strscpy(lab_run_path, path, sizeof(lab_run_path));
	/* vfs_write() holds off freezing debugfs; lockdep counts that as a lock held. */
	file_end_write(file);
	result = lab_run_counted(scenario, count);
	file_start_write(file);
	clear_bit(0, &lab_busy);
	return result ? result : size;
}

static const struct file_operations lab_run_operations = {
	.owner	= THIS_MODULE,
	/* no file position, so that write(2) does not hold f_pos_lock around a scenario */
	.open	= stream_open,
	.write	= lab_run_write,
};

static int lab_scenarios_show(struct seq_file *seq, void *unused)
{
	unsigned int i;

	for (i = 0; i < lab_scenario_count; i++) {
		seq_puts(seq, lab_scenarios[i].name);
		if (lab_scenarios[i].unsupported)
			seq_printf(seq, " unsupported: %s", lab_scenarios[i].unsupported);
		seq_putc(seq, '\n');
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(lab_scenarios);

int lab_control_init(void)
{
	lab_directory = debugfs_create_dir(LAB_NAME, NULL);
	debugfs_create_file("run", 0200, lab_directory, NULL, &lab_run_operations);
	debugfs_create_file("scenarios", 0400, lab_directory, NULL, &lab_scenarios_fops);
	return PTR_ERR_OR_ZERO(lab_directory);
}

void lab_control_exit(void)
{
	debugfs_remove_recursive(lab_directory);
}
