"""Logins in a separated instance: swaks, curl and smtplib over TLS, accounts, who can open the passwords, fail2ban, Dovecot, PAM, checkpw"""
import sys
sys.path.insert(0, 'tests')
import base64, hashlib, poplib, ssl
from instance import *
from authd import Scram
import peers

begin_with_accounts(__file__)

USER = pwd.getpwnam('nobody')
POP3 = free_port()
i = Instance(separated=True, options=('-a', '127.0.0.1', '-p', str(POP3)))
run_file = i.home + '/service/smtpd/run'
with open(run_file) as f: text = f.read()
with open(run_file, 'w') as f: f.write(text.replace('set -- -l\n', 'set -- -l -A\n'))
i.control('senders', 'ann@mail.example:self\nbob:any')
i.control('authdelay', '0')
i.control('relayopentime', '60')
i.start()
PASSWD = i.home + '/bin/pipit-passwd'
def passwd(*args, password=''): return i.run(PASSWD, *args, input=password.encode() + b'\n')
equal(passwd('-s', '-i', '4096', 'ann@mail.example', password='secret'), (0, ''), 'a login')
equal(passwd('-u', 'nobody', '-h', SCRATCH, '-i', '4096', 'bob', password='pencil'), (0, ''), 'one that is a user')
check(wait_for(lambda: 'ready' in ''.join(i.log('authd'))), 'pipit-authd is ready')

# --- who can open the passwords
for name in conf_users() + ['nobody']:
    p = subprocess.run(['setpriv', '--reuid', name, '--regid', str(pwd.getpwnam(name).pw_gid), '--init-groups', 'cat', i.home + '/users/passwd.cdb', i.home + '/users/passwd'], capture_output=True)
    equal((p.returncode, p.stdout), (1, b''), '%s cannot open users/passwd and users/passwd.cdb' % name)
p = subprocess.run(['setpriv', '--reuid', 'pipitd', '--regid', 'pipitd', '--clear-groups', PASSWD, '-d', 'bob'], capture_output=True, env=i.env)
equal(p.returncode, 111, 'nor change them')

