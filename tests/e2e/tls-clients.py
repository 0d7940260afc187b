"""Mail programs of other people send over TLS, and verify who they send to; PEERS=long: all of them, and what looks for flaws"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from tlsserver import certificate
import json, ssl
import peers

LONG = os.environ.get('PEERS') == 'long'
i = Instance()
CERT = i.home + '/control/servercert.pem'
certificate(CERT, 'localhost')
ca = os.path.join(SCRATCH, 'ca.pem') # without the key
with open(ca, 'w') as f: f.write(ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(re.search('-----BEGIN CERT.*?-----END CERTIFICATE-----', open(CERT).read(), re.S)[0])))
os.chmod(ca, 0o644)
i.control('concurrencysmtpdclient', '200')
i.start()
wrapped = free_port()
wrapper = i.popen(os.path.join(BIN, 'pipit-smtpd'), '-l', '-t', '-a', '127.0.0.1', '-p', str(wrapped), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
atexit.register(wrapper.terminate)
wait_for(lambda: socket.socket().connect_ex(('127.0.0.1', wrapped)) == 0, 30)
PORT = str(i.port)
TEXT = b'From: sender@client.example\nTo: x@mail.example\nSubject: over TLS\n\nbody\n'

def sends(name, local, *command, input=TEXT, env={}, peer=None, cwd=None):
    """A program that sends TEXT, or a message of its own, to <local>@mail.example; wrong certificates are refused."""
    i.mailbox(local)
    for trust, right in ((ca, True), (other, False)):
        args = [a.replace('@CA@', trust) for a in command]
        p = subprocess.run(args, input=input, env=dict(peer.env if peer else os.environ, **{k: v.replace('@CA@', trust) for k, v in env.items()}), timeout=60,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd or SCRATCH)
        if right:
            mails = i.wait_mails(local, 1, 60)
            if not check(p.returncode == 0 and len(mails) == 1 and re.search(rb'with E?SMTPS?\n\t\(TLSv1\.[23] \S+\) id ', mails[0]), name + ': delivered over TLS'):
                print(p.returncode, p.stdout[-600:], mails[:1])
        else: check(len(i.mails(local)) == 1, name + ': not to a server with another certificate')

other = os.path.join(SCRATCH, 'other.pem')
certificate(other, 'localhost')
os.chmod(other, 0o644)

def program(name):
    if shutil.which(name): return True
    skip(name + ' is not installed')

if program('swaks'):
    sends('swaks', 'swaks', 'swaks', '--server', 'localhost', '--port', PORT, '--tls', '--tls-verify', '--tls-ca-path', '@CA@', '-f', 'a@client.example',
          '-t', 'swaks@mail.example', '-h', 'client.example')
    sends('swaks, from connecting on', 'swakss', 'swaks', '--server', 'localhost', '--port', str(wrapped), '--tls-on-connect', '--tls-verify', '--tls-ca-path', '@CA@',
          '-f', 'a@client.example', '-t', 'swakss@mail.example', '-h', 'client.example')
if program('curl'):
    for local, url in (('curl', ['--ssl-reqd', 'smtp://localhost:' + PORT]), ('curls', ['smtps://localhost:%d' % wrapped])):
        sends('curl %s' % url[-1][:6], local, 'curl', '-s', *url, '--cacert', '@CA@', '--mail-from', 'a@client.example', '--mail-rcpt', local + '@mail.example', '--upload-file', '-', '--crlf')
if program('s-nail'):
    sends('s-nail', 'snail', 's-nail', '-:/', '-Sv15-compat', '-Smta=smtp://localhost:' + PORT, '-Ssmtp-use-starttls', '-Ssmtp-auth=none', '-Stls-ca-file=@CA@', '-Stls-ca-no-defaults',
          '-Stls-verify=strict', '-Shostname=client.example', '-Sfrom=a@client.example', '-Ssendwait', '-s', 'over TLS', 'snail@mail.example', input=b'body\n')
sends("Python's smtplib", 'smtplib', sys.executable, '-c', '''import smtplib, ssl, sys
s = smtplib.SMTP("localhost", %s, "client.example")
s.starttls(context=ssl.create_default_context(cafile="@CA@"))
s.sendmail("a@client.example", ["smtplib@mail.example"], sys.stdin.read())
s.quit()''' % PORT)
if not LONG: done()

def long(peer, run):
    try: run(peer())
    except peers.Unavailable as e: skip('%s: %s' % (peer.__name__, e))

def msmtp(p):
    sends('msmtp', 'msmtp', p.path('usr/bin/msmtp'), '-C', '/dev/null', '--host=localhost', '--port=' + PORT, '--tls=on', '--tls-starttls=on', '--tls-trust-file=@CA@', '--auth=off',
          '--domain=client.example', '-f', 'a@client.example', 'msmtp@mail.example', peer=p)

def mutt(p):
    settings = 'set smtp_url="smtp://localhost:%s"; set ssl_starttls=yes; set ssl_force_tls=yes; set certificate_file="@CA@"; set from=a@client.example; ' \
               'set hostname=client.example; set copy=no; set smtp_authenticators=""; set tmpdir="%s"' % (PORT, SCRATCH)
    sends('mutt', 'mutt', p.path('usr/bin/mutt'), '-n', '-F', '/dev/null', '-e', settings, '-s', 'over TLS', 'mutt@mail.example', input=b'body\n', peer=p, env={'HOME': SCRATCH})

def git(p):
    patch = os.path.join(SCRATCH, '0001.patch')
    with open(patch, 'wb') as f: f.write(b'From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n' + TEXT + b'---\n')
    perl = ':'.join(p.path(d) for d in ('usr/share/perl5', 'usr/lib/git-core/perl5'))
    sends('git send-email', 'git', 'perl', p.path('usr/lib/git-core/git-send-email'), '--smtp-server=localhost', '--smtp-server-port=' + PORT, '--smtp-encryption=tls',
          '--smtp-ssl-cert-path=@CA@', '--smtp-domain=client.example', '--from=a@client.example', '--to=git@mail.example', '--confirm=never', '--quiet', '--suppress-cc=all', patch,
          input=b'', env={'PERL5LIB': perl, 'HOME': SCRATCH, **{'GIT_%s_%s' % (who, what): 'a@client.example' for who in ('AUTHOR', 'COMMITTER') for what in ('NAME', 'EMAIL')}})

def nodemailer(path):
    sends('nodemailer', 'node', 'node', '-e', '''
const t = require('nodemailer').createTransport({host: 'localhost', port: %s, requireTLS: true, name: 'client.example', tls: {ca: require('fs').readFileSync('@CA@')}})
t.sendMail({from: 'a@client.example', to: 'node@mail.example', subject: 'over TLS', text: 'body'}).catch(e => { console.log(e); process.exitCode = 1 })''' % PORT,
          env={'NODE_PATH': path})

def private(kind, lines):
    """As if /etc/passwd, or group, had these lines too, for this test alone."""
    text = open('/etc/' + kind).read()
    new = ''.join(l for l in lines.splitlines(True) if not re.search('^%s:' % re.escape(l.split(':')[0]), text, re.M))
    if not new: return
    with open(os.path.join(SCRATCH, kind), 'w') as f: f.write(text + new)
    subprocess.run(['mount', '--bind', os.path.join(SCRATCH, kind), '/etc/' + kind], check=True)

EXIM = '''primary_hostname = client.example
exim_path = %s
spool_directory = %s
log_file_path = %s/%%slog
never_users =
qualify_domain = client.example
keep_environment =
begin routers
all:
  driver = manualroute
  route_list = * localhost
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = %s
  hosts_require_tls = *
  tls_verify_hosts = *
  tls_verify_certificates = @CA@
  tls_verify_cert_hostnames = *
begin retry
* * F,2h,15m
'''

def exim(p):
    if not private_mounts(): return skip('exim: needs root')
    private('passwd', 'Debian-exim:x:64282:64282::/nonexistent:/usr/sbin/nologin\n')
    private('group', 'Debian-exim:x:64282:\n')
    i.mailbox('exim')
    for trust in (other, ca): # with the wrong one the message waits
        spool = os.path.join(SCRATCH, 'exim.' + os.path.basename(trust))
        os.mkdir(spool)
        shutil.chown(spool, 'Debian-exim', 'Debian-exim')
        with open(SCRATCH + '/exim.conf', 'w') as f: f.write((EXIM % (p.path('usr/sbin/exim4'), spool, spool, PORT)).replace('@CA@', trust))
        subprocess.run([p.path('usr/sbin/exim4'), '-C', SCRATCH + '/exim.conf', '-odf', '-oi', '-f', 'a@client.example', 'exim@mail.example'], input=TEXT, env=p.env,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        if trust == other:
            time.sleep(1)
            equal(i.mails('exim'), [], 'Exim: not to a server with another certificate')
    mails = i.wait_mails('exim', 1, 20)
    if not check(mails and re.search(rb'from client\.example .*\n\tby mail\.example with ESMTPS\n\t\(TLSv1\.3 ', mails[0]), 'Exim: delivered over TLS'):
        print(mails, *[open(f, errors='replace').read()[-1500:] for f in glob.glob(spool + '/*log') if os.path.isfile(f)])

def postfix(p):
    try: from privatepostfix import Postfix, add_account
    except ImportError: return skip('Postfix: there is no private one')
    if not private_mounts(): return skip('Postfix: needs root')
    add_account()
    i.mailbox('postfix')
    server = Postfix(p, reachable(p.root), {'ours.example': i.port}, smtp_tls_security_level='encrypt', smtp_tls_loglevel='1', smtp_tls_CAfile=ca, smtp_tls_session_cache_database='btree:' +
                     os.path.join(SCRATCH, 'postfix', 'data', 'smtp_scache'), transport_maps='inline:{postfix@mail.example=smtp:[localhost]:%s}' % PORT, virtual_mailbox_domains='',
                     myhostname='client.example', smtp_tls_policy_maps='inline:{{[localhost]:%s=secure match=localhost}}' % PORT, smtp_host_lookup='native')
    if not check(wait_for(server.ready, 20), 'a private Postfix runs'): return print(server.log())
    count = 30
    for n in range(count):
        s = smtplib.SMTP('127.0.0.1', server.port, 'x.example')
        s.sendmail('a@client.example', ['postfix@mail.example'], TEXT)
        s.quit()
    mails = i.wait_mails('postfix', count, 60)
    if not check(len(mails) == count and all(re.search(rb'with ESMTPS\n\t\(TLSv1\.3 ', m) for m in mails), 'Postfix: %d messages over TLS, verified' % count): print(len(mails), server.log()[-2000:])
    check('Verified TLS connection established to localhost' in server.log(), 'and it says so')
    server.stop()

# --- what looks for flaws ---

def sslscan(p):
    for args in (['--starttls-smtp', 'localhost:' + PORT], ['localhost:%d' % wrapped]):
        out = re.sub(r'\x1b\[[\d;]*m', '', p.run('usr/bin/sslscan', '--no-colour', *args, timeout=300).stdout.decode(errors='replace'))
        on = re.findall(r'^(SSLv\d|TLSv1\.\d)\s+enabled', out, re.M)
        equal(on, ['TLSv1.2', 'TLSv1.3'], 'sslscan %s: versions' % args[0])
        weak = [l for l in out.splitlines() if re.match(r'(Preferred|Accepted)\s', l) and re.search(r'RC4|3DES|DES-|NULL|EXP|MD5|anon|ADH|AECDH|\b(40|56|112) bits', l)]
        equal(weak, [], 'sslscan %s: no weak cipher among %d' % (args[0], len(re.findall(r'^(?:Preferred|Accepted)', out, re.M))))
        check('not vulnerable to heartbleed' in out and not re.search('(?<!not )vulnerable|[Ii]nsecure', out), 'sslscan %s: nothing is found' % args[0])

def real_certificate():
    """One from a CA, in place of the self-signed one, which has its own flaws."""
    def openssl(*args): subprocess.run(['openssl', *args], cwd=SCRATCH, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(SCRATCH + '/ext', 'w') as f: f.write('subjectAltName=DNS:localhost\ncrlDistributionPoints=URI:http://ca.example/crl\nextendedKeyUsage=serverAuth\n')
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=CA of the test', '-keyout', 'root.key', '-out', 'root.crt')
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', 'leaf.key', '-out', 'leaf.csr')
    openssl('x509', '-req', '-in', 'leaf.csr', '-CA', 'root.crt', '-CAkey', 'root.key', '-CAcreateserial', '-days', '89', '-extfile', 'ext', '-out', 'leaf.crt')
    with open(CERT + '.new', 'w') as f: f.writelines(open(SCRATCH + '/' + n).read() for n in ('leaf.key', 'leaf.crt'))
    os.chmod(CERT + '.new', 0o600)
    own(CERT + '.new')
    os.rename(CERT + '.new', CERT)
    return SCRATCH + '/root.crt'

def testssl(p):
    root = real_certificate()
    env = dict(p.env, TESTSSL_INSTALL_DIR=p.path('usr/share/testssl'), PATH=p.path('usr/bin') + ':' + os.environ['PATH'], TERM='dumb')
    install = next((d for d in (p.path('etc/testssl'), p.path('usr/share/testssl'), p.path('usr/share/testssl.sh')) if os.path.isdir(os.path.join(d, 'etc')) or os.path.exists(os.path.join(d, 'cipher-mapping.txt'))), None)
    if install: env['TESTSSL_INSTALL_DIR'] = install
    for args, port in ((['-p', '-s', '-f', '-P', '-S', '-U', '--starttls', 'smtp'], PORT), (['-p', '-s', '-P', '-S'], str(wrapped))):
        report = os.path.join(SCRATCH, 'testssl%s.json' % port)
        r = subprocess.run(['bash', p.path('usr/bin/testssl'), '--warnings', 'batch', '--color', '0', '--nodns', 'none', '--add-ca', root, '--jsonfile', report, '--ip', '127.0.0.1', *args,
                            'localhost:' + port], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1200, cwd=SCRATCH)
        try: found = json.load(open(report))
        except (OSError, ValueError) as e:
            check(False, 'testssl.sh: %s %r' % (e, r.stdout[-500:]))
            return
        bad = ['%(severity)s %(id)s: %(finding)s' % x for x in found if x['severity'] in ('HIGH', 'CRITICAL', 'FATAL')]
        check(len(found) > 40, 'testssl.sh %s: %d things looked at' % (' '.join(args), len(found)))
        equal(bad, [], 'testssl.sh %s: nothing above medium' % ' '.join(args))
        print('  medium: %s' % ['%(id)s: %(finding)s' % x for x in found if x['severity'] == 'MEDIUM'])

long(peers.msmtp, msmtp)
long(peers.mutt, mutt)
long(peers.git_email, git)
long(peers.nodemailer, nodemailer)
long(peers.exim, exim)
long(peers.postfix, postfix)
long(peers.sslscan, sslscan)
long(peers.testssl, testssl)
done()
