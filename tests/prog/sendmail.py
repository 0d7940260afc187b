"""sendmail.py - pipit-sendmail: the flags that real callers use, and what becomes of them"""
import os, shutil, stat, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

home = make_home()
sendmail = os.path.join(BIN, 'pipit-sendmail')
plain = {k: v for k, v in os.environ.items()
         if not k.startswith(('QMAIL', 'MAIL', 'TCP')) and k not in ('NAME', 'PROTO', 'RELAYCLIENT', 'DATABYTES')}
plain.update(PIPIT_HOME=home, USER='joe', LOGNAME='joe', HOME=SCRATCH)

# A copy beside programs that only tell how they were called.
lab = os.path.join(SCRATCH, 'lab')
os.mkdir(lab)
shutil.copy(sendmail, lab)
for p in ('pipit-inject', 'pipit-qread', 'pipit-smtpd', 'newaliases', 'pipit-flush', 'pipit-verify'):
    with open(os.path.join(lab, p), 'w') as f:
        f.write('#!/bin/sh\necho "$0"\nfor a; do printf "<%s>" "$a"; done\necho\nenv\n')
    os.chmod(f.name, 0o755)

def call(*args, name='sendmail', env={}, **kw):
    """(exit status, program, arguments, environment), or (exit status, text)."""
    kw.setdefault('stdin', subprocess.DEVNULL)
    r = subprocess.run([name, *args], executable=os.path.join(lab, 'pipit-sendmail'), env={**plain, **env},
                       capture_output=True, timeout=30, **kw)
    out = r.stdout.decode()
    if not out: return r.returncode, r.stderr.decode()
    program, args, rest = out.split('\n', 2)
    return r.returncode, os.path.basename(program), args[1:-1].split('><'), dict(l.partition('=')[::2] for l in rest.splitlines())

def becomes(args, expected, why, name='sendmail', **kw):
    r = call(*args, name=name, **kw)
    equal(r[2] if len(r) > 2 and r[1] == 'pipit-inject' else r[:2], expected, why)

# As they are called in the world.
becomes(['-FCronDaemon', '-i', '-B8BITMIME', '-oem', 'root'], ['-a', '--', 'root'], 'cron')
becomes(['-FCronDaemon', '-i', '-B8BITMIME', '-oem', 'root,joe@x.org'], ['-a', '--', 'root', 'joe@x.org'], 'cron with two in MAILTO')
becomes(['-t', '-i'], ['-H', '--'], 'PHP')
becomes(['-t', '-i', '-fwww@x.org'], ['-H', '-f', 'www@x.org', '--'], "PHP with mail()'s -f")
becomes(['-oem', '-oi', '-f', 'joe@x.org', '--', 'a@x.org', 'b@x.org'], ['-a', '-f', 'joe@x.org', '--', 'a@x.org', 'b@x.org'], 'mutt')
becomes(['-i', '-f', 'joe@x.org', '--', 'a@x.org'], ['-a', '-f', 'joe@x.org', '--', 'a@x.org'], 's-nail')
becomes(['-f', 'joe@x.org', '-i', 'a@x.org', 'b@x.org'], ['-a', '-f', 'joe@x.org', '--', 'a@x.org', 'b@x.org'], 'git send-email')
becomes(['-oi', '-t', '-oem'], ['-H', '--'], 'mailutils')
becomes(['-FAnacron', '-odi', 'root'], ['-a', '--', 'root'], 'anacron')
becomes(['-i', 'root'], ['-a', '--', 'root'], 'at and mail(1)')
becomes(['-t', '-oi', '-oem', '-fwww@x.org'], ['-H', '-f', 'www@x.org', '--'], 'MIME::Lite')
becomes(['-i', '-fjoe@x.org', '--', 'a@x.org'], ['-a', '-f', 'joe@x.org', '--', 'a@x.org'], 'Mail::Mailer')
becomes(['-oi', '-f', 'root@x.org', '-t'], ['-H', '-f', 'root@x.org', '--'], "GNU mail")
becomes(['-oem', '-odb', '-oi', '-r', 'joe@x.org', 'root'], ['-a', '-f', 'joe@x.org', '--', 'root'], 'smartd and others with -r')
becomes(['-G', '-U', '-n', '-h', '3', '-L', 'tag', '-Am', '-Ac', '-O', 'DeliveryMode=b', '-OErrorMode=q', '-o7', '-o', 'db', '-B', '7bit', '-ep', 'a'],
        ['-a', '--', 'a'], 'all that is about how and when')
