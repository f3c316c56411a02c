/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_string_fns.h>

#include <ppool_private.h>

#include "unit.h"

/*
 * What a debug build of the library says about misuse: each test commits one and demands that the
 * message names pool, object and culprit. As the misuse is reported before it takes place, the
 * ledger balances afterwards.
 */

#define ROOM 4096

static char said[512];
static jmp_buf before_misuse;

static void
hear(const char *message, void *arg)
{
	(void)arg;
	strlcpy(said, message, sizeof(said));
	longjmp(before_misuse, 1);
}

/* For what is only found, not prevented. */
static void
note(const char *message, void *arg)
{
	(void)arg;
	strlcpy(said, message, sizeof(said));
}

typedef void misuse_t(void *arg);

/* Returns whether it was reported, in said[]. */
static bool
reported(misuse_t *misuse, void *arg)
{
	said[0] = '\0';
	ppool_debug_set_handler(hear, NULL);
	if (setjmp(before_misuse) == 0)
		misuse(arg);
	ppool_debug_set_handler(NULL, NULL);
	return said[0] != '\0';
}

static void
assert_said(const char *words)
{
	if (strstr(said, words) == NULL)
		fail_msg("'%s' does not say '%s'", said, words);
}

static void
assert_named(const char *before, const void *ptr)
{
	char words[128];

	snprintf(words, sizeof(words), "%s%p", before, ptr);
	assert_said(words);
}

static void
assert_who(const char *before, int tid)
{
	char words[128];

	snprintf(words, sizeof(words), "%sthread %d,", before, tid);
	assert_said(words);
}

static void
assert_pool(const char *before, const struct rte_mempool *mp)
{
	char words[128];

	snprintf(words, sizeof(words), "%smempool %s", before, mp->name);
	assert_said(words);
}

static struct rte_mempool *
debug_pool(void)
{
	unit_require(unit_debug_build(), "a library built with -Dppool_debug=true");
	return unit_pool(64, ROOM, 0, 0);
}

static struct rte_mbuf *
carve(struct ppool_carver *c, uint32_t len)
{
	struct rte_mbuf *m = ppool_carve(c, len);

	assert_non_null(m);
	return m;
}

/* Mbufs */

struct free_by {
	struct rte_mbuf *m;
	int tid;
};

static int
free_here(void *arg)
{
	struct free_by *f = arg;

	f->tid = rte_gettid();
	rte_pktmbuf_free(f->m);
	return 0;
}

static void
misuse_free(void *m)
{
	rte_pktmbuf_free(m);
}

static void
test_double_free(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct ppool_carver *c = unit_carver(mp, 1000, 1);
	struct free_by first = { .m = carve(c, 100) };
	struct rte_mbuf *other = carve(c, 100);

	(void)state;
	assert_int_equal(unit_on_thread(free_here, &first), 0);
	assert_true(reported(misuse_free, first.m));
	assert_pool("", mp);
	assert_named("double free of mbuf ", first.m);
	assert_who("by ", rte_gettid());
	assert_who("freed before by ", first.tid);
	assert_int_equal(unit_ledger(mp).frags, 1);
	assert_false(reported(misuse_free, other));
}

struct put {
	struct rte_mempool *mp;
	void *obj;
};

static void
misuse_put(void *arg)
{
	struct put *p = arg;

	rte_mempool_put(p->mp, p->obj);
}

