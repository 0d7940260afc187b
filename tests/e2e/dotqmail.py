"""virtualdomains and dot-qmail: programs with their environment, forwards, exit codes"""
import sys
sys.path.insert(0, 'tests')
from instance import *

i = Instance()
i.control('virtualdomains', 'shop.example:shop\n.club.example:club\nout.shop.example:\nsolo@single.example:solo')
i.control('rcpthosts', 'mail.example\nshop.example\n.club.example\nsingle.example')
for name in ('joe', 'ann', 'copy', 'owner'): i.mailbox(name)
dump = os.path.join(SCRATCH, 'dump')
os.mkdir(dump)
own(dump)
i.start()

def send(rcpt, sender='from-me@Sender.example', body=b'Subject: s\n\nhello\n'):
    i.send(sender, rcpt, body)
    check(i.wait_queue_empty(), '%s: the message leaves the queue' % rcpt)

def environment(name):
    path = os.path.join(dump, name)
    text = open(path, 'rb').read() if wait_for(lambda: os.path.exists(path)) else b''
    return dict(e.split('=', 1) for e in text.decode(errors='replace').split('\0') if '=' in e)

# A program and what it is told
i.dot_qmail('shop-default', '|d=%s; cat >$d/m.tmp && cp /proc/self/environ $d/e.tmp && pwd >$d/pwd &&'
            ' mv $d/e.tmp $d/env && mv $d/m.tmp $d/mail\n' % dump)
send('Order.New-42@shop.example')
env = environment('env')
wait_for(lambda: os.path.exists(dump + '/mail'))
home = os.path.join(i.home, 'alias')
expected = {'SENDER': 'from-me@Sender.example', 'NEWSENDER': 'from-me@Sender.example',
            'RECIPIENT': 'shop-Order.New-42@shop.example', 'LOCAL': 'shop-Order.New-42', 'HOST': 'shop.example',
            'HOST2': 'shop', 'EXT': 'shop-Order.New-42', 'EXT2': 'Order.New-42', 'EXT3': '42', 'DEFAULT': 'Order.New-42',
            'HOME': home, 'RPLINE': 'Return-Path: <from-me@Sender.example>\n',
            'DTLINE': 'Delivered-To: shop-Order.New-42@shop.example\n'}
equal({k: env.get(k) for k in expected}, expected, 'a program has the environment of qmail-local')
check(env.get('UFLINE', '').startswith('From from-me@Sender.example ') and env.get('UFLINE', '').endswith('\n'),
      'UFLINE too')
equal(open(dump + '/pwd').read().strip() if os.path.exists(dump + '/pwd') else None, home,
      'it runs in the home directory')
mail = open(dump + '/mail', 'rb').read() if os.path.exists(dump + '/mail') else b''
equal(strip_trace(mail), b'Subject: s\n\nhello\n', 'it reads the message')
check(mail.startswith(b'Received:'), 'without Return-Path and Delivered-To, which DTLINE and RPLINE hold')

# Forwards, with the new Delivered-To; several lines; comments
i.dot_qmail('joe-list', '# a list\n&ann@mail.example\ncopy@mail.example\n./joe/\n')
send('joe-list@mail.example')
equal([len(i.wait_mails(x, 1)) for x in ('joe', 'ann', 'copy')], [1, 1, 1],
      'forwards and a Maildir of one file')
check(i.mails('ann') and b'Delivered-To: ann@mail.example\n' in i.mails('ann')[0] and
      b'Delivered-To: joe-list@mail.example\n' in i.mails('ann')[0], 'a forwarded message carries both Delivered-To')
check(i.mails('ann') and i.mails('ann')[0].startswith(b'Return-Path: <from-me@Sender.example>\n'),
      'and its sender')

# A forwarding loop ends in a bounce to the sender.
i.dot_qmail('loop1', '&loop2@mail.example\n'); i.dot_qmail('loop2', '&loop1@mail.example\n')
send('loop1@mail.example', 'ann@mail.example')
check(len(i.wait_mails('ann', 2)) == 2 and b'loop' in i.mails('ann')[1].lower(),
      'a loop of forwards is broken and reported')

# -owner takes the errors of the list.
i.dot_qmail('news', '&refuse@mail.example\n'); i.dot_qmail('news-owner', './owner/\n')
i.dot_qmail('refuse', '|echo no; exit 100\n')
send('news@mail.example', 'ann@mail.example')
equal((len(i.wait_mails('owner', 1)), len(i.mails('ann'))), (1, 2),
      "a list's bounces go to its owner, not to the sender")

