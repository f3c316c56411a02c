# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""ppfrag-top shows what telemetry tells, as text, as JSON and on a screen."""

import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from fcntl import ioctl

import pytest

from conftest import ROOT
from harness import TIMEOUT, lcores, runtime_dir, wait_until
from test_example import receive, receive_full

TOP = ROOT / "usertools/ppfrag-top"
LINES, COLUMNS = 60, 180
NOBODY = 65534


def top(*options, **how):
    """Run it; what it printed and its exit status."""
    done = subprocess.run([TOP, *map(str, options)], stdin=subprocess.DEVNULL, check=False,
                          capture_output=True, text=True, timeout=TIMEOUT, **how)
    return done.stdout + done.stderr, done.returncode


@pytest.fixture(scope="module")
def rich():
    """The library for the screen."""
    return pytest.importorskip("rich", reason="needs python3-rich: run config/setup.sh --tests")


@pytest.fixture
def hold(lab, tcp_frames):
    """The example, see receive_full()."""
    return receive_full(lab, tcp_frames)


class Screen:
    """ppfrag-top on a terminal, and what this shows."""

    def __init__(self, lab, prefix):
        pyte = pytest.importorskip(
            "pyte", reason="needs python3-pyte: run config/setup.sh --tests")
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.terminal, tool = pty.openpty()
        ioctl(tool, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.process = subprocess.Popen([TOP, "-f", prefix, "-d", "0.2"], stdin=tool, stdout=tool,
                                        stderr=tool, env=dict(os.environ, TERM="xterm"))
        os.close(tool)
        lab.add(self)

    def text(self):
        """What is on it now."""
        while select.select([self.terminal], [], [], 0.1)[0]:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                break
            if not data:
                break
            self.stream.feed(data)
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, pattern):
        """Wait until it shows something."""
        return wait_until(lambda: re.search(pattern, self.text(), re.M), f"screen: {pattern}")

    def wait_gone(self, pattern):
        """Wait until it does not."""
        wait_until(lambda: not re.search(pattern, self.text(), re.M), f"screen: no {pattern}")

    def press(self, keys):
        """Press keys, one after another."""
        os.write(self.terminal, keys.encode())

    # What a lab knows of programs.
    name, argv, output = "ppfrag-top", [str(TOP)], ""

    def cleanup(self):
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


@pytest.mark.usefixtures("rich")
def test_once(hold):
    """One picture has pools, slots, accounts, queues and holders, and rates of packets."""
    text, status = top("-f", hold.prefix, "--once", "--interval", 0.5)
    assert status == 0, text
    for title in ("1 Pools", "2 Slots", "3 Accounts", "4 Queues", "5 Holders"):
        assert f"\n{title}" in text
    pool = re.search(r"^hold +(\d+) +[\d.]+K", text, re.M)
    assert int(pool[1]) == hold.telemetry("/ppool/stats,hold")["pages"]
    assert re.search(r"^tcp +2\d\d\.\dK +256\.0K +\d+% ", text, re.M)
    assert re.search(r"^net_ppfrag0 rx_q0 +up +[1-9]", text, re.M)
    assert re.search(rf"^hold +{hold.telemetry('/ppool/owners,hold')['0']['pid']} +alive +\d", text,
                     re.M)


@pytest.mark.usefixtures("rich")
def test_sort_and_filter(hold):
    """Rows come in the order that is asked for, and only those with the text."""
    orders = {}
    for sort in ("size", "trouble", "name"):
        text, status = top("-f", hold.prefix, "--once", "-d", "0.3", "--sort", sort)
        assert status == 0
        orders[sort] = re.findall(r"^(new|tcp|udp|other) ", text, re.M)
    assert orders["size"][:2] == orders["trouble"][:2] == ["tcp", "other"]
    assert orders["name"] == ["new", "other", "tcp", "udp"]
    text, _ = top("-f", hold.prefix, "--once", "-d", "0.1", "--filter", "TC")
    assert re.findall(r"^(new|tcp|udp|other|hold) ", text, re.M) == ["tcp"]


def test_json(hold):
    """The same as JSON, without any library: pinned and charged are those of the ledger.

    Without a terminal a live view says what to use; a wrong interval is refused.
    """
    text, status = top("-f", hold.prefix, "--json", "--once")
    assert status == 0
    sample = json.loads(text)
    pool = sample["pools"]["hold"]
    assert pool["pinned_bytes"] == pool["page_bytes"] * (
        pool["pages"] - pool["free"] - pool["idle"])
    assert 0 < pool["charged_bytes"] <= pool["pinned_bytes"] + pool["page_bytes"] * 64
    accounts = {account["name"]: account for account in sample["accounts"].values()}
    assert accounts["tcp"]["limit"] == 256 << 10
    queue = sample["ports"]["0"]["queues"]["rx_q0"]
    assert queue["descriptors"] == 256 and queue["pool"] == "hold"
    assert queue["good_packets"] > 0
    held = pool["owners"]["0"]
    assert 0 < held["uncharged"] < held["bytes"]
    text, status = top("-f", hold.prefix)
    assert (status, text) == (1, "ppfrag-top: there is no terminal: use --once or --json\n")
    text, status = top("--interval", "0")
    assert status == 2
    assert "0: from 0.1 to 3600 seconds" in text


