"""peers.py - other people's mail programs, run from build/peers without being installed

Debian packages are fetched with "apt-get download" and unpacked with dpkg-deb;
none of their scripts runs and no service is started. What was fetched once is
used again. Unavailable says why a peer cannot be had; tests then skip. All that
one test waits for packages is FETCH_SECONDS, so that a slow network ends no test.

  postfix()   a Peer with smtp-source and smtp-sink
  exim()      a Peer with Exim, which has TLS by GnuTLS
  dovecot()   a Peer with Dovecot, its imap and its lmtp
  fail2ban()  its fail2ban-regex, to be run by /usr/bin/python3
  php(), git_email(), mutt()   programs that send mail by sendmail
  fetchmail(), mpop(), movemail()   programs that fetch it by POP3; getmail(), to be run by /usr/bin/python3
  checkpw()   checkpassword programs: checkpw, and checkapoppw for APOP
  procmail(), maildrop(), mlmmj()   programs that dot-qmail files run
  digest_hmac()   a module of Perl for swaks
  msmtp()     a client of SMTP; nodemailer(): that of npm, for node
  sslscan(), testssl()   programs that look at a TLS server
"""
import fcntl, os, shutil, subprocess, time

LIBDIRS = ['usr/lib/postfix', 'usr/lib/dovecot', 'usr/lib/%s-linux-gnu' % os.uname().machine,
           'lib/%s-linux-gnu' % os.uname().machine, 'usr/lib']
FETCH_SECONDS = 600 if os.environ.get('PEERS') == 'long' else 100
END = time.monotonic() + FETCH_SECONDS
TOP = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'build', 'peers')

class Unavailable(Exception):
    """This peer cannot be had here; the text says why."""

class Peer:
    def __init__(self, root):
        self.root = root
        libs = ':'.join(os.path.join(root, d) for d in LIBDIRS)
        self.env = dict(os.environ, LD_LIBRARY_PATH=libs)

    def path(self, name):
        return os.path.join(self.root, name)

    def start(self, name, *args, **kw):
        return subprocess.Popen([self.path(name), *args], env=self.env, stdin=subprocess.DEVNULL, **kw)

    def run(self, name, *args, timeout=60):
        return subprocess.run([self.path(name), *args], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)

def left():
    """Seconds that there are still for packages."""
    return max(END - time.monotonic(), 0.1)

