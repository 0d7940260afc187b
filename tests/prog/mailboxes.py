"""mailboxes.py - users/mailboxes.cdb in pipit-lspawn, in an instance with one account; tests/e2e/mailboxes.py has the other kind"""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from deliveries import *

HOME = make_home()
ALIAS, BASE, TABLE = HOME + '/alias', HOME + '/mail', HOME + '/users/mailboxes.cdb'
DID = ('K', 'did 1+0+0\n')
NOBODY = ('D', 'Sorry, no mailbox here by that name. (#5.1.1)\n')

def mailboxes(*lines):
    account = '*%d:%d:%s' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid, BASE)
    write(HOME + '/users/mailboxes', '\n'.join((account,) + lines) + '\n.\n')
    p = as_account([os.path.join(BIN, 'pipit-newmailboxes')], env={'PIPIT_HOME': HOME}, stderr=subprocess.DEVNULL)
    if p.wait(): raise RuntimeError('pipit-newmailboxes: exit %d' % p.returncode)

def deferred(s, rcpt, text, why):
    letter, said = s.job(rcpt)
    if not check(letter == 'Z' and 'users/mailboxes.cdb' in said and text in said, why): print('  got', letter, said)

def took(path):
    """The recipients whose mail lies in a Maildir, in the order of delivery."""
    return [open(f).read().split('Delivered-To: ')[1].split('\n')[0] for f in sorted(new(os.path.join(BASE, path)), key=lambda f: os.stat(f).st_ctime_ns)]

os.mkdir(BASE, 0o700)
own(BASE)
os.mkdir(SCRATCH + '/outside')
own(SCRATCH + '/outside')
write(ALIAS + '/.qmail-ann', './alias-got/\n')
write(ALIAS + '/.qmail-default', './alias-got/\n')
make_maildir(ALIAS + '/alias-got')
uid, gid = ACCOUNT.pw_uid, ACCOUNT.pw_gid
mailboxes('=ann@one.example', '=ann+own@one.example:::own', '=bob@two.example:%d:%d:%s/deep/er/Bob' % (uid, gid, BASE), '+two.example',
          '=other@one.example:%d:%d:%s/other' % (uid + 1, gid, BASE), '=away@one.example:%d:%d:%s/outside/m' % (uid, gid, SCRATCH),
          '=@all.example:::all', '=small@one.example::::10S')
s = Lspawn(HOME)
equal(s.job('Ann+tag+x@ONE.example'), DID, 'the first message makes the Maildir')
equal([s.job(r) for r in ('ann@one.example', 'ann+own+x@one.example', 'who-ever@all.example', 'ann+own@one.example')], [DID] * 4, 'others follow')
equal([took(p) for p in ('one.example/ann', 'own', 'all')],
      [['Ann+tag+x@ONE.example', 'ann@one.example'], ['ann+own+x@one.example', 'ann+own@one.example'], ['who-ever@all.example']],
      'tags, a tag with a line of its own, all others: each in its Maildir, for the recipient as he was written')
equal(oct(os.stat(BASE + '/one.example').st_mode & 0o777), '0o700', 'nobody else can enter')
is_there = s.job('bob@two.example')
check(is_there[0] == 'Z' and not os.path.exists(BASE + '/deep'), 'a full path: without the folder that the Maildir is in, mail waits: %r' % is_there[1])
os.makedirs(BASE + '/deep/er')
own(BASE + '/deep/er'), own(BASE + '/deep')
equal((s.job('bob@two.example'), took('deep/er/Bob')), (DID, ['bob@two.example']), 'and is delivered when it is there')
equal([s.job(r) for r in ('nobody@one.example', 'annie@one.example', 'ann-x@one.example', '+ann@one.example')], [NOBODY] * 4,
      'a domain of the file has no other addresses')
equal((s.job('ann@two.example'), s.job('ann@three.example')), (DID, DID), 'but for one with a line that says so; other domains do')
equal(took(ALIAS + '/alias-got'), ['ann@two.example', 'ann@three.example'], 'their mail is the alias account\'s')
equal(s.job('small@one.example')[0], 'D', 'a quota is heeded')
deferred(s, 'other@one.example', 'users/mailboxes', 'a mailbox with another uid defers')
deferred(s, 'away@one.example', 'users/mailboxes', 'one outside of the instance, too')
equal(os.listdir(SCRATCH + '/outside'), [], 'and nothing went there')

# A worker that waits for more goes when the table is another one.
equal(s.job('ann@one.example'), DID, 'a worker waits')
waiting = set(s.children())
mailboxes('=bob@one.example')
equal((s.job('bob@one.example'), s.job('ann@one.example')), (DID, NOBODY), 'a new table counts for the next message')
check(waiting and wait_for(lambda: not waiting & set(s.children())), 'and all that waited have gone')
s.end()

s = Lspawn(HOME, env={'QMAILLOCAL': '/bin/true'})
deferred(s, 'bob@one.example', 'QMAILLOCAL', 'with QMAILLOCAL, mail for mailboxes waits')
equal((s.job('bob@three.example'), s.job('x@one.example')[0]), (('K', ''), 'D'), 'other mail does not, and what is no address bounces')
s.end()

# Damage, and no table at all
mailboxes('=ann@one.example')
whole = open(TABLE, 'rb').read()
s = Lspawn(HOME)
for what, data in (('cut to nothing', b''), ('cut', whole[:-1]), ('with another byte', whole.replace(b'ann@one', b'ann@onf')), ('that is users/cdb', None)):
    if data is None: users(HOME, '=ann:ann:1:1:/:::')
    data = open(HOME + '/users/cdb', 'rb').read() if data is None else data
    with open(TABLE, 'wb') as f: f.write(data)
    for rcpt in ('ann@one.example', 'nobody@one.example', 'ann@other.example'): deferred(s, rcpt, '', 'a file %s defers mail for %s' % (what, rcpt))
os.unlink(HOME + '/users/cdb')
os.chmod(TABLE, 0)
own(TABLE)
deferred(s, 'ann@one.example', '', 'one that cannot be read, too')
os.unlink(TABLE)
equal(s.job('ann@one.example'), DID, 'without it, all goes its usual way')
equal(s.end(), 0, 'lspawn has ended')
done()
