#!/usr/bin/python3
"""
bench.py - measure mail transfer agents side by side on one machine.

  python3 bench.py MEASUREMENT [options]      (as root)

  --peers a,b,c    scripts in peers/ (default postfix,pipit)
  --reps N         repetitions, peers alternating inside each (default 3)
  --secs S         wanted length of one run; the number of messages adapts (default 5)
  --fs WHERE       where queue, homes live: disk (default; wherever the peer keeps them), tmpfs, or ext4, xfs:
                   a new file system of that kind, with its journal, in a file on the disk
  --out FILE       results, one JSON object per line, appended (default $BENCH_DIR/results.jsonl)

MEASUREMENT: intake intakeq intakenew intake1m tls banner keepalive keepalivenew local relay relaynew relaydelay rcpts backlog
             million growth footprint syscalls probe   (see the functions m_... below; ...new: pipit has no file to use again, or none yet)

How it works. The harness re-executes itself in new mount and network name
spaces: only the loopback device exists, so nothing can leave the machine,
whatever a configuration says. A private /etc/hosts and /etc/resolv.conf are
bound over the real ones. Each peer is a shell script (peers/TEMPLATE.sh says
what it must do: config, start, stop, wipe ...); a new MTA is one more script.
A peer's processes run in their own cpuacct control group, which gives the
exact CPU time per message and the list of its processes. Load comes from
smtp-source (Postfix) or mailload.c, relayed mail goes to mailsink.c, syslog
to logsink.c; these run outside the peer's control group. Each run checks that every
message arrived: queue count (hold), files in Maildir/new (local), distinct
X-Seq numbers at the sink (relay). Rates are complete-to-complete: from the
start of the load until the last message is where it should be.

Everything lies below $BENCH_DIR (default /var/tmp/pipit-bench), which other accounts must be able to
reach. Prepare it first: sh setup.sh (as root; Debian).
CPU time is read from a control group of version 1 (cpuacct) or 2, whichever is there.
"""
import argparse, json, mmap, os, random, re, signal, statistics, struct, subprocess, sys, tempfile, time, glob, shutil

HERE = os.path.dirname(os.path.abspath(__file__))
DIR = os.environ.setdefault('BENCH_DIR', '/var/tmp/pipit-bench')
BIN = DIR + '/bin'
RUN = DIR + '/run'
HOME = DIR + '/home'
PORT, SINK = 2525, 2526
USERS, DOMAINS = 20, 100
CGV1 = os.path.isdir('/sys/fs/cgroup/cpuacct')
CG = '/sys/fs/cgroup/cpuacct/mtabench' if CGV1 else '/sys/fs/cgroup/mtabench'
HZ = os.sysconf('SC_CLK_TCK')


# ---- name spaces -----------------------------------------------------------
def add_users():
    """Accounts bench0 to benchN in a password file of this name space."""
    names = {l.split(':')[0] for l in open('/etc/passwd')}
    missing = [(i, f'bench{i}') for i in range(USERS) if f'bench{i}' not in names]
    for name, line in (('passwd', '{n}:x:{i}:{i}::' + HOME + '/{n}:/bin/sh\n'), ('group', '{n}:x:{i}:\n')):
        with open(f'{RUN}/{name}', 'w') as f:
            f.write(open(f'/etc/{name}').read() + ''.join(line.format(n=n, i=50000 + i) for i, n in missing))
        subprocess.run(['mount', '--bind', f'{RUN}/{name}', f'/etc/{name}'], check=True)


def isolate():
    if os.environ.get('BENCH_ISOLATED') != '1':
        os.environ['BENCH_ISOLATED'] = '1'
        os.execvp('unshare', ['unshare', '-n', '-m', '--propagation', 'private', sys.executable] + sys.argv)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    links = [l.split(':')[1].strip() for l in subprocess.run(['ip', '-o', '-4', 'addr'], capture_output=True, text=True).stdout.splitlines()]
    assert all(l.split()[0] == 'lo' for l in links), links
    os.makedirs(RUN, exist_ok=True)
    os.chmod(RUN, 0o755)
    with open(RUN + '/hosts', 'w') as f:
        f.write('127.0.0.1 localhost vm bench.test load.test\n')
        for i in range(DOMAINS):
            f.write(f'127.0.0.{i + 1} d{i}.test\n')
    with open(RUN + '/resolv.conf', 'w') as f:
        f.write('nameserver 127.0.0.1\nlookup file bind\n')
    for n in ('hosts', 'resolv.conf'):
        subprocess.run(['mount', '--bind', f'{RUN}/{n}', os.path.realpath(f'/etc/{n}')], check=True)


def sh(*a, **k):
    return subprocess.run(a, capture_output=True, text=True, **k)


def make_homes():
    """New homes. The old ones go only at the end: for minutes after removals ext4 is slow to make files."""
    old = tempfile.mkdtemp(prefix='old.', dir=HOME)
    for d in glob.glob(HOME + '/bench*'):
        os.rename(d, old + '/' + os.path.basename(d))
    for i in range(USERS):
        h = f'{HOME}/bench{i}'
        for d in ('', '/Maildir', '/Maildir/new', '/Maildir/cur', '/Maildir/tmp'):
            os.mkdir(h + d, 0o700)
            shutil.chown(h + d, f'bench{i}', f'bench{i}')


