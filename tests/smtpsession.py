"""smtpsession.py - pipit-smtpd started for one client, and that client's end of the connection"""
import os, socket
from pipit import *

class Session:
    def __init__(self, home, env={}, program=None, greeting=True, first=b'', ip='192.0.2.1', before=()):
        """<program> is QMAILQUEUE; <first> is sent before the server starts; <before> is what runs it."""
        a, b = socket.socketpair()
        if first: a.sendall(first)
        e = dict(os.environ, PIPIT_HOME=home)
        if ip: e['TCPREMOTEIP'] = ip
        if program: e['QMAILQUEUE'] = program
        e.update(env)
        self.log = open(os.path.join(SCRATCH, 'log'), 'w+')
        self.p = as_account([*before, os.path.join(BIN, 'pipit-smtpd')], stdin=b, stdout=b, stderr=self.log, env=e)
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
