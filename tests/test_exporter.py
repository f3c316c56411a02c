# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""ppool-exporter, alert rules and dashboard, with the Prometheus that Debian packages."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from conftest import ROOT
from harness import TIMEOUT, runtime_dir, wait_until
from test_example import receive_full

TOOLS = ROOT / "usertools"
EXPORTER = TOOLS / "ppool-exporter"
RULES = TOOLS / "monitoring/ppool-alerts.yml"
DASHBOARD = TOOLS / "monitoring/ppool-dashboard.json"
SCRAPE = "1s"


def run(*argv, **how):
    """Run a program; what it printed and its exit status."""
    done = subprocess.run(list(map(str, argv)), stdin=subprocess.DEVNULL, check=False,
                          capture_output=True, text=True, timeout=TIMEOUT, **how)
    return done.stdout + done.stderr, done.returncode


@pytest.fixture(scope="module", name="prometheus")
def prometheus_dir(request):
    """Where prometheus and promtool are: installed, or unpacked, which starts no service."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return Path(shutil.which("prometheus")).parent
    place = request.config.getoption("--builddir").resolve() / "prometheus"
    tools = place / "usr/bin"
    if not (tools / "promtool").exists():
        place.mkdir(exist_ok=True)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            run("apt-get", "-q", "download", "prometheus", cwd=place)
        for package in place.glob("*.deb"):
            run("dpkg-deb", "-x", package, place)
            package.unlink()
    if not (tools / "promtool").exists():
        pytest.skip("needs Debian's package prometheus: neither installed nor to be downloaded")
    return tools


@pytest.fixture(scope="module", autouse=True)
def client():
    """What the exporter serves with."""
    pytest.importorskip("prometheus_client",
                        reason="needs python3-prometheus-client: run config/setup.sh --tests")


def free_port():
    """A TCP port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Service:
    """A program that serves HTTP on a port of its own."""
    output = ""

    def __init__(self, lab, argv, port):
        self.name, self.argv, self.port = os.path.basename(argv[0]), list(map(str, argv)), port
        self.log = open(lab.dir / f"{self.name}.log", "w+")
        self.process = subprocess.Popen(self.argv, stdout=self.log, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL)
        lab.add(self)

    def get(self, path):
        """The text at a path; None where nobody answers yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}",
                                        timeout=TIMEOUT) as answer:
                return answer.read().decode()
        except OSError:
            assert self.process.poll() is None, self.read_log()
            return None

    def query(self, expression):
        """What Prometheus answers to a query: samples."""
        text = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return json.loads(text)["data"]["result"] if text else []

    def alerts(self):
        """Names of the alerts that are pending or fire."""
        text = self.get("/api/v1/alerts")
        found = json.loads(text)["data"]["alerts"] if text else []
        return {alert["labels"]["alertname"] for alert in found}

    def read_log(self):
        """What it printed."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def cleanup(self):
        """End it."""
        self.process.kill()
        self.process.wait()
        self.output = self.read_log()
        self.log.close()


@pytest.fixture
def hold(lab, tcp_frames):
    """The example, see receive_full()."""
    return receive_full(lab, tcp_frames)


def serve(lab, program):
    """An exporter of a program."""
    port = free_port()
    exporter = Service(lab, [EXPORTER, "-f", program.prefix, "-l", f"127.0.0.1:{port}"], port)
    wait_until(lambda: exporter.get("/metrics"), "the exporter to answer")
    return exporter


def scrape(lab, prometheus, exporter):
    """A Prometheus that asks an exporter and has the rules."""
    port = free_port()
    config = lab.dir / "prometheus.json"
    config.write_text(json.dumps({
        "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "ppool", "static_configs": [
            {"targets": [f"127.0.0.1:{exporter.port}"]}]}]}))
    return Service(lab, [prometheus / "prometheus", f"--config.file={config}",
                         f"--storage.tsdb.path={lab.dir / 'tsdb'}",
                         f"--web.listen-address=127.0.0.1:{port}"], port)


def dashboard_queries():
    """What the dashboard asks, as Grafana would for all instances and pools."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5s")
            text = re.sub(r"\$(instance|pool)", ".*", text)
            assert "$" not in text
            yield panel["title"], text


def parse(text):
    """Metrics in Prometheus's text format: {(name, labels): value} and {name: type}."""
    values = {(name, labels): float(value) for name, labels, value in re.findall(
        r"^(\w+)(\{.*\})? (\S+)$", text, re.M)}
    assert len(values) == len(re.findall(r"^\w", text, re.M)), "a metric is there twice"
    return values, dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))


