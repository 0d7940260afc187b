"""rcptd.py - pipit-rcptd: its answers are those of a delivery, and what its processes may do

With the argument "separated" (as root, where the accounts of conf-users exist) it tries a
privilege-separated instance, else one with one account.
"""
import os, pwd, random, shutil, signal, socket, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from deliveries import *
from rcptd import *

CAP_DAC_READ_SEARCH = 2
UIDS = {'joe': 64301, 'joe-x': 64302, 'sam': 64303, 'olga': 64304, 'gone': 64305}
SANITIZED = b'__asan_init' in open(os.path.join(BIN, 'pipit-rcptd'), 'rb').read()

def one_account():
    home = make_home()
    alias = os.path.join(home, 'alias')
    p = subprocess.run([os.path.join(BIN, 'pipit-rcptd'), 'x'], stderr=subprocess.PIPE)
    equal((p.returncode, p.stderr.count(b'\n')), (100, 1), 'an argument is a usage error')
    control(home, 'virtualdomains', 'virt.example:v\nfar.host.example:\n')
    control(home, 'locals', 'host.example\nother.example')
    control(home, 'percenthack', 'host.example')
    for name in ('joe', 'list-default', 'v-info', 'a:b'): write(os.path.join(alias, '.qmail-' + name), './Maildir/\n')
    os.symlink('.qmail-joe', alias + '/.qmail-link')
    os.symlink('nowhere', alias + '/.qmail-dangling')
    os.mkdir(alias + '/.qmail-dir')
    r = Rcptd(home)
    a = Asker(home)
    for address, answer in (('joe@host.example', 'y'), ('JOE@OTHER.example', 'y'), ('joe', 'y'), ('nosuch@host.example', 'n'), ('nosuch', 'n'),
                            ('list-x@host.example', 'y'), ('list@host.example', 'n'), ('A.B@host.example', 'y'), ('dir@host.example', 'n'),
                            ('link@host.example', 'y'), ('dangling@host.example', 'n'), ('dir/x@host.example', 'n'), ('@host.example', 'y'),
                            ('info@virt.example', 'y'), ('joe@virt.example', 'n'), ('x@far.example', 'r'), ('joe@far.host.example', 'r'),
                            ('joe%other.example@host.example', 'y'), ('nosuch%far.example@host.example', 'r'), ('x' * 900 + '@host.example', 'n'),
                            ('-' * 900 + '@host.example', 'n'), ('/etc/passwd@host.example', 'n'), ('..@host.example', 'n')):
        equal(a.ask(address), answer, '%.40s: %s' % (address, answer))
    b = Asker(home)
    b.send(b'a\0b')
    equal(b.answer(), '', 'what is no address ends the connection')
    b = Asker(home)
    b.send('x' * 1200)
    equal(b.answer(), '', 'and so does what is too long')
    equal(a.ask('joe@host.example'), 'y', 'but no other one')
    # Settings.
    control(home, 'locals', 'host.example')
    r.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: 'settings read' in r.text()), 'HUP has the settings read')
    equal(a.ask('joe@other.example'), 'r', 'and they count')
    control(home, 'locals', 'host.example\nother.example')
    check(wait_for(lambda: a.ask('joe@other.example') == 'y'), 'a changed file is read without')
    os.mkdir(home + '/control/percenthack.d')
    os.rename(home + '/control/percenthack', home + '/control/percenthack.old')
    os.rename(home + '/control/percenthack.d', home + '/control/percenthack')
    check(wait_for(lambda: a.ask('joe%other.example@host.example') and 'control/percenthack' in r.text()), 'a file that cannot be read is named')
    equal(a.ask('joe%other.example@host.example'), 'y', 'and the old settings stay')
    os.rmdir(home + '/control/percenthack')
    aliases(home, r, a)
    tables(home, r, a)
    equal(status(r.p.pid, 'Seccomp'), ('2',), 'the main process is confined')
    children = r.children()
    equal((len(children), r.stop()), (1, 0), 'TERM ends it')
    check(wait_for(lambda: not any(map(runs, children))), 'and the process that it asks')
    limited(home)
    again = Rcptd(home)
    equal(Asker(home).ask('joe@host.example'), 'y', 'a socket that was left behind is replaced')
    p = as_account([os.path.join(BIN, 'pipit-rcptd')], stderr=subprocess.PIPE, env={'PIPIT_HOME': home})
    check(b'in use' in p.communicate()[1] and p.returncode == 111, 'one that is in use is not')
    again.stop()

