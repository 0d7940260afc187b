"""run.py - pipit-run and the service directories, under s6 and under daemontools

The programs are stand-ins that say what they were started with; so this tests
the scripts, and needs no other part of pipit.
"""
import os, pty, signal, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

STAND_IN = '''#!/bin/sh
trap 'echo stopping; sleep 0.3; echo stopped; exit 0' TERM
echo "args $*"
env | sed "s/^/env /"
id -un | sed "s/^/user /"
[ "$1" != -d ] || { echo >&3; exec 3>&-; }
while :; do sleep 0.05; done
'''
SERVICES = ('authc', 'authd', 'queued', 'rcptd', 'send', 'smtpd', 'tlsc', 'tlsd')

def make(name):
    home = setup(os.path.join(SCRATCH, name), '-n', 'a.example', '-s', '2600', '-a', '127.0.0.2')
    for program in ('authc', 'authd', 'queued', 'rcptd', 'start', 'smtpd', 'tlsd'):
        with open(home + '/bin/pipit-' + program, 'w') as f: f.write(STAND_IN)
        os.chmod(home + '/bin/pipit-' + program, 0o755)
    return home

def log(home, service):
    try:
        with open('%s/log/%s/current' % (home, service)) as f: return f.read()
    except FileNotFoundError: return ''

def owners(home):
    """The processes that stand in this instance, and whose they are; many live for a moment only."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if not os.readlink('/proc/%s/cwd' % pid).startswith(home + '/'): continue
            if open('/proc/%s/stat' % pid).read().rsplit(')')[1].split()[0] != 'Z': found[int(pid)] = os.stat('/proc/' + pid).st_uid
        except OSError: continue
    return found

def processes(home): return sorted(owners(home))

def tools(name, *without):
    """A directory with everything on the path but <without>."""
    path = os.path.join(SCRATCH, name)
    os.mkdir(path)
    for d in ('/usr/bin', '/bin'):
        for f in os.listdir(d):
            if not f.startswith(without) and not os.path.lexists(os.path.join(path, f)):
                os.symlink(os.path.join(d, f), os.path.join(path, f))
    os.chmod(path, 0o755)
    return path

def started(home):
    return wait_for(lambda: all('user' in log(home, s) for s in SERVICES), 15)

def stopped_cleanly(what, home, wait):
    gone = wait_for(wait, 15)
    check(gone, what + ': pipit-run ends')
    check(wait_for(lambda: not processes(home), 5), what + ': no process is left %r' % processes(home))
    logs = [log(home, s) for s in SERVICES]
    check(all(l.rstrip().endswith('stopped') for l in logs), what + ': the last words of each service are in its log')
    for pid in processes(home): # after a failure: the supervision first, it would start the others again
        os.kill(pid, signal.SIGKILL)

def family(name, path, stop):
    home = make(name)
    moved = home + '-moved'
    os.rename(home, moved)
    home = moved
    env = dict(os.environ, PATH=path, SECRET='x', PIPIT_HOME='/nowhere')
    p = as_account([home + '/bin/pipit-run', home], stdin=subprocess.DEVNULL, env=env, start_new_session=True, cwd='/')
    if check(started(home), name + ': all services start'):
        queued = log(home, 'queued')
        lines = [l.split(' ', 1) for l in queued.splitlines()]
        check(all(stamp.startswith('@40000000') and len(stamp) == 25 for stamp, text in lines), name + ': TAI64N stamps')
        texts = [text for stamp, text in lines]
        ready = '-d 3 ' if name == 's6' else ''
        equal(texts[0], 'args ' + ready.strip(), name + ': queued\'s arguments')
        check('env PIPIT_HOME=' + home in texts, name + ': PIPIT_HOME is where the tree lies now')
        equal([t for t in texts if 'SECRET' in t], [], name + ': the environment of the starter stays outside')
        check('user ' + ACCOUNT.pw_name in texts, name + ': its account')
        check('args %s-l -a 127.0.0.2 -p 2600\n' % ready in log(home, 'smtpd'), name + ': smtpd\'s address and port')
        check(wait_for(lambda: len(processes(home)) >= 10, 5), name + ': everything runs, loggers too')
    os.kill(p.pid, stop)
    stopped_cleanly(name, home, lambda: p.poll() is not None)

def ctrl_c(name, path):
    """A terminal sends INT to every process of the foreground group."""
    home = make(name)
    pid, terminal = pty.fork()
    if not pid:
        os.chdir('/')
        if ROOT: os.setgid(ACCOUNT.pw_gid); os.setuid(ACCOUNT.pw_uid)
        os.execvpe('/bin/sh', ['sh', '-c', home + '/bin/pipit-run ' + home + '; exit $?'], dict(os.environ, PATH=path))
    check(started(home), name + ': all services start in a terminal')
    os.write(terminal, b'\x03')
    stopped_cleanly(name, home, lambda: os.waitpid(pid, os.WNOHANG)[0])
    os.close(terminal)

def rules():
    """tcprules' file is used once it is there."""
    home = make('rules')
    open(home + '/control/tcp.smtp.cdb', 'w').close()
    with open(home + '/service/smtpd/env/QMAILQUEUE', 'w') as f: f.write('/some/filter\n')
    with open(home + '/service/queued/env/MEMORY', 'w') as f: f.write('100000000\n')
    with open(home + '/bin/pipit-queued', 'w') as f:
        f.write(STAND_IN.replace('#!/bin/sh\n', '#!/bin/sh\nulimit -v\n'))
    p = as_account([home + '/bin/pipit-run', home], stdin=subprocess.DEVNULL, start_new_session=True)
    if check(started(home), 'with rules and more settings: all services start'):
        check('-x %s/control/tcp.smtp.cdb' % home in log(home, 'smtpd'), 'smtpd is given control/tcp.smtp.cdb')
        check('env QMAILQUEUE=/some/filter' in log(home, 'smtpd'), 'a file in env/ is in the environment')
        check(' 97656\n' in log(home, 'queued'), 'env/MEMORY limits the memory')
    again = subprocess.run([home + '/bin/pipit-run', home], stdin=subprocess.DEVNULL, capture_output=True,
                           **(dict(user=ACCOUNT.pw_uid) if ROOT else {}))
    equal(again.returncode, 100, 'a second one for the same instance is refused')
    os.kill(p.pid, signal.SIGTERM)
    stopped_cleanly('rules', home, lambda: p.poll() is not None)

