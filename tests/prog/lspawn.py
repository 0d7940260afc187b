"""lspawn.py - pipit-lspawn, with a pipit-send of our own: results, users, faults of the machine

With the argument "separated" (as root, where the accounts of conf-users exist) it
tries a privilege-separated instance instead.
"""
import os, pwd, re, resource, shutil, signal, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from deliveries import *

SEPARATED = sys.argv[1:] == ['separated']

def is_temporary(result, text, why):
    if not check(result[0] == 'Z' and text in result[1], why): print('  got', result)

def usage(home):
    lspawn = os.path.join(BIN, 'pipit-lspawn')
    def run(*argv, home=home):
        p = as_account([lspawn, *argv], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env={'PIPIT_HOME': home})
        err = p.communicate()[1].decode()
        return p.returncode, err
    equal(run()[0], 100, 'no argument is a usage error')
    equal(run('a', 'b')[0], 100, 'two are, too')
    code, err = run('./Maildir/', home='/nonexistent')
    check(code == 111 and 'pipit-setup' in err, 'without an instance it says what to do')
    equal(run('./Maildir/')[0], 111, 'a descriptor 0 that is no socket: try later')
    for bad in ('x', '0', '604801'):
        control(home, 'timeoutlocal', bad)
        code, err = run('./Maildir/')
        check(code == 111 and 'control/timeoutlocal' in err, 'a bad control file is named: ' + bad)
    control(home, 'timeoutlocal', None)
    control(home, 'supplementarygroups', '2')
    code, err = run('./Maildir/')
    check(code == 111 and 'control/supplementarygroups' in err, 'supplementarygroups is 0 or 1')
    control(home, 'supplementarygroups', None)

