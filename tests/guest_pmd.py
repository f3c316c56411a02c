# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A testpmd in a virtual machine, driven from the host.

The directory $VM_OUT of the guest is one of the host: commands go there as files, and what testpmd
prints comes back.
"""

import os
import re
import subprocess
import uuid

from harness import wait_until

# Gives testpmd what stands in the files 0, 1, ..., until one ends it.
GUEST = """
cd "$VM_OUT" && : > {token} && mkfifo /tmp/commands && set -- $VM_NICS || exit 1
stdbuf -oL {command} < /tmp/commands > log 2>&1 &
exec 3> /tmp/commands
n=0
while kill -0 $! 2> /dev/null; do
    if [ -e $n ]; then cat $n >&3; n=$((n + 1)); else sleep 0.1; fi
done
wait $!
status=$?
cat log
exit $status
"""
PROMPT = "testpmd> "


class GuestPmd:
    """A testpmd that runs in a guest."""

    def __init__(self, script, options, command, *, wrapper=(), seconds=300):
        """Start a guest; the command has its NICs as $1, $2, ..."""
        self.seconds = seconds
        self.token = uuid.uuid4().hex
        self.cache = script.resolve().parent.parent / "build-vm"
        self.sent = self.seen = 0
        self.process = subprocess.Popen(
            [*wrapper, script, *options, "--seconds", str(seconds), "--", "sh", "-c",
             GUEST.format(token=self.token, command=command)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.dir = None

    def place(self):
        """The directory, once the guest has come up."""
        if self.process.poll() is not None:
            raise AssertionError(f"the guest has ended: {self.process.stdout.read()}")
        found = list(self.cache.glob(f"ctl.*/out/{self.token}"))
        return found[0].parent if found else None

    def log(self):
        """What testpmd has printed so far."""
        path = self.dir / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, pattern):
        """Wait for output behind what was waited for before; the output up to there."""
        def find():
            if self.place() is None:
                return None
            return re.search(pattern, self.log()[self.seen:])
        match = wait_until(find, f"'{pattern}' of testpmd in the guest", self.seconds)
        start, self.seen = self.seen, self.seen + match.end()
        return self.log()[start:self.seen]

    def begin(self):
        """Wait until testpmd takes commands."""
        self.dir = wait_until(self.place, "a guest", self.seconds)
        self.wait(PROMPT)

    def put(self, text):
        """Give testpmd a line."""
        new = self.dir / "new"
        new.write_text(text + "\n", encoding="ascii")
        os.rename(new, self.dir / str(self.sent))
        self.sent += 1

    def command(self, text):
        """Give testpmd a line; its answer."""
        self.put(text)
        return self.wait(PROMPT)

    def xstats(self):
        """All counters of port 0 by name."""
        output = self.command("show port xstats 0")
        return {name: int(value) for name, value in re.findall(r"^(\w+): (\d+)$", output, re.M)}

    def quit(self):
        """End testpmd and the guest; all that testpmd printed. They must end well."""
        self.put("quit")
        self.wait(r"Bye\.\.\.")
        log = self.log()
        output, _ = self.process.communicate(timeout=self.seconds)
        assert self.process.returncode == 0, output + log
        return log

    def close(self):
        """End the guest if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
