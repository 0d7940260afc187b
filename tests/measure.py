"""measure.py - what a program uses: memory at its peak, and processor time

A program sets a limit to its own address space. measure.c runs it with limits
that have no effect (a seccomp filter, so whatever it starts is without as well,
also with a fixed environment; nothing of the program is replaced), for that
limit must not be all that keeps its memory small.
"""
import os, re, subprocess
from pipit import *

LONG = os.environ.get('CRASH') == 'long'
SANITIZED = b'__asan' in open(os.path.join(BIN, 'pipit-local'), 'rb').read()
HELPER = os.path.join(SCRATCH, 'measure')
ATTEMPTS = 4  # at a ratio of times, for the machine has other work to do
count = 0

class Measure:
    """The words to put before a command; after its end, rss (KiB) and cpu (seconds)."""
    def __init__(self, unlimited=True):
        global count
        count += 1
        if not os.path.exists(HELPER):
            subprocess.run(['gcc', '-O1', '-o', HELPER, os.path.join(os.path.dirname(__file__), 'measure.c')], check=True)
        self.path = os.path.join(SCRATCH, 'used.%d' % count)
        open(self.path, 'w').close()
        own(self.path)
        self.words = [HELPER] + ['-u'] * unlimited + [self.path]

    def __iter__(self): return iter(self.words)

    @property
    def rss(self): return int(open(self.path).read().split()[0])

    @property
    def cpu(self): return int(open(self.path).read().split()[1]) / 1e6

def children(pid, depth=99):
    """The processes below <pid>, the nearest first."""
    try:
        with open('/proc/%d/task/%d/children' % (pid, pid)) as f: below = list(map(int, f.read().split()))
    except FileNotFoundError: return []
    return below + [c for b in below for c in children(b, depth - 1)] if depth > 1 else below

def peak(pid):
    """The most memory that a running process has had, in KiB; 0 when it has just ended."""
    try:
        with open('/proc/%d/status' % pid) as f: found = re.search(r'VmHWM:\s*(\d+)', f.read())
    except FileNotFoundError: return 0
    return int(found[1]) if found else 0

def small(kib, bound, why):
    """One case: the memory was within its bound."""
    if not SANITIZED: check(kib <= bound, '%s: at most %d KiB' % (why, bound) + (', not %d' % kib if kib > bound else ''))

def linear(cost, n, why, times=4):
    """One case: cost(n) is the time for n of something; <times> as much takes less than twice <times> as long."""
    for attempt in range(ATTEMPTS):
        one, many = cost(n), cost(times * n)
        if many < 2 * times * max(one, 0.01): break
    check(many < 2 * times * max(one, 0.01), '%s: %d times as much in less than %d times the time' % (why, times, 2 * times))
    print('  %d: %.3f s, %d: %.3f s' % (n, one, times * n, many), flush=True)