static void
test_free_foreign(void **state)
{
	struct rte_mempool *mp = debug_pool(), *stock = unit_stock_pool(63, 128);
	struct rte_mempool *other = unit_pool(64, ROOM, 0, 0);
	struct rte_mbuf *m = carve(unit_carver(mp, 1000, 1), 100), local;
	struct rte_mbuf *frag = carve(unit_carver(other, 1000, 1), 100);
	struct rte_mbuf *object = rte_pktmbuf_alloc(mp), *stranger = rte_pktmbuf_alloc(stock);
	struct put into = { .mp = ppool_frag_pool(mp) };
	const struct {
		void *obj;
		const char *home;
	} foreign[] = {
		{ frag, other->name },
		{ object, mp->name },
		{ stranger, stock->name },
		{ (char *)m + RTE_CACHE_LINE_SIZE, mp->name },
		{ m->buf_addr, mp->name },
		{ &local, "none" },
		{ NULL, "none" },
	};
	unsigned int i;
	char home[64];

	(void)state;
	memset(&local, 0, sizeof(local));
	for (i = 0; i < RTE_DIM(foreign); i++) {
		into.obj = foreign[i].obj;
		assert_true(reported(misuse_put, &into));
		assert_pool("", mp);
		if (into.obj != NULL)
			assert_named("free of ", into.obj);
		assert_who("by ", rte_gettid());
		snprintf(home, sizeof(home), "no slot of this mempool but lies in mempool %s",
				foreign[i].home);
		assert_said(home);
	}
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(frag);
	rte_pktmbuf_free(object);
	rte_pktmbuf_free(stranger);
}

static void
test_free_shared(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct rte_mbuf *m = carve(unit_carver(mp, 1000, 1), 100);
	struct put into = { .mp = ppool_frag_pool(mp), .obj = m };

	(void)state;
	rte_mbuf_refcnt_set(m, 2);
	assert_true(reported(misuse_put, &into));
	assert_named("free of mbuf ", m);
	assert_said("refcnt 2");
	rte_mbuf_refcnt_set(m, 1);
	rte_pktmbuf_free(m);
}

/* Somebody wrote behind the end of an mbuf. */
static void
test_free_overwritten(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct rte_mbuf *m = carve(unit_carver(mp, 1000, 1), 100);
	struct put into = { .mp = ppool_frag_pool(mp), .obj = m };
	struct ppool_frag *frag = (struct ppool_frag *)m->shinfo, intact = *frag;

	(void)state;
	m->shinfo = NULL;
	assert_true(reported(misuse_put, &into));
	assert_named("free of mbuf ", m);
	assert_said("its pool or shinfo was overwritten");
	m->shinfo = &frag->shinfo;

	frag->page = mp->size;
	assert_true(reported(misuse_put, &into));
	assert_named("free of mbuf ", m);
	assert_said("its record was overwritten");
	frag->page = intact.page;

	frag->truesize = UINT32_MAX;
	assert_true(reported(misuse_put, &into));
	assert_said("its record was overwritten");
	frag->truesize = intact.truesize;
	rte_pktmbuf_free(m);
}

/* Headers */

struct headers {
	struct ppool_carver *c;
	struct rte_mbuf *m;
	uint16_t lane;
	uint32_t len;
	int tid;
};

static void
misuse_headers_put(void *arg)
{
	struct headers *h = arg;

	ppool_headers_put(h->c, &h->m, 1);
}

static void
test_header_put(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct headers h = { .c = unit_carver(mp, 1000, 1) };

	(void)state;
	assert_int_equal(ppool_headers_get(h.c, &h.m, 1), 1);
	ppool_headers_put(h.c, &h.m, 1);
	assert_true(reported(misuse_headers_put, &h));
	assert_pool("", mp);
	assert_named("double giving back of mbuf ", h.m);
	assert_who("freed before by ", rte_gettid());

	h.m = carve(h.c, 100);
	assert_true(reported(misuse_headers_put, &h));
	assert_named("giving back of header ", h.m);
	assert_said("it has a frag");
	rte_pktmbuf_free(h.m);
}

static void
test_free_header(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct headers h = { .c = unit_carver(mp, 1000, 1) };

	(void)state;
	assert_int_equal(ppool_headers_get(h.c, &h.m, 1), 1);
	assert_true(reported(misuse_free, h.m));
	assert_named("free of mbuf ", h.m);
	assert_said("it has no frag");
	ppool_headers_put(h.c, &h.m, 1);
}

/* Pages */