def runs(pid):
    try: return open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except FileNotFoundError: return False

def limited(home):
    """With room for few connections the one that was idle for longest is closed."""
    import resource
    r = Rcptd(home, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
    askers = [Asker(home) for _ in range(4)]
    equal([a.ask('joe@host.example') for a in askers], ['y'] * 4, 'as many connections as there is room for')
    more = Asker(home)
    equal((more.ask('joe@host.example'), askers[0].answer(), askers[3].ask('joe@host.example')), ('y', '', 'y'),
          'for one more the oldest is closed')
    r.stop()

def aliases(home, r, a):
    """An address that gets to the alias account's .qmail-default."""
    default = os.path.join(home, 'alias/.qmail-default')
    path = os.path.join(home, 'aliases.cdb')
    write(default, '|fastforward -d aliases.cdb\n')
    equal(a.ask('nosuch@host.example'), 'y', '.qmail-default takes everything')
    def table(*keys):
        with open(path + '.new', 'wb') as f: f.write(cdb([(b':' + k.encode(), b'&x@host.example\0') for k in keys]))
        os.chmod(path + '.new', 0o644)
        os.rename(path + '.new', path)
    table('info@host.example', '@other.example', 'root@', 'x@virt.example', 'v-y@virt.example')
    control(home, 'rcptaliases', 'aliases.cdb')
    r.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: a.ask('nosuch@host.example') == 'n'), 'but with control/rcptaliases only what is in there')
    for address, answer in (('Info@Host.example', 'y'), ('x@other.example', 'y'), ('root@host.example', 'y'), ('list-x@host.example', 'y'),
                            ('joe@host.example', 'y'), ('default@host.example', 'n'), ('x@virt.example', 'n'), ('y@virt.example', 'y')):
        equal(a.ask(address), answer, 'aliases: %s: %s' % (address, answer))
    data = open(path, 'rb').read()
    with open(path, 'wb') as f: f.write(data[:-8])
    equal((a.ask('nosuch@host.example'), a.ask('joe@host.example')), ('?', 'y'), 'a damaged one cannot tell')
    os.unlink(path)
    equal(a.ask('nosuch@host.example'), '?', 'nor can one that is not there')
    check('aliases.cdb' in r.text(), 'which is said')
    control(home, 'rcptaliases', None)
    os.unlink(default)
    check(wait_for(lambda: a.ask('nosuch@host.example') == 'n'), 'without the control file and without .qmail-default, as before')

def tables(home, r, a):
    """users/cdb."""
    users(home, '=pop:pop:%d:%d:%s/alias:::' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid, home),
          '=ext:pop:%d:%d:%s/alias:-:joe:' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid, home),
          '=dead:pop:%d:%d:%s/nohome:-::' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid, home))
    equal([a.ask(n + '@host.example') for n in ('pop', 'ext', 'dead', 'nosuch')], ['y', 'y', '?', 'n'],
          'users/cdb: a user, an extension, a home that is not there')
    check('%s/nohome' % home in r.text(), 'which is named')
    with open(home + '/users/cdb', 'r+b') as f: f.truncate(2100)
    equal((a.ask('nosuch@host.example'), a.ask('x@far.example')), ('?', 'r'), 'a damaged users/cdb cannot tell')
    os.unlink(home + '/users/cdb')

# --- an instance with an account for each part