becomes(['-oi', '-t', '-f', ''], ['-H', '-f', '', '--'], "-f '' beside others")
becomes(['-bm', '-v', '-m', '-x', '-e', 'm', '-p', 'smtp:h', '-Efoo', '-J', '-o*', '-oQ' + SCRATCH + '/x', '-oX', 'a'],
        ['-a', '--', 'a'], 'all that is accepted without effect')
becomes(['-it', '-oi'], ['-H', '--'], 'letters together')
becomes(['-E', '-t'], ['-H', '--'], '-E takes nothing from the next argument')

becomes(['-N', 'never', '-R', 'hdrs', '-V', 'a b', 'r'], ['-a', '-D', 'never', '-R', 'hdrs', '-V', 'a b', '--', 'r'], 'what is asked of notices')
becomes(['-t', '-Nsuccess,delay', '-Rfull'], ['-H', '-D', 'success,delay', '-R', 'full', '--'], 'also without spaces')

# Addresses.
becomes(['--', '-oQ/tmp', '-C/etc/passwd', '-t'], ['-a', '--', '-oQ/tmp', '-C/etc/passwd', '-t'], 'what follows -- is no option')
becomes(['a', '-t'], ['-a', '--', 'a', '-t'], 'nor what follows a recipient')
becomes(['Joe Doe <joe@x.org>'], ['-a', '--', 'joe@x.org'], 'a display name')
becomes(['"a b"@x.org'], ['-a', '--', 'a b@x.org'], 'a quoted local part')
becomes(['a (x), B <b@x.org>; g: c;'], ['-a', '--', 'a', 'b@x.org', 'c'], 'a list')
becomes(['a, (b'], ['-a', '--', 'a, (b'], 'what cannot be understood is left to inject')
becomes(['a@b,c', ''], ['-a', '--', 'a@b', 'c', ''], 'an empty argument')
becomes(['`id`', '$HOME', '|x', '/x', ';x'], ['-a', '--', '`id`', '$HOME', '|x', '/x', ';x'], 'no shell looks at them')
for arg, out in (('', ''), ('<>', ''), ('<a@x.org>', 'a@x.org'), ('A <a@x.org>', 'a@x.org'), ('a', 'a'), ('a@x.org, b', 'a@x.org, b'), ('#@[]', '#@[]')):
    becomes(['-f', arg, 'r'], ['-a', '-f', out, '--', 'r'], '-f %r' % arg)
e = call('-f', 'a b@x.org', 'r', env={'NAME': 'n', 'MAILNAME': 'm', 'QMAILNAME': 'q', 'MAILHOST': 'h', 'QMAILHOST': 'h'})[3]
equal([e.get(n) for n in ('QMAILUSER', 'QMAILHOST', 'MAILHOST', 'QMAILNAME', 'MAILNAME', 'NAME')], ['a b', 'x.org', None, None, None, None],
      '-f also says who a message without From is from')
e = call('-f', 'a', '-F', 'Joe D', 'r', env={'QMAILHOST': 'h'})[3]
equal([e.get(n) for n in ('QMAILUSER', 'QMAILHOST', 'QMAILNAME')], ['a', None, 'Joe D'], '-F says his name, also beside -f')
e = call('-f', '', 'r', env={'QMAILUSER': 'u', 'NAME': 'n'})[3]
equal([e.get(n) for n in ('QMAILUSER', 'NAME')], ['u', 'n'], 'the null sender changes nothing of that')