static int
put_here(void *arg)
{
	struct put *p = arg;

	rte_mempool_put(p->mp, p->obj);
	return rte_gettid();
}

static void
test_double_put(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct put put = { .mp = mp };
	int tid;

	(void)state;
	assert_int_equal(rte_mempool_get(mp, &put.obj), 0);
	tid = unit_on_thread(put_here, &put);
	assert_true(reported(misuse_put, &put));
	assert_pool("", mp);
	assert_said("double put of page ");
	assert_named(", ", put.obj);
	assert_who("by ", rte_gettid());
	assert_who("put before by ", tid);
}

static void
test_put_foreign(void **state)
{
	struct rte_mempool *mp = debug_pool(), *other = unit_pool(64, ROOM, 0, 0);
	char local[ROOM];
	struct put put = { .mp = mp };
	void *obj;

	(void)state;
	assert_int_equal(rte_mempool_get(other, &obj), 0);
	put.obj = obj;
	assert_true(reported(misuse_put, &put));
	assert_named("put of ", put.obj);
	assert_pool("no object of this mempool but lies in ", other);
	rte_mempool_put(other, obj);

	put.obj = local;
	assert_true(reported(misuse_put, &put));
	assert_said("lies in mempool none");
}

/* The page that was freed last is the next one to be taken. */
static void
test_put_split(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct put put = { .mp = mp };
	struct ppool_carver *c;
	struct rte_mbuf *m;

	(void)state;
	assert_int_equal(rte_mempool_get(mp, &put.obj), 0);
	rte_mempool_put(mp, put.obj);
	c = unit_carver(mp, 1000, 1);
	assert_true(reported(misuse_put, &put));
	assert_named(", ", put.obj);
	assert_said("it is a slot page");
	assert_who("taken by ", rte_gettid());

	assert_int_equal(rte_mempool_get(mp, &put.obj), 0);
	rte_mempool_put(mp, put.obj);
	m = carve(c, 100);
	assert_true(reported(misuse_put, &put));
	assert_named(", ", put.obj);
	assert_said("it is a data page");
	rte_pktmbuf_free(m);
}

/* A byte of a page that is free, found when the page is taken. */
static void
check_use_after_free(struct rte_mempool *mp, char *byte, int tid)
{
	void *obj;

	*byte ^= 1;
	said[0] = '\0';
	ppool_debug_set_handler(note, NULL);
	assert_int_equal(rte_mempool_get(mp, &obj), 0);
	ppool_debug_set_handler(NULL, NULL);
	assert_pool("", mp);
	assert_named(", ", obj);
	assert_said("was written to after it was freed");
	assert_named("first at ", byte);
	assert_who("freed by ", tid);
	assert_who("found by ", rte_gettid());
	rte_mempool_put(mp, obj);
}

static void
test_use_after_free(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct ppool_carver *c = unit_carver(mp, ROOM - RTE_PKTMBUF_HEADROOM, 1);
	struct free_by f;
	struct put put = { .mp = mp };
	char *data;
	int tid;

	(void)state;
	/* A frag that has a page of its own */
	f.m = carve(c, 200);
	data = rte_pktmbuf_mtod(f.m, char *);
	free_here(&f);
	check_use_after_free(mp, data + 199, f.tid);

	/* An ordinary object, its last byte */
	assert_int_equal(rte_mempool_get(mp, &put.obj), 0);
	data = (char *)put.obj + mp->elt_size - 1;
	tid = rte_gettid();
	rte_mempool_put(mp, put.obj);
	check_use_after_free(mp, data, tid);
}

/* Carvers */

static void
misuse_commit(void *arg)
{
	struct headers *h = arg;

	ppool_commit(h->c, h->lane, h->m, h->len);
}

