# SPDX-License-Identifier: MIT
"""measured.py FILE COMMAND...: run a command and write its peak memory in bytes to FILE.

What a process reports as its peak includes that of whoever started it, up to the exec. So
the one that starts it must be small, and pytest is not."""
import os
import sys

pid = os.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], 'w', encoding='ascii') as file:
    file.write(str(usage.ru_maxrss * 1024))
sys.exit(os.waitstatus_to_exitcode(status))
