"""local-workers.py - processes of pipit-local that take several messages: as safe as one for each

A file in a Maildir has the pid of its process in its name.
"""
import os, re, resource, shutil, signal, socket, struct, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from deliveries import *

HOME = make_home()
HELPERS = os.path.join(os.environ['BUILD'], 'tests', 'helpers')
ALIAS = HOME + '/alias'
LIFE, PAUSE, JOBS, IDLE = 5, 2, 100, 100 # of a worker: seconds, seconds without a job, deliveries; of all that wait
DID = ('K', 'did 1+0+0\n')
SANITIZED = b'__asan' in open(os.path.join(BIN, 'pipit-local'), 'rb').read()

def qmail(name, text, **kw): write(ALIAS + '/.qmail-' + name, text, **kw)

def pid_of(path): return int(re.search(r'P(\d+)V', os.path.basename(path)).group(1))

def latest(maildir='/Maildir'):
    """The file that was delivered last, and the pid of who did that."""
    path = max(new(ALIAS + maildir), key=lambda p: os.stat(p).st_ctime_ns)
    return path, pid_of(path)

def deliver(s, rcpt='joe@host.example', **kw):
    """A delivery to the alias account's Maildir: the pid of who did it."""
    result = s.job(rcpt, **kw)
    if result != DID: return result
    return latest()[1]

def gone(pid):
    """Has the process ended?"""
    try:
        with open('/proc/%d/stat' % pid) as f: return f.read().rsplit(')', 1)[1].split()[0] in 'ZX'
    except (FileNotFoundError, ProcessLookupError): return True

def reuse():
    qmail('joe', './Maildir/\n')
    qmail('two', './Maildir/\n')
    s = Lspawn(HOME)
    first = deliver(s)
    for i in range(10):
        text, sender = b'Subject: %d\n\n' % i + b'x' * (7000 * i), 'sender%d@there.example' % i
        pid = deliver(s, message=text, sender=sender, inside=i % 2)
        got = open(latest()[0], 'rb').read()
        equal((pid == first, got == b'Return-Path: <%s>\nDelivered-To: joe@host.example\n' % sender.encode() + text), (True, True),
              'the same process takes message %d, %s, and it is right' % (i, 'in the packet' if i % 2 else 'out of a pipe'))
    equal(deliver(s, message=b'', inside=True), first, 'an empty one, too')
    other = deliver(s, 'two@host.example')
    check(other != first, 'another address of the same user has a process of its own')
    check(deliver(s, 'Joe@host.example') not in (first, other), 'an address is what it is byte for byte')
    equal((deliver(s), deliver(s, 'two@host.example')), (first, other), 'and each goes back to its own')
    r, w = os.pipe()
    begun = s.send('joe@host.example', fd=r)
    os.close(r)
    parallel = deliver(s)
    check(parallel not in (first, other), 'one that is busy is not waited for')
    os.write(w, MSG)
    os.close(w)
    equal((s.result(), latest()[1]), ((begun, *DID), first), 'and goes on with its own message')
    check({deliver(s) for _ in range(4)} <= {first, parallel}, 'afterwards either takes the next')
    began = time.monotonic()
    check(len(s.children()) >= 4, 'they wait for more')
    check(wait_for(lambda: not s.children(), 10) and time.monotonic() - began > 0.5, 'and end when nothing comes')
    check(deliver(s) not in (first, parallel, other), 'the next message begins anew')
    equal((s.end(), s.said), (0, ''), 'lspawn ends without a word')
    check(wait_for(lambda: all(gone(p) for p in (first, parallel, other))), 'and its workers with it')