def homes_and_users(homes):
    os.mkdir(homes)
    switch = os.path.join(SCRATCH, 'nsswitch.conf')
    with open(switch, 'w') as f: f.write('passwd: files\ngroup: files\n')
    os.chmod(switch, 0o644)
    subprocess.run(['mount', '--bind', switch, '/etc/nsswitch.conf'], check=True)
    with open('/etc/passwd', 'a') as f:
        for name, uid in UIDS.items(): f.write('%s:x:%d:%d::%s/%s:/bin/sh\n' % (name, uid, uid, homes, name))
    for name in ('joe', 'joe-x', 'sam', 'olga'):
        make_maildir('%s/%s/Maildir' % (homes, name), (UIDS[name], UIDS[name]))
        os.chown('%s/%s' % (homes, name), UIDS[name], UIDS[name])
        os.chmod('%s/%s' % (homes, name), {'sam': 0o1700, 'olga': 0o707}.get(name, 0o700))
    for name in ('a', 'a-default', 'b-c', 'b-c-d-default', 'e:f', 'default-default'):
        write('%s/joe/.qmail-%s' % (homes, name), './Maildir/\n', 0o600, (UIDS['joe'], UIDS['joe']))
    os.mkdir(homes + '/joe/.qmail-b')
    os.mkfifo(homes + '/joe/.qmail-fifo')
    write(homes + '/joe-x/.qmail-default', './Maildir/\n', 0o600, (UIDS['joe-x'], UIDS['joe-x']))

def random_addresses(count):
    r = random.Random(4)
    words = ('a', 'b', 'c', 'd', 'e.f', 'default', 'x', 'fifo', '', 'A', 'owner', '/', '..')
    for _ in range(count):
        user = r.choice(('joe', 'joe', 'joe', 'joe-x', 'sam', 'olga', 'gone', 'list', 'nosuch', 'vm', 'pop', 'half'))
        local = '-'.join([user] + [r.choice(words) for _ in range(r.randrange(4))])
        yield r.choice((local, local.upper(), local.title())) + '@' + r.choice(('host.example', 'host.example', 'virt.example', 'box.example'))

def agreement(home, asker):
    """The same addresses to those who deliver."""
    prefix = {'virt.example': 'v-', 'host.example': '', 'box.example': 'box-'}
    lspawn, seen, wrong = Lspawn(home, popen=subprocess.Popen), {}, []
    table = sorted(set(random_addresses(230))) + ['ann@box.example', 'Info@box.example', 'postmaster@host.example', 'joe@host.example']
    for address in table:
        answer = asker.ask(address)
        letter, text = lspawn.job(prefix[address.split('@')[-1]] + address)
        nobody = letter == 'D' and '5.1.1' in text
        seen.setdefault(answer, set()).add(letter)
        user = '-' not in address # whose home is looked at by the delivery only
        if nobody != (answer == 'n') or (not user and (letter == 'Z') != (answer == '?')): wrong.append((address, answer, letter, text))
    equal(wrong[:5], [], 'of %d addresses those do not exist that bounce as 5.1.1, and what cannot be told is deferred' % len(table))
    equal(seen, {'y': {'K', 'Z'}, 'n': {'D'}, '?': {'Z'}}, 'with each of the answers')
    lspawn.end()

def confined(r):
    look, passwd = r.children()
    wait_for(lambda: status(look, 'Seccomp') == ('2',) and status(passwd, 'NoNewPrivs') == ('1',)) # they may not have begun
    rcpt = str(pwd.getpwnam('pipitv').pw_uid)
    for pid, name, caps in ((r.p.pid, 'the main process', 0), (look, 'the one that looks', 1 << CAP_DAC_READ_SEARCH), (passwd, 'the other', 0)):
        equal(status(pid, 'Uid', 'CapEff', 'CapPrm', 'CapInh', 'CapAmb'), (rcpt, '%016x' % caps, '%016x' % caps, '0' * 16, '0' * 16),
              '%s: account and capabilities' % name)
        equal(status(pid, 'NoNewPrivs'), ('1',), name + ' gains none')
        equal({re.sub(r'\d+', '', os.readlink('/proc/%d/fd/%s' % (pid, f))) for f in os.listdir('/proc/%d/fd' % pid) if int(f) > 2} if pid != r.p.pid else set(),
              set(), name + ' has no descriptor but 0 to 2')
    equal((status(look, 'Seccomp'), status(r.p.pid, 'Seccomp')), (('2',), ('2',)), 'two of them have few system calls left')
    if not SANITIZED:
        kib = pss([r.p.pid, look, passwd])
        check(kib < 2048, 'together they have %d KiB' % kib)

