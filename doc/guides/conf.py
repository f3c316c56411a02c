# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Sphinx configuration of the guides. The build passes the release."""

project = "ppfrag"
copyright = "2026 The ppfrag authors"
html_theme = "alabaster"
html_theme_options = {"description": "Page frags for DPDK", "page_width": "70em"}
html_show_sourcelink = False
html_copy_source = False
highlight_language = "none"
exclude_patterns = ["figures"]  # parts of pages, written by devtools/figures.py
