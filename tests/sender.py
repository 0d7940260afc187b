"""sender.py - for tests of pipit-send: queue files, and stub spawners on descriptors 3 and 4"""
import array, fcntl, glob, os, re, select, signal, socket, struct, subprocess, threading, time
from instance import reachable
from pipit import *
from queuefile import DONE, LIVE, crc32c

SPLIT = 3

homes = 0
def fresh_home(**controls):
    """A new home with these control files."""
    global homes
    homes += 1
    home = make_home(os.path.join(SCRATCH, 'home%d' % homes), split=SPLIT)
    for name, text in controls.items(): control(home, name, text)
    return home

last = 0
def new_id():
    global last
    last = max(last + 1, int(time.time() * 1e6))
    return last

class Mail:
    """A message in the queue, written by us."""
    def __init__(self, home, sender, rcpts, body=b'Subject: x\n\nhello\n', extras=(), id=None, where=None,
                 birth=None, state=LIVE, owner=True):
        self.home, self.id = home, id or new_id()
        self.msg, self.nonce = body, os.urandom(16)
        env = b'F' + sender.encode() + b'\0' + b''.join(b'X' + x.encode() + b'\0' for x in extras)
        env += b''.join(b'T' + (r if isinstance(r, bytes) else r.encode()) + b'\0' for r in rcpts)
        h = struct.pack('>IQQ16sQQIII', 1, self.id, birth or self.id, self.nonce, len(body), len(env), 1234, len(rcpts),
                        crc32c(self.nonce + body + env))
        self.data = (b'pipit-q\n' + state + h + struct.pack('>I', crc32c(h))).ljust(128, b'\0') + body + env
        self.path = where or self.name('mess')
        new = '%s/mail.%d' % (home, self.id) # a scan must not find it before it is complete and the account's
        with open(new, 'wb') as f: f.write(self.data)
        os.chmod(new, 0o660)
        own(new)
        os.rename(new, self.path)

    def name(self, dir):
        return '%s/queue/%s/%d/%d' % (self.home, dir, self.id % SPLIT, self.id)

    def announce(self):
        place = int(os.path.basename(self.path)) if '/free/' in self.path else 0
        fd = os.open(self.home + '/queue/lock/trigger', os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, struct.pack('>QQ', self.id, place))
        os.close(fd)
        return self

    def in_mess(self):
        return os.path.exists(self.name('mess'))

    def finished(self):
        """Is its file in the pool, marked finished?"""
        try: return open('%s/queue/free/%d' % (self.home, self.id), 'rb').read(12)[8:] == DONE
        except FileNotFoundError: return False

class Job:
    def __init__(self, stub, packet, fd):
        self.stub, self.fd, self.body, self.waits = stub, fd, None, packet[:1] == b'W'
        self.num, self.id, self.offset, self.length = struct.unpack('>IQQQ', packet[1:29])
        if packet[:1] == b'M': # the message is in the packet
            packet, self.body = packet[:len(packet) - self.length], packet[len(packet) - self.length:]
        host, sender, rest = packet[29:].split(b'\0', 2)
        self.host, self.sender = host.decode(), sender.decode()
        extras = []
        while not rest.startswith(b'\0'):
            x, rest = rest.split(b'\0', 1)
            extras.append(x.decode())
        # What send says of the connection comes first.
        names = ['CONNMESSAGES', 'CONNIDLE', 'NEXTHOP', 'VIA']
        own = len(names) if [x.split('=')[0] for x in extras[:len(names)]] == names else 0
        self.connection, self.extras = extras[:own], extras[own:]
        self.rcpts = [r.decode() for r in rest[1:].split(b'\0')[:-1]]

    def read(self):
        """The message, as a delivery gets it."""
        if self.body is not None: return self.body
        if self.stub.local:
            data = b''
            while len(data) <= self.length:
                piece = os.read(self.fd, 65536)
                if not piece: break
                data += piece
            return data
        return os.pread(self.fd, self.length, self.offset)

    def result(self, letter, text='', index=0, num=None):
        if isinstance(text, str): text = text.encode()
        self.stub.send(b'R' + struct.pack('>II', self.num if num is None else num, index) + letter.encode() + text)

    def note(self, letter, text='', index=0):
        """Something about the result that follows."""
        self.stub.send(b'N' + struct.pack('>II', self.num, index) + (letter + text).encode())

    def group(self, name):
        """Where it leads to: mail exchangers."""
        self.stub.send(b'G' + struct.pack('>I', self.num) + name.encode())

    def host_trouble(self, text="Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n", kind='h'):
        """The host could not be reached; with kind 'n', its name not be looked up."""
        self.stub.send(b'C' + struct.pack('>I', self.num) + kind.encode() + text.encode())
        self.all('Z', text)

    def end(self):
        if self.fd != -1: os.close(self.fd)
        self.fd = -1
        self.stub.send(b'E' + struct.pack('>I', self.num))

    def all(self, letter, text=''):
        for i in range(len(self.rcpts)): self.result(letter, text, i)
        self.end()