def limits():
    s = Lspawn(HOME)
    seen = [deliver(s, inside=True) for _ in range(JOBS * 2 + 20)]
    check(max(map(seen.count, seen)) <= JOBS and len(set(seen)) <= 40, 'no process takes more than %d messages' % JOBS)
    first, end = {}, time.monotonic() + LIFE + 3
    while time.monotonic() < end:
        pid, now = deliver(s), time.monotonic()
        if now - first.setdefault(pid, now) > LIFE + 2: break
        time.sleep(0.3)
    check(time.monotonic() >= end and len(first) > 1, 'nor for longer than %d seconds' % LIFE)
    s.end()
    s = Lspawn(HOME, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    qmail('many-default', './Maildir/\n')
    for i in range(3 * s.max): s.job('many-%d@host.example' % i)
    check(1 < len(s.children()) <= s.max + 1, 'those that wait make room for others')
    s.end()
    s = Lspawn(HOME)
    for i in range(IDLE + 30): s.job('many-%d@host.example' % i, inside=True)
    check(wait_for(lambda: len(s.children()) <= IDLE, 1), 'no more than %d wait' % IDLE)
    s.end()

def anew():
    """What a process must not remember."""
    make_maildir(ALIAS + '/Other')
    s = Lspawn(HOME)
    pid = deliver(s)
    qmail('joe', './Other/\n')
    equal((s.job('joe@host.example'), latest('/Other')[1]), (DID, pid), 'a dot-qmail file that was changed is heeded by the same process')
    os.unlink(ALIAS + '/.qmail-joe')
    equal(s.job('joe@host.example')[0], 'D', 'one that was removed')
    qmail('joe', './Maildir/\n')
    pid = deliver(s)
    check(isinstance(pid, int), 'and one that is back')
    qmail('joe', './Maildir/\n', mode=0o646)
    equal(s.job('joe@host.example')[0], 'Z', 'its mode is looked at each time')
    qmail('joe', './Maildir/\n')
    mode = os.stat(ALIAS).st_mode & 0o7777
    for bad in (0o1755, 0o757):
        deliver(s)
        os.chmod(ALIAS, bad)
        equal(s.job('joe@host.example')[0], 'Z', 'and that of the home: %o' % bad)
        os.chmod(ALIAS, mode)
    deliver(s)
    qmail('joe', '|env -0 >env; pwd >cwd; umask >>cwd; ls -l /proc/self/fd | grep -c -- "->" >fds; cat >message; echo $PPID >ppid\n')
    s.job('joe@host.example', sender='env@there.example', message=b'x' * 30000, inside=True)
    env = dict(v.split('=', 1) for v in open(ALIAS + '/env').read().split('\0') if v)
    s.end()
    s = Lspawn(HOME)
    s.job('joe@host.example', sender='env@there.example', message=b'x' * 30000)
    alone = dict(v.split('=', 1) for v in open(ALIAS + '/env').read().split('\0') if v)
    for e in (env, alone): e.pop('UFLINE')
    equal(env, alone, 'a program gets the same environment in a process that was used')
    equal((open(ALIAS + '/cwd').read(), open(ALIAS + '/fds').read(), os.path.getsize(ALIAS + '/message')),
          (ALIAS + '\n0077\n', '4\n', 30000), 'the same directory and umask, descriptors 0 to 2 only (and that of ls), the whole message')
    qmail('joe', './Maildir/\n')
    s.end()

def endings():
    """What ends a process."""
    s = Lspawn(HOME)
    qmail('prog', '|echo $PPID >ppid\n')
    qmail('box', './box\n')
    qmail('both', './Maildir/\n|true\n')
    qmail('none', '# nothing\n')
    for name, does in (('prog', 'ran a program'), ('both', 'delivered and ran a program'), ('none', 'threw a message away')):
        equal(s.job(name + '@host.example', inside=True)[0], 'K', 'a process that ' + does)
        check(wait_for(lambda: not s.children(), 1), 'has ended')
    seen = set()
    for _ in range(5):
        s.job('prog@host.example')
        seen.add(open(ALIAS + '/ppid').read())
    equal(len(seen), 5, 'each message for a program has a process of its own')
    equal(s.job('box@host.example'), DID, 'one that appended to an mbox')
    check(s.children(), 'waits for more')
    pid = s.children()[0]
    equal((s.job('box@host.example', inside=True), s.children()), (DID, [pid]), 'and appends the next')
    equal(open(ALIAS + '/box', 'rb').read().count(MSG), 2, 'the mbox has both')
    for why, letter, kw in (('loops', 'D', dict(message=b'Delivered-To: joe@host.example\n\nx\n')), ('is cut short', 'Z', dict(length=len(MSG) + 1))):
        pid = deliver(s)
        equal((s.job('joe@host.example', **kw)[0], wait_for(lambda: gone(pid))), (letter, True), 'a message that %s ends the process' % why)
        check(deliver(s) != pid, 'and the next one has another')
    equal(os.listdir(ALIAS + '/Maildir/tmp'), [], 'nothing half lies about')
    s.end()

def halt(pid):
    """Stop a worker that waits: one that is on its way there could still take a job."""
    def state(): return open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[0]
    wait_for(lambda: state() == 'S')
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: state() == 'T')

