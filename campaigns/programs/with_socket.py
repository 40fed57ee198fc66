"""
Becomes another program that finds descriptor 3 as systemd would have left it there.

`python -m campaigns.programs.with_socket COMMAND...`: the number of the process that a socket
is meant for is only known inside of it, hence a program of its own.
"""

import os
import sys

if __name__ == "__main__":
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = "1"
    os.execv(sys.argv[1], sys.argv[1:])
