// SPDX-License-Identifier: GPL-2.0
/*
 * Disks in memory for real filesystems, and puts made where they hand them a request with one of
 * their transactions open, as any block device's driver could.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/fadvise.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/xarray.h>

#include "lab.h"

#define LAB_SECTORS (128 * 1024 * 1024 / SECTOR_SIZE)
#define LAB_ANY_SECTOR (~(sector_t)0)

/* One for each filesystem. */
static struct {
	struct gendisk *disk;
	struct xarray pages;
} lab_disks[2];

/* What the next suitable request is to do; one scenario runs at a time. */
static struct {
	struct task_struct *task;
	sector_t sector;
	void (*put)(struct inode *inode);
	struct inode *inode;
} lab_request;

static void lab_answer(struct bio *bio)
{
	struct inode *inode = lab_request.inode;

	if (current != READ_ONCE(lab_request.task) || !current->journal_info)
		return;
	if (lab_request.sector != LAB_ANY_SECTOR && lab_request.sector != bio->bi_iter.bi_sector)
		return;
	WRITE_ONCE(lab_request.task, NULL);
	lab_request.put(inode);
}

/* The page at an index; absent ones read as zeroes. */
static struct page *lab_disk_page(struct xarray *pages, pgoff_t index, bool create)
{
	struct page *page = xa_load(pages, index);
	struct page *other;

	if (page || !create)
		return page;
	page = alloc_page(GFP_NOIO | __GFP_ZERO);
	if (!page)
		return NULL;
	other = xa_cmpxchg(pages, index, NULL, page, GFP_NOIO);
	if (!other)
		return page;
	__free_page(page);
	return xa_is_err(other) ? NULL : other;
}

/* Every memory has an address on x86-64. */
static int lab_transfer(struct xarray *pages, char *buffer, unsigned int length, loff_t position,
			bool write)
{
	while (length) {
		unsigned int offset = offset_in_page(position);
		unsigned int part = min_t(unsigned int, length, PAGE_SIZE - offset);
		struct page *page = lab_disk_page(pages, position >> PAGE_SHIFT, write);

		if (page && write)
			memcpy(page_address(page) + offset, buffer, part);
		else if (page)
			memcpy(buffer, page_address(page) + offset, part);
		else if (write)
			return -ENOMEM;
		else
			memset(buffer, 0, part);
		buffer += part;
		position += part;
		length -= part;
	}
	return 0;
}

static LAB_SUBMIT_RETURN lab_submit_bio(struct bio *bio)
{
	loff_t position = bio->bi_iter.bi_sector << SECTOR_SHIFT;
	struct bvec_iter iter;
	struct bio_vec vec;

	lab_answer(bio);
	bio_for_each_segment(vec, bio, iter) {
		if (lab_transfer(lab_bio_disk(bio)->private_data,
				 page_address(vec.bv_page) + vec.bv_offset, vec.bv_len, position,
				 op_is_write(bio_op(bio)))) {
			bio_io_error(bio);
			return LAB_SUBMITTED;
		}
		position += vec.bv_len;
	}
	bio_endio(bio);
	return LAB_SUBMITTED;
}

static const struct block_device_operations lab_disk_operations = {
	.owner		= THIS_MODULE,
	.submit_bio	= lab_submit_bio,
};

static int lab_add_one(int i)
{
	struct gendisk *disk = lab_disk_alloc_bio();
	int error;

	if (IS_ERR(disk))
		return PTR_ERR(disk);
	xa_init(&lab_disks[i].pages);
	snprintf(disk->disk_name, sizeof(disk->disk_name), "%s_disk%d", LAB_NAME, i);
	disk->fops = &lab_disk_operations;
	disk->private_data = &lab_disks[i].pages;
	set_capacity(disk, LAB_SECTORS);
	error = lab_disk_add(disk);
	if (error)
		lab_disk_free(disk);
	else
		lab_disks[i].disk = disk;
	return error;
}

static void lab_remove_one(int i)
{
	unsigned long index;
	struct page *page;

	if (!lab_disks[i].disk)
		return;
	del_gendisk(lab_disks[i].disk);
	lab_disk_free(lab_disks[i].disk);
	xa_for_each(&lab_disks[i].pages, index, page)
		__free_page(page);
	xa_destroy(&lab_disks[i].pages);
}

int lab_disk_init(void)
{
	int i, error = 0;

	for (i = 0; i < ARRAY_SIZE(lab_disks) && !error; i++)
		error = lab_add_one(i);
	if (error)
		lab_disk_exit();
	return error;
}

void lab_disk_exit(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(lab_disks); i++)
		lab_remove_one(i);
}

/* A file of one page on the filesystem that the guest has mounted, with nothing left to write. */
static struct file *lab_clean_file(void)
{
	static const char zeroes[PAGE_SIZE];
	struct file *file;
	loff_t position = 0;
	int error = -EIO;

	if (!*lab_path())
		return ERR_PTR(-EINVAL);
	file = filp_open(lab_path(), O_RDWR | O_CREAT, 0600);
	if (IS_ERR(file))
		return file;
	if (kernel_write(file, zeroes, PAGE_SIZE, &position) == PAGE_SIZE)
		error = vfs_fsync(file, 0);
	if (!error)
		return file;
	filp_close(file, NULL);
	return ERR_PTR(error);
}

static int lab_change(struct file *file)
{
	loff_t position = 1;

	return kernel_write(file, "x", 1, &position) == 1 ? 0 : -EIO;
}

/* What the disk is asked for while `ask` runs is answered with a put. */
static int lab_put_at_request(struct inode *inode, lab_put put, sector_t sector,
			      int (*ask)(struct file *file))
{
	struct file *file;
	int error;

	if (!inode)
		return -ENOMEM;
	file = lab_clean_file();
	if (IS_ERR(file)) {
		lab_discard(inode);
		return PTR_ERR(file);
	}
	lab_request.inode = inode;
	lab_request.put = put;
	lab_request.sector = sector;
	WRITE_ONCE(lab_request.task, current);
	error = ask(file);
	if (xchg(&lab_request.task, NULL)) {
		lab_discard(inode);
		error = error ? error : -ENODATA;
	}
	filp_close(file, NULL);
	return error;
}

/*
 * ext4 without delayed allocation starts a handle and then reads the page that is written in
 * part (ext4_write_begin(), fs/ext4/inode.c).
 */
static int lab_write_part(struct file *file)
{
	int error = vfs_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);

	return error ? error : lab_change(file);
}

int lab_ext4_request(struct inode *inode, lab_put put)
{
	return lab_put_at_request(inode, put, LAB_ANY_SECTOR, lab_write_part);
}

LAB_PUT_IN(ext4_handle)
LAB_SCENARIO(ext4_handle)
{
	return lab_ext4_request(lab_new_file(sb, 0), lab_put_in_ext4_handle);
}

/*
 * btrfs writes its superblock last, with the transaction of the sync still open
 * (write_all_supers(), fs/btrfs/disk-io.c).
 */
#define LAB_BTRFS_SUPER_SECTOR (64 * 1024 / SECTOR_SIZE)

static int lab_sync_change(struct file *file)
{
	int error = lab_change(file);

	return error ? error : vfs_fsync(file, 0);
}

LAB_PUT_IN(btrfs_transaction)
LAB_SCENARIO(btrfs_transaction)
{
	return lab_put_at_request(lab_new_file(sb, 0), lab_put_in_btrfs_transaction,
				  LAB_BTRFS_SUPER_SECTOR, lab_sync_change);
}
