// SPDX-License-Identifier: GPL-2.0
/*
 * What a put costs, call by call: the debugfs file takes the name of a kind of call, and then gives
 * the cycle counter's steps of each call. Where QEMU counts instructions, a step is one.
 */
#include <linux/debugfs.h>
#include <linux/mount.h>
#include <linux/seq_file.h>
#include <linux/timex.h>
#include <linux/uaccess.h>

#include "lab.h"

#define LAB_CALLS_BITS 9
#define LAB_CALLS (1 << LAB_CALLS_BITS)

static struct dentry *lab_bench_file;
static unsigned long lab_bench_busy;
static DEFINE_SPINLOCK(lab_bench_spinlock);
static DEFINE_MUTEX(lab_bench_mutex);
static cycles_t lab_steps[LAB_CALLS];

#define LAB_STEPS_OF(statement)						\
	({								\
		cycles_t start = get_cycles();				\
									\
		statement;						\
		get_cycles() - start;					\
	})

static noinline __noclone cycles_t lab_bench_put(struct inode *inode)
{
	return LAB_STEPS_OF(iput(inode));
}

/* What the last put through a chain took. */
static cycles_t lab_bench_last;

static noinline __noclone void lab_bench_chained_put(struct inode *inode)
{
	lab_bench_last = LAB_STEPS_OF(iput(inode));
}

static cycles_t lab_bench_spinlocked_put(struct inode *inode, unsigned int chain)
{
	spin_lock(&lab_bench_spinlock);
	lab_chain(inode, LAB_CALLS_BITS, chain, lab_bench_chained_put);
	spin_unlock(&lab_bench_spinlock);
	return lab_bench_last;
}

/* What reading the counter costs itself. */
static int lab_bench_nothing(struct super_block *sb)
{
	int i;

	for (i = 0; i < LAB_CALLS; i++)
		lab_steps[i] = LAB_STEPS_OF(barrier());
	return 0;
}

static int lab_bench_nonfinal(struct super_block *sb)
{
	struct inode *inode = lab_new_file(sb, 1);
	int i;

	if (!inode)
		return -ENOMEM;
	for (i = 0; i < LAB_CALLS; i++) {
		ihold(inode);
		lab_steps[i] = lab_bench_put(inode);
	}
	lab_discard(inode);
	return 0;
}

/* Found again each time, as by a lookup. */
static int lab_bench_kept(struct super_block *sb)
{
	struct inode *inode = lab_new_file(sb, 1);
	int i;

	if (!inode)
		return -ENOMEM;
	lab_discard(inode);
	for (i = 0; i < LAB_CALLS; i++) {
		if (!igrab(inode))
			return -ENOENT;
		lab_steps[i] = lab_bench_put(inode);
	}
	return 0;
}

static int lab_bench_evicted(struct super_block *sb)
{
	int i;

	for (i = 0; i < LAB_CALLS; i++) {
		struct inode *inode = lab_new_file(sb, 0);

		if (!inode)
			return -ENOMEM;
		lab_steps[i] = lab_bench_put(inode);
	}
	return 0;
}

static int lab_bench_atomic(struct super_block *sb, bool same_chain)
{
	int i;

	for (i = 0; i < LAB_CALLS; i++) {
		struct inode *inode = lab_new_atomic_file(sb);

		if (!inode)
			return -ENOMEM;
		lab_steps[i] = lab_bench_spinlocked_put(inode, same_chain ? 0 : i);
	}
	return 0;
}

static int lab_bench_atomic_new(struct super_block *sb)
{
	return lab_bench_atomic(sb, false);
}

static int lab_bench_atomic_known(struct super_block *sb)
{
	return lab_bench_atomic(sb, true);
}

/* An unused dentry has the other reference. */
static int lab_bench_atomic_nonfinal(struct super_block *sb, bool same_chain)
{
	struct lab_cached cached;
	int error = lab_cache(&cached, sb, lab_new_atomic_file, LAB_HELD_BY(.names = 1));
	int i;

	if (error)
		return error;
	for (i = 0; i < LAB_CALLS; i++) {
		lab_steps[i] = lab_bench_spinlocked_put(cached.inode, same_chain ? 0 : i);
		ihold(cached.inode);
	}
	lab_discard(cached.inode);
	lab_uncache(&cached);
	return 0;
}

static int lab_bench_atomic_nonfinal_new(struct super_block *sb)
{
	return lab_bench_atomic_nonfinal(sb, false);
}

static int lab_bench_atomic_nonfinal_known(struct super_block *sb)
{
	return lab_bench_atomic_nonfinal(sb, true);
}

static int lab_bench_mutex_pair(struct super_block *sb)
{
	int i;

	for (i = 0; i < LAB_CALLS; i++)
		lab_steps[i] = LAB_STEPS_OF({
			mutex_lock(&lab_bench_mutex);
			mutex_unlock(&lab_bench_mutex);
		});
	return 0;
}

#define LAB_BENCH(name) { #name, lab_bench_##name }

static const struct {
	const char *name;
	int (*run)(struct super_block *sb);
} lab_benches[] = {
	LAB_BENCH(nothing),
	LAB_BENCH(nonfinal),
	LAB_BENCH(kept),
	LAB_BENCH(evicted),
	LAB_BENCH(atomic_new),
	LAB_BENCH(atomic_known),
	LAB_BENCH(atomic_nonfinal_new),
	LAB_BENCH(atomic_nonfinal_known),
	LAB_BENCH(mutex_pair),
};

static int lab_bench_named(const char *name)
{
	struct vfsmount *mnt;
	int i, error;

	for (i = 0; strcmp(lab_benches[i].name, name);)
		if (++i == ARRAY_SIZE(lab_benches))
			return -ENOENT;
	mnt = lab_mount();
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	error = lab_benches[i].run(mnt->mnt_sb);
	kern_unmount(mnt);
	return error;
}

static ssize_t lab_bench_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	char name[32];
	int error;

	if (size >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, from, size))
		return -EFAULT;
	name[size] = '\0';
	/* No locks around a call, as for scenarios (control.c). */
	if (test_and_set_bit(0, &lab_bench_busy))
		return -EBUSY;
	file_end_write(file);
	error = lab_bench_named(strim(name));
	file_start_write(file);
	clear_bit(0, &lab_bench_busy);
	return error ? error : size;
}

static int lab_bench_show(struct seq_file *seq, void *unused)
{
	int i;

	for (i = 0; i < LAB_CALLS; i++)
		seq_printf(seq, "%llu\n", (unsigned long long)lab_steps[i]);
	return 0;
}

static int lab_bench_open(struct inode *inode, struct file *file)
{
	return single_open(file, lab_bench_show, NULL);
}

static const struct file_operations lab_bench_operations = {
	.owner		= THIS_MODULE,
	.open		= lab_bench_open,
	.read		= seq_read,
	.write		= lab_bench_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

int lab_bench_init(void)
{
	lab_bench_file = debugfs_create_file(LAB_NAME "_bench", 0600, NULL, NULL,
					     &lab_bench_operations);
	return PTR_ERR_OR_ZERO(lab_bench_file);
}

void lab_bench_exit(void)
{
	debugfs_remove(lab_bench_file);
}
