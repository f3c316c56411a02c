/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_string_fns.h>

#include "xsk.h"

/*
 * The program on an interface hands packets to the socket of their queue, where there is one in the
 * map, and all others to the kernel. A link attaches it, which is a file descriptor: whatever
 * becomes of this process, the program goes with it.
 */

/* Queues of an interface that sockets can be in the map for. */
#define MAP_ENTRIES 1024u

static pthread_mutex_t progs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct xsk_prog *progs;

static int
bpf_call(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int
map_create(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_XSKMAP;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint32_t);
	attr.max_entries = MAP_ENTRIES;
	return bpf_call(BPF_MAP_CREATE, &attr);
}

/* return bpf_redirect_map(map, ctx->rx_queue_index, XDP_PASS); */
static int
prog_load(int map_fd, bool frags)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
				.dst_reg = BPF_REG_2,
				.src_reg = BPF_REG_1,
				.off = offsetof(struct xdp_md, rx_queue_index) },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
				.dst_reg = BPF_REG_1,
				.src_reg = BPF_PSEUDO_MAP_FD,
				.imm = map_fd },
		{ .code = 0 }, /* the second half of the address */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = RTE_DIM(insns);
	attr.license = (uintptr_t) "BSD";
	attr.prog_flags = frags ? BPF_F_XDP_HAS_FRAGS : 0;
	return bpf_call(BPF_PROG_LOAD, &attr);
}

static int
link_create(int prog_fd, uint32_t ifindex, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog_fd;
	attr.link_create.target_ifindex = ifindex;
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = flags;
	return bpf_call(BPF_LINK_CREATE, &attr);
}

static void
attach_failed(const struct ppfrag_dev *pd, int err)
{
	const char *remedy = "";

	if (err == EBUSY || err == EEXIST)
		remedy = ": it has a program already, of another process: see 'ip link' and 'bpftool net', remove it with 'ip link set dev ... xdp off', or end that process";
	else if (err == EPERM)
		remedy = ": it takes the capabilities CAP_NET_ADMIN and CAP_BPF";
	else if (err == ENOTSUP)
		remedy = ": its driver has no native XDP: use xdp_mode=skb";
	else if (err == EINVAL || err == ERANGE)
		remedy = ": its MTU may be too large for native XDP: use a smaller one, or xdp_mode=skb; links to programs need Linux 5.9";
	PPFRAG_LOG(ERR, "%s: no program can be attached to interface '%s': %s%s",
			ppfrag_port_name(pd), pd->iface, strerror(err), remedy);
}

static bool
is_taken(int err)
{
	return err == EBUSY || err == EEXIST || err == EPERM;
}

/* In native mode where the driver of the interface can do that, unless asked for another one. */
static int
prog_attach(const struct ppfrag_dev *pd, struct xsk_prog *p, int prog_fd, uint8_t mode)
{
	int err = 0;

	if (mode != PPFRAG_XDP_SKB) {
		p->link_fd = link_create(prog_fd, p->ifindex, XDP_FLAGS_DRV_MODE);
		if (p->link_fd >= 0)
			return 0;
		err = errno;
	}
	if (mode == PPFRAG_XDP_NATIVE || is_taken(err)) {
		attach_failed(pd, err);
		return -err;
	}
	p->link_fd = link_create(prog_fd, p->ifindex, XDP_FLAGS_SKB_MODE);
	if (p->link_fd < 0) {
		err = errno;
		attach_failed(pd, err);
		return -err;
	}
	p->skb = true;
	if (mode == PPFRAG_XDP_AUTO)
		PPFRAG_LOG(NOTICE,
				"%s: interface '%s' has no native XDP (%s): packets take the slower way of xdp_mode=skb",
				ppfrag_port_name(pd), pd->iface, strerror(err));
	return 0;
}

