"""recycling.py - files of the queue are used again: queued and send together, and whatever comes between

The rules stand in ARCHITECTURE.md. Those that one program keeps alone are
tested in queued.py and send.py.
"""
import fcntl, glob, os, random, re, select, shutil, signal, struct, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from instance import kill, reachable
from numbered import numbered, whole
from queuefile import *
from sender import SPLIT, Mail, Send

SEED = int(os.environ.get('SEED', '0')) or int(time.time())
FAKETIME = '/usr/lib/%s-linux-gnu/faketime/libfaketime.so.1' % os.uname().machine
POOL = 30       # files of the pool, so that each is used again often
THROUGH = 1000  # messages that go through it meanwhile
sites = []

class Site:
    """queued, and send with stubs that take everything; who got what."""
    def __init__(self, copy_of=None, answer=None, env={}, **controls):
        self.home = os.path.join(SCRATCH, 'home%d' % (len(sites) + 1))
        if copy_of: subprocess.run(['cp', '-a', copy_of, self.home], check=True)
        else: make_home(self.home, split=SPLIT)
        for name, text in controls.items(): control(self.home, name, text)
        self.env, self.log = env, self.home + '.log'
        self.acked, self.got, self.put_off = {}, [], set() # number: id; (number, id) in order; numbers that are deferred
        self.lock = threading.Lock()
        self.queued = self.send = None
        sites.append(self)

    def answer(self, j):
        number = whole(j.read())
        if number in self.put_off: return j.all('Z', 'later\n')
        with self.lock: self.got.append((number, j.id))
        j.all('K', 'ok\n')

    def start(self, queued=True, send=True):
        if queued:
            r, w = os.pipe()
            with open(self.log, 'ab') as log:
                self.queued = as_account([os.path.join(reachable(BIN), 'pipit-queued'), '-d', str(w)], pass_fds=[w],
                                         stderr=log, env=dict(os.environ, PIPIT_HOME=self.home, **self.env))
            os.close(w)
            check(os.read(r, 1) == b'\n', 'queued starts')
            os.close(r)
        if send:
            self.send = Send(self.home, self.answer, self.answer, self.env)
            check(self.send.ready, 'send starts')
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.send: self.send.stop(sig)
        if self.queued:
            self.queued.send_signal(sig)
            self.queued.wait(20)
        self.send = self.queued = None

    def client(self):
        return Client(home=self.home, timeout=60)

    def post(self, c, number, size=1000):
        type, code, id = c.send(numbered(number, size), b'Fa@b.example\0Tc@d.example\0')
        if type == 'K':
            with self.lock: self.acked[number] = int(id)
        return type == 'K'

    def load(self, numbers, clients=10, until=lambda: False):
        """Messages of many sizes from several clients at a time."""
        numbers = iter(numbers)
        def work():
            c = self.client()
            while not until():
                with self.lock: n = next(numbers, None)
                if n is None: break
                self.post(c, n, (n * 7919) % (40000 if n % 10 == 0 else 4000))
            c.close()
        threads = [threading.Thread(target=work) for _ in range(clients)]
        for t in threads: t.start()
        return threads

    def path(self, *names):
        return os.path.join(self.home, 'queue', *names)

    def is_through(self, numbers, seconds=60):
        """Wait until send has delivered these."""
        return wait_for(lambda: set(numbers) <= {n for n, id in list(self.got)}, seconds)

    def delivered_once(self, numbers, why):
        got = [n for n, id in self.got]
        missing = sorted(set(numbers) - set(got))
        extra = sorted(n for n in set(got) if n is not None and got.count(n) > 1)
        equal((missing, extra, got.count(None)), ([], [], 0), why + ': each delivered, once, and whole')
        wrong = [n for n, id in self.got if n in self.acked and self.acked[n] != id]
        equal(wrong, [], why + ': each under its own id')

    def scan(self):
        with open(self.path('overflow'), 'w'): pass
        own(self.path('overflow'))
        os.rename(self.path('overflow'), self.path('lock', 'overflow')) # send may see it, and be done, at once
        return wait_for(lambda: not os.path.exists(self.path('lock', 'overflow')), 20)

    def newest_child(self):
        pid = self.queued.pid
        return int(open('/proc/%d/task/%d/children' % (pid, pid)).read().split()[-1])