static void
test_commit_unreserved(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct headers h = { .c = unit_carver(mp, 1000, 2), .lane = 1, .len = 100 };
	struct rte_mbuf *m[2];
	struct ppool_buf buf = { .len = 0 };

	(void)state;
	assert_int_equal(ppool_headers_get(h.c, m, 2), 2);
	h.m = m[0];
	assert_true(reported(misuse_commit, &h));
	assert_pool("", mp);
	assert_named("commit on lane 1 of carver ", h.c);
	assert_said("has no page open");

	assert_int_equal(ppool_reserve(h.c, 1, &buf), 0);
	assert_false(reported(misuse_commit, &h));
	h.m = m[1];
	assert_true(reported(misuse_commit, &h));
	assert_named("commit on lane 1 of carver ", h.c);
	assert_said("not reserved since the last commit");

	h.lane = 2;
	assert_true(reported(misuse_commit, &h));
	assert_said("which has 2 lanes");
	rte_pktmbuf_free(m[0]);
	ppool_headers_put(h.c, &m[1], 1);
}

static void
test_commit_wrong(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct headers h = { .c = unit_carver(mp, 1000, 1) };
	struct ppool_buf buf = { .len = 0 };
	struct rte_mbuf *idle;

	(void)state;
	assert_int_equal(ppool_headers_get(h.c, &h.m, 1), 1);
	assert_int_equal(ppool_reserve(h.c, 0, &buf), 0);
	h.len = buf.len - RTE_PKTMBUF_HEADROOM + 1;
	assert_true(reported(misuse_commit, &h));
	assert_said("whose buffer holds");

	h.len = 100;
	assert_int_equal(ppool_reserve(h.c, 0, &buf), 0);
	assert_false(reported(misuse_commit, &h));
	assert_int_equal(ppool_reserve(h.c, 0, &buf), 0);
	assert_true(reported(misuse_commit, &h));
	assert_named("with mbuf ", h.m);
	assert_said("which has a frag");
	rte_pktmbuf_free(h.m);

	idle = h.m;
	assert_int_equal(ppool_reserve(h.c, 0, &buf), 0);
	assert_true(reported(misuse_commit, &h));
	assert_named("commit with mbuf ", idle);
	assert_who("freed before by ", rte_gettid());
}

static void
misuse_commit_unchecked(void *arg)
{
	struct headers *h = arg;

	unit_commit_unchecked(h->c, h->lane, h->m, h->len);
}

/* A program that does not check what it commits is found out when the page is closed. */
static void
test_commit_unchecked(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct headers h = { .c = unit_carver(mp, 1000, 2), .lane = 1, .len = 100 };
	uint64_t frags, bytes;
	struct rte_mbuf *m;

	(void)state;
	m = carve(h.c, 100);
	assert_int_equal(ppool_headers_get(h.c, &h.m, 1), 1);
	frags = h.c->frags;
	bytes = h.c->bytes;
	assert_true(reported(misuse_commit_unchecked, &h));
	assert_named("commit on lane 1 of carver ", h.c);
	assert_said("has no page open");
	/* The counters of the carver know of it already. */
	h.c->frags = frags;
	h.c->bytes = bytes;
	memset(&h.c->lane[1], 0, sizeof(h.c->lane[1]));
	ppool_frag_of(h.m)->truesize = 0;
	ppool_headers_put(h.c, &h.m, 1);
	rte_pktmbuf_free(m);
}

static int
commit_here(void *arg)
{
	struct headers *h = arg;

	h->tid = rte_gettid();
	return reported(misuse_commit, h) ? 0 : -1;
}

static int
take_over_and_commit(void *arg)
{
	struct headers *h = arg;
	struct rte_mbuf *m;

	if (ppool_headers_get(h->c, &m, 1) != 1)
		return -1;
	ppool_headers_put(h->c, &m, 1);
	return reported(misuse_commit, h) ? -1 : 0;
}

