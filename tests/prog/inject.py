"""inject.py - pipit-inject: headers completed, recipients found, results passed on"""
import os, re, signal, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

home = make_home()
inject = os.path.join(BIN, 'pipit-inject')
queue = os.path.join(SCRATCH, 'queue-stub')
kept = os.path.join(SCRATCH, 'kept')
NAMES = ('QMAILUSER MAILUSER USER LOGNAME QMAILHOST MAILHOST QMAILNAME MAILNAME NAME QMAILSUSER QMAILSHOST '
         'QMAILDEFAULTDOMAIN QMAILDEFAULTHOST QMAILPLUSDOMAIN QMAILIDHOST QMAILINJECT QMAILQUEUE QMAILREWRITEFILE QMAILMFTFILE').split()
plain = {k: v for k, v in os.environ.items() if k not in NAMES}
plain.update(PIPIT_HOME=home, USER='joe', TZ='UTC', KEPT=kept)

# What stands in the place of the queue: keeps what it is given, and exits as it is told.
with open(queue, 'w') as f:
    f.write('#!/bin/sh\nrm -f "$KEPT".*\n: >"$KEPT.begun"\n[ "${EARLY-}" ] && exit "$EARLY"\ncat >"$KEPT.msg"\ncat <&1 >"$KEPT.env"\nulimit -v >"$KEPT.limit"\n'
            'exit "${CODE-0}"\n')
os.chmod(queue, 0o755)

def run(args, message=b'', env={}, **kw):
    if 'stdin' not in kw: kw['input'] = message
    return subprocess.run([inject, *args], env={**plain, **env}, capture_output=True, timeout=60, **kw)

def show(args, message=b'', env={}):
    """The message as -n prints it, Date and Message-ID made plain, as (header lines, rest)."""
    r = run(['-n', *args], message, env)
    if r.returncode: return r.returncode, r.stderr.decode().strip()
    text = re.sub(rb'^((Resent-)?(Date|Message-ID): ).*', rb'\1-', r.stdout, flags=re.M)
    head, sep, body = text.partition(b'\n\n')
    return [l.decode('latin-1') for l in head.splitlines()], (sep + body)[1:]

def send(args, message=b'', env={}, **kw):
    """Through the stub: (exit status, stderr, envelope as a list, message)."""
    for x in ('msg', 'env'):
        if os.path.exists(kept + '.' + x): os.unlink(kept + '.' + x)
    r = run(args, message, {'QMAILQUEUE': queue, **env}, **kw)
    try:
        return (r.returncode, r.stderr.decode(errors='replace'), open(kept + '.env', 'rb').read().decode('latin-1').split('\0')[:-2],
                open(kept + '.msg', 'rb').read())
    except FileNotFoundError: return r.returncode, r.stderr.decode(errors='replace'), None, None

def envelope(args, message=b'', env={}):
    status, err, env, _ = send(args, message, env)
    return env if not status else (status, err.strip())

def header(line, env={}, args=['x@y']):
    """One field after it has been through."""
    head = show(args, line.encode('latin-1') + b'\n', env)[0]
    if not isinstance(head, list): return head
    name = line.partition(':')[0]
    return '\n'.join(l for l in head if l.partition(':')[0] == name or l[:1] in ' \t')

TOP = ['Return-Path: <joe@host.example>', 'Date: -', 'Message-ID: -']

# What is added.
equal(show([], b''), (TOP + ['From: joe@host.example', 'Cc: recipient list not shown: ;'], b''),
      'an empty message gets a whole header')
equal(show([], b'\nhello\n')[1], b'\nhello\n', 'and its body, when it is all body')
equal(show([], b'hello there\n')[1], b'\nhello there\n', 'an empty line is put before a line that is no field')
equal(show([], b'hello\n\nthere\n')[1], b'\nhello\n\nthere\n', 'and later empty lines stay')
equal(show([], b'To: a@x.org\nSubject: s\n\nbody'), (TOP + ['From: joe@host.example', 'To: a@x.org', 'Subject: s'], b'\nbody\n'),
      'a last line gets its line end')
equal(show([], b'To: a@x.org\nSubject: s')[0][-1], 'Subject: s', 'a last field gets its line end')
equal(show([], b'Date: d\nMessage-ID: <i>\nFrom: f@x\nCc: c@x.org\n\n')[0],
      ['Return-Path: <joe@host.example>', 'Date: -', 'Message-ID: -', 'From: f@x.host.example', 'Cc: c@x.org'],
      'nothing is added to a whole header')
