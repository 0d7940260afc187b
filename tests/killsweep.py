"""killsweep.py - kill a program before and after each of its system calls, and look what is left

tests/crash/killat.c kills; its stops are the points of a sweep. Where CRASH=long
is in the environment every stop has its turn, otherwise every k-th from an
offset that the date, or SEED in the environment, chooses.
"""
import collections, glob, os, re, select, shutil, signal, struct, sys, time, traceback
from instance import *
from numbered import *
from pipit import *
from queuefile import Client, DONE, LIVE, crc32c, live_files
from syscalls import runtime
import sender

LONG = os.environ.get('CRASH') == 'long'
SEED = int(os.environ.get('SEED') or time.strftime('%y%m%d'))
KILLAT = os.path.join(SCRATCH, 'killat')
NAMES = '/usr/include/%s-linux-gnu/asm/unistd_64.h' % os.uname().machine
LOCKS = {'sendmutex', 'trigger', 'pool', 'overflow', 'lastid', 'done', 'queued', 'control', 'holds'}
PROGRESS_SECONDS = 10
AGE = 120 # seconds: what nobody has written to for so long is no longer being made

def call_name(number):
    try: return re.search(r'^#define __NR_(\w+) %d$' % number, open(NAMES).read(), re.M).group(1)
    except (OSError, AttributeError): return 'system call %d' % number

End = collections.namedtuple('End', 'index stops number how')
def was_killed(end): return end.how in ('before', 'after')

class Killat:
    """How a program is started to be killed at <stops>: prefix goes before its name."""
    count = 0
    def __init__(self, stops, child=0, nameless=True):
        Killat.count += 1
        self.path = os.path.join(SCRATCH, 'killed.%d' % Killat.count)
        open(self.path, 'w').close()
        own(self.path)
        self.prefix = [KILLAT, *([] if nameless else ['-T']), self.path, str(child), ','.join(map(str, stops))]

    def so_far(self):
        """The Ends of those that are dead, by index."""
        fields = [l.split() for l in open(self.path).read().splitlines()]
        return {int(f[0]): End(int(f[0]), int(f[1]), int(f[2]), f[3]) for f in fields if len(f) == 4}

    def end(self, index=1, seconds=30):
        """How the target <index> ended; None when it lives on."""
        return wait_for(lambda: self.so_far().get(index), seconds, 0.002)

    def done(self):
        os.unlink(self.path)

def begin():
    """Make ready; ends the test where nothing can be traced."""
    shutil.copy(os.path.join(os.environ['BUILD'], 'tests', 'helpers', 'killat'), KILLAT)
    os.chmod(KILLAT, 0o755)
    k = Killat([1])
    as_account([*k.prefix, '/bin/true'], stderr=subprocess.DEVNULL).wait()
    if not k.end(seconds=5):
        skip('processes cannot be traced here')
        done()
    k.done()
    print('SEED=%d' % SEED)

