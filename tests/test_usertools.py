# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""What a user runs: demo, presets, comparison, and what they say of wrong files and names."""

import json
import os
import re
import shutil
import struct
import subprocess

import pytest
from scapy.all import Ether, PcapNgWriter, PcapWriter

from conftest import NO_HUGEPAGES, ROOT
from harness import Program, make_frame, wait_until, write_frames
from test_xsk import need_xdp

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


@pytest.mark.parametrize("memory", ["hugepages", "no-huge"])
def test_demo_equal_bytes(lab, monkeypatch, memory):
    """Both drivers fill the same bytes; the ratio is that of packets in them."""
    if memory == "no-huge":
        monkeypatch.setenv("PPFRAG_NO_HUGE", "1")
    elif not lab.hugepages:
        pytest.skip(NO_HUGEPAGES)
    output = lab.dir / "demo.json"
    text, status = run_tool(lab, "ppfrag-demo.sh", "--seconds", 1, "--json", output)
    assert status == 0
    assert text.count("until no buffer is left") == 2
    held = json.loads(output.read_text())["hold"]
    for side in held.values():
        assert side["pool_full"]
        assert side["hugepage_bytes"] == pytest.approx(64 << 20, rel=0.01)
    ratio = held["ppfrag"]["packets_per_mib"] / held["stock"]["packets_per_mib"]
    assert f"{ratio:.2f}x" in text.splitlines()[-3]
    # The README says what comes out.
    says = (r"\| TCP bulk [^|]*\|[^|]*\| [0-9]+ \(([0-9.]+)\) \|" if memory == "hugepages"
            else r"\(([0-9.]+) times without hugepages")
    claim = re.search(says, (ROOT / "README.md").read_text())[1]
    assert ratio == pytest.approx(float(claim), rel=0.07)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for network namespaces")
@pytest.mark.parametrize("huge", [True, False], ids=["hugepages", "no-huge"])
def test_demo_iface(lab, monkeypatch, huge):
    """The demo of interfaces of the kernel needs nothing but a veth, and leaves nothing behind."""
    need_xdp()
    if huge and not lab.hugepages:
        pytest.skip(NO_HUGEPAGES)
    if not huge:
        monkeypatch.setenv("PPFRAG_NO_HUGE", "1")
    output = lab.dir / "demo.json"
    text, status = run_tool(lab, "ppfrag-demo.sh", "--iface", "--seconds", 1, "--json", output)
    assert status == 0
    result = json.loads(output.read_text())
    assert result["packets"] > 0
    held = result["hold"]
    assert held["stock"]["driver"] == "net_af_xdp" and held["ppfrag"]["driver"] == "net_ppfrag"
    for side in held.values():
        assert side["pool_full"]
        assert side["hugepage_bytes"] == pytest.approx(64 << 20, rel=0.01)
    assert held["ppfrag"]["packets"] > 2 * held["stock"]["packets"]
    left = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True,
                          timeout=USERTOOLS_TIMEOUT).stdout
    assert "ppfrag-demo-" not in left


def test_demo_source_stops(lab, monkeypatch):
    """Where the source ends while packets are held, there is no table."""
    monkeypatch.setenv("PATH", f"{lab.dir}:{os.environ['PATH']}")
    wrapper, count = lab.dir / "dpdk-testpmd", lab.dir / "sources"
    wrapper.write_text(f"""#!/bin/bash
        if [[ "$*" == *infinite_rx=1* ]]; then echo >> {count}; fi
        if [ "$(wc -l < {count})" -gt 1 ]; then set -- "${{@/infinite_rx=1/infinite_rx=0}}"; fi
        exec {shutil.which("dpdk-testpmd")} "$@"
        """)
    wrapper.chmod(0o755)
    text, status = run_tool(lab, "ppfrag-demo.sh", "--seconds", 1)
    assert status == 1
    assert re.search(r"hold: source stopped, pool not full: \d+ packets held, ", text)
    assert "dpdk-ppool hold with net_virtio_user0 failed, see above" in text
    assert "truesize per packet" not in text