def links(homes, a):
    """A user's links tell him nothing."""
    joe = homes + '/joe/'
    os.mkdir(homes + '/secret', 0o700)
    write(homes + '/secret/.qmail-there', '', owner=(0, 0))
    for name, to in (('l1', homes + '/secret/.qmail-there'), ('l2', homes + '/secret/.qmail-not'), ('l3', '/nonexistent'), ('d', homes + '/secret')):
        os.symlink(to, joe + '.qmail-' + name)
        os.lchown(joe + '.qmail-' + name, UIDS['joe'], UIDS['joe'])
    equal({a.ask('joe-%s@host.example' % n) for n in ('l1', 'l2', 'l3')}, {'y'}, "a user's link is there, whatever it leads to")
    equal({a.ask('joe-d/%s@host.example' % n) for n in ('.qmail-there', ':qmail-there', 'x')}, {'?'}, 'and nothing is looked for in a directory')
    os.symlink(homes + '/secret', joe + 'lists')
    os.symlink('/nonexistent', joe + 'nolists')
    for n in ('lists', 'nolists'): os.lchown(joe + n, UIDS['joe'], UIDS['joe'])
    os.symlink(homes + '/joe', homes + '/linked')

def trouble(home, r, a):
    """The password database hangs, and does not answer."""
    b, c = Asker(home), Asker(home)
    passwd = os.path.join(SCRATCH, 'fifo')
    os.mkfifo(passwd)
    subprocess.run(['mount', '--bind', passwd, '/etc/passwd'], check=True)
    b.send('nosuch@host.example')
    c.send('nosuch2@host.example')
    equal([a.ask(n + '@host.example') for n in ('pop', 'vm-x', 'vm-y')], ['y', 'n', 'y'], 'while the password database hangs, others are answered')
    equal((b.answer(), c.answer()), ('?', '?'), 'and who needs it hears that it cannot be told')
    equal(r.text().count('no answer in time'), 2, 'as does the log')
    subprocess.run(['umount', '-l', '/etc/passwd'], check=True)
    os.close(os.open(passwd, os.O_WRONLY)) # it was waiting for this
    check(wait_for(lambda: a.ask('nosuch@host.example') == 'n'), 'it is asked again when it answers')
    os.chmod('/etc/passwd', 0o600)
    equal(a.ask('joe-a@host.example'), '?', 'one that cannot be read cannot tell')
    os.chmod('/etc/passwd', 0o644)
    equal(a.ask('joe-a@host.example'), 'y', 'until it can')
    # A process that dies takes the others along; who asks is not answered.
    stopped = r.children()[0]
    os.kill(stopped, signal.SIGSTOP)
    b.send('vm-y@host.example')
    os.kill(stopped, signal.SIGKILL)
    equal(b.answer(), '', 'killed while it is asked: no answer')
    equal(r.p.wait(20), 111, 'and the supervision is to start it anew')
    check('looks into homes' in r.text(), 'it says so')

def peers(home):
    """Who may ask: the mode of the socket, and the uid besides."""
    def tried(uid, gid):
        code = "import socket,sys\ns=socket.socket(1,5)\ntry: s.connect(sys.argv[1])\nexcept OSError: sys.exit(2)\n" \
               "try: s.send(b'x@far.example'); sys.exit(s.recv(1)!=b'r')\nexcept OSError: sys.exit(1)\n"
        return subprocess.run(['/usr/bin/python3', '-c', code, 'run/rcptd'], user=uid, group=gid, extra_groups=[], cwd=home).returncode
    d, v = pwd.getpwnam('pipitd'), pwd.getpwnam('pipitv')
    st = os.stat(home + '/run/rcptd')
    equal((st.st_uid, st.st_gid, st.st_mode & 0o777), (v.pw_uid, d.pw_gid, 0o660), 'the socket')
    equal([tried(d.pw_uid, d.pw_gid), tried(v.pw_uid, v.pw_gid), tried(0, 0)], [0, 0, 0], 'pipitd, pipitv and root may ask')
    equal(tried(65533, 65533), 2, 'a stranger cannot connect')
    equal(tried(65533, d.pw_gid), 1, 'one in the group of pipitd is not answered')

