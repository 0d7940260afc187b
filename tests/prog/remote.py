#!/usr/bin/python3
"""remote.py - pipit-remote from the command line, against servers of every kind"""
import os, re, shutil, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from jobs import Remote, remote
from sink import Close, Raw, Silent, Sink, Slow

home = make_home()
IP = '127.0.0.1'

def route(sink, **controls):
    control(home, 'smtproutes', ':[%s]:%d' % (IP, sink.port))
    for name in ('timeoutremote', 'timeoutconnect', 'helohost'): control(home, name, None)
    for name, value in controls.items(): control(home, name, str(value))

def send(sink_args, rcpts=('r@b.example',), message=b'Subject: x\n\nbody\n', sender='s@a.example', **controls):
    """One delivery to a new sink: (report, sink)."""
    with Sink(**sink_args) as s:
        route(s, **controls)
        r = remote(home, 'b.example', sender, *rcpts, message=message)
        wait_for(lambda: all(x.closed for x in s.sessions), 3)
        return r, s

def usage():
    for args in ([], ['host'], ['host', 'sender']):
        p = as_account([BIN + '/pipit-remote'] + args, stdin=subprocess.DEVNULL, stdout=-1)
        out = p.communicate()[0]
        check(p.returncode == 0 and out.startswith(b'D') and b'improperly' in out and out.endswith(b'\0'),
              'invoked improperly with %d arguments: D, exit 0' % len(args))

def texts():
    r, s = send({})
    equal((r.raw, r.status), (b'r\0K127.0.0.1 accepted message.\nRemote host said: 250 2.0.0 taken\n\0', 0), 'accepted')
    equal(s.sessions[0].commands, ['EHLO host.example', 'MAIL FROM:<s@a.example> SIZE=20', 'RCPT TO:<r@b.example>',
                                   'DATA', 'QUIT'], 'the commands of a delivery')
    r, s = send(dict(rcpt='550 5.1.1 nobody'))
    equal(r.raw, b'h127.0.0.1 does not like recipient.\nRemote host said: 550 5.1.1 nobody\n\0DGiving up on 127.0.0.1.\n\0',
          'the recipient refused')
    r, s = send(dict(mail='550 5.7.1 not you'))
    equal(r.raw, b'r\0DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 5.7.1 not you\n\0',
          'the sender refused')
    r, s = send(dict(greeting='554 no'))
    equal(r.raw, b'r\0ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554 no\n\0', 'the greeting refused')
    r, s = send(dict(ehlo='500 what', helo='550 who'))
    equal(r.raw, b'r\0DConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 550 who\n\0', 'HELO refused')
    r, s = send(dict(data='554 no data'))
    equal(r.raw, b'r\0D127.0.0.1 failed on DATA command.\nRemote host said: 554 no data\n\0', 'DATA refused')
    r, s = send(dict(dot='554 5.6.0 spam'))
    equal(r.raw, b'r\0D127.0.0.1 failed after I sent the message.\nRemote host said: 554 5.6.0 spam\n\0',
          'the message refused')
    r, s = send(dict(dot=Close()))
    equal(r.raw, b'r\0ZConnected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n\0',
          'no answer to the message')
    port = free_port()
    control(home, 'smtproutes', ':[127.0.0.1]:%d' % port)
    r = remote(home, 'b.example', 's@a.example', 'r@b.example')
    check(r.letters == 'rZ' and r.text.startswith("Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"),
          'connection refused')

def matrix():
    for rcpts in (['250 ok'], ['450 later'], ['550 no'], ['250 ok', '450 later', '550 no'], ['552 too many'],
                  ['250 ok', '552 too many']):
        for dot, letter in (('250 ok', 'K'), ('451 later', 'Z'), ('554 no', 'D')):
            r, s = send(dict(rcpt=rcpts, dot=dot), ['r%d@b.example' % i for i in range(len(rcpts))])
            want = ''.join({'2': 'r', '4': 's', '5': 'h'}[x[0]] for x in rcpts)
            once = rcpts != ['250 ok', '552 too many']
            if not once: want = {'K': 'rsK', 'Z': 'ssD', 'D': 'hsD'}[letter] # the second transaction reaches nobody
            else: want += letter if 'r' in want else 'D'
            equal((r.letters, r.complete, r.status), (want, True, 0), 'replies %s, then %s' % (rcpts, dot))
            if once and 'r' in want: equal(len(s.sessions[0].raw.split(b'RCPT')), len(rcpts) + 1, 'in one transaction')

