// SPDX-License-Identifier: GPL-2.0
/* As many different chains of calls to a put as are wanted. */
#include "lab.h"

static void lab_chain_right(struct inode *inode, unsigned int depth, unsigned int chain, lab_put put);

/* Two functions lead to the put, and the bits of `chain` tell which when: a chain of its own each. */
static noinline __noclone void lab_chain_left(struct inode *inode, unsigned int depth,
					      unsigned int chain, lab_put put)
{
	if (!depth)
		put(inode);
	else if (chain & 1)
		lab_chain_right(inode, depth - 1, chain >> 1, put);
	else
		lab_chain_left(inode, depth - 1, chain >> 1, put);
}

static noinline __noclone void lab_chain_right(struct inode *inode, unsigned int depth,
					       unsigned int chain, lab_put put)
{
	if (!depth)
		put(inode);
	else if (chain & 1)
		lab_chain_right(inode, depth - 1, chain >> 1, put);
	else
		lab_chain_left(inode, depth - 1, chain >> 1, put);
}

void lab_chain(struct inode *inode, unsigned int bits, unsigned int chain, lab_put put)
{
	lab_chain_left(inode, bits, chain, put);
}
