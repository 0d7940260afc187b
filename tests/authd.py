"""authd.py - pipit-authd of a test's home, a client of its wire, and SCRAM-SHA-256 by RFC 5802 alone"""
import base64, hashlib, hmac, os, socket, struct, subprocess, sys
from pipit import *

def password_file(home, **logins):
    """users/passwd by pipit-passwd: login=password or (password, options...)."""
    for login, p in logins.items(): passwd(home, *((*p[1:], login) if isinstance(p, tuple) else (login,)), password=p[0] if isinstance(p, tuple) else p)

def passwd(home, *args, password=''):
    p = subprocess.run([os.path.join(BIN, 'pipit-passwd'), *args], input=password + '\n', text=True, capture_output=True,
                       env=dict(os.environ, PIPIT_HOME=home))
    return p.returncode, p.stderr

class Authd:
    def __init__(self, home, *args, env={}, prefix=(), account=True):
        self.home = home
        # A child of the one before that is being killed may hold its socket still.
        wait_for(lambda: self.start(args, env, prefix, account) or 'already in use' not in self.text(), 20, 0.1)

    def start(self, args, env, prefix, account):
        r, w = os.pipe()
        self.log = open(os.path.join(SCRATCH, 'authd.log'), 'w+')
        start = as_account if account else subprocess.Popen
        self.p = start([*prefix, os.path.join(BIN, 'pipit-authd'), '-d', str(w), *args], stdin=subprocess.DEVNULL, stderr=self.log,
                       pass_fds=[w], env=dict(os.environ, PIPIT_HOME=self.home, **env))
        os.close(w)
        self.ready = os.read(r, 1)
        os.close(r)
        if not self.ready: self.p.wait(30)
        return self.ready

    def text(self):
        with open(self.log.name) as f: return f.read()

    def lines(self, word): return [l for l in self.text().split('\n') if word in l]

    def connect(self, name='auth'):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(60)
        s.connect(os.path.join(self.home, 'run', name))
        return s

    def begin(self, kind='C', login='', secret='', extra='', ip='192.0.2.1', mechanism=0, service=0, session=0, recipients=0, fds=()):
        s = self.connect()
        login, secret, extra = (x.encode() for x in (login, secret, extra))
        packet = struct.pack('cBBBIHHHBB48s48s', kind.encode(), session, mechanism, service, recipients,
                             len(login), len(secret), len(extra), 0, 0, ip.encode(), b'')
        packet += b'\0' * (REQUEST - len(packet)) + login + secret + extra
        socket.send_fds(s, [packet], list(fds)) if fds else s.send(packet)
        return s

    def ask(self, *args, **kw):
        """The answer to a question, as text."""
        with self.begin(*args, **kw) as s: return s.recv(4096).decode(errors='replace')

    def stop(self):
        self.p.terminate()
        return self.p.wait(30)
REQUEST = 112 # bytes of struct authwire_request

class Scram:
    """A client; <last> is what it makes of the server's final message."""
    def __init__(self, login, password, nonce='rOprNGfwEbeRWgbNEkqO'):
        self.login, self.password, self.nonce = login, password, nonce
        self.bare = 'n=%s,r=%s' % (login.replace('=', '=3D').replace(',', '=2C'), nonce)

    def first(self): return 'n,,' + self.bare

    def final(self, server):
        parts = dict(p.split('=', 1) for p in server.split(','))
        assert parts['r'].startswith(self.nonce) and len(parts['r']) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac('sha256', self.password.encode(), base64.b64decode(parts['s']), int(parts['i']))
        mac = lambda key, text: hmac.new(key, text.encode(), 'sha256').digest()
        client = mac(salted, 'Client Key')
        without = 'c=biws,r=' + parts['r']
        message = ','.join((self.bare, server, without))
        proof = bytes(a ^ b for a, b in zip(client, mac(hashlib.sha256(client).digest(), message)))
        self.expected = 'v=' + base64.b64encode(mac(mac(salted, 'Server Key'), message)).decode()
        return without + ',p=' + base64.b64encode(proof).decode()

def scram(authd, login, password, ip='192.0.2.1', **kw):
    """A whole exchange over the wire; the last answer."""
    c = Scram(login, password)
    with authd.begin('S', extra=c.first(), ip=ip, mechanism=3, **kw) as s:
        a = s.recv(4096).decode()
        if a[0] != 'D': return a
        s.send(b'D' + c.final(a[1:]).encode())
        a = s.recv(4096).decode()
        if a[0] != 'D': return a
        if a[1:] != c.expected: return 'the server does not know the password'
        s.send(b'D')
        return s.recv(4096).decode()