def envelope():
    r, s = send(dict(rcpt=['250 ok', '550 no', '250 ok']), ['a@b', 'b@b', 'c@b'])
    equal(r.letters, 'rhrK', 'pipelining: each recipient has its own result')
    equal(s.sessions[0].writes[1], b'MAIL FROM:<s@a.example> SIZE=20\r\nRCPT TO:<a@b>\r\nRCPT TO:<b@b>\r\n'
          b'RCPT TO:<c@b>\r\nDATA\r\n', 'pipelining: the envelope is one write')
    equal(s.transactions[0].rcpts, ['RCPT TO:<a@b>', 'RCPT TO:<c@b>'], 'the message goes to those accepted')
    r, s = send(dict(rcpt='550 no', always_354=True), ['a@b', 'b@b'])
    equal((r.letters, s.sessions[0].commands[-1]), ('hhD', 'QUIT'), '354 with no recipient left: refused all the same')
    check(s.sessions[0].raw.endswith(b'DATA\r\n.\r\nQUIT\r\n'), '354 with no recipient left: a lone dot')
    r, s = send(dict(mail='550 no', rcpt='503 no', always_354=True))
    equal(r.letters, 'rD', 'MAIL refused in a pipeline: the sender is to blame')
    plain = '250 sink.example'
    r, s = send(dict(ehlo=plain, rcpt=['250 ok', '450 later']), ['a@b', 'b@b'])
    equal((r.letters, s.sessions[0].writes[1:4]), ('rsK', [b'MAIL FROM:<s@a.example>\r\n', b'RCPT TO:<a@b>\r\n',
          b'RCPT TO:<b@b>\r\n']), 'without PIPELINING: one command after the other')
    r, s = send(dict(ehlo=plain, rcpt='550 no'), ['a@b', 'b@b'])
    equal((r.letters, 'DATA' in s.sessions[0].commands), ('hhD', False), 'without PIPELINING: no DATA for nobody')
    r, s = send(dict(ehlo='502 what'))
    equal((r.letters, s.sessions[0].commands[:2]), ('rK', ['EHLO host.example', 'HELO host.example']), 'HELO when EHLO is not known')
    r, s = send({}, helohost='mail.example')
    equal(s.transactions[0].helo, 'EHLO mail.example', 'helohost')
    r, s = send({}, sender='')
    check(s.transactions[0].mail.startswith('MAIL FROM:<> '), 'the null sender')
    many = ['rcpt%04d@b.example' % i for i in range(1000)]
    long_reply = '\n'.join(['250-' + 'x' * 400] * 9 + ['250 ok'])
    r, s = send(dict(rcpt=long_reply), many)
    equal((r.letters, len(s.transactions[0].rcpts)), ('r' * 1000 + 'K', 1000),
          '1000 recipients and 4 MB of replies in one pipeline: no deadlock')