def deaths():
    """Processes that are killed or stopped."""
    control(HOME, 'timeoutlocal', '2')
    s = Lspawn(HOME)
    pid = deliver(s)
    os.kill(pid, signal.SIGKILL)
    check(wait_for(lambda: gone(pid)) and deliver(s) != pid, 'killed while it waits: the next message has another process')
    for inside in (False, True):
        pid = deliver(s)
        halt(pid)
        n = len(new(ALIAS + '/Maildir'))
        num = s.send('joe@host.example', inside=inside)
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        equal((s.result(), latest()[1] != pid, len(new(ALIAS + '/Maildir')) - n), ((num, *DID), True, 1),
              'killed before it began: another process delivers, once')
    r, w = os.pipe()
    pid = deliver(s)
    num = s.send('joe@host.example', fd=r)
    wait_for(lambda: os.listdir(ALIAS + '/Maildir/tmp'))
    os.kill(pid, signal.SIGKILL)
    equal(s.result(), (num, 'Z', 'The delivery crashed. (#4.3.0)\n'), 'killed after it began: a crash')
    os.close(r), os.close(w)
    pid = deliver(s)
    check(pid != latest, 'and mail goes on')
    halt(pid)
    began = time.monotonic()
    result = s.job('joe@host.example')
    equal((result[0], 'took too long' in result[1], time.monotonic() - began < 30), ('Z', True, True), 'one that hangs is ended')
    check(isinstance(deliver(s), int), 'and mail goes on')
    pid = deliver(s)
    halt(pid)
    time.sleep(PAUSE + 1)
    check(deliver(s) != pid, 'one that stopped while it waited gets no more')
    os.kill(pid, signal.SIGKILL)
    s.end()
    control(HOME, 'timeoutlocal', None)
    for f in os.listdir(ALIAS + '/Maildir/tmp'): os.unlink(ALIAS + '/Maildir/tmp/' + f)

EVIL = '''#!/usr/bin/python3
import array, os, socket, struct, sys, time
s = socket.socket(fileno=0)
fds = lambda n: [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1] * n))]
while True:
    job = s.recv(70000)
    num = job[1:5]
    try: open('alias/told', 'x').close()
    except FileExistsError: %s
    s.send(b'R' + num + bytes(4) + b'Kgood')
'''

def liars():
    """A worker may be out of its mind, which is its user's: lspawn, which is root, is not impressed."""
    isolated = os.path.join(SCRATCH, 'isolated')
    os.mkdir(isolated)
    program = shutil.copy(HELPERS + '/lspawn-exec', isolated + '/pipit-lspawn') # whose workers are bin/pipit-local
    own = HOME + '/bin/pipit-local'
    os.rename(own, own + '.away')
    for what, code in (('another number', "s.send(b'R' + bytes(3) + bytes([num[3] + 1]) + bytes(4) + b'K')"), ('a permanent failure', "s.send(b'R' + num + bytes(4) + b'D')"),
                       ('a job', "s.send(job[:29] + b'h\\0s\\0\\0r\\0', )"), ('a descriptor', "s.sendmsg([b'R' + num + bytes(4) + b'K'], fds(1))"),
                       ('a job with a descriptor', "s.sendmsg([b'J' + job[1:29] + b'h\\0s\\0\\0r@h\\0'], fds(1))"), ('many descriptors', "s.sendmsg([b'E' + num], fds(50))"),
                       ('an end', "s.send(b'E' + num)"), ('nothing known', "s.send(b'x' * 60000)"), ('two bytes', "s.send(b'R')"),
                       ('a note that is none', "s.send(b'N' + num + bytes(4) + b'X')"), ('a note on another recipient', "s.send(b'N' + num + bytes(3) + b'\\1P')"),
                       ('notes without end', "[s.send(b'N' + num + bytes(4) + b'Sx') for i in range(100)]")):
        write(own, EVIL % code, 0o755)
        if os.path.exists(ALIAS + '/told'): os.unlink(ALIAS + '/told')
        s = Lspawn(HOME, program=program)
        first = s.job('joe@host.example')
        fds = len(os.listdir('/proc/%d/fd' % s.p.pid)) if ROOT else 0
        second = s.job('joe@host.example')
        equal((first, second), (('K', 'good'), ('Z', 'The delivery crashed. (#4.3.0)\n')), 'a worker that answers with %s is ended' % what)
        if ROOT: check(len(os.listdir('/proc/%d/fd' % s.p.pid)) <= fds, 'and no descriptor of it stays')
        equal((s.end(), s.said), (0, ''), 'lspawn goes on')
    write(own, EVIL % "[s.send(b'R' + num + bytes(4) + b'Kagain') for _ in range(3)]; s.recv(70000); time.sleep(60)", 0o755)
    os.unlink(ALIAS + '/told')
    s = Lspawn(HOME, program=program)
    equal([s.job('joe@host.example')[0] for _ in range(3)], ['K', 'K', 'Z'], 'an answer too many is no answer to the next job')
    s.end()
    os.rename(own + '.away', own)