def apt(*args, **kw):
    try:
        p = subprocess.run(['apt-get', '-q', *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=left(), text=True, **kw)
    except FileNotFoundError: raise Unavailable('there is no apt-get')
    except subprocess.TimeoutExpired: raise Unavailable('apt-get did not end within %d s' % FETCH_SECONDS)
    if p.returncode:
        lines = [l for l in p.stdout.splitlines() if l.startswith('E:')] or p.stdout.splitlines() or ['']
        raise Unavailable('apt-get %s failed: %s' % (args[0], lines[0]))
    return p.stdout

def packages(wanted):
    """The wanted packages that are not installed, and the libraries they need that are not."""
    plan = apt('-s', '--no-install-recommends', 'install', *wanted)
    names = [l.split()[1] for l in plan.splitlines() if l.startswith('Inst ')]
    return [n for n in names if n in wanted or n.startswith('lib')]

def fetch(name, wanted, program):
    """Unpack the packages below build/peers/<name>, unless they are there already."""
    root = os.path.join(TOP, name)
    os.makedirs(TOP, exist_ok=True)
    with open(os.path.join(TOP, name + '.lock'), 'w') as lock:
        while True: # another test may be fetching it
            try: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if left() < 1: raise Unavailable('another one has been fetching it for %d s' % FETCH_SECONDS)
                time.sleep(0.1)
            else: break
        if not os.path.exists(os.path.join(root, program)):
            new = root + '.new'
            shutil.rmtree(new, ignore_errors=True)
            os.makedirs(os.path.join(new, 'debs'))
            names = packages(wanted)
            missing = [w for w in wanted if w not in names]
            if missing: # installed on this machine: its files are as good, but wanted in one tree
                names += missing
            apt('download', *names, cwd=os.path.join(new, 'debs'))
            for deb in os.listdir(os.path.join(new, 'debs')):
                if subprocess.run(['dpkg-deb', '-x', os.path.join(new, 'debs', deb), new]).returncode: raise Unavailable('dpkg-deb cannot unpack ' + deb)
            shutil.rmtree(os.path.join(new, 'debs'))
            if not os.path.exists(os.path.join(new, program)):
                raise Unavailable('%s is not in %s' % (program, ' '.join(names)))
            shutil.rmtree(root, ignore_errors=True)
            os.rename(new, root)
    return Peer(root)

def postfix():
    return fetch('postfix', ['postfix'], 'usr/sbin/smtp-source')

def exim():
    return fetch('exim', ['exim4-daemon-light', 'exim4-base'], 'usr/sbin/exim4')

def dovecot():
    return fetch('dovecot', ['dovecot-core', 'dovecot-imapd', 'dovecot-lmtpd'], 'usr/lib/dovecot/lmtp')

def php():
    return fetch('php', ['php8.2-cli', 'php8.2-common', 'php8.2-opcache', 'php8.2-readline'], 'usr/bin/php8.2')

def git_email():
    return fetch('git-email', ['git-email', 'libmailtools-perl'], 'usr/lib/git-core/git-send-email')

def mutt():
    return fetch('mutt', ['mutt'], 'usr/bin/mutt')

def fetchmail():
    return fetch('fetchmail', ['fetchmail'], 'usr/bin/fetchmail')

def mpop():
    return fetch('mpop', ['mpop'], 'usr/bin/mpop')

def movemail():
    return fetch('movemail', ['mailutils'], 'usr/bin/movemail.mailutils')

def getmail():
    return fetch('getmail', ['getmail6'], 'usr/bin/getmail')

def checkpw():
    return fetch('checkpw', ['checkpw'], 'usr/bin/checkpw')

def fail2ban():
    return fetch('fail2ban', ['fail2ban'], 'usr/bin/fail2ban-regex')

def msmtp():
    return fetch('msmtp', ['msmtp'], 'usr/bin/msmtp')

def found_msmtp():
    """Where msmtp is, which may be installed, and what it needs in its environment."""
    if shutil.which('msmtp'): return 'msmtp', {}
    p = msmtp()
    return p.path('usr/bin/msmtp'), {'LD_LIBRARY_PATH': p.env['LD_LIBRARY_PATH']}

def digest_hmac():
    """What swaks needs for CRAM-MD5."""
    return fetch('digest-hmac', ['libdigest-hmac-perl'], 'usr/share/perl5/Digest/HMAC_MD5.pm')

def sslscan():
    return fetch('sslscan', ['sslscan'], 'usr/bin/sslscan')

def testssl():
    return fetch('testssl', ['testssl.sh', 'bsdextrautils', 'ldnsutils'], 'usr/bin/testssl')

def nodemailer():
    """Where node finds it: a value for NODE_PATH."""
    root = os.path.join(TOP, 'nodemailer')
    modules = os.path.join(root, 'node_modules')
    if not shutil.which('node') or not shutil.which('npm'): raise Unavailable('there is no node, or no npm')
    os.makedirs(root, exist_ok=True)
    if not os.path.isdir(os.path.join(modules, 'nodemailer')):
        try: p = subprocess.run(['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', root, 'nodemailer'], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=left(), text=True)
        except subprocess.TimeoutExpired: raise Unavailable('npm did not end within %d s' % FETCH_SECONDS)
        if p.returncode: raise Unavailable('npm: ' + p.stdout.strip().split('\n')[-1])
    return modules

def procmail():
    return fetch('procmail', ['procmail'], 'usr/bin/procmail')

def maildrop():
    return fetch('maildrop', ['maildrop', 'courier-authlib'], 'usr/bin/maildrop')

def mlmmj():
    return fetch('mlmmj', ['mlmmj'], 'usr/bin/mlmmj-receive')
