"""setup.py - pipit-setup: what an instance is made of, and that the next run keeps what is not its own"""
import os, pwd, shutil, stat, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

SETUP = os.path.join(BIN, 'pipit-setup')
AS = ('-u', ACCOUNT.pw_name) if ROOT else ()

def run(*args, command=SETUP, prefix=()):
    return subprocess.run([*prefix, command, *args], stdin=subprocess.DEVNULL, cwd=SCRATCH,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def refused(why, says, *args, prefix=()):
    before = sorted(os.listdir(SCRATCH))
    p = run(*args, prefix=prefix)
    check(p.returncode == 100 and p.stderr.count('\n') == 1 and p.stderr.startswith('pipit-setup: ')
          and says in p.stderr and not p.stdout and sorted(os.listdir(SCRATCH)) == before,
          '%s is refused in one line, and nothing is made: %d %r %r' % (why, p.returncode, p.stderr, p.stdout))

def read(home, *names):
    with open(os.path.join(home, *names)) as f: return f.read()

def write(home, name, text):
    with open(os.path.join(home, name), 'w') as f: f.write(text)

def who(path):
    """Owner, group and mode of a path, for comparison."""
    st = os.lstat(path)
    return st.st_uid, st.st_gid, oct(stat.S_IMODE(st.st_mode))

def bad_arguments():
    d = os.path.join(SCRATCH, 'never')
    refused('no directory', 'usage', '-n', 'a.example')
    refused('two directories', 'usage', '-n', 'a.example', d, d)
    refused('an unknown option', 'usage', '-q', d)
    refused('an option without its value', 'usage', '-n')
    for name in ('a b.example', '-a.example', 'a..example', 'a.example.', 'a_b.example', 'x' * 64 + '.example',
                 '.'.join(['x' * 63] * 4), 'a/../b'):
        refused('host name %r' % name[:20], 'not a host name', *AS, '-n', name, d)
    refused('a line break in the host name', 'not a host name', *AS, '-n', 'a.example\nb.example', d)
    for port in ('0', '65536', '25x', '-1', '999999999999'):
        for option in ('-s', '-m', '-M'): refused('port ' + port, option + ' ' + port + ': not a port', *AS, '-n', 'a.example', option, port, d)
    refused('an address that is none', 'not an IP address', *AS, '-n', 'a.example', '-a', 'localhost', d)
    refused('/', 'no place', *AS, '-n', 'a.example', '/')
    refused('an empty directory name', 'DIR is empty', *AS, '-n', 'a.example', '')
    os.mkdir(os.path.join(SCRATCH, 'full'))
    write(SCRATCH, 'full/keep', 'x')
    refused('a directory with something else in it', 'neither empty', *AS, '-n', 'a.example', SCRATCH + '/full')
    refused('a file', 'not a directory', *AS, '-n', 'a.example', SCRATCH + '/full/keep')
    if ROOT:
        refused('-u with an account that is not there', 'no such account', '-n', 'a.example', '-u', 'nosuch', d)
        refused('-u root', 'is root', '-n', 'a.example', '-u', 'root', d)
    else:
        refused('-u without being root', 'only root', '-n', 'a.example', '-u', 'root', d)

def certificate(home, name):
    path = home + '/control/servercert.pem'
    text = subprocess.run(['openssl', 'x509', '-in', path, '-noout', '-subject', '-ext', 'subjectAltName'], capture_output=True, text=True).stdout
    check('CN = ' + name in text and 'DNS:' + name in text and 'PRIVATE KEY' in read(path), 'a certificate for the host, and its key: %r' % text)
    equal(who(path)[2], '0o600', 'which nobody else can read')

def one_account():
    home = os.path.join(SCRATCH, 'one')
    p = run('-n', 'Mail.Example', *AS, home)
    if not check(p.returncode == 0 and not p.stderr, 'an instance is made: %r %r' % (p.stdout, p.stderr)): done()
    check(home in p.stdout and 'mail.example' in p.stdout and ACCOUNT.pw_name in p.stdout and
          'pipit-run ' + home in p.stdout and p.stdout.count('\n') <= 6, 'it says what it did in a few lines')
    equal(read(home, 'control/me'), 'mail.example\n', 'control/me is the host name in lower case')
    equal(read(home, 'control/locals'), 'mail.example\nlocalhost\n', 'control/locals')
    equal(read(home, 'control/rcpthosts'), 'mail.example\nlocalhost\n', 'control/rcpthosts')
    equal(read(home, 'control/defaultdelivery'), './Maildir/\n', 'control/defaultdelivery')
    equal({name for name in os.listdir(home + '/bin') if name != 'sendmail'},
          {name for name in os.listdir(BIN) if name.startswith('pipit-') or os.path.islink(os.path.join(BIN, name))}, 'every program is in bin/')
    equal([os.readlink(home + '/bin/' + n) for n in ('forward', 'pipit-vacation', 'pipit-local')], ['pipit-helper', 'pipit-helper', 'pipit-lspawn'], 'other names are links')
    equal(os.readlink(home + '/bin/sendmail'), 'pipit-sendmail', 'bin/sendmail')
    check(read(home, 'bin/pipit-run') == read(BIN, 'pipit-run') and os.access(home + '/bin/pipit-run', os.X_OK),
          'a program is copied whole and can be run')
    split = int(read(os.path.dirname(__file__), '../../conf-split').split()[0])
    for d in ('mess', 'state'):
        equal(sorted(os.listdir(home + '/queue/' + d)), sorted(str(n) for n in range(split)), 'queue/%s/' % d)
    check(stat.S_ISFIFO(os.stat(home + '/queue/lock/trigger').st_mode), 'queue/lock/trigger is a FIFO')
    equal(who(home + '/queue')[2], '0o700', 'nobody else can enter the queue')
    wrong = [os.path.join(d, n) for d, ds, fs in os.walk(home) for n in ds + fs
             if who(os.path.join(d, n))[0] != ACCOUNT.pw_uid]
    equal(wrong, [], 'everything belongs to the account')
    for name in ('postmaster', 'root', 'mailer-daemon', 'default'):
        equal(read(home, 'alias/.qmail-' + name), './Maildir/\n', 'alias/.qmail-' + name)
    equal(sorted(os.listdir(home + '/alias/Maildir')), ['cur', 'new', 'tmp'], 'alias/Maildir')
    equal(sorted(os.listdir(home + '/service')), ['authc', 'authd', 'queued', 'rcptd', 'send', 'smtpd', 'tlsc', 'tlsd'], 'the services')
    certificate(home, 'mail.example')
    equal((read(home, 'service/smtpd/env/IP'), read(home, 'service/smtpd/env/PORT')), ('127.0.0.1\n', '2525\n'),
          'an instance of one account listens on the loopback address, on a port that everybody may open')
    return home

def again(home):
    """The second run: programs and scripts anew, the rest as the administrator left it."""
    write(home, 'control/locals', 'other.example\n')
    os.unlink(home + '/control/rcpthosts')
    cert = read(home, 'control/servercert.pem')
    os.unlink(home + '/service/smtpd/env/IP')
    write(home, 'service/smtpd/env/PORT', '2600\n')
    write(home, 'service/smtpd/run', '#!/bin/sh\n')
    os.unlink(home + '/alias/.qmail-default')
    write(home, 'users/assign', '.\n')
    write(home, 'alias/Maildir/new/mail', 'x')
    write(home, 'queue/mess/0/46', 'x')
    write(home, 'bin/pipit-run', 'old version')
    os.unlink(home + '/bin/pipit-local')
    write(home, 'bin/pipit-local', 'old version that was a file of its own')
    with open(home + '/bin/pipit-run') as running:
        p = run(*AS, home)
        check(p.returncode == 0 and 'brought up to date' in p.stdout, 'a second run: %r' % (p.stdout + p.stderr))
        equal(running.read(), 'old version', 'a program that runs is replaced, not written over')
    equal(read(home, 'bin/pipit-run'), read(BIN, 'pipit-run'), 'programs are brought up to date')
    check(os.path.islink(home + '/bin/pipit-local'), 'also one that has become a name of another')
    check('pipit-smtpd' in read(home, 'service/smtpd/run'), 'service scripts are brought up to date')
    equal(read(home, 'control/locals'), 'other.example\n', 'a control file is kept')
    equal(read(home, 'control/servercert.pem'), cert, 'the certificate is kept')
    equal((os.path.exists(home + '/control/rcpthosts'), os.path.exists(home + '/service/smtpd/env/IP'),
           os.path.exists(home + '/alias/.qmail-default')), (False, False, False), 'what was removed stays removed')
    equal((read(home, 'service/smtpd/env/PORT'), read(home, 'users/assign'), read(home, 'alias/Maildir/new/mail'),
           read(home, 'queue/mess/0/46')), ('2600\n', '.\n', 'x', 'x'), 'settings, users/, mail and queue are kept')
    equal([n for d, ds, fs in os.walk(home) for n in ds + fs if n.endswith('.new')], [], 'nothing half made is left')
    p = run('-s', '2601', '-a', '::1', *AS, home)
    equal((p.returncode, read(home, 'service/smtpd/env/PORT'), read(home, 'service/smtpd/env/IP')),
          (0, '2601\n', '::1\n'), 'a port and an address that are asked for are taken')
    check('new services' not in p.stdout, 'no service is new')
    equal(sorted(n for n in os.listdir(home + '/service') if 'ofmi' in n), [], 'submission only where it is asked for')
    p = run('-m', '2587', '-M', '2465', *AS, home)
    equal([(n, f, read(home, 'service', n, 'env', f)) for n in ('ofmipd', 'ofmipds') for f in sorted(os.listdir('%s/service/%s/env' % (home, n))) if f != 'MEMORY'],
          [('ofmipd', 'IP', '127.0.0.1\n'), ('ofmipd', 'PORT', '2587\n'),
           ('ofmipds', 'IP', '127.0.0.1\n'), ('ofmipds', 'PORT', '2465\n'), ('ofmipds', 'SMTPS', '1\n')], 'services for submission')
    check('submission: port 2587, for' in p.stdout and 'submission: port 2465, TLS at once, for' in p.stdout and 'pipit-ofmipd' in read(home, 'service/ofmipds/run'), 'it tells their ports: %r' % p.stdout)
    check('new services: ofmipd ofmipds; ' in p.stdout and p.stdout.count('s6-svscanctl -a %s/service\n' % home) == 1, 'and how they start where it runs already')
    p = run('-p', '2110', '-P', '2995', *AS, home)
    equal([(n, f, read(home, 'service', n, 'env', f)) for n in ('popup', 'popups') for f in sorted(os.listdir('%s/service/%s/env' % (home, n))) if f != 'MEMORY'],
          [('popup', 'IP', '127.0.0.1\n'), ('popup', 'PORT', '2110\n'), ('popups', 'IP', '127.0.0.1\n'), ('popups', 'PORT', '2995\n'), ('popups', 'SMTPS', '1\n')], 'services for POP3')
    check('POP3: port 2110, for' in p.stdout and 'POP3: port 2995, TLS at once, for' in p.stdout and 'new services: popup popups; ' in p.stdout and 'pipit-popup' in read(home, 'service/popups/run') and 'ofmi' not in read(home, 'service/popup/run'), 'with their own script')
    write(home, 'service/ofmipd/run', 'old')
    run(*AS, home)
    check('pipit-ofmipd' in read(home, 'service/ofmipd/run') and read(home, 'service/ofmipd/env/PORT') == '2587\n', 'they are brought up to date too')
    refused('another host name for an instance', 'edit that', '-n', 'new.example', *AS, home)
    moved = os.path.join(SCRATCH, 'moved')
    os.rename(home, moved)
    p = run(*AS, 'moved', command=moved + '/bin/pipit-setup')
    check(p.returncode == 0, 'an instance that was moved, by its own pipit-setup, named from here: %r' % p.stderr)
    shutil.rmtree(moved + '/queue')
    os.mkdir(moved + '/queue.new')
    own(moved + '/queue.new')
    p = run(*AS, moved)
    check(p.returncode == 0 and os.path.isdir(moved + '/queue/mess/0') and not os.path.exists(moved + '/queue.new'),
          'a run that was cut off is completed by the next: %r' % p.stderr)

def prepared():
    """Control files that were there first are not replaced."""
    home = os.path.join(SCRATCH, 'prepared')
    os.makedirs(home + '/control/certs')
    write(home, 'control/locals', 'mine.example\n')
    for d in (home, home + '/control', home + '/control/certs', home + '/control/locals'): own(d)
    p = run('-n', 'a.example', *AS, home)
    equal((p.returncode, read(home, 'control/locals'), read(home, 'control/me')), (0, 'mine.example\n', 'a.example\n'),
          'a directory with prepared control files')
    check(not os.path.exists(home + '/control/servercert.pem'), 'no certificate is made where there are some')

def unreadable_programs():
    """As root, from a checkout in a home that nobody else can enter."""
    private = os.path.join(SCRATCH, 'private')
    shutil.copytree(BIN, private + '/bin')
    os.chmod(private, 0o700)
    home = os.path.join(SCRATCH, 'from-private')
    p = run('-n', 'a.example', *AS, home, command=private + '/bin/pipit-setup')
    check(p.returncode == 0 and os.access(home + '/bin/pipit-run', os.X_OK), 'programs that its account cannot read')
    p = run(home, command=private + '/bin/pipit-setup')
    equal((p.returncode, who(home + '/bin/pipit-run')[0]), (0, ACCOUNT.pw_uid),
          'root without -u brings it up to date as its account')

def of_others():
    """A directory of one user with the queue of another: whose rights would root take?"""
    home = os.path.join(SCRATCH, 'mixed')
    run('-n', 'a.example', *AS, home)
    os.chown(home, 1, 1)
    refused('a directory and its queue of two users', 'its queue/ to', home)

def separated():
    prefix = with_accounts()
    if prefix is None: return skip('an instance with an account for each part: no mount namespace to be had here')
    home = os.path.join(SCRATCH, 'separated')
    p = run('-n', 'a.example', home, prefix=prefix)
    if not check(p.returncode == 0, 'root, with the accounts there, makes a separated instance: %r' % p.stderr): return
    a, l, q, s = (ACCOUNTS_FROM + n for n in (0, 2, 3, 5))
    for name, owner, group, mode in (
            ('', 0, 0, '0o755'), ('bin', 0, 0, '0o755'), ('bin/pipit-run', 0, 0, '0o755'), ('control', 0, 0, '0o755'),
            ('control/me', 0, 0, '0o644'), ('control/servercert.pem', 0, 0, '0o600'), ('users', 0, 0, '0o755'), ('service/smtpd/run', 0, 0, '0o755'),
            ('service/smtpd/env/PORT', 0, 0, '0o644'), ('queue', q, s, '0o2770'), ('queue/mess/1', q, s, '0o2770'),
            ('queue/state/2', q, s, '0o2770'), ('queue/free', q, s, '0o2770'), ('queue/lock', q, s, '0o2770'),
            ('queue/lock/trigger', q, s, '0o660'), ('queue/lock/pool', q, s, '0o660'),
            ('run', q, q, '0o755'), ('log/smtpd', l, l, '0o750'),
            ('alias', a, a, '0o755'), ('alias/.qmail-root', a, a, '0o644'), ('alias/Maildir/new', a, a, '0o700')):
        equal(who(os.path.join(home, name)), (owner, group, mode), name or 'its directory')
    check(not os.path.exists(home + '/alias/.qmail-default'), 'addresses of nobody are not taken')
    equal((os.path.exists(home + '/service/smtpd/env/IP'), read(home, 'service/smtpd/env/PORT')), (False, '25\n'),
          'it listens on port 25 of all addresses')
    p = run(home, prefix=prefix)
    check(p.returncode == 0 and 'brought up to date' in p.stdout, 'a second run: %r' % p.stderr)
    refused('-u for a separated instance', 'each part', '-u', 'nobody', home, prefix=prefix)
    with open(os.path.join(SCRATCH, 'passwd')) as f: kept = [l for l in f if not l.startswith('pipitv:')]
    write(SCRATCH, 'passwd', ''.join(kept))
    p = run('-n', 'a.example', os.path.join(SCRATCH, 'never'), prefix=prefix)
    check(p.returncode == 100 and 'pipitv' in p.stderr and 'make accounts' in p.stderr and
          not os.path.exists(os.path.join(SCRATCH, 'never')), 'root without the accounts is told so: %r' % p.stderr)

bad_arguments()
again(one_account())
prepared()
if ROOT:
    unreadable_programs()
    of_others()
    separated()
else:
    skip('an instance with an account for each part: needs root')
done()
