"""jobs.py - the sender's side of lib/job.h, to test spawners and workers with"""
import array, os, socket, struct, time
import pipit

class Spawner:
    """A process with a socket to us on descriptor 0."""
    def __init__(self, argv, env, stderr=None):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = pipit.as_account(argv, stdin=theirs, env=env, stderr=stderr)
        theirs.close()
        self.num, self.max, self.ahead = 0, None, 0
        self.results, self.ended, self.groups = {}, set(), []
        self.tls = {} # of jobs: what was spoken

    def give(self, host, sender, rcpts, fd, offset, length, extras=(), num=None, body=None, waits=False):
        """Send a job, with the message in the descriptor or in the packet; returns its number."""
        self.num += 1
        num = self.num if num is None else num
        cat = lambda l: b''.join(s.encode('latin-1') + b'\0' for s in l)
        packet = ((b'W' if waits else b'J' if body is None else b'M') + struct.pack('>IQQQ', num, 1000000 + num, offset, length) + cat([host, sender]) +
                  cat(extras) + b'\0' + cat(rcpts) + (body or b''))
        fds = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))]
        self.sock.sendmsg([packet], fds)
        self.results[num] = {}
        return num

    def give_text(self, host, sender, rcpts, message=b'Subject: x\n\nbody\n', **kw):
        """The same with a file like a queue's: something before and after the message."""
        head, tail = b'H' * 128, b'Fsecret@envelope.example\0Tsecret2@envelope.example\0'
        path = os.path.join(pipit.SCRATCH, 'mess.%d' % (self.num + 1))
        with open(path, 'wb') as f: f.write(head + message + tail)
        fd = os.open(path, os.O_RDONLY)
        os.unlink(path)
        num = self.give(host, sender, rcpts, fd, len(head), len(message), **kw)
        os.close(fd)
        return num

    def read(self, seconds=20):
        """One packet; None when none comes in time, b'' at the end."""
        self.sock.settimeout(seconds)
        try: packet = self.sock.recv(65536)
        except socket.timeout: return None
        if packet[:1] == b'H': self.max = struct.unpack('>I', packet[1:5])[0]
        elif packet[:1] == b'A': self.ahead = struct.unpack('>I', packet[1:5])[0]
        elif packet[:1] == b'R':
            num, index = struct.unpack('>II', packet[1:9])
            if index in self.results[num]: raise AssertionError('two results for recipient %d' % index)
            self.results[num][index] = packet[9:].decode('latin-1')
        elif packet[:1] == b'G': self.groups.append(packet[5:].decode())
        elif packet[:1] == b'T': self.tls[struct.unpack('>I', packet[1:5])[0]] = packet[5:].decode()
        elif packet[:1] == b'E':
            num = struct.unpack('>I', packet[1:5])[0]
            if num in self.ended: raise AssertionError('two ends of job %d' % num)
            self.ended.add(num)
        return packet

    def finish(self, num, seconds=20):
        """Wait for the job's end; its results as a list, in order of the recipients."""
        end = time.monotonic() + seconds
        while num not in self.ended:
            if not self.read(max(0.01, end - time.monotonic())): return None
        r = self.results[num]
        return [r[i] for i in sorted(r)]

    def run(self, *args, seconds=20, **kw):
        return self.finish(self.give_text(*args, **kw), seconds)

    def close(self, seconds=10):
        """Close the socket; the exit status."""
        self.sock.close()
        return self.process.wait(seconds)

def rspawn(home, log=None, before=(), program=None, **env):
    """pipit-rspawn for this home, when it has said how much it takes; its stderr goes to the file."""
    e = dict(os.environ, **dict(dict(PIPIT_HOME=home), **env))
    if 'QMAILREMOTE' not in env: e.pop('QMAILREMOTE', None)
    stderr = open(log, 'wb') if log else None
    r = Spawner(list(before) + [program or pipit.BIN + '/pipit-rspawn'], e, stderr=stderr)
    if stderr: stderr.close()
    r.read()
    if 'QMAILREMOTE' not in env: r.read()
    return r

def children(pid):
    """The processes below <pid> that are not zombies."""
    found = []
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % p) as f: state, parent = f.read().rsplit(')', 1)[1].split()[:2]
        except OSError: continue
        if parent == str(pid) and state != 'Z': found.append(int(p))
    return found

class Report:
    """What pipit-remote says on the command line: rcpts [(letter, text)], letter, text, raw, status."""
    def __init__(self, raw, status, took):
        self.raw, self.status, self.took = raw, status, took
        parts = raw.split(b'\0')
        self.complete = len(parts) > 1 and parts[-1] == b''
        parts = [p.decode('latin-1') for p in parts[:-1]]
        self.rcpts = [(p[:1], p[1:]) for p in parts[:-1]]
        self.letter, self.text = (parts[-1][:1], parts[-1][1:]) if parts else ('', '')
        self.letters = ''.join(l for l, _ in self.rcpts) + self.letter

class Remote:
    """pipit-remote host sender rcpt...; started at once, result() waits for the end."""
    def __init__(self, home, host, sender, *rcpts, message=b'Subject: x\n\nbody\n', before=(), **env):
        self.began = time.monotonic()
        self.process = pipit.as_account(list(before) + [pipit.BIN + '/pipit-remote', host, sender, *rcpts],
                                        stdin=-1, stdout=-1, env=dict(os.environ, PIPIT_HOME=home, **env))
        try:
            with self.process.stdin as f: f.write(message)
        except BrokenPipeError: pass # it has ended before it had read all

    def result(self, seconds=60):
        try: raw = self.process.stdout.read()
        finally: self.process.stdout.close()
        status = self.process.wait(seconds)
        return Report(raw, status, time.monotonic() - self.began)

def remote(*args, **kw):
    return Remote(*args, **kw).result()