r = run(['-n'], b'').stdout.decode()
check(re.search(r'^Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d+ [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d \+0000$', r, re.M), 'the date is one')
check(re.search(r'^Message-ID: <\d{14}\.\d+\.\d+\.pipit@host\.example>$', r, re.M), 'so is the message id')
check(len({re.search(r'^Message-ID: (.*)', run(['-n']).stdout.decode(), re.M).group(1) for i in range(20)}) == 20,
      'message ids differ')

# From, by the environment.
for env, expected, why in (
    ({}, 'joe@host.example', 'USER'),
    ({'QMAILUSER': 'a', 'MAILUSER': 'b', 'LOGNAME': 'c'}, 'a@host.example', 'QMAILUSER goes first'),
    ({'MAILUSER': 'b', 'LOGNAME': 'c'}, 'b@host.example', 'then MAILUSER'),
    ({'USER': '', 'LOGNAME': 'c'}, ACCOUNT.pw_name + '@host.example' if not ROOT else 'root@host.example',
     'an empty USER is no user: the password database says who'),
    ({'QMAILHOST': 'x.org', 'MAILHOST': 'y.org'}, 'joe@x.org', 'QMAILHOST goes first'),
    ({'MAILHOST': 'y.org'}, 'joe@y.org', 'then MAILHOST'),
    ({'MAILHOST': 'mx'}, 'joe@mx.host.example', 'a short host gets the default domain'),
    ({'QMAILNAME': 'Joe Doe', 'MAILNAME': 'x', 'NAME': 'y'}, '"Joe Doe" <joe@host.example>', 'QMAILNAME'),
    ({'NAME': 'J "\\" D'}, '"J \\"\\\\\\" D" <joe@host.example>', 'a name is quoted'),
    ({'NAME': 'Joe', 'QMAILINJECT': 'c'}, 'joe@host.example (Joe)', 'c: the name as comment'),
    ({'NAME': 'J(D)', 'QMAILINJECT': 'c'}, 'joe@host.example (J\\(D\\))', 'a comment is quoted'),
    ({'NAME': 'x\nBcc: y\r'}, '"x Bcc: y " <joe@host.example>', 'a line end in a name cannot begin a field'),
    ({'USER': 'joe doe'}, '"joe doe"@host.example', 'a user with a space is quoted'),
    ({'USER': 'joe@x'}, '"joe@x"@host.example', 'a user with an at sign is quoted'),
):
    equal(header('From', env=env, args=[]), 'From: ' + expected, 'From: ' + why)
equal(show([], b'', {'USER': 'a\nb'}), (100, 'pipit-inject: fatal: control character in the environment variable USER'),
      'a user with a line end is refused')

# Addresses in fields.
for line, expected, why in (
    ('To: joe', 'To: joe@host.example', 'the default host is added'),
    ('To: joe@sub', 'To: joe@sub.host.example', 'the default domain is added'),
    ('To: joe@sub+', 'To: joe@sub.host.example', 'the plus domain is added'),
    ('To: joe@[192.0.2.1], #@[]', 'To: joe@[192.0.2.1], #@[]', 'literals and markers stay'),
    ('To: joe@x.org.', 'To: joe@x.org', 'a last dot is dropped'),
    ('To: joe@ (x)', 'To: joe@host.example (x)', 'an at sign alone is no host'),
    ('To:joe@x.org  ,\tBob   <bob>(c) ', 'To:joe@x.org  ,\tBob   <bob@host.example>(c) ', 'all else stays as it is'),
    ('To: a b <c> d', 'To: a b <c@host.example>, d@host.example', 'missing commas are added'),
    ('To: <@a,@b:joe@x.org>', 'To: <joe@x.org>', 'source routes are removed'),
    ('To: g: a, b; , c', 'To: g: a@host.example, b@host.example; , c@host.example', 'groups'),
    ('To: undisclosed-recipients:;', 'To: undisclosed-recipients:;', 'an empty group stays'),
    ('To: "a, b" <c@x.org>, (d, e) f@x.org', 'To: "a, b" <c@x.org>, (d, e) f@x.org', 'commas in names and comments'),
    ('To: joe\n bob,\n\tjim', 'To: joe@host.example,\n bob@host.example,\n\tjim@host.example', 'folding stays'),
    ('TO : joe', 'TO : joe@host.example', 'the name as it is written'),
    ('Cc: joe (x', 'Cc: joe (x', 'what cannot be understood stays, when arguments say who'),
    ('From: joe', 'From: joe@host.example', 'From'), ('Sender: joe', 'Sender: joe@host.example', 'Sender'),
    ('Reply-To: joe', 'Reply-To: joe@host.example', 'Reply-To'),
    ('Errors-To: joe', 'Errors-To: joe@host.example', 'Errors-To'),
    ('Return-Receipt-To: joe', 'Return-Receipt-To: joe@host.example', 'Return-Receipt-To'),
    ('Apparently-To: joe', 'Apparently-To: joe@host.example', 'Apparently-To'),
    ('Resent-To: joe', 'Resent-To: joe@host.example', 'Resent-To'),
    ('From: (joe', 'From: (joe', 'a From that cannot be understood stays'),
    ('From: joe\\\n bob', 'From: joe\\\n bob', 'nothing is put behind a line end that is quoted'),
    ('Subject: joe, <bob', 'Subject: joe, <bob', 'other fields are not looked into'),
    ('X-To: joe', 'X-To: joe', 'nor unknown ones'),
    ('To: j\xc3\xb6@x.org', 'To: j\xc3\xb6@x.org', '8-bit addresses'),
    ('Bcc: joe', '', 'Bcc is removed'), ('Resent-Bcc: joe', '', 'Resent-Bcc is removed'),
    ('Return-Path: joe', 'Return-Path: <joe@host.example>', 'Return-Path is used, not passed on'),
    ('Content-Length: 7', '', 'Content-Length is removed'),
):
    equal(header(line), expected, why)
