"""deliveries.py - pipit-lspawn with a pipit-send of our own, users/cdb, Maildirs"""
import array, glob, os, socket, struct, subprocess
from pipit import *

MSG = b'Subject: test\n\nhello\n'

def users(home, *lines):
    """users/cdb from lines of users/assign, as qmail-newu makes it."""
    records, wild = [], b''
    for line in lines:
        f = line.encode().split(b':')
        value = b'\0'.join(f[1:7])
        name = f[0][1:].lower()
        if line[0] == '=': records.append((b'!' + name + b'\0', value))
        else:
            records.append((b'!' + name, value))
            wild += name[-1:]
    with open(os.path.join(home, 'users/cdb'), 'wb') as f: f.write(cdb([(b'', wild)] + records))
    os.chmod(f.name, 0o644)

class Lspawn:
    """A running pipit-lspawn and the socket to it."""
    def __init__(self, home, fallback='./Maildir/', env=None, program=None, popen=as_account, **kw):
        self.sock, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(60)
        e = {'PATH': os.environ['PATH'], 'PIPIT_HOME': home, 'UNWANTED': 'x'}
        self.p = popen([program or os.path.join(BIN, 'pipit-lspawn'), fallback], stdin=other,
                       stderr=subprocess.PIPE, env=dict(e, **(env or {})), **kw)
        other.close()
        self.num = 0
        hello = self.sock.recv(100)
        self.max = struct.unpack('>L', hello[1:])[0] if hello[:1] == b'H' else None

    def send(self, rcpt, message=MSG, length=None, sender='me@there.example', fd=None, count=1, inside=False, extras=()):
        """Send a job; its number. The message comes out of a pipe, or is <inside> the packet."""
        self.num += 1
        rcpt = rcpt.encode() if isinstance(rcpt, str) else rcpt
        w = None
        if fd is None and not inside:
            fd, w = os.pipe()
        packet = (b'M' if inside else b'J') + struct.pack('>LQQQ', self.num, 7, 0, len(message) if length is None else length)
        packet += rcpt.split(b'@')[-1] + b'\0' + sender.encode() + b'\0'
        packet += b''.join(e.encode() + b'\0' for e in extras) + b'\0' + (rcpt + b'\0') * count
        if inside:
            self.sock.send(packet + message)
            return self.num
        self.sock.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
        if w is not None:
            os.close(fd)
            try: os.write(w, message)
            except BrokenPipeError: pass
            os.close(w)
        return self.num

    def result(self):
        """The next result: (number, letter, text); its end is checked too. Notes on it are in self.notes."""
        self.notes = []
        while (p := self.sock.recv(70000))[:1] == b'N': self.notes.append(p)
        assert all(n[1:9] == p[1:9] for n in self.notes), (self.notes, p)
        self.notes = [n[9:].decode() for n in self.notes]
        num, index = struct.unpack('>LL', p[1:9])
        end = self.sock.recv(100)
        assert p[:1] == b'R' and index == 0 and end == b'E' + p[1:5], (p, end)
        return num, p[9:10].decode(), p[10:].decode('utf8', 'replace')

    def job(self, rcpt, **kw):
        """Send a job and wait for it: (letter, text)."""
        num = self.send(rcpt, **kw)
        got, letter, text = self.result()
        assert got == num
        return letter, text

    def children(self):
        """The pids of its children."""
        try:
            with open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)) as f: return sorted(map(int, f.read().split()))
        except FileNotFoundError: return []

    def end(self):
        self.sock.close()
        code = self.p.wait(60)
        self.said = self.p.stderr.read().decode()
        self.p.stderr.close()
        return code

def write(path, text, mode=0o644, owner=None):
    with open(path, 'w') as f: f.write(text)
    os.chmod(path, mode)
    if owner: os.chown(path, *owner)
    else: own(path)

def make_maildir(path, owner=None):
    for d in ('', 'tmp', 'new', 'cur'):
        os.makedirs(os.path.join(path, d), exist_ok=True)
        if owner: os.chown(os.path.join(path, d), *owner)
        else: own(os.path.join(path, d))

def new(path):
    return sorted(glob.glob(os.path.join(path, 'new', '*')))