def changes():
    """users/cdb, as long as a process lives."""
    me = ACCOUNT.pw_uid
    for name in ('ann', 'bob'):
        make_maildir(os.path.join(HOME, name, 'Maildir'))
        own(os.path.join(HOME, name))
    def entry(name): users(HOME, '=who:%s:%d:%d:%s/%s:::' % (name, me, me, HOME, name))
    def counts(): return [len(new(HOME + d + '/Maildir')) for d in ('/ann', '/bob', '/alias')]
    qmail('who', './Maildir/\n')
    s = Lspawn(HOME)
    before = counts()
    def delivered():
        nonlocal before
        result = s.job('who@host.example')[0]
        was, before = before, counts()
        return result, [b - a for a, b in zip(was, before)]
    equal(delivered(), ('K', [0, 0, 1]), 'without users/cdb: the alias account')
    entry('ann')
    equal(delivered(), ('K', [1, 0, 0]), 'with an entry: that user, at once')
    equal(delivered(), ('K', [1, 0, 0]), 'and again')
    entry('bob')
    equal(delivered(), ('K', [0, 1, 0]), 'another entry: that user, at once')
    stamp = os.stat(HOME + '/users/cdb')
    text = open(HOME + '/users/cdb', 'rb').read()
    delivered()
    with open(HOME + '/users/cdb', 'r+b') as f: f.write(text.replace(b'/bob\\0', b'/ann\\0').replace(b'/bob\0', b'/ann\0'))
    os.utime(HOME + '/users/cdb', ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    equal(delivered(), ('K', [1, 0, 0]), 'changed in its place, with its old size and time: at once')
    with open(HOME + '/users/cdb', 'r+b') as f: f.truncate(1000)
    equal(delivered(), ('Z', [0, 0, 0]), 'damaged: deferred')
    os.unlink(HOME + '/users/cdb')
    equal(delivered(), ('K', [0, 0, 1]), 'removed: the alias account again')
    s.end()

class Worker:
    """A worker by itself, and the socket to it."""
    def __init__(self, home, *args):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(60)
        self.p = as_account([shutil.copy(HELPERS + '/local-worker', SCRATCH), 'joe', home, 'joe', '', '', 'host.example', './Maildir/'],
                            stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={'PATH': os.environ['PATH']})
        theirs.close()
        self.num = 0

    def job(self, message=MSG):
        self.num += 1
        self.sock.send(b'M' + struct.pack('>LQQQ', self.num, 1, 0, len(message)) + b'host.example\0me@there.example\0\0joe@host.example\0' + message)
        return self.sock.recv(70000)

    def size(self):
        """KiB of memory of its own, descriptors."""
        with open('/proc/%d/status' % self.p.pid) as f: text = f.read()
        return int(re.search(r'VmData:\s*(\d+)', text)[1]), int(re.search(r'FDSize:\s*(\d+)', text)[1]), \
            len(subprocess.run(['ls', '/proc/%d/fd' % self.p.pid], capture_output=True).stdout.split()) if ROOT else 0

def growth():
    home = os.path.join(SCRATCH, 'joe')
    os.mkdir(home)
    own(home)
    os.chmod(home, 0o755)
    make_maildir(home + '/Maildir')
    w = Worker(home)
    good = lambda: w.job() == b'R' + struct.pack('>LL', w.num, 0) + b'Kdid 1+0+0\n'
    ok = [good() for _ in range(100)]
    write(home + '/.qmail', './box\n')
    ok += [good() for _ in range(20)]
    os.unlink(home + '/.qmail')
    before = w.size()
    ok += [good() for _ in range(1000)]
    write(home + '/.qmail', './box\n')
    ok += [good() for _ in range(20)]
    check(all(ok), '%d messages through one process, each answered' % len(ok))
    equal(len(new(home + '/Maildir')), 1100, 'each has its file')
    if SANITIZED: skip('memory of a process: not in a sanitizer build')
    else: equal(w.size(), before, 'it does not grow')
    w.sock.close()
    equal((w.p.wait(10), w.p.stdout.read()), (0, b''), 'it ends with its socket')
    w.p.stdout.close()
    for text, args in (('a message', dict(stdin=subprocess.PIPE)), ('nothing', dict(stdin=subprocess.DEVNULL))):
        p = as_account([SCRATCH + '/local-worker', 'joe', home, 'joe', '', '', 'host.example', './Maildir/'],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **args)
        out = p.communicate(MSG if 'stdin' in args and args['stdin'] == subprocess.PIPE else None)[0]
        check(p.returncode == 111 and b'Unable to read a job' in out, '%s instead of a socket: 111' % text)

make_maildir(ALIAS + '/Maildir')
for f in (reuse, limits, anew, endings, deaths, liars, changes, growth):
    print('# ' + f.__name__)
    f()
done()
