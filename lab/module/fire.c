// SPDX-License-Identifier: GPL-2.0
/*
 * Very many puts, by as many tasks at once as write to the debugfs file (KIND COUNT CHAINS). Read,
 * it gives the number of puts of each kind so far, exactly, also if a writer was killed.
 */
#include <linux/debugfs.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "lab.h"

#define LAB_FIRE_CHAIN_BITS 14

static struct dentry *lab_fire_file;

/* One writer's share. */
struct lab_volley {
	struct super_block *sb;
	struct inode *linked;
	unsigned int chains;
};

/* Benign, and found again each time, as by a lookup. */
LAB_PUT_IN(fire_kept)

static int lab_fire_kept(struct lab_volley *volley, u64 index)
{
	if (!volley->linked) {
		volley->linked = lab_new_file(volley->sb, 1);
		if (!volley->linked)
			return -ENOMEM;
		lab_discard(volley->linked);
	}
	if (!igrab(volley->linked))
		return -ENOENT;
	lab_put_in_fire_kept(volley->linked);
	return 0;
}

/* Benign, and evicted. */
LAB_PUT_IN(fire_evicted)

static int lab_fire_evicted(struct lab_volley *volley, u64 index)
{
	struct inode *inode = lab_new_file(volley->sb, 0);

	if (!inode)
		return -ENOMEM;
	lab_put_in_fire_evicted(inode);
	return 0;
}

/* In a NOFS scope, which is kept at a site: one site for each chain. */
LAB_PUT_IN(fire_nofs)

static int lab_fire_nofs(struct lab_volley *volley, u64 index)
{
	struct inode *inode = lab_new_file(volley->sb, 0);
	unsigned int flags;

	if (!inode)
		return -ENOMEM;
	flags = memalloc_nofs_save();
	lab_chain(inode, LAB_FIRE_CHAIN_BITS, do_div(index, volley->chains), lab_put_in_fire_nofs);
	memalloc_nofs_restore(flags);
	return 0;
}

#define LAB_FIRE(name) { #name, lab_fire_##name, ATOMIC64_INIT(0) }

static struct lab_fire {
	const char *name;
	int (*put)(struct lab_volley *volley, u64 index);
	atomic64_t puts;
} lab_fires[] = {
	LAB_FIRE(kept),
	LAB_FIRE(evicted),
	LAB_FIRE(nofs),
};

static int lab_fire_all(struct lab_fire *fire, u64 count, unsigned int chains)
{
	struct vfsmount *mnt = lab_mount();
	struct lab_volley volley = { .chains = chains };
	int error = 0;
	u64 i;

	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	volley.sb = mnt->mnt_sb;
	for (i = 0; i < count && !error; i++) {
		error = fire->put(&volley, i);
		if (!error)
			atomic64_inc(&fire->puts);
		if (fatal_signal_pending(current))
			error = -EINTR;
		cond_resched();
	}
	kern_unmount(mnt);
	return error;
}

static ssize_t lab_fire_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	unsigned int chains, i;
	char line[64], name[16];
	int error = -ENOENT;
	u64 count;

	if (size >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, from, size))
		return -EFAULT;
	line[size] = '\0';
	if (sscanf(line, "%15s %llu %u", name, &count, &chains) != 3 || !chains ||
	    chains > 1 << LAB_FIRE_CHAIN_BITS)
		return -EINVAL;
	/* No locks around a put, as for scenarios (control.c). */
	file_end_write(file);
	for (i = 0; i < ARRAY_SIZE(lab_fires); i++)
		if (!strcmp(lab_fires[i].name, name))
			error = lab_fire_all(&lab_fires[i], count, chains);
	file_start_write(file);
	return error ? error : size;
}

static int lab_fire_show(struct seq_file *seq, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(lab_fires); i++)
		seq_printf(seq, "%s %lld\n", lab_fires[i].name, atomic64_read(&lab_fires[i].puts));
	return 0;
}

static int lab_fire_open(struct inode *inode, struct file *file)
{
	return single_open(file, lab_fire_show, NULL);
}

static const struct file_operations lab_fire_operations = {
	.owner		= THIS_MODULE,
	.open		= lab_fire_open,
	.read		= seq_read,
	.write		= lab_fire_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

int lab_fire_init(void)
{
	lab_fire_file = debugfs_create_file(LAB_NAME "_fire", 0600, NULL, NULL,
					    &lab_fire_operations);
	return PTR_ERR_OR_ZERO(lab_fire_file);
}

void lab_fire_exit(void)
{
	debugfs_remove(lab_fire_file);
}