# Other programs.
equal(call('-bp')[:3], (0, 'pipit-qread', ['']), '-bp')
equal(call('-oi', name='/usr/bin/mailq')[:3], (0, 'pipit-qread', ['']), 'mailq')
r = call('-bs')
equal(r[:3], (0, 'pipit-smtpd', ['']), '-bs')
want = dict(RELAYCLIENT='', DATABYTES='0', PROTO='TCP', TCPLOCALIP='127.0.0.1', TCPLOCALHOST='localhost', TCPREMOTEIP='127.0.0.1',
            TCPREMOTEHOST='localhost', TCPREMOTEINFO='sendmail-bs')
equal({k: r[3].get(k) for k in want}, want, '-bs may relay')
equal(call('-bs', env={'PROTO': 'TCP', 'TCPREMOTEIP': '192.0.2.1'})[3].get('RELAYCLIENT'), None, 'but not under tcpserver')
a, b = socket.socketpair(socket.AF_UNIX)
equal(call('-bs', stdin=a)[3].get('RELAYCLIENT'), '', 'a local socket may')
with socket.create_server(('127.0.0.1', 0)) as s, socket.create_connection(s.getsockname()) as c:
    equal(call('-bs', stdin=c)[3].get('RELAYCLIENT'), None, "the network, as inetd gives it, may not")
a.close(); b.close()
equal(call(name='newaliases')[:3], (0, 'newaliases', ['']), 'newaliases')
equal(call('-bi')[:3], (0, 'newaliases', ['']), '-bi')
equal(call('-I')[:3], (0, 'newaliases', ['']), '-I')
for args in (['-bi', '-oA/x/aliases'], ['-bi', '-O', 'AliasFile=/x/aliases']):
    equal(call(*args)[:3], (0, 'newaliases', ['/x/aliases']), 'the file of ' + ' '.join(args))
for args, out in ((['-q'], ['all']), (['-qf'], ['all']), (['-v', '-q'], ['all']), (['-qI123'], ['-i', '123']),
                  (['-qRx.org'], ['-d', 'x.org']), (['-qSa@x.org'], ['-s', 'a@x.org'])):
    equal(call(*args)[:3], (0, 'pipit-flush', out), ' '.join(args))
equal(call('-bv', 'a', 'B <b@x.org>, c', '-x')[:3], (0, 'pipit-verify', ['--', 'a', 'b@x.org', 'c', '-x']), '-bv')
os.unlink(lab + '/pipit-smtpd')
r = call('-bs', env={'PIPIT_HOME': SCRATCH + '/none'})
check(r[0] == 111 and r[1].startswith('sendmail: fatal: unable to run '), 'a missing program: 111')

r = subprocess.run([sendmail, '-i', *['"' * 120000] * 4], env=plain, stdin=subprocess.DEVNULL, capture_output=True)
check(r.returncode == 100 and b'Argument list too long' in r.stderr, 'more recipients in an argument than a program can be given: 100')

# What is refused makes no file.
before = sorted(os.listdir(SCRATCH))
def refused(*args):
    r = call(*args, 'a', cwd=SCRATCH)
    check(r[0] == 100 and r[1].startswith('sendmail: fatal: -' + args[0][1]) and ' is refused: ' in r[1] and r[1].count('\n') == 1,
          'refused, with the reason: ' + ' '.join(args).replace(SCRATCH, ''))
for args in (['-C', '/etc/passwd'], ['-C' + SCRATCH + '/c'], ['-D' + SCRATCH + '/d'], ['-d0.1'], ['-X', SCRATCH + '/x'], ['-X' + SCRATCH + '/x'], ['-XV'],
             ['-bd'], ['-bD'], ['-bl'], ['-bt'], ['-bd', '-q1h'], ['-O', 'QueueDirectory=' + SCRATCH], ['-q1h'], ['-q', '-q30m'], ['-qR'], ['-qx'], ['-B', 'BINARYMIME']):
    refused(*args)
