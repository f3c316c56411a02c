/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The last clone of a frag, when the mbuf of the frag was freed before it: rte_mbuf calls us
 * through a pointer in shared memory.
 *
 * Any process may free the last clone, and the library lies elsewhere in each of them. So every
 * process has a page of code at one address, which jumps to the library: the pointer holds that.
 */

#include <sys/mman.h>
#include <unistd.h>

#include "ppool_private.h"

/*
 * Where the page of code is. It must be free in every process when the library is loaded: below the
 * memory of EAL, whose addresses start at 4 GB, and where the address space of programs built with
 * a sanitizer is theirs; above the heap of programs that lie at fixed addresses, which starts up to
 * 1 GB (32 bits: 32 MB) behind the program; and a multiple of the largest size of pages, 64 KB.
 */
#ifdef RTE_ARCH_64
#define CODE_ADDR UINT64_C(0x5f700000)
#else
#define CODE_ADDR UINT32_C(0x1f700000)
#endif
/* Where it starts there. Some sanitizers look at what lies in front of a function. */
#define CODE_OFFSET 64u
#define CODE_MAX 32u

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* The last clone of a frag is gone, and its mbuf before it. */
static void
frag_free_pinned(void *addr, void *opaque)
{
	struct rte_mbuf *m = opaque;

	RTE_SET_USED(addr);
	PPOOL_TSAN_ACQUIRE(&m->shinfo->refcnt);
	/* The mbuf of a page was put before it comes here; then it is known why it is put again. */
	if (!ppool_is_mono_pool(m->pool)) {
		rte_mbuf_ext_refcnt_set(m->shinfo, 1);
		m->ol_flags = RTE_MBUF_F_EXTERNAL;
		m->next = NULL;
		m->nb_segs = 1;
	}
	rte_mbuf_raw_free(m);
}

/* What the pointers of this process hold, if it is the one that splits a pool. */
static uintptr_t free_cb = (uintptr_t)frag_free_pinned;

/* A jump to that address. Returns the bytes it takes, 0: unknown for this kind of processor. */
static size_t
jump_write(uint8_t *code, uintptr_t to)
{
#if defined(RTE_ARCH_X86_64)
	/* endbr64; movabs $to, %rax; jmp *%rax */
	static const uint8_t head[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0xb8 };
	static const uint8_t tail[] = { 0xff, 0xe0 };
#elif defined(RTE_ARCH_I686)
	/* endbr32; mov $to, %eax; jmp *%eax */
	static const uint8_t head[] = { 0xf3, 0x0f, 0x1e, 0xfb, 0xb8 };
	static const uint8_t tail[] = { 0xff, 0xe0 };
#elif defined(RTE_ARCH_ARM64) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	/* bti c; ldr x16, to; br x16; nop; to: */
	static const uint32_t head[] = { 0xd503245f, 0x58000070, 0xd61f0200, 0xd503201f };
	static const uint8_t tail[] = { 0 };
#else
	static const uint8_t head[] = { 0 }, tail[] = { 0 };

	return 0;
#endif
	RTE_BUILD_BUG_ON(sizeof(head) + sizeof(to) + sizeof(tail) > CODE_MAX);
	memcpy(code, head, sizeof(head));
	memcpy(code + sizeof(head), &to, sizeof(to));
	memcpy(code + sizeof(head) + sizeof(to), tail, sizeof(tail));
	return sizeof(head) + sizeof(to) + sizeof(tail);
}

/* Before main(), so that nothing else has taken the address yet. */
RTE_INIT(ppool_pinned_init)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE), len;
	void *want = (void *)(uintptr_t)CODE_ADDR, *page;
	char *code;

	page = mmap(want, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page == MAP_FAILED)
		return;
	code = (char *)page + CODE_OFFSET;
	len = jump_write((uint8_t *)code, free_cb);
	/* Old kernels take the address for a hint, strict ones do not execute what was written. */
	if (page != want || len == 0 || mprotect(page, size, PROT_READ | PROT_EXEC) != 0) {
		munmap(page, size);
		return;
	}
	__builtin___clear_cache(code, code + len);
	free_cb = (uintptr_t)code;
}

uintptr_t
ppool_free_cb(void)
{
	return free_cb;
}

/*
 * Where a process could not have the page of code, or is the only one that could, it must not be
 * the one that calls the function of another process.
 */
void
ppool_check_free_cb(const struct ppool *p)
{
	static bool warned;

	if (p->free_cb == 0 || p->free_cb == free_cb || warned)
		return;
	warned = true;
	PPOOL_LOG(WARNING,
			"address %p was taken, or may not be executed, in this process or in the one that split mempool %s: a clone of a frag that outlives it must not be freed here. Load libppool when the program starts: link it, or set LD_PRELOAD",
			(void *)(uintptr_t)CODE_ADDR, p->mp->name);
}
