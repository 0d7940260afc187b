"""Mail programs log in and send at 587 and 465, and verify who they send to; what ann sends to herself she reads by Dovecot's IMAP with the same password

PEERS=long: also those that have to be fetched (mutt, nodemailer). As root in an instance with an account for each part; else without Dovecot.
"""
import sys
sys.path.insert(0, 'tests')
import imaplib
from instance import *
from tlssink import CA
import peers

LONG = os.environ.get('PEERS') == 'long'
separated = sys.argv[1:] == ['separated']
command = ROOT and not separated and with_accounts('/usr/bin/python3', os.path.abspath(__file__), 'separated')
if command: os.execvp(command[0], command)

ca = CA()
PORT, WRAPPED, CRAM, CRAM_WRAPPED = (free_port() for n in range(4))
i = Instance(options=('-a', '127.0.0.1', '-m', str(PORT), '-M', str(WRAPPED)), separated=separated)
i.mailbox('ann')
i.control('authdelay', '0')
i.control('concurrencysmtpdclient', '200')
certificate = i.home + '/control/servercert.pem'
with open(certificate + '.new', 'w') as f: f.write(open(ca.issue('localhost').pem).read())
os.chmod(certificate + '.new', 0o600)
if ROOT and not separated: own(certificate + '.new')
os.rename(certificate + '.new', certificate)
os.chmod(ca.pem, 0o644)
equal(i.run(i.home + '/bin/pipit-passwd', '-s', '-i', '4096', 'ann', input=b'secret\n'), (0, ''), 'a login, with keys for SCRAM')
i.start()