# ---- one peer --------------------------------------------------------------
class Image:
    """A new file system in a file, mounted; its device is the one that is counted."""
    def __init__(self, kind):
        self.file, self.root, self.count = DIR + '/image', RUN + '/image', 0
        with open(self.file, 'wb') as f: f.truncate(6 << 30)
        subprocess.run(['mkfs.' + kind, '-q', '-F' if kind == 'ext4' else '-f', self.file], check=True)
        self.loop = sh('losetup', '-f', '--show', '--direct-io=on', self.file, check=True).stdout.strip()
        os.makedirs(self.root, exist_ok=True)
        subprocess.run(['mount', self.loop, self.root], check=True)
        DEVICE.append(device_of(self.root))

    def directory(self):
        self.count += 1
        d = '%s/%d' % (self.root, self.count)
        os.mkdir(d)
        return d

    def remove(self):
        DEVICE.pop()
        subprocess.run(['umount', self.root])
        subprocess.run(['losetup', '-d', self.loop])
        os.unlink(self.file)

class Peer:
    def __init__(self, name, instance=None, port=PORT):
        self.name, self.script, self.instance, self.port = name, f'{HERE}/peers/{name}.sh', instance or name, port
        self.dir, self.cg = f'{RUN}/{self.instance}', f'{CG}-{self.instance}'
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        os.makedirs(self.cg, exist_ok=True)
        self.mounts = []
        self.image = None
        self.env = {}

    def verb(self, verb, timeout=60, join=False):
        e = dict(os.environ, B_DIR=self.dir, B_INSTANCE=self.instance, B_PORT=str(self.port), B_SINK=str(SINK), B_SCEN='', B_CONC='', B_TRACE='')
        e.update(self.env)

        def pre():
            if join:
                with open(self.cg + '/cgroup.procs', 'w') as f:
                    f.write('0')
            os.setsid()
        with open(self.dir + '/harness.log', 'a') as log:
            if verb in ('info', 'spool', 'queued', 'files'):
                return subprocess.run(['sh', self.script, verb], env=e, stdout=subprocess.PIPE, stderr=log, text=True, timeout=timeout).stdout
            return subprocess.run(['sh', self.script, verb], env=e, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=pre, timeout=timeout)

    def pids(self):
        try:
            return [int(x) for x in open(self.cg + '/cgroup.procs').read().split()]
        except OSError:
            return []

    def cpu(self):                    # seconds used by all processes of the peer, ended ones too
        if CGV1:
            return int(open(self.cg + '/cpuacct.usage').read()) / 1e9
        return int(re.search(r'^usage_usec (\d+)', open(self.cg + '/cpu.stat').read(), re.M).group(1)) / 1e6

    def queued(self):
        return int(self.verb('queued').strip() or 0)

    def up(self, fs, beside=None, **env):
        """Start it on this file system; beside: a peer that is up, whose file system it shares."""
        self.env = {k: str(v) for k, v in env.items()}
        self.wait_gone(0)
        self.verb('wipe')
        self.verb('config')
        if fs != 'disk':
            image = beside.image if beside else Image(fs) if fs != 'tmpfs' else None
            if not beside: self.image = image
            for d in self.verb('spool').split() + [HOME] * (not beside): self.cover(d, image)
        if not beside: make_homes()
        self.verb('config')
        subprocess.run(['sync'])
        self.verb('start', join=True)
        self.wait_port()

    def cover(self, d, image):
        """Put a copy of this directory, on the other file system, in its place."""
        os.makedirs(d, exist_ok=True)
        keep = RUN + '/keep'
        subprocess.run(['rm', '-rf', keep])
        subprocess.run(['cp', '-a', d, keep], check=True)
        if image: subprocess.run(['mount', '--bind', image.directory(), d], check=True)
        else: subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16g', 'none', d], check=True)
        subprocess.run(['cp', '-a', keep + '/.', d], check=True)
        subprocess.run(['chown', '--reference=' + keep, d]); subprocess.run(['chmod', '--reference=' + keep, d])
        self.mounts.append(d)

    def wait_port(self):
        import socket
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                s = socket.create_connection(('127.0.0.1', self.port), 5)
                s.settimeout(20)
                if s.recv(100).startswith(b'220'):
                    s.sendall(b'QUIT\r\n')
                    s.recv(100)
                    s.close()
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(self.name + ': does not answer on its port; see ' + self.dir + '/harness.log')

    def wait_gone(self, grace):
        end = time.monotonic() + grace
        while self.pids() and time.monotonic() < end:
            time.sleep(0.05)
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for p in self.pids():
                try:
                    os.kill(p, sig)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + 3
            while self.pids() and time.monotonic() < end:
                time.sleep(0.05)

    def down(self):
        try:
            self.verb('stop')
        except subprocess.TimeoutExpired:
            pass
        self.wait_gone(0.5)
        if not self.mounts:
            self.verb('wipe', timeout=120)
        for d in reversed(self.mounts):
            subprocess.run(['umount', '-l', d])
        self.mounts = []
        if self.image: self.image.remove()
        self.image = None
        subprocess.run(['sync'])

    def memory(self):
        pss = rss = 0
        by = {}
        for p in self.pids():
            try:
                t = open(f'/proc/{p}/smaps_rollup').read()
                c = open(f'/proc/{p}/comm').read().strip()
            except OSError:
                continue
            a = int(re.search(r'^Pss: +(\d+)', t, re.M).group(1))
            r = int(re.search(r'^Rss: +(\d+)', t, re.M).group(1))
            pss += a
            rss += r
            n, x, y = by.get(c, (0, 0, 0))
            by[c] = (n + 1, x + a, max(y, r))
        return {'pss_kb': pss, 'rss_kb': rss, 'procs': len(self.pids()), 'by': by}

    def wait_for_fewer(self, pause=5):
        """Until no more processes go that have done their work."""
        before = len(self.pids())
        while True:
            time.sleep(pause)
            now = len(self.pids())
            if now >= before:
                return
            before = now

    def settle(self, most=60, share=0.03):
        end = time.monotonic() + most
        quiet = 0
        while time.monotonic() < end:
            a, t = self.cpu(), time.monotonic()
            time.sleep(0.5)
            quiet = quiet + 1 if (self.cpu() - a) / (time.monotonic() - t) < share else 0
            if quiet >= 2:
                return True
        return False