control(home, 'defaulthost', 'mail+'); control(home, 'defaultdomain', 'd.example'); control(home, 'plusdomain', 'p.example')
equal(header('To: a, a@b, a@b+'), 'To: a@mail.p.example, a@b.d.example, a@b.p.example', 'the control files are read')
equal(header('To: a, a@b, a@b+', {'QMAILDEFAULTHOST': 'h', 'QMAILDEFAULTDOMAIN': 'x', 'QMAILPLUSDOMAIN': 'y.z'}),
      'To: a@h.x, a@b.x, a@b.y.z', 'the environment goes before them')
check('@id.example>' in run(['-n'], env={'QMAILIDHOST': 'id.example'}).stdout.decode(), 'QMAILIDHOST')
for c in ('defaulthost', 'defaultdomain', 'plusdomain'): control(home, c, None)
many = ', '.join('a%d' % i for i in range(500))
out = header('To: ' + many)
check(max(map(len, out.split('\n'))) < 998, 'a line that grows is folded before it is too long')
check(re.split(r',\s+', out[4:]) == ['a%d@host.example' % i for i in range(500)], 'and nothing is lost by that')
equal(header('To: ' + 'x' * 2000 + '@x.org, b@x.org'), 'To: ' + 'x' * 2000 + '@x.org, b@x.org', 'a long line without changes stays')

# mbox's line, NUL, CR.
equal(show(['a'], b'From joe Mon\nSubject: s\n\n')[0][-2:], ['MBOX-Line: From joe Mon', 'Subject: s'], "mbox's first line becomes a field")
check(run(['-n', 'a'], b'Subject: a\0b\n\nc\0d\n').stdout.endswith(b'Subject: a\0b\n\nc\0d\n'), 'NUL bytes are passed on')
check(run(['-n', 'a'], b'Subject: s\r\nX: a\r\n b\r\n\r\nc\r\nd\re\r\r\nf\r\n').stdout.endswith(b'Subject: s\nX: a\n b\n\nc\nd\re\r\nf\n'),
      'CRLF is taken for LF, a lone CR stays')
check(run(['-n', 'a'], b'Subject: s\n\nc\r').stdout.endswith(b'\nc\r\n'), 'also at the very end')
big = b'Subject: s\r\n\r\n' + b'0123456789abcde\r\n' * 20000
check(run(['-n', 'a'], big).stdout.endswith(b'\n\n' + b'0123456789abcde\n' * 20000), 'a CRLF over the edge of a buffer is one too')

r, w = os.pipe()
p = subprocess.Popen([inject, '-n', 'a'], stdin=r, stdout=subprocess.PIPE, env=plain)
for piece in (b'\nc\r', b'\nd\r', b'e\r', b'\r', b'\n'):
    os.write(w, piece); time.sleep(0.1)
os.close(w); os.close(r)
check(p.communicate(timeout=10)[0].endswith(b'\n\nc\nd\re\r\n'), 'and one that comes in two pieces')

