"""syscalls.py - the system calls of a program, and making one of them fail

Errors come from strace, reads and writes of fewer bytes than asked for from
tests/crash/shorten.c. A Tracer watches a command (its prefix goes before it) or
processes that run (attach, detach), with all their children; with a Fault it
makes that happen in each of them.
"""
import collections, errno, os, re, shutil, signal, subprocess
from pipit import *

FILE, SPACE = ('EIO',), ('ENOSPC', 'EDQUOT')
TABLE_FULL = ('EMFILE', 'ENFILE', 'ENOMEM')
OPEN = FILE + SPACE + TABLE_FULL + ('EINTR',)
WRITE = FILE + SPACE + ('EINTR', 'EAGAIN', 'ENOMEM')
SYNC = FILE + SPACE + ('EINTR',)
NAME = FILE + SPACE + ('ENOMEM',)
# What each call may sensibly fail with. Others (setuid, sigaction, ...) are not the business of this.
ERRORS = {
    'openat': OPEN, 'open': OPEN,
    'read': FILE + ('EINTR', 'EAGAIN'), 'pread64': FILE + ('EINTR',), 'readv': FILE + ('EINTR', 'EAGAIN'),
    'write': WRITE, 'pwrite64': WRITE, 'writev': WRITE, 'pwritev': WRITE, 'pwritev2': WRITE,
    'fsync': SYNC, 'fdatasync': SYNC, 'syncfs': SYNC, 'sync_file_range': SYNC, 'msync': SYNC,
    'link': NAME, 'linkat': NAME, 'unlink': FILE + ('ENOMEM',), 'unlinkat': FILE + ('ENOMEM',),
    'rename': NAME, 'renameat': NAME, 'renameat2': NAME, 'mkdir': NAME, 'mkdirat': NAME,
    'ftruncate': FILE + SPACE + ('EINTR',), 'fallocate': FILE + SPACE + ('EINTR',),
    'fstat': FILE + ('ENOMEM',), 'newfstatat': FILE + ('ENOMEM',), 'stat': FILE + ('ENOMEM',), 'lstat': FILE + ('ENOMEM',),
    'statx': FILE + ('ENOMEM',), 'statfs': FILE + ('ENOMEM', 'EINTR'), 'fstatfs': FILE + ('ENOMEM', 'EINTR'),
    'lseek': FILE, 'getdents64': FILE, 'chdir': FILE + ('ENOMEM',), 'fchdir': FILE, 'utimensat': NAME,
    'fchmod': NAME, 'fchown': NAME, 'flock': ('EINTR', 'EAGAIN', 'ENOLCK'), 'fcntl': ('EINTR', 'EAGAIN', 'EMFILE', 'EIO'), # only what can fail: FCNTL
   
    'dup': ('EMFILE',), 'dup2': ('EMFILE', 'EINTR'), 'dup3': ('EMFILE', 'EINTR'),
    'pipe': TABLE_FULL, 'pipe2': TABLE_FULL, 'socket': TABLE_FULL, 'socketpair': TABLE_FULL,
    'memfd_create': TABLE_FULL, 'eventfd2': TABLE_FULL, 'signalfd4': TABLE_FULL, 'pidfd_open': TABLE_FULL,
    'accept': TABLE_FULL + ('EINTR', 'EAGAIN'), 'accept4': TABLE_FULL + ('EINTR', 'EAGAIN'),
    'connect': ('EINTR', 'EAGAIN', 'ENOMEM'), 'bind': ('ENOMEM', 'ENOSPC'), 'listen': ('ENOMEM',),
    'setsockopt': ('ENOMEM',), 'getsockopt': ('ENOMEM',), 'getsockname': ('ENOMEM',), 'getpeername': ('ENOMEM',),
    'sendto': ('ENOMEM', 'EINTR', 'EAGAIN'), 'sendmsg': ('ENOMEM', 'EINTR', 'EAGAIN'),
    'recvfrom': ('ENOMEM', 'EINTR', 'EAGAIN'), 'recvmsg': ('ENOMEM', 'EINTR', 'EAGAIN'),
    'poll': ('EINTR', 'ENOMEM'), 'ppoll': ('EINTR', 'ENOMEM'), 'wait4': ('EINTR',), 'waitid': ('EINTR',),
    'clone': ('EAGAIN', 'ENOMEM'), 'clone3': ('EAGAIN', 'ENOMEM'), 'fork': ('EAGAIN', 'ENOMEM'), 'vfork': ('EAGAIN', 'ENOMEM'),
    'execve': FILE + TABLE_FULL + ('EAGAIN',), 'mmap': ('ENOMEM',), # brk() never returns an error
}
FCNTL = ('F_SETLK', 'F_SETLEASE', 'F_DUPFD')
CLOSE = FILE + ('EINTR',) + SPACE
FORKS = {'clone', 'clone3', 'fork', 'vfork'}
SYNCS = {'fsync', 'fdatasync', 'syncfs', 'msync'}
SHORTEN = os.path.join(SCRATCH, 'shorten')

class Fault(collections.namedtuple('Fault', 'call n error forgood')):
    """The n-th <call> of a process fails (forgood: and each one after it). error: a name, or a number of
    bytes, to which the n-th read or write of all is cut. A close is done all the same, as on Linux."""
    def __str__(self):
        return '%s %d%s %s' % (self.call, self.n, '+' if self.forgood else '', self.error)

    def command(self, log):
        when = '%d%s' % (self.n, '+' if self.forgood else '')
        if isinstance(self.error, int): return [SHORTEN, '-o', log, '-b', str(self.error), '-n', when]
        if self.call == 'close': return [SHORTEN, '-o', log, '-e', str(getattr(errno, self.error)), '-n', when]
        return ['strace', '-f', '-qq', '-o', log, '-e', 'trace=' + self.call, '-e', 'signal=none',
                '-e', 'inject=%s:error=%s:when=%s' % (self.call, self.error, when)]