# ---- load, sink, counters --------------------------------------------------
class Sink:
    def __init__(self, delay=0):
        self.file = RUN + '/sink.count'
        if os.path.exists(self.file):
            os.unlink(self.file)
        self.p = subprocess.Popen([BIN + '/mailsink', '127.0.0.1', str(SINK), self.file, str(delay), str(DOMAINS)])
        end = time.monotonic() + 5
        while time.monotonic() < end and (not os.path.exists(self.file) or os.path.getsize(self.file) < 1000):
            time.sleep(0.02)
        self.m = mmap.mmap(os.open(self.file, os.O_RDWR), 0)
        time.sleep(0.1)

    def get(self):
        return dict(zip(('conns', 'msgs', 'rcpts', 'bytes', 'open', 'maxopen', 'dup', 'last_ns', 'seqmsgs', 'distinct'),
                        struct.unpack('10Q', self.m[:80])))

    def stop(self):
        self.p.terminate()
        self.p.wait()


def load(**o):
    """mailload; returns its JSON"""
    o = {'t': 25, 'p': PORT, **o}
    a = [BIN + '/mailload']
    for k, v in o.items():
        a += ['-' + k] + ([] if v is True else [str(v)])
    r = subprocess.run(a, capture_output=True, text=True, timeout=300)
    try:
        return json.loads(r.stdout)
    except ValueError:
        raise RuntimeError('mailload: ' + r.stdout + r.stderr)


def smtp_source(c, n, size, keep=False):
    t = time.monotonic()
    try:
        r = subprocess.run(['smtp-source', '-s', str(c), '-m', str(n), '-l', str(size), '-f', 'sender@src.test', '-t', 'u0@d0.test'] +
                           (['-d'] if keep else []) + [f'127.0.0.1:{PORT}'], capture_output=True, text=True, timeout=25)
    except subprocess.TimeoutExpired:
        return {'sent': 0, 'secs': 25, 'rate': 0, 'errors': 1, 'first_error': 'stalled: over 25 s', 'stalled': True}
    t = time.monotonic() - t
    return {'sent': n, 'secs': t, 'rate': n / t, 'errors': 0 if r.returncode == 0 else 1, 'first_error': r.stderr.strip()[-200:]}


SEQ = [0]
def seq(n):
    """distinct X-Seq numbers for the sink's bitmap"""
    if SEQ[0] + n > 4000000:
        SEQ[0] = 0
    SEQ[0] += n
    return SEQ[0] - n


def maildirs():
    return sum(len(os.listdir(f'{HOME}/bench{i}/Maildir/new')) for i in range(USERS))


def device_of(path):
    d = os.stat(path).st_dev
    return os.major(d), os.minor(d)

DEVICE = [device_of(DIR)] if os.path.isdir(DIR) else [None] # the last one is counted
def disk():
    for l in open('/proc/diskstats'):
        f = l.split()
        if (int(f[0]), int(f[1])) == DEVICE[-1]:
            return {'w': int(f[7]), 'sect': int(f[9]), 'flush': int(f[18]) if len(f) > 18 else 0}
    return {'w': 0, 'sect': 0, 'flush': 0}


def steal():
    f = open('/proc/stat').readline().split()
    return int(f[8]) / HZ


