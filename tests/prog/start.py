"""start.py - pipit-start: who runs as whom, with which descriptors, and what ends when"""
import os, re, signal, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from instance import descendants, reachable

PROGRAM = os.path.join(reachable(BIN), 'pipit-start')

class Start:
    def __init__(self, home, *args, prefix=None, program=PROGRAM):
        ready, w = os.pipe()
        def fds(): os.dup2(w, 3)
        env = dict(os.environ, PIPIT_HOME=home)
        self.log_path = os.path.join(SCRATCH, 'log.%d' % time.monotonic_ns())
        command = [*(prefix or []), program, *args]
        with open(self.log_path, 'wb') as log:
            kw = dict(preexec_fn=fds, pass_fds=(3,), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
            self.process = subprocess.Popen(command, **kw) if prefix else as_account(command, **kw)
        os.close(w)
        self.ready = os.read(ready, 10)
        os.close(ready)
        self.pid = self.process.pid

    def log(self):
        return open(self.log_path, errors='replace').read()

    def named(self, name):
        return [p for p, n in descendants(os.getpid()).items() if n == name[:15]]

    def end(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        status = self.process.wait(30)
        gone = wait_for(lambda: not descendants(os.getpid()), 15)
        return status, gone

def uid_of(pid):
    return os.stat('/proc/%d' % pid).st_uid

def groups_of(pid):
    text = open('/proc/%d/status' % pid).read()
    return [l.split()[1:] for l in text.splitlines() if l.startswith(('Gid:', 'Groups:'))]

def cmdline(pid):
    return open('/proc/%d/cmdline' % pid).read().split('\0')[:-1]

def target(pid, fd):
    return os.readlink('/proc/%d/fd/%d' % (pid, fd))

def run(*args, env={}):
    p = as_account([PROGRAM, *args], stderr=subprocess.PIPE, env=dict(os.environ, **env))
    err = p.communicate()[1].decode()
    return p.returncode, err

home = make_home()
status, err = run('-x')
equal((status, err.count('\n')), (100, 1), 'wrong usage: 100 and one line')
status, err = run('-d', 'three', './Maildir/')
equal((status, err.count('\n')), (100, 1), '-d wants a number')
status, err = run('./Maildir/', env={'PIPIT_HOME': SCRATCH + '/none'})
check(status == 111 and 'no such instance' in err, 'no instance: 111, and it says so')

s = Start(home, '-d', '3', './Mailbox')
equal(s.ready, b'\n', '-d: a newline when send is ready')
l, r = s.named('pipit-lspawn'), s.named('pipit-rspawn')
check(len(l) == 1 and len(r) == 1, 'both spawners run')
equal(cmdline(l[0])[1:], ['./Mailbox'], 'lspawn gets the default delivery')
equal(cmdline(s.pid)[0].split('/')[-1], 'pipit-send', 'pipit-start becomes pipit-send')
equal({uid_of(p) for p in (s.pid, l[0], r[0])}, {ACCOUNT.pw_uid}, 'all as the one account')
check(target(l[0], 0).startswith('socket:') and target(r[0], 0).startswith('socket:'), 'descriptor 0 of the spawners is a socket')
check(target(s.pid, 3).startswith('socket:') and target(s.pid, 4).startswith('socket:'), 'send has the other ends at 3 and 4')
for p, who in ((l[0], 'lspawn'), (r[0], 'rspawn')):
    sockets = [f for f in os.listdir('/proc/%d/fd' % p) if target(p, int(f)).startswith('socket:')]
    equal(sockets, ['0'], who + ' has no other socket')
equal(s.end(), (0, True), 'TERM: exit 0, and nothing is left')

control(home, 'defaultdelivery', '|cat >/dev/null\n# more\n')
s = Start(home, '-d', '3')
equal(cmdline(s.named('pipit-lspawn')[0])[1:], ['|cat >/dev/null'], 'without argument: control/defaultdelivery')
os.kill(s.named('pipit-lspawn')[0], signal.SIGKILL)
equal(s.process.wait(20), 111, 'a spawner that dies ends all: 111')
check('alert: oh no! lost spawn connection! dying...' in s.log(), 'and it is told')
check(wait_for(lambda: not descendants(os.getpid()), 15), 'nothing is left')
control(home, 'defaultdelivery', None)

logged = os.path.join(home, 'log', 'logged')
s = Start(home, '-d', '3', './Maildir/', 'sh', '-c', 'exec cat >"$0"', logged)
check(wait_for(lambda: os.path.exists(logged) and 'status: local 0/10 remote 0/20\n' in open(logged).read()), 'a logger gets the log')
equal(s.log(), '', 'and nobody else')
equal(s.end(), (0, True), 'it ends with the rest')
s = Start(home, '-d', '3')
equal(cmdline(s.named('pipit-lspawn')[0])[1:], ['./Maildir/'], 'without control/defaultdelivery: ./Maildir/')
s.end()

# Under qmail's name: what looks for qmail-send finds it.
as_qmail = os.path.join(SCRATCH, 'qmail-start')
os.symlink(PROGRAM, as_qmail)
s = Start(home, '-d', '3', './Maildir/', program=as_qmail)
equal((s.ready, cmdline(s.pid)[0]), (b'\n', 'qmail-send'), 'as qmail-start: pipit-send is called qmail-send')
reread = lambda: s.log().count('unable to reread controls')
control(home, 'concurrencylocal', 'x')
equal(subprocess.run(['pkill', '-HUP', '-P', str(os.getpid()), 'qmail-send']).returncode, 0, 'pkill -HUP qmail-send finds it')
check(wait_for(lambda: reread() == 1), 'and it rereads its control files')
# Other tests' processes may have this name, too: nothing is sent.
for command in (['killall', '-v', '-0', 'qmail-send'], ['pgrep', '-l', '-x', 'qmail-send'], ['pidof', 'qmail-send']):
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(p.returncode == 0 and re.search(r'\b%d\b' % s.pid, p.stdout), '%s qmail-send finds it' % command[0])
control(home, 'concurrencylocal', None)
text = subprocess.run(['ps', '-o', 'args=', '-p', str(s.pid)], stdout=subprocess.PIPE, text=True).stdout
check(text.startswith('qmail-send'), 'ps shows it')
equal({n for p, n in descendants(s.pid).items()}, {'qmail-send', 'pipit-lspawn', 'pipit-rspawn'}, 'keeper and feeder have its name, and live')
equal(s.end(), (0, True), 'TERM: exit 0, and nothing is left')

prefix = with_accounts() if ROOT else None
if prefix is None: skip('a privilege-separated instance: needs root and mount namespaces')
else:
    home = os.path.join(SCRATCH, 'separated')
    subprocess.run(prefix + [os.path.join(BIN, 'pipit-setup'), '-n', 'host.example', home], check=True, stdout=subprocess.DEVNULL)
    log_dir = os.path.join(home, 'log')
    s = Start(home, '-d', '3', './Maildir/', 'sh', '-c', 'sleep 100 & cat >/dev/null; kill $!', prefix=prefix)
    equal(s.ready, b'\n', 'separated: ready')
    numbers = {'pipit-lspawn': 0, 'pipit-rspawn': ACCOUNTS_FROM + 4, 'cat': ACCOUNTS_FROM + 2}
    for name, uid in numbers.items():
        pids = wait_for(lambda: s.named(name)) or [0]
        equal(uid_of(pids[0]), uid, '%s runs as %s' % (name, uid and 'its account' or 'root'))
    sends = [p for p in descendants(os.getpid()) if 'pipit-send' in cmdline(p)[0]]
    equal((len(sends), {uid_of(p) for p in sends}), (3, {ACCOUNTS_FROM + 5}), 'send, keeper and feeder run as pipits')
    equal(groups_of(sends[0])[1], [str(ACCOUNTS_FROM + 5)], 'with no other group')
    equal(s.end(), (0, True), 'TERM: exit 0, and nothing is left')
    p = subprocess.run(prefix + ['setpriv', '--reuid=nobody', '--clear-groups', PROGRAM],
                       env=dict(os.environ, PIPIT_HOME=home), stderr=subprocess.PIPE)
    check(p.returncode == 111 and b'start this as root' in p.stderr, 'not as root: 111, and it says so')
done()