class Stub:
    """A spawner. With <answer>, a function of a job, jobs are answered by a thread."""
    def __init__(self, local, max=4000, answer=None):
        self.sock, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.local, self.answer = local, answer
        self.lock = threading.Lock()
        self.send(b'H' + struct.pack('>I', max))
        self.thread = answer and threading.Thread(target=self.serve, daemon=True)
        if answer: self.thread.start()

    def send(self, packet):
        with self.lock:
            try: self.sock.send(packet)
            except OSError: pass

    def job(self, seconds=10):
        """The next job, or None."""
        if not select.select([self.sock], [], [], seconds)[0]: return None
        packet, anc, flags, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(16))
        if not packet: return None
        return Job(self, packet, array.array('i', anc[0][2])[0] if anc else -1)

    def serve(self):
        try:
            while True:
                j = self.job(3600)
                if not j: return
                self.answer(j)
        except (OSError, ValueError): pass # closed meanwhile

    def close(self):
        try: self.sock.shutdown(socket.SHUT_RDWR)
        except OSError: pass
        if self.thread: self.thread.join(10) # it must not find another file under the number
        self.sock.close()

class Send:
    """A running pipit-send with two stubs."""
    count = 0
    def __init__(self, home, local=None, remote=None, env=(), prefix=(), max=4000, patience=15):
        Send.count += 1
        self.home = home
        self.log_path = os.path.join(SCRATCH, 'send.%d.log' % Send.count)
        self.stubs = [Stub(True, max, local), Stub(False, max, remote)]
        self.local, self.remote = self.stubs
        l, r = [s.theirs.fileno() for s in self.stubs]
        ready, w = os.pipe()
        def fds():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in (l, r, w)]
            for to, fd in zip((3, 4, 5), high): os.dup2(fd, to)
        with open(self.log_path, 'wb') as log:
            self.process = as_account([*prefix, os.path.join(reachable(BIN), 'pipit-send'), '-d', '5'], preexec_fn=fds,
                                      pass_fds=(3, 4, 5), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=log, env=dict(os.environ, PIPIT_HOME=home, **dict(env)))
        os.close(w)
        for s in self.stubs: s.theirs.close()
        self.ready = bool(select.select([ready], [], [], patience)[0]) and os.read(ready, 1) == b'\n'
        os.close(ready)
        self.pid = self.process.pid
        if prefix: self.pid = (self.children() + [self.pid])[0] # what runs it runs it as a child

    def log(self):
        return open(self.log_path, errors='replace').read()

    def wait_log(self, pattern, seconds=10):
        """Wait for a line; its match."""
        return wait_for(lambda: re.search(pattern, self.log(), re.M), seconds)

    def has(self, line):
        return line in self.log().splitlines()

    def give(self, sig):
        os.kill(self.pid, sig)

    def children(self):
        """Pids of keeper and feeder, in the order of their start."""
        if self.process.poll() is not None: return []
        path = '/proc/%d/task/%d/children' % (self.pid, self.pid)
        with open(path) as f: return sorted(map(int, f.read().split()))

    def stop(self, sig=signal.SIGTERM, seconds=30):
        """Stop it; the exit status. Its keeper is through when this returns."""
        pids = self.children()
        if self.process.poll() is None: os.kill(self.pid, sig)
        try: status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        for s in self.stubs: s.close()
        wait_for(lambda: not any(alive(p) for p in pids), 25)
        return status

def tool(home, name, *args, seconds=60, **kw):
    """A command to send: exit status, standard output and standard error."""
    p = as_account([os.path.join(reachable(BIN), 'pipit-' + name), *args], env=dict(os.environ, PIPIT_HOME=home), stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
    try: out, err = p.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        p.kill()
        return 'still running after %d s' % seconds, *p.communicate()
    return p.returncode, out, err

def alive(pid):
    try: return open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except FileNotFoundError: return False
