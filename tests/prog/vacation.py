"""vacation.py - pipit-vacation, vacation, qmail-autoresponder: who is answered, who never is, how often"""
import email, email.policy, fcntl, os, re, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import dotline
from dotline import *

ENV.update(SENDER='ann@there.example')
MEMORY = '.pipit-vacation'
with open('away', 'w') as f: f.write('I am away: 100%.\n%S from %s to %r, 50%%\n')

def message(*fields, to='joe@host.example'):
    return ''.join(f + '\n' for f in (*(['To: ' + to] if to else []), 'Subject: hello', 'Message-ID: <1@there.example>', *fields)).encode() + b'\nbody\n'

def call(*args, name='pipit-vacation', text=None, **kw):
    return line(name, *args, message=message() if text is None else text, **kw)

def queued():
    """The answer, with its envelope as .sender and .to; or None."""
    got = dotline.queued()
    if not got: return None
    m = email.message_from_bytes(got[2], policy=email.policy.compat32)
    m.sender, m.to, m.data = got
    return m

def forget():
    if os.path.lexists(MEMORY): os.unlink(MEMORY)

def answered(*args, **kw):
    """(exit code, was there an answer, what was said), with nobody answered before."""
    forget()
    r = call(*(args or ('away',)), **kw)
    return r[0], queued() is not None, r[2]

def the_answer():
    code, out, err = call('away', text=message('References: <r1@x>\n\t<r2@x> junk'))
    check(code == 0 and re.fullmatch(r'pipit-vacation: qp \d+\n', err), 'it says its qp: %r' % err)
    m = queued()
    equal((m.sender, m.to), ('', ['ann@there.example']), 'the answer goes to SENDER, from nobody')
    fields = [(k, v) for k, v in m.items() if k not in ('Date', 'Message-ID')]
    equal(fields, [('From', '<joe@host.example>'), ('To', '<ann@there.example>'), ('Subject', 'Auto: hello'), ('In-Reply-To', '<1@there.example>'),
                   ('References', '<r1@x>\n <r2@x>\n <1@there.example>'), ('Auto-Submitted', 'auto-replied'), ('X-Auto-Response-Suppress', 'All')], 'its fields')
    check(m['Date'] and re.fullmatch(r'<[^<>@ ]+@host\.example>', m['Message-ID']), 'date and id')
    equal(m.get_payload(), 'I am away: 100%.\nhello from ann@there.example to joe@host.example, 50%\n', 'its text')
    r = call('away')
    equal((r[0], queued(), r[2]), (0, None, 'pipit-vacation: not answered: its sender was answered lately\n'), 'once')
    r = call('away', env={'SENDER': 'ANN@There.example'})
    equal((r[0], queued()), (0, None), 'in upper case too')
    with open('full', 'wb') as f:
        f.write('From: "Joe, away" <joe@host.example>\r\nSubject: re %S\r\nTo: x@y.z\r\nBcc: x@y.z\r\nAuto-Submitted: no\r\nContent-Type: text/html; charset=utf-8\r\n'
                'References: <no@x>\r\nX-Own: %r\r\n\r\n<p>weg für %S\r\n'.encode())
    forget()
    call('full', text=message('Subject: =?utf-8?q?=C3=BC?=\n =?utf-8?q?x?= \x01\n\tBcc: y@z'))
    m = queued()
    equal((m['From'], m['Subject'], m.get_all('To'), m['Bcc'], m.get_all('Auto-Submitted'), m['X-Own'], m.get_all('Content-Type'), m.get_all('References')),
          ('"Joe, away" <joe@host.example>', 're =?utf-8?q?=C3=BC?=  =?utf-8?q?x?=    Bcc: y@z', ['<ann@there.example>'], None, ['auto-replied'], 'joe@host.example',
           ['text/html; charset=utf-8'], ['<1@there.example>']), 'a text with a header of its own; no line end of a subject gets into it')
    check('für =?utf'.encode() in m.data and b'\r' not in m.data, 'its body')
    forget()
    with open('umlaut', 'wb') as f: f.write('Grüße: bis bald\n\nJoe\n'.encode())
    call('-s', 'away (%S)\nX-Y: z', 'umlaut', text=message('Subject: ' + 'long ' * 400))
    m = queued()
    check(m['Content-Type'] == 'text/plain; charset=utf-8' and m['X-Y'] is None and m['Subject'].startswith('away (long long') and len(m['Subject']) < 950 and
          m.get_payload(decode=True).startswith('Grüße:'.encode()), '-s, a long subject, a text whose first line looks like a field: %r' % m['Subject'][-20:])
    out = call('-N', 'away', env={'SENDER': '"odd\\" one"@x.example'})[1]
    check('To: <' in out and not queued(), '-N prints it')
    equal(answered(text=b'To: joe@host.example\n\n')[:2], (0, True), 'a message without subject and id')