/* The driver's own program. */
static int
own_load(const struct ppfrag_dev *pd, bool sg, struct xsk_elf *out)
{
	int ret;

	out->map_fd = map_create();
	out->prog_fd = out->map_fd < 0 ? -1 : prog_load(out->map_fd, sg);
	if (out->prog_fd >= 0)
		return 0;
	ret = -errno;
	if (out->map_fd >= 0)
		close(out->map_fd);
	PPFRAG_LOG(ERR, "%s: the kernel takes no program for '%s': %s%s", ppfrag_port_name(pd),
			pd->iface, strerror(-ret),
			ret == -EPERM ? ": run it as root, or with the capabilities CAP_BPF and CAP_NET_ADMIN, before Linux 5.8 CAP_SYS_ADMIN, and before 5.11 'ulimit -l unlimited'" :
					": it takes Linux 5.9 with XDP sockets");
	return ret;
}

static int
prog_make(const struct ppfrag_dev *pd, struct xsk_prog *p, uint8_t mode, bool sg)
{
	struct xsk_elf elf;
	int ret;

	ret = pd->xsk.prog[0] != '\0' ? xsk_elf_load(pd, sg, &elf) : own_load(pd, sg, &elf);
	if (ret != 0)
		return ret;
	p->map_fd = elf.map_fd;
	ret = prog_attach(pd, p, elf.prog_fd, mode);
	close(elf.prog_fd); /* the link keeps it */
	return ret;
}

static void
prog_free(struct xsk_prog *p)
{
	if (p->link_fd >= 0)
		close(p->link_fd);
	if (p->map_fd >= 0)
		close(p->map_fd);
	free(p);
}

static struct xsk_prog *
prog_new(const struct ppfrag_dev *pd, uint32_t ifindex, uint8_t mode, bool sg)
{
	struct xsk_prog *p = calloc(1, sizeof(*p));
	int ret;

	if (p == NULL)
		return NULL;
	p->ifindex = ifindex;
	rte_strscpy(p->file, pd->xsk.prog, sizeof(p->file));
	p->map_fd = -1;
	p->link_fd = -1;
	ret = prog_make(pd, p, mode, sg);
	if (ret != 0) {
		prog_free(p);
		errno = -ret;
		return NULL;
	}
	p->next = progs;
	progs = p;
	return p;
}

struct xsk_prog *
xsk_prog_get(const struct ppfrag_dev *pd, uint32_t ifindex, uint8_t mode, bool sg)
{
	struct xsk_prog *p;

	pthread_mutex_lock(&progs_lock);
	for (p = progs; p != NULL && (p->ifindex != ifindex || p->gone); p = p->next)
		;
	if (p == NULL) {
		p = prog_new(pd, ifindex, mode, sg);
	} else if (strcmp(p->file, pd->xsk.prog) != 0) {
		PPFRAG_LOG(ERR, "%s: interface '%s' has another program, of another port: use the same xdp_prog= for both",
				ppfrag_port_name(pd), pd->iface);
		errno = EBUSY;
		p = NULL;
	}
	if (p != NULL)
		p->nb_users++;
	pthread_mutex_unlock(&progs_lock);
	return p;
}

void
xsk_prog_set_gone(struct xsk_prog *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&progs_lock);
	p->gone = true;
	pthread_mutex_unlock(&progs_lock);
}

void
xsk_prog_put(struct xsk_prog *p)
{
	struct xsk_prog **at;

	if (p == NULL)
		return;
	pthread_mutex_lock(&progs_lock);
	if (--p->nb_users == 0) {
		for (at = &progs; *at != p; at = &(*at)->next)
			;
		*at = p->next;
		prog_free(p);
	}
	pthread_mutex_unlock(&progs_lock);
}

int
xsk_prog_set(const struct xsk_prog *p, uint32_t queue, int fd)
{
	union bpf_attr attr;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)p->map_fd;
	attr.key = (uintptr_t)&queue;
	attr.value = (uintptr_t)&fd;
	ret = bpf_call(fd < 0 ? BPF_MAP_DELETE_ELEM : BPF_MAP_UPDATE_ELEM, &attr);
	return ret == 0 ? 0 : -errno;
}