# Who gets it.
msg = b'To: t\nCc: c, c2@x.org\nBcc: b\nApparently-To: ap\n\n'
F = 'Fjoe@host.example'
T = lambda *names: [F] + ['T' + n + '@host.example' if '@' not in n else 'T' + n for n in names]
equal(envelope([], msg), T('t', 'c', 'c2@x.org', 'b', 'ap'), 'recipients of the header')
equal(envelope(['a', 'b@y.org'], msg), T('a', 'b@y.org'), 'arguments instead of the header')
equal(envelope(['-a', 'a'], msg), T('a'), '-a')
equal(envelope(['-h', 'a'], msg), T('t', 'c', 'c2@x.org', 'b', 'ap'), '-h ignores the arguments')
equal(envelope(['-H', 'a'], msg), T('a', 't', 'c', 'c2@x.org', 'b', 'ap'), '-H takes both')
equal(envelope(['-H', '-A', 'a'], msg), T('a'), '-A takes that back')
equal(envelope([], b'To: t\nResent-To: r\nResent-Cc: rc\nResent-Bcc: rb\n\n'), T('r', 'rc', 'rb'), 'recipients of a resent message')
equal(envelope(['-H'], b'To: (t\nResent-To: r\n\n'), T('r'), 'whose To does not matter')
equal(envelope(['a'], b'To: "(\nCc: <\nBcc: (\n\n'), T('a'), 'nor does a broken field when there are arguments')
equal(envelope([], b'To: g: a, B <b>;, <>, "q r"@x.org\n\n'), T('a', 'b', 'q r@x.org'), 'a group, nobody, and a quoted local part')
equal(envelope(['--', '-oQ/tmp', '-f']), T('-oQ/tmp', '-f'), 'recipients that begin with a dash')
equal(envelope(['a b@x.org', 'a@b@x.org', 'a@sub+', 'a@x.org.', '@', 'a@']), (100, 'pipit-inject: fatal: unable to parse address: @'),
      'an argument without local part')
equal(envelope(['a b@x.org', 'a@b@x.org', 'a@sub+', 'a@x.org.', 'a@', 'a@[192.0.2.1]', 'a@[IPv6:2001:db8::1]', '`id`;|$(id)@x.org']),
      T('a b@x.org', 'a@b@x.org', 'a@sub.host.example', 'a@x.org', 'a', 'a@[192.0.2.1]', 'a@[IPv6:2001:db8::1]', '`id`;|$(id)@x.org'), 'arguments are raw addresses')
equal(envelope(['a@x.org,b@x.org']), T('a@x.org,b@x.org'), 'also with a comma')
equal(envelope(['Joe <joe@x.org>']), (100, 'pipit-inject: fatal: unable to parse address: Joe <joe@x.org>'),
      'a display name among the arguments is refused')
equal(envelope(['']), (100, 'pipit-inject: fatal: empty address among the arguments'), 'an empty argument')
equal(envelope(['a\nTb']), (100, "pipit-inject: fatal: control character in a recipient's address"), 'a line end in an argument')
equal(envelope([], b'To: "a\x01b"@x.org\n\n'), (100, 'pipit-inject: fatal: control character in an address in the field To'),
      'a control character in the header')
equal(envelope([], b'To: "a\0b"@x.org\n\n'), (100, 'pipit-inject: fatal: control character in an address in the field To'), 'a NUL in the header')
none = 'pipit-inject: fatal: no recipients: none were given as arguments'
equal(envelope([], b'Subject: s\n\n'), (100, none + ', nor by To, Cc or Bcc'), 'nobody to send it to')
equal(envelope(['-a'], b'To: joe\n\n'), (100, none), 'nobody among the arguments')
equal(envelope([], b'To: undisclosed-recipients:;\n\n'), (100, none + ', nor by To, Cc or Bcc'), 'an empty group is nobody')
for field in ('To', 'cC', 'Bcc', 'Apparently-To', 'Resent-Cc'):
    equal(envelope([], b'Resent-To: a\n' * ('Resent' in field) + b'To: a\n' + field.encode() + b': (x\n\n'),
          (100, 'pipit-inject: fatal: unable to parse the field ' + field), 'a broken %s without arguments' % field)
equal(envelope(['-H', 'a'], b'Cc: (x\n\n'), (100, 'pipit-inject: fatal: unable to parse the field Cc'), 'or beside them with -H')

