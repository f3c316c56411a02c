# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Sphinx configuration of the guides. The build passes the release."""

from importlib.util import find_spec

project = "ppfrag"
copyright = "2026 The ppfrag authors"
if find_spec("sphinx_rtd_theme"):  # that of DPDK's guides
    html_theme = "sphinx_rtd_theme"
    html_static_path = ["static"]
    html_css_files = ["tables.css"]
else:
    html_theme = "alabaster"
    html_theme_options = {"description": "Page frags for DPDK", "page_width": "70em"}
html_show_sourcelink = False
html_copy_source = False
highlight_language = "none"

# Chapters of the guides that are manual pages, too.
man_make_section_directory = False
man_pages = [(f"tools/{page}", page.replace("_", "-"), text, ["The ppfrag authors"], 1)
             for page, text in (
    ("dpdk-ppool", "tell what packets take that are held in a page pool"),
    ("dpdk-ppool-bench", "measure a page pool against those of DPDK"),
    ("dpdk-ppool-hold", "hold the packets of flows under budgets"),
    ("ppfrag-capture", "tell what a capture holds for net_pcap"),
    ("ppfrag-plot", "draw what dpdk-ppool and dpdk-ppool-bench measured"),
    ("ppfrag-size", "tell how many pages and hugepages a pool needs"),
    ("ppfrag_top", "show page pools of a running DPDK process"),
    ("ppool_exporter", "serve metrics of page pools to Prometheus"),
)]