def test_prometheus(lab, hold, prometheus):
    """Prometheus scrapes it; each query of the dashboard has data; what is wrong is an alert."""
    exporter = serve(lab, hold)
    server = scrape(lab, prometheus, exporter)
    wait_until(lambda: server.query("rate(dpdk_ppool_rx_good_packets_total[5s]) > 0"),
               "rates in Prometheus")
    empty = [query for query in dashboard_queries() if not server.query(query[1])]
    assert not empty
    pages, = server.query("dpdk_ppool_pages")
    assert int(pages["value"][1]) == hold.telemetry("/ppool/stats,hold")["pages"]
    wait_until(lambda: "PpoolAccountRefuses" in server.alerts(), "the alert of refusals")
    assert server.alerts() == {"PpoolAccountRefuses"}
    for name in ("pinned", "available", "live"):
        assert server.query(f"dpdk_ppool:{name}_bytes")
    hold.kill()
    wait_until(lambda: "PpoolProcessGone" in server.alerts(), "the alert of a process that ended")


def test_metrics(hold, prometheus):
    """Every number of telemetry is a metric of its type, with unit and help."""
    text, status = run(EXPORTER, "-f", hold.prefix, "--once")
    assert status == 0
    checked = subprocess.run([prometheus / "promtool", "check", "metrics"], input=text,
                             check=False, capture_output=True, text=True, timeout=TIMEOUT)
    assert checked.returncode in (0, 3), checked.stderr  # 3: matters of style
    values, types = parse(text)
    assert values["dpdk_ppool_up", ""] == 1
    assert types["dpdk_ppool_account_refusals_total"] == "counter"
    assert types["dpdk_ppool_account_used_bytes"] == "gauge"
    pool = '{pool="hold"}'
    info = hold.telemetry("/ppool/info,hold")
    assert values["dpdk_ppool_pages", pool] == info["pages"]
    assert values["dpdk_ppool_page_bytes", pool] == info["page_bytes"]
    assert values["dpdk_ppool_account_limit_bytes", '{account="tcp"}'] == 256 << 10
    of_pool = [name for name, labels in values if labels == pool]
    assert len(of_pool) >= len(info) - 2  # without name, and violations while others work
    of_queue = {name for name, labels in values if 'queue="0"' in labels}
    counters = {name[6:] for name in hold.telemetry("/ethdev/xstats,0")
                if name.startswith("rx_q0_")}
    for counter in counters - {"packets", "bytes", "errors"}:
        assert any(name.startswith(f"dpdk_ppool_rx_{counter}") for name in of_queue), counter


def test_endpoint(hold):
    """DPDK's own exporter gets the same names, help and types from the endpoint."""
    spec = importlib.util.spec_from_file_location("ppool", TOOLS / "telemetry-endpoints/ppool.py")
    endpoint = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(endpoint)
    sys.path[:] = path

    class Socket:
        """What that exporter hands to an endpoint."""
        @staticmethod
        def cmd(uri, arg=None):
            """Ask the process."""
            return hold.telemetry(uri if arg is None else f"{uri},{arg}")

    described = endpoint.info()
    found = {f"dpdk_ppool_{name}" for name, _, _ in endpoint.metrics(Socket)}
    text, _ = run(EXPORTER, "-f", hold.prefix, "--once")
    values, types = parse(text)
    ours = {name for name, _ in values} - {"dpdk_ppool_up", "dpdk_ppool_violations"}
    assert found - {"dpdk_ppool_violations"} == ours
    for name, (meaning, kind) in described.items():
        assert meaning
        assert types.get(f"dpdk_ppool_{name}", kind) == kind


def fields(answer, path=()):
    """Numbers of an answer by the names that Telegraf's fields have."""
    if isinstance(answer, (dict, list)):
        entries = answer.items() if isinstance(answer, dict) else enumerate(answer)
        return {name: value for key, below in entries
                for name, value in fields(below, (*path, str(key))).items()}
    return {"_".join(path): answer} if isinstance(answer, (int, float)) else {}


