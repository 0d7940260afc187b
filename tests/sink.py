#!/usr/bin/python3
"""sink.py - a scripted SMTP server for tests: answers as told, records bytes as they came

As a module:
    from sink import Sink, Close, Raw, Slow, Silent
    with Sink(rcpt=['250 ok', '550 5.1.1 no such user'], dot=Slow(2, '250 late')) as s:
        s.port
        s.transactions          messages that were accepted (2xx after the dot), in order:
                                .helo .mail .rcpts (accepted ones) .all_rcpts .data .message .session
                                (data: the bytes between 354 and the end, the final dot line
                                included; message: those with the dots taken out again); with LMTP
                                also .delivered, those of .rcpts with a 2xx of their own
        s.sessions              .raw (all bytes received), .commands (lines without CRLF),
                                .writes (the pieces in which they came), .closed, .helo
        s.wait(n)               wait until n transactions are there; returns them
Stages: greeting ehlo lhlo helo mail rcpt data dot rset noop quit other. The script of a stage is
    'text'      a reply; "\\n" inside separates its lines, CRLF is added
    Raw(b'..')  bytes, sent as they are
    Close(x)    x (a reply, or nothing) is sent, then the connection closed
    Reset       the connection is reset
    Slow(n, x)  n seconds later x
    Silent      never a reply
    [x, y, z]   the first time x, then y, then z and z again; counted over all sessions
    callable    called with (session, line); returns one of the above
Beside them: address, port, drop_after (close without a word after this many bytes of DATA), rcvbuf
(bytes that the kernel takes ahead); path (a Unix socket, in place of both), lmtp (LMTP is spoken: a dot
for each recipient), dots (a function: how many, of the number of recipients).

As a program: sink.py [-a ADDRESS] [-p PORT] [STAGE=REPLY ...]; prints the port, then each accepted
message to standard output, until it is killed.
"""
import os, re, socket, struct, sys, threading, time

class Close:
    def __init__(self, reply=None): self.reply = reply
class Raw:
    def __init__(self, data): self.data = data
class Slow:
    def __init__(self, seconds, reply): self.seconds, self.reply = seconds, reply
class Silent: pass
class Reset: pass
class Gone(Exception): pass

DEFAULT = {'greeting': '220 sink.example ESMTP', 'helo': '250 sink.example',
           'ehlo': '250-sink.example\n250-PIPELINING\n250-8BITMIME\n250 SIZE 0', 'lhlo': '500 5.5.1 SMTP here',
           'mail': '250 2.1.0 ok', 'rcpt': '250 2.1.5 ok', 'data': '354 go ahead', 'dot': '250 2.0.0 taken',
           'rset': '250 2.0.0 flushed', 'noop': '250 2.0.0 ok', 'quit': Close('221 2.0.0 bye'), 'other': '502 5.5.1 what'}

LMTP = {'lhlo': DEFAULT['ehlo'], 'ehlo': '500 5.5.1 LMTP here', 'helo': '500 5.5.1 LMTP here'}

class Transaction:
    def __init__(self, session, helo, mail):
        self.session, self.helo, self.mail = session, helo, mail
        self.rcpts, self.all_rcpts, self.data, self.delivered = [], [], b'', []

    @property
    def message(self):
        body = self.data[:-3] if self.data.endswith(b'.\r\n') else self.data
        return re.sub(rb'(^|\r\n)\.', rb'\1', body)