static void
test_commit_elsewhere(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct headers h = { .c = unit_carver(mp, 1000, 1), .len = 100 };
	struct ppool_buf buf = { .len = 0 };

	(void)state;
	assert_int_equal(ppool_headers_get(h.c, &h.m, 1), 1);
	assert_int_equal(ppool_reserve(h.c, 0, &buf), 0);
	assert_int_equal(unit_on_thread(commit_here, &h), 0);
	assert_named("commit on lane 0 of carver ", h.c);
	assert_who("by ", h.tid);
	assert_who("driven by ", rte_gettid());

	assert_int_equal(unit_on_thread(take_over_and_commit, &h), 0);
	rte_pktmbuf_free(h.m);
}

/*
 * A thread is kept inside the carver: the lengths it passes lie where it may not read, until the
 * handler of that signal lets it go on.
 */
static struct {
	struct ppool_carver *c;
	uint32_t *len;
	size_t bytes;
	int tid;
	struct rte_mbuf *m;
	int inside, go;
} stay;

static void
stay_inside(int sig)
{
	(void)sig;
	__atomic_store_n(&stay.inside, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&stay.go, __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	mprotect(stay.len, stay.bytes, PROT_READ);
}

static void *
carve_slowly(void *arg)
{
	(void)arg;
	stay.tid = rte_gettid();
	ppool_carve_burst(stay.c, &stay.m, stay.len, 1);
	return NULL;
}

static void
misuse_carve(void *c)
{
	ppool_carve(c, 100);
}

static void
test_two_threads(void **state)
{
	const struct sigaction action = { .sa_handler = stay_inside };
	struct rte_mempool *mp = debug_pool();
	struct sigaction old;
	pthread_t thread;
	bool found;

	(void)state;
	memset(&stay, 0, sizeof(stay));
	stay.c = unit_carver(mp, 1000, 1);
	stay.bytes = (size_t)sysconf(_SC_PAGESIZE);
	stay.len = mmap(NULL, stay.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(stay.len, MAP_FAILED);
	assert_int_equal(sigaction(SIGSEGV, &action, &old), 0);
	assert_int_equal(pthread_create(&thread, NULL, carve_slowly, NULL), 0);
	while (__atomic_load_n(&stay.inside, __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	found = reported(misuse_carve, stay.c);
	__atomic_store_n(&stay.go, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	sigaction(SIGSEGV, &old, NULL);
	munmap(stay.len, stay.bytes);

	assert_true(found);
	assert_pool("", mp);
	assert_named("carver ", stay.c);
	assert_who("entered by ", rte_gettid());
	assert_who("while ", stay.tid);
	assert_non_null(stay.m);
	rte_pktmbuf_free(stay.m);
}

/* Where nobody listens, the program ends. */

static void
free_in_child(struct rte_mbuf *m, int out)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	dup2(out, STDERR_FILENO);
	signal(SIGABRT, SIG_DFL);
	rte_pktmbuf_free(m);
	_exit(0);
}

static void
read_said(int in)
{
	size_t n = 0;
	ssize_t got;

	do {
		got = read(in, said + n, sizeof(said) - 1 - n);
		n += got > 0 ? (size_t)got : 0;
	} while (got > 0 && n < sizeof(said) - 1);
	said[n] = '\0';
}

static void
test_panic(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct rte_mbuf *m = carve(unit_carver(mp, 1000, 1), 100);
	int status, fd[2];
	pid_t child;

	(void)state;
	rte_pktmbuf_free(m);
	assert_int_equal(pipe(fd), 0);
	fflush(NULL);
	child = fork();
	if (child == 0)
		free_in_child(m, fd[1]);
	close(fd[1]);
	read_said(fd[0]);
	close(fd[0]);
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_said("PANIC");
	assert_named("double free of mbuf ", m);
}

/* Whoever looks at all pages, must not make others wait */

/* What is written to the file is not of interest, but when. */
static ssize_t
allocate_at_write(void *cookie, const char *text, size_t size)
{
	struct rte_mempool *mp = cookie;
	void *obj;

	(void)text;
	assert_int_equal(rte_mempool_get(mp, &obj), 0);
	rte_mempool_put(mp, obj);
	return (ssize_t)size;
}

/* The check of the ledger explains what it finds while it walks. */
static void
test_lock_in_walk(void **state)
{
	const cookie_io_functions_t io = { .write = allocate_at_write };
	struct rte_mempool *mp = debug_pool();
	struct ppool_carver *c = unit_carver(mp, 1500, 1);
	struct rte_mbuf *m = carve(c, 100);
	struct ppool_frag *frag = (struct ppool_frag *)m->shinfo;
	uint32_t page = frag->page;
	FILE *f = fopencookie(mp, "w", io);

	(void)state;
	assert_non_null(f);
	setvbuf(f, NULL, _IONBF, 0);
	said[0] = '\0';
	frag->page = mp->size;
	ppool_debug_set_handler(note, NULL);
	assert_true(ppool_check(mp, f) > 0);
	ppool_debug_set_handler(NULL, NULL);
	frag->page = page;
	fclose(f);
	assert_said("a lock that allocation needs is taken by");
	assert_pool("", mp);
	assert_who("", (int)rte_gettid());
	/* Without such a walk it may be taken. */
	assert_int_equal(ppool_check(mp, stderr), 0);
	rte_pktmbuf_free(m);
}

/* Slots */

static struct rte_mbuf *
slot_alloc(struct rte_mempool *mp)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(unit_slot_pool(mp, 300));

	assert_non_null(m);
	return m;
}

static void
assert_slot_twice(struct rte_mempool *mp, const struct free_by *first)
{
	assert_pool("", mp);
	assert_named("double free of mbuf ", first->m);
	assert_said("in slot page ");
	assert_who("by ", rte_gettid());
	assert_who("freed before by ", first->tid);
	assert_int_equal(unit_ledger(mp).class_slots, 1);
}

/* By rte_pktmbuf_free(), and by a put into any pool of the page pool. */
static void
test_slot_double_free(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct free_by first = { .m = slot_alloc(mp) };
	struct rte_mbuf *other = slot_alloc(mp);
	struct put put = { .obj = first.m };
	struct rte_mempool *into[] = { first.m->pool, unit_slot_pool(mp, 1000),
		ppool_frag_pool(mp) };
	unsigned int i;

	(void)state;
	assert_int_equal(unit_on_thread(free_here, &first), 0);
	assert_true(reported(misuse_free, first.m));
	assert_slot_twice(mp, &first);
	for (i = 0; i < RTE_DIM(into); i++) {
		put.mp = into[i];
		assert_true(reported(misuse_put, &put));
		assert_slot_twice(mp, &first);
	}
	assert_false(reported(misuse_free, other));
}

/* Take and put all pages: those of idle slots go home before. */
static void
pages_take_all(struct rte_mempool *mp)
{
	struct rte_mbuf *page[64];

	assert_int_equal(rte_mempool_avail_count(mp), RTE_DIM(page));
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, page, RTE_DIM(page)), 0);
	rte_pktmbuf_free_bulk(page, RTE_DIM(page));
}

/* The page of the slot is free. */
static void
test_slot_freed_late(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct rte_mbuf *m = slot_alloc(mp);
	struct put put = { .mp = m->pool, .obj = m };

	(void)state;
	rte_pktmbuf_free(m);
	pages_take_all(mp);
	assert_true(reported(misuse_put, &put));
	assert_named("free of ", m);
	assert_said("it is no slot of this mempool");
	assert_who("by ", rte_gettid());
}

static void
assert_slot_written(struct rte_mempool *mp, const struct free_by *by, const void *byte)
{
	ppool_debug_set_handler(NULL, NULL);
	assert_pool("", mp);
	assert_named("mbuf ", by->m);
	assert_said("was written to after it was freed");
	assert_named("first at ", byte);
	assert_who("freed by ", by->tid);
	assert_who("found by ", rte_gettid());
}

/* The first and the last byte of its buffer; found when it is taken. */
static void
test_slot_written(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct free_by by = { .m = slot_alloc(mp) };
	char *byte[] = { by.m->buf_addr, (char *)by.m->buf_addr + by.m->buf_len - 1 };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(byte); i++) {
		free_here(&by);
		*byte[i] ^= 1;
		said[0] = '\0';
		ppool_debug_set_handler(note, NULL);
		/* What was freed last comes first. */
		assert_ptr_equal(slot_alloc(mp), by.m);
		assert_slot_written(mp, &by, byte[i]);
	}
	/* What its holder writes is its own. */
	memset(by.m->buf_addr, 0, by.m->buf_len);
	said[0] = '\0';
	assert_false(reported(misuse_free, by.m));
}

