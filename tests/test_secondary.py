# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A stock secondary process looks at the port, and uses its queues."""

import glob
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import TIMEOUT, Program, lcores, mempools_to_preload, read_frames, write_frames


@pytest.mark.hugepages
@pytest.mark.parametrize("memory", ["default", "single-file"])
def test_proc_info(lab, all_lengths, memory):
    """dpdk-proc-info shows the statistics of the port, and leaves it as it was."""
    sock = lab.socket()
    source = write_frames(lab.dir / "in.pcap", all_lengths)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source}"])
    dut = lab.dut(sock, options=["--forward-mode=rxonly"], memory=memory)
    peer.wait_link()
    dut.start()
    peer.patient()
    peer.start()
    dut.wait_received(len(all_lengths))
    for options, pattern in ((["--stats"], rf"RX-packets:\s*{len(all_lengths)}\b"),
                             (["--xstats"], rf"rx_good_packets: {len(all_lengths)}\b"),
                             (["--show-port"], "driver net_ppfrag device net_ppfrag0")):
        info = lab.add(Program("proc-info", [
            "dpdk-proc-info", *lab.plugins(), f"--file-prefix={dut.prefix}", "--no-pci",
            "--", "-p", "1", *options], lab.prefix()))
        assert info.wait_end() == 0, options
        assert re.search(pattern, info.output), options
    dut.stop()
    dut.check_ledgers()
    dut.quit()
    peer.quit()


def other_mempool_driver(lab):
    """A mempool driver of DPDK that programs are not linked with."""
    done = subprocess.run(["ldd", lab.builddir / "lib/ppool/libppool.so"], capture_output=True,
                          text=True, timeout=TIMEOUT, check=True)
    libdir = os.path.dirname(re.search(r"librte_eal\S* => (\S+)", done.stdout)[1])
    found = glob.glob(f"{libdir}/dpdk/pmds-*/librte_mempool_bucket.so")
    if not found:
        pytest.skip("needs librte_mempool_bucket.so")
    return found[0]


@pytest.mark.hugepages
@pytest.mark.parametrize("order", ["same", "other"])
def test_order_of_plugins(lab, order, rx):
    """A testpmd receives for its primary; where the ops have another number, it is told why not."""
    sock = lab.socket()
    peer = lab.peer(sock, options=["--forward-mode=txonly"])
    dut = lab.dut(sock, memory="default", devargs=f",rx={rx}")
    peer.wait_link()
    first = ["-d", other_mempool_driver(lab)] if order == "other" else []
    second = lab.testpmd("second", ["--proc-type=secondary", f"--file-prefix={dut.prefix}",
                                    lcores(1), *first, *lab.plugins()], ["--forward-mode=rxonly"])
    said = re.search("net_ppfrag0: its queues cannot be used here: its pools have mempool ops "
                     r"number (\d+), which is \w+ in this process, where ppfrag is number (\d+)",
                     second.output)
    second.start()
    peer.start()
    if order == "same":
        dut.wait_received(1000)
        assert not said
    else:
        time.sleep(1)
        assert dut.stats()["ipackets"] == 0
        assert int(said[1]) + 1 == int(said[2])
    peer.stop()
    second.stop()
    second.quit()
    dut.check_ledgers()
    dut.quit()
    peer.quit()


@pytest.mark.hugepages
def test_dumpcap(lab):
    """dpdk-dumpcap, which takes no plugins, captures where they are preloaded as the guide says."""
    dumpcap, testpmd = map(shutil.which, ("dpdk-dumpcap", "dpdk-testpmd"))
    if not dumpcap or os.path.dirname(dumpcap) != os.path.dirname(testpmd):
        pytest.skip("needs the dpdk-dumpcap of this DPDK")
    sock, capture = lab.socket(), lab.dir / "some.pcap"
    peer = lab.peer(sock, options=["--forward-mode=txonly"])
    dut = lab.dut(sock, options=["--forward-mode=rxonly"], memory="default")
    peer.wait_link()
    dut.start()
    peer.start()
    _, pool, _, driver = map(str, lab.plugins())
    preload = " ".join([driver, pool, *reversed(mempools_to_preload("dpdk-dumpcap"))])
    cap = lab.add(Program("dumpcap", [
        "env", f"LD_PRELOAD={preload}", dumpcap, f"--file-prefix={dut.prefix}", "-P",
        "-i", "net_ppfrag0", "-c", 50, "-w", capture], lab.prefix()))
    assert cap.wait_end() == 0
    assert "cannot be used here" not in cap.output
    assert len(read_frames(capture)) >= 50
    peer.stop()
    dut.stop()
    dut.check_ledgers()
    dut.quit()
    peer.quit()


@pytest.mark.hugepages
def test_unit_as_secondary(lab):
    """The unit suites are not run in a secondary process of somebody's program."""
    dut = lab.testpmd("dut", [lcores(1), *lab.plugins(), "--vdev=net_null0",
                              "--mbuf-pool-ops-name=ppfrag"], ["--total-num-mbufs=2048"])
    unit = lab.add(Program("unit", [
        lab.builddir / "app/test-ppool/dpdk-test-ppool", *lab.plugins(), "--no-pci",
        "--proc-type=secondary", f"--file-prefix={dut.prefix}", "--", "unit", "port"],
        lab.prefix()))
    assert unit.wait_end() == 1
    assert "unit: the suites start secondary processes, they do not run in one" in unit.output
    assert dut.telemetry("/ethdev/list") == [0]
    dut.quit()
