"""INSTALL, 6, word for word: from a qmail to pipit, with mail going in at each step

A machine of its own: /etc, /usr and /var are overlays, network and processes its own.
That qmail is a stand-in whose services run under daemontools' svscan.
"""
import sys
sys.path.insert(0, 'tests')
from instance import *

TOP = os.getcwd()
MACHINE = '''
mount -t tmpfs tmpfs "$SCRATCH" && cd "$SCRATCH" || exit 99
for d in etc usr var; do
  mkdir $d $d.work && mount -t overlay -o lowerdir=/$d,upperdir=$SCRATCH/$d,workdir=$SCRATCH/$d.work overlay /$d || exit 99
done
rm -rf /etc/service && mkdir /etc/service && chmod 755 . && mount -t proc proc /proc && ip link set lo up || exit 99
cd "$TOP" && exec /usr/bin/python3 tests/e2e/from-qmail.py
'''
UNSHARE = ['unshare', '-mnp', '--fork', '--kill-child', '--propagation', 'private']

def reenter():
    """Become the first process of such a machine."""
    if subprocess.run(UNSHARE + ['true'], stderr=subprocess.DEVNULL).returncode == 0:
        code = subprocess.run(UNSHARE + ['sh', '-c', MACHINE], env=dict(os.environ, ON_A_MACHINE='1', TOP=TOP)).returncode
        if code != 99: sys.exit(code)
    skip('no namespaces or no overlays to be had here')
    done()

def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f: f.write(text)
    os.chmod(path, mode)

