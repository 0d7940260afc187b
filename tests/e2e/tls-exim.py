"""Mail over TLS to Exim, which speaks it by GnuTLS: by STARTTLS and from connecting on, verified and not, TLS 1.2 and 1.3"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from privatepostfix import add_account
from tlssink import CA
import peers

if os.environ.get('PEERS') != 'long':
    skip('Exim as a TLS server: make check-peers')
    done()
try: peer = peers.exim()
except peers.Unavailable as e:
    skip('Exim: %s' % e)
    done()
if not private_mounts():
    skip('a private Exim can only be run by root')
    done()
add_account('Debian-exim', 64290, '')
ca = CA('ca')
pair = ca.issue('mail.example', '127.0.0.1')
COUNT = 200
top = os.path.join(SCRATCH, 'exim')
for d in ('', '/spool', '/log'):
    os.mkdir(top + d)
    os.chown(top + d, 64290, 64290)
port, wrapped = free_port(), free_port()
CONFIG = '''
exim_user = 64290
exim_group = 64290
never_users =
primary_hostname = mail.example
spool_directory = %(top)s/spool
log_file_path = %(top)s/log/%%slog
pid_file_path = %(top)s/pid
daemon_smtp_ports = %(port)d : %(wrapped)d
tls_on_connect_ports = %(wrapped)d
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = %(pem)s
tls_privatekey = %(pem)s
tls_require_ciphers = ${readfile{%(top)s/priority}{}}
log_selector = +tls_cipher +tls_sni +received_recipients
acl_smtp_rcpt = accept
disable_ipv6
host_lookup =
keep_environment =
rfc1413_hosts =
queue_only
begin acl
''' % dict(top=top, port=port, wrapped=wrapped, pem=pair.pem)
with open(top + '/config', 'w') as f: f.write(CONFIG)
def priority(text):
    with open(top + '/priority', 'w') as f: f.write(text)
priority('NORMAL')
root = reachable(peer.root)
os.chmod(pair.pem, 0o644)
env = dict(peer.env, LD_LIBRARY_PATH=peer.env['LD_LIBRARY_PATH'].replace(peer.root, root))
exim = subprocess.Popen([root + '/usr/sbin/exim4', '-C', top + '/config', '-bdf'], env=env, stdin=subprocess.DEVNULL, stdout=open(top + '/out', 'w'), stderr=subprocess.STDOUT)
atexit.register(exim.kill)
def log():
    return ''.join(open(f).read() for f in [top + '/out'] + glob.glob(top + '/log/*'))
def listens():
    with socket.socket() as s: return s.connect_ex(('127.0.0.1', port)) == 0
if not check(wait_for(listens, 20), 'a private Exim runs'):
    print(log())
    done()
i = Instance(me='sender.example')
i.control('serverca.pem', open(ca.pem).read())
i.start()
def mails():
    """Header and body of each message in its queue."""
    return [open(f, 'rb').read() + open(f[:-1] + 'D', 'rb').read() for f in glob.glob(top + '/spool/input/**/*-H', recursive=True)]

def send(count, subject, policy, to=port):
    """The lines of send's log on these."""
    i.control('smtproutes', 'mail.example:[127.0.0.1]:%d\n' % to)
    i.control('tlsdestinations', policy)
    i.hup()
    before, lines = len(mails()), len(i.log('send'))
    for n in range(count): i.sendmail('-f', 'a@sender.example', 'x@mail.example', input=b'Subject: %s %d\n\n%s' % (subject.encode(), n, b'body\n' * 3000))
    if not check(wait_for(lambda: len(mails()) == before + count, 60), '%d messages: %s' % (count, subject)):
        print('\n'.join(i.log('send')[-5:]), log()[-2000:], sep='\n')
        done()
    equal(sum(1 for m in mails() if re.search(rb' Subject: %s \d+$' % subject.encode(), m, re.M) and m.endswith(b'-D\n' + b'body\n' * 3000)), count, 'whole')
    wait_for(lambda: sum(1 for l in i.log('send')[lines:] if ': success: ' in l) == count)
    return [l for l in i.log('send')[lines:] if ': success: ' in l]

lines = send(COUNT, 'verified', 'mail.example:verify')
check(lines and all(re.search(r' tls=TLSv1\.3 cipher=TLS_\S+ verified=yes$', l) for l in lines), 'the log: %r' % lines[-1:])
check(len(re.findall(r'<= a@sender\.example .* X=TLS1\.3:', log())) == COUNT, 'and that of Exim')
priority('NORMAL:-VERS-TLS1.3')
lines = send(2, 'older', 'mail.example:verify fingerprint=' + pair.print())
check(lines and all(re.search(r' tls=TLSv1\.2 cipher=ECDHE-\S+ verified=fingerprint$', l) for l in lines), 'TLS 1.2, by fingerprint: %r' % lines[-1:])
lines = send(2, 'wrapped', 'mail.example:verify wrapper', wrapped)
check(len(lines) == 2, 'TLS from connecting on')
priority('NORMAL:-VERS-ALL:+VERS-TLS1.1')
lines = send(2, 'clear', 'mail.example:may')
check(lines and all(' tls=no tlswhy=' in l for l in lines), 'with what cannot be spoken any more, in clear: %r' % lines[-1:])
i.control('tlsdestinations', 'mail.example:encrypt')
i.hup()
i.sendmail('-f', 'a@sender.example', 'x@mail.example', input=b'Subject: no\n\nx\n')
check(wait_for(lambda: any(': deferral: ' in l and 'status=4.7.5' in l for l in i.log('send'))), 'encrypt: it waits')
done()
