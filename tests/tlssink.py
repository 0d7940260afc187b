"""tlssink.py - a Sink (sink.py) that speaks TLS, and certificates of every kind

    ca = CA(name)                   an authority: .pem is its certificate
    ca.issue('mx.example', ...)     a Pair (.pem: certificate and key): names or addresses; days=-1
                                    for one that has expired
    with TlsSink(pair) as s:        offers STARTTLS; .tls is the list of SSL sockets, .shaken how many
                                    handshakes came to their end
Beside what Sink takes: starttls='220 go' (a stage), inject=b'..' (sent behind the 220 in one piece),
late=(seconds, b'..') (the same after a while), wrapper=True (TLS from connecting on), context (in place of
a pair), cut=n (the connection is closed after n bytes of the server's handshake; dead: after the client's n),
offer=False (STARTTLS is known but not offered), babble=b'..' (the answer to the client's hello), hang=True (there is none).
"""
import os, socket, ssl, subprocess, threading, time, warnings
from pipit import SCRATCH
from sink import *
import sink

warnings.simplefilter('ignore', DeprecationWarning) # old versions of TLS are wanted here

def openssl(*args):
    p = subprocess.run(['openssl', *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode: raise RuntimeError('openssl %s: %s' % (args[0], p.stderr))
    return p.stdout

class Pair:
    def __init__(self, pem): self.pem = pem
    def context(self, versions=None):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if versions:
            c.set_ciphers('DEFAULT:@SECLEVEL=0')
            c.minimum_version, c.maximum_version = versions
        c.load_cert_chain(self.pem)
        return c
    def print(self, what='certificate'):
        """A fingerprint, in hexadecimal: of the certificate or of its public key."""
        import hashlib
        text = openssl('x509', '-in', self.pem, *(['-pubkey', '-noout'] if what == 'key' else []))
        der = ssl.PEM_cert_to_DER_cert(text.replace('PUBLIC KEY', 'CERTIFICATE').strip() + '\n')
        return hashlib.sha256(der).hexdigest()

class CA:
    count = 0
    def __init__(self, name='ca'):
        self.name = name
        self.base = os.path.join(SCRATCH, 'ca-' + name)
        self.pem = self.base + '.pem'
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', self.base + '.key', '-out', self.pem,
                '-subj', '/CN=' + name, '-days', '10')
    def issue(self, *names, days=10, key=('ec', '-pkeyopt', 'ec_paramgen_curve:P-256')):
        CA.count += 1
        base = os.path.join(SCRATCH, 'cert%d' % CA.count)
        openssl('req', '-newkey', *key, '-nodes', '-keyout', base + '.key', '-out', base + '.csr', '-subj', '/CN=common.example')
        with open(base + '.ext', 'w') as f:
            f.write('subjectAltName=' + ','.join(('IP:' if n[-1].isdigit() or ':' in n else 'DNS:') + n for n in names) + '\n')
        openssl('x509', '-req', '-in', base + '.csr', '-CA', self.pem, '-CAkey', self.base + '.key', '-set_serial', str(CA.count), '-extfile', base + '.ext',
                '-days', str(days), '-out', base + '.crt')
        with open(base + '.pem', 'w') as f: f.write(open(base + '.key').read() + open(base + '.crt').read())
        return Pair(base + '.pem')

class TlsSession(Session):
    def run(self):
        self.secure = False
        if self.sink.wrapper and not self.shake():
            self.conn.close()
            self.closed = True
            return
        super().run()

    def shake(self):
        """The handshake; 1, or 0: it came to nothing."""
        inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        s = self.sink
        if s.hang:
            while self.conn.recv(65536): pass
            return 0
        if s.babble:
            self.conn.recv(65536)
            self.conn.sendall(s.babble)
            return 0
        if s.cut is None:
            self.conn.settimeout(20)
            try: self.conn = s.context.wrap_socket(self.conn, server_side=True)
            except (OSError, ssl.SSLError) as e:
                s.failures.append(str(e))
                return 0
        else: return self.shake_partly(s.context.wrap_bio(inside, outside, server_side=True), inside, outside, s.cut)
        self.secure = True
        s.tls.append(self.conn)
        s.shaken += 1
        return 1

    def shake_partly(self, tls, inside, outside, left):
        """Send so many bytes of the handshake, and close."""
        while True:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError: done = False
            except ssl.SSLError: return 0
            out = outside.read()
            self.sink.handshake_bytes += len(out[:left])
            try: self.conn.sendall(out[:left])
            except OSError: return 0
            left -= len(out)
            if left <= 0 or done: return 0
            try: got = self.conn.recv(65536)
            except OSError: return 0
            if not got: return 0
            inside.write(got)

    def command(self, line):
        if line.upper() != b'STARTTLS' or self.secure: return super().command(line)
        self.commands.append('STARTTLS')
        s = self.sink
        if s.inject is not None:
            self.conn.sendall(b'220 go ahead\r\n' + s.inject)
            if s.late:
                time.sleep(s.late[0])
                self.conn.sendall(s.late[1])
        elif self.answer('starttls', line) != '220': return
        elif s.late:
            time.sleep(s.late[0])
            self.conn.sendall(s.late[1])
        self.buffer, self.trans = b'', None
        if not self.shake(): raise Gone

class TlsSink(Sink):
    session_class = TlsSession

    def __init__(self, pair=None, context=None, inject=None, late=None, wrapper=False, cut=None, offer=True, babble=None, hang=False, starttls='220 go ahead', **kw):
        self.context = context or pair.context()
        self.inject, self.late, self.wrapper, self.cut = inject, late, wrapper, cut
        self.babble, self.hang = babble, hang
        self.tls, self.shaken, self.failures, self.handshake_bytes = [], 0, [], 0
        plain = kw.pop('ehlo', DEFAULT['ehlo'])
        if offer and not wrapper and isinstance(plain, str):
            lines = plain.split('\n')
            lines.insert(1, '250-STARTTLS')
            if len(lines) == 2: lines = ['250-' + lines[0][4:], '250 STARTTLS']
            secret = plain
            kw['lhlo' if kw.get('lmtp') else 'ehlo'] = lambda session, line: secret if session.secure else '\n'.join(lines)
        else: kw['lhlo' if kw.get('lmtp') else 'ehlo'] = plain
        super().__init__(**kw)
        self.script['starttls'] = starttls
