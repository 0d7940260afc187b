"""instance.py - a whole running pipit for tests: set up, start, stop, look inside

Instance makes a home with pipit-setup and starts it with pipit-run. Root runs a
one-account instance as the account nobody (pipit.ACCOUNT). Processes that lose
their parent become children of the test, so that none escapes: stop() returns
the names of those that were left.
"""
import atexit, ctypes, glob, os, re, shutil, signal, smtplib, socket, struct, subprocess, sys, threading, time
from pipit import *
from queuefile import live_files

START_SECONDS = 30
STOP_SECONDS = 20
SANITIZER = re.compile('AddressSanitizer|LeakSanitizer|runtime error:')
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

def reachable(path):
    """The directory, or a copy of it where the test's account can execute what is in it."""
    if not ROOT or as_account(['test', '-x', path]).wait() == 0: return path
    copy = os.path.join(SCRATCH, 'reach.' + os.path.basename(path))
    if not os.path.isdir(copy): shutil.copytree(path, copy, symlinks=True)
    return copy

def processes():
    """{pid: (parent, state, name)} of everything that runs."""
    found = {}
    for d in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % d) as f: text = f.read()
        except OSError: continue
        name, rest = text[text.index('(') + 1:].rsplit(')', 1)
        state, parent = rest.split()[:2]
        found[int(d)] = (int(parent), state, name)
    return found

def descendants(pid):
    """{pid: name} of the processes below <pid>; adopted dead ones are buried."""
    table, found, grew = processes(), {}, True
    while grew:
        grew = False
        for p, (parent, state, name) in table.items():
            if p in found or (parent != pid and parent not in found): continue
            found[p] = name
            grew = True
    return {p: n for p, n in found.items() if table[p][1] not in 'ZX'}

def bury(keep=()):
    """Wait for dead children that were adopted, not for those that Popen objects own."""
    for p, (parent, state, name) in processes().items():
        if parent == os.getpid() and state == 'Z' and p not in keep:
            try: os.waitpid(p, os.WNOHANG)
            except ChildProcessError: pass

def kill(pid, sig=signal.SIGKILL):
    try: os.kill(pid, sig)
    except ProcessLookupError: return False
    return True

def strip_trace(message):
    """The message without the trace fields at its top: what its sender had sent."""
    while True:
        m = re.match(rb'(Return-Path|Delivered-To|Received|X-Peer|X-MailFrom|X-RcptTo):[^\n]*\n([ \t][^\n]*\n)*',
                     message)
        if not m: return message
        message = message[m.end():]

def lf(data):
    return data.replace(b'\r\n', b'\n')

def users_cdb(home, lines):
    """users/cdb from lines of users/assign, as qmail-newu makes it (1.13 of its contracts)."""
    pairs, last = [], set()
    for line in lines:
        kind, fields = line[0], line[1:].split(':')
        value = b'\0'.join(f.encode() for f in fields[1:7])
        key = b'!' + fields[0].lower().encode()
        if kind == '+':
            last.add(key[-1:])
            pairs.append((key, value))
        else: pairs.append((key + b'\0', value))
    write_cdb(os.path.join(home, 'users', 'cdb'), [(b'', b''.join(sorted(last)))] + pairs)

instances = []

@atexit.register
def stop_all():
    """A test that fails half way leaves nothing running either."""
    for i in instances: i.stop()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

CLONE_NEWNS = 0x20000

def private_mounts():
    """As root: mounts of this test are seen by nobody else, and vanish with it. False where that cannot be."""
    return ROOT and ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0 and \
        subprocess.run(['mount', '--make-rprivate', '/'], stderr=subprocess.DEVNULL).returncode == 0

