# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""What dpdk-telemetry.py and dpdk-proc-info show of a page pool."""

import json
import re
import subprocess

import pytest

from harness import TIMEOUT, Program, lcores, mempools_to_preload, write_frames


def ask(program, command):
    """The answer that dpdk-telemetry.py prints."""
    done = subprocess.run(["dpdk-telemetry.py", "-f", program.prefix], input=command + "\n",
                          capture_output=True, text=True, timeout=TIMEOUT, check=True)
    name = command.split(",")[0]
    line = next(line for line in done.stdout.splitlines() if f'"{name}"' in line)
    return json.loads(line[line.index("{"):])[name]


@pytest.fixture
def idle(lab):
    """A testpmd with a page pool and without a port."""
    return lab.testpmd("idle", [*lab.memory(), lcores(1), *lab.plugins(),
                                "--mbuf-pool-ops-name=ppfrag", "--vdev=net_null0"],
                       ["--total-num-mbufs=2048"])


def have_received(lab, frames, rx):
    """A testpmd that has received them and forwards no more, and its peer."""
    sock = lab.socket()
    source = write_frames(lab.dir / "in.pcap", frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source}"])
    dut = lab.dut(sock, options=["--forward-mode=rxonly"], mbuf_size=16384, mbufs=2048,
                  devargs=f",rx={rx}")
    peer.wait_link()
    dut.start()
    peer.patient()
    peer.start()
    dut.wait_received(len(frames))
    dut.stop()
    return dut, peer


def test_pages(lab, all_lengths):
    """A port that receives into lanes has data pages: every page is in one bin, and has an age."""
    dut, peer = have_received(lab, all_lengths, "lanes")
    name, = ask(dut, "/ppool/list")
    info = ask(dut, f"/ppool/info,{name}")
    pages = ask(dut, f"/ppool/pages,{name}")
    assert info["violations"] == 0
    assert pages["page_bytes"] == info["page_bytes"] > info["room_bytes"] > 16000
    assert pages["data"] == info["data"] == sum(pages["occupancy"]) > 0
    assert pages["carver"] + pages["parked"] + pages["closed"] == pages["data"]
    assert sum(pages["age"]) + pages["no_age"] == pages["data"]
    assert len(pages["oldest"]) == min(16, sum(pages["age"]))
    ages = [page["age_ms"] for page in pages["oldest"].values()]
    assert ages == sorted(ages, reverse=True)
    assert all(0 < page["in_use"] <= info["page_bytes"] for page in pages["oldest"].values())
    dut.quit()
    peer.quit()


@pytest.mark.hugepages
def test_show_mempool(lab, all_lengths, rx):
    """dpdk-proc-info counts pages as telemetry does, and leaves the pool as it was."""
    dut, peer = have_received(lab, all_lengths, rx)
    name, = ask(dut, "/ppool/list")
    before = ask(dut, f"/ppool/info,{name}")
    preload = ":".join(mempools_to_preload("dpdk-proc-info"))
    info = lab.add(Program("proc-info", [
        "env", f"LD_PRELOAD={preload}", "dpdk-proc-info", *lab.plugins(),
        f"--file-prefix={dut.prefix}", "--no-pci", "--", f"--show-mempool={name}"],
        lab.prefix()))
    assert info.wait_end() == 0
    assert "ops_name ppfrag" in info.output
    avail = before["free"] + before["idle"]
    assert f"avail ({avail}), in use ({before['pages'] - avail})" in info.output
    assert before["approximate"] == 0
    assert ask(dut, f"/ppool/info,{name}") == before
    dut.quit()
    peer.quit()


