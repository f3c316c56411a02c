/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The count of a page: an lcore carves and frees, others free, pages are recycled and opened again.
 *
 * Proves over all interleavings: no page is recycled twice, or while it is open or has a live
 * frag; users and bytes reach zero together; at the end every page is free.
 */

#ifndef PAGES
#define PAGES 1
#endif
/* A page holds up to ROOM - MAX + 1 frags, and one of size MAX may be a mono-frag. */
#ifndef ROOM
#define ROOM 5
#endif
#ifndef MAX
#define MAX 3
#endif
/* How often a page is opened. */
#define OPENS 3

#include "page.pml"

bool done; /* nothing will be cut any more */

/* Drives a carver of one lane. Its lock is left out, as nobody visits it here: see park.pml. */
proctype owner_lcore(byte self)
{
	FREE_LOCALS;
	CARVE_LOCALS;
	byte opens;

	do
	:: l.left == 0 && opens < OPENS && CAN_GET ->
		pages_get();
		open_page(self);
		opens++
	:: l.left != 0 -> commit()
	:: take_one_or_two(); frags_drop(self); recycle()
	:: l.left == 0 && opens == OPENS && !done -> done = true
	:: done && empty(app) -> break
	od
}

/* A thread that is no lcore. Frees one by one. */
proctype freer()
{
	FREE_LOCALS;

	do
	:: take_one(); frags_drop(0); recycle()
	:: done && empty(app) -> break
	od
}

/* Another lcore. Frees two mbufs at a time where it has two. */
proctype bulk_freer(byte self)
{
	FREE_LOCALS;

	do
	:: take_one_or_two(); frags_drop(self); recycle()
	:: done && empty(app) -> break
	od
}

init
{
	byte k;

	pages_init();
	atomic {
		run owner_lcore(1);
		run bulk_freer(2);
		run freer()
	}
	_nr_pr == 1;
	pages_check()
}