def separated():
    home, homes = os.path.join(SCRATCH, 'home'), os.path.join(SCRATCH, 'homes')
    subprocess.run([os.path.join(BIN, 'pipit-setup'), '-n', 'host.example', home], check=True, stdout=subprocess.DEVNULL)
    homes_and_users(homes)
    alias = pwd.getpwnam('pipita')
    for name in ('list', 'list-default'): write(home + '/alias/.qmail-' + name, './Maildir/\n', owner=(alias.pw_uid, alias.pw_gid))
    control(home, 'virtualdomains', 'virt.example:v\nbox.example:box\n')
    os.mkdir(homes + '/joe/vm', 0o700)
    write(homes + '/joe/vm/.qmail-y', './Maildir/\n', owner=(64310, 64310))
    make_maildir(homes + '/joe/vm/Maildir', (64310, 64310))
    os.chown(homes + '/joe/vm', 64310, 64310)
    os.chmod(homes + '/joe', 0o711) # joe lets the other one in
    users(home, '=pop:pop:64310:64310:%s/joe/vm:::' % homes, '+vm:vm:64310:64310:%s/joe/vm:::' % homes, '+v-joe:joe:64301:64301:%s/joe:::' % homes,
          '+vm-:vm:64310:64310:%s/joe/vm:-::' % homes, '+half:half:64399:0:%s/joe:-:x:' % homes, '+l-:joe:64301:64301:%s/joe/lists:-::' % homes,
          '+nl-:joe:64301:64301:%s/joe/nolists:-::' % homes, '+rl-:joe:64301:64301:%s/linked:-::' % homes)
    make_maildir(homes + '/boxes/box.example/ann', (64310, 64310))
    for d in ('boxes', 'boxes/box.example'): os.chown(os.path.join(homes, d), 64310, 64310)
    with open(home + '/users/mailboxes', 'w') as f:
        f.write('*64310:64310:%s/boxes\n=box-ann@box.example:::%s/boxes/box.example/ann\n&box-info@box.example:joe@host.example\n.\n' % (homes, homes))
    subprocess.run([os.path.join(BIN, 'pipit-newmailboxes')], env=dict(os.environ, PIPIT_HOME=home), check=True, stderr=subprocess.DEVNULL)
    p = subprocess.run([os.path.join(BIN, 'pipit-rcptd')], env=dict(os.environ, PIPIT_HOME=home), stderr=subprocess.PIPE, text=True,
                       user=65533, group=65533, extra_groups=[])
    check(p.returncode == 111 and p.stderr.count('\n') == 1, 'a stranger cannot start it')
    r = Rcptd(home, popen=subprocess.Popen, extra_groups=[0, 5])
    a = Asker(home)
    confined(r)
    peers(home)
    queue = subprocess.Popen([os.path.join(BIN, 'pipit-queued')], env=dict(os.environ, PIPIT_HOME=home), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(home + '/run/queue'))
    agreement(home, a)
    check('files there are in %s/sam\n' % homes in r.text(), 'the log says why that could not be told')
    queue.terminate(), queue.wait()
    links(homes, a)
    equal({a.ask(n + '-there@host.example') for n in ('l', 'nl')}, {'y'}, "nor does a user's link on the way to a home tell")
    equal((a.ask('rl-a@host.example'), a.ask('rl-q@host.example')), ('y', 'n'), "root's links are followed")
    trouble(home, r, a)

def main():
    if sys.argv[1:] == ['separated']:
        separated()
        return done()
    command = with_accounts('/usr/bin/python3', os.path.abspath(__file__), 'separated') if ROOT else None
    if not command: skip('a privilege-separated instance: needs root and a mount namespace')
    else:
        scratch = os.path.join(SCRATCH, 'separated')
        os.mkdir(scratch)
        os.chmod(scratch, 0o755)
        p = subprocess.Popen(command, env=dict(os.environ, SCRATCH=scratch)) # it waits for a time limit, so both at once
    one_account()
    if command: check(p.wait() == 0, 'a privilege-separated instance')
    done()

main()