# Stands for config/setup.sh on a host without Python, which comes with the packages.
FAKE_SETUP = """#!/bin/bash
[ "${1-}" != --check ] || exit 1
umount /usr/bin/python3
echo "packages are installed"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide Python")
def test_demo_without_python(lab):
    """On a bare host the demo sets up first, and reads the capture afterwards."""
    setup = lab.dir / "setup.sh"
    setup.write_text(FAKE_SETUP)
    setup.chmod(0o755)
    hidden = ["unshare", "--mount", "sh", "-ec", '''
        mount --bind "$1" "$2/config/setup.sh"
        mount --bind /dev/null /usr/bin/python3
        shift 2
        exec "$@"''', "sh", setup, ROOT]
    if subprocess.run([*hidden, "true"], check=False).returncode != 0:
        pytest.skip("needs a mount namespace of its own")
    done = subprocess.run([*hidden, ROOT / "usertools/ppfrag-demo.sh", "--pcap", "/nosuch"],
                          check=False, capture_output=True, text=True, timeout=USERTOOLS_TIMEOUT)
    assert done.stdout == ("Setting this host up; the first time takes some minutes.\n"
                           "packages are installed\n")
    assert done.stderr == "ppfrag-demo: --pcap /nosuch: No such file or directory\n"
    assert done.returncode == 1


# Where a checkout cannot lie, with the mode of the directory above it, and what is said of it.
BAD_PLACES = {
    "open": (0o777, "lies below {}, a directory that everybody may write to, from which EAL loads "
                    "no plugin: move the checkout"),
    "with space": (0o755, "DPDK takes no path with commas or spaces: move the checkout"),
}


@pytest.mark.parametrize("command", ["config/setup.sh", "config/setup.sh --check",
                                     "usertools/ppfrag-demo.sh"])
@pytest.mark.parametrize("place", BAD_PLACES)
def test_bad_place(lab, place, command):
    """A checkout from which no plugin can be loaded is refused before anything is installed."""
    mode, message = BAD_PLACES[place]
    above = lab.dir / place
    checkout = above / "checkout"
    for name in ("config", "usertools", "tests/data"):
        shutil.copytree(ROOT / name, checkout / name)
    above.chmod(mode)
    program, *args = command.split()
    env = {name: value for name, value in os.environ.items() if name != "PPFRAG_BUILD"}
    done = subprocess.run([checkout / program, *args], env=env, check=False, capture_output=True,
                          text=True, timeout=USERTOOLS_TIMEOUT)
    assert done.returncode == 1
    assert message.format(above) in done.stderr and str(checkout / "build") in done.stderr
    assert not done.stdout


# Captures that cannot be replayed, and why. None: there is no such file.
BAD_CAPTURES = {
    "missing": (None, "No such file or directory"),
    "empty": (b"", "the file is empty"),
    "no-frame": (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1), "no frame in it"),
    "garbage": (bytes(range(256)), "neither pcap nor pcapng"),
    "damaged": (struct.pack("<IHHiIII4I", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1, 0, 0, 1 << 30, 1),
                "damaged: a frame of 1073741824 bytes at byte 24"),
    "damaged-ng": (struct.pack("<III", 0x0A0D0D0A, 8, 0x1A2B3C4D), "damaged: a block of 8 bytes"),
    "with,comma": (b"", "DPDK takes no name with commas or spaces"),
}

# Tools that take a capture, and what they call it.
CAPTURE_TOOLS = {
    "demo": (["usertools/ppfrag-demo.sh", "--pcap"], "ppfrag-demo: --pcap {}: "),
    "compare": (["usertools/ppfrag-rx-compare.py", "--pcap"], "error: --pcap {}: "),
    "testpmd": (["config/testpmd.sh", "replay", "SOCKET"], "{}: "),
    "capture": (["usertools/ppfrag-capture"], "{}: "),
}


def run_anywhere(lab, argv, wrapper=()):
    """Run a program of the tree; what it printed and its exit status."""
    env = dict(os.environ, PPFRAG_BUILD=str(lab.builddir))
    done = subprocess.run([*wrapper, ROOT / argv[0], *map(str, argv[1:])], env=env, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=USERTOOLS_TIMEOUT)
    print(done.stdout)
    assert "Traceback" not in done.stdout
    return done.stdout, done.returncode


@pytest.mark.parametrize("kind", [*BAD_CAPTURES, "directory", "fifo"])
@pytest.mark.parametrize("tool", CAPTURE_TOOLS)
def test_bad_capture(lab, tool, kind):
    """A capture that cannot be replayed is refused with its name and the reason, at once."""
    source = lab.dir / f"{kind}.pcap"
    content, message = BAD_CAPTURES.get(kind, (None, "no regular file"))
    if kind == "directory":
        source.mkdir()
    elif kind == "fifo":
        os.mkfifo(source)
    elif content is not None:
        source.write_bytes(content)
    argv, prefix = CAPTURE_TOOLS[tool]
    if tool == "compare" and not lab.hugepages:
        pytest.skip(NO_HUGEPAGES)
    argv = [*argv, *(["--build", lab.builddir] if tool == "compare" else [])]
    position = argv.index("--build") if "--build" in argv else len(argv)
    argv.insert(position, source)
    argv = [lab.socket() if arg == "SOCKET" else arg for arg in argv]
    text, status = run_anywhere(lab, argv)
    assert status in (1, 2)
    assert prefix.format(source) + message in text


@pytest.mark.parametrize("tool,length,message", [
    ("demo", 9015, "a frame of 9015 bytes, at most 9014 are possible here"),
    ("testpmd", 1519, "a frame of 1519 bytes, at most 1518 are possible here"),
])
def test_long_frames(lab, tool, length, message):
    """Frames that do not fit into the buffers are not silently lost."""
    source = write_frames(lab.dir / "long.pcap", [make_frame(60), make_frame(length)])
    argv = [lab.socket() if arg == "SOCKET" else arg for arg in CAPTURE_TOOLS[tool][0]]
    text, status = run_anywhere(lab, [*argv, source])
    assert status == 1
    assert f"{source}: {message}" in text


@pytest.mark.parametrize("writer,order", [(PcapWriter, "<"), (PcapWriter, ">"),
                                          (PcapNgWriter, None)], ids=str)
def test_capture(lab, writer, order):
    """Frames are counted in both formats, as scapy wrote them; one that was cut off is not."""
    lengths = [60, 1514, 61, 9000]
    source = lab.dir / "some.pcap"
    made = writer(str(source), **({"endianness": order, "linktype": 1} if order else {}))
    for length in lengths:
        made.write(Ether(make_frame(length)))
    made.close()
    text, status = run_anywhere(lab, ["usertools/ppfrag-capture", source])
    assert (text.split(), status) == (["4", f"{sum(lengths) / 4:.1f}", "9000"], 0)
    source.write_bytes(source.read_bytes()[:-100])
    text, status = run_anywhere(lab, ["usertools/ppfrag-capture", source])
    assert (text.split()[0], text.split()[2], status) == ("3", "1514", 0)
    text, status = run_anywhere(lab, ["usertools/ppfrag-capture", "--max-frames", 2, source])
    assert status == 1 and "3 frames, at most 2 can be replayed" in text


# What users type, and what they are told. SOCKET is a path at which there is no socket.
BAD_COMMANDS = {
    "config/testpmd.sh": "usage: config/testpmd.sh PRESET SOCKET",
    "config/testpmd.sh frobnicate SOCKET": "testpmd.sh: unknown preset 'frobnicate'; see --help",
    "config/testpmd.sh rx": "testpmd.sh: rx needs the socket that the source made",
    "config/testpmd.sh source": "testpmd.sh: source needs a socket: a path at which it can be made",
    "config/testpmd.sh rx SOCKET": "SOCKET: there is no socket: start "
                                   "'config/testpmd.sh source SOCKET' in another terminal first",
    "config/testpmd.sh stock SOCKET": "SOCKET: there is no socket: ",
    "config/testpmd.sh source /nosuch/a.sock": "/nosuch/a.sock: no socket can be made there, "
                                               "/nosuch is no directory",
    f"config/testpmd.sh source /{'x' * 108}": "a socket's path has at most 107 characters",
    "config/testpmd.sh source /tmp/a,b": "DPDK takes no path with commas or spaces",
    "config/testpmd.sh replay SOCKET": "testpmd.sh: replay needs a capture; see --help",
    "usertools/ppfrag-demo.sh --frobnicate": "ppfrag-demo: unknown option --frobnicate; see --help",
    "usertools/ppfrag-demo.sh --pcap": "ppfrag-demo: --pcap needs a value; see --help",
    "usertools/ppfrag-demo.sh --seconds 0": "--seconds 0: a number from 1 to 99999 is expected",
    "usertools/ppfrag-demo.sh --seconds x": "--seconds x: a number from 1 to 99999 is expected",
    "usertools/ppfrag-demo.sh --json /nosuch/j": "ppfrag-demo: --json /nosuch/j: cannot be written",
    "usertools/ppfrag-rx-compare.py --build BUILD --json /nosuch/j":
        "error: --json /nosuch/j: No such file or directory",
    "usertools/ppfrag-rx-compare.py --build /nosuch": "error: --build /nosuch: no built tree; run",
    "usertools/ppfrag-rx-compare.py --build BUILD --cpus 0,9999": "error: --cpus 0,9999: two of [",
    "usertools/ppfrag-rx-compare.py --program rtt --load imix":
        "error: who sends by itself sends packets of one length",
    "usertools/ppfrag-rx-compare.py --program rtt --rx x": "error: --rx is for --program rx",
    "usertools/ppfrag-rx-compare.py --forward-mode io":
        "error: --forward-mode is for --program testpmd",
    "usertools/ppfrag-rx-compare.py --build BUILD --cpus x": "error: --cpus x: two of [",
    "usertools/ppfrag-rx-compare.py --build BUILD --rounds 0":
        "error: --rounds, --seconds and --mem start from 1",
    "usertools/ppfrag-rx-compare.py --build BUILD --mem 99999999":
        " MB of hugepages are free, 100000255 are needed: lower --mem, or run config/setup.sh",
    "usertools/ppfrag-size --mix frob": "size: --mix 'frob' is neither imix nor a list LEN[:N],",
    "usertools/ppfrag-size --mix 64:0": "the size mix is empty",
    "usertools/ppfrag-size --json /nosuch/j": "--json /nosuch/j: No such file or directory",
    "usertools/ppfrag-size --json /dev/full": "--json /dev/full: could not be written",
    "usertools/ppfrag-size --packets 1000000000000": " are more than a pool can have, 2147483647: ",
    "usertools/ppfrag-size --rxd 0": "rx_desc, lcores, one_in and mtu are at least 1",
    "usertools/ppfrag-size --share 5": "size: --share needs --life: how long packets are held",
    "usertools/ppfrag-size --life exp:10": "size: --life needs --share: the percent of the packets",
    "usertools/ppfrag-size --share 5 --life pareto:1:9":
        "size: --life 'pareto:1:9' is not a comma-separated list of 1 pareto:SHAPE:MIN",
    "usertools/ppfrag-size --share 5,96 --life exp:9,exp:9": "these add up to 100 at most",
    "usertools/ppfrag-size --share 5 --life exp:9 --packets 9":
        "size: --packets and --life: give one of them",
    "usertools/ppfrag-size --slots --headroom 64": "headroom 64: that of slots is 128",
    "usertools/ppfrag-size --slots --page-size 1500":
        "slots for frames of up to 1522 bytes do not fit into a page of 1500: choose a larger",
    "usertools/ppfrag-size frob": "size: unexpected argument 'frob'; see 'ppfrag-size --help'",
    "usertools/ppfrag-size --foo": "option '--foo'; see 'ppfrag-size --help'",
    "usertools/ppfrag-capture": "the following arguments are required: capture",
    "tests/data/make-captures.py imix --output /nosuch/a": "make-captures.py: /nosuch/a: ",
    "devtools/test.sh frob": "test.sh: there is no part 'frob'; parts are: lint ",
    "devtools/test.sh --long lint --frob": "test.sh: there is no part '--frob'; parts are: lint ",
}


@pytest.mark.parametrize("command", BAD_COMMANDS)
def test_bad_command(lab, command):
    """Each wrong use has its message, and a status other than 0."""
    if " MB of huge" in BAD_COMMANDS[command] and not lab.hugepages:
        pytest.skip(NO_HUGEPAGES)
    names = {"SOCKET": str(lab.socket()), "BUILD": str(lab.builddir)}
    text, status = run_anywhere(lab, [names.get(word, word) for word in command.split()])
    assert status not in (0, 126, 127)
    assert BAD_COMMANDS[command].replace("SOCKET", names["SOCKET"] if " SOCKET" in command
                                         else "SOCKET") in text


def test_silence_is_broken(lab):
    """The test command tells where a part is that prints nothing for long, and its status."""
    script = (ROOT / "devtools/test.sh").read_text()
    functions = re.findall(r"^(?:watch_log|shown)\(\) .*?^}$", script, re.M | re.S)
    assert len(functions) == 2
    hasty = "\n".join(functions).replace("-t 15", "-t 1")
    done = subprocess.run(
        ["bash", "-c", f"{hasty}\nshown work {lab.dir}/log sh -c 'echo step 7; sleep 4; exit 3'"],
        check=False, capture_output=True, text=True, timeout=USERTOOLS_TIMEOUT)
    assert done.returncode == 3
    assert re.match(r"step 7\n(work: \d+ s: step 7\n)+$", done.stdout)


# Root who may do what the modes of files say: a checkout below /root is open to nobody else.
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up permissions")
@pytest.mark.parametrize("tool", CAPTURE_TOOLS)
def test_no_permission(lab, tool):
    """Nor is a capture read that its owner keeps to himself."""
    source = write_frames(lab.dir / "secret.pcap", [make_frame(60)])
    source.chmod(0)
    if subprocess.run([*WITHOUT_OVERRIDE, "test", "-x", ROOT / "config/testpmd.sh"],
                      check=False).returncode != 0:
        pytest.skip("needs a checkout that belongs to root or that everybody may read")
    argv, prefix = CAPTURE_TOOLS[tool]
    argv = [lab.socket() if arg == "SOCKET" else arg for arg in argv]
    if tool == "compare" and not lab.hugepages:
        pytest.skip(NO_HUGEPAGES)
    argv += [source] + (["--build", lab.builddir] if tool == "compare" else [])
    text, status = run_anywhere(lab, argv, WITHOUT_OVERRIDE)
    assert status in (1, 2)
    assert prefix.format(source) + "Permission denied" in text


@pytest.mark.parametrize("shell", ["bash", "dash", "bash --posix", "busybox sh"])
def test_env(lab, shell):
    """config/env.sh works in POSIX shells; outside of the tree one may not find it, and says so."""
    shell = shell.split()
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]}")
    show = 'echo "$PPFRAG_ROOT|$PPFRAG_NO_HUGE|$(ppfrag_eal_mem 64)"'
    done = subprocess.run([*shell, "-uc", f". config/env.sh; {show}"], cwd=ROOT, check=True,
                          capture_output=True, text=True)
    assert not done.stderr
    where, no_huge, memory = done.stdout.strip().split("|")
    assert (where, no_huge in "01") == (str(ROOT), True)
    assert memory == ("--no-huge -m 64" if no_huge == "1"
                      else "--in-memory --single-file-segments -m 64")
    done = subprocess.run([*shell, "-uc", f". {ROOT}/config/env.sh && {show}"], cwd=lab.dir,
                          check=False, capture_output=True, text=True)
    if shell[0] == "bash":
        assert done.stdout.startswith(f"{ROOT}|")
    else:
        assert done.returncode != 0 and not done.stdout
        assert done.stderr.startswith("config/env.sh: this shell does not tell where the file is: "
                                      "cd to the checkout")


@pytest.mark.parametrize("preset,devices", [("rx", "net_ppfrag0"), ("rx-16k", "net_ppfrag0"),
                                            ("rx-jumbo", "net_ppfrag0"),
                                            ("stock", "net_virtio_user0")])
def test_presets(lab, tcp_frames, preset, devices):
    """The presets receive, and answer telemetry where they say."""
    sock = lab.socket()
    sent = write_frames(lab.dir / "in.pcap", tcp_frames)
    env = ["env", f"PPFRAG_BUILD={lab.builddir}",
           *([] if lab.hugepages else ["PPFRAG_NO_HUGE=1"])]
    programs = []
    for words in (["replay", sock, sent], [preset, sock]):
        program = lab.add(Program(words[0], [*env, ROOT / "config/testpmd.sh", *words], "none"))
        program.prefix = program.wait_output(r"telemetry: dpdk-telemetry.py -f (\S+)\n")[1]
        program.wait_output("Port statistics")
        programs.append(program)
    receiver = programs[1]
    device, = receiver.telemetry("/ethdev/list")
    wait_until(lambda: receiver.telemetry(f"/ethdev/stats,{device}")["ipackets"] > 0, "a packet")
    assert receiver.telemetry(f"/ethdev/info,{device}")["name"] == devices
    if preset == "stock":
        assert not receiver.telemetry("/ppool/list")  # an empty one where it is installed
    else:
        name, = receiver.telemetry("/ppool/list")
        assert receiver.telemetry(f"/ppool/info,{name}")["pages"] > 0
    for program in reversed(programs):
        program.interrupt()
        assert program.wait_end() == 0
    again = subprocess.run([ROOT / "config/testpmd.sh", "stock", "/nosuch"], check=False,
                           capture_output=True)
    assert again.returncode == 1


@pytest.mark.hugepages
@pytest.mark.parametrize("program", ["rx", "testpmd"])
def test_rx_compare(lab, program):
    """All receivers are measured; ratios are those of the cycles."""
    output = lab.dir / "compare.json"
    text, status = run_tool(lab, "ppfrag-rx-compare.py", "--build", lab.builddir, "--rounds", 1,
                            "--load", "imix", "--program", program, "--json", output)
    assert status == 0
    assert text.count(" cycles a packet\n") == 16
    assert "round 1 of 1, ppfrag slots, density: " in text
    result = json.loads(output.read_text())
    assert (result["load"], result["program"]) == ("imix", program)
    in_order, vectorized = (row["cycles"] for row in result["table"][:2])
    assert len(result["table"]) == 16
    for row in result["table"]:
        assert len(row["cycles"]) == 1 and min(row["cycles"]) > 0
        for key, reference in (("in_order", in_order), ("vectorized", vectorized)):
            ratio = row["ratio"][key]
            assert ratio["rounds"] == [a / b for a, b in zip(row["cycles"], reference)]
            assert ratio["low"] <= ratio["median"] <= ratio["high"]
        assert (row["average_burst"] is None) == (program == "testpmd")


@pytest.mark.hugepages
@pytest.mark.parametrize("options", ["--program testpmd --forward-mode txonly",
                                     "--program testpmd --forward-mode io --load imix",
                                     "--program testpmd --forward-mode macswap",
                                     "--program rtt"])
def test_rx_compare_both_ways(lab, options):
    """Those that send, forward or wait for what comes back are measured, too."""
    text, status = run_tool(lab, "ppfrag-rx-compare.py", "--build", lab.builddir, "--rounds", 1,
                            "--only", "vector,auto", *options.split())
    assert status == 0
    rows = [re.split(r"\s{2,}", line) for line in text.splitlines() if "(" in line]
    assert [row[0] for row in rows] == ["virtio_user vectorized", "ppfrag slots, auto"]
    assert all(float(row[1]) > 0 for row in rows)


@pytest.mark.hugepages
@pytest.mark.parametrize("mode", ["txonly", "io"])
def test_rx_compare_rings(lab, mode):
    """Packed rings and order are compared with those of the stock driver, both ways."""
    output = lab.dir / "compare.json"
    _, status = run_tool(lab, "ppfrag-rx-compare.py", "--build", lab.builddir, "--rounds", 1,
                         "--only", "virtio_user packed,virtio_user in_order,slots, in_order,"
                         "packed slots,packed in_order", "--program",
                         "testpmd", "--forward-mode", mode, "--json", output)
    assert status == 0
    rows = {row["receiver"]: row["ratio"] for row in json.loads(output.read_text())["table"]}
    for name, key in (("ppfrag packed slots", "packed"), ("ppfrag slots, in_order", "in_order"),
                      ("ppfrag packed in_order slots", "packed in_order")):
        assert rows[name][key]["median"] > 0


@pytest.mark.hugepages
def test_rx_compare_only(lab):
    """Some of the receivers; without a reference there is no ratio to it."""
    text, status = run_tool(lab, "ppfrag-rx-compare.py", "--build", lab.builddir, "--rounds", 1,
                            "--only", "vector,speed")
    assert status == 0
    rows = [re.split(r"\s{2,}", line) for line in text.splitlines() if "(" in line]
    assert [row[0] for row in rows] == ["virtio_user vectorized", "ppfrag slots, speed"]
    assert [row[4] for row in rows] == ["-", "-"]
    text, status = run_tool(lab, "ppfrag-rx-compare.py", "--build", lab.builddir, "--only", "none")
    assert status == 2 and "--only none: no receiver's name contains that; names: " in text


@pytest.mark.hugepages
def test_rx_compare_failure(lab):
    """Where a receiver fails, the end of its own log is shown."""
    text, status = run_tool(lab, "ppfrag-rx-compare.py", "--build", lab.builddir, "--rounds", 1,
                            "--rx", " --frobnicate")
    assert status == 1
    assert "    rx: unknown or ambiguous option '--frobnicate'; see 'rx --help'" in text
    log = re.search(r"rx has no result; its log is (.*/receiver.log)", text)[1]
    shutil.rmtree(os.path.dirname(log))