@pytest.mark.usefixtures("rich")
def test_screen(lab, hold):
    """Keys sort, filter, hide, pause and quit; a process that ends is told of, not died of."""
    screen = Screen(lab, hold.prefix)
    screen.wait(r"^3 Accounts")
    screen.wait(r"sorted by size")
    screen.press("sr")
    screen.wait(r"sorted by trouble, reversed")
    screen.press("3")
    screen.wait_gone(r"^3 Accounts")
    screen.press("3/udp\n")
    screen.wait(r"only /udp")
    screen.wait(r"^udp ")
    screen.wait_gone(r"^tcp ")
    screen.press("p")
    screen.wait(r"PAUSED")
    before = screen.text()
    time.sleep(0.5)
    assert screen.text() == before
    screen.press("p")
    screen.wait_gone(r"PAUSED")
    hold.finish()
    screen.wait(r"NO ANSWER: --file-prefix")
    screen.press("q")
    assert screen.process.wait(TIMEOUT) == 0


@pytest.mark.usefixtures("rich")
def test_oldest_pages(lab, tcp_frames):
    """A port that receives into lanes has data pages: the oldest ones, and who opened them."""
    hold, _ = receive(lab, tcp_frames, "--depth", "1M", devargs=",rx=lanes", endless=True)
    hold.wait_table(lambda table: table["tcp"]["held"] > 0, "TCP to be held")
    text, status = top("-f", hold.prefix, "--once", "-d", "0.1")
    assert status == 0
    assert re.search(r"^6 Oldest data pages", text, re.M)
    assert re.search(r"^hold +\d+ +\d+\.\d\ds +0 +[\d.]+[BK] +\d+% +\d+ +(being filled|closed)",
                     text, re.M)


def test_no_process():
    """A prefix that is none, and no prefix at all, get an answer that names option and remedy."""
    text, status = top("-f", "ppfrag-no-such", "--json", "--once")
    assert status == 1
    assert text.startswith("ppfrag-top: --file-prefix ppfrag-no-such: no process has this prefix")
    assert "give the one that the process was started with" in text


def test_no_answer(lab):
    """Without telemetry, without permission, and after a crash, the text says what to do."""
    memory = [*lab.memory(), lcores(0), "--vdev=net_null0"]
    mute = lab.testpmd("mute", [*memory, "--no-telemetry"], ["--total-num-mbufs=2048"])
    text, status = top("-f", mute.prefix, "--json", "--once")
    assert status == 1
    assert "start it without --no-telemetry" in text
    mute.quit()
    plain = lab.testpmd("plain", memory, ["--total-num-mbufs=2048"])
    text, status = top("-f", plain.prefix, "--json", "--once")
    assert status == 1
    assert "has no page pools: load the library, with the EAL option -d libppool.so" in text
    if os.geteuid() == 0:
        path = runtime_dir(plain.prefix).parent.parent
        text, status = top("-f", plain.prefix, "--json", "--once", user=NOBODY,
                           env=dict(os.environ, RUNTIME_DIRECTORY=str(path)))
        assert status == 1
        assert "run as the user that runs the process, or as root" in text
    plain.kill()
    text, status = top("-f", plain.prefix, "--json", "--once")
    assert status == 1
    assert "the process has ended" in text


@pytest.mark.hugepages
@pytest.mark.usefixtures("rich")
def test_dead_holder(lab):
    """A secondary process that received and was killed is shown as a holder that is dead."""
    sock = lab.socket()
    peer = lab.peer(sock, options=["--forward-mode=txonly"])
    dut = lab.dut(sock, memory="default")
    peer.wait_link()
    second = lab.testpmd("second", ["--proc-type=secondary", f"--file-prefix={dut.prefix}",
                                    lcores(1), *lab.plugins()], ["--forward-mode=rxonly"])
    second.start()
    peer.start()
    dut.wait_received(1000)
    second.kill()
    text, status = top("-f", dut.prefix, "--once", "-d", "0.1", "--sort", "trouble")
    assert status == 0
    holders = re.findall(r"^\w+ +(\d+) +(dead|alive) +\w+ +([\d.]+)[BK]", text, re.M)
    dead = dut.telemetry("/ppool/owners,%s" % dut.telemetry("/ppool/list")[0]).values()
    pid, = {owner["pid"] for owner in dead if owner["dead"]}
    assert holders[0][:2] == (str(pid), "dead"), text
