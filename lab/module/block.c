// SPDX-License-Identifier: GPL-2.0
/*
 * Puts when a bio completes. A block device of the module's own, hidden from userspace, is a
 * multi-queue one as real hardware's are; what is written to it goes nowhere, and it completes
 * its one request at a time where a scenario says: in an interrupt or in a worker.
 */
#include <linux/irq_work.h>

#include "lab.h"

static struct blk_mq_tag_set lab_tags;
static struct gendisk *lab_disk;

/* The one bio, the request that it has become, and who completes that. */
static struct lab_io {
	struct bio bio;
	struct bio_vec vector;
	struct request *request;
	struct irq_work interrupt;
	struct work_struct worker;
	void (*complete_request)(struct lab_io *io);
	struct work_struct hand_off;
	struct inode *inode;
	lab_put put;
	struct completion done;
} lab_io;

static void lab_interrupt_request(struct irq_work *work)
{
	blk_mq_end_request(lab_io.request, BLK_STS_OK);
}

static void lab_complete_in_interrupt(struct lab_io *io)
{
	irq_work_queue(&io->interrupt);
}

static void lab_work_request(struct work_struct *work)
{
	blk_mq_end_request(lab_io.request, BLK_STS_OK);
}

static void lab_complete_in_worker(struct lab_io *io)
{
	queue_work(lab_plain_queue, &io->worker);
}

static blk_status_t lab_queue_request(struct blk_mq_hw_ctx *queue,
				      const struct blk_mq_queue_data *data)
{
	blk_mq_start_request(data->rq);
	lab_io.request = data->rq;
	lab_io.complete_request(&lab_io);
	return BLK_STS_OK;
}

/* Writes a page, whose completion puts the inode. */
static int lab_put_by_bio(struct inode *inode, lab_put put,
			  void (*complete_request)(struct lab_io *io), bio_end_io_t *end)
{
	if (!inode)
		return -ENOMEM;
	lab_io.inode = inode;
	lab_io.put = put;
	lab_io.complete_request = complete_request;
	reinit_completion(&lab_io.done);
	lab_bio_init_write(&lab_io.bio, lab_disk, &lab_io.vector);
	lab_io.bio.bi_end_io = end;
	__bio_add_page(&lab_io.bio, ZERO_PAGE(0), PAGE_SIZE, 0);
	submit_bio(&lab_io.bio);
	wait_for_completion(&lab_io.done);
	bio_uninit(&lab_io.bio);
	/* From here on nobody is in there any more. */
	irq_work_sync(&lab_io.interrupt);
	flush_work(&lab_io.worker);
	flush_work(&lab_io.hand_off);
	return 0;
}

static void lab_end(struct bio *bio)
{
	lab_io.put(lab_io.inode);
	complete(&lab_io.done);
}

int lab_bio_worker(struct inode *inode, lab_put put)
{
	return lab_put_by_bio(inode, put, lab_complete_in_worker, lab_end);
}

LAB_PUT_IN(bio_end_io_worker)
LAB_SCENARIO(bio_end_io_worker)
{
	return lab_bio_worker(lab_new_file(sb, 0), lab_put_in_bio_end_io_worker);
}

LAB_PUT_IN(bio_end_io_hardirq)
LAB_SCENARIO(bio_end_io_hardirq)
{
	return lab_put_by_bio(lab_new_atomic_file(sb), lab_put_in_bio_end_io_hardirq,
			      lab_complete_in_interrupt, lab_end);
}

/* The completion hands the put to a worker, as it should. */
static void lab_hand_off(struct work_struct *work)
{
	lab_io.put(lab_io.inode);
	complete(&lab_io.done);
}

static void lab_end_deferred(struct bio *bio)
{
	queue_work(lab_plain_queue, &lab_io.hand_off);
}

LAB_PUT_IN(bio_end_io_deferred)
LAB_SCENARIO(bio_end_io_deferred)
{
	return lab_put_by_bio(lab_new_file(sb, 0), lab_put_in_bio_end_io_deferred,
			      lab_complete_in_interrupt, lab_end_deferred);
}

static const struct blk_mq_ops lab_queue_operations = {
	.queue_rq = lab_queue_request,
};

static const struct block_device_operations lab_disk_operations = {
	.owner = THIS_MODULE,
};

int lab_block_init(void)
{
	int error;

	init_completion(&lab_io.done);
	init_irq_work(&lab_io.interrupt, lab_interrupt_request);
	INIT_WORK(&lab_io.worker, lab_work_request);
	INIT_WORK(&lab_io.hand_off, lab_hand_off);
	lab_tags.ops = &lab_queue_operations;
	lab_tags.nr_hw_queues = 1;
	lab_tags.queue_depth = 1;
	lab_tags.numa_node = NUMA_NO_NODE;
	error = blk_mq_alloc_tag_set(&lab_tags);
	if (error)
		return error;
	lab_disk = lab_disk_alloc(&lab_tags);
	if (IS_ERR(lab_disk)) {
		error = PTR_ERR(lab_disk);
		goto free_tags;
	}
	lab_disk->flags |= GENHD_FL_HIDDEN;
	lab_disk->fops = &lab_disk_operations;
	strscpy(lab_disk->disk_name, LAB_NAME, sizeof(lab_disk->disk_name));
	set_capacity(lab_disk, PAGE_SIZE / SECTOR_SIZE);
	error = lab_disk_add(lab_disk);
	if (!error)
		return 0;
	lab_disk_free(lab_disk);
free_tags:
	blk_mq_free_tag_set(&lab_tags);
	return error;
}

void lab_block_exit(void)
{
	del_gendisk(lab_disk);
	lab_disk_free(lab_disk);
	blk_mq_free_tag_set(&lab_tags);
}