Call = collections.namedtuple('Call', 'pid name text own')

def can_last(call, error):
    """May it fail so again and again? Pipes and sockets have no disk behind them."""
    if call.name in FORKS: return True
    if error in ('EINTR', 'EAGAIN'): return False
    return not (error in FILE + SPACE and re.match(r'\d* *\w+\(\d+<(?!/)|.*/lock/(trigger|pool)>', call.text))

class Tracer:
    count = 0
    def __init__(self, fault=None, short=None):
        """Without a fault, what happens is recorded; <short>: the calls that could be cut, to so many bytes,
        or with 0 the closes."""
        Tracer.count += 1
        self.fault, self.pids, self.process = fault, [], None
        if not os.path.exists(SHORTEN): # where every account may run it
            shutil.copy(os.path.join(os.environ['BUILD'], 'tests', 'helpers', 'shorten'), SHORTEN)
            os.chmod(SHORTEN, 0o755)
        self.log = os.path.join(SCRATCH, 'trace', str(Tracer.count))
        if not os.path.isdir(os.path.dirname(self.log)):
            os.mkdir(os.path.dirname(self.log))
            own(os.path.dirname(self.log))
        self.argv = fault.command(self.log) if fault else \
            [SHORTEN, '-o', self.log, '-b', str(short)] if short else \
            [SHORTEN, '-o', self.log, '-e', '5'] if short == 0 else \
            ['strace', '-f', '-qq', '-y', '-s', '0', '-e', 'signal=none', '-o', self.log]

    @property
    def prefix(self):
        """For a command: it is traced from its start."""
        fast = ['--seccomp-bpf'] if self.fault and self.argv[0] == 'strace' else []
        return [*self.argv, *fast, '--']

    def attach(self, *pids):
        self.pids = list(pids)
        self.process = subprocess.Popen([*self.argv, *[w for p in pids for w in ('-p', str(p))]],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: all(traced(p) for p in pids) or self.process.poll() is not None, 10, 0.002)

    def detach(self):
        if not self.process: return
        self.process.send_signal(signal.SIGINT)
        try: self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def lines(self):
        try: return open(self.log, errors='replace').read().splitlines()
        except FileNotFoundError: return []

    def injected(self):
        """The calls that were made to fail."""
        return [l for l in self.lines() if '(INJECTED)' in l]

    def calls(self):
        """Everything in order. own: it is not the loader's, nor of a program that is not pipit's."""
        out, own, attached = [], {}, bool(self.pids)
        for line in self.lines():
            m = re.match(r'(?:(\d+) +)?(\w+)\(', line)
            if not m or '<unfinished ...>' not in line and ' = ' not in line: continue
            pid, name = m.groups()
            if name == 'execve': own[pid] = False
            if re.search(r'fcntl\(0(<[^>]*>)?, F_GETFD', line): own[pid] = True
            out.append(Call(pid, name, line, own.get(pid, attached or len(own) > 0)))
        return out

    def faults(self, persistent=True):
        """Each of these calls failing in each sensible way."""
        seen, found, calls, loading, brief = collections.Counter(), [], self.calls(), set(), set()
        for c in calls:
            seen[c.pid, c.name] += 1
            brief |= {(c.name, seen[c.pid, c.name], e) for e in ERRORS.get(c.name, ()) if not can_last(c, e)}
        seen.clear()
        for c in calls:
            seen[c.pid, c.name] += 1
            if c.pid == calls[0].pid and not c.own: loading.add((c.name, seen[c.pid, c.name]))
            if not c.own or (c.name, seen[c.pid, c.name]) in loading or c.name == 'mmap' and SANITIZED or c.name == 'fcntl' and not any(w in c.text for w in FCNTL):
                continue
            for error in ERRORS.get(c.name, ()):
                for forgood in (False, True):
                    if forgood and (not persistent or (c.name, seen[c.pid, c.name], error) in brief): continue
                    f = Fault(c.name, seen[c.pid, c.name], error, forgood)
                    if f not in found: found.append(f)
        return found

    def done(self):
        self.detach()
        if os.path.exists(self.log): os.unlink(self.log)

def traced(pid):
    try: return 'TracerPid:\t0' not in open('/proc/%d/status' % pid).read()
    except OSError: return True # it has ended

def runtime(pids):
    """Nanoseconds of processor time that these processes have had."""
    used = 0
    for pid in pids:
        try: used += int(open('/proc/%d/schedstat' % pid).read().split()[0])
        except OSError: pass
    return used

def is_sanitized():
    return b'libasan' in subprocess.run(['ldd', os.path.join(BIN, 'pipit-queue')], capture_output=True).stdout
SANITIZED = is_sanitized()

def can_trace():
    """May this test trace its programs, also such as run already?"""
    try:
        if as_account(['strace', '-o', '/dev/null', 'true'], stderr=subprocess.DEVNULL).wait(): return False
    except FileNotFoundError: return False
    p = as_account(['sleep', '60'])
    t = Tracer()
    t.attach(p.pid)
    ok = traced(p.pid)
    t.done()
    p.kill()
    p.wait()
    return ok
