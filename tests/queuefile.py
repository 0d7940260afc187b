"""queuefile.py - files of the queue (lib/qfile.h), and a client of pipit-queued"""
import glob, os, socket, stat, struct

LIVE, DONE, BUSY = b'LIVE', b'DONE', b'BUSY'
TABLE = []
for n in range(256):
    for _ in range(8): n = n >> 1 ^ 0x82f63b78 if n & 1 else n >> 1
    TABLE.append(n)

def crc32c(data, c=0):
    c ^= 0xffffffff
    for b in data: c = c >> 8 ^ TABLE[(c ^ b) & 255]
    return c ^ 0xffffffff

def header(state=DONE, id=1, msglen=0, envlen=0, nonce=b'n' * 16, body=b'', rcpts=0, sum=None):
    if sum is None: sum = crc32c(nonce + body)
    h = struct.pack('>IQQ16sQQIII', 1, id, id, nonce, msglen, envlen, 0, rcpts, sum)
    return (b'pipit-q\n' + state + h + struct.pack('>I', crc32c(h))).ljust(128, b'\0')

LOOKS = 20 # at a queue that does not stay as it is

def live_files(home):
    """The files that hold mail, oldest first: (id, path). They lie in mess/, or still in free/."""
    last = None
    for _ in range(LOOKS): # files move meanwhile, and a bounce comes for one that goes: what was seen twice was so
        found, moved = look(home)
        if found == last and not moved: break
        last = found
    return found

def look(home):
    """The same, by one walk; and whether a file went away during it."""
    found, moved = [], False
    for path in glob.glob(home + '/queue/free/*') + glob.glob(home + '/queue/mess/*/*'):
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode): continue
            with open(path, 'rb') as f: header = f.read(24)
        except FileNotFoundError:
            moved = True
            continue
        except OSError: continue
        if header[:12] == b'pipit-q\n' + LIVE: found.append((struct.unpack('>Q', header[16:])[0], path))
    return sorted(found), moved

class Message:
    """A queue file, read and checked."""
    def __init__(self, path):
        self.path = path
        self.data = d = open(path, 'rb').read()
        (self.version, self.id, self.birth, self.nonce, self.msglen, self.envlen, self.uid, self.rcpts, self.sum,
         own) = struct.unpack('>IQQ16sQQIIII', d[12:80])
        self.live = d[8:12] == LIVE
        self.msg = d[128:128 + self.msglen]
        self.env = d[128 + self.msglen:128 + self.msglen + self.envlen]
        self.tail = d[128 + self.msglen + self.envlen:]
        self.good = (d[:8] == b'pipit-q\n' and own == crc32c(d[12:76]) and len(self.env) == self.envlen and
                     self.sum == crc32c(self.nonce + self.msg + self.env) and not d[80:128].strip(b'\0'))
        self.received, self.body = self.msg.split(b'\n', 1)

class Client:
    """A connection to pipit-queued, with lib/queuewire.h's frames."""
    def __init__(self, uid=None, timeout=20, home=None):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout)
        if uid is not None: os.seteuid(uid)
        try: self.s.connect((home or os.environ['PIPIT_HOME']) + '/run/queue')
        finally:
            if uid is not None: os.seteuid(0)
    def frame(self, type, payload=b''):
        self.s.sendall(type + struct.pack('>I', len(payload)) + payload)
    def read(self, n):
        d = b''
        while len(d) < n:
            more = self.s.recv(n - len(d))
            if not more: raise EOFError
            d += more
        return d
    def reply(self):
        type, n = struct.unpack('>cI', self.read(5))
        d = self.read(n)
        return type.decode(), d[0], d[1:].decode()
    def open(self, size=0, trace=b''):
        self.frame(b'O', struct.pack('>Q', size) + trace)
        return self.reply()
    def send(self, body=b'Subject: x\n\nhello\n', env=b'Fa@b\0Tc@d\0', trace=b'', size=0):
        r = self.open(size, trace)
        for at in range(0, len(body), 50000): self.frame(b'D', body[at:at + 50000])
        self.frame(b'E', env)
        self.frame(b'.')
        return self.reply()
    def close(self):
        self.s.close()
