"""tlsserver.py - pipit-tlsd on a test's home, and what speaks TLS to it"""
import os, signal, smtplib, socket, ssl, subprocess
from pipit import *

def certificate(path, name):
    """A new self-signed certificate, which can stand in the place of the one before."""
    if os.path.lexists(path + '.new'): os.unlink(path + '.new')
    subprocess.run([os.path.join(BIN, 'pipit-tlsd'), '-g', name, path + '.new'], check=True)
    own(path + '.new')
    os.rename(path + '.new', path)
    return path

def der(path):
    return ssl.PEM_cert_to_DER_cert(open(path).read().split('-----BEGIN EC')[0].split('-----BEGIN PRIV')[0].strip())

def any_server():
    """A context that believes everything, as a server that delivers mail does."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c

class Tlsd:
    def __init__(self, home, *args, wait=True, prefix=[]):
        self.home = home
        self.client = '-c' in args # it speaks to TLS servers, and reads no keys
        r, w = os.pipe()
        self.log = open(os.path.join(SCRATCH, 'tlsc.log' if self.client else 'tlsd.log'), 'w+')
        self.p = as_account([*prefix, os.path.join(BIN, 'pipit-tlsd'), '-d', str(w), *args], pass_fds=[w], stdin=subprocess.DEVNULL,
                            stderr=self.log, env=dict(os.environ, PIPIT_HOME=home))
        os.close(w)
        self.ready = os.read(r, 1) if wait else None
        os.close(r)

    def text(self):
        with open(self.log.name) as f: return f.read()

    def hup(self):
        """Have everything read anew; what is said meanwhile."""
        before = len(self.text())
        self.p.send_signal(signal.SIGHUP)
        wait_for(lambda: self.text()[before:].endswith('settings read\n' if self.client else 'certificates read\n'))
        return self.text()[before:]

    def children(self):
        """The process that reads keys is the first of them."""
        return [int(p) for p in open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)).read().split()]

    def sessions(self): return self.children()[0 if self.client else 1:]

    def stop(self, sig=signal.SIGTERM):
        self.p.send_signal(sig)
        return self.p.wait(20)

class Secure:
    """One client: in clear up to starttls(), or from connecting on."""
    def __init__(self, port, context=None, name=None, connect=False, source='127.0.0.1'):
        self.s = socket.create_connection(('127.0.0.1', port), 20, (source, 0))
        self.s.settimeout(20)
        self.context, self.name = context or any_server(), name
        if connect: self.shake()
        self.f = self.s.makefile('rb')
        self.greeting = self.reply()

    def shake(self, session=None):
        self.s = self.context.wrap_socket(self.s, server_hostname=self.name, session=session)

    def starttls(self, session=None):
        self.cmd('EHLO client.example')
        r = self.cmd('STARTTLS')
        if r[:3] == '220':
            self.over(session)
        return r

    def over(self, session=None):
        self.f.close()
        self.shake(session)
        self.f = self.s.makefile('rb')

    def reply(self):
        self.lines = []
        while True:
            try: line = self.f.readline().decode()
            except OSError: line = ''
            self.lines.append(line.rstrip('\r\n'))
            if line[3:4] != '-': return self.lines[-1]

    def cmd(self, line):
        self.s.sendall(line.encode() + b'\r\n')
        return self.reply()

    def codes(self, *lines): return [self.cmd(l)[:3] for l in lines]

    def certificate(self): return self.s.getpeercert(True)

    def rest(self):
        """What comes until the server closes."""
        try: return self.f.read()
        except OSError: return b''

    def quit(self):
        r = self.cmd('QUIT')[:3]
        self.rest()
        self.close()
        return r

    def close(self):
        self.f.close()
        self.s.close()
