/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "xsk.h"

/* A program of the user's own, which libbpf loads from a file. */

#ifdef PPFRAG_HAS_LIBBPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* The map that it hands packets to sockets by; the name is that of libxdp and net_af_xdp. */
#define MAP_NAME "xsks_map"

static void
elf_failed(const struct ppfrag_dev *pd, const char *what, int err)
{
	PPFRAG_LOG(ERR, "%s: xdp_prog=%s: %s: %s", ppfrag_port_name(pd), pd->xsk.prog, what,
			strerror(err));
}

/* Of descriptors that end with the object, copies stay. */
static int
elf_take(const struct ppfrag_dev *pd, const struct bpf_object *o, const struct bpf_program *prog,
		struct xsk_elf *elf)
{
	struct bpf_map *map = bpf_object__find_map_by_name(o, MAP_NAME);

	if (map == NULL || bpf_map__type(map) != BPF_MAP_TYPE_XSKMAP) {
		PPFRAG_LOG(ERR,
				"%s: xdp_prog=%s has no map '" MAP_NAME
				"' of the type BPF_MAP_TYPE_XSKMAP, by which it hands packets to the port",
				ppfrag_port_name(pd), pd->xsk.prog);
		return -EINVAL;
	}
	elf->map_fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
	elf->prog_fd = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 0);
	return elf->map_fd < 0 || elf->prog_fd < 0 ? -errno : 0;
}

static int
elf_load(const struct ppfrag_dev *pd, struct bpf_object *o, bool sg, struct xsk_elf *elf)
{
	struct bpf_program *prog = bpf_object__next_program(o, NULL);
	int ret;

	if (prog == NULL || bpf_program__type(prog) != BPF_PROG_TYPE_XDP) {
		elf_failed(pd, "its first program is none in a section 'xdp' or 'xdp.frags'",
				EINVAL);
		return -EINVAL;
	}
	/* The kernel gives sockets for long frames none of programs that do not say so. */
	if (sg)
		bpf_program__set_flags(prog, bpf_program__flags(prog) | BPF_F_XDP_HAS_FRAGS);
	ret = bpf_object__load(o);
	if (ret != 0) {
		elf_failed(pd, "the kernel does not take it", -ret);
		return ret;
	}
	return elf_take(pd, o, prog, elf);
}

int
xsk_elf_load(const struct ppfrag_dev *pd, bool sg, struct xsk_elf *elf)
{
	struct bpf_object *o = bpf_object__open_file(pd->xsk.prog, NULL);
	int ret;

	*elf = (struct xsk_elf){ .prog_fd = -1, .map_fd = -1 };
	if (o == NULL) {
		ret = -errno;
		elf_failed(pd, "it cannot be opened as an object file for BPF", -ret);
		return ret;
	}
	ret = elf_load(pd, o, sg, elf);
	bpf_object__close(o);
	if (ret != 0) {
		if (elf->prog_fd >= 0)
			close(elf->prog_fd);
		if (elf->map_fd >= 0)
			close(elf->map_fd);
	}
	return ret;
}

#else

int
xsk_elf_load(const struct ppfrag_dev *pd, bool sg, struct xsk_elf *elf)
{
	RTE_SET_USED(sg);
	RTE_SET_USED(elf);
	PPFRAG_LOG(ERR, "%s: xdp_prog=%s takes libbpf, which this driver was built without: install libbpf-dev and build it again, or leave the option out",
			ppfrag_port_name(pd), pd->xsk.prog);
	return -ENOTSUP;
}

#endif
