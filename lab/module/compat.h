/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels this module is built for; the only file with version checks. */
#ifndef LAB_COMPAT_H
#define LAB_COMPAT_H

#include <linux/backing-dev.h>
#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/shrinker.h>
#include <linux/version.h>
#include <linux/writeback.h>

#define LAB_FROM(major, minor) (LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0))

/* Inode operations: no map, a user namespace (5.12), a mount idmap (6.3). */
#if LAB_FROM(6, 3)
#define LAB_IDMAP struct mnt_idmap *idmap,
#define lab_init_owner(inode, dir, mode) inode_init_owner(&nop_mnt_idmap, inode, dir, mode)
#elif LAB_FROM(5, 12)
#define LAB_IDMAP struct user_namespace *userns,
#define lab_init_owner(inode, dir, mode) inode_init_owner(&init_user_ns, inode, dir, mode)
#else
#define LAB_IDMAP
#define lab_init_owner(inode, dir, mode) inode_init_owner(inode, dir, mode)
#endif

/* ->create is no longer told of O_EXCL from 7.3. */
#if LAB_FROM(7, 3)
#define LAB_EXCL
#else
#define LAB_EXCL , bool excl
#endif

/* ->mkdir returns a dentry from 6.15. */
#if LAB_FROM(6, 15)
#define LAB_MKDIR_RETURN struct dentry *
#define lab_mkdir_result(error) ERR_PTR(error)
#else
#define LAB_MKDIR_RETURN int
#define lab_mkdir_result(error) (error)
#endif

/* A dentry that only exists in the dcache is marked so from 6.19, pinned by a count before. */
#if LAB_FROM(6, 19)
#define lab_make_persistent(dentry, inode) d_make_persistent(dentry, inode)
#define lab_kill_super(sb) kill_anon_super(sb)
#else
static inline void lab_make_persistent(struct dentry *dentry, struct inode *inode)
{
	d_instantiate(dentry, inode);
	dget(dentry);
}
/* d_genocide() takes a count from every dentry, also from those that nobody has pinned. */
static inline void lab_kill_super(struct super_block *sb)
{
	shrink_dcache_sb(sb);
	kill_litter_super(sb);
}
#endif

/* Time stamps: fields before 6.6, accessors from 6.7. */
#if LAB_FROM(6, 7)
#define lab_init_times(inode) simple_inode_init_ts(inode)
#elif LAB_FROM(6, 6)
#define lab_init_times(inode) ((inode)->i_atime = (inode)->i_mtime = inode_set_ctime_current(inode))
#else
#define lab_init_times(inode) \
	((inode)->i_atime = (inode)->i_mtime = (inode)->i_ctime = current_time(inode))
#endif

/* The dentries of an inode, under its i_lock; a macro does that where the field is in no named union. */
#ifdef for_each_alias
#define lab_for_each_alias(dentry, inode) for_each_alias(dentry, inode)
#else
#define lab_for_each_alias(dentry, inode) \
	hlist_for_each_entry(dentry, &(inode)->i_dentry, d_u.d_alias)
#endif

/* i_state: a plain field before 6.19. */
#if LAB_FROM(6, 19)
#define lab_state_assign(inode, state) inode_state_assign_raw(inode, state)
#else
#define lab_state_assign(inode, state) ((inode)->i_state = (state))
#endif

#if LAB_FROM(6, 18)
#define lab_generic_drop(inode) inode_generic_drop(inode)
#else
#define lab_generic_drop(inode) generic_drop_inode(inode)
#endif

#if LAB_FROM(5, 18)
#define lab_cache_alloc(sb, cache) alloc_inode_sb(sb, cache, GFP_KERNEL)
#else
#define lab_cache_alloc(sb, cache) kmem_cache_alloc(cache, GFP_KERNEL)
#endif

/* mapping->invalidate_lock exists from 5.15. */
#if LAB_FROM(5, 15)
#define LAB_HAS_INVALIDATE_LOCK 1
#define lab_invalidate_lock(mapping) filemap_invalidate_lock(mapping)
#define lab_invalidate_unlock(mapping) filemap_invalidate_unlock(mapping)
#else
#define LAB_HAS_INVALIDATE_LOCK 0
#define lab_invalidate_lock(mapping) do { } while (0)
#define lab_invalidate_unlock(mapping) do { } while (0)
#endif

/* Page cache operations of a memory filesystem, but with dirty accounting, so that it is written. */
static inline void lab_memory_aops(struct address_space_operations *aops)
{
#if LAB_FROM(5, 18)
	*aops = ram_aops;
	aops->dirty_folio = filemap_dirty_folio;
#else
	aops->readpage = simple_readpage;
	aops->write_begin = simple_write_begin;
	aops->write_end = simple_write_end;
	aops->set_page_dirty = __set_page_dirty_nobuffers;
#endif
}

/* Reads page 0 into the cache and dirties it. */
static inline int lab_dirty_first_page(struct address_space *mapping)
{
#if LAB_FROM(5, 18)
	struct folio *folio = read_mapping_folio(mapping, 0, NULL);

	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_lock(folio);
	folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
#else
	struct page *page = read_mapping_page(mapping, 0, NULL);

	if (IS_ERR(page))
		return PTR_ERR(page);
	lock_page(page);
	set_page_dirty(page);
	unlock_page(page);
	put_page(page);
#endif
	return 0;
}

/* Writes every dirty page of the mapping, which takes no time: there is nowhere to write to. */
#if LAB_FROM(6, 10)
static inline int lab_write_dirty_pages(struct address_space *mapping,
					struct writeback_control *wbc)
{
	struct folio *folio = NULL;
	int error;