equal(call('-X', 'x', 'a', cwd=SCRATCH)[1], 'sendmail: fatal: -X x is refused: no transcript is written\n', '-X is refused in short')
for args in (['-be'], ['-ba'], ['-bmx'], ['-b'], ['-f'], ['-F'], ['-Z'], ['--help'], ['-'  + '\x01']):
    r = call(*args, 'a', cwd=SCRATCH) if args[-1] not in ('-b', '-f', '-F') else call(*args, cwd=SCRATCH)
    check(r[0] == 100 and 'sendmail: usage: ' in r[1], 'refused with 100: ' + ' '.join(args).replace(SCRATCH, '').replace('\x01', '\\1'))
equal(sorted(os.listdir(SCRATCH)), before, 'and nothing was written')

# Odd surroundings.
def odd(script, why, expected=(0, b'pipit-inject')):
    r = subprocess.run(['sh', '-c', script, lab + '/pipit-sendmail'], env=plain, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    first = os.path.basename(r.stdout.split(b'\n')[0]) if r.stdout else r.stderr
    check(r.returncode == expected[0] and expected[1] in first, why)
odd('"$0" a 2>&-', 'closed standard error')
odd('umask 777; "$0" a', 'a umask of 777')
odd('trap "" CHLD PIPE TERM; "$0" a', 'ignored signals')
odd('mkdir "$HOME/gone"; cd "$HOME/gone"; rmdir "$HOME/gone"; "$0" a', 'a working directory that is gone')
odd('ulimit -f 0; ulimit -c 0; ulimit -n 16; "$0" a', 'tight limits')
odd('"$0" a <&-', 'closed standard input is no message', (111, b'standard input is closed'))
r = subprocess.run(['sh', '-c', '"$0" a >&-', lab + '/pipit-sendmail'], env=plain, stdin=subprocess.DEVNULL, capture_output=True)
check(b'fatal' not in r.stderr, 'closed standard output')
code = '''import ctypes, sys
libc = ctypes.CDLL(None)
libc.execv(sys.argv[1].encode(), (ctypes.c_char_p * 1)(None))'''
r = subprocess.run([sys.executable, '-c', code, lab + '/pipit-sendmail'], env=plain, stdin=subprocess.DEVNULL, capture_output=True)
check(r.returncode in (0, 100) and r.returncode == (0 if b'pipit-inject' in r.stdout else 100), 'no argv[0]')
check(call('a', env={'X' * 50: 'y' * 100000, 'LD_PRELOAD': ''})[0] == 0, 'a huge environment')

# The whole way, with a program in the place of the queue.
kept, queue = os.path.join(SCRATCH, 'keep', 'kept'), os.path.join(SCRATCH, 'queue-stub')
os.mkdir(os.path.dirname(kept))
own(os.path.dirname(kept))
with open(queue, 'w') as f: f.write('#!/bin/sh\ncat >"$KEPT.msg"\ncat <&1 >"$KEPT.env"\nexit "${CODE-0}"\n')
os.chmod(queue, 0o755)
full = dict(plain, QMAILQUEUE=queue, KEPT=kept)

def result():
    try: return open(kept + '.env', 'rb').read().decode().split('\0')[:-2], open(kept + '.msg', 'rb').read().decode()
    except FileNotFoundError: return [], ''
    finally:
        for x in ('.env', '.msg'):
            if os.path.exists(kept + x): os.unlink(kept + x)

def through(args, message, why, expected):
    r = subprocess.run([sendmail, *args], input=message, env=full, capture_output=True, timeout=30)
    env, msg = result()
    equal((r.returncode, env), (0, expected), why)
    return msg

msg = through(['-t', '-i'], b'To: a@x.org\r\nBcc: b@x.org,\r\n c@x.org\r\nSubject: s\r\n\r\n.\r\nend\r\n', '-t takes Bcc',
              ['Fjoe@host.example', 'Ta@x.org', 'Tb@x.org', 'Tc@x.org'])
check('Bcc' not in msg and 'c@x.org' not in msg, 'and does not show it')
check(msg.endswith('To: a@x.org\nSubject: s\n\n.\nend\n'), 'CRLF becomes LF, a dot does not end the message')
through(['-t', 'd'], b'To: a@x.org\n\n', '-t with an argument', ['Fjoe@host.example', 'Td@host.example', 'Ta@x.org'])
through(['-f', '<>', 'a'], b'\n', 'the null sender', ['F', 'Ta@host.example'])
msg = through(['-FCronDaemon', '-i', '-odi', '-oem', 'root'], b'From: root (Cron Daemon)\nTo: root\nSubject: Cron <x@y> z\n\nout\n', "cron's message",
              ['Fjoe@host.example', 'Troot@host.example'])
check('From: root@host.example (Cron Daemon)\nTo: root@host.example\nSubject: Cron <x@y> z\n\nout\n' in msg, 'its header is completed')
check('From: "Joe D" <x@y.org>\n' in through(['-f', 'x@y.org', '-F', 'Joe D', 'a'], b'\n', '-F', ['Fx@y.org', 'Ta@host.example']), 'its From')
r = subprocess.run([sendmail, 'a'], input=b'\n', env=dict(full, CODE='31'), capture_output=True)
equal(r.returncode, 100, 'a message that the queue refuses: 100'); result()
r = subprocess.run([sendmail, '-t'], input=b'Subject: s\n\n', env=full, capture_output=True)
check(r.returncode == 100 and b'no recipients' in r.stderr and r.stderr.count(b'\n') == 1, '-t without recipients: 100 and one line'); result()
r = subprocess.run([sendmail], input=b'Subject: s\n\n', env=full, capture_output=True)
equal(r.returncode, 100, 'no recipients at all: 100'); result()

# Real callers.
r = subprocess.run(['/usr/bin/python3', '-c', '''import os, sys
from email.message import EmailMessage
m = EmailMessage(); m['To'] = 'J\\u00f6 <a@x.org>'; m['Bcc'] = 'b@x.org'; m['Subject'] = '\\u00fc'; m.set_content('\\u00e4\\n')
p = os.popen(sys.argv[1] + ' -t -i', 'w'); p.write(m.as_string()); sys.exit(p.close())''', sendmail], env=full)
env, msg = result()
check(r.returncode == 0 and env[1:] == ['Ta@x.org', 'Tb@x.org'] and 'Bcc' not in msg and 'Subject: =?utf-8?' in msg, 'Python by a pipe')
if shutil.which('s-nail'):
    for args, sender in (([], 'Fjoe@host.example'), (['-r', 'me@x.org'], 'Fme@x.org')):
        r = subprocess.run(['s-nail', '-:/', '-S', 'mta=' + sendmail, '-S', 'sendwait', *args, '-s', 'hello there', '-c', 'c@x.org', '-b', 'b@x.org', 'a@x.org'],
                           input=b'the body\n', env=dict(full, QMAILUSER='joe'), capture_output=True, timeout=30)
        env, msg = result()
        equal((r.returncode, env[:1], sorted(env[1:])), (0, [sender], ['Ta@x.org', 'Tb@x.org', 'Tc@x.org']), 's-nail ' + ' '.join(args))
        check('Subject: hello there\n' in msg and 'b@x.org' not in msg and msg.endswith('\nthe body\n'), 'its message')
else: skip('no s-nail')
if shutil.which('swaks'):
    r = subprocess.run(['swaks', '--pipe', sendmail + ' -bs', '--helo', 'h', '--from', 'joe@x.org', '--to', 'a@far.example', '--body', 'swaks was here'],
                       env=full, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    env, msg = result()
    equal((r.returncode, env), (0, ['Fjoe@x.org', 'Ta@far.example']), 'swaks with -bs')
    check('swaks was here' in msg and '(sendmail-bs@localhost' in msg, 'its message')
else: skip('no swaks')
if all(subprocess.run(c, capture_output=True).returncode == 0 for c in (['perl', '-MMail::Address', '-e', '1'], ['git', 'send-email', '--dump-aliases'])):
    with open(SCRATCH + '/0001.patch', 'w') as f: f.write('From 0123456789 Mon Sep 17 00:00:00 2001\nFrom: Joe <joe@x.org>\nDate: Mon, 17 Sep 2001 00:00:00 +0000\nSubject: [PATCH] x\n\ny\n')
    r = subprocess.run(['git', 'send-email', '--quiet', '--confirm=never', '--smtp-server=' + sendmail, '--from=joe@x.org', '--envelope-sender=env@x.org',
                        '--to=a@x.org', '--cc=c@x.org', '--suppress-cc=all', '--no-thread', f.name], env=dict(full, GIT_CONFIG_NOSYSTEM='1', GIT_COMMITTER_NAME='Joe', GIT_COMMITTER_EMAIL='joe@x.org', GIT_AUTHOR_NAME='Joe', GIT_AUTHOR_EMAIL='joe@x.org'), stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    env, msg = result()
    equal((r.returncode, env[:1], sorted(env[1:])), (0, ['Fenv@x.org'], ['Ta@x.org', 'Tc@x.org']), 'git send-email')
else: skip('no git send-email, or not all that it needs')

# -bv, as anybody.
for name in ('.qmail-known', '.qmail-list-default'):
    with open(os.path.join(home, 'alias', name), 'w') as f: f.write('./Maildir/\n')
control(home, 'locals', 'host.example\n')
control(home, 'virtualdomains', 'v.example:list\nw.example:none\n')
control(home, 'smtproutes', 'far.example:relay.example:26\nbad..example:[x\n')
def verify(*args, code=0, user=None):
    kw = dict(user=user, group=user, extra_groups=[]) if user else {}
    r = subprocess.run([sendmail, '-bv', *args], env=plain, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, **kw)
    equal((r.returncode, r.stderr), (code, ''), 'exit of -bv ' + ' '.join(args))
    return r.stdout
equal(verify('known', 'x@v.example'), 'known@host.example... deliverable: mailer local, user alias\nx@v.example... deliverable: mailer local, user alias\n',
      '-bv: local addresses')
equal(verify('nobody-here', 'x@w.example', code=100), 'nobody-here@host.example... User unknown\nx@w.example... User unknown\n', '-bv: unknown ones')
equal(verify('Joe <a@Far.example>', 'b@mx.example'), 'a@Far.example... deliverable: mailer smtp, host relay.example:26, user a@Far.example\n'
      'b@mx.example... deliverable: mailer smtp, host mx.example, user b@mx.example\n', '-bv: other hosts')
control(home, 'senderroutes', 'me@x.org:mine.example:587\n')
equal(verify('-f', 'me@x.org', 'b@mx.example'), 'b@mx.example... deliverable: mailer smtp, host mine.example:587, user b@mx.example\n', '-bv: the route of a sender')
control(home, 'lmtproutes', 'l.example:/run/l\n')
equal(verify('a@l.example'), 'a@l.example... deliverable: mailer lmtp, host /run/l, user a@l.example\n', '-bv: an LMTP server')
equal(verify('x\x1b[y@w.example', code=100)[:13], 'x?[y@w.exampl', '-bv: control characters are not printed')
if ROOT:
    equal(verify('known', user='daemon'), 'known@host.example... deliverable: mailer local, user alias\n', '-bv: as another user')
    os.chmod(os.path.join(home, 'alias'), 0o700)
    equal(verify('known', user='daemon', code=111), 'known@host.example... cannot tell: his home is closed to you\n', '-bv: a closed home')
    os.chmod(os.path.join(home, 'alias'), 0o755)
if subprocess.run(['perl', '-MMail::Mailer', '-e', '1'], capture_output=True).returncode == 0:
    r = subprocess.run(['perl', '-MMail::Mailer', '-e', 'my $m = Mail::Mailer->new("sendmail"); $m->open({To => "a\@x.org", Subject => "s"}); print $m "x\n"; $m->close or exit 1'],
                       env=dict(full, PERL_MAILERS='sendmail:' + sendmail), capture_output=True, timeout=60)
    env, msg = result()
    equal((r.returncode, env), (0, ['Fjoe@host.example', 'Ta@x.org']), 'Mail::Mailer')
else: skip('no Mail::Mailer')
done()