def extensions():
    offer = '250-sink\n250-PIPELINING\n250 SIZE %d'
    for what, message in (('small', b'a\n.b\n\n'), ('large', b'line\n.dot\r\n' * 9000 + b'end')):
        size = len(message.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')) + (0 if message.endswith(b'\n') else 2)
        r, s = send(dict(ehlo=offer % size), message=message)
        check(r.letters == 'rK' and ' SIZE=%d' % size in s.transactions[0].mail and
              len(s.transactions[0].message) == size, 'SIZE is what the server stores (%s message)' % what)
        r, s = send(dict(ehlo=offer % (size - 1)), message=message)
        check(r.letters == 'rD' and '(#5.3.4)' in r.text and not any('MAIL' in c for c in s.sessions[0].commands),
              'over the limit that the server announced: refused before MAIL (%s message)' % what)
    for bad in ('x', '18446744073709551616', '-1', '', '1 2'):
        r, s = send(dict(ehlo='250-sink\n250 SIZE ' + bad))
        equal(r.letters, 'rK', 'SIZE with the odd limit %r is no limit' % bad)
    eight = b'Subject: x\n\n' + 'käse\n'.encode()
    r, s = send({}, message=eight)
    check('BODY=8BITMIME' in s.transactions[0].mail, '8-bit message: BODY=8BITMIME')
    check(s.transactions[0].message == eight.replace(b'\n', b'\r\n'), '8-bit message: unchanged')
    r, s = send({}, message=b'x\n' * 40000 + eight)
    check('BODY=8BITMIME' in s.transactions[0].mail, 'large 8-bit message: BODY=8BITMIME')
    r, s = send({})
    check('BODY' not in s.transactions[0].mail, '7-bit message: no BODY')
    r, s = send(dict(ehlo='250-sink\n250 PIPELINING'), message=eight)
    check('BODY' not in s.transactions[0].mail and r.letters == 'rK', '8BITMIME not offered: sent as it is')

def line_ends():
    for message, data in ((b'', b'.\r\n'), (b'x', b'x\r\n.\r\n'), (b'.\n', b'..\r\n.\r\n'), (b'a\r.\rb', b'a\r\n..\r\nb\r\n.\r\n'),
                          (b'a\r\n.\r\nb\n', b'a\r\n..\r\nb\r\n.\r\n'), (b'a\n\r.\n', b'a\r\n\r\n..\r\n.\r\n'),
                          (b'a\0b\n', b'a\0b\r\n.\r\n'), (b'a\r\r\n.', b'a\r\n\r\n..\r\n.\r\n')):
        r, s = send({}, message=message)
        equal((r.letters, s.transactions and s.transactions[0].data), ('rK', data), 'message %r' % message)
    big = b''.join(b'%d\n.%d\n' % (i, i) for i in range(150000))
    r, s = send({}, message=big)
    equal(s.transactions[0].message == big.replace(b'\n', b'\r\n'), True, 'a message of 2 MB arrives whole')

def addresses():
    for addr, path in (('a b@c', '<"a b"@c>'), ('a"b\\@c', '<"a\\"b\\\\"@c>'), ('.a@c', '<".a"@c>'), ('a..b@c', '<"a..b"@c>'),
                       ('a.@c', '<"a."@c>'), ('a@b@c', '<"a@b"@c>'), ("o'x+y=z@c", "<o'x+y=z@c>"), ('bare', '<bare>'),
                       ('a>b@c', '<"a>b"@c>'), ('x@[127.0.0.1]', '<x@[127.0.0.1]>')):
        r, s = send({}, [addr])
        equal((r.letters, s.sessions[0].commands[2]), ('rK', 'RCPT TO:' + path), 'recipient %r' % addr)
    for addr in ('a\r\nDATA@c', 'a\nb@c', 'a@c\r\nRSET', 'a\x7f@c', 'a@c> NOTIFY=NEVER', 'a@c d', '@c', 'a@', '', 'a\t@c'):
        r, s = send({}, [addr, 'good@c'])
        check(r.letters == 'hrK' and '(#5.1.3)' in r.rcpts[0][1] and
              [c for c in s.sessions[0].commands if 'RCPT' in c] == ['RCPT TO:<good@c>'], 'recipient %r is never sent' % addr)
        r, s = send({}, [addr])
        check(r.letters == 'hD' and not s.sessions, 'recipient %r alone: nobody is troubled with it' % addr)
    for addr in ('a\r\nRCPT TO:<x@y>@c', 'a@c> SIZE=1', '@c'):
        r, s = send({}, sender=addr)
        check(r.letters == 'rD' and '(#5.1.7)' in r.text and not s.sessions, 'sender %r is never sent' % addr)

def hostile():
    """Whatever a server says at whatever stage: a complete report, not now, in bounded time."""
    def flood(session, line):
        try:
            while True: session.conn.sendall(b'250-more\r\n' * 1000)
        except OSError: return Close()
    def long_line(session, line):
        try: session.conn.sendall(b'250 ' + b'x' * (1 << 20) + b'\r\n')
        except OSError: pass
        return Close()
    bad = {'early close': Close(), '421': Close('421 4.3.2 going down'), 'a line of 1 MiB': long_line,
           'endless continuation': flood, 'mixed codes': Raw(b'250-a\r\n550 b\r\n'), 'code 999': Raw(b'999 a\r\n'),
           'code 000': Raw(b'000 a\r\n'), 'no code': Raw(b'hello\r\n'), 'half a reply, then silence': Raw(b'250 o'),
           'half a reply, then the end': lambda session, line: (session.conn.sendall(b'250-ok\r\n'), Close())[1],
           'NUL bytes': Raw(b'\0\0\0\r\n'), 'silence': Silent, 'code 199': Raw(b'199 a\r\n'), 'an empty line': Raw(b'\r\n'),
           'a first digit alone': Raw(b'2\r\n'), '16 KB of nothing': Raw(b'\0' * 16384)}
    for stage in ('greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot'):
        for name, reply in bad.items():
            for ehlo in ('250-x\n250 PIPELINING', '250 x'):
                if stage == 'ehlo': ehlo = reply
                r, s = send({'ehlo': ehlo, stage: reply}, timeoutremote=1)
                ok = r.letters == 'rZ' and r.complete and r.status == 0 and r.took < 30
                if stage == 'dot': ok = ok and 'Possible duplicate! ' in r.text
                else: ok = ok and 'duplicate' not in r.text and not s.transactions
                if not check(ok, '%s at %s (%s): not now' % (name, stage, 'PIPELINING' if 'PIPE' in str(ehlo) else 'plain')):
                    print(r.raw, r.took)
                if stage in ('greeting', 'ehlo'): break
    r, s = send(dict(dot=Raw(b'550 a\0b\x1b[2J\r\x07\xff\r\n')))
    equal(r.raw[-64:], b'failed after I sent the message.\nRemote host said: 550 a?b?[2J???\n\0'[-64:],
          'control characters of a reply go no further')
    r, s = send(dict(dot='\n'.join(['550-' + 'y' * 1990] * 99 + ['550 z'])))
    check(r.letters == 'rD' and len(r.text) < 3001, 'a very long refusal is cut')
    r, s = send(dict(mail='354 go on'))
    equal(r.letters, 'rZ', 'a code that makes no sense at MAIL: not now')
    r, s = send(dict(data='250 fine'))
    equal((r.letters, len(s.transactions)), ('rZ', 0), 'a code that makes no sense at DATA: not now, nothing sent')
    for stage, said in (('mail', b'250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n'), ('data', b'354 go\r\n250 taken\r\n'),
                        ('greeting', b'220 hi\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go\r\n')):
        r, s = send({stage: Raw(said), 'ehlo': '250 x', 'dot': Silent}, timeoutremote=1)
        equal((r.letters, len(s.transactions)), ('rZ', 0), 'replies at %s that nothing was asked for: not now' % stage)
    r, s = send(dict(rcpt=['250 ok', Close('421 bye')]), ['a@b', 'b@b', 'c@b'])
    equal((r.letters, len(s.transactions)), ('rrrZ', 0), '421 between recipients: not now for all')
    r, s = send(dict(rcpt=['550 no', Close('421 bye')]), ['a@b', 'b@b', 'c@b'])
    equal(r.letters, 'hrrZ', '421 after a refusal: that one stands')

def slow():
    big = b'line of a message\n' * 400000
    def deaf(session, line):
        session.put('354 go ahead')
        time.sleep(3)
        return Close()
    r, s = send(dict(data=deaf), message=big, timeoutremote=1)
    check(r.letters == 'rZ' and r.took < 30 and 'duplicate' not in r.text, 'a server that reads no data: given up in time')
    def early(code):
        def f(session, line):
            session.put('354 go ahead')
            for i in range(5): session.more()
            return Close(code + ' enough')
        return f
    for code, letters in (('552 5.3.4', 'rDZ'), ('452', 'rZ'), ('421', 'rZ'), ('250', 'rZ')):
        r, s = send(dict(data=early(code)), message=big, timeoutremote=100)
        check(r.letters[0] == 'r' and r.letters[1] in letters[1:] and r.took < 60, 'a server that answers %s in the middle of the data' % code)
    r, s = send(dict(dot=Slow(2, '250 late')), timeoutremote=10)
    equal(r.letters, 'rK', 'a slow answer to the message is waited for')
    def drip(session, line):
        try:
            for c in b'250' + b' slowly' * 15 + b'\r\n':
                session.conn.sendall(bytes([c]))
                time.sleep(0.3)
        except OSError: pass
        return Close()
    r, s = send(dict(mail=drip), timeoutremote=2)
    check(r.letters == 'rZ' and r.took < 20, 'a reply byte by byte does not stretch the time of a reply')

def routes():
    with Sink() as s, Sink() as other:
        def goes(lines, host='b.example'):
            control(home, 'smtproutes', lines)
            before = len(s.transactions), len(other.transactions)
            r = remote(home, host, 's@a.example', 'r@b.example')
            after = len(s.transactions), len(other.transactions)
            return r.letter, after[0] - before[0], after[1] - before[1]
        to, no = '[127.0.0.1]:%d' % s.port, '[127.0.0.1]:%d' % other.port
        equal(goes('b.example:' + to), ('K', 1, 0), 'smtproutes: a domain')
        equal(goes('B.Example:' + to), ('K', 1, 0), 'smtproutes: whatever the case')
        equal(goes('.example:%s\n:%s' % (to, no)), ('K', 1, 0), 'smtproutes: a wildcard')
        equal(goes('b.example:%s\n.example:%s' % (to, no)), ('K', 1, 0), 'smtproutes: the domain before the wildcard')
        equal(goes('c.example:%s\n:%s' % (no, to)), ('K', 1, 0), 'smtproutes: the default')
        equal(goes('b.example:127.0.0.1:%d' % s.port), ('K', 1, 0), 'smtproutes: an address without brackets')
        equal(goes(':' + to, '[192.0.2.1]'), ('K', 1, 0), 'smtproutes: the default holds for literals')
        for bad in ('[127.0.0.1', 'relay example', '[127.0.0.1]x', 'relay:0', 'relay:65536', 'relay:x', '[::1'):
            r = goes('b.example:' + bad)
            equal(r, ('Z', 0, 0), 'smtproutes: %r makes mail wait' % bad)
        control(home, 'smtproutes', None)
        os.mkdir(os.path.join(home, 'control/smtproutes'))
        equal(remote(home, 'b.example', 's@a', 'r@b').letter, 'Z', 'smtproutes that cannot be read: not now')
        os.rmdir(os.path.join(home, 'control/smtproutes'))
    six = Sink('::1')
    try: six.start()
    except OSError: return skip('no IPv6 here')
    for form, why in (('[::1]', 'an IPv6 address'), ('[IPv6:::1]', 'an IPv6 address tagged as in mail')):
        control(home, 'smtproutes', ':%s:%d' % (form, six.port))
        r = remote(home, 'b.example', 's@a.example', 'r@b.example')
        equal(r.raw, b'r\0K::1 accepted message.\nRemote host said: 250 2.0.0 taken\n\0', 'smtproutes: ' + why)
    six.stop()

def settings():
    with Sink() as s:
        route(s)
        control(home, 'me', None)
        r = remote(home, 'b.example', 's@a', 'r@b')
        check(r.letters == 'rZ' and not s.sessions, 'without control/me: not now')
        control(home, 'me', 'host.example')
        control(home, 'timeoutremote', 'soon')
        r = remote(home, 'b.example', 's@a', 'r@b')
        check(r.letters == 'rZ' and 'timeoutremote' in r.text and not s.sessions, 'a bad number in a setting: not now')
        control(home, 'timeoutremote', None)
        control(home, 'helohost', 'two words')
        equal(remote(home, 'b.example', 's@a', 'r@b').letters, 'rZ', 'a helohost that is no name: not now')
        control(home, 'helohost', None)
        path = os.path.join(SCRATCH, 'file')
        with open(path, 'wb') as f: f.write(b'skipped\nthe rest\n')
        with open(path, 'rb') as f:
            os.lseek(f.fileno(), 8, os.SEEK_SET)
            p = as_account([BIN + '/pipit-remote', 'b.example', 's@a', 'r@b'], stdin=f, stdout=-1, env=dict(os.environ, PIPIT_HOME=home))
            p.communicate()
        equal(s.wait(1)[0].message, b'the rest\r\n', 'a file is sent from its position on')
        if ROOT:
            p = subprocess.run([BIN + '/pipit-remote', 'b.example', 's@a', 'r@b'], input=b'x\n', stdout=-1,
                               env=dict(os.environ, PIPIT_HOME=home))
            check(p.stdout.startswith(b'r\0K'), 'started as root it works as the account of the home')
            p = subprocess.run([BIN + '/pipit-remote', 'b.example', 's@a', 'r@b'], input=b'x\n', stdout=-1,
                               env=dict(os.environ, PIPIT_HOME='/nonexistent'))
            check(p.stdout.startswith(b'Z') and p.returncode == 0, 'as root without an instance: not now')
        else: skip('dropping root: not run as root')

def faults():
    path = os.path.join(SCRATCH, 'unreadable')
    with Sink() as s, open(path, 'wb') as f:
        route(s)
        f.write(b'x\n')
        f.flush()
        os.lseek(f.fileno(), 0, os.SEEK_SET)
        p = as_account([BIN + '/pipit-remote', 'b.example', 's@a', 'r@b'], stdin=f, stdout=-1, env=dict(os.environ, PIPIT_HOME=home))
        out = p.communicate()[0]
        check(out.startswith(b'r\0ZUnable to read message.') and not s.sessions, 'the message cannot be read: not now')
    strace = shutil.which('strace')
    if not strace or subprocess.run([strace, '-o', '/dev/null', 'true'], stderr=subprocess.DEVNULL).returncode:
        return skip('no strace here')
    for call, error, text in (('socket', 'EMFILE', 'SMTP connection'), ('connect', 'ENETUNREACH', 'SMTP connection'),
                              ('setsockopt', 'ENOBUFS', 'SMTP connection'),
                              ('landlock_restrict_self', 'EPERM', 'start')):
        with Sink() as s:
            route(s)
            before = [strace, '-f', '-qq', '-o', '/dev/null', '-e', 'trace=' + call, '-e', 'inject=%s:error=%s' % (call, error)]
            r = remote(home, 'b.example', 's@a', 'r@b', before=before, ASAN_OPTIONS='detect_leaks=0')
            check(r.letter == 'Z' and text in r.text and r.status == 0 and not s.transactions, '%s fails with %s: not now' % (call, error))

def peers():
    """Servers that other people wrote."""
    try: from aiosmtpd.controller import Controller
    except ImportError: return skip('no aiosmtpd here')
    class Handler:
        got = []
        async def handle_DATA(self, server, session, env):
            self.got.append((env.mail_from, env.rcpt_tos, env.content))
            return '250 ok'
    c = Controller(Handler(), hostname='127.0.0.1', port=free_port())
    c.start()
    try:
        control(home, 'smtproutes', ':[127.0.0.1]:%d' % c.port)
        r = remote(home, 'b.example', 's@a.example', 'r@b.example', 'q@b.example', message=b'Subject: x\n\n.dot\nb\n')
        equal(r.letters, 'rrK', 'aiosmtpd accepts')
        equal(Handler.got, [('s@a.example', ['r@b.example', 'q@b.example'], b'Subject: x\r\n\r\n.dot\r\nb\r\n')], 'aiosmtpd has the message')
    finally: c.stop()

for test in (usage, texts, matrix, envelope, extensions, line_ends, addresses, hostile, slow, routes, settings, faults, peers):
    test()
done()
