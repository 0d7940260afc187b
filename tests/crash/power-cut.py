"""power-cut.py - the power is cut under pipit, on ext4 and xfs: nothing acknowledged is lost, no part appears

usage: power-cut.py [ext4|xfs [CYCLES]]

Each cycle starts the programs on a file system of their own, hands messages in,
shuts the file system off at a random instant without a flush of its log, kills
everything, mounts it again, looks at the bare disk, and starts the programs to
deliver what they find. SEED in the environment repeats a plan (not its timing).
A CRASH=long run makes 10,000 cycles, the short one 200.
"""
import os, random, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from machine import *
import loopdisk

LONG = os.environ.get('CRASH') == 'long'
CYCLES = 5000 if LONG else 100 # on each file system
RENEW = 500                    # cycles on one image
FULL = 10000 if LONG else 1000 # messages in the queue when a restart is timed
CONTROL = 20                   # messages in qmail's order
SETTLE = 3.5                   # seconds after which nothing may be repeated
REPEAT_SECONDS = 3             # a second or two, and one for a machine that has other things to do
SEED = int(os.environ.get('SEED', '0')) or int(time.time())

# What a cycle does, and how many of a hundred do it. Half of them are one message on an idle system.
PLAN = [(10, dict()), (10, dict(pool=100)), (8, dict(at_reply=0.005)), (8, dict(pool=100, at_reply=0.005)),
        (3, dict(send='stubs', at_reply=0.03)), (4, dict(send='stubs', pool=100, at_reply=0.03)),
        (3, dict(send='maildir', at_reply=0.05)), (4, dict(send='maildir', pool=100, at_reply=0.05)),
        (8, dict(clients=50)), (10, dict(clients=50, pool=100)),
        (8, dict(clients=50, send='stubs')), (10, dict(clients=50, pool=100, send='stubs')),
        (4, dict(clients=50, send='maildir')), (7, dict(clients=50, pool=100, send='maildir')),
        (1, dict(clients=5, seconds=0.1, pool=100, send='stubs', late=3, settle=SETTLE)),
        (1, dict(clients=5, seconds=0.1, pool=100, send='stubs', late=3, settle=SETTLE, twice=True)),
        (1, dict(clients=5, seconds=0.1, pool=100, send='maildir', settle=SETTLE))]

def plan(rng):
    """A hundred cycles in random order."""
    cycles = [dict(kw) for n, kw in PLAN for _ in range(n)]
    assert len(cycles) == 100
    rng.shuffle(cycles)
    for c in cycles:
        if c.get('clients') == 50: # half of them all fifty
            if rng.random() < 0.5: c['clients'] = rng.randint(1, 49)
            c['seconds'] = rng.uniform(0, 0.15)
    return cycles

# --- a harness that is blind would pass: what is known to lose is seen to lose

def qmail_order(m):
    """How many of CONTROL messages are lost when they are committed as by qmail-queue."""
    top, lost = os.path.join(m.disk.path, 'qmail'), 0
    for d in ('', 'mess', 'intd', 'todo'): os.makedirs(os.path.join(top, d), exist_ok=True)
    subprocess.run(['sync', '-f', top], check=True)
    for i in range(CONTROL):
        files = [os.path.join(top, d, 'pid' if d == 'mess' else str(i)) for d in ('mess', 'intd')]
        for f in files:
            with open(f, 'w') as out:
                out.write('message %d\n' % i)
                if f == files[0]: os.link(f, os.path.join(top, 'mess', str(i))), os.unlink(f)
                out.flush()
                os.fsync(out.fileno())
        os.link(files[1], os.path.join(top, 'todo', str(i)))
        m.disk.cut()
        m.disk.remount()
        lost += not os.path.exists(os.path.join(top, 'todo', str(i)))
    return lost

PATIENCE = 5 # times the cycles: how long a control may take to show a loss

NO_SYNC = '''#include <sys/types.h>
int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int syncfs(int fd) { (void)fd; return 0; }
int sync_file_range(int fd, off_t at, off_t n, unsigned int flags) { (void)fd; (void)at; (void)n; (void)flags; return 0; }
'''