def inodes(path):
    return {e.inode(): e.path for e in os.scandir(path)}

# --- a worker that stands still

# Where it is stopped in the commit of a message of some size: the call after which, and how often it came.
POINTS = [(2000, 'flock', 1, 'with a free file locked'), (2000, 'pwrite64', 1, 'with the file marked busy'),
          (2000, 'pwritev', 1, 'with the message written'), (2000, 'pwrite64', 2, 'with the header written'),
          (300000, 'linkat', 1, 'with a fresh file named')]

class Stopped:
    """A client whose worker is stopped in the middle of message <number>."""
    def __init__(self, site, number, size, call=None, when=1):
        self.site, self.number, message = site, number, numbered(number, size)
        self.c, self.tracer = site.client(), None
        self.c.open()
        self.pid = site.newest_child()
        if call: self.trace('inject=%s:signal=STOP:when=%d' % (call, when))
        pieces = [message[i:i + 50000] for i in range(0, len(message), 50000)]
        if not call: pieces[-1], self.rest = pieces[-1][:-100], pieces[-1][-100:]
        for p in pieces: self.c.frame(b'D', p)
        if call:
            self.end()
            wait_for(lambda: 'stopped by SIGSTOP' in open(self.log).read(), 10)
            self.tracer.send_signal(signal.SIGINT)
            self.tracer.wait()
        else:
            time.sleep(0.2)
            os.kill(self.pid, signal.SIGSTOP)
        self.ok = wait_for(lambda: self.state() == 'T', 10)

    def trace(self, inject):
        self.log = os.path.join(SCRATCH, 'strace.%d' % self.pid)
        self.tracer = subprocess.Popen(['strace', '-q', '-p', str(self.pid), '-o', self.log, '-e', inject],
                                       stderr=subprocess.DEVNULL)
        def begun(): # there are calls to be seen, and it has seen them
            self.c.frame(b'A')
            return self.c.open()[0] == 'K' and os.path.exists(self.log) and os.path.getsize(self.log)
        check(wait_for(begun), 'a worker is traced')

    def state(self):
        return open('/proc/%d/stat' % self.pid).read().rsplit(')', 1)[1].split()[0]

    def secret(self):
        return numbered(self.number).splitlines()[-1]

    def end(self):
        self.c.frame(b'E', b'Fa@b.example\0Tc@d.example\0')
        self.c.frame(b'.')

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)
        if not self.tracer:
            self.c.frame(b'D', self.rest)
            self.end()
        type, code, id = self.c.reply()
        self.c.close()
        if type == 'K': self.site.acked[self.number] = int(id)
        return type == 'K'

def can_trace():
    try: return subprocess.run(['strace', '-o', '/dev/null', 'true'], capture_output=True).returncode == 0
    except FileNotFoundError: return False

