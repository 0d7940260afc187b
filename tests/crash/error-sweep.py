"""error-sweep.py - each file, socket and fork call of the programs fails, in each sensible way

usage: error-sweep.py [WORD...]: only the sweeps whose name holds one

A fault happens once, or from there on for good (Fault in tests/syscalls.py), in a program that handles a
message; reads and writes also move fewer bytes than asked for. What must hold, each time:
a reply is temporary or good (never 5xx, exit 100, "D"), and there is one wherever one could be given; what
is said to be taken is there, whole; what is not said so is there whole, or not at all; a failed sync is not
followed by a good reply; nobody spins; and without the fault the next message goes through, and everything
that waits, by itself.
CRASH=long tries all faults, otherwise some of each sweep, chosen by SEED in the environment or the clock.
"""
import glob, os, random, re, shutil, socket, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from instance import *
from pipit import *
from syscalls import *
from jobs import Remote, Spawner
from queuefile import Client, LIVE, Message
import killsweep, sender, smtpsession
from sink import Sink

LONG = os.environ.get('CRASH') == 'long'
SEED = int(os.environ.get('SEED', '0')) or int(time.time())
FEW = 4            # faults of each sweep in the short form
SECONDS = 45       # for a program to end; those that wait for queued take 30
BUSY_CALLS = 1000  # failing calls in one run that look like a loop
BUSY_SHARE = 0.05  # of a processor, while a fault lasts
WATCH = 0.4        # seconds of watching for that
MANY = 25          # occurrences of a call that are all tried
SMALL = b'Subject: small\n\nhello\n.\nFrom me\n'
LARGE = b'Subject: large\n\n' + b''.join(b'%07d\n' % n for n in range(25000))
TEMPORARY = [*range(51, 80), 81, 91, 111, 120] # exit codes of qmail-queue that mean "try later"
rng = random.Random(SEED)

home = make_home()
os.environ['PIPIT_HOME'] = home
ENV = dict(os.environ, PIPIT_HOME=home, USER='joe')
control(home, 'rcpthosts', 'host.example')
control(home, 'timeoutremote', '2')
control(home, 'timeoutconnect', '2')

def queue(*path): return os.path.join(home, 'queue', *path)

def live(): return [path for id, path in live_files(home)]

def clear_queue():
    for f in live(): os.unlink(f)


def judge_queue(body, acked, extra=0):
    """What is wrong with the queue, where only <body> may be, once if it was acknowledged."""
    wrong = []
    messages = [Message(f) for f in live()]
    wrong += ['a message in the queue is not whole: %s' % m.path for m in messages if not m.good]
    wrong += ['a message in the queue is another one: %r' % m.body[-50:] for m in messages if m.good and not m.body.endswith(body)]
    if acked and len(messages) != 1: wrong.append('acknowledged, and %d times in the queue' % len(messages))
    if len(messages) > 1 + extra: wrong.append('%d times in the queue' % len(messages))
    wrong += ['left behind: ' + f for f in glob.glob(queue('mess/*/.new*')) + glob.glob(queue('bad/*'))]
    return wrong

def text_on(process, seconds=SECONDS):
    """Exit status and output of a program that was given its input; 'hangs' for one that does not end."""
    try: out = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        for pid in [*descendants(process.pid), process.pid]: kill(pid)
        return 'hangs', process.communicate()[0]
    return process.returncode, out

def as_file(data):
    path = os.path.join(SCRATCH, 'input')
    with open(path, 'wb') as f: f.write(data)
    return open(path, 'rb')

def is_slow(fault):
    """It keeps a program from reaching queued, which it tries for half a minute."""
    return not LONG and fault.forgood and fault.call in ('socket', 'connect', 'setsockopt')

class Sweep:
    """run(tracer) does one thing under a tracer and returns what was wrong."""
    persistent = True
    few = FEW
    body = SMALL
    always = () # faults that once were not borne
    slow = False # in the short form one of those has its turn
    def cuts(self):
        """What reads and writes are cut to: (bytes, for good)."""
        return ((1, False), (7, False), (1, True)) if self.body is SMALL else ((1, False), (1021, True))
    def start(self): pass
    def stop(self): pass
    def skips(self, fault): return False

class Queued:
    """pipit-queued, started again when it has gone."""
    def __init__(self, pool): self.pool, self.running = pool, None
    @property
    def process(self): return self.running.process
    @property
    def ready(self): return self.running.ready

    def start(self, prefix=()):
        control(home, 'queuepool', self.pool)
        self.running = killsweep.Queued(home, prefix)

    def ensure(self):
        """What was wrong with its end, if it has ended."""
        if self.running and self.process.poll() is None: return []
        code = self.process.poll() if self.running else None
        self.start()
        return [] if code in (None, 111) else ['pipit-queued ended with %s' % code]

    def children(self):
        """The children that serve connections or fill the pool, oldest first."""
        try: return sorted(map(int, open('/proc/%d/task/%d/children' % (2 * (self.process.pid,))).read().split()))
        except (AttributeError, OSError): return []

    def await_clients(self):
        """A message whose client has gone may still come."""
        wait_for(lambda: len(self.children()) <= 1, 3, 0.002)

    def stop(self):
        if self.running: self.running.stop()
        self.running = None

