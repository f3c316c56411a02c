#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A language binding of the library, as short as it can be: run by test_binding.py.

usage: LD_PRELOAD=LIBRARY binding.py LIBRARY [EAL options]

EAL has too many variables of threads to be loaded by a program that has started: LD_PRELOAD.

Receives into lanes, takes slots and keeps packets with nothing but what the library exports, and
tells as JSON what the books say.
"""

import ctypes
import json
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_uint16, c_uint32, c_uint64
from ctypes import c_void_p

PAGES, PACKETS, SLOTS, LEN, HEADROOM = 64, 200, 50, 570, 128
ALL_LENGTHS = 0xffffffff


class Conf(ctypes.Structure):
    """struct ppool_carver_conf"""

    _fields_ = [("max_len", c_uint32), ("headroom", c_uint16), ("nb_lanes", c_uint16),
                ("port", c_uint16), ("socket_id", c_int)]


class Buf(ctypes.Structure):
    """struct ppool_buf"""

    _fields_ = [("addr", c_void_p), ("iova", c_uint64), ("len", c_uint32)]


class Mbuf(ctypes.Structure):
    """The first members of struct rte_mbuf, of a 64-bit program"""

    _fields_ = [("buf_addr", c_void_p), ("buf_iova", c_uint64), ("data_off", c_uint16),
                ("refcnt", c_uint16), ("nb_segs", c_uint16), ("port", c_uint16),
                ("ol_flags", c_uint64), ("packet_type", c_uint32), ("pkt_len", c_uint32),
                ("data_len", c_uint16)]


# What each function returns and takes, where it is no int without arguments.
PROTOTYPES = {
    "rte_eal_init": (c_int, c_int, POINTER(c_char_p)),
    "rte_pktmbuf_free_bulk": (None, POINTER(c_void_p), c_uint),
    "rte_pktmbuf_pool_create_by_ops":
        (c_void_p, c_char_p, c_uint, c_uint, c_uint16, c_uint16, c_int, c_char_p),
    "rte_mempool_free": (None, c_void_p),
    "ppool_carver_create": (c_void_p, c_void_p, POINTER(Conf)),
    "ppool_carver_free": (None, c_void_p),
    "ppool_headers_get": (c_uint, c_void_p, POINTER(c_void_p), c_uint),
    "ppool_reserve": (c_int, c_void_p, c_uint16, POINTER(Buf)),
    "ppool_commit": (None, c_void_p, c_uint16, c_void_p, c_uint32),
    "ppool_slot_pool": (c_void_p, c_void_p, c_uint16),
    "ppool_slot_get_bulk": (c_int, c_void_p, POINTER(c_void_p), c_uint),
    "ppool_keep": (c_uint, c_void_p, POINTER(c_void_p), c_uint, c_uint32),
    "ppool_mbuf_truesize": (ctypes.c_size_t, c_void_p),
    "ppool_check": (c_int, c_void_p, c_void_p),
    "ppool_ledger_get": (c_int, c_void_p, c_void_p),
}


class Library:
    """The library, with the DPDK that it is linked to."""

    def __init__(self, path):
        library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        for name, (returned, *taken) in PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returned, taken
            setattr(self, name, function)


def require(held, what):
    """End where something does not hold."""
    if not held:
        sys.exit(f"binding: {what}")


def text(number):
    """The data of a packet."""
    return (b"packet %d " % number).ljust(LEN, b".")


def data(mbuf):
    """What a packet holds."""
    head = Mbuf.from_address(mbuf)
    return ctypes.string_at(head.buf_addr + head.data_off, head.data_len)


def receive(lib, carver):
    """As a device does: write into the buffer of the lane, then commit its length."""
    mbufs, buf = (c_void_p * PACKETS)(), Buf()
    require(lib.ppool_headers_get(carver, mbufs, PACKETS) == PACKETS, "no headers")
    for number, mbuf in enumerate(mbufs):
        require(lib.ppool_reserve(carver, 0, byref(buf)) == 0, "no page is free")
        ctypes.memmove(buf.addr + HEADROOM, text(number), LEN)
        lib.ppool_commit(carver, 0, mbuf, LEN)
    return mbufs


def books(lib, pool, mbufs, packets):
    """Whether the ledger balances, what mbufs take, and whether the first are still our packets."""
    return {"wrong": lib.ppool_check(pool, None),
            "truesize": sum(lib.ppool_mbuf_truesize(m) for m in mbufs),
            "same": sum(data(m) == text(i) for i, m in enumerate(mbufs[:packets])),
            **ledger(lib, pool)}


def ledger(lib, pool):
    """Terms of struct ppool_ledger: eight numbers of 32 bits are in front of those of 64."""
    terms = (c_uint64 * 32)()
    require(lib.ppool_ledger_get(pool, terms) == 0, "no ledger")
    names = ("data_bytes", "charged", "stranded", "stranded_open", "open", "header_bytes",
             "slot_charged", "slot_idle", "frags", "class_bytes", "class_live")
    found = dict(zip(names, terms[4:]))
    return {name: found[name] for name in ("charged", "slot_charged", "frags", "class_live")}


def main():
    """Receive, keep, take slots, free; the books after each."""
    lib = Library(sys.argv[1])
    eal = [b"binding", *map(str.encode, sys.argv[2:])]
    require(lib.rte_eal_init(len(eal), (c_char_p * len(eal))(*eal)) >= 0, "EAL does not start")
    pool = lib.rte_pktmbuf_pool_create_by_ops(b"binding", PAGES, 0, 0, 16384, -1, b"ppfrag")
    require(pool, "no pool")
    carver = lib.ppool_carver_create(pool, Conf(1518, HEADROOM, 1, 0, -1))
    require(carver, "no carver")
    result = {}
    mbufs = receive(lib, carver)
    result["received"] = books(lib, pool, mbufs, PACKETS)
    kept = lib.ppool_keep(pool, mbufs, PACKETS, ALL_LENGTHS)
    result["kept"] = {"moved": kept, **books(lib, pool, mbufs, PACKETS)}
    slots = (c_void_p * SLOTS)()
    view = lib.ppool_slot_pool(pool, LEN)
    require(lib.ppool_slot_get_bulk(view, slots, SLOTS) == 0, "no slots")
    result["slots"] = books(lib, pool, [*mbufs, *slots], PACKETS)
    lib.rte_pktmbuf_free_bulk(mbufs, PACKETS)
    lib.rte_pktmbuf_free_bulk(slots, SLOTS)
    result["freed"] = books(lib, pool, [], 0)
    lib.ppool_carver_free(carver)
    lib.rte_mempool_free(pool)
    print(json.dumps(result))


main()
