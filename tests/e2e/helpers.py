"""lines of dot-qmail files that call the small programs: forwards, aliases, answers, in a running instance"""
import sys
sys.path.insert(0, 'tests')
from instance import *

i = Instance()
i.control('virtualdomains', 'shop.example:shop')
i.control('rcpthosts', 'mail.example\nshop.example')
for name in ('joe', 'ann', 'bob', 'log'): i.mailbox(name)
home = os.path.join(i.home, 'alias')

def put(name, text):
    path = os.path.join(home, name)
    with open(path, 'w') as f: f.write(text)
    own(path)

def tool(name, *args):
    p = as_account([os.path.join(i.home, 'bin', name), *args], cwd=home, env={'PATH': os.environ['PATH']}, stdin=subprocess.DEVNULL)
    return p.wait()

i.start()
counts = dict.fromkeys(('joe', 'ann', 'bob', 'log'), 0)

def send(rcpt, got, why, sender='ann@mail.example', body=b'Subject: s\n\nhello\n'):
    """Send, and see how many messages more each mailbox has; the new ones of the last one named."""
    i.send(sender, rcpt, body)
    check(i.wait_queue_empty(), '%s: the message leaves the queue' % why)
    new = {n: len(i.mails(n)) - counts[n] for n in counts}
    for n in counts: counts[n] += new[n]
    equal({n: c for n, c in new.items() if c}, got, why)
    return [i.mails(n)[-1] for n in got]

i.dot_qmail('f', '|forward bob@mail.example "$DEFAULT$EXT2"log@mail.example\n')
m = send('f@mail.example', {'bob': 1, 'log': 1}, '|forward')
check(m and b'Delivered-To: f@mail.example\n' in m[0] and m[0].startswith(b'Return-Path: <ann@mail.example>\n'), 'with Delivered-To and the sender')
i.dot_qmail('l', '|forward l2@mail.example\n'); i.dot_qmail('l2', '|forward l@mail.example\n')
m = send('l@mail.example', {'ann': 1}, 'a loop of |forward ends in a bounce')
check(m and b'looping' in m[0], 'which says so')
i.dot_qmail('c', '|condredirect bob@mail.example grep -qi "^subject: order"\n./joe/\n')
send('c@mail.example', {'bob': 1}, '|condredirect: yes', body=b'Subject: order 7\n\nx\n')
send('c@mail.example', {'joe': 1}, '|condredirect: no')
i.dot_qmail('b', "|bouncesaying 'No jokes. (#5.7.1)' grep -q joke\n|except grep -q insult\n./joe/\n")
m = send('b@mail.example', {'ann': 1}, '|bouncesaying', body=b'Subject: s\n\na joke\n')
check(m and b'No jokes. (#5.7.1)' in m[0], 'with its text')
send('b@mail.example', {'ann': 1}, '|except', body=b'Subject: s\n\nan insult\n')
send('b@mail.example', {'joe': 1}, 'neither of them')
i.dot_qmail('p', '|preline cat >preline.tmp && mv preline.tmp preline.out\n')
send('p@mail.example', {}, '|preline')
out = open(home + '/preline.out', 'rb').read()
check(re.match(rb'From ann@mail\.example [^\n]*\nReturn-Path: <ann@mail\.example>\nDelivered-To: p@mail\.example\nReceived:', out), 'the lines: %r' % out[:90])

put('aliases', 'team: bob, joe\nsales@shop.example: :include:./sales, "|cat >>piped"\nowner-list: log\nlist: bob, missing\n@shop.example: joe\n')
put('sales', 'bob\nann (Ann)\n')
equal((tool('newaliases', 'aliases'), tool('newinclude', 'sales')), (0, 0), 'newaliases, newinclude')
i.dot_qmail('default', '|fastforward -d ./aliases.cdb\n')
i.dot_qmail('shop-default', '|fastforward -pd aliases.cdb\n./log/\n')
send('Team@mail.example', {'joe': 1, 'bob': 1}, '|fastforward')
m = send('missing@mail.example', {'ann': 1}, 'no such alias: a bounce')
check(m and b'no mailbox here by that name' in m[0], 'which says so')
m = send('list@mail.example', {'bob': 1, 'log': 1}, 'bounces of a list go to its owner')
check(m and b'Return-Path: <owner-list@mail.example>\n' in m[0], 'who is the sender')
send('sales@shop.example', {'bob': 1, 'ann': 1}, 'an alias of a virtual domain, with a list')
check(b'hello' in open(home + '/piped', 'rb').read(), 'and a program')
send('other@shop.example', {'joe': 1}, 'the wildcard of its domain')

i.dot_qmail('d', '|dot-forward .forward\n./joe/\n')
send('d@mail.example', {'joe': 1}, '|dot-forward: no such file')
put('.forward', 'bob, "|preline cat >/dev/null"\n')
send('d@mail.example', {'bob': 1}, 'forwarded')

put('away', 'Subject: away (%S)\n\nI am away.\n')
i.dot_qmail('v', '|pipit-vacation away\n./joe/\n')
m = send('v@mail.example', {'joe': 1, 'ann': 1}, '|pipit-vacation', body=b'To: v@mail.example\nSubject: s\n\nhello\n')
check(m and m[1].startswith(b'Return-Path: <>\n') and b'\nSubject: away (s)\n' in m[1], 'the answer')
send('v@mail.example', {'joe': 1}, 'once', body=b'To: v@mail.example\n\n')
send('v@mail.example', {'joe': 1}, 'mail of a list is not answered', 'bob@mail.example', b'To: v@mail.example\nList-Id: <l.x>\n\n')
i.dot_qmail('w', '|pipit-vacation away\n./joe/\n')
i.dot_qmail('u', '|pipit-vacation away\n./log/\n')
send('w@mail.example', {'joe': 1, 'log': 1}, 'two who are away do not answer each other for ever', 'u@mail.example', b'To: w@mail.example\n\n')
put('.pipit-vacation', 'damaged')
send('v@mail.example', {'joe': 1}, 'what goes wrong with an answer does not touch the delivery', 'bob@mail.example', b'To: v@mail.example\n\n')
check(any('delivery' in l and 'success' in l and 'damaged' in l for l in i.log('send')), 'the log has it')
equal(i.stop(), [], 'nothing is left running')
done()