@pytest.mark.parametrize("command,error", [
    ("/ppool/info", "the name of a page pool is missing; see /ppool/list"),
    ("/ppool/pages", "the name of a page pool is missing; see /ppool/list"),
    ("/ppool/info,nosuch", "no page pool of this name; see /ppool/list"),
    ("/ppool/pages,mb_pool_0,mb_pool_0", "no page pool of this name; see /ppool/list"),
    ("/ppool/classes,nosuch", "no page pool of this name; see /ppool/list"),
    ("/ppool/keys", "parameter: info, stats, classes, owners, accounts or pages"),
    ("/ppool/keys,list", "parameter: info, stats, classes, owners, accounts or pages"),
    ("/ppfrag/queues", "the number of a port of net_ppfrag is missing or wrong"),
    ("/ppfrag/queues,0", "the number of a port of net_ppfrag is missing or wrong"),
    ("/ppfrag/queues,0x", "the number of a port of net_ppfrag is missing or wrong"),
    ("/ppfrag/queues,99999", "the number of a port of net_ppfrag is missing or wrong"),
    ("/ppool/accounts,nosuch", "no account of this name; see /ppool/accounts"),
    ('/ppool/info,"\\', "no page pool of this name; see /ppool/list"),
])
def test_unknown(idle, command, error):
    """A name that is none gets an answer that says so, and where names are."""
    assert ask(idle, command) == {"error": error}


def numbers(answer):
    """Keys of an answer whose values are numbers."""
    return {key for key, value in answer.items() if isinstance(value, int)}


def test_pool_keys(lab, all_lengths):
    """What a pool tells has a type, a unit and a meaning; and nothing else has."""
    dut, peer = have_received(lab, all_lengths, "slots")
    name, = ask(dut, "/ppool/list")
    for command in ("info", "stats", "classes", "owners"):
        answer = dut.telemetry(f"/ppool/{command},{name}")
        if command in ("classes", "owners"):
            answer = next(iter(answer.values()))
        keys = dut.telemetry(f"/ppool/keys,{command}")
        assert set(keys) == numbers(answer) - {"lcore"}
        for text in keys.values():
            assert re.fullmatch(r"(gauge|counter), [a-z ]*: .+", text)
            assert len(text) < 127  # longer ones are cut
    dut.quit()
    peer.quit()


def test_classes(lab, all_lengths):
    """Slots by size add up to what the ledger counts."""
    dut, peer = have_received(lab, all_lengths, "slots")
    name, = ask(dut, "/ppool/list")
    info, classes = ask(dut, f"/ppool/info,{name}"), ask(dut, f"/ppool/classes,{name}")
    headers = classes.pop("0", {"pages": 0})
    assert info["approximate"] == 0
    assert headers["pages"] == info["header"]
    assert sum(slot["pages"] for slot in classes.values()) == info["class_pages"] > 0
    assert sum(slot["live"] for slot in classes.values()) == info["class_slots"] > 0
    for slot in classes.values():
        assert slot["live"] + slot["idle"] == slot["pages"] * slot["page_slots"]
        assert slot["room"] < slot["truesize"] <= info["page_bytes"] // slot["page_slots"] + 1
    dut.quit()
    peer.quit()


def test_queues(lab, all_lengths):
    """What a queue has: all descriptors are posted, of the pool, in so many bytes."""
    dut, peer = have_received(lab, all_lengths, "slots")
    name, = ask(dut, "/ppool/list")
    port = ask(dut, "/ppfrag/queues,0")
    queue = port["rx_q0"]
    assert (port["name"], port["link"], queue["pool"]) == ("net_ppfrag0", 1, name)
    assert queue["posted"] == queue["descriptors"] > 0
    assert queue["starved"] == queue["waiting"] == 0
    assert queue["epoch"] <= port["port_epoch"]
    largest = max(slot["truesize"] for slot in ask(dut, f"/ppool/classes,{name}").values())
    assert queue["ring_bytes"] == queue["descriptors"] * largest
    keys = dut.telemetry("/ppfrag/keys")
    of_queue = {key[6:] for key in keys if key.startswith("queue_")}
    assert of_queue == numbers(queue)
    for counter in dut.xstats():
        match = re.fullmatch(r"([rt]x_)q\d+_(\w+)", counter)
        if match and match[2] not in ("packets", "bytes", "errors"):
            assert match[1] + match[2] in keys
    dut.quit()
    peer.quit()