# The sender.
f = lambda *args, message=b'\n', env={}: (envelope([*args, 'x'], message, env) or [None])[0]
equal(f('-f', 'a'), 'Fa@host.example', '-f')
equal(f('-fa@sub+'), 'Fa@sub.host.example', '-f with a short domain')
equal(f('-f', ''), 'F', "-f ''")
equal(f('-f', '<>'), 'F', "-f '<>'")
equal(f('-f', '<a@x.org>'), 'Fa@x.org', "-f '<a@x.org>'")
equal(f('-f', '#@[]'), 'F#@[]', "-f '#@[]'")
equal(f('-f', 'l-@x.org-@[]'), 'Fl-@x.org-@[]', 'a sender that is expanded for each recipient')
equal(f('-f', 'a b@x.org'), 'Fa b@x.org', 'a sender with a space')
equal(envelope(['-f', 'a\n', 'x']), (100, "pipit-inject: fatal: control character in the sender's address"), 'a sender with a line end')
equal(f(message=b'Return-Path: <r>\n\n'), 'Fr@host.example', 'Return-Path')
equal(f(message=b'Return-Path: <>\n\n'), 'F', 'an empty Return-Path')
equal(f(message=b'Return-Path: r\nReturn-Path: s\n\n'), 'Fr@host.example', 'the first Return-Path')
equal(f('-f', 'a', message=b'Return-Path: r\n\n'), 'Fa@host.example', '-f goes before it')
equal(envelope(['x'], b'Return-Path: (r\n\n'), (100, 'pipit-inject: fatal: unable to parse the field Return-Path'), 'a broken Return-Path')
equal(f('-f', 'a', message=b'Return-Path: (r\n\n'), 'Fa@host.example', 'which does not matter beside -f')
equal(f(message=b'From: q@x.org\nSender: q@x.org\n\n'), F, 'From and Sender do not make the sender')
equal(f(env={'QMAILSUSER': 's', 'QMAILSHOST': 'h.org'}), 'Fs@h.org', 'QMAILSUSER and QMAILSHOST')
equal(f(env={'QMAILHOST': 'h.org'}), 'Fjoe@h.org', 'QMAILHOST')

# QMAILINJECT.
i = lambda letters, message: show(['x'], message, {'QMAILINJECT': letters})[0]
equal(i('f', b'From: a@x.org\n')[3], 'From: joe@host.example', 'f: From is replaced')
check('Message-ID: <i>' not in run(['-n', 'x'], b'Message-ID: <i>\n', {'QMAILINJECT': 'i'}).stdout.decode(), 'i: Message-ID is replaced')
equal(f(env={'QMAILINJECT': 's'}, message=b'Return-Path: r\n\n'), F, 's: Return-Path is ignored')
equal(f(env={'QMAILINJECT': 'r'}), 'Fjoe-@host.example-@[]', 'r: a sender for each recipient')
equal(f(env={'QMAILINJECT': 'r'}, message=b'Return-Path: <r-@x.org>\n\n'), 'Fr-@x.org-@[]', 'r with a Return-Path')
equal(f(env={'QMAILINJECT': 'r'}, message=b'Return-Path: <>\n\n'), 'F', 'r with an empty one')
check(re.fullmatch(r'Fjoe-\d+\.\d+@host\.example', f(env={'QMAILINJECT': 'm'}) or ''), 'm: a sender for each message')
check(re.fullmatch(r'Fjoe-\d+\.\d+-@host\.example-@\[\]', f(env={'QMAILINJECT': 'rm'}) or ''), 'both')

# Resent messages.
equal(show([], b'Resent-Subject: s\nTo: a@x.org\n')[0][3], 'From: joe@host.example', 'an unknown Resent- field makes no resent message')
equal(show([], b'Resent-Sender: s@x.org\nTo: a@x.org\n')[0],
      ['Return-Path: <joe@host.example>', 'Resent-Date: -', 'Resent-Message-ID: -', 'Resent-From: joe@host.example',
       'Resent-Cc: recipient list not shown: ;', 'Resent-Sender: s@x.org', 'To: a@x.org'], 'Resent- fields are added')

# What the queue says.
equal(send(['a@x.org'], b'Subject: s\n\nbody\n')[0], 0, 'accepted: 0')
for code, status in ((11, 100), (31, 100), (40, 100), (51, 111), (53, 111), (54, 111), (62, 111), (71, 111), (81, 111), (91, 111), (120, 111)):
    r = send(['a@x.org'], b'\nbody\n', {'CODE': str(code)})
    check(r[0] == status and re.fullmatch(r'pipit-inject: fatal: .+\n', r[1]), 'the queue exits %d: %d and one line' % (code, status))
