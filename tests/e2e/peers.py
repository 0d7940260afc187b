"""procmail, maildrop and mlmmj in dot-qmail lines

With PEERS=long (make check-peers) the list has 1000 subscribers instead of 40.
"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from relayhost import RelayHost
import peers

COUNT = 1000 if os.environ.get('PEERS') == 'long' else 40
GONE = 4 # of them do not exist
WAIT = 240

server = RelayHost(rcpt=lambda a: '550 5.1.1 no such user' if a.startswith('gone') else None)
i = Instance()
i.control('smtproutes', 'remote.example:[127.0.0.1]:%d' % server.port)
subprocess.run(['tcprules', i.home + '/control/tcp.smtp.cdb', i.home + '/control/tmp'], input=b'127.:allow,RELAYCLIENT=""\n', check=True)
for name in ('joe', 'spam', 'ann'): i.mailbox(name)
alias = i.home + '/alias'
i.start()

# The helper, or what it does.
preline = i.home + '/bin/preline'
if not os.path.exists(preline):
    preline = SCRATCH + '/preline'
    with open(preline, 'w') as f: f.write('#!/bin/sh\n{ printf %s "$UFLINE$RPLINE$DTLINE"; cat; } | "$@"\n')
    os.chmod(preline, 0o755)

def fetched(fetch):
    """The peer, where the test's account can execute it; nothing in it is setuid."""
    try: root = reachable(fetch().root)
    except peers.Unavailable as e: return skip(str(e))
    for name in os.listdir(root + '/usr/bin'): os.chmod(root + '/usr/bin/' + name, 0o755)
    return peers.Peer(root)

def put(name, text):
    """A file of the account that alias/ belongs to."""
    os.makedirs(os.path.dirname(os.path.join(alias, name)), exist_ok=True)
    with open(os.path.join(alias, name), 'w') as f: f.write(text)
    os.chmod(f.name, 0o600)
    i.give(f.name)

def sorts(what, command, text, hard):
    """A filter that puts mail into one of two Maildirs, and can refuse and put off."""
    put('%src' % what, text)
    i.dot_qmail(what, '|%s %s %s/%src\n' % (preline, command, alias, what))
    have = {b: len(i.mails(b)) for b in ('joe', 'spam', 'ann')}
    i.send('ann@mail.example', what + '@mail.example', b'Subject: good\n\nFrom here\n')
    i.send('ann@mail.example', what + '@mail.example', b'Subject: buy now\n\nx\n')
    good, bad = i.wait_mails('joe', have['joe'] + 1), i.wait_mails('spam', have['spam'] + 1)
    check(len(good) == have['joe'] + 1 and b'\nDelivered-To: %s@mail.example\n' % what.encode() in good[-1] and
          b'Return-Path: <ann@mail.example>\n' in good[-1] and b'\nSubject: good\n' in good[-1], what + ' delivers: %r' % good[-1:])
    check(len(bad) == have['spam'] + 1 and b'Subject: buy now' in bad[-1], what + ' sorts')
    i.send('ann@mail.example', what + '@mail.example', b'Subject: refuse\n\nx\n')
    m = i.wait_mails('ann', have['ann'] + 1)
    check(len(m) == have['ann'] + 1 and b'<%s@mail.example>' % what.encode() in m[-1], what + ' refuses: %s' % hard)
    check(i.wait_queue_empty(), what + ': the queue is empty')
    i.send('ann@mail.example', what + '@mail.example', b'Subject: later\n\nx\n')
    check(wait_for(lambda: any('deferral: ' in l and '=%s@' % what in l for l in i.log('send'))), what + ' puts off')
    i.run(i.home + '/bin/pipit-queue-rm', 'all')

def procmail():
    p = fetched(peers.procmail)
    if p: sorts('procmail', p.path('usr/bin/procmail') + ' -t -m', '''SHELL=/bin/sh
:0
* ^Subject: buy
%(a)s/spam/
:0
* ^Subject: refuse
{
EXITCODE=77
HOST=no
}
:0
* ^Subject: later
{
EXITCODE=75
HOST=no
}
:0
%(a)s/joe/
''' % {'a': alias}, 'exit 77')