def never():
    for sender in ('', '#@[]', 'nobody', '@x', 'x@', 'MAILER-DAEMON@x', 'mailer-daemon', 'postmaster@x', 'owner-l@x', 'l-request@x', 'l-owner@x', 'l-bounces@x',
                   'l-bounces+a=b@x', 'no-reply@x', 'noreply-12@x', 'l-return-7-a=b@x', 'Joe@Host.Example', 'a\nb@x', 'a<b@x>', 'a@[]', 'a@x y', 'y' * 320 + '@x'):
        code, got, err = answered(env={'SENDER': sender})
        check(code == 0 and not got and err.startswith('pipit-vacation: not answered: '), 'never: from <%s>: %s' % (sender[:20], err.strip()[31:]))
    for field in ('List-Id: <l.x>', 'list-unsubscribe: <x>', 'Mailing-List: x', 'X-Mailing-List: x', 'Precedence: bulk', 'precedence: JUNK', 'Precedence:\n list',
                  'Auto-Submitted: auto-replied', 'Auto-submitted: auto-generated; x', 'X-Spam-Flag: YES', 'X-Spam-Status: Yes, score=9', 'X-Auto-Response-Suppress: DR, OOF',
                  'X-Autoreply: yes', 'X-Autorespond: x', 'Content-Type: multipart/report; report-type=x'):
        code, got, err = answered(text=message(field))
        check(code == 0 and not got and 'not answered' in err, 'never: %s: %s' % (field.replace('\n', ' '), err.strip()[31:]))
    for field in ('Auto-Submitted: no', 'Precedence: first-class', 'X-Spam-Status: No', 'X-Spam-Flag: no', 'Listless: x', 'X-Auto-Response-Suppress: RN', 'Content-Type: multipart/mixed'):
        equal(answered(text=message(field))[:2], (0, True), 'but with ' + field)
    for to in (None, 'ann@host.example', 'joe@other.example', 'undisclosed-recipients: ;', '"joe@host.example" <x@y.z>', '(joe@host.example)'):
        code, got, err = answered(text=message(to=to))
        check(code == 0 and not got and 'not addressed' in err, 'never: addressed to %s' % to)
    for to in ('Joe <JOE@host.Example>', 'x@y.z, "j" <joe@host.example>, b'): equal(answered(text=message(to=to))[:2], (0, True), 'but to ' + to)
    for name in ('Cc', 'Bcc', 'Resent-To'): equal(answered(text=message(name + ': joe@host.example', to='x@y.z'))[:2], (0, True), 'or in ' + name)
    equal(answered('-a', 'info@Host.example', 'away', text=message(to='INFO@host.example'))[:2], (0, True), '-a')
    forget(); call('-a', 'jo', 'away', text=message(to='jo@elsewhere.example'))
    equal(queued()['From'], '<jo@elsewhere.example>', '-a with a name alone: at any host; the answer comes from there')
    equal(answered('-a', 'ann', 'away')[:2], (0, True), 'which says nothing about senders')
    equal(answered('-j', 'away', text=message(to='x@y.z'))[:2], (0, True), '-j: whoever it is addressed to')
    equal(answered(env={'LOCAL': 'shop-info', 'EXT': 'info'}, text=message(to='info@host.example'))[:2], (0, True), 'an address of a virtual domain')
    code, got, err = answered(text=b'To: joe@host.example\n' + b'X: y\n' * 300000 + b'\n')
    check(code == 0 and not got and 'too long' in err, 'never: a header of more than a megabyte')

