# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""What a user runs: the demo with captures of his own, and the comparison of receivers."""

import json
import os
import subprocess

import pytest

from conftest import ROOT
from harness import make_frame, write_frames

USERTOOLS_TIMEOUT = 300


def run_tool(lab, name, *args):
    """Run one of usertools/; what it printed and its exit status."""
    env = dict(os.environ, PPFRAG_BUILD=str(lab.builddir))
    if not lab.hugepages:
        env["PPFRAG_NO_HUGE"] = "1"
    done = subprocess.run([ROOT / "usertools" / name, *map(str, args)], env=env, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=USERTOOLS_TIMEOUT)
    print(done.stdout)
    return done.stdout, done.returncode


@pytest.mark.parametrize("lengths,room,mtu", [
    ([60, 1514, 200], 2176, 1500),
    ([9000, 64, 570, 64, 570, 64, 1518, 64], 9216, 8986),
], ids=["standard", "jumbo"])
def test_demo(lab, lengths, room, mtu):
    """The demo replays a capture; stock mbufs and pages are as large as its frames demand."""
    frames = [make_frame(length, number)
              for number, length in enumerate(lengths * (400 // len(lengths)))]
    source = write_frames(lab.dir / "own.pcap", frames)
    output = lab.dir / "demo.json"
    text, status = run_tool(lab, "ppfrag-demo.sh", "--seconds", 1, "--pcap", source,
                            "--json", output)
    assert status == 0
    assert f"MTU {mtu}, " in text
    result = json.loads(output.read_text())
    assert result["capture"] == str(source)
    assert result["frames"] == len(frames)
    assert result["packets"] > 0
    assert result["cycles_per_packet"] > 0
    assert result["hold"]["stock"]["mbuf_size"] == room
    for held in result["hold"].values():
        assert held["ok"]
        assert held["segments"] == held["packets"]
        # Frames are lost where a ring is full, but not one length more than others.
        average = held["wire_bytes"] / held["packets"]
        assert average == pytest.approx(sum(lengths) / len(lengths), rel=0.05)
    assert result["hold"]["ppfrag"]["packets"] > result["hold"]["stock"]["packets"]


@pytest.mark.parametrize("length,message", [
    (None, "no file that can be read"),
    (0, "No data could be read"),
    (9015, "a frame of 9015 bytes needs an MTU above 9000"),
])
def test_demo_bad_capture(lab, length, message):
    """A capture that the demo cannot replay is refused, with the reason."""
    source = lab.dir / "bad.pcap"
    if length == 0:
        source.touch()
    elif length is not None:
        write_frames(source, [make_frame(length)])
    text, status = run_tool(lab, "ppfrag-demo.sh", "--pcap", source)
    assert status == 1
    assert f"--pcap {source}: " in text and message in text


@pytest.mark.hugepages
@pytest.mark.parametrize("program", ["rx", "testpmd"])
def test_rx_compare(lab, program):
    """All receivers are measured; ratios are those of the cycles."""
    output = lab.dir / "compare.json"
    _, status = run_tool(lab, "ppfrag-rx-compare.py", "--build", lab.builddir, "--rounds", 2,
                         "--load", "imix", "--program", program, "--json", output)
    assert status == 0
    result = json.loads(output.read_text())
    assert (result["load"], result["program"]) == ("imix", program)
    reference = result["table"][0]["cycles"]
    assert len(result["table"]) == 5
    for row in result["table"]:
        assert len(row["cycles"]) == 2 and min(row["cycles"]) > 0
        assert row["round_ratios"] == [a / b for a, b in zip(row["cycles"], reference)]
        assert (row["average_burst"] is None) == (program == "testpmd")