CAL = {}
class Ctx:
    def __init__(self, args):
        self.a = args
        self.peers = [Peer(n) for n in args.peers.split(',')]

    def record(self, **r):
        r['time'] = time.strftime('%H:%M:%S')
        with open(self.a.out, 'a') as f:
            f.write(json.dumps(r) + '\n')
        print(' '.join(f'{k}={v:.5g}' if isinstance(v, float) else f'{k}={v}' for k, v in r.items() if k not in ('by',)), flush=True)

    def count(self, key, probe, lo, hi):
        """how many messages make a run of --secs; probe(n) -> seconds"""
        if key not in CAL:
            n = lo
            t = probe(n)
            if t > 20:
                CAL[key] = n
                return n
            if t < 0.6 and n * 4 < hi:
                n *= 4
                t = probe(n)
            CAL[key] = max(lo, min(hi, int(n / t * self.a.secs)))
        return CAL[key]

    def each(self, cells, body):
        """repetitions outside, cells next, peers inside: they alternate"""
        for rep in range(self.a.reps):
            for cell in cells:
                k = (rep + cells.index(cell)) % len(self.peers)
                for p in self.peers[k:] + self.peers[:k]:
                    try:
                        body(p, rep, cell)
                    except Exception as e:
                        print('FAILED', p.name, cell, repr(e)[:300], flush=True)
                        self.record(m='failed', peer=p.name, cell=str(cell), why=repr(e)[:300])
                    finally:
                        p.down()


def timed(p, f):
    d0, c0, s0, t0 = disk(), p.cpu(), steal(), time.monotonic()
    r = f()
    r['wall'] = time.monotonic() - t0
    r['cpu_ms'] = (p.cpu() - c0) * 1e3 / max(1, r.get('n', r.get('sent', 1)))
    d1 = disk()
    n = max(1, r.get('n', r.get('sent', 1)))
    r['flush_per'] = (d1['flush'] - d0['flush']) / n
    r['kb_per'] = (d1['sect'] - d0['sect']) / 2 / n
    r['steal'] = steal() - s0
    return r


# ---- measurements ----------------------------------------------------------
POOL = 6000 # finished files that pipit has at the start, as after a while of work

def certificate():
    """A certificate with its key, RSA of 2048 bits, that every peer has."""
    path = DIR + '/rsa.pem'
    if not os.path.exists(path):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '3650', '-subj', '/CN=bench.test',
                        '-keyout', path + '.key', '-out', path + '.crt'], check=True, capture_output=True)
        with open(path, 'w') as f: f.write(open(path + '.key').read() + open(path + '.crt').read())
    return path


def intake(x, name, cells, keepalive=False, own=False, pool=POOL, tls=False):
    """accepted by SMTP into the held queue; with tls, cells say whether sessions of TLS are resumed as well"""
    def body(p, rep, cell):
        c, size, *resume = cell
        p.up(x.a.fs, B_SCEN='hold', B_POOL=pool, B_TLS=certificate() if tls else '')
        if keepalive:
            go = lambda n: load(s=c, m=n, l=size, k=50, Q=True)
        elif tls:
            go = lambda n: load(s=c, m=n, l=size, k=1, T=True, **({'S': True} if resume[0] else {}))
        elif own:
            go = lambda n: load(s=c, m=n, l=size, k=1, Q=True)
        else:
            go = lambda n: smtp_source(c, n, size)
        lo = max(40, 4 * c) if size > 100000 else 40 if c == 1 else 300
        hi = POOL - 500 if size < 100000 else 2000
        go(max(20, c))                                        # warm
        known = len(CAL)
        n = x.count((name, p.name, cell, x.a.fs), lambda n: go(n)['secs'], lo, hi)
        if len(CAL) > known:                                  # the pool is full again for what counts
            p.down()
            p.up(x.a.fs, **p.env)
            go(max(20, c))
        q0 = p.queued()
        r = timed(p, lambda: go(n))
        time.sleep(0.3)
        arrived = p.queued() - q0
        end = time.monotonic() + 5
        while arrived < n and time.monotonic() < end:
            time.sleep(0.5)
            arrived = p.queued() - q0
        if r.get('stalled') or r['sent'] < n:
            r['rate'] = arrived / r['secs']
        x.record(m=name, peer=p.name, fs=x.a.fs, rep=rep, c=c, size=size, n=n, rate=r['rate'], cpu_ms=r['cpu_ms'], arrived=arrived,
                 ok=arrived == n, errors=r['errors'], err=r['first_error'], p50=r.get('p50ms'), p99=r.get('p99ms'),
                 **({'resume': resume[0], 'resumed': r['resumed']} if tls else {}), flush=r['flush_per'], kb=r['kb_per'], steal=r['steal'])
    x.each(cells, body)

def m_intake(x): intake(x, 'intake', [(1, 4096), (10, 4096), (50, 4096)])
def m_intakeq(x): intake(x, 'intakeq', [(10, 4096)], own=True)
def m_intakenew(x): intake(x, 'intakenew', [(10, 4096)], own=True, pool=0)
def m_intake1m(x): intake(x, 'intake1m', [(5, 1 << 20)], own=True)
def m_tls(x): intake(x, 'tls', [(5, 4096, 0), (5, 4096, 1)], tls=True)
def m_keepalive(x): intake(x, 'keepalive', [(10, 4096)], keepalive=True)
def m_keepalivenew(x): intake(x, 'keepalivenew', [(10, 4096)], keepalive=True, pool=0)


