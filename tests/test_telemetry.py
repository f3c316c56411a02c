# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""What dpdk-telemetry.py and dpdk-proc-info show of a page pool."""

import json
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
    ("/ppool/accounts,nosuch", "no account of this name; see /ppool/accounts"),
    ('/ppool/info,"\\', "no page pool of this name; see /ppool/list"),
])
def test_unknown(idle, command, error):
    """A name that is none gets an answer that says so, and where names are."""
    assert ask(idle, command) == {"error": error}