# Exit codes
i.dot_qmail('x99', '|exit 99\n./joe/\n')
send('x99@mail.example', 'ann@mail.example')
equal((len(i.mails('joe')), len(i.mails('ann'))), (1, 2), 'exit 99: done, the following lines are ignored')
i.dot_qmail('x100', '|echo go away; exit 100\n')
send('x100@mail.example', 'ann@mail.example')
check(len(i.wait_mails('ann', 3)) == 3 and b'go away' in i.mails('ann')[2],
      'exit 100: bounced with its output')
i.dot_qmail('x111', '|test -e %s/open || { echo not yet; exit 111; }\n./joe/\n' % dump)
i.send('ann@mail.example', 'x111@mail.example', b'Subject: later\n\nx\n')
check(wait_for(lambda: any('deferral: ' in l and 'not_yet' in l for l in i.log('send'))),
      'exit 111: deferred, the log has its output')
open(dump + '/open', 'w').close()
i.alrm()
check(i.wait_queue_empty(), 'exit 111: tried again')
equal((len(i.wait_mails('joe', 2)), len(i.mails('ann'))), (2, 3),
      'exit 111: and delivered then, nothing bounced')
i.dot_qmail('sig', '|kill -9 $$\n')
i.send('ann@mail.example', 'sig@mail.example', b'Subject: killed\n\nx\n')
check(wait_for(lambda: sum('deferral: ' in l for l in i.log('send')) > 1), 'a killed program: deferred')
i.dot_qmail('sig', '#\n')
i.alrm()
check(i.wait_queue_empty(), 'and tried again')

# A delivery that fails half way, twice, with a restart and an edited file in between: once for each line
def deferrals(): return sum('deferral: ' in l and 'half@mail.example' in l for l in i.log('send'))
def attempt(n): return wait_for(lambda: i.alrm() or wait_for(lambda: deferrals() >= n, 1), 20)
before = {x: len(i.mails(x)) for x in ('joe', 'ann', 'copy', 'owner')}
HALF = '&ann@mail.example\n./joe/\n|cd %s; echo x >>tries; test `wc -l <tries` -gt 2\n' % dump
i.dot_qmail('half', HALF)
i.send('ann@mail.example', 'half@mail.example', b'Subject: half\n\nx\n')
check(wait_for(lambda: deferrals() == 1), 'a line fails after another one has delivered')
check(wait_for(lambda: any(b' p 0 ' in open(f, 'rb').read() for f in glob.glob(i.home + '/queue/state/*/[0-9]*'))), 'what was done is on disk')
old = i.send_pids()
for pid in old: kill(pid)
check(wait_for(lambda: i.send_pids() not in ([], old) and i.send_hears(), 20, 0.1) and attempt(2), 'it fails again after send was killed')
i.dot_qmail('half', './copy/\n' + HALF + './owner/\n')
i.alrm()
check(i.wait_queue_empty(), 'and succeeds with an edited file')
equal({x: len(i.mails(x)) - n for x, n in before.items()}, dict.fromkeys(before, 1), 'each line was followed once')
equal(open(dump + '/tries').read(), 'x\n' * 3, 'but the one that failed')

# virtualdomains: parents, an address, an exception; HUP
i.dot_qmail('club-default', './copy/\n'); i.dot_qmail('solo-solo', './copy/\n')
send('anyone@chess.club.example')
send('solo@single.example')
equal(len(i.wait_mails('copy', 4)), 4, "a parent domain's and a single address's entries count")
i.control('virtualdomains', 'new.example:joe')
i.control('locals', 'mail.example\nextra.example')
i.hup()
time.sleep(0.5)
i.dot_qmail('joe-virtual', './joe/\n')
equal(i.sendmail('-f', 'ann@mail.example', 'virtual@new.example', input=b'Subject: v\n\nv\n')[0], 0,
      'a new virtual domain')
equal(i.sendmail('-f', 'ann@mail.example', 'joe@extra.example', input=b'Subject: v\n\nv\n')[0], 0,
      'a new local domain')
equal(len(i.wait_mails('joe', 5)), 5, 'HUP makes both known')

# An mbox
i.dot_qmail('mbox', './mbox\n')
send('mbox@mail.example', body=b'Subject: s\n\nFrom here\nto there\n')
text = open(os.path.join(home, 'mbox'), 'rb').read() if os.path.exists(os.path.join(home, 'mbox')) else b''
check(text.startswith(b'From from-me@Sender.example ') and text.endswith(b'\n>From here\nto there\n\n'),
      'an mbox is written')
equal(i.stop(), [], 'stopping leaves no process')
done()