def m_local(x, cells=((5, 4096),)):
    """SMTP in, Maildir out, 20 users"""
    def body(p, rep, cell):
        c, size = cell
        p.up(x.a.fs, B_SCEN='local', B_POOL=POOL)

        def go(n):
            base = maildirs()
            r = load(s=c, m=n, l=size, u='bench%d', U=USERS, d='local.test', q=seq(n), Q=True)
            r['accept_rate'] = r['rate']
            end = time.monotonic() + 60
            got, t, pause = 0, time.monotonic(), 0.02
            while time.monotonic() < end and got < n:
                time.sleep(pause)
                last, at, got, t = got, t, maildirs() - base, time.monotonic()
                pause = min(1, max(0.02, (n - got) * (t - at) / max(1, got - last) / 2)) # to look is work, with many users
            return dict(r, got=got, n=n)

        def whole(n):
            t = time.monotonic()
            r = go(n)
            r['secs'] = time.monotonic() - t
            r['rate'] = r['got'] / r['secs']
            return r
        whole(40)
        n = x.count(('local', p.name, cell, x.a.fs), lambda n: whole(n)['secs'], 100, 30000)
        r = timed(p, lambda: whole(n))
        time.sleep(0.3)
        x.record(m='local', peer=p.name, fs=x.a.fs, rep=rep, c=c, n=n, rate=r['rate'], accept_rate=r['accept_rate'], cpu_ms=r['cpu_ms'],
                 arrived=r['got'], ok=r['got'] == n, left=p.queued(), errors=r['errors'], err=r['first_error'], flush=r['flush_per'], kb=r['kb_per'], steal=r['steal'])
    x.each(list(cells), body)


def relay_run(p, sink, c, n, size, domains, limit=60):
    q = seq(n)
    s0 = sink.get()
    t0 = time.monotonic()
    r = load(p=p.port, s=c, m=n, l=size, u='u%d', U=1000, d='d%d.test', D=domains, q=q, Q=True)
    acc = r['rate']
    end = time.monotonic() + limit
    while time.monotonic() < end and sink.get()['msgs'] - s0['msgs'] < n:
        time.sleep(0.01)
    s1 = sink.get()
    got = s1['msgs'] - s0['msgs']
    secs = (s1['last_ns'] / 1e9 - t0) if got >= n else time.monotonic() - t0
    return dict(r, secs=secs, rate=got / secs, accept_rate=acc, n=n, got=got, distinct=s1['distinct'] - s0['distinct'],
                dup=s1['dup'] - s0['dup'], conns=s1['conns'] - s0['conns'], maxopen=s1['maxopen'])


def relay(x, name, cells, delay=0, pool=POOL):
    """SMTP in, SMTP out to the sink; cell = (inbound sessions, delivery concurrency or '', domains)"""
    def body(p, rep, cell):
        c, conc, domains = cell
        sink = Sink(delay)
        try:
            p.up(x.a.fs, B_SCEN='relay', B_CONC=conc, B_POOL=pool)
            relay_run(p, sink, c, 40, 4096, domains, 15)
            n = x.count((name, p.name, cell, x.a.fs), lambda n: relay_run(p, sink, c, n, 4096, domains, 30)['secs'], 100, 40000)
            n = max(n, x.a.min_n)
            r = timed(p, lambda: relay_run(p, sink, c, n, 4096, domains))
            x.record(m=name, peer=p.name, fs=x.a.fs, rep=rep, c=c, conc=conc, domains=domains, delay=delay, n=n, rate=r['rate'], accept_rate=r['accept_rate'],
                     cpu_ms=r['cpu_ms'], arrived=r['distinct'], dup=r['dup'], ok=r['distinct'] == n and r['dup'] == 0, conns=r['conns'], maxopen=r['maxopen'],
                     errors=r['errors'], err=r['first_error'], flush=r['flush_per'], kb=r['kb_per'], steal=r['steal'])
        finally:
            sink.stop()
    x.each(cells, body)

def m_relay(x): relay(x, 'relay', [(5, '', 1), (5, 100, 1), (5, '', 100), (5, 100, 100)])
def m_relaynew(x): relay(x, 'relaynew', [(5, '', 1), (5, '', 100)], pool='')
def m_relaydelay(x): relay(x, 'relaydelay', [(5, '', 1), (5, 100, 1)], delay=20)