def results(home):
    alias = os.path.join(home, 'alias')
    write(os.path.join(alias, '.qmail-joe'), './Maildir/\n')
    write(os.path.join(alias, '.qmail-exit-default'), '|echo said; exit $DEFAULT\n')
    s = Lspawn(home)
    equal(s.max, 250, 'hello: 250 deliveries at once')
    equal(s.job('joe@host.example'), ('K', 'did 1+0+0\n'), 'a delivery to the alias account')
    equal(open(new(alias + '/Maildir')[0], 'rb').read(),
          b'Return-Path: <me@there.example>\nDelivered-To: joe@host.example\n' + MSG, 'is in its Maildir')
    equal(s.job('nobody-here@host.example'), ('D', 'Sorry, no mailbox here by that name. (#5.1.1)\n'), 'no such address is permanent')
    equal(s.job('@host.example'), ('K', ''), 'an empty local part is thrown away')
    equal(s.job('a@b@host.example')[0], 'D', 'the last @ counts')
    for code, letter in [(0, 'K'), (99, 'K'), (100, 'D'), (111, 'Z'), (64, 'D'), (75, 'Z'), (1, 'Z')]:
        letter2, text = s.job('exit-%d@host.example' % code)
        equal((letter2, text[:5]), (letter, 'said\n'), 'a program that exits %d: %s' % (code, letter))
    is_temporary(s.job('joe@host.example', length=len(MSG) + 1), 'it ends after', 'a message cut short defers')
    equal((len(new(alias + '/Maildir')), os.listdir(alias + '/Maildir/tmp')), (1, []), 'and nothing appears')
    with open(os.path.join(home, 'control/me')) as f:
        is_temporary(s.job('joe@host.example', fd=f.fileno()), 'no pipe', 'a file instead of a pipe is not taken')
    r, w = os.pipe()
    is_temporary(s.job('joe@host.example', fd=w), 'no pipe', 'nor the writing end of a pipe')
    os.close(r), os.close(w)
    is_temporary(s.job('joe@host.example', count=2), 'not one recipient', 'nor two recipients')
    is_temporary(s.job('joe'), 'not one recipient', 'nor an address without domain')
    for sender in ('', '-x', '() { :;}; x', 'a\nb'):
        equal(s.job('joe@host.example', sender=sender)[0], 'K', 'sender %r' % sender)
    for local in ('-n', '--', '-l1', '$(x)', 'a b', '..', '/etc/passwd', '\n', '-' * 900):
        equal(s.job(local + '@host.example')[0], 'D', 'local part %.20r is no mailbox' % local)
    write(os.path.join(alias, '.qmail-long'), '|yes | head -c 100000\n')
    letter, text = s.job('long@host.example')
    equal((letter, len(text)), ('K', 3000), 'a report is cut to 3000 bytes')
    write(os.path.join(alias, '.qmail-nul'), '|printf "a\\0b"\n')
    equal(s.job('nul@host.example'), ('K', 'a'), 'and at a zero byte')
    write(os.path.join(alias, '.qmail-bg'), '|(sleep 20; echo late)& echo $! >pid\n')
    began = time.monotonic()
    equal((s.job('bg@host.example')[0], time.monotonic() - began < 10), ('K', True), 'a program in the background holds nothing up')
    os.kill(int(open(os.path.join(alias, 'pid')).read()), signal.SIGKILL)
    write(os.path.join(alias, '.qmail-env'), '|env -0 >env; ls -l /proc/self/fd | grep -c -- "->" >fds; ps -o sid= -p $$ >sid; ulimit -n >files\n')
    s.job('env@host.example')
    env = dict(v.split('=', 1) for v in open(os.path.join(alias, 'env')).read().split('\0') if v)
    sets = set('SENDER NEWSENDER RECIPIENT USER HOME HOST HOST2 HOST3 HOST4 LOCAL EXT EXT2 EXT3 EXT4 DTLINE RPLINE UFLINE PATH PIPIT_HOME PWD'.split())
    equal(set(env) - {'OLDPWD', 'SHLVL', '_', 'ASAN_OPTIONS'}, sets, 'the environment is a fixed list')
    equal((env['USER'], env['HOME'], env['EXT'], env['PIPIT_HOME']), ('alias', alias, 'env', home), 'of the alias user')
    check(env['PATH'].startswith(home + '/bin:'), 'PATH begins with the bin of the instance')
    equal(open(os.path.join(alias, 'fds')).read(), '4\n', 'a program has descriptors 0 to 2 only (and that of ls)')
    equal(int(open(os.path.join(alias, 'files')).read()), resource.getrlimit(resource.RLIMIT_NOFILE)[0], 'and the limit of files that lspawn had')
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): s.p.send_signal(sig)
    equal(s.job('joe@host.example')[0], 'K', 'signals do not end it: send does')
    equal((s.end(), s.said), (0, ''), 'it exits 0 when send has gone, and has said nothing')

def many(home):
    alias = os.path.join(home, 'alias')
    write(os.path.join(alias, '.qmail-nap'), '|sleep 1\n')
    s = Lspawn(home)
    began = time.monotonic()
    nums = [s.send('nap@host.example') for _ in range(40)]
    got = sorted(s.result()[:2] for _ in nums)
    equal(got, [(n, 'K') for n in nums], '40 deliveries at once, each with its own result')
    check(time.monotonic() - began < 30, 'and not one after the other')
    write(os.path.join(alias, '.qmail-slow'), '|sleep 1; echo done >finished\n')
    s.send('slow@host.example')
    equal((s.end(), os.path.exists(os.path.join(alias, 'finished'))), (0, True), 'when send goes, it waits for what is running')
    s = Lspawn(home)
    s.sock.send(b'J garbage')
    equal(s.p.wait(10), 111, 'a packet that is no job ends it')
    s.end()

