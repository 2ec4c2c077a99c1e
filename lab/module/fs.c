// SPDX-License-Identifier: GPL-2.0
/*
 * A small memory filesystem whose files are really written back: dirty pages, a backing
 * device with its own flusher, ->writepages, ->evict_inode. What is written goes nowhere, so
 * a file's contents last only as long as its pages stay cached.
 */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "lab.h"

#define LAB_MAGIC 0x1a57efUL

static struct kmem_cache *lab_inode_cache;
static struct address_space_operations lab_aops;
static const struct inode_operations lab_dir_operations;

/* A hook runs once: what it does may free the inode. */
static void lab_run_hook(struct lab_inode *li, lab_hook *slot)
{
	lab_hook hook = xchg(slot, NULL);

	if (hook)
		hook(li);
}

static int lab_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct lab_inode *li = LAB_I(mapping->host);
	int error = lab_write_dirty_pages(mapping, wbc);

	lab_run_hook(li, &li->on_writepages);
	return error;
}

static int lab_write_inode(struct inode *inode, struct writeback_control *wbc)
{
	lab_run_hook(LAB_I(inode), &LAB_I(inode)->on_write_inode);
	return 0;
}

static int lab_drop_inode(struct inode *inode)
{
	return LAB_I(inode)->drop_always || lab_generic_drop(inode);
}

static void lab_evict_inode(struct inode *inode)
{
	struct lab_inode *li = LAB_I(inode);

	lab_run_hook(li, &li->on_evict);
	if (li->atomic_evict) {
		/*
		 * What clear_inode() leaves behind, without taking the page cache's lock: letting
		 * go of that switches interrupts on. There were never pages.
		 */
		lab_state_assign(inode, I_FREEING | I_CLEAR);
		return;
	}
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
}

static struct inode *lab_alloc_inode(struct super_block *sb)
{
	struct lab_inode *li = lab_cache_alloc(sb, lab_inode_cache);

	if (!li)
		return NULL;
	/* All but the inode itself, which the slab's constructor has prepared. */
	memset((char *)li + sizeof(li->vfs), 0, sizeof(*li) - sizeof(li->vfs));
	refcount_set(&li->memory, 1);
	return &li->vfs;
}

void lab_keep_memory(struct inode *inode)
{
	refcount_inc(&LAB_I(inode)->memory);
}

/* Also ->free_inode, which the VFS calls after a grace period (i_callback()). */
void lab_put_memory(struct inode *inode)
{
	if (refcount_dec_and_test(&LAB_I(inode)->memory))
		kmem_cache_free(lab_inode_cache, LAB_I(inode));
}

static void lab_dirty_inode(struct inode *inode, int flags)
{
	lab_run_hook(LAB_I(inode), &LAB_I(inode)->on_dirty);
}

static const struct super_operations lab_super_operations = {
	.alloc_inode	= lab_alloc_inode,
	.free_inode	= lab_put_memory,
	.drop_inode	= lab_drop_inode,
	.evict_inode	= lab_evict_inode,
	.dirty_inode	= lab_dirty_inode,
	.write_inode	= lab_write_inode,
	.statfs		= simple_statfs,
};

static int lab_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return file_write_and_wait_range(file, start, end);
}

static int lab_release(struct inode *inode, struct file *file)
{
	lab_run_hook(LAB_I(inode), &LAB_I(inode)->on_release);
	return 0;
}

static const struct file_operations lab_file_operations = {
	.llseek		= generic_file_llseek,
	.read_iter	= generic_file_read_iter,
	.write_iter	= generic_file_write_iter,
	.mmap		= generic_file_mmap,
	.fsync		= lab_fsync,
	.release	= lab_release,
};

static const struct inode_operations lab_file_inode_operations = {
	.setattr	= simple_setattr,
	.getattr	= simple_getattr,
};

static struct inode *lab_new_inode(struct super_block *sb, const struct inode *dir, umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	mutex_init(&LAB_I(inode)->lock);
	inode->i_ino = get_next_ino();
	lab_init_owner(inode, dir, mode);
	lab_init_times(inode);
	if (S_ISDIR(mode)) {
		inode->i_op = &lab_dir_operations;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode);
	} else {
		inode->i_op = &lab_file_inode_operations;
		inode->i_fop = &lab_file_operations;
		inode->i_mapping->a_ops = &lab_aops;
	}
	return inode;
}