def sh(command):
    return subprocess.run(['sh', '-c', command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=TOP)

def make_qmail():
    """A qmail that waits for its signals; its queue is a directory that qmail-send empties at ALRM."""
    for name, text in (('control/me', 'mail.old.example'), ('control/locals', 'old.example'), ('control/rcpthosts', 'old.example'),
                       ('control/virtualdomains', ''), ('users/assign', '.'), ('alias/.qmail-postmaster', './Maildir/'),
                       ('alias/.qmail-info', './Maildir/'), ('alias/Maildir/new/1.old', 'Subject: old'), ('queue/mess/1/17', 'mail'),
                       ('rc', '#!/bin/sh\nexec qmail-start ./Mailbox')):
        write('/var/qmail/' + name, text + '\n')
    for d in ('tmp', 'cur'): os.mkdir('/var/qmail/alias/Maildir/' + d)
    write('/var/qmail/bin/qmail-qstat', '#!/bin/sh\necho messages in queue: $(ls /var/qmail/queue/mess/1 | wc -l)\n', 0o755)
    write('/var/qmail/bin/qmail-send', '#!/bin/sh\ntrap "rm -f /var/qmail/queue/mess/1/*" ALRM\nwhile :; do sleep 0.1; done\n', 0o755)
    write('/etc/service/qmail-send/run', '#!/bin/sh\nexec /var/qmail/bin/qmail-send\n', 0o755)
    write('/etc/service/qmail-smtpd/run', '#!/bin/sh\nexec tcpserver -x /etc/tcp.smtp.cdb 127.0.0.1 25 echo 220 qmail-smtpd\n', 0o755)
    subprocess.run(['tcprules', '/etc/tcp.smtp.cdb', '/etc/tcp.tmp'], input=b'127.:allow,RELAYCLIENT=""\n:allow\n', check=True)
    for d in ('/var/pipit', '/var/lib/misc'): shutil.rmtree(d, ignore_errors=True)
    sh('sed -i /^pipit/d /etc/passwd /etc/group /etc/shadow /etc/gshadow; rm -f /usr/sbin/sendmail')
    write('/usr/sbin/sendmail', "#!/bin/sh\necho the old qmail's\n", 0o755)

def tree(top):
    """{name: what would change} of everything there but the queue."""
    found = {}
    for d, dirs, files in os.walk(top):
        dirs[:] = [n for n in dirs if n != 'queue']
        for name in dirs + files:
            st = os.lstat(os.path.join(d, name))
            found[os.path.relpath(os.path.join(d, name), top)] = st.st_mode, st.st_uid, st.st_size, st.st_mtime_ns, st.st_ctime_ns
    return found

def steps():
    """{number: [commands]} of the section."""
    text = open('INSTALL').read()
    text = text[text.index('6. From qmail'):text.index('7. Bringing it')]
    found = {}
    for line in text.splitlines():
        m = re.match(r'   (\d)\. ', line)
        if m: step = found.setdefault(int(m[1]), [])
        elif re.match(r'     (make |/var/|echo |cp |svc |for |chown |mv )', line): step.append(line.strip())
    return found

def greeting():
    try:
        with socket.create_connection(('127.0.0.1', 25), 5) as s: return s.makefile('rb').readline()
    except OSError: return b''

def inbox():
    d = '/var/pipit/alias/Maildir/new/'
    return [open(d + n).read() for n in os.listdir(d)]

def mail(subject):
    """Mail by SMTP and by sendmail arrives."""
    with smtplib.SMTP('127.0.0.1', 25, timeout=30) as s: deliver(s, 'x@else.example', 'info@old.example', b'Subject: %s by SMTP\n\nx\n' % subject.encode())
    p = subprocess.run(['/usr/sbin/sendmail', 'info@old.example'], input='Subject: %s by sendmail\n\nx\n' % subject, text=True)
    want = {'Subject: %s by %s\n' % (subject, how) for how in ('SMTP', 'sendmail')}
    check(p.returncode == 0 and wait_for(lambda: all(any(w in m for m in inbox()) for w in want), 20), subject + ': mail arrives by SMTP and by sendmail')

def walk():
    make_qmail()
    scan = subprocess.Popen(['svscan', '/etc/service'], stdin=subprocess.DEVNULL)
    check(wait_for(lambda: greeting() == b'220 qmail-smtpd\n' and sh('svstat /etc/service/qmail-send').stdout.count(': up'), 20), 'a qmail runs')
    before, commands = tree('/var/qmail'), steps()
    equal(sorted(commands), list(range(1, 8)), 'the steps of INSTALL')
    for number, lines in sorted(commands.items()):
        for line in lines:
            if line.startswith('mv '): # what came before it has changed nothing
                equal(tree('/var/qmail'), before, 'nothing in /var/qmail has changed until then')
                check(wait_for(lambda: ': down' in sh('svstat /etc/service/qmail-send').stdout), 'qmail-send has stopped')
            p = sh(line)
            looks = 'pipit-import' in line and p.returncode == 1
            check(p.returncode == 0 or looks, '%d: %s: %d %s' % (number, line, p.returncode, '' if p.returncode == 0 else p.stdout[-400:]))
            if 'qmail-qstat' in line: equal(p.stdout, 'messages in queue: 0\n', 'its queue is empty')
            if line.startswith('svc -a'): wait_for(lambda: '0' in sh('/var/qmail/bin/qmail-qstat').stdout)
        if number == 2: check(greeting() == b'220 qmail-smtpd\n' and open('/var/pipit/control/locals').read() == 'old.example\n', 'qmail serves while its settings are taken')
        if number == 4: check(wait_for(lambda: b'mail.old.example' in greeting(), 30), 'pipit listens under the same name: %r' % greeting())
        if number == 5: mail('step 5')
    check(wait_for(lambda: sh('pgrep -x qmail-send').returncode == 0 and b'220' in greeting(), 20), 'a process is called qmail-send')
    wait_for(lambda: sh('/var/qmail/bin/qmail-qread').returncode == 0)
    mail('the end')
    check(any(m == 'Subject: old\n' for m in inbox()), 'old mail lies beside the new')
    equal(sh('/var/qmail/bin/qmail-qstat').stdout.splitlines()[0], 'messages in queue: 0', "qmail's paths are pipit's")
    p = subprocess.run(['/var/qmail/bin/qmail-inject', 'info@old.example'], input='Subject: by path\n\nx\n', text=True)
    check(p.returncode == 0 and wait_for(lambda: any('by path' in m for m in inbox()), 20), 'a program that knows /var/qmail/bin sends')
    equal(open('/usr/sbin/sendmail.old').read(), "#!/bin/sh\necho the old qmail's\n", 'the old sendmail is kept')
    scan.kill()

if 'ON_A_MACHINE' not in os.environ:
    if not ROOT or not shutil.which('svscan') or os.path.realpath(os.environ['BUILD']) != os.path.join(TOP, 'build'):
        skip('needs root, daemontools, and what make builds')
        done()
    reenter()
walk()
done()
