"""smtpsession.py - pipit-smtpd for one client, or listening, and the pipit-queued that it speaks to"""
import os, signal, socket, subprocess
import queuefile
from pipit import *

class Session:
    def __init__(self, home, env={}, program=None, greeting=True, first=b'', ip='192.0.2.1', before=(), args=(), name='pipit-smtpd'):
        """<program> is QMAILQUEUE; <first> is sent before the server starts; <before> is what runs it; <args> are its own."""
        a, b = socket.socketpair()
        if first: a.sendall(first)
        e = dict(os.environ, PIPIT_HOME=home)
        if ip: e['TCPREMOTEIP'] = ip
        if program: e['QMAILQUEUE'] = program
        e.update(env)
        self.log = new_log()
        self.p = as_account([*before, os.path.join(BIN, name), *args], stdin=b, stdout=b, stderr=self.log, env=e)
        b.close()
        self.s = a
        self.s.settimeout(20)
        self.buf = b''
        if greeting: self.greeting = self.reply()

    def line(self):
        while b'\n' not in self.buf:
            try: d = self.s.recv(65536)
            except ConnectionResetError: d = b''
            if not d: return ''
            self.buf += d
        l, self.buf = self.buf.split(b'\n', 1)
        return l.decode('latin-1') + '\n'

    def reply(self):
        """One reply: its last line without the line end ('' when the connection is closed)."""
        self.lines = []
        while True:
            l = self.line()
            self.lines.append(l.rstrip('\r\n'))
            if l[3:4] != '-': return self.lines[-1]

    def send(self, data):
        try: self.s.sendall(data if isinstance(data, bytes) else data.encode('latin-1'))
        except (BrokenPipeError, ConnectionResetError): pass

    def cmd(self, line):
        self.send(line + '\r\n')
        return self.reply()

    def closed(self):
        """Has the server closed, with nothing more to say?"""
        return self.reply() == ''

    def end(self):
        """Close; returns the exit code. The log is in self.text."""
        self.s.close()
        code = self.p.wait(30)
        self.log.seek(0)
        self.text = self.log.read()
        self.log.close()
        return code

class Listener:
    """pipit-smtpd -l on a free port."""
    def __init__(self, home, *args, env={}, prefix=[], address='127.0.0.1', name='pipit-smtpd'):
        self.port = free_port()
        r, w = os.pipe()
        self.log = new_log()
        self.p = as_account([*prefix, os.path.join(BIN, name), '-l', '-p', str(self.port), '-d', str(w),
                             *(['-a', address] if address else []), *args],
                            stderr=self.log, stdin=subprocess.DEVNULL, pass_fds=[w],
                            env=dict(os.environ, PIPIT_HOME=home, **env))
        os.close(w)
        self.ready = os.read(r, 1)
        os.close(r)

    def connect(self, source='127.0.0.1', to='127.0.0.1'):
        s = socket.create_connection((to, self.port), 20, (source, 0))
        s.settimeout(20)
        return s

    def greeting(self, **kw):
        with self.connect(**kw) as s: return s.recv(1000).decode()

    def text(self):
        with open(self.log.name) as f: return f.read()

    def stop(self, sig=signal.SIGTERM):
        self.p.send_signal(sig)
        return self.p.wait(30)

class Queued:
    """pipit-queued itself, on the test's home."""
    def __init__(self, home):
        self.home = home
        r, w = os.pipe()
        self.p = as_account([os.path.join(BIN, 'pipit-queued'), '-d', str(w)], pass_fds=[w], stdin=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=home))
        os.close(w)
        os.read(r, 1)
        os.close(r)

    def stop(self):
        self.p.terminate()
        self.p.wait(20)

    def messages(self):
        """Every message that lies in the queue, by its id: text and envelope."""
        return {str(id): (m.msg, m.env) for id, m in ((id, queuefile.Message(path)) for id, path in queuefile.live_files(self.home))}

    def message(self, n): return self.messages().get(n, (b'', b''))