def maildrop():
    p = fetched(peers.maildrop)
    if p: sorts('maildrop', 'env LD_LIBRARY_PATH=%s %s' % (p.env['LD_LIBRARY_PATH'], p.path('usr/bin/maildrop')), '''
if ( /^Subject: buy/ )
  to "%(a)s/spam"
if ( /^Subject: refuse/ )
{
  EXITCODE=77
  exit
}
if ( /^Subject: later/ )
{
  EXITCODE=75
  exit
}
to "%(a)s/joe"
''' % {'a': alias}, 'exit 77')

def mlmmj():
    """As its README.qmail says; it sends through our SMTP server."""
    p = fetched(peers.mlmmj)
    if not p: return
    ml = alias + '/ml'
    for d in ('incoming queue/discard archive text subconf unsubconf bounce control moderation subscribers.d digesters.d '
              'requeue nomailsubs.d').split():
        os.makedirs(ml + '/' + d)
    shutil.copytree(p.path('usr/share/mlmmj/text.skel/en'), ml + '/text', dirs_exist_ok=True)
    for name, text in (('control/listaddress', 'news@mail.example'), ('control/owner', 'ann@mail.example'), ('control/delimiter', '-'),
                       ('control/relayhost', '127.0.0.1'), ('control/smtpport', str(i.port)), ('index', '0'), ('control/subonlypost', '')):
        with open('%s/%s' % (ml, name), 'w') as f: f.write(text + '\n')
    members = ['joe@mail.example'] + ['gone%d@remote.example' % n for n in range(GONE)] + ['u%d@remote.example' % n for n in range(COUNT - GONE - 1)]
    for letter in 'gju':
        with open('%s/subscribers.d/%s' % (ml, letter), 'w') as f: f.writelines(m + '\n' for m in members if m[0] == letter)
    for d, dirs, files in os.walk(ml):
        for name in ['.'] + files: i.give(os.path.join(d, name))
    for name in ('news', 'news-default'): i.dot_qmail(name, '|%s -L %s\n' % (p.path('usr/bin/mlmmj-receive'), ml))
    have = len(i.mails('joe'))
    i.send('joe@mail.example', 'news@mail.example', b'From: joe@mail.example\nTo: news@mail.example\nSubject: to all\nMessage-ID: <1@x>\n\nhello\n')
    wanted = {m for m in members if m[0] == 'u'}
    wait_for(lambda: len(server.mails) >= len(wanted), WAIT, 0.1)
    got = {r: s for s, rcpts, d, o in server.mails for r in rcpts}
    equal(set(got), wanted, 'mlmmj: %d subscribers elsewhere get the message' % len(wanted))
    equal([r for r, s in got.items() if s != 'news-bounces-1-%s@mail.example' % r.replace('@', '=')], [], 'each with a sender of his own')
    equal(len(server.mails), len(wanted), 'and once')
    m = i.wait_mails('joe', have + 1)
    check(len(m) == have + 1 and b'Return-Path: <news-bounces-1-joe=mail.example@mail.example>\n' in m[-1], 'one here as well')
    names = {'gone%d=remote.example' % n for n in range(GONE)}
    check(wait_for(lambda: names <= set(os.listdir(ml + '/bounce')), WAIT), 'mlmmj learns from bounces who is gone: %r' % sorted(os.listdir(ml + '/bounce'))[:9])
    check(i.wait_queue_empty(WAIT), 'the queue is empty')
    # A stranger may not write; a subscription is confirmed.
    i.send('ann@mail.example', 'news-subscribe@mail.example', b'From: ann@mail.example\nTo: news-subscribe@mail.example\nSubject: x\n\nx\n')
    confirm = lambda: next((re.search(rb'news-confsub-[0-9a-f]+-ann=mail.example@mail.example', t) for t in i.mails('ann') if b'confsub' in t), None)
    if check(wait_for(confirm, 20), 'a subscription has to be confirmed'):
        address = confirm()[0].decode()
        i.send('ann@mail.example', address, b'From: ann@mail.example\nTo: %s\nSubject: yes\n\nyes\n' % address.encode())
        check(wait_for(lambda: os.path.exists(ml + '/subscribers.d/a') and 'ann@mail.example' in open(ml + '/subscribers.d/a').read(), 20),
              'and then holds')

procmail(); maildrop(); mlmmj()
equal(i.stop(), [], 'stopping leaves no process')
server.stop()
done()