def no_sync():
    """An environment in which nothing is synced."""
    lib = os.path.join(SCRATCH, 'no-sync.so')
    with open(lib + '.c', 'w') as f: f.write(NO_SYNC)
    subprocess.run(['cc', '-shared', '-fPIC', '-o', lib, lib + '.c'], check=True)
    return {'LD_PRELOAD': lib, 'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}

def qmaillocal(m, env):
    """Set QMAILLOCAL so that pipit-local gets this environment, of which lspawn passes nothing on."""
    script = os.path.join(SCRATCH, 'local')
    with open(script, 'w') as f:
        f.write('#!/bin/sh\nexec env %s %s/pipit-local "$@"\n' % (' '.join("'%s=%s'" % v for v in env.items()), m.bin))
    os.chmod(script, 0o755)
    return {'QMAILLOCAL': script}

def controls(m):
    lost = qmail_order(m)
    equal(lost, CONTROL, "%s: qmail's order of commit is seen to lose %d messages of %d" % (m.disk.kind, lost, CONTROL))
    env = no_sync()
    def losing(why, what, cycles=3, **kw):
        t, n = Tally(), 0
        for i in range(cycles * PATIENCE): # a slow machine may write everything in time by itself
            m.cycle(t, **kw)
            n = what(t)
            if n and i + 1 >= cycles: break
        check(n, '%s: %s: %d seen of %d' % (m.disk.kind, why, n, t.acked))
    losing('without syncs fresh files are lost', lambda t: len(t.lost), env=env)
    losing('without syncs files of the pool are lost', lambda t: len(t.lost), pool=100, env=env)
    losing('without syncs busy clients lose', lambda t: len(t.lost), cycles=1, pool=50, clients=10, seconds=0.1, env=env)
    losing('without syncs deliveries to a Maildir are lost, or their bytes', lambda t: len(t.lost + t.torn), cycles=1,
           send='maildir', clients=1, seconds=0.1, pool=100, send_env=qmaillocal(m, env), settle=0.5)
    losing('without a synced journal old deliveries are repeated', lambda t: sum(a > REPEAT_SECONDS for a in t.ages),
           cycles=1, pool=100, send='stubs', clients=1, seconds=0.1, settle=SETTLE, send_env=env)

# --- the cycles

def mean(l):
    return sum(l) / len(l) if l else 0

def report(kind, t, took):
    print('%s: %d cycles in %.0f s, %d of one message; %d messages acknowledged (and %d too late), %d of them stood in the '
          'queue after the cut (%d in fresh files, %d in recycled ones, %d large); %d delivered, %d to the Maildir; '
          '%d parts of messages that nobody was promised' % (kind, t.cycles, took, t.idle, t.acked, t.late, t.standing,
          t.fresh, t.recycled, t.large, t.delivered, t.maildir, t.parts))
    print('%s: repeated: %d in all, at most %d by one cut, %.2f on average; oldest %.2f s before the cut, %.2f on average'
          % (kind, sum(t.repeats), max(t.repeats), mean(t.repeats), max(t.ages, default=0), mean(t.ages)))
    print('%s: from the start to the first delivery: %.3f s at most, %.3f on average' % (kind, max(t.starts), mean(t.starts)))

def judge(kind, t):
    equal(t.lost, [], '%s: %d messages acknowledged, none lost' % (kind, t.acked))
    equal(t.torn, [], '%s: %d deliveries, no part of a message' % (kind, t.delivered))
    equal(t.doubled, [], kind + ': no id is given twice, nothing is delivered twice without a cut')
    equal(t.stuck, [], kind + ': the queue becomes empty each time')
    check(max(t.ages, default=0) <= REPEAT_SECONDS, kind + ': nothing is repeated that was delivered over %d s before' %
          REPEAT_SECONDS)
    n = t.cycles // 10
    check(min(t.fresh, t.recycled) > n and t.large > n / 10 and t.maildir > n and sum(t.repeats),
          kind + ': fresh, recycled and large files, the Maildir and repeats all came up')

def restart(m, t):
    """A full queue."""
    m.cycle(t, clients=20, count=FULL, pool=100)
    print('%s: with %d messages in the queue the first delivery came %.3f s after the start' % (m.disk.kind, FULL, t.starts[-1]))

def sweep(kind, cycles):
    reason = loopdisk.trouble(SCRATCH)
    if reason: return skip('power cuts on %s: %s' % (kind, reason))
    rng, t, began, m = random.Random(SEED), Tally(), time.monotonic(), None
    try:
        m = Machine(kind, os.path.join(SCRATCH, 'disk'))
        controls(m)
        while t.cycles < cycles:
            for c in plan(rng):
                if t.cycles == cycles: break
                m.cycle(t, **c)
                if t.bad() and LONG: print('%s: after %r: %r' % (kind, c, t.bad()), file=sys.stderr, flush=True)
            if LONG: print('%s: %d of %d cycles, %d messages, %s' % (kind, t.cycles, cycles, t.acked, t.bad() or 'nothing lost'),
                           file=sys.stderr, flush=True)
            if t.cycles % RENEW == 0:
                m.remove()
                m = Machine(kind, os.path.join(SCRATCH, 'disk'))
        restart(m, t)
    finally:
        if m: m.remove()
    report(kind, t, time.monotonic() - began)
    judge(kind, t)

def main():
    """Both file systems side by side, each in a process of its own."""
    print('SEED=%d' % SEED, flush=True)
    running = []
    for kind in loopdisk.KINDS:
        scratch = os.path.join(SCRATCH, kind)
        os.mkdir(scratch)
        running.append(subprocess.Popen([sys.executable, os.path.abspath(__file__), kind, str(CYCLES)],
                                        env=dict(os.environ, SCRATCH=scratch, SEED=str(SEED))))
    try: sys.exit(max(p.wait() for p in running))
    finally:
        for p in running:
            if p.poll() is None: p.terminate(), p.wait()

if len(sys.argv) < 2: main()
sweep(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else CYCLES)
done()