def as_root():
    """Root runs an instance of one account with that account's rights only."""
    home = make('root')
    p = subprocess.Popen([home + '/bin/pipit-run', home], stdin=subprocess.DEVNULL, start_new_session=True)
    if check(started(home), 'root: all services start'):
        equal(set(owners(home).values()), {ACCOUNT.pw_uid}, 'root: nothing of it is root')
    os.kill(p.pid, signal.SIGTERM)
    stopped_cleanly('root', home, lambda: p.poll() is not None)

def refused(why, code, *args, path=os.environ['PATH'], prefix=()):
    p = subprocess.run([*prefix, '/bin/sh', BIN + '/pipit-run', *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       env=dict(os.environ, PATH=path), cwd=SCRATCH)
    check(p.returncode == code and p.stderr.count('\n') == 1 and p.stderr.startswith('pipit-run: '),
          '%s: %d %r' % (why, p.returncode, p.stderr))

def of_others():
    """What belongs to somebody else is not run with root's rights."""
    prefix = with_accounts()
    if not prefix: return skip('an instance with an account for each part: no mount namespace to be had here')
    home = os.path.join(SCRATCH, 'others')
    subprocess.run([*prefix, BIN + '/pipit-setup', '-n', 'a.example', home], check=True, stdout=subprocess.DEVNULL)
    os.chown(home + '/service', ACCOUNT.pw_uid, ACCOUNT.pw_gid)
    refused('a separated instance whose services are not root\'s', 100, home, prefix=prefix)
    os.chown(home + '/service', 0, 0)
    os.chown(home + '/queue', 0, 0)
    refused('an instance whose queue is root\'s', 100, home, prefix=prefix)

refused('no argument', 100)
refused('two arguments', 100, 'a', 'b')
refused('an option', 100, '-x')
refused('no such directory', 100, SCRATCH + '/none')
refused('a directory that is no instance', 100, SCRATCH)
refused('neither s6 nor daemontools', 111, make('bare'), path=tools('neither', 's6-', 'svscan'))
family('s6', os.environ['PATH'], signal.SIGTERM)
ctrl_c('s6-terminal', os.environ['PATH'])
if os.path.exists('/usr/bin/svscan'):
    only = tools('without-s6', 's6-')
    family('daemontools', only, signal.SIGTERM)
    ctrl_c('daemontools-terminal', only)
else:
    skip('daemontools is not installed')
rules()
if ROOT:
    as_root()
    of_others()
else: skip('an instance that root starts: needs root')
done()
