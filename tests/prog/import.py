"""import.py - pipit-import: what it takes from a qmail, what it tells of it, and that it changes nothing there"""
import hashlib, os, re, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

qmail = os.path.join(SCRATCH, 'qmail')
prefix = (with_accounts() if ROOT else None) or []
ALIAS = (ACCOUNTS_FROM, ACCOUNTS_FROM) if prefix else (ACCOUNT.pw_uid, ACCOUNT.pw_gid)

def run(*args):
    p = subprocess.run([*prefix, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, cwd='/', env=dict(os.environ, PATH='/usr/sbin:/usr/bin:/sbin:/bin'))
    return p.returncode, p.stdout

def take(*args, home=None):
    """Exit status and {(word, what): [texts]}."""
    code, text = run(BIN + '/pipit-import', '-i', home or inst, *args)
    report = {}
    for line in text.splitlines():
        m = re.match(r'(take|same|keep|note|look) (.*?): (.*)', line)
        if m: report.setdefault((m[1], m[2].replace(qmail + '/', '')), []).append(m[3])
    return code, report, text

def instance(name, *options):
    home = os.path.join(SCRATCH, name)
    if not prefix: options += ('-u', ACCOUNT.pw_name) if ROOT else ()
    code, text = run(BIN + '/pipit-setup', '-n', 'new.example', *options, home)
    if code: raise RuntimeError(text)
    return home

def write(path, text='', mode=0o644, ids=None, top=qmail):
    path = os.path.join(top, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f: f.write(text)
    os.chmod(path, mode)
    if ids and ROOT: os.chown(path, *ids)

def read(*path):
    with open(os.path.join(*path)) as f: return f.read()

def tree(top):
    """A sum over names, content, owners, modes and times of everything there, but the time of reading."""
    h = hashlib.sha256()
    for d, dirs, files in sorted(os.walk(top)):
        for name in ['.'] + sorted(dirs + files):
            f = os.path.join(d, name)
            st = os.lstat(f)
            h.update(repr((f, st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)).encode())
            if os.path.isfile(f) and not os.path.islink(f): h.update(open(f, 'rb').read())
    return h.hexdigest()

def make_qmail():
    home = os.path.join(SCRATCH, 'joe')
    os.mkdir(home)
    write('control/me', 'mail.old.example\n')
    write('control/locals', 'old.example\n# a comment\nmail.old.example\n')
    write('control/virtualdomains', 'shop.example:shop\nout.example:\nu@solo.example:solo\n')
    write('control/rcpthosts', '.old.example\nold.example\nshop.example\nout.example\nbackup.example\n')
    write('control/concurrencyremote', '50\n')
    write('control/smtproutes', 'out.example:[192.0.2.1]\nauth.example:relay:587|user|secret\n', 0o640)
    write('control/authsenders', 'joe@old.example:relay;587|user|secret\nshop.example:[192.0.2.9]:26|us er|other|one\n!@:relay\n# x\n')
    write('control/databytes', '10M\n')
    write('control/concurrencyincoming', '30\n')
    write('control/badrcptto', 'x@old.example\n')
    write('control/strange thing', 'x\n')
    write('control/tls/key.pem', 'secret\n', 0o640, (0, 65533))
    write('users/assign', '=joe:joe:1500:1500:%s:::\n+joe-:joe:1500:1500:%s:-:::more\n+shop-:vpopmail:89:89:/nowhere/shop:-::\n'
          '+:alias:7790:2108:%s/alias:-::\n=toor:root:0:0:/root:::\njoe:x\n.\nafter\n' % (home, home, qmail))
    write('users/cdb', 'not looked into')
    write('users/exclude', 'daemon\n')
    for name, text, mode in (('root', '&admin@old.example\n', 0o644), ('list', '|ezmlm-send list\n|cat >/dev/null\n', 0o600),
                             ('fwd', '+list\n&a@b.example\n', 0o744), ('open', './Mailbox\n', 0o666), ("odd 'name", '#\n', 0o644)):
        write('alias/.qmail-' + name, text, mode, (7790, 2108))
    os.symlink('.qmail-root', qmail + '/alias/.qmail-postmaster')
    os.symlink('/var/qmail/alias/list/editor', qmail + '/alias/.qmail-list-default')
    write('alias/Mailbox', 'From x\n')
    write('alias/list/editor', '|x\n')
    write('rc', "#!/bin/sh\n# qmail-start no\nexec env - PATH=\"/var/qmail/bin:$PATH\" \\\nqmail-start '|preline nosuch -d' splogger qmail\n", 0o755)
    write('supervise/qmail-smtpd/run', '#!/bin/sh\nexec /usr/local/bin/softlimit -m 9000000 \\\n  tcpserver -v -R -l "$L" -x %s/tcp.cdb -c 30 \\\n'
          '  -u 1 -g 2 0 smtp rblsmtpd -r bl.example /var/qmail/bin/qmail-smtpd 2>&1\n' % SCRATCH)
    write('services/pop3/run', '#!/bin/sh\nexec tcpserver 0 110 qmail-popup h checkpassword qmail-pop3d Maildir\n', top=SCRATCH)
    write('services/pipit-send/run', read(BIN, 'pipit-setup'), top=SCRATCH) # what pipit's own services are made of
    write('queue/mess/3/17', 'mail')

LOOKS = {'control/badrcptto': 'a patch refuses mail', 'control/concurrencyincoming': 'control/concurrencysmtpd',
         'control/strange thing': 'pipit does not read it', 'control/databytes': 'line 1: not a whole number',
         'control/smtpcredentials': 'logins are for TLS', 'users/assign': 'line 5: =toor has uid or gid 0',
         'alias/Mailbox': 'cp -an', 'alias/list': 'cp -an', 'alias/.qmail-list': 'runs ezmlm-send, which is not here',
         'rc': 'the default delivery is |preline nosuch -d: echo', 'supervise/qmail-smtpd/run': 'rblsmtpd',
         SCRATCH + '/services/pop3/run': 'qmail-pop3d', 'queue/': '1 messages stay'}

def first():
    before, old = tree(qmail), tree(inst)
    code, report, text = take('-n', '-r', SCRATCH + '/services', qmail)
    equal((code, tree(inst)), (1, old), '-n writes nothing')
    planned = {k for k in report if k[0] == 'take'}
    code, report, text = take('-r', SCRATCH + '/services', qmail)
    equal(code, 1, 'taken, with something to look at: %s' % text[-300:])
    equal({k for k in report if k[0] == 'take'}, planned, '-n had told the same')
    equal(tree(qmail), before, 'nothing in the qmail has changed, not even a time')
    for name in ('me', 'locals', 'virtualdomains', 'rcpthosts', 'concurrencyremote', 'badrcptto', 'strange thing', 'tls/key.pem'):
        equal(read(inst, 'control', name), read(qmail, 'control', name), 'control/%s is taken' % name)
    equal(read(inst, 'control/smtproutes'), 'out.example:[192.0.2.1]\nauth.example:relay:587 auth=user\n', 'the password leaves smtproutes')
    equal((read(inst, 'control/senderroutes'), read(inst, 'control/routeorder')),
          ('joe@old.example:relay;587 auth=user\n@shop.example:[192.0.2.9]:26 auth=us_er\n<>:relay\n# x\n', 'sender\n'), 'and authsenders, which goes first')
    logins = [l for l in read(inst, 'control/smtpcredentials').splitlines() if l[0] != '#']
    equal(sorted(logins), ['us_er:us er:other|one', 'user:user:secret'], 'for smtpcredentials')
    check(not os.stat(inst + '/control/smtpcredentials').st_mode & 0o007, 'which others cannot read')
    for what, why in LOOKS.items():
        check(any(why in t for t in report.get(('look', what), [])), '%s: told: %s' % (what, report.get(('look', what))))
    check(not [w for k, w in report if 'pipit-send' in w], "pipit's own services are not told of")
    equal({w for (k, w) in report if k == 'keep'}, set(), 'what pipit-setup had made is replaced')
    mode = lambda *p: oct(os.stat(os.path.join(inst, *p)).st_mode & 0o7777)
    equal(mode('control/smtproutes'), '0o644', "pipit's accounts can read what they have to")
    if prefix: equal((mode('control/tls/key.pem'), os.stat(inst + '/control/tls/key.pem').st_gid), ('0o640', 65533),
                     'others keep owner and mode')
    assign = read(inst, 'users/assign').splitlines()
    old = read(qmail, 'users/assign').splitlines()
    equal([assign[:3], assign[4:]], [old[:3], old[4:]], 'users/assign: = and + lines are taken')
    equal(assign[3], '+:%s:%d:%d:%s/alias:-::' % ('pipita' if prefix else ACCOUNT.pw_name, *ALIAS, inst), "the alias account's entry is pipit's")
    texts = ' / '.join(report[('look', 'users/assign')])
    for why in ('line 6: not =local', 'line 8: stands after', '1 of the homes' if not prefix else 'homes do not exist'):
        check(why in texts, 'users/assign: %s: %s' % (why, texts))
    check(prefix or 'and do not count' in texts, "entries of others mean nothing in one account's instance")
    equal(read(inst, 'users/exclude'), 'daemon\n', 'users/exclude is taken')
    for name in ('root', 'list', 'fwd', 'open', "odd 'name"):
        st = os.stat(inst + '/alias/.qmail-' + name)
        equal((read(inst, 'alias/.qmail-' + name), (st.st_uid, st.st_gid), oct(st.st_mode & 0o777)),
              (read(qmail, 'alias/.qmail-' + name), ALIAS, {'list': '0o600', 'fwd': '0o744'}.get(name, '0o644')), 'alias/.qmail-%s: content, owner, mode' % name)
    equal([os.readlink(inst + '/alias/.qmail-' + n) for n in ('postmaster', 'list-default')], ['.qmail-root', '/var/qmail/alias/list/editor'], 'links')
    check(not os.path.exists(inst + '/alias/Mailbox') and not os.path.exists(inst + '/alias/list'), 'mail and lists stay')

def again():
    def inodes():
        names = ['control/' + n for n in os.listdir(inst + '/control') if n[0] != '.'] + ['users/assign', 'users/exclude']
        return tree(inst + '/alias'), {n: (os.stat(os.path.join(inst, n)).st_ino, read(inst, n)) for n in names if n != 'control/tls'}
    before = inodes()
    code, report, text = take(qmail)
    equal(inodes(), before, 'a second run changes nothing')
    check(not [k for k in report if k[0] in ('take', 'keep')], 'and says so')
    # Changed there: taken; changed here: kept; both: kept, until -f.
    write('control/concurrencyremote', '60\n')
    write('control/locals', 'old.example\nmore.example\n')
    write('alias/.qmail-root', '&other@old.example\n')
    for name, text in (('control/locals', 'mine.example\n'), ('control/databytes', '5\n'), ('alias/.qmail-fwd', '#\n')):
        with open(os.path.join(inst, name), 'w') as f: f.write(text)
    code, report, text = take(qmail)
    equal({k for k in report if k[0] in ('take', 'keep')},
          {('take', 'control/concurrencyremote'), ('take', 'alias/.qmail-root'), ('keep', 'control/locals'), ('keep', 'control/databytes'), ('keep', 'alias/.qmail-fwd')},
          "what changed there is taken again, what changed here is kept")
    equal((read(inst, 'control/locals'), read(inst, 'control/databytes'), read(inst, 'alias/.qmail-root')), ('mine.example\n', '5\n', '&other@old.example\n'), 'so it is')
    take('-f', qmail)
    equal((read(inst, 'control/locals'), read(inst, 'alias/.qmail-fwd')), (read(qmail, 'control/locals'), '+list\n&a@b.example\n'), '-f takes all')

def relay():
    """No rcpthosts, no locals: an open relay does not move."""
    open_relay = os.path.join(SCRATCH, 'open')
    write('control/me', 'open.example\n', top=open_relay)
    write('control/virtualdomains', 'V.example:v\nu@w.example:w\nx.example:\n.y.example:y\n:z\n', top=open_relay)
    # Root takes it into an instance of one account as that account.
    home = instance('relay', *(('-u', ACCOUNT.pw_name) if prefix else ()))
    code, report, text = take(open_relay, home=home)
    check('an open relay' in text and code == 1, 'no rcpthosts: told: %r' % report.get(('look', 'control/rcpthosts')))
    equal((read(home, 'control/locals'), read(home, 'control/rcpthosts')), ('open.example\n', '.y.example\nopen.example\nv.example\n'),
          'what is delivered there is taken, and nothing else')
    equal({os.stat(os.path.join(home, 'control', n)).st_uid for n in ('me', 'rcpthosts', 'virtualdomains')}, {ACCOUNT.pw_uid},
          'as the account of the instance')

def clean():
    """A qmail in which nothing is odd: exit 0."""
    q = os.path.join(SCRATCH, 'clean')
    for name, text in (('me', 'c.example\n'), ('locals', 'c.example\n'), ('rcpthosts', 'c.example\n'), ('defaultdelivery', './Maildir/\n')):
        write('control/' + name, text, top=q)
    write('rc', 'exec qmail-start "`cat /var/qmail/control/defaultdelivery`"\n', top=q)
    write('alias/.qmail-postmaster', '&x@c.example\n', top=q)
    write('users/assign', '+v-:v:89:89:%s:-::\n.\n' % SCRATCH if prefix else '.\n', top=q)
    write('users/cdb', '', top=q)
    os.makedirs(q + '/queue/mess/0')
    code, report, text = take(q, home=instance('cleaninst'))
    equal(code, 0, 'nothing to look at: %s' % text)
    if prefix and os.path.exists(BIN + '/pipit-newu'):
        check(('take', 'users/cdb') in report and b'!v-' in open(SCRATCH + '/cleaninst/users/cdb', 'rb').read(), 'users/cdb is made')
    equal({k[0] for k in take(q, home=SCRATCH + '/cleaninst')[1]}, {'same', 'note'}, 'again: all is there')
    check('queue/: is empty' in text and 'is control/defaultdelivery' in text, 'a queue that is empty, a default delivery that is a file')
    write('rc', "exec qmail-start '|a\n./Mailbox' splogger\n", top=q)
    check('several lines, |a and ./Mailbox' in take(q, home=SCRATCH + '/cleaninst')[2], 'a default delivery of two lines')

def refusals():
    for why, args in (('no directory', []), ('two', [qmail, qmail]), ('a relative one', ['qmail']), ('no qmail', [SCRATCH]),
                      ('the instance itself', [inst]), ('an option', ['-x', qmail])):
        before = tree(inst)
        code, report, text = take(*args)
        equal((code, tree(inst), text.count('\n')), (100, before, 1), 'refused: %s: %s' % (why, text.strip()))
    equal(take(qmail, home=SCRATCH)[0], 100, 'refused: no instance')

make_qmail()
inst = instance('inst')
first(); again(); relay(); clean(); refusals()
if not prefix: skip('an instance with an account for each part needs root and a mount namespace')
done()
