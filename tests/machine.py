"""machine.py - a mail server on a disk of its own whose power is cut, and what is found then

A Machine runs cycles: programs, load, cut, a look at the bare disk, programs
again until the queue is empty. A Tally counts what was found.
"""
import glob, os, random, re, signal, struct, subprocess, threading, time
from instance import kill, reachable
from loopdisk import Disk
from numbered import numbered, whole
from pipit import *
from queuefile import Client, LIVE
from sender import SPLIT, Send

RCPT = 'box@host.example'
LATE = 'late@host.example' # deferred by the stubs, but when the queue is to be emptied
POOL_READY = 64            # files that queued makes at once
DRAIN_SECONDS = 60
ALRM_SECONDS = 2
HEAD = struct.Struct('>8s4sIQQ16sQQ') # of a queue file: magic, state, version, id, birth, nonce, lengths

def body(number):
    """Most are small, some fill a file of the pool, some are too large for one."""
    r = random.Random(number)
    low, high = r.choice([(200, 3000)] * 7 + [(3000, 60000)] * 2 + [(66000, 300000)])
    return numbered(number, r.randrange(low, high))

def names(*path):
    try: return os.listdir(os.path.join(*path))
    except FileNotFoundError: return []

class Tally:
    """What was counted; of the lists named in BAD nothing may be there."""
    BAD = ('lost', 'torn', 'doubled', 'stuck')
    def __init__(self):
        self.cycles = self.idle = self.acked = self.standing = self.fresh = self.recycled = self.large = 0
        self.delivered = self.maildir = self.parts = self.late = 0
        self.lost, self.torn, self.doubled, self.stuck = [], [], [], []
        self.repeats, self.ages, self.starts = [], [], [] # for each cut; seconds before it; seconds to a first delivery

    def bad(self):
        return {k: getattr(self, k) for k in self.BAD if getattr(self, k)}