def m_rcpts(x):
    """one message, 1000 recipients of one domain, to the sink"""
    def body(p, rep, cell):
        sink = Sink()
        try:
            p.up(x.a.fs, B_SCEN='relay')
            relay_run(p, sink, 5, 40, 4096, 1, 15)
            p.settle(10)

            def go():
                s0 = sink.get()
                t0 = time.monotonic()
                r = load(s=1, m=1, l=4096, r=1000, d='d0.test', q=seq(1))
                end = time.monotonic() + 60
                while time.monotonic() < end and sink.get()['rcpts'] - s0['rcpts'] < 1000:
                    time.sleep(0.002)
                time.sleep(0.05)
                s1 = sink.get()
                end = time.monotonic() + 5
                while s1['open'] and time.monotonic() < end and s1['rcpts'] - s0['rcpts'] < 1000:
                    time.sleep(0.01)
                    s1 = sink.get()
                r.update(n=1000, accept=r['secs'], secs=s1['last_ns'] / 1e9 - t0, rcpts=s1['rcpts'] - s0['rcpts'], msgs=s1['msgs'] - s0['msgs'], conns=s1['conns'] - s0['conns'])
                return r
            r = timed(p, go)
            x.record(m='rcpts', peer=p.name, fs=x.a.fs, rep=rep, accept_s=r['accept'], secs=r['secs'], rcpts=r['rcpts'], copies=r['msgs'], conns=r['conns'],
                     ok=r['rcpts'] == 1000, cpu_ms_total=r['cpu_ms'] * 1000, errors=r['errors'], err=r['first_error'], flush_total=r['flush_per'] * 1000)
        finally:
            sink.stop()
    x.each([0], body)


def m_backlog(x, total=20000, part=1500):
    """sink down; 20,000 queued; memory, intake ratio, then drain"""
    def body(p, rep, cell):
        p.up(x.a.fs, B_SCEN='relay')
        go = lambda n, k=1: load(s=5, m=n, l=4096, k=k, t=120, u='u%d', U=1000, d='d%d.test', D=1, q=seq(n), Q=True)
        go(40)
        p.settle(10)
        m0 = p.memory()
        first = go(part)
        p.settle(60)
        empty_settled = p.queued()
        t0 = time.monotonic()
        fill = go(total - part - 40, 10)
        fillt = time.monotonic() - t0
        calm = p.settle(90)
        m1 = p.memory()
        q = p.queued()
        last = go(part)
        p.settle(30)
        sink = Sink()
        try:
            s0, t0, c0 = sink.get(), time.monotonic(), p.cpu()
            p.verb('kick')
            end = t0 + x.a.drain
            while time.monotonic() < end and sink.get()['msgs'] < total + part:
                time.sleep(0.05)
            s1 = sink.get()
            t = time.monotonic() - t0
            x.record(m='backlog', peer=p.name, fs=x.a.fs, rep=rep, queued=q, rate_empty=first['rate'], rate_fill=fill['rate'], rate_backlog=last['rate'],
                     ratio=last['rate'] / first['rate'], calm=calm, idle_pss_kb=m0['pss_kb'], backlog_pss_kb=m1['pss_kb'], by0=m0['by'], by1=m1['by'],
                     errors=fill['errors'] + last['errors'], err=fill['first_error'], p99_empty=first['p99ms'], p99_backlog=last['p99ms'],
                     drained=s1['msgs'], drain_secs=t, drain_rate=s1['msgs'] / t, dup=s1['dup'], distinct=s1['distinct'], drain_cpu_ms=(p.cpu() - c0) * 1e3 / max(1, s1['msgs']))
        finally:
            sink.stop()
    x.each([0], body)


DEAD = 'u@dead.test'

def m_million(x):
    """a million messages wait for a dead host: memory, start, and what comes in meanwhile (pipit alone; use --fs tmpfs)"""
    def body(p, rep, cell):
        queue, sink = p.verb('spool').split()[0], Sink()
        alone = dict(B_SCEN='relay', B_POOL=POOL)
        run = lambda: relay_run(p, sink, 5, x.a.min_n or 5000, 4096, 1)
        def single():
            t, before = time.monotonic(), sink.get()['msgs']
            load(s=1, m=1, l=4096, u='u%d', U=1, d='d0.test', q=seq(1), Q=True)
            while sink.get()['msgs'] == before and time.monotonic() < t + 60: time.sleep(0.001)
            return time.monotonic() - t
        try:
            p.up(x.a.fs, **alone)
            run()
            empty = run()
            p.verb('stop')
            p.wait_gone(2)
            with open(queue + '/../control/smtproutes', 'a') as f: f.write('dead.test:[127.0.0.1]:1\n')
            subprocess.run([sys.executable, HERE + '/fillqueue.py', queue, str(x.a.waiting), DEAD], check=True)
            t, c = time.monotonic(), p.cpu()
            p.verb('start', join=True)
            p.wait_port()
            first = single()
            began = time.monotonic() - t
            p.settle(300)
            known, cpu, m = time.monotonic() - t, p.cpu() - c, p.memory()
            later = [single() for _ in range(5)]
            full = run()
            x.record(m='million', peer=p.name, fs=x.a.fs, waiting=x.a.waiting, first_s=first, first_after_start_s=began, known_s=known,
                     scan_cpu_s=cpu, send_pss_kb=m['by']['pipit-send'][1], single_s=max(later), rate_empty=empty['accept_rate'],
                     rate_full=full['accept_rate'], ratio=full['accept_rate'] / empty['accept_rate'], relay_empty=empty['rate'],
                     relay_full=full['rate'], ok=full['distinct'] == full['n'] and full['dup'] == 0)
        finally:
            sink.stop()
    x.each([0], body)