r = send(['a@x.org'], b'\n' + b'x' * 3000000, {'EARLY': '53'})
equal(r[0], 111, 'a queue that stops reading: 111')
send(['a@x.org'])
equal(open(kept + '.limit').read(), subprocess.run('ulimit -v', shell=True, capture_output=True, text=True).stdout,
      'a queue program has no memory limit of ours')
equal(send(['a@x.org'], b'\n', {'QMAILQUEUE': '/nonexistent'})[0], 111, 'a queue that is not there: 111')
equal(run(['a@x.org'], env={'PIPIT_HOME': SCRATCH + '/none', 'QMAILQUEUE': queue}).returncode, 111, 'no home: 111')
control(home, 'defaulthost', 'a\0b')
r = run(['-n', 'a'])
check(r.returncode == 111 and b'control/defaulthost: line 1' in r.stderr, 'a bad control file: 111, and says which')
control(home, 'defaulthost', None)

# A message that does not arrive.
d = os.open(SCRATCH, os.O_RDONLY)
r = send(['a'], stdin=d)
check(r[0] == 111 and 'unable to read the message' in r[1] and r[2] is None, 'a read error: 111, nothing queued')
os.close(d)
p = subprocess.run(['strace', '-o', '/dev/null', '-e', 'trace=read', '-P', '/proc/self/fd/0', 'true'], capture_output=True) \
    if os.path.exists('/usr/bin/strace') else None
strace_works = p and p.returncode == 0
if strace_works:
    with open(SCRATCH + '/long', 'wb') as out: out.write(b'\n' + b'x\n' * 500000)
    for when in (1, 3):
        for x in ('msg', 'env'):
            if os.path.exists(kept + '.' + x): os.unlink(kept + '.' + x)
        with open(SCRATCH + '/long', 'rb') as stdin:
            r = subprocess.run(['strace', '-o', '/dev/null', '-P', SCRATCH + '/long', '-e', 'inject=read:error=EIO:when=%d' % when, inject, 'a'],
                               stdin=stdin, env={**plain, 'QMAILQUEUE': queue}, capture_output=True)
        time.sleep(0.1)
        check(r.returncode == 111 and (not os.path.exists(kept + '.env') or not open(kept + '.env', 'rb').read()),
              'EIO at read %d: 111, no envelope' % when)
else: skip('strace does not work here')
r = subprocess.run(['sh', '-c', '"$0" a <&-', inject], env={**plain, 'QMAILQUEUE': queue}, capture_output=True)
check(r.returncode == 111 and b'standard input is closed' in r.stderr, 'closed standard input: 111')
equal(subprocess.run(['sh', '-c', '"$0" a >&- 2>&-', inject], env={**plain, 'QMAILQUEUE': queue}, input=b'\n').returncode, 0,
      'other closed descriptors do not matter')
p = subprocess.Popen([inject, 'a'], stdin=subprocess.PIPE, env={**plain, 'QMAILQUEUE': queue}, stderr=subprocess.PIPE)
os.set_blocking(p.stdin.fileno(), False)
p.stdin.write(b'Subject: s\n'); p.stdin.flush(); time.sleep(0.1); p.stdin.write(b'\nb\n'); p.stdin.close()
equal(p.wait(10), 0, 'a writer that takes its time'); p.stderr.close()
r, w = os.pipe(); os.set_blocking(r, False)
p = subprocess.Popen([inject, 'a'], stdin=r, env={**plain, 'QMAILQUEUE': queue}, stderr=subprocess.PIPE)
time.sleep(0.2); os.write(w, b'\nb\n'); os.close(w); os.close(r)
equal(p.wait(10), 0, 'standard input that does not block'); p.stderr.close()
p = subprocess.Popen([inject, 'a'], stdin=subprocess.PIPE, env={**plain, 'QMAILQUEUE': queue}, stderr=subprocess.PIPE)
time.sleep(0.2); p.send_signal(signal.SIGALRM)
check(p.wait(10) == 111 and b'within a day' in p.stderr.read(), 'patience ends: 111'); p.stdin.close(); p.stderr.close()
with open('/dev/full', 'w') as full:
    equal(subprocess.run([inject, '-n', 'a'], stdout=full, stderr=subprocess.DEVNULL, env=plain, input=b'\n').returncode, 111, '-n to a full disk: 111')

