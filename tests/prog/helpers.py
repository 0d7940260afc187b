"""helpers.py - the small programs of dot-qmail lines: forward, condredirect, bouncesaying, except, preline and others"""
import mailbox, os, re, stat, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from dotline import *

MESSAGE = b'Subject: test\n\nhello\n'

def call(name, *args, message=MESSAGE, **kw):
    return line(name, *args, message=message, **kw)

DT = ENV['DTLINE'].encode()

# forward
code, out, err = call('forward', 'a@b.example', 'c@d.example')
check(code == 0 and re.fullmatch(r'forward: qp \d+\n', err), 'forward says its qp: %r' % err)
equal(queued(), ('owner@host.example', ['a@b.example', 'c@d.example'], DT + MESSAGE), 'from NEWSENDER, with Delivered-To')
for code, want in ((31, 100), (11, 100), (51, 111), (81, 111), (120, 111)):
    r = call('forward', 'a@b.example', env={'CODE': str(code)})
    check(r[0] == want and r[2].count('\n') == 1 and r[2].startswith('forward: fatal: unable to queue message: '), 'the queue exits %d: %d' % (code, want))
queued()
for missing in ('NEWSENDER', 'DTLINE'):
    r = call('forward', 'a@b.example', without=[missing])
    check(r[0] == 100 and missing in r[2], 'without %s: %r' % (missing, r[2]))
equal((call('forward')[0], call('forward', 'x' * 1003 + '@y')[0], call('forward', 'a', env={'QMAILQUEUE': '/none'})[0]), (100, 100, 111),
      'no address, one that is too long, no queue')
equal(queued(), None, 'nothing of that was queued')

# condredirect
r = call('condredirect', 'new@x.example', 'sh', '-c', 'cat | grep -q hello')
check(r[0] == 99 and r[2].startswith('condredirect: qp '), 'condredirect: the program says yes: 99')
equal(queued(), ('me@there.example', ['new@x.example'], DT + MESSAGE), 'from SENDER, the message from its start')
for program, want in ((['false'], 0), (['sh', '-c', 'exit 111'], 111), (['sh', '-c', 'kill -9 $$'], 111), (['/none/such'], 111), (['sh', '-c', 'exit 99'], 0)):
    r = call('condredirect', 'new@x.example', *program)
    check(r[0] == want and bool(r[2]) == (want == 111), 'condredirect %s: %d: %r' % (program, want, r[2]))
equal((call('condredirect', 'a')[0], call('condredirect', 'a', 'true', pipe=True)[0], queued()), (100, 111, None), 'condredirect without a program, or with a message that cannot be read again')

# bouncesaying, except
equal(call('bouncesaying', 'Go away. (#5.7.1)'), (100, '', 'Go away. (#5.7.1)\n'), 'bouncesaying')
equal(call('bouncesaying', 'no', 'true'), (100, '', 'no\n'), 'the program says yes')
equal([call(*a)[0] for a in (['bouncesaying', 'x', 'false'], ['bouncesaying', 'x', 'sh', '-c', 'exit 111'], ['bouncesaying', 'x', '/none'], ['bouncesaying'],
                             ['except', 'true'], ['except', 'false'], ['except', 'sh', '-c', 'exit 111'], ['except', '/none'], ['except'])],
      [0, 111, 111, 100, 100, 0, 111, 111, 100], 'bouncesaying and except: what they exit with')

# preline, predate, datemail, mailsubj
lines = [ENV[n].encode() for n in ('UFLINE', 'RPLINE', 'DTLINE')]
for option, left in ((), lines), (['-f'], lines[1:]), (['-r'], [lines[0], lines[2]]), (['-d'], lines[:2]), (['-frd'], []), (['-frdFRD'], lines):
    equal(call('preline', *option, 'cat')[:2], (0, (b''.join(left) + MESSAGE).decode()), 'preline %s' % ' '.join(option))
