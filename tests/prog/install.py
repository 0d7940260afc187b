"""install.py - make install and make accounts, without touching this machine"""
import os, pwd, re, stat, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))
BUILT = os.environ['BUILD']

def first_lines(name):
    """The lines of a conf- file that count."""
    with open(os.path.join(TOP, name)) as f: return f.read().split('\n\n')[0].split('\n')

def make(*args):
    sanitize = ['SANITIZE=1'] if BUILT.endswith('/san') else []
    return subprocess.run(['make', '-C', TOP, 'B=' + os.path.relpath(BUILT, TOP), *sanitize, *args], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

PROGRAMS_MAX = 1000000 # bytes of all programs, stripped

def size(directory):
    """Bytes of the programs in a directory, each file once; of those that were compiled, stripped."""
    total, out = 0, SCRATCH + '/stripped'
    for path in (os.path.join(directory, n) for n in os.listdir(directory)):
        if os.path.islink(path): continue
        compiled = open(path, 'rb').read(4) == b'\x7fELF'
        if compiled: subprocess.run(['strip', '-o', out, path], check=True)
        total += os.path.getsize(out if compiled else path)
    return total

def install():
    dest, home = os.path.join(SCRATCH, 'dest'), first_lines('conf-home')[0]
    p = make('install', 'DESTDIR=' + dest)
    if not check(p.returncode == 0, 'make install: %s' % p.stdout[-300:]): return
    check(home + '/bin/pipit-setup ' + home in p.stdout, 'it says the next step')
    programs = sorted(n for n in os.listdir(BIN) if n.startswith('pipit-'))
    links = {n: os.readlink(os.path.join(BIN, n)) for n in os.listdir(BIN) if os.path.islink(os.path.join(BIN, n))}
    programs = [n for n in programs if n not in links]
    equal({n: os.readlink(dest + home + '/bin/' + n) for n in [*links, 'sendmail']}, {**links, 'sendmail': 'pipit-sendmail'}, 'other names of programs')
    equal(sorted(os.listdir(dest + home + '/bin')), sorted([*programs, *links, 'sendmail']), 'every program is installed')
    if BUILT.endswith('/san'): skip('the size of all programs: sanitized ones are larger')
    else:
        total = size(dest + home + '/bin')
        check(total < PROGRAMS_MAX, 'all programs together: %d bytes of %d' % (total, PROGRAMS_MAX))
    equal({oct(stat.S_IMODE(os.stat('%s%s/bin/%s' % (dest, home, n)).st_mode)) for n in programs}, {'0o755'}, 'their modes')
    pages = {'man%s/%s' % (n[-1], n) for n in os.listdir(TOP + '/man') if re.search(r'\.[1-8]$', n)}
    man = dest + '/usr/local/share/man'
    equal({os.path.relpath(os.path.join(d, f), man) for d, ds, fs in os.walk(man) for f in fs}, pages, 'every page is')
    equal(sorted(os.listdir(dest)), sorted({'usr', home.split('/')[1]}), 'nothing else is')
    with open(dest + home + '/bin/pipit-run') as running:
        old = os.fstat(running.fileno())
        p = make('install', 'DESTDIR=' + dest)
        new = os.stat(dest + home + '/bin/pipit-run')
        check(p.returncode == 0 and old.st_ino != new.st_ino and running.read(), 'again: by renaming, under a running one')
    p = make('install', 'DESTDIR=' + SCRATCH, 'HOMEDIR=/opt/mail', 'MANDIR=/man')
    check(p.returncode == 0 and os.path.exists(SCRATCH + '/opt/mail/bin/pipit-setup') and
          os.path.exists(SCRATCH + '/man/man8/pipit-setup.8'), 'HOMEDIR and MANDIR')
    p = subprocess.run([SCRATCH + '/opt/mail/bin/pipit-setup', '-n', 'a.example',
                        *(('-u', 'nobody') if ROOT else ()), SCRATCH + '/inst'], capture_output=True, text=True)
    check(p.returncode == 0 and os.path.exists(SCRATCH + '/inst/bin/pipit-run'), 'pipit-setup works from there')

def accounts():
    """In a root directory of its own: /etc of this machine is an overlay's lower layer."""
    names = first_lines('conf-users')
    for d in ('up', 'work'): os.mkdir(os.path.join(SCRATCH, d))
    script = '''
mount -t tmpfs tmpfs "$1" && mkdir "$1/up" "$1/work" &&
mount -t overlay -o lowerdir=/etc,upperdir="$1/up",workdir="$1/work" overlay /etc || exit 99
sed -i /^pipit/d /etc/passwd /etc/group /etc/shadow /etc/gshadow
shift
make "$@" accounts && echo again && make "$@" accounts && echo && grep ^pipit /etc/passwd /etc/group
'''
    p = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', SCRATCH + '/up', '-s', '-C', TOP],
                       text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode == 99 or 'unshare' in p.stdout:
        return skip('make accounts: no overlay of /etc to be had here')
    check('accounts: ' + ' '.join(names) + '\n' in p.stdout, 'make accounts makes all of conf-users: %r' % p.stdout[:300])
    check('again\naccounts: all there\n' in p.stdout, 'the second time it makes none')
    home = first_lines('conf-home')[0]
    for n in names:
        line = re.search(r'/etc/passwd:%s:x:(\d+):(\d+):.*:(.*):(.*)' % n, p.stdout)
        group = re.search(r'/etc/group:%s:x:(\d+):' % n, p.stdout)
        equal(line and group and (line[2] == group[1], 0 < int(line[1]) < 1000, line[3], line[4]),
              (True, True, home + ('/alias' if n == names[0] else ''), '/usr/sbin/nologin'), n + ': a system account')

install()
if ROOT: accounts()
else:
    p = make('-s', 'accounts')
    check(p.returncode != 0 and 'only root' in p.stdout, 'make accounts is for root')
    skip('make accounts: needs root')
done()
