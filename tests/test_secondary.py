# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A stock secondary process looks at the port."""

import re

import pytest

from harness import Program, write_frames


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