equal(call('preline', 'sh', '-c', 'exit 67')[0], 67, "the program's exit is preline's")
equal(call('preline', 'true', message=b'x' * 1000000)[0], 0, 'a program need not read all')
equal([call('preline', *a, **k)[0] for a, k in (((), {}), (('-x', 'cat'), {}), (('/none',), {}), (('cat',), {'without': ['UFLINE']}))],
      [100, 100, 111, 100], 'preline called wrongly, or with a program that is not there')
r = call('predate', 'cat')
check(r[0] == 0 and re.fullmatch(r'Date: \w+, \d+ \w+ \d{4} \d\d:\d\d:\d\d [+-]\d{4}\n' + re.escape(MESSAGE.decode()), r[1]), 'predate: %r' % r[1])
inject = {'QMAILUSER': 'joe', 'QMAILHOST': 'host.example'}
equal(call('datemail', '-t', message=b'To: a@b.example\n' + MESSAGE, env=dict(inject, QMAILINJECT='i'))[0], 0, 'datemail')
q = queued()
check(q and q[:2] == ('joe@host.example', ['a@b.example']) and q[2].count(b'Date: ') == 1, 'is predate sendmail')
equal(call('mailsubj', 'Hi\nBcc: x@y.z', 'a@b.example', 'c@d.example', message=b'body\n', env=inject)[0], 0, 'mailsubj')
q = queued()
check(q and q[1] == ['a@b.example', 'c@d.example'] and b'Subject: Hi Bcc: x@y.z\n' in q[2] and q[2].endswith(b'\n\nbody\n'),
      'no line end of the subject begins a field: %r' % (q,))
equal(call('mailsubj', 's')[0], 100, 'mailsubj without recipient')

# qreceipt
asked = b'Message-ID: <1@x.example>\nReferences: <0@x.example>\nNotice-Requested-Upon-Delivery-To: joe@host.example\n' + MESSAGE
equal(call('qreceipt', 'joe@host.example', message=asked)[0], 0, 'qreceipt')
q = queued()
check(q and q[:2] == ('', ['me@there.example']) and b'\nTo: <me@there.example>\n' in q[2] and b'joe@host.example\n' in q[2] and
      b'\nIn-Reply-To: <1@x.example>\n' in q[2] and b'\nReferences: <0@x.example>\n <1@x.example>\n' in q[2] and b'\nAuto-Submitted: auto-replied\n' in q[2], 'answers who asks: %r' % (q,))
for why, args, kw in (('somebody else', ['ann@host.example'], {}), ('nobody', ['joe@host.example'], {'env': {'SENDER': ''}}),
                      ('a double bounce', ['joe@host.example'], {'env': {'SENDER': '#@[]'}})):
    equal((call('qreceipt', *args, message=asked, **kw)[0], queued()), (0, None), 'but not ' + why)
equal((call('qreceipt', 'joe@host.example')[0], queued(), call('qreceipt')[0]), (0, None, 100), 'nor what does not ask')

# maildirmake
equal(call('maildirmake', 'M')[0], 0, 'maildirmake')
equal([(d, oct(stat.S_IMODE(os.stat('M/' + d).st_mode))) for d in sorted(os.listdir('M')) + ['']],
      [('cur', '0o700'), ('new', '0o700'), ('tmp', '0o700'), ('', '0o700')], 'its folders')
equal((call('maildirmake', 'M')[0], call('maildirmake')[0]), (111, 100), 'what is there stays')

# maildir2mbox
def mail(name, text, age=0):
    with open('M/' + name, 'wb') as f: f.write(text)
    os.utime(f.name, (1795867200 - age,) * 2)