queued = Queued('64')

def next_message():
    """Without a fault, a message goes into the queue."""
    wrong = queued.ensure()
    clear_queue()
    try:
        c = Client(timeout=20)
        reply = c.send(SMALL)
        c.close()
    except OSError as e: reply = repr(e)
    if reply[0] != 'K': wrong.append('the next message: %r' % (reply,))
    else: wrong += ['the next message: ' + w for w in judge_queue(SMALL, True)]
    return wrong

class Injector(Sweep):
    """A program that hands a message to queued."""
    def __init__(self, name, *argv, body=SMALL, envelope=None, env={}, good=(0,), bad=(111,)):
        self.name, self.argv, self.body, self.envelope, self.env, self.bad = name, argv, body, envelope, env, bad
    def start(self): queued.ensure()
    def skips(self, fault): return is_slow(fault)
    def run(self, tracer):
        queued.await_clients()
        clear_queue()
        out = subprocess.PIPE
        if self.envelope is not None:
            out, w = os.pipe()
            os.write(w, self.envelope)
            os.close(w)
        p = as_account([*tracer.prefix, *self.argv], stdin=as_file(self.body), stdout=out, stderr=subprocess.PIPE,
                       env=dict(ENV, **self.env))
        if self.envelope is not None: os.close(out)
        code = text_on(p)[0]
        wrong = judge_queue(self.body, code == 0)
        if code and code not in self.bad: wrong.append('exit code %s' % code)
        if not tracer.fault and code: wrong.append('exit code %s without a fault' % code)
        return wrong

class Smtpd(Sweep):
    """A session with pipit-smtpd on descriptors 0 and 1."""
    client = '[01]'
    def __init__(self, name, body=SMALL, always=(), **kw): self.name, self.body, self.always, self.kw = name, body, always, kw
    def start(self): queued.ensure()
    def skips(self, fault): return 'program' in self.kw and is_slow(fault)
    def run(self, tracer):
        queued.await_clients()
        clear_queue()
        s = smtpsession.Session(home, before=tracer.prefix, greeting=False, **self.kw)
        s.s.settimeout(SECONDS)
        return self.talk(tracer, s)

    def talk(self, tracer, s):
        said, acked, wrong = [], False, []
        try:
            for line, expected in ((None, '220'), ('EHLO client.example', '250'), ('MAIL FROM:<a@far.example>', '250'),
                                   ('RCPT TO:<b@host.example>', '250'), ('DATA', '354'), (0, '250'), ('QUIT', '221')):
                if line == 0: s.send(re.sub(rb'(?m)^\.', b'..', self.body).replace(b'\n', b'\r\n') + b'.\r\n')
                elif line: s.send(line + '\r\n')
                said.append(s.reply())
                if line == 0 and said[-1][:3] == '250': acked = True
                if said[-1][:3] != expected: break
            if said[-1] and said[-1][:3] != '221': said.append(s.cmd('QUIT'))
        except socket.timeout:
            if not self.speechless(tracer, said): wrong.append('no reply after %r' % said)
        s.end()
        wrong += judge_queue(self.body, acked)
        wrong += ['said %r' % said for r in said if r[:1] == '5']
        if said and not said[-1] and not said[-2:-1][0:1] == ['421'] and not self.speechless(tracer, said):
            wrong.append('closed without a word: %r' % said)
        if not tracer.fault and not acked: wrong.append('not taken without a fault: %r' % said)
        return wrong

    def speechless(self, tracer, said):
        """Could nothing be said? The fault is in talking to the client, or 421 was said before."""
        if len(said) > 1 and said[-2][:3] == '421': return True
        return any(re.search(r'(read|write|readv|writev|recv\w+|send\w+)\(%s,|p?poll\(\[\{fd=[014]' % self.client, l)
                   for l in tracer.injected())

class Writer(Sweep):
    """A child of queued, on its connection."""
    persistent = False # one message: what fails for good fails at the first
    def __init__(self, name, pool, body=SMALL, kept=False): self.name, self.pool, self.body, self.kept = name, pool, body, kept
    def start(self):
        queued.pool = self.pool
        queued.stop()
        queued.start()
    def stop(self):
        queued.stop()
        queued.pool = '64'
        queued.start()
    def run(self, tracer):
        wrong = queued.ensure()
        clear_queue()
        if self.pool != '0': wait_for(lambda: len(glob.glob(queue('free/*'))) >= 16, 10)
        before = set(queued.children())
        c = Client(timeout=20)
        child = wait_for(lambda: set(queued.children()) - before, 5, 0.001)
        if self.kept: c.send(b'the one before\n') # what is set up once, is
        clear_queue()
        tracer.attach(max(child))
        try: reply = c.send(self.body)
        except (EOFError, OSError) as e: reply = ('gone', repr(e))
        c.close()
        tracer.detach()
        injected = tracer.injected()
        wrong += judge_queue(self.body, reply[0] == 'K')
        if reply[0] == 'D': wrong.append('said %r' % (reply,))
        if reply[0] == 'gone' and not any(re.search(r'(read|write|recv\w+|send\w+|p?poll)\(|^\d+ (read|write)', l) for l in injected):
            wrong.append('closed without a word: %r' % (reply,))
        if reply[0] == 'K' and tracer.fault and tracer.fault.call in SYNCS and tracer.fault.error != 'EINTR' and injected:
            wrong.append('a good reply after a failed sync')
        if not tracer.fault and reply[0] != 'K': wrong.append('said %r without a fault' % (reply,))
        calls = {c.name for c in tracer.calls()}
        if 'fsync' in calls and self.pool != '0': wrong.append('no file of the pool was used')
        return wrong + next_message()

