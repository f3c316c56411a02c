#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# After an installation on this machine: let the dynamic linker know the new library.

if [ -z "$DESTDIR" ] && [ "$(id -u)" = 0 ]; then
	PATH="$PATH:/sbin:/usr/sbin" ldconfig
fi
