"""rcptd.py - pipit-rcptd, and those who ask it"""
import os, re, socket, subprocess
from pipit import *

class Rcptd:
    """pipit-rcptd of a home; its stderr goes to a file."""
    def __init__(self, home, popen=as_account, **kw):
        r, w = os.pipe()
        self.home, self.log = home, open(os.path.join(SCRATCH, 'rcptd.log'), 'w+')
        self.p = popen([os.path.join(BIN, 'pipit-rcptd'), '-d', str(w)], pass_fds=[w], stdin=subprocess.DEVNULL, stderr=self.log,
                       env=dict(os.environ, PIPIT_HOME=home), **kw)
        os.close(w)
        self.ready = os.read(r, 1)
        os.close(r)

    def text(self):
        with open(self.log.name) as f: return f.read()

    def children(self):
        """The processes that look and that ask the password database."""
        with open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)) as f: return sorted(map(int, f.read().split()))

    def stop(self):
        self.p.terminate()
        return self.p.wait(20)

class Asker:
    """A connection to it."""
    def __init__(self, home):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(20)
        here = os.getcwd()
        os.chdir(home) # the path may be too long for a socket
        try: self.s.connect('run/rcptd')
        finally: os.chdir(here)

    def send(self, address): self.s.send(address if isinstance(address, bytes) else address.encode('latin-1'))
    def answer(self):
        """'' when the connection is closed."""
        try: return self.s.recv(100).decode()
        except ConnectionResetError: return ''
    def ask(self, address):
        self.send(address)
        return self.answer()

def status(pid, *names):
    """These fields of /proc/PID/status."""
    text = open('/proc/%d/status' % pid).read()
    return tuple(re.search(r'^%s:\s+(.*)$' % n, text, re.M)[1].split()[0] for n in names)

def pss(pids):
    """What these processes have of memory together, in KiB."""
    return sum(int(re.search(r'^Pss:\s+(\d+)', open('/proc/%d/smaps_rollup' % p).read(), re.M)[1]) for p in pids)