def time_limit(home):
    alias = os.path.join(home, 'alias')
    control(home, 'timeoutlocal', '1')
    write(os.path.join(alias, '.qmail-hang'), '|echo $$ >hang; sleep 60\n')
    write(os.path.join(alias, '.qmail-deaf'), '|trap "" TERM; echo $$ >deaf; sleep 60 & echo $! >deafchild; sleep 60; sleep 60\n')
    s = Lspawn(home)
    began = time.monotonic()
    is_temporary(s.job('hang@host.example'), 'took too long', 'a delivery that hangs is stopped')
    check(time.monotonic() - began < 30, 'in time')
    is_temporary(s.job('deaf@host.example'), 'took too long', 'so is one whose program ignores SIGTERM')
    for name in ('hang', 'deaf', 'deafchild'):
        pid = int(open(os.path.join(alias, name)).read())
        check(wait_for(lambda: not os.path.exists('/proc/%d' % pid)), 'its program is gone: ' + name)
    r, w = os.pipe()
    began = time.monotonic()
    is_temporary(s.job('joe@host.example', fd=r), 'took too long', 'a message that does not come is waited for as long')
    os.close(r), os.close(w)
    s.end()
    control(home, 'timeoutlocal', None)

def table(home):
    """users/cdb in an instance with one account."""
    alias, me = os.path.join(home, 'alias'), ACCOUNT.pw_uid
    for name in ('ann', 'bob', 'all'): make_maildir(os.path.join(home, name, 'Maildir')); own(os.path.join(home, name))
    outside = os.path.join(SCRATCH, 'outside')
    make_maildir(outside + '/Maildir')
    lines = ['=ann:ann:%d:%d:%s/ann:::' % (me, me, home), '+ann-:ann:%d:%d:%s/ann:-::' % (me, me, home),
             '=other:other:%d:%d:%s/ann:::' % (me + 1, me, home), '=away:away:%d:%d:%s:::' % (me, me, outside),
             '=dots:dots:%d:%d:%s/ann/../../outside:::' % (me, me, home), '=gone:gone:%d:%d:%s/gone:::' % (me, me, home)]
    users(home, *lines)
    write(os.path.join(home, 'ann/.qmail-default'), '|echo "$USER $EXT $DEFAULT" >seen\n')
    for name in ('other', 'away', 'dots', 'joe'): write(os.path.join(alias, '.qmail-' + name), '|echo %s >alias-got\n' % name)
    s = Lspawn(home)
    equal((s.job('Ann@host.example')[0], len(new(home + '/ann/Maildir'))), ('K', 1), 'users/cdb: an exact entry, in any case')
    equal((s.job('aNN-x-Y@host.example')[0], open(home + '/ann/seen').read()), ('K', 'ann x-Y x-Y\n'), 'a wildcard: the rest keeps its case')
    for name, why in (('other', 'an entry of another uid'), ('away', 'a home outside of the instance'),
                      ('dots', 'a home outside of it by ..'), ('joe', 'no entry')):
        s.job(name + '@host.example')
        equal(open(alias + '/alias-got').read(), name + '\n', why + ': the alias account')
    is_temporary(s.job('gone@host.example'), "Unable to see the user's home", 'a home that is not there defers')
    equal(new(outside + '/Maildir'), [], 'nothing went outside')
    whole = open(home + '/users/cdb', 'rb').read()
    for size in (0, 1, 2047, 2048, len(whole) // 2, len(whole) - 1):
        with open(home + '/users/cdb', 'wb') as f: f.write(whole[:size])
        for rcpt in ('ann', 'ann-x', 'nobody'):
            letter, text = s.job(rcpt + '@host.example')
            check(letter == 'Z' and 'users/cdb' in text or letter == 'K' and rcpt != 'nobody', 'users/cdb cut to %d bytes, %s: no bounce' % (size, rcpt))
    users(home, *lines)
    os.chmod(home + '/users/cdb', 0)
    own(home + '/users/cdb')
    is_temporary(s.job('ann@host.example'), 'Trouble reading users/cdb', 'users/cdb that cannot be read defers')
    os.unlink(home + '/users/cdb')
    os.mkdir(home + '/users/cdb')
    is_temporary(s.job('ann@host.example'), 'Trouble reading users/cdb', 'a folder in its place defers')
    os.rmdir(home + '/users/cdb')
    equal(s.job('joe@host.example')[0], 'K', 'without it the alias account gets all')
    s.end()

def qmaillocal(home):
    alias = os.path.join(home, 'alias')
    script = os.path.join(SCRATCH, 'mylocal')
    write(script, '#!/bin/sh\nfor a; do printf "%s\\n" "$a"; done >"$3/args"\nhead -c 3 >/dev/null\ncat >"$3/message"\nls -lL /proc/self/fd/0 | cut -c1 >"$3/type"\nexit ${CODE:-0}\n', 0o755)
    s = Lspawn(home, env={'QMAILLOCAL': script})
    equal(s.job('x-Y@host.example'), ('K', ''), 'QMAILLOCAL is run instead')
    equal(open(alias + '/args').read().split('\n')[:-1],
          ['--', 'alias', alias, 'x-Y', '-', 'x-Y', 'host.example', 'me@there.example', './Maildir/'], 'with the arguments of qmail-local')
    equal(open(alias + '/type').read(), '-\n', 'and a file that can be sought in')
    os.unlink(alias + '/args')
    letter, text = s.job('x@host.example', length=len(MSG) + 5)
    equal((letter, os.path.exists(alias + '/args')), ('Z', False), 'of a message cut short it hears nothing')
    s.end()
    for code, letter in ((111, 'Z'), (100, 'D'), (71, 'Z'), (74, 'Z'), (75, 'Z'), (1, 'D'), (112, 'Z'), (121, 'Z'), (126, 'Z'), (127, 'Z'), (0, 'K')):
        write(script, '#!/bin/sh\necho text\nexit %d\n' % code, 0o755)
        s = Lspawn(home, env={'QMAILLOCAL': script})
        equal(s.job('x@host.example')[0], letter, 'qmail-lspawn\'s meaning of exit %d: %s' % (code, letter))
        s.end()
    write(script, '#!/bin/sh\necho text\nkill -9 $$\n', 0o755)
    s = Lspawn(home, env={'QMAILLOCAL': script})
    equal(s.job('x@host.example'), ('Z', 'The delivery crashed. (#4.3.0)\ntext\n'), 'a crash defers')
    s.end()
    s = Lspawn(home, env={'QMAILLOCAL': SCRATCH + '/missing'})
    is_temporary(s.job('x@host.example'), 'Unable to run the delivery program', 'a missing QMAILLOCAL defers')
    s.end()

def limit(pid, how):
    as_account(['prlimit', '--pid', str(pid), how]).wait()

def shortages(home):
    s = Lspawn(home)
    limit(s.p.pid, '--nproc=0')
    is_temporary(s.job('joe@host.example'), 'Unable to fork', 'when no process can be made, mail is deferred')
    s.end()
    s = Lspawn(home)
    open_now = as_account(['ls', '/proc/%d/fd' % s.p.pid], stdout=subprocess.PIPE).communicate()[0]
    limit(s.p.pid, '--nofile=%d' % (len(open_now.split()) + 1)) # room for the message, not for a pipe
    is_temporary(s.job('joe@host.example'), 'Unable to make a pipe', 'when no pipe can be made, too')
    s.end()
    s = Lspawn(home, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    equal(s.max, 13, 'a low limit of files means fewer deliveries at once')
    s.end()

def one_account():
    home = make_home()
    make_maildir(home + '/alias/Maildir')
    for f in (usage, results, many, time_limit, table, qmaillocal, shortages): f(home)

UIDS = {'joe': 64301, 'joe-x': 64302, 'thief': 64303, 'homeless': 64304, 'nfs': 64305, 'toor': 0}

def separated():
    """As root, where pipita and the others exist: every delivery is its user's."""
    home = os.path.join(SCRATCH, 'home')
    subprocess.run([os.path.join(BIN, 'pipit-setup'), '-n', 'host.example', home], check=True, stdout=subprocess.DEVNULL)
    for f in os.listdir(home + '/alias'):
        f = os.path.join(home, 'alias', f)
        shutil.rmtree(f) if os.path.isdir(f) else os.unlink(f)
    alias = pwd.getpwnam('pipita')
    make_maildir(home + '/alias/Maildir', (alias.pw_uid, alias.pw_gid))
    write(home + '/alias/.qmail-default', '|id -u >got; echo "$EXT" >>got\n', owner=(alias.pw_uid, alias.pw_gid))
    write(home + '/alias/.qmail-postmaster', './Maildir/\n', owner=(alias.pw_uid, alias.pw_gid))
    homes = os.path.join(SCRATCH, 'homes')
    os.mkdir(homes)
    with open('/etc/passwd', 'a') as f:
        for name, uid in UIDS.items():
            f.write('%s:x:%d:%d::%s/%s:/bin/sh\n' % (name, uid, uid, homes, name))
            if name == 'homeless': continue
            owner = (0 if name == 'thief' else uid, uid)
            make_maildir('%s/%s/Maildir' % (homes, name), owner)
            os.chown('%s/%s' % (homes, name), *owner)
            os.chmod('%s/%s' % (homes, name), 0o700)
    with open('/etc/group', 'a') as f: f.write('extra:x:64350:joe\n') # which counts only with control/supplementarygroups
    def ask(name): write(homes + '/joe/.qmail-' + name, '|id -u >got; id -G >>got; echo "$USER $EXT $HOME" >>got\n', owner=(64301, 64301))
    ask('default')
    s = Lspawn(home, popen=subprocess.Popen, extra_groups=[0, 5, 7])
    equal(s.job('Joe@host.example'), ('K', 'did 1+0+0\n'), 'a user gets his mail')
    f = new(homes + '/joe/Maildir')
    equal((len(f), os.stat(f[0]).st_uid, os.stat(f[0]).st_gid), (1, 64301, 64301), 'it is his')
    s.job('JOE-list-A@host.example')
    equal(open(homes + '/joe/got').read(), '64301\n64301\njoe list-A %s/joe\n' % homes, 'an extension is his; no other groups')
    equal(s.job('joe-x@host.example'), ('K', 'did 1+0+0\n'), 'the longest name is the user')
    equal(len(new(homes + '/joe-x/Maildir')), 1, 'and gets it')
    for _ in range(3):
        for name in ('joe', 'joe-x'): s.job(name + '@host.example')
    took = {name: {(re.search(r'P(\d+)V', f).group(1), os.stat(f).st_uid) for f in new('%s/%s/Maildir' % (homes, name))} for name in ('joe', 'joe-x')}
    check({pid for pid, _ in took['joe']}.isdisjoint(pid for pid, _ in took['joe-x']), 'two users never share a process')
    equal([{uid for _, uid in took[name]} for name in ('joe', 'joe-x')], [{64301}, {64302}], 'and each is always himself')
    check(len(took['joe-x']) < 4, 'though one process takes several messages')
    write(homes + '/joe-x/.qmail-default', '|id -u >got; echo "$USER $EXT $HOME" >>got\n', owner=(64302, 64302))
    for n in range(3): # a process each, of which the later ones are told who he is
        for name, uid in (('joe', 64301), ('joe-x', 64302)):
            s.job('%s-%s@host.example' % (name, name))
            lines = open('%s/%s/got' % (homes, name)).read().splitlines()
            equal((lines[0], lines[-1]), (str(uid), '%s %s %s/%s' % (name, name, homes, name)), 'a user is always himself, %s, %d' % (name, n))
    forgotten = time.monotonic() + 5
    passwd = open('/etc/passwd').read()
    with open('/etc/passwd', 'w') as f: f.write(passwd.replace(':64302:64302:', ':64309:64302:'))
    os.unlink(homes + '/joe-x/got')
    s.job('joe-x-joe-x@host.example')
    if time.monotonic() < forgotten: equal(open(homes + '/joe-x/got').read()[:6], '64302\n', 'what was looked up counts for a while')
    with open('/etc/passwd', 'w') as f: f.write(passwd)
    for name in ('thief', 'homeless', 'toor', 'root', 'nosuch', 'j' * 40, '-x'):
        s.job(name + '@host.example')
        equal(open(home + '/alias/got').read(), '%d\n%s\n' % (alias.pw_uid, name), '%.10s: the alias account, as it' % name)
    equal(s.job('postmaster@host.example')[0], 'K', 'postmaster is an alias')
    equal(os.stat(new(home + '/alias/Maildir')[0]).st_uid, alias.pw_uid, 'delivered as that account')
    users(home, '=boss:boss:64399:64398:%s/boss:::' % homes, '=super:super:0:0:/root:::', '=half:half:64399:0:%s/boss:::' % homes,
          '=nohome:nohome:64399:64398:relative:::')
    make_maildir(homes + '/boss/Maildir', (64399, 64398))
    os.chown(homes + '/boss', 64399, 64398)
    equal(s.job('boss@host.example')[0], 'K', 'users/cdb: a uid that nobody else knows')
    st = os.stat(new(homes + '/boss/Maildir')[0])
    equal((st.st_uid, st.st_gid), (64399, 64398), 'the delivery is his')
    is_temporary(s.job('super@host.example'), 'Not allowed to perform deliveries as root', 'users/cdb: uid 0 is refused, and not bounced')
    is_temporary(s.job('half@host.example'), 'Not allowed to perform deliveries as root', 'users/cdb: gid 0, too')
    is_temporary(s.job('nohome@host.example'), 'Trouble reading users/cdb', 'users/cdb: a home that is no path defers')
    equal(s.job('joe@host.example')[0], 'K', 'who is not in users/cdb is looked up as before')
    os.unlink(homes + '/joe/got')
    os.chmod(homes + '/joe', 0o700)
    users(home, '+joe-joe:boss:64399:64398:%s/boss:-:joe:' % homes)
    write(homes + '/boss/.qmail-joe', '|id -u >got\n', owner=(64399, 64398))
    s.job('joe-joe@host.example')
    equal(open(homes + '/boss/got').read(), '64399\n', 'another users/cdb counts at once')
    os.unlink(home + '/users/cdb')
    s.job('joe-joe@host.example')
    forgotten = time.monotonic() + 5
    with open('/etc/passwd', 'w') as f: f.write(passwd.replace('joe:x:64301:64301:', 'joe:x:64308:64301:'))
    time.sleep(max(0, forgotten + 0.3 - time.monotonic()))
    equal(s.job('joe-joe@host.example')[0], 'K', 'a user who has another uid owns no home here')
    equal(open(home + '/alias/got').read(), '%d\njoe-joe\n' % alias.pw_uid, 'and is looked up again after five seconds')
    with open('/etc/passwd', 'w') as f: f.write(passwd)
    os.chmod(homes, 0o700)
    is_temporary(s.job('joe@host.example'), 'Unable to switch to', 'a home that the user cannot reach defers')
    os.chmod(homes, 0o755)
    s.end()
    p = as_account([os.path.join(BIN, 'pipit-lspawn'), './Maildir/'], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env={'PIPIT_HOME': home})
    err = p.communicate()[1].decode()
    check(p.returncode == 111 and 'start this as root' in err, 'such an instance is refused to anybody but root')

def main():
    if SEPARATED:
        separated()
        return done()
    one_account()
    command = with_accounts('/usr/bin/python3', os.path.abspath(__file__), 'separated') if ROOT else None
    if not command: skip('a privilege-separated instance: needs root and a mount namespace')
    else:
        scratch = os.path.join(SCRATCH, 'separated')
        os.mkdir(scratch)
        os.chmod(scratch, 0o755)
        check(subprocess.run(command, env=dict(os.environ, SCRATCH=scratch)).returncode == 0, 'a privilege-separated instance')
    done()

main()