def limits():
    forget()
    sent = [call('-n', '2', '-t', '1', 'away')[0] == 0 and queued() is not None for _ in range(4)]
    equal(sent, [True, True, False, False], '-n: so many answers')
    data = open(MEMORY, 'rb').read()
    check(re.fullmatch(rb'pipit-vacation 1 [0-9a-f]{8}\n(\d+ ann@there\.example\n){2}', data), 'what it remembers: %r' % data)
    equal(oct(os.stat(MEMORY).st_mode & 0o777), '0o600', 'which nobody else can read')
    def write(lines):
        """Remember these (age in seconds, sender), with the right sum."""
        now = int(time.time())
        body = b''.join(b'%d %s\n' % (now - age, s) for age, s in lines)
        with open(MEMORY + '.x', 'wb') as f: f.write(b'pipit-vacation 1 %08x\n' % crc32c(body) + body)
        os.rename(f.name, MEMORY)
    write([(86400 * 7 - 100, b'ann@there.example')])
    equal((call('away')[0], queued()), (0, None), 'after less than a week: no answer')
    write([(86400 * 7 + 100, b'ann@there.example')])
    equal((call('away')[0], queued() is None), (0, False), 'after a week: one')
    write([(86400 * 2, b'ann@there.example')])
    equal([(call('-t', t, 'away')[0], queued() is not None) for t in ('3', 'infinite', '1', '0', '0')], [(0, n) for n in (False, False, True, True, True)], '-t: days; 0: always; for ever')
    write([(-86400, b'ann@there.example')])
    equal((call('away')[0], queued()), (0, None), 'an answer in the future, of a clock that was set back, counts')
    write([(10, b'x%d@y' % i) for i in range(30)])
    r = call('away')
    check(r[0] == 0 and not queued() and 'last hour' in r[2], 'thirty answers in an hour are enough: %r' % r[2])
    equal((call('-h', '31', 'away')[0], queued() is not None), (0, True), '-h: so many')
    write([(86400 * 6, b'x%04d%s@y' % (i, b'y' * 60)) for i in range(3317)])
    equal((call('away')[0], queued() is not None, os.path.getsize(MEMORY) < 262144), (0, True, True), 'what it remembers stays small')
    check(b'x3316' in open(MEMORY, 'rb').read() and b'x0000' not in open(MEMORY, 'rb').read(), 'by forgetting the oldest')
    good = open(MEMORY, 'rb').read()
    for bad in (good[:-1], good[:100], good.replace(b'x3199', b'x3198'), b'x', b'pipit-vacation 1 00000000\nx', b'\0' * 5000, b'x' * 300000):
        with open(MEMORY, 'wb') as f: f.write(bad)
        r = call('away', env={'SENDER': 'new@x.example'})
        check(r[0] == 0 and not queued() and 'damaged' in r[2] and open(MEMORY, 'rb').read() == bad, 'damage of %d bytes: no answer, and it says so' % len(bad))
    with open(MEMORY, 'wb'): pass
    equal((call('away')[0], queued() is not None), (0, True), 'an empty one is new')
    equal((call('-i', name='vacation', without=['SENDER'])[0], os.path.exists(MEMORY)), (0, False), 'vacation -i forgets all')
    with open(MEMORY, 'w') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        p = subprocess.Popen([os.path.join(BIN, 'pipit-vacation'), 'away'], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV)
        p.stdin.write(message()); p.stdin.close()
        def waits():
            """It has the file, or a child of it has."""
            pids = [p.pid] + [int(c) for c in open('/proc/%d/task/%d/children' % (p.pid, p.pid)).read().split()]
            return any(os.path.realpath('/proc/%d/fd/%s' % (n, d)) == os.path.realpath(MEMORY) for n in pids for d in os.listdir('/proc/%d/fd' % n))
        check(wait_for(waits), 'one that finds another at work')
        write([(10, b'ann@there.example')]) # as the other replaces the file
    equal((p.wait(60), queued()), (0, None), 'waits for it, and heeds what it has written')