class Resident(Sweep):
    """A process that runs all the time is traced while something happens, and watched for a while."""
    few = 3
    def watch(self, tracer):
        """For what goes on failing: is it busy with that?"""
        if not tracer.fault or not tracer.fault.forgood: return []
        pids = [q for p in tracer.pids for q in (p, *descendants(p))]
        for _ in range(4): # the first time it may be at work still
            before = runtime(pids)
            time.sleep(WATCH)
            share = (runtime(pids) - before) / 1e9 / WATCH
            if share <= BUSY_SHARE: return []
        return ['busy: %d %% of a processor' % (100 * share)] 

class Listening(Resident):
    """queued itself."""
    name = 'pipit-queued'
    def run(self, tracer):
        wrong = queued.ensure()
        clear_queue()
        tracer.attach(queued.process.pid)
        clients, replies = [], []
        try:
            for _ in range(2):
                clients.append(Client(timeout=3))
                time.sleep(0.02)
            for c in clients:
                try: replies.append(c.send(SMALL)[:2])
                except (EOFError, OSError) as e: replies.append((type(e).__name__,))
        except OSError as e: replies.append((repr(e),))
        wrong += self.watch(tracer)
        tracer.detach()
        for c in clients: c.close()
        acked = sum(r[0] == 'K' for r in replies)
        wrong += [w for w in judge_queue(SMALL, False, 1)]
        if any(r[0] == 'D' for r in replies): wrong.append('said %r' % replies)
        if not tracer.fault and acked != 2: wrong.append('not taken without a fault: %r' % replies)
        if acked > len(live()): wrong.append('lost: %r' % replies)
        return wrong + next_message()

class Filler(Resident):
    """The child of queued that makes files for the pool."""
    name = "queued's filler"
    def start(self):
        queued.pool = '128'
        queued.stop()
        queued.start()
    stop = Writer.stop
    def free(self): return sorted(set(glob.glob(queue('free/*'))) - set(live()))
    def run(self, tracer):
        wrong = queued.ensure()
        wait_for(lambda: queued.children(), 5)
        wait_for(lambda: len(self.free()) >= 64, 10)
        for f in self.free()[:-10]: os.unlink(f)
        tracer.attach(queued.children()[0])
        c = Client(timeout=20)
        replies = [c.send(SMALL)[0] for _ in range(12)]
        c.close()
        if not tracer.fault: wait_for(lambda: len(self.free()) >= 64, 10)
        wrong += self.watch(tracer)
        tracer.detach()
        if set(replies) != {'K'}: wrong.append('messages meanwhile: %r' % replies)
        if not wait_for(lambda: self.refill(), 15, 0.05): wrong.append('the pool is not filled afterwards: %d files' % len(self.free()))
        for f in self.free() + glob.glob(queue('free/.*')):
            try: d = open(f, 'rb').read()
            except FileNotFoundError: continue
            if d[:12] != b'pipit-q\nDONE' or len(d) != 8192: wrong.append('%s in the pool is not usable: %d bytes' % (f, len(d)))
        return wrong + next_message()
    def refill(self):
        """Messages call it."""
        next_message()
        return len(self.free()) >= 64

class Starting(Sweep):
    """queued from its start to its first message, with one in the queue."""
    name = 'the start of pipit-queued'
    always = (Fault('read', 10, 'EIO', True),) # signals among them
    def start(self): queued.stop()
    def stop(self): queued.ensure()
    def run(self, tracer):
        clear_queue()
        kept = sender.Mail(home, 'a@b', ['c@d'], body=SMALL)
        queued.start(tracer.prefix)
        wrong = []
        if queued.ready:
            try:
                c = Client(timeout=5)
                if c.send(LARGE)[0] == 'D': wrong.append('a permanent answer')
                c.close()
            except (EOFError, OSError): pass
            for p in descendants(queued.process.pid): kill(p, signal.SIGTERM)
            if not wait_for(lambda: queued.process.poll() is not None, 10): wrong.append('TERM does not end it')
            for p in descendants(queued.process.pid): kill(p)
        code = queued.running.stop()
        if code not in (0, 111, -signal.SIGTERM): wrong.append('exit code %s' % code)
        if not queued.ready and not tracer.fault: wrong.append('not ready')
        if open(kept.path, 'rb').read() != kept.data: wrong.append('the message in the queue has changed')
        queued.start()
        if not queued.ready: wrong.append('it does not start without the fault')
        wrong += next_message()
        queued.stop()
        return wrong