/* Found when its page goes home. */
static void
test_slot_written_late(void **state)
{
	struct rte_mempool *mp = debug_pool();
	struct free_by by = { .m = slot_alloc(mp) };
	char *byte = rte_pktmbuf_mtod_offset(by.m, char *, 100);

	(void)state;
	free_here(&by);
	*byte ^= 1;
	said[0] = '\0';
	ppool_debug_set_handler(note, NULL);
	pages_take_all(mp);
	assert_slot_written(mp, &by, byte);
}

/* A class takes a page only where none of its slots can be reached */

struct bulk {
	struct rte_mempool *view;
	struct rte_mbuf *m[64];
	unsigned int n;
};

/* By a thread that is no lcore: from the depot, then from a page. */
static int
bulk_alloc(void *arg)
{
	struct bulk *b = arg;

	return rte_pktmbuf_alloc_bulk(b->view, b->m, b->n);
}

static int
bulk_free(void *arg)
{
	struct bulk *b = arg;

	rte_pktmbuf_free_bulk(b->m, b->n);
	return 0;
}

/* An lcore has more than it may keep: as if it kept them for ever. */
static void
test_page_taken(void **state)
{
	struct rte_mempool *mp = debug_pool(), *view = unit_slot_pool(mp, 100);
	struct bulk mine = { .view = view, .n = 8 }, other = { .view = view };
	struct ppool *p = mp->pool_data;
	struct ppool_class *c;
	uint16_t keep;

	(void)state;
	assert_int_equal(bulk_alloc(&mine), 0);
	c = &p->depot.size_class[ppool_record_class(ppool_frag_of(mine.m[0]))];
	bulk_free(&mine);
	other.n = c->slots + 1;
	assert_in_range(other.n, mine.n, RTE_DIM(other.m));
	keep = c->keep;
	said[0] = '\0';
	ppool_debug_set_handler(note, NULL);
	c->keep = 0;
	assert_int_equal(unit_on_thread(bulk_alloc, &other), 0);
	c->keep = keep;
	ppool_debug_set_handler(NULL, NULL);
	assert_pool("", mp);
	assert_said("a page was taken for slots of ");
	assert_said("of them are idle");
	assert_int_equal(unit_on_thread(bulk_free, &other), 0);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_double_free),
	UNIT_TEST(test_free_foreign),
	UNIT_TEST(test_free_shared),
	UNIT_TEST(test_free_overwritten),
	UNIT_TEST(test_header_put),
	UNIT_TEST(test_free_header),
	UNIT_TEST(test_double_put),
	UNIT_TEST(test_put_foreign),
	UNIT_TEST(test_put_split),
	UNIT_TEST(test_use_after_free),
	UNIT_TEST(test_commit_unreserved),
	UNIT_TEST(test_commit_wrong),
	UNIT_TEST(test_commit_unchecked),
	UNIT_TEST(test_commit_elsewhere),
	UNIT_TEST(test_two_threads),
	UNIT_TEST(test_panic),
	UNIT_TEST(test_lock_in_walk),
	UNIT_TEST(test_slot_double_free),
	UNIT_TEST(test_slot_freed_late),
	UNIT_TEST(test_slot_written),
	UNIT_TEST(test_slot_written_late),
	UNIT_TEST(test_page_taken),
};

UNIT_SUITE(debug, "a debug build of the library names those who misuse it", tests);