def test_stopped():
    """Workers stand still while send is killed and a thousand messages go through the pool."""
    s = Site(queuepool=str(POOL)).start()
    wait_for(lambda: len(os.listdir(s.path('free'))) >= POOL)
    stopped = [(Stopped(s, 1, 2000), 'in the middle of a small message'),
               (Stopped(s, 2, 300000), 'in the middle of a large one')]
    if can_trace(): stopped += [(Stopped(s, 3 + i, size, call, when), why) for i, (size, call, when, why) in enumerate(POINTS)]
    else: skip('workers cannot be stopped at a system call here')
    check(all(w.ok for w, why in stopped), 'workers are stopped')
    s.send.stop(signal.SIGKILL)
    for t in s.load(range(100, 100 + THROUGH // 2)): t.join()
    s.start(queued=False)
    for t in s.load(range(100 + THROUGH // 2, 100 + THROUGH)): t.join()
    equal(len(s.acked), THROUGH, '%d messages are taken meanwhile' % THROUGH)
    check(s.scan() and s.is_through(range(100, 100 + THROUGH)), 'and delivered')
    s.scan()
    os.kill(s.send.children()[0], signal.SIGKILL) # the next keeper looks through everything at its start
    check(s.send.wait_log('the keeper died'), 'the keeper is killed as well')
    time.sleep(1.5)
    equal([n for n, id in s.got if n is None or n < 100], [], 'nothing is seen of the unfinished ones')
    for w, why in stopped: check(w.go_on(), 'stopped %s: it goes on, and the message is acknowledged' % why)
    check(s.is_through(range(1, len(stopped) + 1), 30), 'and all of them are delivered, without waiting for the next look')
    s.delivered_once(s.acked, 'stopped workers')
    equal(os.listdir(s.path('bad')), [], 'nothing was found damaged')
    s.stop()

def test_killed():
    """What a killed worker has written is in no later message's file."""
    if not can_trace(): return skip('workers cannot be stopped at a system call here')
    s = Site(queuepool='0').start(send=False)
    free = s.path('free', '60')
    with open(free, 'wb') as f: f.write(header(DONE, 60).ljust(8192, b'\0'))
    os.chmod(free, 0o660)
    own(free)
    fd = os.open(s.path('lock', 'pool'), os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, struct.pack('>Q', 60))
    w = Stopped(s, 1, 3000, 'pwritev', 1)
    check(w.ok and w.secret() in open(free, 'rb').read(), 'a worker is killed when it has written a message, without a header')
    kill(w.pid)
    w.c.close()
    wait_for(lambda: not os.path.exists('/proc/%d' % w.pid))
    os.write(fd, struct.pack('>Q', 60))
    c = s.client()
    check(s.post(c, 2, 10), 'another message is taken')
    equal([p for id, p in live_files(s.home) if w.secret() in open(p, 'rb').read()], [], 'and nothing of the first one is in its file')
    s.start(queued=False)
    check(s.is_through([2]) and wait_for(lambda: not os.path.exists(free)), 'what the killed one left is removed')
    s.delivered_once([2], 'a killed worker')
    os.close(fd)
    c.close()
    s.stop()

# --- backups and copies

def snapshot(top):
    return {os.path.relpath(p, top): open(p, 'rb').read() for d in ('mess/*/*', 'free/*') for p in glob.glob(os.path.join(top, d))}

def test_backup():
    """A backup of hard links."""
    s = Site(queuepool=str(POOL))
    s.put_off = set(range(1, 11))
    s.start()
    for t in s.load(range(1, 101)): t.join()
    check(s.is_through(range(11, 101)) and wait_for(lambda: len(live_files(s.home)) == 10), 'ten messages wait, ninety are through')
    held = [Mail(s.home, 'a@b.example', ['c@d.example'], numbered(200 + i), where=s.path('free', str(200 + i))) for i in range(5)]
    backup = os.path.join(SCRATCH, 'backup')
    subprocess.run(['cp', '-al', s.path(), backup], check=True)
    before, linked = snapshot(backup), {i for d in ('free', *('mess/%d' % n for n in range(SPLIT))) for i in inodes(s.path(d))}
    check(len(linked) > 20, 'files of both kinds are in the backup')
    s.put_off = set()
    for m in held: m.announce() # they go out at once, from where they lie
    s.send.give(signal.SIGALRM)
    for t in s.load(range(1000, 1300)): t.join()
    check(s.is_through([*range(1, 11), *range(200, 205), *range(1000, 1300)]), 'all go through, and 300 others')
    check(wait_for(lambda: not live_files(s.home)), 'and are finished')
    after = snapshot(backup)
    equal(sorted(after), sorted(before), 'the backup has the files that it had')
    equal([p for p in before if after[p] != before[p]], [], 'and not a byte of them has changed')
    s.delivered_once([n for n in s.acked], 'with a backup')
    s.stop()
    # After a power cut: the journal says that they are finished, the files that they are mail.
    with open(s.path('lock', 'done'), 'rb') as f: journal = f.read()
    for m in held: os.link(os.path.join(backup, 'free', os.path.basename(m.path)), m.path)
    got = len(s.got)
    s.start()
    time.sleep(0.5)
    equal(len(s.got), got, 'a finished one whose name came back is not delivered again')
    check(b'e %d ' % held[0].id in journal and snapshot(backup) == before, 'and the backup stays what it was')
    check(wait_for(lambda: not any(os.path.exists(m.path) for m in held)), 'only the names are removed')
    s.stop()
    # It is mail, with another journal.
    os.unlink(os.path.join(backup, 'lock', 'done'))
    r = Site()
    shutil.rmtree(r.path())
    subprocess.run(['cp', '-a', backup, r.path()], check=True)
    r.start()
    r.send.give(signal.SIGALRM)
    check(r.is_through([*range(1, 11), *range(200, 205)]), 'restored, what waited in it is delivered')
    r.stop()

def test_copy():
    """A copy of a live queue, started elsewhere."""
    s = Site(queuepool=str(POOL))
    waiting = range(1, 31)
    s.put_off = {*waiting, *range(1000, 100000, 7)} # so that mail is moved to mess/ all the time
    s.start()
    for t in s.load(waiting): t.join()
    stop = threading.Event()
    threads = s.load(range(1000, 1 << 30), until=stop.is_set)
    check(wait_for(lambda: len(s.got) > 100, 60), 'mail is going through')
    copies, before = [], []
    for i in range(3):
        before.append(set(s.acked))
        copies.append(os.path.join(SCRATCH, 'copy%d' % i))
        shutil.copytree(s.path(), copies[-1], ignore=lambda top, names: names) # the directory alone
        own(copies[-1])
        subprocess.run(['cp', '-a', *(s.path(d) for d in ('free', 'mess', 'state', 'lock', 'bad')), copies[-1]],
                       stderr=subprocess.DEVNULL) # what vanishes is finished
        time.sleep(0.2)
    stop.set()
    for t in threads: t.join()
    check(s.is_through(set(s.acked) - s.put_off), 'the original goes on')
    original = {n for n, id in s.got}
    s.stop()
    for copy, acked in zip(copies, before):
        r = Site()
        shutil.rmtree(r.path())
        os.rename(copy, r.path())
        r.start()
        check(wait_for(lambda: r.send.give(signal.SIGALRM) or not live_files(r.home), 60, 0.5),
              'what is in the copy is delivered or set aside')
        got = [n for n, id in r.got]
        equal((sorted(acked - original - set(got)), got.count(None), len(got) - len(set(got))), ([], 0, 0),
              '%d acknowledged before the copy began: delivered here or there, once, whole (%d there)' % (len(acked), len(got)))
        check(set(waiting) <= set(got), 'what waited is in the copy')
        equal([i for i in os.listdir(r.path('bad')) if 'error="two messages with one id"' in r.send.log()], [],
              'what was copied before and after it was moved is one message')
        c = r.client()
        check(r.post(c, 500000) and r.is_through([500000]), 'and the copy takes mail')
        c.close()
        r.stop()

# --- damage

AREAS = [(0, 8, 'magic'), (8, 4, 'state'), (12, 4, 'version'), (16, 8, 'id'), (24, 8, 'birth'), (32, 16, 'nonce'),
         (48, 8, 'length of the message'), (56, 8, 'length of the envelope'), (64, 4, 'uid'), (68, 4, 'recipients'),
         (72, 4, 'sum'), (76, 4, 'sum of the header'), (80, 48, 'zeros'), (128, 60, 'first line'), (200, 2000, 'message')]

def flip(data, rng, at, size):
    at = rng.randrange(at, at + size)
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]

def test_damage():
    """One bit is wrong in files of mail, in mess/ and in free/, and in free files."""
    rng = random.Random(SEED)
    s = Site(queuepool='200')
    areas = {}
    for number in range(1, 6 * len(AREAS) + 25):
        m = Mail(s.home, 'a@b.example', ['c@d.example'], numbered(number, 3000))
        end = 128 + len(m.msg)
        at, size, name = ([(end, len(m.data) - end, 'envelope')] * 8 + AREAS * 6)[number - 1] if number <= 8 + 6 * len(AREAS) \
            else (len(m.data), 0, 'nothing')
        data = flip(m.data, rng, at, size) if size else m.data + b'behind the end'
        with open(m.path, 'wb') as f: f.write(data)
        os.utime(m.path, (0, time.time() - 1000)) # it is not being made
        if number % 2: os.rename(m.path, s.path('free', str(m.id)))
        areas[m.id] = (number, name, data)
    sound = {n for n, name, data in areas.values() if name == 'nothing'}
    spoilt = {}
    for i, (at, size, name) in enumerate(AREAS[:13] * 2): # free files with a header that does not hold
        m = Mail(s.home, 'a@b.example', ['c@d.example'], numbered(0, 3000), state=DONE, where=s.path('free', str(100 + i)))
        with open(m.path, 'wb') as f: f.write(flip(m.data, rng, at, size))
        spoilt[os.stat(m.path).st_ino] = name
    s.start(send=False)
    c = s.client()
    check(all(s.post(c, n) for n in range(1000, 1100)), 'mail is taken')
    used = [spoilt[os.stat(path).st_ino] for id, path in live_files(s.home) if os.stat(path).st_ino in spoilt]
    equal(used, [], 'free files with damaged headers are not used')
    damaged = {os.stat(p).st_ino for i in areas for p in glob.glob(s.path('mess/*', str(i))) + glob.glob(s.path('free', str(i)))}
    s.start(queued=False)
    check(s.is_through([*sound, *range(1000, 1100)]), 'sound messages are delivered')
    wait_for(lambda: len(os.listdir(s.path('bad'))) >= len(areas) - len(sound), 10)
    s.delivered_once([*sound, *range(1000, 1100)], 'among damaged ones')
    # A wrong state word, uid or the like is a header that does not hold, and so is every other bit of it.
    wrong = sorted({areas[id][1] for n, id in s.got if id in areas and n not in sound})
    equal(wrong, [], 'no damaged message is delivered, whatever part of it is wrong')
    bad = [open(p, 'rb').read() for p in glob.glob(s.path('bad/*'))]
    missing = sorted({name for n, name, data in areas.values() if name != 'nothing' and data not in bad})
    equal(missing, [], 'all are set aside as they were (%d)' % len(bad))
    equal(s.send.log().count('alert: damaged message set aside'), len(bad), 'with an alert for each')
    check(all(s.post(c, n) for n in range(2000, 2300)) and s.is_through(range(2000, 2300)), 'mail goes on')
    check(damaged & set(inodes(s.path('bad'))) and sorted(bad) == sorted(open(p, 'rb').read() for p in glob.glob(s.path('bad/*'))),
          'and none of their files is used again')
    c.close()
    s.stop()

# --- the clock

def test_clock():
    """The clock jumps to 1970 and to 2099 while both programs run, and lies while they start."""
    if not os.path.exists(FAKETIME): return skip('libfaketime is not installed')
    offset = os.path.join(SCRATCH, 'offset')
    def jump(seconds):
        with open(offset + '.new', 'w') as f: f.write('%+d\n' % seconds)
        os.rename(offset + '.new', offset)
    now = int(time.time())
    past, future = 3600 - now, 4090000000 - now
    jump(0)
    s = Site(env=dict(LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=offset, FAKETIME_NO_CACHE='1', DONT_FAKE_MONOTONIC='1',
                      FAKETIME_DONT_FAKE_MONOTONIC='1',
                      ASAN_OPTIONS=os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'),
             queuepool=str(POOL))
    s.put_off = {1, 2}
    s.start()
    c = s.client()
    numbers = iter(range(1, 1000))
    def some(why):
        these = [next(numbers) for _ in range(10)]
        check(all(s.post(c, n) for n in these) and s.is_through(set(these) - s.put_off), why + ': mail is taken and delivered')
        tries = lambda: len(re.findall('^delivery .*: deferral: ', s.send.log(), re.M))
        before = tries()
        check(wait_for(lambda: s.send.give(signal.SIGALRM) or tries() >= before + 2, 15, 0.3) and
              ': failure: ' not in s.send.log(), why + ': what is put off is tried again, and not given up')
        return these
    taken = some('now')
    for why, seconds in (('1970', past), ('2099', future), ('1970 again', past), ('now again', 0)):
        jump(seconds)
        taken += some(why)
    for why, seconds in (('1970', past), ('2099', future), ('now', 0)):
        c.close()
        s.stop(signal.SIGKILL)
        os.unlink(s.path('lock', 'lastid'))
        jump(seconds)
        s.start()
        c = s.client()
        taken += some('started in ' + why)
    ids = [s.acked[n] for n in taken]
    check(len(set(ids)) == len(ids), 'no id is given twice')
    check(ids[:50] == sorted(ids[:50]), 'ids rise while the clock jumps')
    first = [n for n, id in s.got]
    equal(first, sorted(first), 'and mail goes out in the order in which it came')
    s.put_off = set()
    s.send.give(signal.SIGALRM)
    check(s.is_through(taken), 'what was put off is delivered in the end')
    s.delivered_once(taken, 'jumps of the clock')
    c.close()
    s.stop()

def test_ids():
    """After a power cut a message stands in mess/ under an older name, and the clock is behind."""
    s = Site(queuepool='0')
    future = int(time.time() * 1e6) + 86400 * 1000000
    Mail(s.home, 'a@b.example', ['c@d.example'], numbered(1), id=future + 5, where=s.path('mess', str(future % SPLIT), str(future)))
    s.start(send=False)
    c = s.client()
    check(s.post(c, 2) and s.acked[2] > future + 5, 'ids start above those in the headers')
    s.start(queued=False)
    check(s.is_through([1, 2]), 'both are delivered')
    s.delivered_once([1, 2], 'an older name')
    equal(os.listdir(s.path('bad')), [], 'neither stands in the way of the other')
    c.close()
    s.stop()

# --- the rest

def test_overflow():
    """The FIFO to send is full."""
    s = Site(queuepool=str(POOL)).start()
    os.kill(s.send.pid, signal.SIGSTOP)
    fd = os.open(s.path('lock', 'trigger'), os.O_WRONLY | os.O_NONBLOCK)
    room = fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096) // 16 # messages that it takes
    os.close(fd)
    numbers = range(1, room + 301)
    for t in s.load(numbers): t.join()
    equal(len(s.acked), len(numbers), '%d messages are taken while send reads nothing' % len(numbers))
    check(os.path.exists(s.path('lock', 'overflow')), 'more than the FIFO holds: lock/overflow')
    os.kill(s.send.pid, signal.SIGCONT)
    check(s.is_through(numbers, 30), 'all are delivered, without the scan that comes each minute')
    s.delivered_once(numbers, 'a full FIFO')
    s.stop()

def test_names():
    """Names that are taken: the keeper replaces nothing."""
    s = Site(queuepool='0').start(send=False)
    control(s.home, 'queuepool', '1000') # there is room in the pool, and nothing in it
    s.put_off = {1, 2}
    s.start(queued=False)
    c = s.client()
    check(s.post(c, 1, 100000) and s.post(c, 2), 'two messages wait')
    check(wait_for(lambda: len(glob.glob(s.path('mess/*/*'))) == 2), 'in mess/')
    wait_for(lambda: s.send.log().count(' deferral: ') == 2) # what is under way is not tried again by SIGALRM
    precious = []
    for n in (1, 2):
        path = s.path('free', str(s.acked[n]))
        with open(path, 'w') as f: f.write('precious %d' % n)
        own(path)
        precious.append(path)
    s.put_off = set()
    s.send.give(signal.SIGALRM)
    check(s.is_through([1, 2]) and wait_for(lambda: not glob.glob(s.path('mess/*/*'))), 'they are delivered and finished')
    check(all(open(p, 'rb').read() == b'precious %d' % n for n, p in zip((1, 2), precious)), 'what has their names in free/ is not replaced')
    s.put_off = {3}
    check(s.post(c, 3), 'a message')
    id = s.acked[3]
    check(wait_for(lambda: os.path.exists(s.path('mess', str(id % SPLIT), str(id)))), 'waits in mess/')
    kept = open(s.path('mess', str(id % SPLIT), str(id)), 'rb').read()
    twin = Mail(s.home, 'a@b.example', ['c@d.example'], numbered(4), id=id, where=s.path('free', '77'))
    s.scan()
    check(wait_for(lambda: os.path.exists(s.path('bad', str(id)))), 'another message with its id is set aside')
    check(open(s.path('bad', str(id)), 'rb').read() == twin.data and
          open(s.path('mess', str(id % SPLIT), str(id)), 'rb').read() == kept, 'and the first one is not replaced')
    again = s.path('free', '78')
    with open(again, 'wb') as f: f.write(kept)
    own(again)
    s.scan()
    check(wait_for(lambda: not os.path.exists(again)) and len(os.listdir(s.path('bad'))) == 1,
          'the same message once more, as in a copy of a live queue, is removed')
    c.close()
    s.stop()

def test_list():
    """The list of free files is only a hint."""
    s = Site(queuepool='0').start(send=False)
    m = Mail(s.home, 'a@b.example', ['c@d.example'], numbered(1), where=s.path('free', '50'))
    free = Mail(s.home, 'a@b.example', ['c@d.example'], numbered(0), state=DONE, where=s.path('free', '60'))
    os.symlink('60', s.path('free', '61'))
    os.mkfifo(s.path('free', '62'))
    os.mkfifo(s.path('bad', 'pipe'))
    own(s.path('bad', 'pipe'))
    os.symlink('../bad/pipe', s.path('free', '63'))
    pipe = select.poll()
    reader = os.open(s.path('bad', 'pipe'), os.O_RDONLY | os.O_NONBLOCK)
    pipe.register(reader)
    fd = os.open(s.path('lock', 'pool'), os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, struct.pack('>14Q', 0, 1, 50, 61, 62, 63, 60, 60, 60, (1 << 64) - 1, 50, 61, 62, 60))
    c = s.client()
    check(all(s.post(c, n) for n in range(2, 12)), 'names that are missing, taken, twice, no files: mail is taken')
    check(open(m.path, 'rb').read() == m.data, 'mail is not written over')
    equal([p for id, p in live_files(s.home)].count(free.path), 1, 'and the free one among them is used, once')
    equal(pipe.poll(0), [], 'what a symbolic link leads to is not opened')
    os.close(reader)
    s.start(queued=False)
    check(s.is_through(range(1, 12)), 'all are delivered')
    s.delivered_once(range(1, 12), 'a list of nonsense')
    os.close(fd)
    c.close()
    s.stop()

def test_job():
    """Another message stands where the one stood that is being delivered."""
    s = Site(concurrencyremote='1')
    send = Send(s.home)
    m = Mail(s.home, 'a@b.example', ['one@x.example', 'two@y.example'], b'the first\n').announce()
    j = send.remote.job()
    os.unlink(m.path)
    other = Mail(s.home, 'a@b.example', ['other@z.example'], b'the other\n', id=m.id)
    j.all('K', 'ok\n')
    j = send.remote.job(2)
    check(not j or (j.rcpts, j.read()) == (['other@z.example'], other.msg), 'no recipient gets the message of another')
    send.stop(signal.SIGKILL)

def main():
    print('SEED=%d' % SEED)
    tests = [test_stopped, test_killed, test_backup, test_copy, test_damage, test_clock, test_ids, test_overflow, test_names, test_list,
             test_job]
    only = sys.argv[1:]
    try:
        for t in tests:
            if not only or t.__name__ in only: t()
    finally:
        for s in sites:
            try: s.stop(signal.SIGKILL)
            except (OSError, subprocess.SubprocessError): pass

main()
done()