class Listener(Resident, Smtpd):
    """pipit-smtpd -l and its children, whose client is on 4."""
    client = '4'
    def __init__(self): self.name, self.body, self.kw, self.process = 'pipit-smtpd -l', SMALL, {}, None
    def start(self):
        queued.ensure()
        self.port = free_port()
        r, w = os.pipe()
        self.process = as_account([BIN + '/pipit-smtpd', '-l', '-a', '127.0.0.1', '-p', str(self.port), '-d', str(w)],
                                  stdin=subprocess.DEVNULL, stderr=open(os.path.join(SCRATCH, 'smtpd.log'), 'ab'), pass_fds=[w], env=ENV)
        os.close(w)
        os.read(r, 1)
        os.close(r)
    def stop(self):
        if self.process.poll() is None: self.process.terminate()
        self.process.wait(20)
    def run(self, tracer):
        wrong = []
        if self.process.poll() is not None:
            if self.process.poll() != 111: wrong.append('it ended with %d' % self.process.poll())
            self.start()
        clear_queue()
        tracer.attach(self.process.pid)
        try: wrong += self.talk(tracer, RemoteSession(self.port))
        except OSError as e: wrong += [] if self.process.poll() == 111 else [repr(e)]
        wrong += self.watch(tracer)
        tracer.detach()
        if self.process.poll() is not None: return wrong # started again by the next run
        clear_queue()
        return wrong + ['afterwards: ' + w for w in self.talk(Tracer(), RemoteSession(self.port))]
    def speechless(self, tracer, said):
        # Before the greeting nothing is owed to a client whose connection could not be taken or handed over.
        return Smtpd.speechless(self, tracer, said) or self.process.poll() == 111 or \
            len(said) <= 1 and any(re.search(r'(accept4?|getpeername|getsockname|setsockopt|fcntl|p?poll)\(', l) for l in tracer.injected())

class RemoteSession(smtpsession.Session):
    """The same over TCP."""
    def __init__(self, port):
        self.s = socket.create_connection(('127.0.0.1', port), 10)
        self.s.settimeout(8)
        self.buf = b''
    def end(self): self.s.close()

USER = os.path.join(SCRATCH, 'user')