struct inode *lab_new_file(struct super_block *sb, unsigned int nlink)
{
	struct inode *inode = lab_new_inode(sb, NULL, S_IFREG | 0600);

	if (!inode)
		return NULL;
	set_nlink(inode, nlink);
	/* Only a hashed inode is put on the flusher's list (__mark_inode_dirty()). */
	insert_inode_hash(inode);
	return inode;
}

struct inode *lab_new_atomic_file(struct super_block *sb)
{
	struct inode *inode = lab_new_inode(sb, NULL, S_IFREG | 0600);

	if (!inode)
		return NULL;
	clear_nlink(inode);
	LAB_I(inode)->atomic_evict = true;
	return inode;
}

int lab_dirty(struct inode *inode)
{
	i_size_write(inode, PAGE_SIZE);
	return lab_dirty_first_page(inode->i_mapping);
}

struct inode *lab_new_dirty_file(struct super_block *sb, unsigned int nlink)
{
	struct inode *inode = lab_new_file(sb, nlink);

	if (!inode)
		return NULL;
	if (!lab_dirty(inode))
		return inode;
	lab_discard(inode);
	return NULL;
}

noinline void lab_discard(struct inode *inode)
{
	iput(inode);
}

struct file *lab_open(struct vfsmount *mnt, struct inode *inode)
{
	return alloc_file_pseudo(inode, mnt, "open", O_RDWR, &lab_file_operations);
}

static int lab_make(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct inode *inode = lab_new_inode(dir->i_sb, dir, mode);

	if (!inode)
		return -ENOMEM;
	insert_inode_hash(inode);
	lab_make_persistent(dentry, inode);
	return 0;
}

static int lab_create(LAB_IDMAP struct inode *dir, struct dentry *dentry, umode_t mode LAB_EXCL)
{
	return lab_make(dir, dentry, mode | S_IFREG);
}

static LAB_MKDIR_RETURN lab_mkdir(LAB_IDMAP struct inode *dir, struct dentry *dentry, umode_t mode)
{
	int error = lab_make(dir, dentry, mode | S_IFDIR);

	if (!error)
		inc_nlink(dir);
	return lab_mkdir_result(error);
}

static const struct inode_operations lab_dir_operations = {
	.create		= lab_create,
	.lookup		= simple_lookup,
	.link		= simple_link,
	.unlink		= simple_unlink,
	.mkdir		= lab_mkdir,
	.rmdir		= simple_rmdir,
	.rename		= simple_rename,
};

static int lab_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;
	int error = super_setup_bdi(sb);

	if (error)
		return error;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = LAB_MAGIC;
	sb->s_op = &lab_super_operations;
	sb->s_time_gran = 1;
	root = lab_new_inode(sb, NULL, S_IFDIR | 0755);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int lab_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, lab_fill_super);
}

static const struct fs_context_operations lab_context_operations = {
	.get_tree = lab_get_tree,
};

static int lab_init_fs_context(struct fs_context *fc)
{
	fc->ops = &lab_context_operations;
	return 0;
}

static void lab_kill_sb(struct super_block *sb)
{
	lab_kill_super(sb);
}

static struct file_system_type lab_fs_type = {
	.owner			= THIS_MODULE,
	.name			= LAB_NAME,
	.init_fs_context	= lab_init_fs_context,
	.kill_sb		= lab_kill_sb,
};

struct vfsmount *lab_mount(void)
{
	return kern_mount(&lab_fs_type);
}

static void lab_init_once(void *object)
{
	struct lab_inode *li = object;

	inode_init_once(&li->vfs);
}

int lab_fs_init(void)
{
	int error;

	BUILD_BUG_ON(offsetof(struct lab_inode, vfs) != 0);
	lab_memory_aops(&lab_aops);
	lab_aops.writepages = lab_writepages;
	lab_inode_cache = kmem_cache_create("lastref_lab_inode", sizeof(struct lab_inode), 0,
					    SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, lab_init_once);
	if (!lab_inode_cache)
		return -ENOMEM;
	error = register_filesystem(&lab_fs_type);
	if (error)
		kmem_cache_destroy(lab_inode_cache);
	return error;
}

void lab_fs_exit(void)
{
	unregister_filesystem(&lab_fs_type);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(lab_inode_cache);
}