# --- clients
def swaks(*args):
    p = subprocess.run(['swaks', '-s', '127.0.0.1', '-p', str(i.port), '-f', 'ann@mail.example', '-t', 'x@mail.example', '-au', 'ann@mail.example', *args],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout
i.mailbox('x')
for kind in ('PLAIN', 'LOGIN'): equal(swaks('-tls', '--auth', kind, '-ap', 'secret')[0], 0, 'swaks over TLS: %s' % kind)
check(swaks('--auth', 'PLAIN', '-ap', 'secret')[0] == 28, 'swaks in clear: AUTH is not offered')
check('535 5.7.8' in swaks('-tls', '--auth', 'PLAIN', '-ap', 'wrong')[1], 'a wrong password')
trace = i.wait_mails('x', 2)[0].decode()
check('with ESMTPSA' in trace and '(ann@mail.example@' in trace, 'Received: %r' % trace[:200])
check(wait_for(lambda: any(': accepted ' in l and ' login=ann@mail.example ' in l for l in i.log('smtpd'))), 'the log names the login')
c = i.smtp()
c.starttls(context=ssl._create_unverified_context())
equal(c.login('ann@mail.example', 'secret')[0], 235, "Python's smtplib over TLS")
c.mail('eve@elsewhere.example')
code, text = c.mail('eve@elsewhere.example')
equal((code, text[:5]), (553, b'5.7.1'), 'control/senders')
c.close()
if shutil.which('curl'):
    p = subprocess.run(['curl', '-sk', '--ssl-reqd', 'smtp://127.0.0.1:%d' % i.port, '--user', 'ann@mail.example:secret', '--mail-from', 'ann@mail.example', '--mail-rcpt', 'x@mail.example',
                        '-T', '-'], input=b'Subject: x\r\n\r\ny\r\n', capture_output=True)
    equal(p.returncode, 0, 'curl over TLS')
else: skip('curl is not there')
if shutil.which('gsasl'):
    p = subprocess.run(['gsasl', '--smtp', '-m', 'SCRAM-SHA-256', '-a', 'ann@mail.example', '-p', 'secret', '--connect', '127.0.0.1:%d' % i.port, '--starttls',
                        '--x509-ca-file=', '--quiet', '--no-cb'], input='', text=True, capture_output=True, timeout=60)
    check(p.returncode == 0, 'gsasl over TLS: SCRAM-SHA-256: %r' % (p.stdout + p.stderr)[-200:])
else: skip('gsasl is not there')

# --- accounts
ask = '''
import os, socket, sys
sys.path.insert(0, 'tests')
os.environ.setdefault('SCRATCH', %r); os.environ.setdefault('BIN', %r)
import authd
class A(authd.Authd):
    def __init__(self, home): self.home = home
print(authd.Authd.ask(A(%r), login='bob', secret='pencil'), end='')
'''
def asks(name):
    script = ask % (SCRATCH, os.environ['BIN'], i.home)
    p = subprocess.run(['setpriv', '--reuid', name, '--regid', str(pwd.getpwnam(name).pw_gid), '--clear-groups', '/usr/bin/python3', '-c', script], capture_output=True, text=True)
    return p.stdout or p.stderr.strip().split('\n')[-1]
equal(asks('pipitd'), 'Kbob', 'pipitd may ask')
for name in ('pipitr', 'pipitq', 'nobody'): check('Permission' in asks(name) or asks(name) == '', '%s may not' % name)
def checkpass(login, password, *program):
    r, w = os.pipe()
    os.write(w, ('%s\0%s\0\0' % (login, password)).encode())
    os.close(w)
    p = subprocess.run(['sh', '-c', 'exec 3<&%d; exec "$@"' % r, 'sh', i.home + '/bin/pipit-checkpass', *program], pass_fds=[r], capture_output=True, text=True, env=i.env)
    os.close(r)
    return p.returncode, p.stdout + p.stderr
equal(checkpass('bob', 'pencil', 'sh', '-c', 'echo $(id -u) $(id -g) $(id -G) $(pwd)'), (0, '%d %d %d %s\n' % (USER.pw_uid, USER.pw_gid, USER.pw_gid, SCRATCH)), 'pipit-checkpass becomes the user')
equal(checkpass('ann@mail.example', 'secret', 'id', '-un'), (0, 'pipitd\n'), 'a login without a user becomes pipitd')
code, out = checkpass('bob', 'pencil', 'cat', i.home + '/users/passwd.cdb')
check(code == 1 and 'Permission' in out, 'and cannot open the passwords')

# --- PAM, where the service is one of this test's mount namespace
pam = os.path.join(SCRATCH, 'pam.d')
os.mkdir(pam)
with open(pam + '/pipit', 'w') as f: f.write('auth required pam_permit.so\naccount required pam_permit.so\n')
private_mounts()
if os.path.isdir('/etc/pam.d') and subprocess.run(['mount', '--bind', pam, '/etc/pam.d']).returncode == 0:
    def with_pam(login): 
        r, w = os.pipe()
        os.write(w, ('%s\0x\0\0' % login).encode())
        os.close(w)
        p = subprocess.run(['sh', '-c', 'exec 3<&%d; exec "$@"' % r, 'sh', i.home + '/bin/pipit-checkpass', '-p', 'sh', '-c', 'cd /; id -u'], pass_fds=[r], capture_output=True, text=True, env=i.env)
        os.close(r)
        return p.returncode, p.stdout + p.stderr
    code, out = with_pam('games')
    if 'without PAM' in out: skip('built without PAM')
    else:
        check((code, out) == (0, '%d\n' % pwd.getpwnam('games').pw_uid) or 'change to' in out, 'PAM lets a user of the system in: %r' % out)
        with open(pam + '/pipit', 'w') as f: f.write('auth required pam_deny.so\naccount required pam_permit.so\n')
        equal(with_pam('games')[0], 1, 'PAM refuses him')
        with open(pam + '/pipit', 'w') as f: f.write('auth required pam_permit.so\naccount required pam_permit.so\n')
        equal(with_pam('root'), (1, ''), 'nobody becomes root, nor is told that his password is right')
        with open(pam + '/pipit', 'w') as f: f.write('auth required pam_no_such_module.so\n')
        check(with_pam('games')[0] in (1, 111), 'a module that is missing')
    subprocess.run(['umount', '/etc/pam.d'])
else: skip('no PAM here')

# --- fail2ban
for login in ('evil', 'x" ip=192.0.2.99 login=', 'two words', 'a\nb', 'the last one'):
    c = i.smtp()
    c.starttls(context=ssl._create_unverified_context())
    try: c.login(login, 'wrong')
    except smtplib.SMTPException: pass
    c.close()
# Lines come to the file in their order, but after the replies: smtplib tries LOGIN last.
check(wait_for(lambda: any('mechanism=LOGIN login="the last one"' in l for l in i.log('authd')), 30), 'the last failure is in the log')
lines = [l for l in i.log('authd') if 'auth failed' in l]
check(len(lines) >= 5, 'each failure has a line: %d' % len(lines))
try: f2b = peers.fail2ban()
except peers.Unavailable as e: skip('fail2ban: %s' % e)
else:
    p = subprocess.run(['/usr/bin/python3', f2b.path('usr/bin/fail2ban-regex'), i.home + '/log/authd/current', 'run/fail2ban/pipit.conf', '--print-all-matched'],
                       env=dict(os.environ, PYTHONPATH=f2b.path('usr/lib/python3/dist-packages')), capture_output=True, text=True)
    m = re.search(r'Lines: (\d+) lines, (\d+) ignored, (\d+) matched', p.stdout)
    check(m and int(m[3]) == len(lines), 'fail2ban-regex matches each of %d, and nothing else: %r' % (len(lines), p.stdout[-400:] + p.stderr[-200:]))
    check('192.0.2.99' not in ''.join(re.findall(r'Addresses found.*', p.stdout)), 'and nobody else is accused')

# --- Dovecot, with the same file
try: dovecot = peers.dovecot()
except peers.Unavailable as e: skip('Dovecot: %s' % e)
else:
    passwd('carl', password='crypted')
    base, conf = os.path.join(SCRATCH, 'dovecot'), os.path.join(SCRATCH, 'dovecot.conf')
    os.mkdir(base)
    with open(conf, 'w') as f: f.write('''
import_environment = LD_LIBRARY_PATH
base_dir = %s
libexec_dir = %s
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
log_path = %s.log
ssl = no
protocols =
auth_failure_delay = 0
service auth {
  user = root
}
passdb {
  driver = passwd-file
  args = scheme=CRYPT username_format=%%u %s/users/passwd
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/
}
''' % (base, dovecot.path('usr/lib/dovecot'), base, i.home))
    # It executes /usr/bin/doveconf, which is there in this mount namespace.
    dovecot.env['LD_LIBRARY_PATH'] += ':' + dovecot.path('usr/lib/dovecot/modules/old-stats')
    if subprocess.run(['mount', '-t', 'overlay', '-o', 'lowerdir=%s:/usr/bin' % dovecot.path('usr/bin'), 'overlay', '/usr/bin']).returncode: skip('no overlay: no Dovecot')
    else:
        d = dovecot.start('usr/sbin/dovecot', '-F', '-c', conf, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(base + '/auth-client'), 60)
        def doveadm(login, password): return dovecot.run('usr/bin/doveadm', '-c', conf, 'auth', 'test', login, password).returncode
        equal([doveadm('carl', 'crypted'), doveadm('carl', 'x'), doveadm('ann@mail.example', 'secret'), doveadm('ann@mail.example', 'x')], [0, 77, 0, 77],
              'Dovecot takes and refuses the same logins, of hashes and of keys')
        d.terminate()
        d.wait(20)
    passwd('-D', 'carl')

# --- checkpw, a checkpassword program of somebody else, which checks Maildir/.password of a user of the system
JOE = 64300 # in this test's /etc/passwd alone
joe = os.path.join(SCRATCH, 'joe')
def codes(port):
    """What logins get over TLS, each in a session of its own."""
    found = []
    for login, password in (('joe', 'sesame'), ('joe', 'wrong'), ('joe', 'another'), ('nojoe', 'sesame')): # another is his in users/passwd
        with smtplib.SMTP('127.0.0.1', port, timeout=30) as c:
            c.starttls(context=ssl._create_unverified_context())
            c.ehlo()
            found.append(c.docmd('AUTH', 'PLAIN ' + base64.b64encode(('\0%s\0%s' % (login, password)).encode()).decode())[0])
    return found

def listens(port):
    with socket.socket() as s: return not s.connect_ex(('127.0.0.1', port))

def checkpw_cases(peer):
    def copy(name, mode, to):
        path = os.path.join(SCRATCH, to)
        shutil.copy(peer.path('usr/bin/' + name), path)
        os.chmod(path, mode)
        return path
    checkpw, checkapoppw = copy('checkpw', 0o755, 'checkpw'), copy('checkapoppw', 0o755, 'checkapoppw')
    setuid = copy('checkpw', 0o4755, 'setuid-checkpw') # as sites of qmail have it where servers run it that are not root
    with open(os.path.join(SCRATCH, 'passwd'), 'a') as f: f.write('joe:x:%d:%d::%s:/bin/sh\n' % (JOE, JOE, joe))
    for d in ('', '/Maildir', '/Maildir/tmp', '/Maildir/new', '/Maildir/cur'): os.mkdir(joe + d, 0o700)
    for name, text in (('.password', 'sesame\n'), ('new/1', 'Subject: hi\n\nhello joe\n')):
        with open(joe + '/Maildir/' + name, 'w') as f: f.write(text)
        os.chmod(f.name, 0o600)
    for d, ds, fs in os.walk(joe):
        for n in ('.', *fs): os.chown(os.path.join(d, n), JOE, JOE)
    passwd('joe', password='another')

    # Behind pipit-authd.
    with open(i.home + '/service/authd/env/CHECKER', 'w') as f: f.write(checkpw + '\n')
    equal(i.run('s6-svc', '-wR', '-T', '20000', '-r', i.home + '/service/authd')[0], 0, 'pipit-authd begins anew, with checkpw')
    equal(codes(i.port), [235, 535, 535, 535], 'pipit-smtpd asks it: the right password, wrong ones, a user that is not there')
    def pop3(password):
        c = poplib.POP3('127.0.0.1', POP3, timeout=30)
        c.stls(ssl._create_unverified_context())
        c.user('joe')
        try: c.pass_(password)
        except poplib.error_proto as e: return e.args[0][:11]
        return c
    equal(pop3('another'), b'-ERR [AUTH]', 'POP3: a wrong password')
    c = pop3('sesame')
    equal([open('/proc/%d/status' % p).read().split('Uid:')[1].split('\n')[0].split() for p in i.pids('pipit-pop3d')], [[str(JOE)] * 4], 'the session runs as the user')
    equal(c.retr(1)[1], [b'Subject: hi', b'', b'hello joe'], 'in his Maildir')
    c.quit()
    check(wait_for(lambda: os.listdir(joe + '/Maildir/cur')) == ['1:2,'], 'where the message is no longer new')

    # On command lines.
    for name in ('pipit-smtpd', 'pipit-ofmipd'):
        port = free_port()
        p = i.popen(i.home + '/bin/' + name, '-l', '-a', '127.0.0.1', '-p', str(port), 'host', setuid, 'true', stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: listens(port), 30)
            if os.statvfs(SCRATCH).f_flag & os.ST_NOSUID: skip('%s: nothing here is setuid' % name)
            else: equal(codes(port), [235, 535, 535, 535], '%s host checkpw true' % name)
        finally:
            p.terminate()
            p.wait(30)
    def popup(program, *options, say):
        """What pipit-popup replies, with the program on its command line, as root's tcpserver starts it; say makes the lines out of its greeting."""
        a, b = socket.socketpair()
        with a:
            a.settimeout(30)
            p = i.popen(i.home + '/bin/pipit-popup', *options, 'host', program, i.home + '/bin/pipit-pop3d', 'Maildir', stdin=b, stdout=b, stderr=subprocess.DEVNULL, env=dict(i.env, TCPREMOTEIP='127.0.0.1'))
            b.close()
            f = a.makefile('rb')
            a.sendall(say(f.readline()) + b'STAT\r\nQUIT\r\n')
            lines = [l.rstrip().decode() for l in f]
            f.close()
        p.wait(30)
        return lines
    GOOD = ['+OK', '+OK 1 23', '+OK']
    equal(popup(checkpw, say=lambda g: b'USER joe\r\nPASS sesame\r\n')[1:], GOOD, 'pipit-popup host checkpw pipit-pop3d Maildir')
    check(popup(checkpw, say=lambda g: b'USER joe\r\nPASS another\r\n')[1].startswith('-ERR [AUTH]'), 'a wrong password')
    def apop(password): return lambda g: b'APOP joe %s\r\n' % hashlib.md5(re.search(b'<.*>', g)[0] + password).hexdigest().encode()
    equal(popup(checkapoppw, '-m', say=apop(b'sesame')), GOOD, 'pipit-popup -m host checkapoppw pipit-pop3d Maildir')
    check(popup(checkapoppw, '-m', say=apop(b'another'))[0].startswith('-ERR [AUTH]'), 'a wrong password')

try: checkpw_cases(peers.checkpw())
except peers.Unavailable as e: skip('checkpw: %s' % e)

equal(i.stop(), [], 'stopping leaves no process')
done()
