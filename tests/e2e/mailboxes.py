"""Mailboxes of people without accounts, in an instance with an account for each part; and supplementary groups

Two domains under one uid. Needs root; the accounts stand in an /etc/passwd of the test's own.
"""
import sys
sys.path.insert(0, 'tests')
import pwd
from instance import *

VMAIL, JOE, EXTRA = 64400, 64401, 64450 # uids and gids
BASE = os.path.join(SCRATCH, 'vmail')
WHO = '|id -G >"groups.$RECIPIENT"\n'

if ROOT: os.chmod(SCRATCH, 0o755)
begin_with_accounts(__file__)

def people():
    with open('/etc/passwd', 'a') as f:
        f.write('vmail:x:%d:%d::/nonexistent:/usr/sbin/nologin\n' % (VMAIL, VMAIL))
        f.write('joe:x:%d:%d::%s/joe:/bin/sh\n' % (JOE, JOE, SCRATCH))
    with open('/etc/group', 'a') as f: f.write('vmail:x:%d:\nextra:x:%d:joe,vmail,pipita\n' % (VMAIL, EXTRA))
    for path, uid in ((BASE, VMAIL), (SCRATCH + '/joe', JOE)):
        os.mkdir(path, 0o700)
        os.chown(path, uid, uid)
    for d in ('', '/new', '/cur', '/tmp'):
        os.mkdir(SCRATCH + '/joe/Maildir' + d, 0o700)
        os.chown(SCRATCH + '/joe/Maildir' + d, JOE, JOE)
    for home in (SCRATCH + '/joe', BASE):
        with open(home + '/.qmail-groups', 'w') as f: f.write(WHO)

def compile(i):
    with open(i.home + '/users/mailboxes', 'w') as f:
        f.write('*vmail::%s:1000000S\n=ann@one.example\n=bob@two.example:::deep/er\n=small@one.example::::300S\n'
                '&info@one.example:ann@one.example,joe@mail.example\n&postmaster@one.example:ann@one.example\n=@two.example:::rest\n.\n' % BASE)
    return i.run(os.path.join(i.home, 'bin', 'pipit-newmailboxes'))

def took(path):
    """Who the mail in a Maildir is for, and whose the files are."""
    found = glob.glob(os.path.join(path, 'new', '*'))
    return sorted(m for f in found for m in re.findall('^Delivered-To: (.*)$', open(f).read(), re.M)[:1]), \
        sorted({(os.stat(f).st_uid, os.stat(f).st_gid) for f in found})

def answers(i, *rcpts):
    with i.smtp() as s:
        s.ehlo(), s.mail('back@mail.example')
        return [s.rcpt(r)[0] for r in rcpts]

def refusals(i):
    equal(answers(i, 'Ann@one.example', 'any.body@two.example', 'info@one.example', 'nobody@one.example', 'joe@one.example'), [250, 250, 250, 550, 550],
          'the SMTP server knows who has a mailbox')
    i.control('rcptcheck', None)
    check(wait_for(lambda: answers(i, 'nobody@one.example') == [250], 10, 0.2), 'and is not asked any more')

def deliveries(i):
    mail = b'Subject: hello\n\n' + b'x' * 400 + b'\n'
    rcpts = ['Ann@one.example', 'ann+tag@one.example', 'bob@two.example', 'any.body@two.example', 'info@one.example',
             'nobody@one.example', 'joe@one.example', 'small@one.example']
    i.send('back@mail.example', rcpts, mail)
    check(i.wait_queue_empty(30), 'all is delivered, or bounced')
    vmail = [(VMAIL, VMAIL)]
    equal(took(BASE + '/one.example/ann'), (['Ann@one.example', 'ann+tag@one.example', 'ann@one.example'], vmail), 'a mailbox: its address, a tag, a forward to it')
    equal(took(BASE + '/deep/er'), (['bob@two.example'], vmail), 'one of another domain, in a path of its own')
    equal(took(BASE + '/rest'), (['any.body@two.example'], vmail), 'all other addresses of that domain')
    equal(took(SCRATCH + '/joe/Maildir'), (['joe@mail.example'], [(JOE, JOE)]), 'a forward reaches a user')
    bounces = b''.join(i.mails('back'))
    status = dict(re.findall(rb'^Final-Recipient: rfc822; *(\S+)\n(?:.*\n)*?Status: (\S+)', bounces, re.M))
    equal(status, {b'nobody@one.example': b'5.1.1', b'joe@one.example': b'5.1.1', b'small@one.example': b'5.2.2'},
          'no mailbox, none for an account of that name either, a full one: each bounces with its status')
    check(any('Sorry,_no_mailbox_here_by_that_name.' in l for l in i.log('send')), 'the log says so as for others')

def damage(i):
    table = i.home + '/users/mailboxes.cdb'
    whole, before = open(table, 'rb').read(), len(i.mails('back'))
    with open(table, 'wb') as f: f.write(whole[:-9])
    for rcpt in ('ann@one.example', 'nobody@one.example'): i.send('back@mail.example', rcpt, b'Subject: damaged\n\n')
    check(wait_for(lambda: len([l for l in i.log('send') if 'deferral' in l and 'users/mailboxes.cdb' in l]) >= 2), 'a damaged table defers all')
    equal((len(i.queue()), len(i.mails('back'))), (2, before), 'and nothing bounces')
    equal(compile(i), (0, ''), 'it is compiled anew')
    i.alrm()
    check(i.wait_queue_empty(), 'and the mail goes on')
    equal(took(BASE + '/one.example/ann')[0][-2:], ['ann@one.example'] * 2, 'to its mailbox')

def groups(i):
    """What a program of a user's dot-qmail file may do."""
    with open(i.home + '/users/assign', 'w') as f:
        for name, user, uid, home in (('cdb', 'joe', JOE, SCRATCH + '/joe'), ('dom', 'dom', JOE, SCRATCH + '/joe'), ('other', 'joe', VMAIL, BASE)):
            f.write('=%s:%s:%d:%d:%s:-:groups:\n' % (name, user, uid, uid, home))
        f.write('.\n')
    equal(i.run(i.home + '/bin/pipit-newu'), (0, ''), 'users/assign is compiled')
    i.dot_qmail('groups', WHO)
    homes = {'joe-groups': SCRATCH + '/joe', 'cdb': SCRATCH + '/joe', 'dom': SCRATCH + '/joe', 'other': BASE, 'groups': i.home + '/alias'}
    i.send('back@mail.example', [n + '@mail.example' for n in homes], b'Subject: groups\n\n')
    check(i.wait_queue_empty(), 'programs run')
    def said(name):
        path = homes[name] + '/groups.%s@mail.example' % name
        return open(path).read().split() if os.path.exists(path) else None
    alias = pwd.getpwnam('pipita').pw_gid
    equal([said(n) for n in homes], [[str(g) for g in gids] for gids in ((JOE, EXTRA), (JOE, EXTRA), (JOE,), (VMAIL,), (alias, EXTRA))],
          'with their groups: a user, the same in users/cdb, and the alias account; not a name that is no account, or has another uid')

people()
i = Instance(separated=True, options=('-a', '127.0.0.1'))
for name in ('locals', 'rcpthosts'): i.control(name, 'mail.example\none.example\ntwo.example\n')
i.control('supplementarygroups', '1')
i.mailbox('back')
equal(compile(i), (0, ''), 'the table is compiled')
i.start()
refusals(i)
deliveries(i)
damage(i)
groups(i)
equal(i.stop(), [], 'stopping leaves no process')
done()