class Local(Sweep):
    """pipit-local with one kind of instruction."""
    def __init__(self, name, instruction, body=SMALL): self.name, self.instruction, self.body = 'pipit-local, ' + name, instruction, body
    def start(self):
        queued.ensure()
        shutil.rmtree(USER, ignore_errors=True)
        for d in ('', 'Maildir', 'Maildir/tmp', 'Maildir/new', 'Maildir/cur'):
            os.mkdir(os.path.join(USER, d))
            own(os.path.join(USER, d))
        os.chmod(USER, 0o755)
        with open(USER + '/.qmail', 'w') as f: f.write(self.instruction + '\n')
        os.chmod(USER + '/.qmail', 0o644)
        self.before = b'From x Thu Jan  1 00:00:00 1970\n\nthe one before\n\n'
    def skips(self, fault):
        return '&' in self.instruction and is_slow(fault)
    def run(self, tracer):
        clear_queue()
        for f in glob.glob(USER + '/Maildir/*/*') + glob.glob(USER + '/out'): os.unlink(f)
        with open(USER + '/mbox', 'wb') as f: f.write(self.before)
        own(f.name)
        p = as_account([*tracer.prefix, BIN + '/pipit-local', '-l', str(len(self.body)), '--', 'joe', USER, 'joe', '', '', 'host.example',
                        'a@far.example', './Maildir/'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV)
        try: p.stdin.write(self.body); p.stdin.close()
        except BrokenPipeError: pass
        p.stdin = None
        code, out = text_on(p)
        wrong = [] if code in (0, 111) else ['exit code %s: %r' % (code, out[-200:])]
        if not tracer.fault and code: wrong.append('exit code %s without a fault: %r' % (code, out))
        return wrong + self.judge(code == 0)
    def judge(self, good):
        found = {}
        for f in glob.glob(USER + '/Maildir/new/*') + glob.glob(USER + '/out'): found[f] = open(f, 'rb').read()
        wrong = ['not whole: %s %r' % (f, d[-80:]) for f, d in found.items() if not d.endswith(self.body)]
        mbox = open(USER + '/mbox', 'rb').read()
        whole = self.body.replace(b'\nFrom ', b'\n>From ') + b'\n'
        if mbox != self.before and not (mbox.startswith(self.before + b'From a@far.example ') and mbox.endswith(whole) and mbox.count(b'\nFrom a@') == 1):
            wrong.append('the mbox is damaged: %r' % mbox[-80:])
        stored = len(live())
        count = len(found) + (mbox != self.before) + stored
        if count > 1 or good and count != 1: wrong.append('%d copies' % count)
        return wrong + judge_queue(self.body, stored)

class Counted(Local):
    """A Maildir with a quota: what is there is never more than its sums."""
    def run(self, tracer):
        with open(USER + '/Maildir/maildirsize', 'w') as f: f.write('1000000S\n0 0\n' if tracer.count % 2 else '1000000S\n')
        own(f.name)
        return super().run(tracer)
    def judge(self, good):
        there = len(glob.glob(USER + '/Maildir/new/*'))
        told = [l.split() for l in open(USER + '/Maildir/maildirsize').read().splitlines()]
        counted = sum(int(l[1]) for l in told[1:] if len(l) == 2)
        wrong = ['%d messages, counted %s' % (there, told)] if counted < there else []
        return wrong + super().judge(good)

class Locked(Local):
    """An mbox that is locked with a file, too, which stays only where it cannot be removed."""
    def run(self, tracer):
        for f in glob.glob(USER + '/mbox.lock*'): os.unlink(f)
        control(home, 'mboxdotlock', '1')
        wrong = super().run(tracer)
        control(home, 'mboxdotlock', None)
        left = glob.glob(USER + '/mbox.lock*')
        if left and not (tracer.fault and tracer.fault.call == 'unlink'): wrong.append('left behind: %s' % left)
        return wrong
    def skips(self, fault): return fault.call in ('link', 'flock', 'fcntl') and fault.forgood # waits for half a minute

class Spawning(Resident):
    """pipit-lspawn, and what it starts; <idle>: a worker that has delivered one message."""
    few = 3
    def __init__(self, name, body=SMALL, box='Maildir', idle=False): self.name, self.body, self.rcpt, self.idle = name, body, box.lower(), idle
    def start(self):
        self.spawner = None
        self.box = os.path.join(home, 'alias')
        for d in ('Maildir', 'Maildir/tmp', 'Maildir/new', 'Maildir/cur'):
            os.makedirs(os.path.join(self.box, d), exist_ok=True)
            own(os.path.join(self.box, d))
        for name, text in (('maildir', './Maildir/\n'), ('mbox', './mbox\n')):
            with open(os.path.join(self.box, '.qmail-' + name), 'w') as f: f.write(text)
            own(f.name)
    def stop(self):
        if self.spawner: self.spawner.close()
    def empty(self):
        for f in glob.glob(self.box + '/Maildir/*/*') + glob.glob(self.box + '/mbox'): os.unlink(f)
    def workers(self): return [p for p, n in descendants(self.spawner.process.pid).items() if n == 'pipit-local']
    def orphans(self):
        """Workers whose lspawn has ended: what they have begun they finish."""
        return [p for p, n in descendants(os.getpid()).items() if n == 'pipit-local' and p not in self.workers()]
    def ensure(self):
        if self.spawner and self.spawner.process.poll() is None: return []
        code = self.spawner.process.poll() if self.spawner else None
        if self.spawner: self.spawner.sock.close()
        self.spawner = Spawner([BIN + '/pipit-lspawn', './Maildir/'], ENV, stderr=open(os.path.join(SCRATCH, 'lspawn.log'), 'ab'))
        self.spawner.read()
        return [] if code in (None, 111) else ['it ended with %s' % code]
    def job(self):
        """A message as send gives it; its result, or None."""
        args = 'host.example', 'a@far.example', [self.rcpt + '@host.example']
        try:
            if self.body is SMALL: n = self.spawner.give(*args, None, 0, len(SMALL), body=SMALL)
            else:
                r, w = os.pipe()
                def feed():
                    try:
                        with os.fdopen(w, 'wb') as f: f.write(self.body)
                    except BrokenPipeError: pass
                threading.Thread(target=feed, daemon=True).start()
                n = self.spawner.give(*args, r, 0, len(self.body))
                os.close(r)
            return (self.spawner.finish(n, 10) or [None])[0]
        except (AssertionError, OSError): return None
    def run(self, tracer):
        wrong = self.ensure()
        for p in self.workers(): kill(p)
        wait_for(lambda: not self.workers(), 5, 0.005)
        if self.idle: self.job()
        self.empty()
        tracer.attach(*(self.workers() if self.idle else [self.spawner.process.pid]))
        got = self.job()
        wrong += self.watch(tracer)
        tracer.detach()
        wrong += self.judge(got, tracer.fault)
        wrong += self.ensure()
        wait_for(lambda: not self.orphans(), 5)
        self.empty()
        again = self.job()
        return wrong + ['afterwards: ' + w for w in self.judge(again, None)]
    def judge(self, got, fault):
        texts = [open(f, 'rb').read() for f in glob.glob(self.box + '/Maildir/new/*')]
        if os.path.exists(self.box + '/mbox'):
            text = open(self.box + '/mbox', 'rb').read()
            parts = re.split(rb'(?m)^From a@far.example .*\n', text)
            texts += [p[:-1].replace(b'\n>From ', b'\nFrom ') for p in parts[1:]]
        wrong = ['not whole: %r' % t[-80:] for t in texts if not t.endswith(self.body)]
        if got is None and self.spawner.process.poll() is None: wrong.append('no result')
        elif got is None and wait_for(lambda: self.spawner.process.poll() is not None, 1) and self.spawner.process.poll() != 111:
            wrong.append('it ended with %s' % self.spawner.process.poll())
        elif got and got[0] not in 'KZ' or not fault and (not got or got[0] != 'K'): wrong.append('result %r' % got)
        if len(texts) > 1 or got and got[0] == 'K' and len(texts) != 1: wrong.append('%d copies, result %r' % (len(texts), got))
        return wrong

class RemoteCommand(Sweep):
    """pipit-remote on the command line."""
    name = 'pipit-remote'
    def start(self):
        self.sink = Sink().start()
        control(home, 'smtproutes', ':[127.0.0.1]:%d' % self.sink.port)
    def stop(self): self.sink.stop()
    def taken(self):
        got = [t.message for t in self.sink.transactions]
        self.sink.transactions.clear()
        return got
    def judge(self, got, good):
        want = SMALL.replace(b'\n', b'\r\n')
        wrong = ['not whole: %r' % t for t in got if t != want]
        if len(got) > 1 or good and len(got) != 1: wrong.append('%d copies' % len(got))
        return wrong
    def run(self, tracer):
        self.taken()
        r = Remote(home, 'b.example', 'a@far.example', 'x@b.example', message=SMALL, before=tracer.prefix).result()
        wrong = self.judge(self.taken(), r.complete and r.letter == 'K')
        if r.status not in (0, 111): wrong.append('exit code %d' % r.status)
        if r.letter == 'D' or any(l == 'h' for l, _ in r.rcpts): wrong.append('said %r' % r.raw)
        if r.status == 0 and not r.complete: wrong.append('exit code 0 and %r' % r.raw)
        if not tracer.fault and r.letter != 'K': wrong.append('%r without a fault' % r.raw)
        return wrong

class Relaying(RemoteCommand, Resident):
    """pipit-rspawn, and the workers that it starts; <idle>: with one that waits for more."""
    few = 4
    def __init__(self, name, idle): self.name, self.idle = name, idle
    def start(self):
        RemoteCommand.start(self)
        self.spawner = None
    def stop(self):
        if self.spawner: self.spawner.close()
        RemoteCommand.stop(self)
    def ensure(self):
        if self.spawner and self.spawner.process.poll() is None: return []
        code = self.spawner.process.poll() if self.spawner else None
        if self.spawner: self.spawner.sock.close()
        self.spawner = Spawner([BIN + '/pipit-rspawn'], ENV, stderr=open(os.path.join(SCRATCH, 'rspawn.log'), 'ab'))
        self.spawner.read()
        return [] if code in (None, 111) else ['it ended with %s' % code]
    def job(self):
        try: return (self.spawner.run('b.example', 'a@far.example', ['x@b.example'], message=SMALL, seconds=12) or [None])[0]
        except (AssertionError, OSError): return None
    def workers(self): return [p for p, n in descendants(self.spawner.process.pid).items() if n == 'pipit-remote']
    def run(self, tracer):
        wrong = self.ensure()
        for p in self.workers(): kill(p)
        wait_for(lambda: not self.workers(), 5, 0.005)
        if self.idle: self.job()
        self.taken()
        tracer.attach(*(self.workers() if self.idle else [self.spawner.process.pid]))
        got = self.job()
        wrong += self.watch(tracer)
        tracer.detach()
        wrong += self.judge_result(got, tracer.fault)
        wrong += self.ensure()
        wait_for(lambda: 'pipit-remote' not in descendants(os.getpid()).values() or self.workers(), 5) # that an earlier one had started
        self.taken()
        again = self.job()
        if again is None or again[0] == 'Z': again = self.job() # its worker may have been ill
        return wrong + ['afterwards: ' + w for w in self.judge_result(again, None)]
    def judge_result(self, got, fault):
        wrong = self.judge(self.taken(), got and got[0] == 'K')
        if got is None and self.spawner.process.poll() is None: wrong.append('no result')
        elif got is None and self.spawner.process.poll() != 111: wrong.append('it ended with %s' % self.spawner.process.poll())
        elif got and got[0] not in 'KZ' or not fault and (not got or got[0] != 'K'): wrong.append('result %r' % got)
        return wrong

class Scheduling(Resident):
    """One of the three processes of pipit-send, with stub spawners; bounces go to a queued."""
    few = 3
    slow = True
    def __init__(self, part, body=SMALL): self.name, self.part, self.body = 'pipit-send: ' + part, part, body
    def start(self):
        self.home = make_home(os.path.join(SCRATCH, self.part), split=sender.SPLIT)
        self.queued = killsweep.Queued(self.home)
        self.send = None
    def stop(self):
        if self.send: self.send.stop()
        self.queued.stop()

    def answer(self, job):
        """A delivery: the first to "defer" is put off, one to "fail" fails, and one of a part of a message is put off."""
        text = job.read()
        for i, r in enumerate(job.rcpts):
            first = (job.id, r) not in self.seen
            self.seen.add((job.id, r))
            if len(text) != job.length: letter = 'Z'
            elif r.startswith('fail'): letter = 'D'
            else: letter = 'Z' if first and r.startswith('defer') else 'K'
            if letter == 'K': self.delivered.append((job.id, job.sender, r, text))
            job.result(letter, 'the text\n', i)
        job.end()

    def ensure(self):
        """pipit-send and queued run; what was wrong with the end of one that has ended."""
        wrong = []
        if not self.send or self.send.process.poll() is not None:
            code = self.send.process.poll() if self.send else None
            if code not in (None, 111): wrong.append('it ended with %s' % code)
            if self.send: self.send.stop()
            self.send = sender.Send(self.home, self.answer, self.answer)
            if not self.send.ready: wrong.append('it does not start: ' + self.send.log()[-300:])
        return wrong

    def pids(self):
        """loop, keeper, feeder; the keeper has the lock of the queue."""
        found = {'loop': self.send.pid}
        for p in self.send.children():
            try: names = [os.readlink('/proc/%d/fd/%s' % (p, f)) for f in os.listdir('/proc/%d/fd' % p)]
            except OSError: continue
            found['keeper' if any(n.endswith('sendmutex') for n in names) else 'feeder'] = p
        return found

    def live(self):
        return [path for id, path in live_files(self.home)]

    def bounces(self): return [t for i, s, r, t in self.delivered if not s]

    def run(self, tracer):
        wrong = self.ensure()
        self.seen, self.delivered = set(), []
        wait_for(lambda: len(self.pids()) == 3, 10)
        first = self.send.pid, self.pids().get('keeper')
        tracer.attach(self.pids()[self.part])
        mail = lambda *rcpts: sender.Mail(self.home, 'sender@host.example', rcpts, self.body).announce()
        mails = [mail('ok@host.example'), mail('defer@far.example'), mail('ok@far.example', 'defer@far.example'), mail('fail@far.example')]
        def settled(): return len(self.delivered) >= 3 and len(self.seen) >= 6 and not mails[0].in_mess()
        wait_for(settled, 2.5, 0.02)
        if not tracer.fault:
            wait_for(settled, 20)
            time.sleep(1.2) # what is written once a second
        wrong += self.watch(tracer)
        tracer.detach()
        wrong += self.ensure()
        again = (self.send.pid, self.pids().get('keeper')) != first
        return wrong + self.settle() + self.judge(mails, again)

    def settle(self):
        """Everything goes out by itself, only sooner: who looks once a minute is told to look now."""
        def over():
            if not self.live(): return True
            self.send.give(signal.SIGALRM)
            path = self.home + '/queue/lock/overflow'
            with open(path, 'w') as f: os.fchmod(f.fileno(), 0o666)
            wait_for(lambda: not self.live(), 0.3, 0.02)
        return [] if wait_for(over, 25, 0.01) else ['left in the queue: %s; %s' % (self.live(), self.send.log()[-600:])]

    def judge(self, mails, again):
        wrong = ['not whole: %r' % t[-80:] for i, s, r, t in self.delivered if s and t != self.body]
        for m, rcpts in zip(mails, (('ok@host.example',), ('defer@far.example',), ('ok@far.example', 'defer@far.example'), ())):
            for r in rcpts:
                n = len([1 for i, s, to, t in self.delivered if (i, to) == (m.id, r)])
                if n != 1 and not (n == 2 and again): wrong.append('to %s: delivered %d times' % (r, n))
        told = [t for t in self.bounces() if b'fail@far.example' in t]
        if len(told) != len(self.bounces()): wrong.append('a bounce that should not be: %r' % self.bounces())
        if not 1 <= len(told) <= 2: wrong.append('%d bounces' % len(told))
        wrong += ['a bounce that is not whole: %r' % t for t in told if not t.rstrip().endswith(b'--')]
        if os.listdir(self.home + '/queue/bad'): wrong.append('set aside as damaged: %s' % os.listdir(self.home + '/queue/bad'))
        return wrong

class StartOfSend(Scheduling):
    """pipit-send from its start, with mail and a journal to work in."""
    few = 4
    def __init__(self): self.name, self.part = 'the start of pipit-send', 'start'
    def run(self, tracer):
        self.seen, self.delivered = set(), []
        if self.send: self.send.stop()
        mail = lambda *rcpts: sender.Mail(self.home, 'sender@host.example', rcpts, SMALL)
        mails = [mail('ok@host.example'), mail('defer@far.example'), mail('ok@far.example', 'defer@far.example'), mail('fail@far.example')]
        self.send = sender.Send(self.home, self.answer, self.answer, prefix=tracer.prefix, patience=2)
        if self.send.ready: wait_for(lambda: len(self.delivered) >= 3, 2)
        wrong = []
        code = self.send.stop()
        if code not in (0, 111): wrong.append('it ended with %s' % code)
        if not tracer.fault and not self.send.ready: wrong.append('not ready')
        self.send = None
        wrong += self.ensure()
        return wrong + self.settle() + self.judge(mails, True)

SWEEPS = []
def sweeps(*args): SWEEPS.extend(args)

sweeps(Injector('pipit-queue', BIN + '/pipit-queue', envelope=b'Fa@b\0Tc@d\0\0', bad=TEMPORARY),
       Injector('pipit-queue, a large message', BIN + '/pipit-queue', body=LARGE, envelope=b'Fa@b\0Tc@d\0\0', bad=TEMPORARY),
       Injector('pipit-inject', BIN + '/pipit-inject', 'x@y.example'),
       Injector('pipit-inject with QMAILQUEUE', BIN + '/pipit-inject', 'x@y.example', env={'QMAILQUEUE': BIN + '/pipit-queue'}),
       Injector('pipit-sendmail', BIN + '/pipit-sendmail', '-i', 'x@y.example', bad=(111, 75)),
       Smtpd('pipit-smtpd'), Smtpd('pipit-smtpd, a large message', body=LARGE),
       Smtpd('pipit-smtpd with QMAILQUEUE', program=BIN + '/pipit-queue', always=[Fault('write', 1, 'EIO', False)]),
       Listener(),
       Writer("queued's writer, a file of the pool", '1000'), Writer("queued's writer, its second message", '1000', kept=True),
       Writer("queued's writer, a new file", '0'), Writer("queued's writer, a large message", '0', LARGE),
       Listening(), Filler(), Starting(),
       Local('a Maildir', './Maildir/'), Local('an mbox', './mbox'), Locked('an mbox with a lock file', './mbox'), Local('an mbox, a large message', './mbox', LARGE),
       Counted('a Maildir with a quota', './Maildir/'), Local('a Maildir, a large message', './Maildir/', LARGE), Local('a program', '|cat >out.tmp && mv out.tmp out'),
       Local('a forward', '&x@y.example'), Spawning('pipit-lspawn and pipit-local'), Spawning('pipit-lspawn and pipit-local, a large message', LARGE),
       Spawning('an idle worker of pipit-lspawn, a Maildir', idle=True), Spawning('an idle worker of pipit-lspawn, an mbox', box='mbox', idle=True),
       Spawning('an idle worker of pipit-lspawn, a large message', LARGE, idle=True), RemoteCommand(),
       Relaying('pipit-rspawn and pipit-remote', False), Relaying('an idle worker of pipit-rspawn', True),
       Scheduling('loop'), Scheduling('keeper'), Scheduling('feeder', LARGE), StartOfSend())

# Run them.

total = collections.Counter()

def try_fault(sweep, fault):
    t = Tracer(fault)
    began = time.monotonic()
    try: wrong = sweep.run(t)
    except Exception as e:
        import traceback
        wrong = [traceback.format_exc()]
    took = time.monotonic() - began
    n = len(t.injected())
    if n > BUSY_CALLS and not isinstance(fault.error, int): wrong.append('%d calls failed: a loop' % n)
    if wrong or n: check(not wrong, '%s: %s%s' % (sweep.name, fault, ''.join('\n    ' + w for w in wrong)))
    if wrong:
        for l in t.lines()[-5:]: print('    | ' + l[:160])
    total['reached' if n else 'missed'] += 1
    total[sweep.name] += 1
    if took > 5: print('  %s: %s took %.1f s' % (sweep.name, fault, took))
    t.done()

def find_faults(sweep):
    """All faults, from runs without any. What went wrong in these."""
    wrong, faults = [], []
    hows = [(0, False), *sweep.cuts()]
    for how, forgood in [(None, False), *(hows if LONG else [rng.choice(hows)])]:
        t = Tracer(short=how)
        wrong += sweep.run(t)
        t.detach()
        n = len(t.lines())
        if how is None: faults += t.faults(sweep.persistent)
        elif how == 0: faults += [Fault('close', i, e, False) for i in range(1, n + 1) for e in CLOSE]
        elif n: faults += [Fault('read or write', i, how, forgood) for i in ((1,) if forgood else range(1, n + 1))]
        t.done()
    # What a process does a hundred times alike has its turn at the first times, and at some others.
    return wrong, [f for f in faults if (f.n <= MANY or f.n % MANY == 0) and not sweep.skips(f)]

def run_sweep(sweep):
    began = time.monotonic()
    sweep.start()
    try:
        wrong, faults = find_faults(sweep)
        if not check(not wrong and faults, '%s: without a fault%s' % (sweep.name, ''.join('\n    ' + w for w in wrong))): return
        chosen = faults if LONG else [*sweep.always, *rng.sample(faults, min(sweep.few, len(faults)))]
        for i, f in enumerate(chosen, 1):
            if sys.stderr.isatty(): sys.stderr.write('\r%s: %d of %d ' % (sweep.name, i, len(chosen)))
            try_fault(sweep, f)
    finally: sweep.stop()
    print('  %s: %d of %d faults, %.1f s' % (sweep.name, len(chosen), len(faults), time.monotonic() - began), flush=True)

if not can_trace():
    skip('programs cannot be traced here')
    done()
print('SEED=%d' % SEED)
try:
    turn = rng.sample([s for s in SWEEPS if s.slow], 1)
    for s in SWEEPS:
        if any(w in s.name for w in sys.argv[1:]) or not sys.argv[1:] and (LONG or not s.slow or s in turn): run_sweep(s)
finally:
    queued.stop()
print('%d faults happened, %d did not' % (total['reached'], total['missed']))
done()
