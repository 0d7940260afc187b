"""compat.py - qmail's names and paths (pipit-compat, make install-compat), pipit-showctl, pipit-getpw"""
import os, re, shutil, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))
NAMES = ['queue', 'inject', 'remote', 'local', 'lspawn', 'rspawn', 'send', 'start', 'smtpd', 'qread', 'qstat',
         'showctl', 'getpw', 'tcpok', 'tcpto']
home = make_home()

def run(*args, **kw):
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       cwd='/', env=dict(os.environ, **kw))
    return p.returncode, p.stdout

def compat(*args):
    return run(os.path.join(BIN, 'pipit-compat'), *args)

def tree(path):
    """{name: target, size or None} of everything there, with its time."""
    found = {}
    for d, dirs, files in os.walk(path):
        for name in dirs + files:
            f = os.path.join(d, name)
            st = os.lstat(f)
            found[os.path.relpath(f, path)] = os.readlink(f) if os.path.islink(f) else st.st_size, st.st_mtime_ns
    return found

def write(path, text='', mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f: f.write(text)
    os.chmod(path, mode)

def links():
    bin, qmail = home + '/bin', SCRATCH + '/qmail'
    write(bin + '/qmail-smtpd', '#!/bin/sh\n', 0o755) # somebody's own
    os.symlink('/bin/true', bin + '/qmail-remote')
    code, text = compat('-q', qmail, home)
    equal(code, 0, 'links are made: %r' % text)
    check('bin/qmail-smtpd is a program' in text and 'bin/qmail-remote leads to /bin/true' in text and
          open(bin + '/qmail-smtpd').read() == '#!/bin/sh\n' and os.readlink(bin + '/qmail-remote') == '/bin/true',
          'what is not ours in bin/ stays, and is named')
    os.unlink(bin + '/qmail-smtpd'); os.unlink(bin + '/qmail-remote')
    equal(compat('-q', qmail, home), (0, ''), 'again: the missing ones are made')
    equal([n for n in NAMES if not os.access('%s/bin/qmail-%s' % (qmail, n), os.X_OK)], [], "qmail's names, by qmail's path")
    out = subprocess.run([qmail + '/bin/ofmipd', '', 'host', '/bin/false', 'true'], input='EHLO x\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n', capture_output=True, text=True,
                         env=dict(os.environ, PIPIT_HOME=home, TCPREMOTEIP='192.0.2.1')).stdout
    check(out.startswith('220 ') and '\n530 5.7.0 ' in out, "ofmipd by mess822's name lets nobody relay: %r" % out)
    p = subprocess.run([qmail + '/bin/ofmipname', SCRATCH + '/names.cdb', SCRATCH + '/names.tmp'], input='a@b.example:Ann:ann@b.example:\n', capture_output=True, text=True, env=dict(os.environ, PIPIT_HOME=home))
    check(not p.returncode and os.path.exists(SCRATCH + '/names.cdb'), 'and ofmipname makes a table: %r' % p.stderr)
    equal([n for n in os.listdir(bin) if os.path.islink(bin + '/' + n) and not os.path.exists(bin + '/' + n)], [],
          'no link leads nowhere')
    equal({n: os.readlink(qmail + '/' + n) for n in os.listdir(qmail)},
          {n: home + '/' + n for n in ('bin', 'control', 'users', 'alias')}, 'the directories, and no queue')
    before = tree(home), tree(qmail)
    equal((compat('-q', qmail, home), (tree(home), tree(qmail))), ((0, ''), before), 'and again: nothing changes')
    other = setup(SCRATCH + '/other', '-n', 'other.example')
    compat('-q', qmail, other)
    equal(os.readlink(qmail + '/control'), other + '/control', "another instance's are ours as well")

def refusals():
    """Whatever is not ours: nothing is changed, neither there nor in the instance."""
    bare = setup(SCRATCH + '/bare', '-n', 'bare.example')
    cases = [('a qmail', lambda d: write(d + '/bin/qmail-queue')), ('an empty file', lambda d: write(d)),
             ("Debian's qmail, all of links", lambda d: (os.mkdir(d), os.symlink('/usr/sbin', d + '/bin'))),
             ('a link', lambda d: os.symlink('/nowhere', d)), ('one file beside', lambda d: write(d + '/.keep')),
             ('a queue', lambda d: os.makedirs(d + '/queue'))]
    for i, (what, make) in enumerate(cases):
        d = '%s/theirs%d' % (SCRATCH, i)
        make(d)
        before = tree(SCRATCH)
        code, text = compat('-q', d, bare)
        equal((code, tree(SCRATCH)), (100, before), 'refused, and nothing changed: %s: %s' % (what, text.strip()))
    for args in ([], ['-x', bare], ['relative'], ['-q', 'relative', bare], [SCRATCH + '/nowhere'], ['-q', bare, bare]):
        equal(compat(*args)[0], 100, 'refused: %r' % args)

def make_target():
    dest = SCRATCH + '/dest'
    make = lambda *a: run('make', '-s', '-C', TOP, 'B=' + os.path.relpath(os.environ['BUILD'], TOP), 'DESTDIR=' + dest,
                          *(['SANITIZE=1'] if os.environ['BUILD'].endswith('/san') else []), *a)
    home = open(TOP + '/conf-home').readline().strip()
    equal(make('install')[0], 0, 'make install')
    write(dest + '/usr/sbin/sendmail', 'the old one')
    code, text = make('install-compat', 'COMPATDIR=')
    equal((code, sorted(os.listdir(dest))), (0, ['usr', home.split('/')[1]]), 'make install-compat COMPATDIR=: bin/ only %s' % text)
    equal(make('install-compat', 'SENDMAIL=1')[0], 0, 'make install-compat SENDMAIL=1')
    equal({n: os.readlink(dest + n) for n in ('/usr/sbin/sendmail', '/usr/lib/sendmail', '/usr/bin/mailq', '/usr/bin/newaliases')},
          {n: '%s/bin/%s' % (home, n.split('/')[-1]) for n in ('/usr/sbin/sendmail', '/usr/lib/sendmail', '/usr/bin/mailq', '/usr/bin/newaliases')},
          'links lead to where things will be')
    equal(open(dest + '/usr/sbin/sendmail.old').read(), 'the old one', 'the old sendmail is kept')
    equal(os.readlink(dest + '/var/qmail/bin'), home + '/bin', '/var/qmail')
    before = tree(dest)
    equal((make('install-compat', 'SENDMAIL=1')[0], tree(dest)), (0, before), 'again: nothing changes')

DIVERT = '''
mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir u v w x &&
mount -t overlay -o lowerdir=/usr,upperdir="$1/u",workdir="$1/v" overlay /usr &&
mount -t overlay -o lowerdir=/var/lib/dpkg,upperdir="$1/w",workdir="$1/x" overlay /var/lib/dpkg || exit 99
rm -f /usr/sbin/sendmail; echo old >/usr/sbin/sendmail
"$2" -s "$3" && "$2" -s "$3" && readlink /usr/sbin/sendmail && cat /usr/sbin/sendmail.old && dpkg-divert --list '/usr/*/sendmail'
for f in /usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases; do
  rm $f && dpkg-divert --quiet --remove --rename $f || exit 1
done
cat /usr/sbin/sendmail; ls -d /usr/sbin/sendmail.old; dpkg-divert --list '/usr/*/sendmail'
'''

def diversion():
    if not ROOT or not shutil.which('dpkg-divert'): return skip('a diversion needs root and dpkg')
    os.mkdir(SCRATCH + '/mnt')
    code, text = run('unshare', '-m', '--propagation', 'private', 'sh', '-c', DIVERT, 'sh', SCRATCH + '/mnt',
                     BIN + '/pipit-compat', home)
    if code == 99 or 'unshare:' in text: return skip('no overlay of /usr to be had here')
    lines = text.splitlines()
    equal(lines[:2], [home + '/bin/sendmail', 'old'], '-s: sendmail is ours, and the old one is kept')
    equal(sorted(lines[2:4]), ['local diversion of /usr/%s/sendmail to /usr/%s/sendmail.old' % (d, d) for d in ('lib', 'sbin')],
          'its package cannot put it back')
    check(lines[4:5] == ['old'] and 'local diversion' not in '\n'.join(lines[4:]), 'undone as the page says: %r' % lines[4:])

def showctl():
    control = lambda **kw: [write('%s/control/%s' % (home, n.replace('_', '.')), t) for n, t in kw.items()]
    show = lambda *a: run(home + '/bin/qmail-showctl', *a)
    for n in os.listdir(home + '/control'): os.unlink(home + '/control/' + n)
    control(me='mail.host.example\n', locals='mail.host.example\nB.example \n# no\n\n', rcpthosts='.host.example\nb.example\nv.example\n',
            virtualdomains='v.example:v\n:rest\nout.example:\n', smtproutes=':[192.0.2.1]:26\n[192.0.2.7]:\na.example:r.example\n',
            concurrencyremote='50\n', badmailfrom='@x.example\na@b.example\n', queuepool='10\t20', doublebounceto='')
    code, text = show()
    equal(code, 0, 'settings without a fault: %r' % show('-p')[1])
    for line in ('me: mail.host.example.', 'locals: 2 entries.', '  B.example', 'concurrencyremote: 50.', 'concurrencylocal: 10 (default).',
                 'bouncehost: mail.host.example (default).', 'doublebounceto: (empty).', 'badmailfrom: 2 entries.', 'percenthack: none (default).'):
        check(any(l.startswith(line) for l in text.splitlines()), 'it shows %r' % line)
    bad = {'databytes': ('10k', 'line 1: not a whole number'), 'concurrencylocal': ('4001', 'line 1: more than 4000'),
           'maxline': ('0', 'line 1: less than 512'), 'queuelifetime': ('99999999999999999999', 'line 1: more than'),
           'queuereserve': ('1 2 3', 'line 1: not one or two'), 'smtpgreeting': ('', 'line 1: empty'), 'me': ('host\n', 'line 1: not a full'),
           'smtproutes': ('#\na:b:25|user|password\n', 'line 2: a password that everybody can read'), 'senderroutes': ('@a:b:25 auth=x encrypt\n@b:b auth=\n', 'line 2: not a relay'),
           'tlsdestinations': ('[::1]:may\n.a.example:verify match=mx.a.example,.b.example ca=x\nb:verify fingerprint=%s\n:may match=a\n' % ':'.join(['aB'] * 32), 'line 4: match=, ca= and fingerprint= belong to verify'),
           'lmtproutes': ('a:/x\nb:[b\n', 'line 2: not a relay'), 'smtpcredentials': ('work:joe\n', 'line 1: not NAME:user:password: work'), 'routeorder': ('both', 'line 1: write sender or recipient'), 'helohost': ('a\0b', 'holds a NUL'),
           'badmailfrom': ('@a\n^.*@b$\n', 'line 2: neither'), 'rcpthosts': ('a.example\n*.b.example\n', 'line 2: not a domain'),
           'virtualdomains': ('a:b\nnothing\na:c\n', 'line 2: has no colon'), 'locals': ('q.example\nQ.example\n', 'line 2: the second one'),
           'normalizeclients': ('printer.example', 'line 1: neither'), 'queuelifetimedomains': ('a.example:1h', 'line 1: not domain:seconds'),
           'servercert.pem': ('x', 'a key that everybody can read'), 'smtproute': ('x', 'pipit does not read this file')}
    more = [('tlsdestinations', 'a:encrypted\n', 'line 1: write none'), ('tlsdestinations', 'a\n', 'line 1: not name:policy'), ('tlsdestinations', 'a:\n', 'line 1: write none'),
            ('tlsdestinations', 'a:verify fingerprint=abc\n', 'line 1: not fingerprints'), ('tlsdestinations', 'a:verify ca=../x\n', 'line 1: not the name of a file'),
            ('tlsdestinations', 'a:none\nA:may\n', 'line 2: the second one'), ('smtproutes', 'a:b:25 none wrapper\n', 'line 1: wrapper is nothing'),
            *(('senders', 'ann@x:self\n' + l + '\n', 'line 2: not login:addresses') for l in ('ann@x:slef', 'ann', ':self', '*:a@x,me')),
            *(('loginlimits', '*:1:\n' + l + '\n', 'line 2: not login:messages') for l in ('ann:x:y', 'ann', ':1:1', 'a:1:2:3', 'a:4294967296:', 'a:1: 2')),
            ('loginlimits', 'a:1\nA:2\n', 'line 2: the second one'), ('tlsdestinations', 'a:verify ca=nosuch\n', 'line 1: serverca/nosuch.pem is not there'),
            ('smtproutes', 'a:b:25 verify ca=nosuch\n', 'line 1: serverca/nosuch.pem is not there'), ('smtproutes', 'a:b:465 verify auth=x\n', 'line 1: port 465 needs wrapper'),
            ('smtproutes', ':[::1]:465\n', 'line 1: port 465 needs wrapper'), ('senderroutes', '@a:b;465\n', 'line 1: port 465 needs wrapper'),
            ('smtproutes', 'a:b:25 verify match=b,\n', 'line 1: not a list of names'), ('senderroutes', '@a:b:25 encrypt ca=x auth=y\n', 'line 1: match=, ca=')]
    for name, (text, why) in [*bad.items(), *((name, (text, why)) for name, text, why in more)]:
        old = os.path.exists(home + '/control/' + name) and open(home + '/control/' + name).read()
        write(home + '/control/' + name, text, 0o600 if name == 'smtpcredentials' else 0o644)
        code, out = show('-p')
        check(code == 1 and 'look: %s: %s' % (name, why) in out and all(l.startswith('look: ') for l in out.splitlines()),
              '%s: %r: %s' % (name, text, out.strip()))
        os.unlink(home + '/control/' + name) if old is False else write(home + '/control/' + name, old)
    os.mkdir(home + '/control/serverca'); control(senders='# no\n*:Self, ANY a@x\t@x\nann:\nann:@.x\n', loginlimits='ann:1:2 \nbob::\ncarl:\n*:4294967295\n')
    control(tlsdestinations='b:wrapper verify ca=c\n', smtproutes='a:[::1]:465\nb:2001:db8::1;25\n', serverca_c_pem='')
    os.rename(home + '/control/serverca.c.pem', home + '/control/serverca/c.pem')
    equal(show('-p'), (0, ''), 'lines of senders and loginlimits, a CA that is there, port 465 with wrapper in tlsdestinations')
    shutil.rmtree(home + '/control/serverca'); os.unlink(home + '/control/tlsdestinations')
    control(smtproutes='a:b:465 wrapper auth=x\nb:2001:db8::1;25\n')
    equal(show('-p'), (0, ''), 'or in the route')
    control(rcpthosts='b.example\n', locals='b.example\nw.example\nv.example\n', morercpthosts='x\n', tcp_smtp_cdb='')
    os.utime(home + '/control/tcp.smtp.cdb', (1, 1)); control(tcp_smtp=':allow\n')
    out = show('-p')[1].splitlines()
    equal(sorted(out), ['look: locals: v.example is not in rcpthosts: mail from other hosts is refused',
                        'look: locals: w.example is not in rcpthosts: mail from other hosts is refused',
                        'look: tcp.smtp.cdb: older than tcp.smtp: make it anew',
                        'look: virtualdomains: v.example is in locals too, and this line does not count',
                        'look: virtualdomains: v.example is not in rcpthosts: mail from other hosts is refused'],
          'files that do not fit together')
    write(home + '/control/idhost', 'x\n', 0o600)
    if ROOT: check('look: idhost: not readable for pipit' in show('-p')[1], "a file that pipit's accounts cannot read")
    equal(show('-d', home + '/nowhere')[0], 100, 'no such directory')
    equal(show('me')[0], 100, 'wrong usage')
    # The page on control files and this program say the same.
    page = open(TOP + '/man/pipit-control.5').read()
    names = {n for l in re.findall(r'^\.It Pa (.*)$', page, re.M) for n in re.findall(r'[a-z][a-z0-9.]+', l)}
    known = set(show('-l')[1].split())
    equal(known ^ names, {'tcp.smtp'}, 'it knows the files that pipit-control(5) describes')
    for n in os.listdir(home + '/control'): os.unlink(home + '/control/' + n)
    control(me='mail.host.example')
    text = show()[1]
    for n, default in re.findall(r'^\.It Pa (\w+)\nnumber[a-z0-9 ]*; (\d+)[;.]', page, re.M):
        check('\n%s: %s (default).' % (n, default) in text, '%s: %s is the default on the page too' % (n, default))

def getpw():
    get = lambda *a: run(home + '/bin/qmail-getpw', *a)
    ids = (ACCOUNT.pw_uid, ACCOUNT.pw_gid)
    equal(get('joe-x'), (0, 'alias\0%d\0%d\0%s/alias\0-\0joe-x\0' % (*ids, home)), 'an instance of one account has one user')
    equal(get()[0], 100, 'getpw without an argument')
    equal(run(home + '/bin/qmail-getpw', 'joe', PIPIT_HOME=SCRATCH + '/nowhere')[0], 111, 'getpw without an instance')
    user = SCRATCH + '/passwd-user'
    prefix = with_accounts() if ROOT else None
    if not prefix: return skip("getpw of users: needs root, and a mount namespace")
    os.mkdir(user); os.chown(user, 64900, 64900)
    with open(SCRATCH + '/passwd', 'a') as f: f.write('jim:x:64900:64900::%s:/bin/sh\nroots:x:0:0::/root:/bin/sh\n' % user)
    sep = SCRATCH + '/sep'
    equal(run(*prefix, BIN + '/pipit-setup', '-n', 'sep.example', sep)[0], 0, 'an instance with an account for each part')
    for local, out in (('Jim', 'jim\x0064900\x0064900\0%s\0\0\0' % user), ('jim-A-b', 'jim\x0064900\x0064900\0%s\0-\0A-b\0' % user),
                       ('jimmy', 'pipita\x00%d\x00%d\0%s/alias\0-\0jimmy\0' % (ACCOUNTS_FROM, ACCOUNTS_FROM, sep)),
                       ('roots', 'pipita\x00%d\x00%d\0%s/alias\0-\0roots\0' % (ACCOUNTS_FROM, ACCOUNTS_FROM, sep))):
        equal(run(*prefix, sep + '/bin/pipit-getpw', local), (0, out), 'getpw %s' % local)

links(); refusals(); make_target(); diversion(); showctl(); getpw()
done()