box = {'MAIL': LAB + '/mbox', 'MAILDIR': LAB + '/M', 'MAILTMP': LAB + '/mbox.new'}
equal((call('maildir2mbox', env=box)[0], os.path.exists('mbox')), (0, False), 'maildir2mbox: nothing to move')
mail('new/1', b'Return-Path: <me@x.example>\nSubject: 1\n\nFrom here\n>From there\nlast')
mail('cur/2:2,S', b'Return-Path: <>\nSubject: 2\n\n', 60)
mail('new/.3', b'hidden'); mail('tmp/4', b'no')
with open('mbox', 'wb') as f: f.write(b'From old@x.example Sat Nov 28 12:00:00 2026\nSubject: 0\n\nold, cut of')
os.chmod('mbox', 0o640)
before = (open('mbox', 'rb').read(), sorted(os.listdir('M/new')))
lock = subprocess.Popen([sys.executable, '-c', 'import fcntl,sys;f=open("mbox","ab");fcntl.flock(f,2);print(1,flush=True);sys.stdin.read()'],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
lock.stdout.readline()
waiting = subprocess.Popen([os.path.join(BIN, 'maildir2mbox')], env=dict(ENV, **box), stdin=subprocess.DEVNULL)
def opened(pid, name):
    try: return any(os.readlink('/proc/%d/fd/%s' % (pid, n)) == name for n in os.listdir('/proc/%d/fd' % pid))
    except OSError: return False
wait_for(lambda: opened(waiting.pid, LAB + '/mbox'))
equal((waiting.poll(), open('mbox', 'rb').read(), sorted(os.listdir('M/new'))), (None, *before), 'it waits for who has the lock')
lock.stdin.close(); lock.wait()
equal(waiting.wait(30), 0, 'and goes on')
got = open('mbox', 'rb').read()
date = b' Sat Nov 28 12:00:00 2026\n'
equal(got, before[0] + b'\n\nFrom MAILER-DAEMON Sat Nov 28 11:59:00 2026\nReturn-Path: <>\nSubject: 2\n\n\n'
      b'From me@x.example' + date + b'Return-Path: <me@x.example>\nSubject: 1\n\n>From here\n>>From there\nlast\n\n', 'in the order of their times, quoted, behind what was there')
equal([os.listdir('M/' + d) for d in ('new', 'cur', 'tmp')] + [os.path.exists('mbox.new'), oct(os.stat('mbox').st_mode)],
      [['.3'], [], ['4'], False, '0o100640'], 'the messages are gone from the Maildir, the mode is as before')
equal([m['Subject'] for m in mailbox.mbox('mbox')], ['0', '2', '1'], 'a reader finds each of them')
mail('new/5', b'Subject: 5\n\n')
os.mkdir('nowhere'); os.chmod('nowhere', 0o500)
for why, env in (('no room', {'MAILTMP': '/dev/full/x'}), ('no mbox file', {'MAIL': LAB + '/M'}), ('no Maildir', {'MAILDIR': '/none'})):
    r = call('maildir2mbox', env=dict(box, **env))
    check(r[0] == 111 and r[2].count('\n') == 1 and os.path.exists('M/new/5') and open('mbox', 'rb').read() == got, '%s: nothing is moved: %r' % (why, r[2]))
def small_files():
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(got) + 10, len(got) + 10))
r = call('maildir2mbox', env=box, preexec_fn=small_files)
check(r[0] == 111 and os.path.exists('M/new/5') and open('mbox', 'rb').read() == got and not os.path.exists('mbox.new'), 'cut off while writing: nothing is moved: %r' % r[2])
equal((call('maildir2mbox', env=box, without=['MAIL'])[0], call('maildir2mbox', 'x', env=box)[0]), (100, 100), 'called wrongly')

# One program, many names.
equal(call('pipit-helper', 'bouncesaying', 'x'), (100, '', 'x\n'), 'pipit-helper NAME')
check(call('pipit-helper')[0] == 100 and call('pipit-helper', 'sh')[0] == 100, 'a name that is none')
links = sorted(n for n in os.listdir(BIN) if os.path.islink(os.path.join(BIN, n)))
for n in links:
    r = call(n, '-?', message=b'', env={'SENDER': ''}, pipe=True)
    check(r[0] != 127 and 'pipit-helper NAME' not in r[2], n + ' is one of its names')
done()
