"""typed-ahead.py - bytes that a client sends before it may: never part of a message, never commands

The queue is a stub that waits where it is told to, so "before the answer" is no
question of who is faster.
"""
import os, socket, struct, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import smtpsession
from smtpsession import *

home = make_home()
control(home, 'rcpthosts', 'example.org')

def Session(env={}, **kw):
    return smtpsession.Session(home, env, **kw)

def begin(env={}, hello='EHLO me.example', rcpt='x@example.org'):
    s = Session(env)
    for line in (hello, 'MAIL FROM:<a@b.example>', 'RCPT TO:<%s>' % rcpt): s.cmd(line)
    return s

class Queue:
    """Stands in for pipit-queued. <pause> is 'O' or '.': before the reply to that it waits for release().
    <reply> is what it says to 'O'."""
    def __init__(self, pause=None, reply=b'K\0'):
        self.pause, self.first = pause, reply
        self.messages, self.reached, self.released = [], threading.Event(), threading.Event()
        path = os.path.join(home, 'run', 'queue')
        if os.path.exists(path): os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(5)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                conn = self.listener.accept()[0]
                threading.Thread(target=self.connection, args=(conn.makefile('rwb'), conn), daemon=True).start()
        except OSError: pass

    def connection(self, f, conn):
        text = b''
        while True:
            head = f.read(5)
            if len(head) < 5: return
            kind, payload = head[:1].decode(), f.read(struct.unpack('>I', head[1:])[0])
            if kind == 'O': text = b''
            if kind == 'D': text += payload
            if kind == '.': self.messages.append(text)
            if kind not in 'O.': continue
            if kind == self.pause:
                self.reached.set()
                self.released.wait(60)
            reply = self.first[:2] + b'no' if kind == 'O' else b'K\0' + b'1700000000000000'
            f.write(reply[:1] + struct.pack('>I', len(reply) - 1) + reply[1:])
            f.flush()

    def release(self):
        self.released.set()

    def stop(self):
        self.release()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

TEXT = b'Subject: x\r\n\r\ntext\r\n.\r\n'
# What an attacker would like to be read as commands.
SMUGGLED = b'MAIL FROM:<evil@b.example>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\n' + TEXT

def codes(s, n):
    return [s.reply()[:3] for _ in range(n)]

def ends(s, expected, why, reason=None):
    """The session answers with these codes, and is over."""
    equal(codes(s, len(expected) + 1), expected + [''], why)
    s.end()
    if reason: check('reason="%s"' % reason in s.text or 'reason=%s' % reason in s.text, 'the log says why: ' + reason)

# Before the greeting.
for first in (b'EHLO x\r\n', SMUGGLED, b'\r\n', b'x'):
    q = Queue()
    ends(Session(first=first, greeting=False), ['554'], 'before the greeting: %r ends the session' % first[:10], 'early talker')
    equal(q.messages, [], 'and nothing is queued')
    q.stop()

# Behind DATA, before 354: with DATA, and while the queue is asked for room.
q = Queue()
s = begin()
s.send(b'DATA\r\n' + TEXT)
ends(s, ['554'], 'text in one packet with DATA ends the session', 'typed ahead of DATA')
s = begin()
s.send(b'DATA\r\n.')
ends(s, ['554'], 'and one byte as well')
s = Session()
s.send(b'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n' + TEXT)
ends(s, ['250', '250', '250', '554'], 'a whole dialogue in one packet does not become a message')
equal(q.messages, [], 'nothing is queued')
q.stop()
q = Queue(pause='O')
s = begin()
s.send(b'DATA\r\n')
check(q.reached.wait(30), 'the queue is asked for room')
s.send(TEXT)
q.release()
ends(s, ['554'], 'text that comes while the queue is asked ends the session', 'typed ahead of DATA')
equal(q.messages, [], 'nothing is queued')
q.stop()