class Session:
    def __init__(self, sink, conn):
        self.sink, self.conn = sink, conn
        self.raw, self.commands, self.writes, self.closed, self.helo = b'', [], [], False, None
        self.buffer, self.trans, self.reset = b'', None, False

    def run(self):
        try:
            self.answer('greeting', b'')
            while True: self.command(self.line())
        except (Gone, OSError): pass
        finally:
            try:
                if not self.reset: self.conn.shutdown(socket.SHUT_RDWR)
            except OSError: pass
            self.conn.close()
            self.closed = True

    def more(self):
        got = self.conn.recv(65536)
        if not got: raise Gone
        self.raw += got; self.buffer += got; self.writes.append(got)
        return got

    def line(self):
        while b'\n' not in self.buffer: self.more()
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.rstrip(b'\r')

    def data(self):
        """Read up to the line with the one dot; the bytes read."""
        limit = self.sink.drop_after
        start = 0
        while True:
            end = 3 if self.buffer.startswith(b'.\r\n') else self.buffer.find(b'\r\n.\r\n', start) + 5
            if end >= 5 or end == 3:
                body, self.buffer = self.buffer[:end], self.buffer[end:]
                return body
            if limit is not None and len(self.buffer) >= limit: raise Gone
            start = max(0, len(self.buffer) - 5)
            self.more()

    def put(self, reply, before=None):
        """Send a reply; returns its code. before(code) is called before the client can have it."""
        if isinstance(reply, Raw): data = reply.data
        else: data = b''.join(l.encode('utf-8') + b'\r\n' for l in reply.split('\n'))
        code = data[:3].decode('latin-1')
        if before: before(code)
        self.conn.sendall(data)
        return code

    def answer(self, stage, line, before=None):
        reply = self.sink.reply(stage)
        while True:
            if callable(reply) and reply not in (Silent, Reset): reply = reply(self, line)
            elif isinstance(reply, Slow):
                time.sleep(reply.seconds)
                reply = reply.reply
            elif reply is Silent:
                while True: self.more()
            elif reply is Reset:
                self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                self.reset = True
                raise Gone
            elif isinstance(reply, Close):
                if reply.reply is not None: self.put(reply.reply)
                raise Gone
            else: return self.put(reply, before)

    def command(self, line):
        self.commands.append(line.decode('latin-1'))
        verb = line.split(b' ', 1)[0].upper()
        stage = verb.decode('latin-1').lower()
        if stage in ('ehlo', 'lhlo', 'helo'):
            self.helo = line.decode('latin-1')
            self.answer(stage, line)
        elif stage == 'mail':
            t = Transaction(self, self.helo, line.decode('latin-1'))
            if self.answer('mail', line)[:1] == '2': self.trans = t
        elif stage == 'rcpt':
            if not self.trans: return self.put('503 5.5.1 MAIL first')
            self.trans.all_rcpts.append(line.decode('latin-1'))
            if self.answer('rcpt', line)[:1] == '2': self.trans.rcpts.append(line.decode('latin-1'))
        elif stage == 'data': self.take()
        else:
            if stage == 'rset': self.trans = None
            self.answer(stage if stage in DEFAULT else 'other', line)

    def take(self):
        if not self.trans or not self.trans.rcpts and not self.sink.always_354:
            return self.put('503 5.5.1 RCPT first')
        if self.answer('data', b'')[:1] != '3': return
        t, self.trans = self.trans, None
        t.data = self.data()
        if not t.rcpts: return None if self.sink.lmtp else self.put('554 5.5.1 no valid recipients')
        # Recorded before the reply, or taken out again: who has the reply finds here what it says.
        self.sink.taken(t)
        if self.sink.lmtp: self.each(t)
        else: self.answer('dot', b'', lambda code: code[:1] == '2' or self.sink.refused(t))

    def each(self, t):
        """The dots of LMTP. A transaction that was taken for somebody stays, whatever comes then."""
        try:
            for i in range(self.sink.dots(len(t.rcpts))):
                rcpt = t.rcpts[i] if i < len(t.rcpts) else ''
                self.answer('dot', rcpt.encode(), lambda code: code[:1] == '2' and t.delivered.append(rcpt))
        finally:
            if not t.delivered: self.sink.refused(t)

class Sink:
    session_class = Session

    def __init__(self, address='127.0.0.1', port=0, drop_after=None, always_354=False, rcvbuf=None,
                 path=None, lmtp=False, dots=lambda n: n, **script):
        self.address, self.port, self.drop_after, self.always_354, self.rcvbuf = address, port, drop_after, always_354, rcvbuf
        self.path, self.lmtp, self.dots = path, lmtp, dots
        unknown = set(script) - set(DEFAULT)
        if unknown: raise TypeError('no such stage: %s' % unknown)
        self.script = dict(DEFAULT, **dict(LMTP if lmtp else {}, **script))
        self.sessions, self.transactions, self.lock, self.used = [], [], threading.Lock(), {}
        self.stopping = False

    def start(self):
        self.listener = self._bind()
        self.listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _bind(self):
        if self.path:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.path)
            os.chmod(self.path, 0o666)
            return listener
        listener = socket.socket(socket.AF_INET6 if ':' in self.address else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.rcvbuf: listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.rcvbuf)
        listener.bind((self.address, self.port))
        self.port = listener.getsockname()[1]
        return listener

    def stop(self):
        self.stopping = True
        try: self.listener.shutdown(socket.SHUT_RDWR)
        except OSError: pass
        self.listener.close()
        if self.path: os.unlink(self.path)
        for s in self.sessions:
            try: s.conn.shutdown(socket.SHUT_RDWR)
            except OSError: pass

    def __enter__(self): return self.start()
    def __exit__(self, *exc): self.stop()

    def _accept(self):
        while not self.stopping:
            try: conn = self.listener.accept()[0]
            except OSError: return
            if not self.path: conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = self.session_class(self, conn)
            self.sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()

    def reply(self, stage):
        """The script of the stage, for this time."""
        script = self.script[stage]
        if not isinstance(script, list): return script
        with self.lock:
            n = self.used[stage] = self.used.get(stage, -1) + 1
        return script[min(n, len(script) - 1)]

    def taken(self, t):
        with self.lock: self.transactions.append(t)

    def refused(self, t):
        with self.lock: self.transactions.remove(t)

    def wait(self, n, seconds=10):
        end = time.monotonic() + seconds
        while len(self.transactions) < n and time.monotonic() < end: time.sleep(0.01)
        return list(self.transactions)

if __name__ == '__main__':
    options, args = {}, sys.argv[1:]
    while args and args[0] in ('-a', '-p'):
        options['address' if args[0] == '-a' else 'port'] = args[1] if args[0] == '-a' else int(args[1])
        args = args[2:]
    options.update(a.split('=', 1) for a in args)
    sink = Sink(**options).start()
    print(sink.port, flush=True)
    shown = 0
    while True:
        time.sleep(0.05)
        while shown < len(sink.transactions):
            t = sink.transactions[shown]
            sys.stdout.write('%s\n%s\n%s\n' % (t.mail, '\n'.join(t.rcpts), t.data.decode('utf-8', 'replace')))
            sys.stdout.flush()
            shown += 1