def chosen(total, few):
    """The stops that have their turn, of <total>: all, or about <few>."""
    step = 1 if LONG else max(1, total // few) | 1 # odd: before some calls and after others
    return range(1 + SEED % step, total + 1, step)

told = 0
def tell_progress(text, over):
    """On a terminal, now and then."""
    global told
    if not sys.stderr.isatty() or not over and time.monotonic() - told < PROGRESS_SECONDS: return
    told = time.monotonic()
    sys.stderr.write(text + '\n')

kills = []
def end_of_sweeps():
    print('%d kills' % sum(kills))
    done()

def side_by_side(parts):
    """Run the functions {name: f} in processes of their own, which mostly wait. This one never returns."""
    if sys.argv[1:]:
        parts[sys.argv[1]]()
        end_of_sweeps()
    running = []
    for name in parts:
        scratch = os.path.join(SCRATCH, name)
        os.mkdir(scratch, 0o755)
        out = open(scratch + '.out', 'w+')
        running.append((subprocess.Popen([sys.executable, sys.argv[0], name], env=dict(os.environ, SCRATCH=scratch, PYTHONUNBUFFERED='1'),
                                         stdout=out, stderr=None if LONG else out), out))
    try:
        for p, out in running:
            p.wait()
            out.seek(0)
            print(out.read(), end='', flush=True)
            if p.returncode not in (0, 1): check(False, 'a part ended with status %d' % p.returncode)
    finally:
        for p, out in running: p.terminate()
    sys.exit(max(p.wait() for p, out in running) != 0)

def sweep(what, run, few=24, batch=1):
    """run(stops) kills at these stops, <batch> at a time, and returns (Ends, what was wrong)."""
    bad, killed, calls, began = [], 0, set(), time.monotonic()
    def at(stops):
        try: return run(stops)
        except Exception: return [], [traceback.format_exc()]
        finally: bury()
    # How many reads a pipe takes is another number each time: stops that the shortest run has are always there.
    runs = [at([0]) for _ in range(1 if LONG else 3)]
    bad = sum([wrong for ends, wrong in runs], [])
    count = min(ends[0].stops if ends else 0 for ends, wrong in runs)
    stops = chosen(count, few)
    for i in range(0, len(stops), batch):
        these = list(stops[i:i + batch])
        ends, wrong = at(these)
        dead = {stop: e for stop, e in zip(these, ends) if e and was_killed(e)}
        killed += len(dead)
        calls |= {call_name(e.number) for e in dead.values()}
        if wrong:
            where = ', '.join('at stop %d %s %s' % (s, e.how, call_name(e.number)) for s, e in dead.items())
            bad.append('killed %s:\n    %s' % (where, '\n    '.join(wrong)))
        tell_progress('%s: %d of %d stops, %d wrong' % (what, i + len(these), len(stops), len(bad)),
                      i + batch >= len(stops))
    for b in bad: print('  ' + b, flush=True)
    check(not bad, '%s: killed at %d of %d stops (every %d from %d), nothing is wrong' % (
        what, killed, count, stops.step, stops.start))
    check(killed >= len(stops) * 0.8 - 1 and killed, '%s: nearly every stop was reached' % what)
    print('  %.1f s; calls: %s' % (time.monotonic() - began, ' '.join(sorted(calls))))
    kills.append(killed)
    return calls

# What must hold of a queue when everything has settled.

def age(home):
    """Time passes for what is left in the queue."""
    then = time.time() - AGE
    for path in glob.glob(home + '/queue/*/*') + glob.glob(home + '/queue/*/*/*') + glob.glob(home + '/queue/*/*/.new*'):
        if os.path.isfile(path): os.utime(path, (then, then))

def is_usable(path):
    """Is this a file that the next message may be written to?"""
    with open(path, 'rb') as f: h = f.read(128)
    st = os.stat(path)
    if len(h) < 128 or h[:12] != b'pipit-q\n' + DONE: return False
    msglen, envlen = struct.unpack('>QQ', h[48:64])
    return struct.unpack('>I', h[76:80])[0] == crc32c(h[12:76]) and st.st_nlink == 1 and \
        st.st_size >= 128 + msglen + envlen

def unfinished(home):
    """What is in the queue that must not stay there."""
    q = home + '/queue/'
    left = [p for d in ('mess/*/*', 'mess/*/.*', 'free/.*', 'state/*/.*', 'bad/*', 'bad/.*') for p in glob.glob(q + d)]
    left += [p for p in glob.glob(q + 'state/*/*') if '/state/free/' not in p]
    left += [q + 'lock/' + n for n in os.listdir(q + 'lock') if n not in LOCKS or n == 'overflow']
    for p in glob.glob(q + 'free/*'):
        try:
            if not is_usable(p): left.append(p + ' is not usable')
        except FileNotFoundError: pass # somebody has just taken it
    return [p.replace(q, '') for p in left]

def is_busy(pids):
    """Do these idle processes use the processor?"""
    for seconds in (0.1, 1):
        before = runtime(pids)
        time.sleep(seconds)
        if runtime(pids) - before < seconds * 3e8: return False
    return True

class Queued:
    """A running pipit-queued; ready tells whether it ever took connections."""
    def __init__(self, home, prefix=()):
        self.home = home
        r, w = os.pipe()
        self.log = open(os.path.join(SCRATCH, 'queued.log'), 'ab')
        self.process = as_account([*prefix, BIN + '/pipit-queued', '-d', str(w)], stderr=self.log, pass_fds=[w],
                                  env=dict(os.environ, PIPIT_HOME=home))
        os.close(w)
        self.ready = bool(select.select([r], [], [], 10)[0]) and os.read(r, 1) == b'\n'
        os.close(r)

    def pids(self): return [self.process.pid, *descendants(self.process.pid)]

    def stop(self, sig=signal.SIGTERM):
        """Its exit status, when all its children have gone."""
        pids = self.pids()
        if self.process.poll() is None: self.process.send_signal(sig)
        status = self.process.wait(20)
        gone = wait_for(lambda: not any(sender.alive(p) for p in pids), 20)
        self.log.close()
        return status if gone else 'children stay'

def hand_in(home, numbers, size, rcpt='box@mail.example'):
    """Messages over one connection, those before the last ones small; the numbers that were acknowledged."""
    acked = []
    try:
        c = Client(home=home)
        try:
            for n in numbers:
                reply = c.send(numbered(n, size if n == numbers[-1] else 100), b'Fme@mail.example\0T%s\0' % rcpt.encode())
                if reply[0] == 'D': raise AssertionError('a permanent answer: %r' % (reply,))
                if reply[0] == 'K': acked.append(n)
        finally: c.close()
    except (EOFError, OSError): pass
    return acked

def run_down(home, take, queued=True, seconds=60):
    """Start send (and queued), with <take> for all deliveries, until the queue is empty; then stop. What was wrong."""
    wrong = []
    age(home)
    q = Queued(home) if queued else None
    s = sender.Send(home, local=take, remote=take)
    if not s.ready or q and not q.ready: wrong.append('queued or send does not start: ' + s.log())
    def over():
        if s.process.poll() is None: s.give(signal.SIGALRM)
        return not unfinished(home)
    if not wait_for(over, seconds, 0.05): wrong.append('left in the queue: %s\n%s' % (unfinished(home), s.log()))
    if is_busy([s.pid, *s.children(), *(q.pids() if q else [])]): wrong.append('something is busy')
    status = [s.stop(), q.stop() if q else 0]
    if status != [0, 0]: wrong.append('exit status of send and queued: %s' % status)
    return wrong

def settle(home, acked, extra=0):
    """Start everything and let the queue run empty. What was wrong, also with the messages that were delivered:
    each must be whole, each of <acked> among them, and none more than 1 + <extra> times."""
    got = []
    def take(j):
        got.append(j.read())
        j.all('K', 'ok\n')
    wrong = run_down(home, take)
    numbers = [whole(m) for m in got]
    wrong += ['partial or foreign: %r' % m[:200] for m, n in zip(got, numbers) if n is None]
    wrong += ['message %d was acknowledged and is lost' % n for n in acked if n not in numbers]
    wrong += ['message %d was delivered %d times' % (n, numbers.count(n)) for n in set(numbers)
              if n is not None and numbers.count(n) > 1 + extra]
    return wrong