	while ((folio = writeback_iter(mapping, wbc, folio, &error))) {
		folio_start_writeback(folio);
		folio_unlock(folio);
		folio_end_writeback(folio);
	}
	return error;
}
#else
#if LAB_FROM(6, 3)
static inline int lab_write_one(struct folio *folio, struct writeback_control *wbc, void *data)
{
	struct page *page = &folio->page;
#else
static inline int lab_write_one(struct page *page, struct writeback_control *wbc, void *data)
{
#endif
	set_page_writeback(page);
	unlock_page(page);
	end_page_writeback(page);
	return 0;
}

static inline int lab_write_dirty_pages(struct address_space *mapping,
					struct writeback_control *wbc)
{
	return write_cache_pages(mapping, wbc, lab_write_one, NULL);
}
#endif

/* A disk comes with its queue from 5.14, and with limits from 6.9. */
#if LAB_FROM(5, 14)
static inline struct gendisk *lab_disk_alloc(struct blk_mq_tag_set *tags)
{
#if LAB_FROM(6, 9)
	return blk_mq_alloc_disk(tags, NULL, NULL);
#else
	return blk_mq_alloc_disk(tags, NULL);
#endif
}

#if LAB_FROM(5, 19)
#define lab_disk_free(disk) put_disk(disk)
#else
#define lab_disk_free(disk) blk_cleanup_disk(disk)
#endif
#else
static inline struct gendisk *lab_disk_alloc(struct blk_mq_tag_set *tags)
{
	struct request_queue *queue = blk_mq_init_queue(tags);
	struct gendisk *disk;

	if (IS_ERR(queue))
		return ERR_CAST(queue);
	disk = alloc_disk(0);
	if (!disk) {
		blk_cleanup_queue(queue);
		return ERR_PTR(-ENOMEM);
	}
	disk->queue = queue;
	return disk;
}

static inline void lab_disk_free(struct gendisk *disk)
{
	blk_cleanup_queue(disk->queue);
	put_disk(disk);
}
#endif

/* add_disk() can fail from 5.15. */
static inline int lab_disk_add(struct gendisk *disk)
{
#if LAB_FROM(5, 15)
	return add_disk(disk);
#else
	add_disk(disk);
	return 0;
#endif
}

/* A disk driven by ->submit_bio, which returned a cookie before 5.16. */
#if LAB_FROM(5, 14)
static inline struct gendisk *lab_disk_alloc_bio(void)
{
#if LAB_FROM(6, 9)
	return blk_alloc_disk(NULL, NUMA_NO_NODE);
#else
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);

	return disk ? disk : ERR_PTR(-ENOMEM);
#endif
}
#else
static inline struct gendisk *lab_disk_alloc_bio(void)
{
	struct request_queue *queue = blk_alloc_queue(NUMA_NO_NODE);
	struct gendisk *disk;

	if (!queue)
		return ERR_PTR(-ENOMEM);
	disk = alloc_disk(0);
	if (!disk) {
		blk_cleanup_queue(queue);
		return ERR_PTR(-ENOMEM);
	}
	disk->queue = queue;
	disk->flags |= GENHD_FL_EXT_DEVT;
	return disk;
}
#endif

/* A bio names its block device from 5.12, and its disk before. */
#if LAB_FROM(5, 12)
#define lab_bio_disk(bio) ((bio)->bi_bdev->bd_disk)
#else
#define lab_bio_disk(bio) ((bio)->bi_disk)
#endif

#if LAB_FROM(5, 16)
#define LAB_SUBMIT_RETURN void
#define LAB_SUBMITTED
#else
#define LAB_SUBMIT_RETURN blk_qc_t
#define LAB_SUBMITTED BLK_QC_T_NONE
#endif

/* A bio names its block device from 5.12, and gets it with its operation from 5.18. */
static inline void lab_bio_init_write(struct bio *bio, struct gendisk *disk, struct bio_vec *vector)
{
#if LAB_FROM(5, 18)
	bio_init(bio, disk->part0, vector, 1, REQ_OP_WRITE);
#else
	bio_init(bio, vector, 1);
#if LAB_FROM(5, 12)
	bio_set_dev(bio, disk->part0);
#else
	bio->bi_disk = disk;
	bio_associate_blkg(bio);
#endif
	bio->bi_opf = REQ_OP_WRITE;
#endif
}

/* Shrinkers are allocated by the kernel from 6.7, and named from 6.0. */
#if LAB_FROM(6, 7)
static inline struct shrinker *lab_shrinker_alloc(void)
{
	return shrinker_alloc(0, "lastref_lab");
}

static inline int lab_shrinker_register(struct shrinker *shrinker)
{
	shrinker_register(shrinker);
	return 0;
}

static inline void lab_shrinker_free(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}

static inline struct shrinker *lab_super_shrinker(struct super_block *sb)
{
	return sb->s_shrink;
}
#else
static inline struct shrinker *lab_shrinker_alloc(void)
{
	return kzalloc(sizeof(struct shrinker), GFP_KERNEL);
}

static inline int lab_shrinker_register(struct shrinker *shrinker)
{
#if LAB_FROM(6, 0)
	int error = register_shrinker(shrinker, "lastref_lab");
#else
	int error = register_shrinker(shrinker);
#endif
	if (error)
		kfree(shrinker);
	return error;
}

static inline void lab_shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}

static inline struct shrinker *lab_super_shrinker(struct super_block *sb)
{
	return &sb->s_shrink;
}
#endif

#endif