class Instance:
    def __init__(self, name='pipit', me='mail.example', options=(), separated=False):
        """With <separated>, root makes an instance with an account for each part."""
        self.me, self.home, self.port = me, os.path.join(SCRATCH, name), free_port()
        self.separated, self.scan = separated, None
        instances.append(self)
        options = ('-n', me, '-s', str(self.port), *options)
        if separated:
            subprocess.run([os.path.join(BIN, 'pipit-setup'), *options, self.home], check=True, stdout=subprocess.DEVNULL)
        else: setup(self.home, *options)
        self.env = dict(os.environ, PIPIT_HOME=self.home, PATH=self.home + '/bin:' + os.environ['PATH'])

    # Programs of the instance, as its account.
    def popen(self, *args, **kw):
        kw.setdefault('env', self.env)
        return subprocess.Popen(args, **kw) if self.separated else as_account(args, **kw)

    def run(self, *args, input=b'', env={}, timeout=60):
        """Exit status and output (both streams) of a program."""
        p = self.popen(*args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=dict(self.env, **env), cwd='/')
        try: out = p.communicate(input, timeout)[0]
        except subprocess.TimeoutExpired:
            p.kill()
            out = p.communicate()[0] + b'(still running after %d s)' % timeout
        return p.returncode, out.decode(errors='replace')

    def sendmail(self, *args, input=b'', env={}):
        return self.run(os.path.join(self.home, 'bin', 'sendmail'), *args, input=input, env=env)

    # Start and stop.
    def start(self, *command, wait=True):
        """Start the supervision tree; its own output goes to <home>.out."""
        command = command or (os.path.join(self.home, 'bin', 'pipit-run'), self.home)
        with open(self.home + '.out', 'ab') as out:
            self.scan = self.popen(*command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd='/')
        if wait and not wait_for(self.ready, START_SECONDS, 0.1):
            raise RuntimeError('the instance is not ready after %d s: %s' % (START_SECONDS, self.tail()))
        return self

    def ready(self):
        return self.send_hears() and self.pids('pipit-rspawn') and self.queue_open() and self.rcptd_open() and self.banner()

    def send_hears(self):
        """Does send take ALRM? Before that it would die of it."""
        alrm = 1 << signal.SIGALRM - 1
        def hears(pid):
            try: text = open('/proc/%d/status' % pid).read()
            except OSError: return False
            return any(int(m, 16) & alrm for m in re.findall(r'^Sig(?:Blk|Cgt):\s+(\w+)', text, re.M))
        return self.pids('pipit-lspawn') and any(map(hears, self.send_pids()))

    def queue_open(self):
        """Does queued listen?"""
        with socket.socket(socket.AF_UNIX) as s: return s.connect_ex(os.path.join(self.home, 'run', 'queue')) == 0

    def rcptd_open(self):
        """Does rcptd listen?"""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            return s.connect_ex(os.path.join(self.home, 'run', 'rcptd')) == 0

    def banner(self):
        """Is there a server that greets with 220?"""
        try:
            with socket.create_connection(('127.0.0.1', self.port), 2) as s:
                return s.makefile('rb').readline().startswith(b'220 ')
        except OSError: return False

    def stop(self):
        """TERM to the supervision; returns the names of the processes that stayed, after killing them."""
        if not self.scan: return []
        self.scan.terminate()
        wait_for(lambda: self.scan.poll() is not None, STOP_SECONDS)
        wait_for(lambda: not self.others(), STOP_SECONDS)
        left = self.others()
        for pid in left: kill(pid)
        if self.scan.poll() is None: self.scan.kill()
        self.scan.wait()
        self.scan = None
        bury()
        text = '\n'.join([self.output()] + [l for lines in self.logs().values() for l in lines])
        if SANITIZER.search(text):
            check(False, 'a program of %s was stopped by a sanitizer' % self.home)
            print(self.tail())
        return sorted(left.values())

    def others(self):
        """{pid: name} of everything below this test that belongs to this instance."""
        found = {}
        for pid, name in descendants(os.getpid()).items():
            try: told = open('/proc/%d/environ' % pid, 'rb').read() + open('/proc/%d/cmdline' % pid, 'rb').read() + \
                        os.fsencode(os.readlink('/proc/%d/cwd' % pid))
            except PermissionError: # closed to others, or it changed its user, as only ours do
                told = b'' if any(x.scan and pid in descendants(x.scan.pid) for x in instances if x is not self) else self.home.encode()
            except OSError: continue
            if self.home.encode() in told: found[pid] = name
        return found

    def pids(self, name):
        """The pids of a program of this instance, by name."""
        return sorted(p for p, n in self.others().items() if n == name[:15])

    def send_pids(self):
        """The scheduler's own process, not its children, whatever it was started as."""
        table = processes()
        pids = self.pids('pipit-send') + self.pids('qmail-send')
        return [p for p in pids if table.get(p, (0,))[0] not in pids]

    def hup(self): self.signal_send(signal.SIGHUP)
    def alrm(self): self.signal_send(signal.SIGALRM)
    def signal_send(self, sig):
        for pid in self.send_pids(): kill(pid, sig)

    # What the instance has on disk.
    def control(self, name, text): control(self.home, name, text)

    def dot_qmail(self, local, text, mode=0o600):
        """alias/.qmail-<local>"""
        path = os.path.join(self.home, 'alias', '.qmail-' + local)
        with open(path, 'w') as f: f.write(text)
        self.give(path)
        os.chmod(path, mode)

    def give(self, path):
        """Below alias/ everything belongs to its owner."""
        if ROOT: shutil.chown(path, 'pipita' if self.separated else ACCOUNT.pw_uid,
                              'pipita' if self.separated else ACCOUNT.pw_gid)

    def mailbox(self, local):
        """Mail for <local> goes to a Maildir of its own; returns its path."""
        path = os.path.join(self.home, 'alias', local)
        for d in ('', 'tmp', 'new', 'cur'):
            os.makedirs(os.path.join(path, d), mode=0o700, exist_ok=True)
            self.give(os.path.join(path, d))
        self.dot_qmail(local, './%s/\n' % local)
        return path

    def mails(self, local):
        """The messages in a mailbox, oldest first."""
        found = []
        for d in ('new', 'cur'):
            for path in glob.glob(os.path.join(self.home, 'alias', local, d, '*')):
                try:
                    with open(path, 'rb') as f: found.append((os.fstat(f.fileno()).st_mtime_ns, f.read()))
                except FileNotFoundError: pass
        return [text for when, text in sorted(found)]

    def wait_mails(self, local, count, seconds=20):
        wait_for(lambda: len(self.mails(local)) >= count, seconds, 0.1)
        return self.mails(local)

    def queue(self):
        """The ids of the messages that are not finished."""
        return sorted({str(id) for id, path in live_files(self.home)})

    def wait_queue_empty(self, seconds=20):
        """True when everything was delivered or bounced; retries meanwhile do not wait."""
        return wait_for(lambda: not self.queue(), seconds, 0.1)

    def output(self):
        try:
            with open(self.home + '.out', errors='replace') as f: return f.read()
        except FileNotFoundError: return ''

    def tail(self):
        """The ends of all logs, to show with a failure."""
        return '\n'.join([self.output()] + ['%s: %s' % (s, l) for s, lines in self.logs().items() for l in lines[-15:]])

    def logs(self):
        """Every line that was logged, by service."""
        return {os.path.basename(d): self.log(os.path.basename(d))
                for d in sorted(glob.glob(os.path.join(self.home, 'log', '*')))}

    def log(self, service):
        text = ''
        for path in sorted(glob.glob(os.path.join(self.home, 'log', service, '@*'))) + \
                [os.path.join(self.home, 'log', service, 'current')]:
            try:
                with open(path, errors='replace') as f: text += f.read()
            except FileNotFoundError: pass
        return text.splitlines()

    # Mail in.
    def smtp(self, **kw):
        return smtplib.SMTP('127.0.0.1', self.port, timeout=30, **kw)

    def send(self, sender, rcpts, data):
        """One message by SMTP; the server's reply to its end, or the error raised."""
        with self.smtp() as s: return deliver(s, sender, rcpts, data)

def deliver(s, sender, rcpts, data):
    """Hand <data>, which has LF line ends, over on an open smtplib session; returns the final reply's text."""
    s.ehlo_or_helo_if_needed()
    for code, text in [s.mail(sender)] + [s.rcpt(r) for r in ([rcpts] if isinstance(rcpts, str) else rcpts)]:
        if code != 250:
            s.rset()
            raise smtplib.SMTPResponseException(code, text)
    code, text = s.data(data.replace(b'\n', b'\r\n'))
    if code != 250: raise smtplib.SMTPResponseException(code, text)
    return text.decode()
