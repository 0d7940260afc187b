"""demo.py - make demo: two messages delivered and shown, Ctrl-C, the mail of the first run in the second"""
import glob, os, pty, re, shutil, socket, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from instance import descendants
from pipit import *

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))
HERE = os.path.join(SCRATCH, 'checkout')
DEMO = os.path.join(SCRATCH, 'demo.sh') # where its account can read it
shutil.copy(os.path.join(TOP, 'run', 'demo.sh'), DEMO)
COMMAND = ['sh', DEMO, BIN]

def mail(home=HERE + '/instance'):
    return sorted(glob.glob(home + '/alias/Maildir/new/*'))

def field(out, name):
    found = re.search(r'^  %s +(.*)$' % name, out, re.M)
    return found.group(1) if found else ''

def nothing_left(why):
    check(wait_for(lambda: not descendants(os.getpid()), 10), '%s: no process is left: %r' % (why, descendants(os.getpid())))

def once():
    """Without a terminal, standard input closed, the usual port taken."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(('127.0.0.1', 2525))
            taken.listen()
        except OSError: pass # somebody else has it
        p = as_account(['sh', '-c', 'exec "$@" <&-', 'sh', *COMMAND], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, cwd=HERE, env=dict(os.environ, DEMO_ONCE='1'))
        out = p.communicate(timeout=90)[0]
    equal(p.returncode, 0, 'the demonstration ends with exit 0: %s' % (out[-600:] if p.returncode else ''))
    check('This message came in by SMTP' in out and 'This message came from the sendmail command' in out and
          out.count('Received:') >= 2, 'both messages are shown as they lie in the Maildir')
    equal(len(mail()), 2, 'both are in the Maildir')
    port = re.search(r'SMTP +127\.0\.0\.1 port (\d+)', out)
    check(port and 2525 < int(port.group(1)) < 2700, 'a free port is taken, and told')
    check(field(out, 'mail').startswith(HERE + '/instance/alias/Maildir') and HERE in field(out, 'logs') and
          HERE in field(out, 'sendmail'), 'it says where mail, logs and sendmail are')
    nothing_left('once')

def terminal():
    """In a terminal: it stays until Ctrl-C, and can be used meanwhile."""
    before = mail()
    pid, fd = pty.fork()
    if not pid:
        os.chdir(HERE)
        if ROOT: os.setgroups([]); os.setgid(ACCOUNT.pw_gid); os.setuid(ACCOUNT.pw_uid)
        os.execvp('sh', COMMAND)
    out = ''
    while 'settings' not in out:
        try: out += os.read(fd, 4096).decode(errors='replace').replace('\r', '')
        except OSError: break
    check('Ctrl-C' in out, 'again, in a terminal: %s' % ('' if 'Ctrl-C' in out else out[-600:]))
    equal([m for m in before if m not in mail()], [], 'the mail of the first run is there')
    equal(len(mail()), 4, 'with that of the second')
    command = re.search(r'echo hello \| .*', out)
    p = as_account(['sh', '-c', command.group(0) if command else 'false'], cwd='/')
    check(p.wait(30) == 0 and wait_for(lambda: len(mail()) == 5), 'the command that it suggests works')
    os.write(fd, b'\x03')
    check(wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0], 20), 'Ctrl-C ends it')
    nothing_left('Ctrl-C')
    os.close(fd)

def root():
    """As root in a directory that nobody else can enter; what it makes is seen by this test only."""
    private = os.path.join(SCRATCH, 'private')
    for d in (private, SCRATCH + '/etc', SCRATCH + '/lib'): os.mkdir(d, 0o700)
    script = '''
mount -t tmpfs tmpfs "$1/etc" && mkdir "$1/etc/up" "$1/etc/work" &&
mount -t overlay -o lowerdir=/etc,upperdir="$1/etc/up",workdir="$1/etc/work" overlay /etc &&
mount --bind "$1/lib" /var/lib && chmod 755 /var/lib || exit 99
cd "$1/private" && shift
sed -i /^pipitdemo:/d /etc/passwd /etc/group
"$@" || exit
ls -A
find /var/lib/pipit-demo ! -user pipitdemo
echo the end
'''
    p = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', SCRATCH, *COMMAND], text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90,
                       env=dict(os.environ, DEMO_ONCE='1'))
    if p.returncode == 99 or 'unshare' in p.stdout: return skip('root: no mounts of its own to be had here')
    check(p.returncode == 0 and 'by SMTP' in p.stdout, 'root, in a private directory: %s' % (p.stdout if p.returncode else ''))
    check('cannot enter %s, so the instance lies in /var/lib/pipit-demo' % private in p.stdout, 'it says where the instance lies')
    check('made the account pipitdemo' in p.stdout, 'and that it made an account')
    equal(p.stdout.splitlines()[-1:] and p.stdout.splitlines()[-2].startswith('  settings'), True,
          'everything in the instance belongs to that account, and nothing was made elsewhere')
    equal(len(mail(SCRATCH + '/lib/pipit-demo')), 2, 'both messages are there')
    nothing_left('root')

os.mkdir(HERE)
own(HERE)
once()
terminal()
if ROOT: root()
else: skip('the demonstration as root: needs root')
done()