for size, why in ((1000, 'a short message'), (200000, 'a long message')):
    if os.path.exists(kept + '.begun'): os.unlink(kept + '.begun')
    p = subprocess.Popen([inject, 'a'], stdin=subprocess.PIPE, env={**plain, 'QMAILQUEUE': queue})
    p.stdin.write(b'\n' + b'x\r\n' * size); p.stdin.flush(); time.sleep(0.3)
    check(not os.path.exists(kept + '.begun'), why + ' does not keep the queue waiting for its end')
    p.stdin.write(b'end'); p.stdin.close()
    check(p.wait(10) == 0 and open(kept + '.msg', 'rb').read().endswith(b'\n\n' + b'x\n' * size + b'end\n'), 'and is whole in the end')
    equal(subprocess.run([inject, 'a'], input=b'\n' + b'x\n' * size, env={**plain, 'QMAILQUEUE': queue, 'TMPDIR': '/nonexistent'}).returncode, 0,
          'also without TMPDIR')
if strace_works:
    r = subprocess.run(['strace', '-o', '/dev/null', '-e', 'inject=write:error=ENOSPC:when=1', inject, 'a'], input=b'\n' + b'x\n' * 200000,
                       env={**plain, 'QMAILQUEUE': queue}, capture_output=True)
    check(r.returncode == 111 and b'unable to write the message to a file' in r.stderr, 'no room for it: 111')

# Limits.
def limit(message, why, status=100, text=None, args=[]):
    began = time.monotonic()
    r = send(args, message)
    check(r[0] == status and (not text or text in r[1]) and time.monotonic() - began < 20, why)
    return r
limit(b'X: ' + b'y' * 3000000, 'a field that does not end', text='header longer than 2 MiB')
limit(b'X: y\n' * 1000000, 'a million fields', text='header longer than 2 MiB')
limit(b'To: ' + b'(' * 1000000 + b'\n\n', 'a million open comments', text='unable to parse the field To')
limit(b'To: ' + b',' * 1000000 + b'a\n\n', 'a million commas', status=0)
limit(b'To: ' + b'a,' * 100000 + b'b\n\n', 'more than 100000 addresses', text='more than 100000 addresses')
r = limit(b'Bcc: ' + b'a@x.example,' * 100000 + b'\n\n', '100000 addresses', status=0)
equal(len(r[2] or []), 100001, 'all of them are recipients')
limit(b'Reply-To: ' + b'a,' * 90000 + b'\n' + b'From: ' + b'a,' * 90000 + b'\n\n', 'a header that grows too long', args=['a'], text='more than 100000')
limit(b'From: ' + b'a ' * 99999 + b'\nX: ' + b'y' * 1500000 + b'\n\n', 'a header that grows over its limit', args=['a'], text='longer than 2 MiB')
limit(b'X:\n' * 600000 + b'To: a\n\n', 'many short fields', status=0)
r = send(['a'], b'x' * 5000000)
check(r[0] == 0 and len(r[3]) > 5000000, 'a body line of any length, without header')

# What is asked of notices: into pipit's own queue only.
import smtpsession
q = smtpsession.Queued(home)
def queued(*args):
    """The envelope in the queue, as a list; or the exit status."""
    before = set(q.messages())
    status = run(args, b'x\n').returncode
    ids = set(q.messages()) - before
    return q.message(ids.pop())[1].decode().split('\0')[:-1] if ids else status
equal(queued('-D', 'success,Failure', '-R', 'hdrs', '-V', 'a +b=', 'x@y.z', 'z@y.z'),
      ['Fjoe@host.example', 'XRET=HDRS', 'XENVID=a+20+2Bb+3D', 'XNOTIFY=SUCCESS,FAILURE', 'Tx@y.z', 'XNOTIFY=SUCCESS,FAILURE', 'Tz@y.z'],
      'notices that are asked for stand in the envelope')
equal(queued('-Dnever', 'x@y.z'), ['Fjoe@host.example', 'XNOTIFY=NEVER', 'Tx@y.z'], 'or that none are wanted')
for args in (['-D', 'never,success'], ['-D', ''], ['-R', 'half'], ['-V', ''], ['-V', 'x' * 101], ['-V', '+' * 34], ['-V', 'a\nb'], ['-V', 'ä']):
    equal(queued(*args, 'x@y.z'), 100, 'refused: %r' % args)
