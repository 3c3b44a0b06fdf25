"""``python -m spacewright …``: the command, with the libraries that this Python can import."""

import os
import sys

from ._program import environment, program

if __name__ == "__main__":
    path = str(program())
    os.execve(path, [path, *sys.argv[1:]], environment())