def m_dead(x, pairs=15):
    """mail for a live host beside 50,000 messages for a dead one that came in by SMTP, run by run against an instance without them (pipit alone)"""
    def body(p, rep, cell):
        sink, other = Sink(), Peer(p.name, p.name + '-other', PORT + 2)
        try:
            for peer in p, other:
                peer.up(x.a.fs, beside=None if peer is p else p, B_SCEN='relay', B_POOL=POOL)
                peer.verb('stop')
                peer.wait_gone(2)
                with open(peer.verb('spool').split()[0] + '/../control/smtproutes', 'a') as f: f.write('dead.test:[127.0.0.1]:1\n')
                peer.verb('start', join=True)
                peer.wait_port()
            fill = load(s=10, m=x.a.waiting // 20, l=4096, u='u%d', U=1000, d='dead.test', t=300)
            p.settle(60)
            run = lambda peer: relay_run(peer, sink, 10, x.a.min_n or 5000, 4096, 1)
            for peer in other, p: run(peer)
            rates = [{peer.instance: run(peer) for peer in ((p, other), (other, p))[i % 2]} for i in range(pairs)]
            rate = lambda peer: statistics.median(r[peer.instance]['rate'] for r in rates)
            x.record(m='dead', peer=p.name, fs=x.a.fs, waiting=p.queued(), fill_rate=fill['rate'], rate_alone=rate(other), rate_beside=rate(p),
                     ratio=statistics.median(r[p.instance]['rate'] / r[other.instance]['rate'] for r in rates),
                     ok=all(v['distinct'] == v['n'] and v['dup'] == 0 for r in rates for v in r.values()))
        finally:
            other.down()
            sink.stop()
    x.each([0], body)


def m_banner(x):
    """milliseconds from connecting to the greeting, while nothing else goes on, and while 100 clients are in the middle of a handshake"""
    import socket
    def dial(): return socket.create_connection(('127.0.0.1', PORT), 20)
    def greeted():
        t = time.monotonic()
        with dial() as s:
            s.settimeout(20)
            s.recv(200)
            t = time.monotonic() - t
            s.sendall(b'QUIT\r\n')
            while s.recv(200): pass
        return t * 1e3
    def shaking():
        """A client that has said half of its hello."""
        s = dial()
        f = s.makefile('rb')
        f.readline()
        s.sendall(b'STARTTLS\r\n')
        f.readline()
        s.sendall(b'\x16\x03\x01\x02\0\1')
        return s
    def body(p, rep, cell):
        p.up(x.a.fs, B_SCEN='hold', B_POOL=POOL, B_TLS=certificate())
        for _ in range(50): greeted()
        quiet = sorted(greeted() for _ in range(500))
        held = [shaking() for _ in range(100)]
        time.sleep(0.5)
        busy = sorted(greeted() for _ in range(500))
        for s in held: s.close()
        x.record(m='banner', peer=p.name, rep=rep, quiet_p50=quiet[250], quiet_p99=quiet[494], busy_p50=busy[250], busy_p99=busy[494], ratio=busy[250] / quiet[250])
    x.each([0], body)


def m_growth(x):
    """memory (PSS, KB) of each program at rest, before and after ten thousand sessions of TLS"""
    def body(p, rep, cell):
        p.up(x.a.fs, B_SCEN='hold', B_POOL=POOL, B_TLS=certificate())
        def after(n):
            sent = sum(load(s=5, m=500, l=100, k=1, T=True)['sent'] for _ in range(n // 500))
            p.wait_for_fewer()
            return sent, {name: [procs, pss] for name, (procs, pss, rss) in p.memory()['by'].items()}
        first, then = after(500), after(10000)
        x.record(m='growth', peer=p.name, rep=rep, sessions=then[0], before=first[1], after=then[1])
    x.each([0], body)


def m_footprint(x):
    """memory at rest, after work, and per open session, in clear and over TLS"""
    def body(p, rep, tls):
        sink = Sink()
        try:
            p.up(x.a.fs, B_SCEN='relay', B_TLS=certificate() if tls else '')
            time.sleep(2)
            fresh = p.memory()
            relay_run(p, sink, 5, 200, 4096, 1, 20)
            p.settle(20)
            warm = p.memory()
            p.wait_for_fewer()
            out = {}
            for n in (10, 100):
                a = [BIN + '/mailload', '-p', str(PORT), '-I', '-s', str(n)] + ['-T'] * tls
                q = subprocess.Popen(a, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                line = q.stdout.readline()
                time.sleep(1)
                out[n] = p.memory()
                out[n]['line'] = line.strip()
                q.stdin.close()
                q.wait()
                time.sleep(0.5)
            x.record(m='footprint', tls=tls, peer=p.name, rep=rep, fresh_pss=fresh['pss_kb'], fresh_rss=fresh['rss_kb'], fresh_procs=fresh['procs'], warm_pss=warm['pss_kb'],
                     warm_rss=warm['rss_kb'], warm_procs=warm['procs'], s10_pss=out[10]['pss_kb'], s100_pss=out[100]['pss_kb'], s100_procs=out[100]['procs'],
                     per_session_kb=(out[100]['pss_kb'] - out[10]['pss_kb']) / 90, line=out[100]['line'], by=fresh['by'], by_warm=warm['by'], by100=out[100]['by'])
        finally:
            sink.stop()
    x.each([0, 1], body)


CALLS = 'fsync,fdatasync,sync,syncfs,sync_file_range,fork,vfork,clone,clone3,execve,rename,renameat,renameat2,link,linkat,unlink,unlinkat,open,openat,creat,write,writev,read,sendto,sendmsg,recvfrom,recvmsg,connect,socket'
def m_syscalls(x):
    """system calls per message, as the slope between a short and a longer run"""
    def one(p, scen, n):
        files = p.dir + '/trace'
        for f in glob.glob(files + '*'):
            os.unlink(f)
        sink = Sink()
        try:
            p.up(x.a.fs, B_SCEN=scen, B_TRACE=f'strace -f -qq -e trace={CALLS} -e signal=none -o {files}')
            for m in ((1,) if n == 0 else (n,)):
                r = load(s=1, m=max(1, m), l=4096, u='bench%d' if scen == 'local' else 'u%d', U=USERS, d='local.test' if scen == 'local' else 'd%d.test', D=1, q=seq(n + 1))
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    if scen == 'hold' or (scen == 'local' and maildirs() >= max(1, m)) or (scen == 'relay' and sink.get()['msgs'] >= max(1, m)):
                        break
                    time.sleep(0.1)
                time.sleep(1.5)
            p.down()
        finally:
            sink.stop()
        c = {}
        for f in glob.glob(files + '*'):
            for l in open(f, errors='replace'):
                g = re.match(r'\d+ +(\w+)\(', l)
                if g:
                    k = g.group(1)
                    if k in ('clone', 'clone3') and 'CLONE_THREAD' in l:
                        k = 'thread'
                    if re.search(r'\) += -1 ', l) and k in ('execve', 'openat', 'open', 'unlink', 'unlinkat'):
                        k += '_fail'
                    c[k] = c.get(k, 0) + 1
        return c
    def body(p, rep, scen):
        a, b = one(p, scen, 20), one(p, scen, 120)
        r = {k: round((b.get(k, 0) - a.get(k, 0)) / 100, 2) for k in sorted(set(a) | set(b))}
        x.record(m='syscalls', peer=p.name, scen=scen, **{'calls': {k: v for k, v in r.items() if abs(v) >= 0.05}})
    x.a.reps = 1
    x.each(['hold', 'local', 'relay'], body)


def m_probe(x):
    """does each peer work at all: a few messages each way"""
    def body(p, rep, cell):
        print(p.name, p.verb('info').strip())
        for scen in ('hold', 'local', 'relay'):
            sink = Sink()
            try:
                p.up(x.a.fs, B_SCEN=scen)
                t = time.monotonic()
                if scen == 'relay':
                    r = relay_run(p, sink, 5, 50, 4096, 100, 10)
                    print(p.name, scen, 'sink', sink.get(), r['errors'], r['first_error'], 'left', p.queued())
                elif scen == 'local':
                    r = load(s=5, m=50, l=4096, u='bench%d', U=USERS, d='local.test')
                    end = time.monotonic() + 5
                    while maildirs() < 50 and time.monotonic() < end:
                        time.sleep(0.05)
                    print(p.name, scen, 'maildir', maildirs(), 'left', p.queued(), r, time.monotonic() - t)
                else:
                    r = smtp_source(5, 50, 4096)
                    print(p.name, scen, 'queued', p.queued(), r)
                print('  ', p.memory())
            finally:
                sink.stop()
                p.down()
    x.each([0], body)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('what', nargs='+')
    ap.add_argument('--peers', default='postfix,pipit')
    ap.add_argument('--reps', type=int, default=3)
    ap.add_argument('--secs', type=float, default=5)
    ap.add_argument('--min-n', type=int, default=0, help='at least so many messages in a relay run')
    ap.add_argument('--waiting', type=int, default=1000000, help='messages of the measurement million')
    ap.add_argument('--users', type=int, default=USERS, help='that get mail in the measurement local')
    ap.add_argument('--drain', type=float, default=60)
    ap.add_argument('--fs', default='disk')
    ap.add_argument('--out', default=DIR + '/results.jsonl')
    a = ap.parse_args()
    globals()['USERS'] = a.users
    isolate()
    add_users()
    log = subprocess.Popen([BIN + '/logsink', '/dev/log', RUN + '/syslog'])
    x = Ctx(a)
    try:
        for w in a.what:
            globals()['m_' + w](x)
    finally:
        log.terminate()
        log.wait()
        if os.path.exists('/dev/log'):
            os.unlink('/dev/log')
        for d in glob.glob(HOME + '/old.*'):
            shutil.rmtree(d)
        for p in x.peers:
            p.wait_gone(0)
            try:
                os.rmdir(p.cg)
            except OSError:
                pass


if __name__ == '__main__':
    main()