check(b'fatal: -D (-N of sendmail) takes never, or some of success,failure,delay; it got no\n' in run(['-D', 'no', 'x@y.z']).stderr, 'with what would be right')
q.stop()
equal(envelope(['-D', 'success', '-R', 'full', '-V', 'x', 'x@y.z'], b'x\n'), ['Fjoe@host.example', 'Tx@y.z'],
      'a QMAILQUEUE program gets an envelope as it knows it')

# control/rewrite, by mess822's instructions: one after the other, each at what the one before left.
control(home, 'rewrite', '# hosts\n=:here\n*.old:.new\n?:.x.org\n-.drop.x.org:kept.org\n*+:.plus.org\n')
for line, expected, why in (
    ('To: joe', 'To: joe@here.x.org', 'no host is the host ""'),
    ('To: joe@a.OLD', 'To: joe@a.new', '*post:new, in any case'),
    ('To: Joe <joe@(c)b.(d)old> (e)', 'To: Joe <joe@b.new> (e)', 'a host that is another one, in its place'),
    ('To: joe@b', 'To: joe@b.x.org', '?post:new adds to a name alone'),
    ('To: joe@[1.2.3.4], a@b.c', 'To: joe@[1.2.3.4], a@b.c', 'and to nothing else'),
    ('To: joe@c.drop', 'To: joe@c.drop', 'what no instruction says stays'),
    ('To: joe@c.drop.x.org', 'To: joe@kept.org', '-post:new'),
    ('To: joe@c.x+', 'To: joe@c.x.plus.org', 'plus'),
    ('From: "a b"', 'From: "a b"@here.x.org', 'a quoted local part stays quoted'),
): equal(header(line), expected, 'rewrite: ' + why)
equal(envelope(['a@b.old', 'c'], b'\n'), ['Fjoe@here.x.org', 'Ta@b.new', 'Tc@here.x.org'], 'the envelope too')
rules = os.path.join(SCRATCH, 'rules')
with open(rules, 'w') as f: f.write('=:me.org\n')
equal(header('To: joe', {'QMAILREWRITEFILE': rules}), 'To: joe@me.org', 'QMAILREWRITEFILE goes first')
equal(header('To: joe', {'QMAILREWRITEFILE': rules + 'x'}),
      111, 'it has to be there')
check(b'rulesx: no such file; QMAILREWRITEFILE names it' in run(['-n'], env={'QMAILREWRITEFILE': rules + 'x'}).stderr, 'and says so')
equal(run(['-n'], env={'QMAILREWRITEFILE': 'rules'}).returncode, 100, 'a name without a path')
control(home, 'rewrite', '=:me.org\nfoo\n')
equal(show([]), (111, 'pipit-inject: fatal: %s/control/rewrite: foo: not an instruction; '
                 'write =post:new, *post:new, ?post:new or -post:new' % home), 'what is no instruction')
control(home, 'rewrite', None)

# Mail-Followup-To, where the message goes to a mailing list that QMAILMFTFILE names.
lists = os.path.join(SCRATCH, 'lists')
with open(lists, 'w') as f: f.write('Dev@list.org\n')
mft = {'QMAILMFTFILE': lists}
equal(header('Mail-Followup-To: x', mft), 'Mail-Followup-To: x@host.example', 'one that is there is completed')
def followup(message, env=mft):
    return [l for l in show([], message, env)[0] if 'ollowup' in l or l.startswith(' ')]
equal(followup(b'To: dev@list.org, J <Ann@x.org>\nCc: ann@X.org, b\nBcc: c\n\n'),
      ['Mail-Followup-To: dev@list.org,', ' Ann@x.org,', ' b@host.example'], 'To and Cc, each once')
equal(followup(b'To: dev@list.example\n\n'), [], 'none for others')
equal(followup(b'Bcc: dev@list.org\n\n'), [], 'nor for a list in Bcc')
equal(followup(b'To: dev@list.org\nMail-Followup-To: z@x.org\n\n'), ['Mail-Followup-To: z@x.org'], 'the user goes first')
equal(followup(b'To: dev@list.org\n\n', {}), [], 'only where the file is named')
equal(run(['-n'], env={'QMAILMFTFILE': lists + 'x'}).returncode, 111, 'it has to be there')

# The calls.
equal(run(['-z']).returncode, 100, 'an unknown option: 100')
equal(run(['-f']).returncode, 100, '-f without its argument: 100')
check(run(['-z']).stderr.startswith(b'pipit-inject: usage: ') and run(['-z']).stderr.count(b'\n') <= 2, 'and says so')
equal(run(['-nN', 'a'], env={'QMAILQUEUE': queue}).stdout, b'', '-N takes -n back')
done()