def test_telegraf(hold):
    """The guide's configuration is valid, its commands are as the plugin wants them, and answered.

    Telegraf itself is not in Debian. Its documentation says: a command starts with / and is shorter
    than 56 characters.
    """
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11 or later")
    guide = (ROOT / "doc/guides/tools/ppool_exporter.rst").read_text()
    block = re.search(r"code-block:: toml\n\n((?: {3}.*\n|\n)+)", guide)[1]
    config, = tomllib.loads(textwrap.dedent(block))["inputs"]["dpdk"]
    assert config.keys() == {"socket_path", "socket_access_timeout", "device_types",
                             "additional_commands", "unreachable_socket_behavior"}
    pool, = hold.telemetry("/ppool/list")
    found = set()
    for command in config["additional_commands"]:
        assert re.fullmatch(r"/[^,]{1,54}(,.+)?", command)
        answer = fields(hold.telemetry(command.replace("mb_pool_0", pool)))
        assert answer, f"{command} has no numbers"
        found |= answer.keys()
    assert {"0_uncharged", "pages"} <= found


def series(name, values, **labels):
    """A series of promtool's rule tests."""
    text = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{text}}}", "values": values}


# What makes each alert fire after ten minutes: series of the pool p, without their prefix.
POOL = {"pages": 100, "page_bytes": 1000, "free_pages": 50, "idle_pages": 0, "whole_pages": 0,
        "charged_bytes": 40000, "slot_charged_bytes": 0, "class_live_bytes": 0}
CASES = {
    "PpoolFewPages": ({"free_pages": 20}, [series("dpdk_ppool_queue_ring_bytes", "14000x30",
                                                  pool="p", queue="0", port="x")]),
    "PpoolPinned": ({"charged_bytes": 24000}, []),
    "PpoolStarved": ({}, [series("dpdk_ppool_rx_no_page_descriptors_total", "0+1x30",
                                 port="x", queue="0")]),
    "PpoolEmpty": ({}, [series("dpdk_ppool_page_empty_total", "0+1x30", pool="p")]),
    "PpoolAccountRefuses": ({}, [series("dpdk_ppool_account_refusals_total", "5+1x30",
                                        account="a")]),
    "PpoolDeadHolder": ({}, [series("dpdk_ppool_holder_dead", "1x30", pool="p", pid="7",
                                    process="2", lcore="1")]),
    "PpoolBooksDoNotBalance": ({}, [series("dpdk_ppool_violations", "1x30", pool="p")]),
    "PpoolProcessGone": ({}, [series("dpdk_ppool_up", "0x30")]),
    # Nothing is wrong.
    None: ({}, [series("dpdk_ppool_queue_ring_bytes", "30000x30", pool="p", queue="0", port="x"),
                series("dpdk_ppool_holder_dead", "0x30", pool="p", pid="7"),
                series("dpdk_ppool_account_refusals_total", "5x30", account="a"),
                series("dpdk_ppool_violations", "0x30", pool="p"),
                series("dpdk_ppool_up", "1x30")]),
}


def values_of(series_values):
    """promtool's shorthand for a constant series needs its step."""
    return re.sub(r"^(\d+)x", r"\1+0x", series_values)


def rule_test(wanted):
    """One case of promtool test rules: this alert fires, and no other one does."""
    changed, more = CASES[wanted]
    given = [series(f"dpdk_ppool_{name}", f"{value}x30", pool="p")
             for name, value in {**POOL, **changed}.items()] + more
    given = [dict(one, values=values_of(one["values"])) for one in given]
    firing = [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "10m",
               "exp_samples": [] if wanted is None else [
                   {"labels": f'{{alertname="{wanted}"}}', "value": 1}]}]
    return {"interval": "1m", "input_series": given, "promql_expr_test": firing}


def test_alert_rules(lab, prometheus):
    """Rules are well-formed; each alert fires for its cause, and none without one."""
    promtool = prometheus / "promtool"
    text, status = run(promtool, "check", "rules", RULES)
    assert status == 0, text
    names = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert names == set(CASES) - {None}
    cases = lab.dir / "rules-test.json"
    cases.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m",
                                 "tests": [rule_test(wanted) for wanted in CASES]}))
    text, status = run(promtool, "test", "rules", cases)
    assert status == 0, text


def test_no_process(lab):
    """What is wrong is said with the option and the remedy."""
    text, status = run(EXPORTER, "-f", "ppfrag-no-such", "--once")
    assert status == 1
    assert text.startswith("ppool-exporter: --file-prefix ppfrag-no-such: no process has this")
    assert not runtime_dir("ppfrag-no-such").exists()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text, status = run(EXPORTER, "-f", "ppfrag-no-such", "-l", f"127.0.0.1:{port}",
                           cwd=lab.dir)
    assert status == 1
    assert f"--listen 127.0.0.1:{port}: Address already in use: choose another one" in text
    text, status = run(EXPORTER, "-l", "9877")
    assert status == 2
    assert "9877: give ADDRESS:PORT, as 127.0.0.1:9877" in text