class Machine:
    def __init__(self, kind, where):
        self.disk, self.home = Disk(kind, where), os.path.join(where, 'home')
        make_home(self.home, split=SPLIT)
        for name in ('box', 'box/tmp', 'box/new', 'box/cur', '.qmail-box'):
            path = os.path.join(self.home, 'alias', name)
            if name[0] == '.': open(path, 'w').write('./box/\n')
            else: os.mkdir(path, 0o700)
            own(path)
        subprocess.run(['sync', '-f', where], check=True)
        self.bin, self.pool = reachable(BIN), None
        self.queued = self.send = self.start = None
        self.lock = threading.Lock()
        self.off = self.draining = False
        self.cuts = []    # times of the cuts
        self.next = 0     # the last number
        self.ids = {}     # id: number, of what was acknowledged
        self.open = set() # (number, recipient): acknowledged and not delivered
        self.done = {}    # (number, recipient): time of its last delivery, and how many cuts there were before it
        self.seen = set() # files of the Maildir that were counted
        self.parts = set() # ids of parts that were found

    # Programs.
    def ready(self, program, *args, log, env):
        """Start a program that says on descriptor 5 when it is ready."""
        r, w = os.pipe()
        with open(self.disk.image + log, 'ab') as out:
            p = as_account([os.path.join(self.bin, program), '-d', '5', *args], preexec_fn=lambda: os.dup2(w, 5),
                           pass_fds=(5,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out,
                           env=dict(os.environ, PIPIT_HOME=self.home, **env))
        os.close(w)
        ok = os.read(r, 1) == b'\n'
        os.close(r)
        if not ok: raise RuntimeError('%s does not start: %s' % (program, open(self.disk.image + log).read()[-2000:]))
        return p

    def run(self, send, env={}, send_env={}):
        """queued; and send: '' none, 'stubs' that take everything, 'maildir' deliveries by pipit-local."""
        self.off = False
        self.began, self.first = time.time(), None
        self.queued = self.ready('pipit-queued', log='.queued', env=env)
        if send == 'stubs':
            self.send = Send(self.home, self.answer, self.answer, send_env)
            if not self.send.ready: raise RuntimeError('pipit-send does not start: ' + self.send.log())
        elif send:
            if os.path.exists(self.disk.image + '.send'): os.unlink(self.disk.image + '.send')
            self.start = self.ready('pipit-start', './Maildir/', log='.send', env=send_env)

    def end(self):
        """TERM to all. What is started later needs the disk no more."""
        if self.send: self.send.stop()
        running = [p for p in (self.start, self.queued) if p]
        for p in running: p.terminate()
        for p in running: p.wait(60)
        self.forget()

    def die(self):
        """What happens to all of them when the power goes: nobody does anything any more."""
        if self.send:
            for stub in self.send.stubs: stub.close()
        for p in (self.queued, self.start, self.send and self.send.process):
            if p: p.kill(), p.wait()
        self.forget()

    def forget(self):
        """Whoever lost his parent has become our child, and has no business left."""
        while orphans := [int(p) for p in open('/proc/self/task/%d/children' % os.getpid()).read().split()]:
            for p in orphans: kill(p), os.waitpid(p, 0)
        if self.send: os.unlink(self.send.log_path)
        self.queued = self.send = self.start = None

    def set_pool(self, files):
        if files == self.pool: return
        self.pool = files
        control(self.home, 'queuepool', str(files))
        subprocess.run(['sync', '-f', self.home], check=True)

    # What happens to messages.
    def number(self):
        with self.lock:
            self.next += 1
            return self.next

    def acknowledged(self, number, id, rcpts):
        """By a reply. One that comes after the cut began says nothing: nobody is there to send it, and the
        kernel may end a sync that the shutdown ran into without an error."""
        with self.lock:
            if self.off:
                self.tally.late += 1
                return
            if id in self.ids: self.tally.doubled.append('id %d' % id)
            self.ids[id] = number
            self.open |= {(number, r) for r in rcpts if (number, r) not in self.done}
            self.tally.acked += 1

    def delivered(self, number, rcpt, when, cuts):
        """The lock is held."""
        if number is None:
            self.tally.torn.append('delivered to %s' % rcpt)
            return
        self.first = self.first or when
        self.tally.delivered += 1
        before, cut = self.done.get((number, rcpt), (0, 0))
        if before and cut == cuts: self.tally.doubled.append('%d to %s at %f and %f, without a cut' % (number, rcpt, before, when))
        elif before:
            self.tally.ages.append(self.cuts[cuts - 1] - before)
            self.repeats += 1
        self.done[number, rcpt] = when, cuts
        self.open.discard((number, rcpt))

    def answer(self, j):
        """A stub's work. What comes after the cut reaches nobody."""
        number = whole(j.read())
        for i, rcpt in enumerate(j.rcpts):
            with self.lock:
                if self.off: return os.close(j.fd)
                late = rcpt == LATE and not self.draining
                if not late: self.delivered(number, rcpt, time.time(), len(self.cuts))
            j.result('Z' if late else 'K', 'ok\n', i)
        j.end()

    def read_maildir(self, cuts):
        """What has come into it after so many cuts, whole as everything in new/ must be."""
        new = os.path.join(self.home, 'alias/box/new')
        for name in sorted(set(names(new)) - self.seen):
            self.seen.add(name)
            with open(os.path.join(new, name), 'rb') as f: number = whole(f.read())
            seconds, micros = re.match(r'(\d+)\.M(\d+)P', name).groups()
            with self.lock: self.delivered(number, RCPT, int(seconds) + int(micros) / 1e6, cuts)
            self.tally.maildir += 1

    # Load.
    def post(self, c, rcpts=(RCPT,)):
        number = self.number()
        env = b'Ffrom@host.example\0' + b''.join(b'T%s\0' % r.encode() for r in rcpts)
        type, code, id = c.send(body(number), env)
        if type == 'K': self.acknowledged(number, int(id), rcpts)
        return type == 'K'

    def one(self, at_reply):
        """One message on an otherwise idle system; the cut comes at its reply, or within <at_reply> seconds."""
        def work():
            c = Client(home=self.home)
            began.set()
            try:
                if self.post(c) and at_reply is True: self.cut()
            except (OSError, EOFError): pass
            c.close()
        began = threading.Event()
        t = threading.Thread(target=work)
        t.start()
        began.wait()
        if at_reply is not True: time.sleep(random.uniform(0, at_reply))
        return [t]

    def many(self, clients, seconds, late, count):
        """<clients> at a time, for so long, or until <count> messages stand in the queue; the first <late> have a
        recipient who is put off."""
        stop = self.stop_load = threading.Event()
        def work(late):
            try:
                c = Client(home=self.home)
                for i in range(1 << 30):
                    if stop.is_set() or self.off: break
                    self.post(c, (RCPT, LATE) if i < late else (RCPT,))
                c.close()
            except (OSError, EOFError): pass
        threads = [threading.Thread(target=work, args=(late if n == 0 else 0,)) for n in range(clients)]
        for t in threads: t.start()
        time.sleep(seconds)
        if count: wait_for(lambda: len(self.open) >= count, 300)
        return threads

    def cut(self):
        with self.lock:
            if self.off: return
            self.off = True
            self.logged = self.successes()
            self.cuts.append(time.time())
            self.disk.cut()

    # Cycles.
    def reboot(self):
        self.cut()
        self.die()
        self.disk.remount()
        self.look()

    def files(self):
        return glob.glob(self.home + '/queue/free/*') + glob.glob(self.home + '/queue/mess/*/*') # messages move this way

    def successes(self):
        """Ids that send has logged as delivered to the Maildir."""
        path = self.disk.image + '.send'
        if not self.start: return []
        return [int(i) for i in re.findall(r': success: .* id=(\d+) ', open(path, errors='replace').read())]

    def look(self):
        """The bare disk: whatever was acknowledged stands in it, in the queue or in the Maildir."""
        self.read_maildir(len(self.cuts) - 1)
        wanted, standing = {n for n, r in self.open}, set()
        logged = wanted & {self.ids.get(id) for id in self.logged}
        for path in self.files():
            with open(path, 'rb') as f:
                if f.read(12)[8:] != LIVE: continue
                f.seek(0)
                data, st = f.read(), os.fstat(f.fileno())
            magic, state, version, id, birth, nonce, msglen, envlen = HEAD.unpack(data[:HEAD.size])
            number = whole(data[128:128 + msglen])
            if number is None and id not in self.parts:
                self.parts.add(id)
                self.tally.parts += 1
            if number not in wanted: continue
            standing.add(number)
            recycled = st.st_size > 128 + msglen + envlen or st.st_ino in self.pooled
            self.tally.standing += 1
            self.tally.recycled += recycled
            self.tally.fresh += not recycled
            self.tally.large += msglen > 65536
        self.missing = wanted - standing | logged
        self.tally.lost += ['message %d%s' % (n, ', logged as delivered' * (n in logged)) for n in sorted(self.missing)]

    def is_empty(self):
        """No mail; what the cut left without its end is let alone for a minute."""
        for path in self.files():
            try:
                with open(path, 'rb') as f: head, size = f.read(HEAD.size).ljust(HEAD.size), os.fstat(f.fileno()).st_size
            except FileNotFoundError: continue
            if head[8:12] == LIVE and size >= 128 + sum(HEAD.unpack(head)[6:]): return False
        return True

    def recover(self, send):
        """Start everything, and let it deliver what there is."""
        self.draining = True
        waiting = len(self.open)
        self.run(send)
        alrm = time.monotonic() + 0.1
        end = time.monotonic() + DRAIN_SECONDS
        while not self.is_empty() and time.monotonic() < end:
            time.sleep(0.01)
            if time.monotonic() < alrm: continue
            kill((self.start or self.send.process).pid, signal.SIGALRM)
            alrm += ALRM_SECONDS
        if not self.is_empty(): self.tally.stuck.append('the queue does not become empty')
        self.read_maildir(len(self.cuts))
        self.end()
        if self.first and waiting: self.tally.starts.append(self.first - self.began)
        self.tally.lost += ['message %d to %s after the start' % k for k in sorted(self.open) if k[0] not in self.missing]
        self.open.clear()
        self.draining = False
        for name in names(self.home, 'queue/bad'): os.unlink(os.path.join(self.home, 'queue/bad', name))
        for name in names(self.home, 'alias/box/new'): os.unlink(os.path.join(self.home, 'alias/box/new', name))

    def cycle(self, tally, send='', pool=0, clients=0, seconds=0.0, at_reply=True, late=0, count=0, settle=0, twice=False,
              env={}, send_env={}):
        """
        send     what runs beside queued: '' nothing, 'stubs', 'maildir'
        pool     files of queue/free; 0: every message gets a fresh file
        clients  0: one message, and the cut at its reply or up to <at_reply> seconds later; else see many()
        settle   seconds between the end of the load and the cut
        twice    a second cut as soon as the programs run again
        env, send_env   of queued and of send and its spawners, before the cut
        """
        self.tally, self.repeats = tally, 0
        free = os.path.join(self.home, 'queue/free')
        for name in [] if pool else names(free): os.unlink(os.path.join(free, name))
        self.set_pool(pool)
        self.run(send, env, send_env)
        if pool: wait_for(lambda: len(names(free)) >= min(pool, POOL_READY))
        self.pooled = {e.inode() for e in os.scandir(free)}
        threads = self.many(clients, seconds, late, count) if clients else self.one(at_reply)
        if settle:
            if clients: self.stop_load.set()
            for t in threads: t.join()
            time.sleep(settle)
        elif not clients and at_reply is True:
            for t in threads: t.join()
        self.reboot()
        for t in threads: t.join()
        if twice:
            self.run(send or 'stubs')
            self.reboot()
        self.recover(send or 'stubs')
        tally.cycles += 1
        tally.idle += not clients
        tally.repeats.append(self.repeats)

    def remove(self):
        if self.queued:
            if not self.off: self.cut()
            self.die()
        self.disk.remove()