# A checkpassword program of somebody else, which can CRAM-MD5 (-m: login, response, challenge), at two more ports.
started = []
checker = os.path.join(SCRATCH, 'checker')
with open(checker, 'w') as f: f.write('''#!/usr/bin/python3
import hmac, os, sys
login, answer, challenge = os.read(3, 512).split(b'\\0')[:3]
good = answer == (hmac.new(b'secret', challenge, 'md5').hexdigest().encode() if challenge else b'secret')
if login != b'ann' or not good: sys.exit(1)
os.execvp(sys.argv[1], sys.argv[1:])
''')
os.chmod(checker, 0o755)
for port, more in ((CRAM, ()), (CRAM_WRAPPED, ('-t',))):
    started.append(i.popen(i.home + '/bin/pipit-ofmipd', '-l', '-m', *more, '-a', '127.0.0.1', '-p', str(port), '', 'host', checker, 'true', stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
@atexit.register
def end():
    while started:
        p = started.pop()
        p.terminate()
        p.wait(30)
def listens(port):
    with socket.socket() as s: return not s.connect_ex(('127.0.0.1', port))
check(wait_for(lambda: all(map(listens, (PORT, WRAPPED, CRAM, CRAM_WRAPPED))) and os.path.exists(i.home + '/run/auth'), 30), 'all ports are open')

# --- clients

sent = []
MESSAGE = 'From: Ann <ann>\nTo: ann\nSubject: %s\n\nbody\n'
def sends(name, mechanism, *words, input=None, env={}, cwd=None):
    """A program that sends a message from ann to herself, with its name as the subject."""
    words = [w.replace('@SUBJECT@', name) for w in words]
    before = len(i.mails('ann'))
    p = subprocess.run(words, input=(MESSAGE % name if input is None else input).encode(), env=dict(os.environ, HOME=SCRATCH, SSL_CERT_FILE=ca.pem, **env), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=90, cwd=cwd or SCRATCH)
    mails = [m.decode(errors='replace') for m in i.wait_mails('ann', before + 1)[before:]] if not p.returncode else []
    good = len(mails) == 1 and 'Subject: ' + name in mails[0] and re.search(r'\(ann@.*\n\tby \S+ with ESMTPSA\n\t\(TLSv1\.3 ', mails[0]) and \
        all(re.search('^%s: ' % field, mails[0], re.M | re.I) for field in ('Date', 'Message-ID')) and re.search(r'^From: .*ann@mail\.example', mails[0], re.M)
    if check(good, '%s: %s' % (name, mechanism)): sent.append(name)
    else: print(p.returncode, p.stdout.decode(errors='replace')[-900:], mails)

def program(name):
    if shutil.which(name): return True
    skip(name + ' is not installed')

if program('swaks'):
    hmac = {}
    if subprocess.run(['perl', '-MDigest::HMAC_MD5', '-e', '1'], capture_output=True).returncode and LONG:
        try: hmac = {'PERL5LIB': peers.digest_hmac().path('usr/share/perl5')}
        except peers.Unavailable as e: skip('Digest::HMAC_MD5: %s' % e)
    cram = ('CRAM-MD5',) if not subprocess.run(['perl', '-MDigest::HMAC_MD5', '-e', '1'], capture_output=True, env=dict(os.environ, **hmac)).returncode else ()
    if not cram: skip('swaks cannot CRAM-MD5 without Digest::HMAC_MD5')
    for starttls, wrapped, mechanisms in ((PORT, WRAPPED, ('PLAIN', 'LOGIN')), (CRAM, CRAM_WRAPPED, (*cram, 'PLAIN'))):
        for mechanism in mechanisms:
            for port, tls in ((starttls, '--tls'), (wrapped, '--tls-on-connect')):
                sends('swaks %s %s %d' % (mechanism, tls, port), 'arrives', 'swaks', '--server', 'localhost', '--port', str(port), tls, '--tls-verify', '--tls-ca-path', ca.pem, '--auth', mechanism,
                      '-au', 'ann', '-ap', 'secret', '-f', 'ann', '-t', 'ann', '--ehlo', 'client.example', '--h-From', 'Ann <ann>', '--h-Subject', '@SUBJECT@', input='', env=hmac)
try: msmtp, libraries = peers.found_msmtp()
except peers.Unavailable as e: skip('msmtp: %s' % e)
else:
    for starttls, port, cram_port in (('on', PORT, CRAM), ('off', WRAPPED, CRAM_WRAPPED)):
        for mechanism, port in (('plain', port), ('login', port), ('scram-sha-256', port), ('cram-md5', cram_port)):
            sends('msmtp %s starttls=%s' % (mechanism, starttls), 'arrives', msmtp, '-C', '/dev/null', '--host=localhost', '--port=%d' % port, '--tls=on', '--tls-starttls=' + starttls,
                  '--tls-trust-file=' + ca.pem, '--auth=' + mechanism, '--user=ann', '--passwordeval=echo secret', '-f', 'ann', 'ann', env=libraries)
if program('curl'):
    for name, url in (('curl', ['--ssl-reqd', 'smtp://localhost:%d' % PORT]), ('curl smtps', ['smtps://localhost:%d' % WRAPPED])):
        sends(name, 'arrives', 'curl', '-s', '-S', *url, '--cacert', ca.pem, '--user', 'ann:secret', '--mail-from', 'ann@mail.example', '--mail-rcpt', 'ann@mail.example', '--crlf', '-T', '-')
if program('s-nail'):
    for name, url, more in (('s-nail', 'smtp', ('-Ssmtp-use-starttls', '-Ssmtp-config=-all,plain,starttls')), ('s-nail smtps', 'smtps', ('-Ssmtp-config=-all,login',))):
        sends(name, 'arrives', 's-nail', '-:/', '-Sv15-compat', '-Smta=%s://ann:secret@localhost:%d' % (url, PORT if url == 'smtp' else WRAPPED), *more, '-Stls-ca-file=' + ca.pem,
              '-Stls-ca-no-defaults', '-Stls-verify=strict', '-Shostname=client.example', '-Sfrom=ann@mail.example', '-Ssendwait', '-s', '@SUBJECT@', 'ann@mail.example', input='body\n')
if program('gsasl'):
    p = subprocess.run(['gsasl', '--smtp', '-m', 'SCRAM-SHA-256', '-a', 'ann', '-p', 'secret', '--connect', 'localhost:%d' % PORT, '--starttls', '--no-cb', '--x509-ca-file=' + ca.pem, '--quiet'],
                       input='', text=True, capture_output=True, timeout=60)
    check(p.returncode == 0, 'gsasl: SCRAM-SHA-256 over TLS, the server verified: %r' % (p.stdout + p.stderr)[-300:])
if shutil.which('git') and not subprocess.run(['git', 'send-email', '--help-all'], capture_output=True).returncode or os.path.exists('/usr/lib/git-core/git-send-email'):
    patch = os.path.join(SCRATCH, '0001.patch')
    for name, port, way in (('git send-email', PORT, 'tls'), ('git send-email ssl', WRAPPED, 'ssl')):
        with open(patch, 'w') as f: f.write('From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Ann <ann@mail.example>\nSubject: %s\n\nbody\n---\n' % name)
        sends(name, 'arrives', 'git', 'send-email', '--smtp-server=localhost', '--smtp-server-port=%d' % port, '--smtp-encryption=' + way, '--smtp-ssl-cert-path=' + ca.pem, '--smtp-user=ann',
              '--smtp-pass=secret', '--smtp-auth=PLAIN', '--from=Ann <ann@mail.example>', '--to=ann@mail.example', '--confirm=never', '--quiet', '--suppress-cc=all', patch, input='',
              env={'GIT_CONFIG_NOSYSTEM': '1', **{'GIT_%s_%s' % (who, what): 'ann@mail.example' for who in ('AUTHOR', 'COMMITTER') for what in ('NAME', 'EMAIL')}})
else: skip('git send-email is not installed')
for name, make in (('smtplib', 'smtplib.SMTP("localhost", %d); s.starttls(context=c)' % PORT), ('smtplib SSL', 'smtplib.SMTP_SSL("localhost", %d, context=c)' % WRAPPED)):
    sends(name, 'arrives', sys.executable, '-c', 'import smtplib, ssl, sys; c = ssl.create_default_context(cafile=%r); s = %s; s.login("ann", "secret"); s.sendmail("ann", ["ann"], sys.stdin.read()); s.quit()'
          % (ca.pem, make))

def long(peer, run):
    try: run(peer())
    except peers.Unavailable as e: skip('%s: %s' % (peer.__name__, e))

def mutt(p):
    for name, url in (('mutt', 'smtp://ann:secret@localhost:%d' % PORT), ('mutt smtps', 'smtps://ann:secret@localhost:%d' % WRAPPED)):
        settings = 'set smtp_url="%s"; set ssl_starttls=yes; set ssl_force_tls=yes; set certificate_file="%s"; set from=ann@mail.example; set hostname=client.example; set copy=no; ' \
                   'set smtp_authenticators="plain"; set tmpdir="%s"' % (url, ca.pem, SCRATCH)
        sends(name, 'arrives', p.path('usr/bin/mutt'), '-n', '-F', '/dev/null', '-e', settings, '-s', '@SUBJECT@', 'ann@mail.example', input='body\n',
              env={'LD_LIBRARY_PATH': p.env['LD_LIBRARY_PATH'], 'SASL_PATH': ':'.join(glob.glob(p.path('usr/lib/*/sasl2')) + glob.glob('/usr/lib/*/sasl2'))})

def nodemailer(path):
    for name, port, secure in (('nodemailer', PORT, 'false'), ('nodemailer secure', WRAPPED, 'true')):
        for method in ('PLAIN', 'LOGIN'):
            sends('%s %s' % (name, method), 'arrives', 'node', '-e', '''
const t = require('nodemailer').createTransport({host: 'localhost', port: %d, secure: %s, requireTLS: true, name: 'client.example', authMethod: '%s', auth: {user: 'ann', pass: 'secret'},
                                                 tls: {ca: require('fs').readFileSync('%s')}})
t.sendMail({from: 'Ann <ann@mail.example>', to: 'ann@mail.example', subject: '@SUBJECT@', text: 'body'}).catch(e => { console.log(e); process.exitCode = 1 })''' % (port, secure, method, ca.pem),
                  env={'NODE_PATH': path})

if LONG:
    long(peers.mutt, mutt)
    long(peers.nodemailer, nodemailer)

# --- Dovecot, with users/passwd as well

def start_dovecot(peer):
    """It, at a port for IMAP in clear; or None. It wants /usr/bin/doveconf and /usr/lib/dovecot, which are there in this mount namespace."""
    base, conf, port = os.path.join(SCRATCH, 'dovecot'), os.path.join(SCRATCH, 'dovecot.conf'), free_port()
    os.mkdir(base)
    with open(conf, 'w') as f: f.write('''
import_environment = LD_LIBRARY_PATH
base_dir = %(base)s
libexec_dir = %(root)s/usr/lib/dovecot
mail_plugin_dir = %(root)s/usr/lib/dovecot/modules
log_path = %(base)s.log
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
first_valid_uid = 1
protocols = imap
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
mail_location = maildir:%(home)s/alias/%%n
service auth {
  user = root
}
service imap-login {
  chroot =
  inet_listener imap {
    address = 127.0.0.1
    port = %(port)d
  }
}
passdb {
  driver = passwd-file
  args = username_format=%%u %(home)s/users/passwd
}
userdb {
  driver = static
  args = uid=pipita gid=pipita home=%(home)s/alias
}
''' % {'base': base, 'root': peer.root, 'home': i.home, 'port': port})
    peer.env['LD_LIBRARY_PATH'] += ':' + peer.path('usr/lib/dovecot/modules/old-stats')
    private_mounts()
    for there in ('/usr/bin', '/usr/lib'):
        if subprocess.run(['mount', '-t', 'overlay', '-o', 'lowerdir=%s:%s' % (peer.path(there[1:]), there), 'overlay', there]).returncode: return None
    started.append(peer.start('usr/sbin/dovecot', '-F', '-c', conf, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return port, base + '.log'

def read_by_imap(port):
    with imaplib.IMAP4('127.0.0.1', port) as m:
        try: m.login('ann', 'wrong')
        except imaplib.IMAP4.error: pass
        equal(m.state, 'NONAUTH', "another password is not ann's, in Dovecot")
        m.login('ann', 'secret')
        m.select('INBOX', readonly=True)
        texts = [parts[0][1].decode() for n in m.search(None, 'ALL')[1][0].split() for parts in [m.fetch(n, '(BODY.PEEK[HEADER])')[1]]]
    subjects = [re.search(r'^Subject: (?:\[PATCH\] )?(.*?)\r$', t, re.M)[1] for t in texts]
    equal(sorted(subjects), sorted(sent), 'what ann sent to herself, by %d ways, she reads by IMAP with the same password' % len(sent))

try: dovecot = peers.dovecot() if separated else skip('Dovecot needs root here')
except peers.Unavailable as e: dovecot = skip('Dovecot: %s' % e)
if dovecot:
    running = start_dovecot(dovecot)
    if not running: skip('no overlay: no Dovecot')
    elif check(wait_for(lambda: listens(running[0]), 20), 'Dovecot runs'): read_by_imap(running[0])
    else: print(open(running[1]).read()[-2000:])

equal([l for lines in i.logs().values() for l in lines if 'secret' in l], [], 'no password is in a log')
end()
equal(i.stop(), [], 'stopping leaves no process')
done()
