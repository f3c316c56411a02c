# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The benchmarks write what they measure, and the plot script draws it. No times are judged."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from harness import Program, lcores

PLOT = Path(__file__).parent.parent / "usertools/ppfrag-plot"
OPS = ["ring_mp_mc", "stack"]
FREE = {"bulk", "one", "random", "other"}


def bench(lab, command, *options):
    """Run a benchmark; the program and the path of its result."""
    result, prefix = lab.dir / f"{command}.json", lab.prefix()
    program = lab.add(Program(command, [
        lab.builddir / "app/ppool-bench/dpdk-ppool-bench", *lab.memory(), lcores(0),
        "--no-pci", f"--file-prefix={prefix}", "--", command, "--rounds", 2, *options,
        "--json", result], prefix))
    return program, result


def measured(lab, command, *options):
    """The path of a result, and what it says."""
    program, result = bench(lab, command, *options)
    assert program.wait_end() == 0, program.output
    data = json.loads(result.read_text())
    assert data["ok"] and data["command"] == command and data["rounds"] == 2
    assert data["tsc_hz"] > 0
    return result, data


def plot(*results, options=()):
    """The words of a chart; it must be a document that a browser reads."""
    svg = results[0].with_suffix(".svg")
    subprocess.run([sys.executable, PLOT, *results, svg, *map(str, options)], check=True)
    root = ElementTree.parse(svg).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    width, height = float(root.get("width")), float(root.get("height"))
    for e in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(e.get("x")) <= width and 0 <= float(e.get("y")) <= height
    return [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_mempool_perf(lab):
    """Each cell has a rate for each driver, and the ratio that follows from them."""
    result, data = measured(lab, "mempool-perf", "--ms", 1, "--ops", ",".join(OPS),
                            "--cache", "0,64", "--bulk", "1,48,32", "--keep", "32,64")
    assert data["lcores"] == 2 and 1 <= data["cpus"] <= 2 and data["ms"] == 1
    cells = [tuple(r[k] for k in ("kind", "cache", "lcores", "bulk", "keep"))
             for r in data["results"]]
    local = [("local", cache, lcore_count, bulk, keep) for cache in (0, 64)
             for lcore_count in (1, 2) for keep in (32, 64) for bulk in (1, 32)]
    pipeline = [("pipeline", cache, 2, bulk, 0) for cache in (0, 64) for bulk in (1, 48, 32)]
    assert sorted(cells) == sorted(local + pipeline)
    for r in data["results"]:
        assert list(r["rate"]) == ["ppfrag", *OPS]
        assert all(rate >= 0 for rate in r["rate"].values())
        if r["kind"] == "local":
            assert r["rate"]["ppfrag"] > 0
        assert r["best_other"] in OPS
        assert r["ratio"] is None or r["ratio"] >= 0
    words = plot(result)
    assert "cache 64, 2 lcores, pipeline" in words
    assert f"{data['results'][0]['ratio']:.2f}" in words
    assert len([word for word in words if word.endswith(tuple(OPS))]) == len(data["results"])


@pytest.mark.parametrize("ops,message", [
    ("stack,,ring_mp_mc", "--ops 'stack,,ring_mp_mc' is not a comma-separated list of "),
    ("stack,frobnicate", "--ops 'stack,frobnicate' is not a comma-separated list of "),
])
def test_mempool_perf_bad_ops(lab, ops, message):
    """Names that are none, and drivers that this DPDK does not have: there are others."""
    program, _ = bench(lab, "mempool-perf", "--ops", ops)
    assert program.wait_end() != 0
    line = next(line for line in program.output.splitlines() if message in line)
    assert set(OPS) < set(line.split(" list of ")[1].split(", "))


def test_frag_perf_only(lab):
    """One row alone, without anything to compare it with."""
    _, data = measured(lab, "frag-perf", "--bursts", 10, "--held", "0,96", "--len", 64,
                       "--page", 16384, "--free", "bulk,one", "--only", "carve")
    assert [(r["name"], r["held"], r["free"]) for r in data["results"]] == [
        ("carve", held, free) for held in (0, 96) for free in ("bulk", "one")]
    assert all(r["cycles"] > 0 and "to_ring_cache" not in r for r in data["results"])


def test_frag_perf_bad_only(lab):
    """A row that there is not."""
    program, _ = bench(lab, "frag-perf", "--only", "carver")
    assert program.wait_end() != 0
    assert "frag-perf: --only 'carver' is no row of the table" in program.output


def test_frag_perf_bad_free(lab):
    """A way to free that there is not."""
    program, _ = bench(lab, "frag-perf", "--free", "bulk,never")
    assert program.wait_end() != 0
    assert "--free 'bulk,never' is not a comma-separated list of bulk, one, random, " in (
        program.output)


def test_frag_perf(lab):
    """Each subject has its cycles for each number of held packets and each way to free."""
    result, data = measured(lab, "frag-perf", "--bursts", 10, "--held", "0,96", "--len", "64,570",
                            "--page", "2176,16384", "--lanes", 4, "--cache", 32)
    assert data["burst"] == 32 and data["cache"] == 32 and data["lanes"] == 4
    assert {r["held"] for r in data["results"]} == {0, 96}
    for name in ("ring, cache", "stack, cache", "ring", "stack", "page, cache", "page",
                 "mono-frag"):
        assert {r["free"] for r in data["results"] if r["name"] == name} == FREE
    for name in ("carve", "lanes"):
        assert ({(r["page"], r["len"]) for r in data["results"] if r["name"] == name} ==
                {(page, length) for page in (2176, 16384) for length in (64, 570)})
    for r in data["results"]:
        assert r["cycles"] > 0 and r["to_ring_cache"] > 0 and r["to_stack_cache"] > 0
    words = plot(result, options=["--len", 570, "--free", "random"])
    assert any(word.startswith("ppfrag, pages of 16384 B: ") for word in words)
    assert any(word.startswith("mbufs, ring, cache ") for word in words)


@pytest.mark.parametrize("text,options,message", [
    ("{", [], "Expecting"),
    ("{}", [], "none of mempool-perf, frag-perf, longhold has written it"),
    ('{"ok": false}', [], "the run has failed"),
    ('{"ok": true, "results": [{}], "command": "rx"}', [], "no chart for rx"),
    ("", [], "Expecting value"),
    ("\udc80\udcff", [], "can't decode byte 0x80"),
    ("[]", [], "none of mempool-perf, frag-perf, longhold has written it"),
    ('{"ok": true, "results": 5, "command": "mempool-perf"}', [], "no complete result"),
    ('{"ok": true, "results": [{}], "command": "mempool-perf"}', [], "no complete result"),
    ('{"ok": true, "results": [{"free": 1}], "command": "frag-perf"}', [], "no complete result"),
    ('{"ok": true, "results": [{"way": "slots"}], "command": "longhold"}', [],
     "no complete result"),
])
def test_plot_refuses(tmp_path, text, options, message):
    """What is no result of a benchmark gets a message, and no chart is written."""
    source, svg = tmp_path / "bad.json", tmp_path / "bad.svg"
    source.write_text(text, errors="surrogateescape")
    run = subprocess.run([sys.executable, PLOT, source, svg, *options], stderr=subprocess.PIPE,
                         text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith(f"ppfrag-plot: {source}: ") and message in run.stderr
    assert not svg.exists()


@pytest.mark.parametrize("source,svg,message", [
    ("nosuch.json", "a.svg", "nosuch.json: No such file or directory"),
    (".", "a.svg", ".: Is a directory"),
])
def test_plot_bad_files(tmp_path, source, svg, message):
    """Files that cannot be read are named."""
    run = subprocess.run([sys.executable, PLOT, source, svg], stderr=subprocess.PIPE,
                         text=True, check=False, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr == f"ppfrag-plot: {message}\n"


def test_account_perf(lab):
    """What a row takes more than its reference is told in atomic increments of the same run."""
    program, result = bench(lab, "account-perf")
    assert program.wait_end() == 0, program.output
    data = json.loads(result.read_text())
    assert data["ok"] and data["rounds"] == 2 and data["atomic"] > 0
    rows = data["results"]
    assert {row["per"] for row in rows} == {"call", "mbuf"}
    assert any("reference" in row for row in rows)
    for number, row in enumerate(rows):
        assert row["cycles"] > 0
        assert row.get("reference", 0) < len(rows) and row.get("reference") != number
        cycles = row["more"] if "reference" in row else row["cycles"]
        assert row["to_atomic"] == pytest.approx(cycles / data["atomic"])


def test_rtt_others(lab):
    """Packets that come, but are none of those that were sent, are not taken for these."""
    sock, prefix = lab.socket(), lab.prefix()
    peer = lab.peer(sock, options=["--forward-mode=txonly"])
    peer.start()
    program = lab.add(Program("rtt", [
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(), lcores(1), *lab.plugins(),
        "--no-pci", f"--file-prefix={prefix}", f"--vdev=net_ppfrag0,path={sock}", "--", "rtt",
        "--ops", "ppfrag", "--burst", 3, "--wait", 1], prefix))
    assert program.wait_end() != 0
    assert "rtt: 3 of 3 packets are not back within --wait 1 seconds" in program.output


def longhold(lab, *options):
    """Run it; the program and the path of its result."""
    result, prefix = lab.dir / "longhold.json", lab.prefix()
    program = lab.add(Program("longhold", [
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(), lcores(0),
        "--no-pci", f"--file-prefix={prefix}", "--", "longhold", *options, "--json", result],
        prefix))
    return program, result


def test_longhold(lab):
    """Slots pin little more than what is charged; in all ways the same packets are held."""
    program, result = longhold(lab, "--packets", 40000, "--share", "4,1", "--life",
                               "pareto:1.5:500,exp:8000", "--page", "16384,65535",
                               "--memory", 32, "--lanes", 16)
    assert program.wait_end() == 0, program.output
    data = json.loads(result.read_text())
    assert data["ok"] and data["command"] == "longhold" and data["warm_up"] == 24000
    rows = data["results"]
    ways = ("stock", "carve", "lanes", "slots", "keep-stock", "keep-lanes")
    assert [(r["page"], r["way"]) for r in rows] == [
        (page, way) for page in (16384, 65535) for way in ways]
    for r in rows:
        assert r["failed"] == 0 and r["samples"] > 0
        assert r["live"] == rows[0]["live"] > 0 and r["wire_bytes"] == rows[0]["wire_bytes"]
        assert r["stock"] == r["live"] * data["stock_bytes"]
        assert r["wire_bytes"] < r["charged"] <= r["pinned"]
        for ratio in (r["pinned_to_charged"], r["pinned_to_stock"]):
            assert 0 < ratio["mean"] <= ratio["worst"] and ratio["last"] <= ratio["worst"]
        if r["way"] == "stock":
            assert r["pinned"] == r["charged"] == r["stock"]
        if r["way"] in ("slots", "keep-stock"):
            assert r["pinned_to_stock"]["worst"] < 1


# Shares and lifetimes, and for how many packets.
SIZED = [
    ("5", "pareto:1.2:1000", 1000000),
    ("5,2", "pareto:1.5:20000,exp:100000", 1500000),
    ("20", "exp:20000", 500000),
]


@pytest.mark.parametrize("share,life,packets", SIZED)
def test_longhold_sized(lab, share, life, packets):
    """A pool that is sized for a load suffices, and two thirds of it do not, reserve apart."""
    path = lab.dir / "size.json"
    subprocess.run([
        lab.builddir / "app/ppool-tool/dpdk-ppool", "--", "size", "--rxd", "0", "--spare", "0",
        "--share", share, "--life", life, "--json", path], check=True)
    size = json.loads(path.read_text())
    assert size["live"] > 0 and len(size["hold"]) == len(share.split(","))
    fewer = (size["pages"] - size["reserve_pages"]) * 2 // 3
    for pages, enough in ((size["pages"], True), (fewer, False)):
        program, result = longhold(lab, "--packets", packets, "--share", share, "--life", life,
                                   "--page", size["page_size"], "--mbufs", pages,
                                   "--ways", "slots")
        assert program.wait_end() == 0, program.output
        row = json.loads(result.read_text())["results"][0]
        assert row["pages"] <= pages and (row["failed"] == 0) == enough


def test_longhold_series(lab):
    """Samples over time, of which the last is the result; the chart has a line for each way."""
    program, result = longhold(lab, "--packets", 40000, "--share", "2.5,0.5", "--life",
                               "exp:2000,exp:5000", "--memory", 32, "--lanes", 64,
                               "--ways", "lanes,slots")
    assert program.wait_end() == 0, program.output
    data = json.loads(result.read_text())
    for r in data["results"]:
        series = r["series"]
        assert len({len(values) for values in series.values()}) == 1
        assert series["packet"] == sorted(set(series["packet"])) and series["packet"][-1] == 40000
        assert len(series["packet"]) > 300
        for name in ("live", "charged", "pinned", "open", "posted", "reserve", "stock"):
            assert series[name][-1] == r[name]
        assert all(c <= p for c, p in zip(series["charged"], series["pinned"]))
        # 2.5 % for 2,000 packets and 0.5 % for 5,000.
        warm = [live for packet, live in zip(series["packet"], series["live"]) if packet > 15000]
        assert 50 + 25 == pytest.approx(sum(warm) / len(warm), rel=0.2)
    words = plot(result)
    lanes, slots = (r["pinned"] / 1e6 for r in data["results"])
    assert f"ppfrag lanes, 16 KB pages: {lanes:.1f} MB" in words
    assert f"ppfrag slots, 16 KB pages: {slots:.1f} MB" in words
    assert "MB pinned (logarithmic)" in words
    # What stock mbufs take is the same in both files, and drawn once.
    other = result.with_name("other.json")
    other.write_text(json.dumps(dict(data, results=data["results"][1:])))
    words = plot(other, result)
    assert f"ppfrag slots, 16 KB pages (longhold): {slots:.1f} MB" in words
    assert len([word for word in words if word.startswith("stock mbufs: ")]) == 1


def test_plot_several(tmp_path):
    """Only charts of longhold have lines of several files."""
    source, svg = tmp_path / "a.json", tmp_path / "a.svg"
    source.write_text('{"ok": true, "results": [{}], "command": "frag-perf"}')
    run = subprocess.run([sys.executable, PLOT, source, source, svg], stderr=subprocess.PIPE,
                         text=True, check=False)
    assert run.returncode == 1 and not svg.exists()
    assert run.stderr == (f"ppfrag-plot: {source}: several files can be drawn only of longhold\n")


def test_longhold_exhausted(lab):
    """Packets for which there is no memory are counted, and the others come back."""
    program, result = longhold(lab, "--packets", 20000, "--share", 90, "--life", "exp:4000",
                               "--memory", 1, "--ways", "lanes,slots", "--lanes", 4)
    assert program.wait_end() == 0, program.output
    data = json.loads(result.read_text())
    assert data["ok"] and all(r["failed"] > 0 for r in data["results"])


@pytest.mark.parametrize("options,message", [
    (["--life", "pareto:1:1000"], "is not a comma-separated list of 1 pareto:SHAPE:MIN"),
    (["--life", "exp:10,exp:10"], "is not a comma-separated list of 1 pareto:SHAPE:MIN"),
    (["--life", "exp:10,exp:10", "--share", "60,50"], "these add up to 100 at most"),
    (["--share", "5,0", "--life", "exp:10,exp:10"],
     "--share '5,0' is not a comma-separated list of at most 8 percentages above 0"),
    (["--share", "5;1"], "is not a comma-separated list of at most 8 percentages above 0"),
    (["--keep"], "--keep is for --live; without it: --ways keep-stock,keep-lanes"),
    (["--live"], "there is no port 0: give EAL a device"),
    (["--packets", 1000], "3 mean lifetimes are 18000 packets: give more of --packets"),
    (["--len", 65000], "no slots in a pool of"),
    (["--ways", "slots,slot"], "--ways 'slots,slot' is not a comma-separated list of stock, "),
    (["--ways", ""], "--ways '' is not a comma-separated list of stock, carve, lanes, slots, "),
])
def test_longhold_refuses(lab, options, message):
    """What cannot be measured gets a message, and no table."""
    program, _ = longhold(lab, "--ways", "slots", *options)
    assert program.wait_end() != 0
    assert message in program.output
    assert "MB of packets that are held" not in program.output