# Behind a DATA that is refused: the text of a client that does not look at answers is no list of commands.
for relay in (False, True):
    env = {'RELAYCLIENT': ''} if relay else {}
    who = 'a relay client' if relay else 'a stranger'
    q = Queue()
    for before, data, code in ((b'', b'DATA\r\n', '503'), (b'MAIL FROM:<a@b.example>\r\n', b'DATA\r\n', '503'),
                               (b'MAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\n', b'DATA now\r\n', '501')):
        s = Session(env)
        s.send(b'EHLO x\r\n' + before + data + b'body\r\n.\r\n' + SMUGGLED)
        expected = ['250'] * (1 + before.count(b'\n')) + [code, '554']
        ends(s, expected, '%s: what stands behind a DATA with %s is not read' % (who, code), 'typed ahead of DATA')
    equal(q.messages, [], 'nothing is queued')
    s = Session(env)
    s.send(b'EHLO x\r\nMAIL FROM:<a@b.example>\r\nDATA\r\n')
    equal(codes(s, 3), ['250', '250', '503'], '%s: a refused DATA alone' % who)
    equal(s.cmd('NOOP')[:3], '250', 'does not end the session')
    s.end()
    q.stop()
    q = Queue(pause='O', reply=b'Z\x35')
    s = begin(env)
    s.send(b'DATA\r\n')
    q.reached.wait(30)
    s.send(b'body\r\n.\r\n' + SMUGGLED)
    q.release()
    ends(s, ['452', '554'], '%s: nor behind one that the queue has no room for' % who)
    q.stop()
    q = Queue(reply=b'Z\x35')
    s = begin(env)
    equal((s.cmd('DATA')[:3], s.cmd('NOOP')[:3]), ('452', '250'), 'who waits may go on')
    s.end()
    q.stop()

# Behind the dot.
q = Queue()
s = begin()
s.cmd('DATA')
s.send(TEXT + b'MAIL FROM:<b@c.example>\r\nRCPT TO:<y@example.org>\r\nDATA\r\n')
equal(codes(s, 4), ['250', '250', '250', '354'], 'after EHLO the next group may stand behind the dot (RFC 2920)')
s.send(b'bad\nline\r\n.\r\nMAIL FROM:<b@c.example>\r\nQUIT\r\n')
ends(s, ['550', '250', '221'], 'also behind the dot of a refused message', 'quit')
equal(len(q.messages), 1, 'one message is queued')
s = begin(hello='HELO x')
s.cmd('DATA')
s.send(TEXT + SMUGGLED)
ends(s, ['250', '554'], 'after HELO it may not: the message counts, the rest ends the session', 'typed ahead')
s = begin(hello='HELO x')
s.cmd('DATA')
s.send(b'bad\nline\r\n.\r\n' + SMUGGLED)
ends(s, ['550', '554'], 'neither behind a refused one')
equal(len(q.messages), 2, 'nothing more is queued')
q.stop()
for hello, expected in (('HELO x', ['250', '554', '']), ('EHLO x', ['250', '250', '250'])):
    q = Queue(pause='.')
    s = begin(hello=hello)
    s.cmd('DATA')
    s.send(TEXT)
    check(q.reached.wait(30), 'the message is on its way to the disk')
    s.send(b'MAIL FROM:<b@c.example>\r\nRCPT TO:<y@example.org>\r\n')
    q.release()
    equal(codes(s, 3), expected, '%s: commands before the answer to the dot' % hello)
    s.end()
    q.stop()

# Between commands: answered in order, none lost, whether PIPELINING was said or not.
q = Queue()
s = Session()
s.send(b'NOOP\r\nEHLO x\r\nVRFY x\r\nRSET\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.com>\r\nHELP\r\nRCPT TO:<x@example.org>\r\nDATA\r\n')
equal(codes(s, 9), ['250', '250', '252', '250', '250', '553', '214', '250', '354'], 'commands in one packet are answered in order')
s.send(TEXT)
equal(codes(s, 1), ['250'], 'and the message is taken')
s.end()
s = Session()
s.send(b'HELO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\n')
equal(codes(s, 3), ['250', '250', '250'], 'after HELO, too')
s.send(b'QUIT\r\n' + SMUGGLED)
ends(s, ['221'], 'nothing is read behind QUIT', 'quit')
s = Session()
s.send(b'EHLO x\r\nNOOP\n' + SMUGGLED)
ends(s, ['250', '500'], 'nor behind a line that ends with LF alone', 'bare LF')
s = Session()
s.send(b'EHLO x\r\nNOOP ' + b'y' * 20000 + b'\r\nNOOP\r\n')
equal(codes(s, 3), ['250', '500', '250'], 'a line that is too long is read to its end')
s.end()
s = Session()
s.send(b'GET / HTTP/1.1\r\n\r\n' + SMUGGLED)
ends(s, ['554'], 'nor behind an HTTP request', 'HTTP request')
equal(len(q.messages), 1, 'one message was queued')
# sendmail -bs: scripts write the whole dialogue at once.
s = Session({'RELAYCLIENT': ''}, first=b'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@far.example>\r\nDATA\r\n' + TEXT + b'QUIT\r\n',
            greeting=False)
ends(s, ['220', '250', '250', '250', '354', '250', '221'], 'a relay client may write all at once', 'quit')
equal([m.endswith(b'Subject: x\n\ntext\n') for m in q.messages], [True] * 2, 'which is one message')
q.stop()
done()