def crc32c(data):
    crc = 0xffffffff
    for c in data:
        crc ^= c
        for _ in range(8): crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff

def trouble():
    forget()
    for why, args, kw in (('no text', ['none'], {}), ('an unknown option', ['-x', 'away'], {}), ('no argument', [], {}), ('no queue', ['away'], {'env': {'QMAILQUEUE': '/none'}}),
                          ('the queue says 31', ['away'], {'env': {'CODE': '31', 'SENDER': 'b@x.example'}}), ('no place to remember', ['-f', '/none/x', 'away'], {}),
                          ('a folder there', ['-f', '.', 'away'], {}), ('a link there', ['-f', 'link', 'away'], {}), ('no host', ['away'], {'without': ['HOST']})):
        os.path.lexists('link') or os.symlink('away', 'link')
        forget()
        r = call(*args, **kw)
        check(r[0] == 0 and r[2].startswith('pipit-vacation: ') and r[2].count('\n') <= 2 and 'qp' not in r[2], 'the delivery goes on: %s: %r' % (why, r[2][:80]))
        queued()
    equal([call(*a, name=n, without=['SENDER'])[0] for n, a in (('pipit-vacation', []), ('pipit-vacation', ['-x']), ('pipit-vacation', ['away']), ('vacation', ['a', 'b']), ('qmail-autoresponder', []))],
          [100] * 5, 'typed by hand, it says so by its exit code')

def other_names():
    forget()
    with open('.vacation.msg', 'w') as f: f.write('From: joe@host.example (Joe)\nSubject: away ($SUBJECT)\n\nAbout $SUBJECT: 5 %S\n')
    equal(call('-a', 'jo', '-r', '3', '-z', 'joe', name='vacation', text=message(to='joe@anywhere.example'))[0], 0, 'vacation login')
    m = queued()
    equal((m['Subject'], m.get_payload(), m.sender), ('away (hello)', 'About hello: 5 %S\n', ''), 'its text, with $SUBJECT')
    equal((call('joe', name='vacation')[0], queued()), (0, None), 'once')
    equal((call('-m', 'away', '-f', 'mem2', name='vacation')[0], queued() is not None, os.path.exists('mem2')), (0, True, True), '-m and -f')
    os.mkdir('auto')
    with open('auto/message.txt', 'w') as f: f.write('From: <%r>\nSubject: Re: %S\n\nHi %s\n')
    sent = [call('-n', '2', '-t', '600', '-q', 'auto', name='qmail-autoresponder')[2] == '' and queued() for _ in range(3)]
    equal([bool(m) for m in sent], [True, True, False], 'qmail-autoresponder: its own folder, -n, -q')
    equal((sent[0]['From'], sent[0]['Subject'], sent[0].get_payload()), ('<joe@host.example>', 'Re: hello', 'Hi ann@there.example\n'), 'its text')
    with open('auto/other', 'w') as f: f.write('Bye\n')
    call('-s', 'Gone:', '-t', '0', 'other', 'auto', name='qmail-autoresponder', env={'SENDER': 'c@x.example'})
    m = queued()
    equal((m['Subject'], m.get_payload()), ('Gone: hello', 'Bye\n'), '-s, and a file')

the_answer()
never()
limits()
trouble()
other_names()
done()
