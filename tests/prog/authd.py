"""authd.py - pipit-authd, pipit-checkpass, pipit-passwd, pipit-relayopen: who may log in, what failures cost, limits"""
import base64, fcntl, os, re, resource, shutil, signal, smtplib, socket, struct, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from authd import *
from queuefile import crc32c
import smtpsession
from scripts import script

home = make_home()
own(SCRATCH)
STUB = os.path.join(SCRATCH, 'queue.sh')
with open(STUB, 'w') as f: f.write('#!/bin/sh\ncat >/dev/null\ncat <&1 >/dev/null\n')
os.chmod(STUB, 0o755)

def settings(**kw):
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    for name, text in dict(dict(me='host.example', rcpthosts='example.org', authinclear='0.0.0.0/0', authdelay='0'), **kw).items():
        control(home, name, text)

def test_passwd():
    settings()
    path = os.path.join(home, 'users', 'passwd')
    passwd(home, 'Ann@example.org', password='secret')
    passwd(home, '-s', '-i', '4096', 'bob', password='pencil')
    with open(path, 'a') as f: f.write('# a note\n')
    own(path)
    for name in ('passwd', 'passwd.cdb'):
        st = os.stat(os.path.join(home, 'users', name))
        equal((st.st_mode & 0o777, st.st_uid), (0o600, ACCOUNT.pw_uid), 'users/%s is for its owner alone' % name)
    passwd(home, 'ann@EXAMPLE.org', password='other')
    text = open(path).read().split('\n')
    equal([re.sub(r'}.*', '}', l) for l in text], ['Ann@example.org:{CRYPT}', 'bob:{SCRAM-SHA-256}', '# a note', ''],
          'the text: one line for each, others stay')
    check(text[0].startswith('Ann@example.org:{CRYPT}$y$'), 'yescrypt is the default')
    for args, code, why in ((('-D', 'nobody'), 1, 'a login that is not there'), (('-b', 'x'), 100, 'wrong usage'),
                            (('-s', '-D', 'x'), 100, 'options that exclude each other'), (('-u', 'no.such.user', 'x'), 111, 'no such user')):
        equal(passwd(home, *args, password='x')[0], code, why)
    equal(passwd(home, 'a:b', password='x'), (100, 'pipit-passwd: usage: a login has no colon\n'), 'a login with a colon')
    equal(passwd(home, 'x', password='')[0], 100, 'an empty password')
    equal(passwd(home, 'x', password='y' * 600)[0], 100, 'one that is too long')
    before = open(path).read()
    with open(path, 'a') as f: f.write('carl:{ARGON2ID}x\n')
    code, err = passwd(home, '-b')
    check(code == 111 and 'users/passwd' in err and 'line 4' in err and 'write {CRYPT}' in err, 'a line that is wrong is told: %r' % err)
    with open(path, 'w') as f: f.write(before + 'carl:x:0:0::/\n')
    equal(passwd(home, '-b')[0], 111, 'uid 0 is refused')
    with open(path, 'w') as f: f.write(before)
    os.chmod(path, 0o644)
    code, err = passwd(home, '-b')
    check(code == 0 and 'chmod 600' in err, 'compiled again, with a warning: others can read it')
    os.chmod(path, 0o600)

def test_no_hash():
    """Secrets of shadow files, and what is none: nobody's login ends in trouble by them, nor tells which logins there are."""
    settings()
    path = os.path.join(home, 'users', 'passwd')
    kept = open(path).read()
    def write(*lines):
        with open(path, 'w') as f: f.write(''.join(l + '\n' for l in lines))
        own(path)
    for secret in ('x', '', '{CRYPT}', '{CRYPT}*', '{CRYPT}!!', '{CRYPT}x', 'NP', 'LK', 'pencil', '$7', '$y$', '$99$abcdefghijklmnop'):
        before = open(path + '.cdb', 'rb').read()
        write('# a note', 'svc:' + secret)
        code, err = passwd(home, '-b')
        check(code == 111 and err.count('\n') == 1 and 'users/passwd: line 2: ' in err and 'or ! to disable' in err and open(path + '.cdb', 'rb').read() == before, '%r is refused: %r' % (secret, err))
    for secret in ('*', '!', '!!', '*LK*', '!*', '*NP*', '!x', '!{ARGON2ID}x', '!{SCRAM-SHA-256}x'):
        write('svc:' + secret, *kept.split('\n')[:-1])
        equal(passwd(home, '-b'), (0, ''), '%r is that of a disabled login' % secret)
        equal([checkpass(l + b'\0x\0\0', 'true') for l in (b'svc', b'nobody', b'ann@example.org')], [(1, '')] * 3, 'which has no password, and is nothing to others')
        equal(checkpass(b'bob\0pencil\0\0', 'true')[0], 0, 'who can log in')
    ours, p = speak([b'D' + Scram('svc', 'x').first().encode(), b'Dx'], 'true')
    equal((p.communicate(timeout=60)[0], p.returncode), (b'', 1), 'nor is there one by SCRAM')
    ours.close()
    write('svc:*')
    equal(passwd(home, '-b')[0], 0, 'a file of disabled logins')
    equal([checkpass(l + b'\0x\0\0', 'true')[0] for l in (b'svc', b'nobody')], [1, 1], 'where nobody can log in')
    write('svc:{CRYPT}$6$' + 'x' * 600, 'ann:' + CRYPTED)
    equal(passwd(home, '-b')[0], 0, 'a secret that is too long for a hash')
    check(CRYPTED.encode() + b'\0' in open(path + '.cdb', 'rb').read().split(b'pipit passwd 1')[1][:300], 'does not stand in for others')
    for dummy in (b'*', b'x', b'', b'{CRYPT}', b'!' + CRYPTED.encode(), b'{ARGON2ID}x'):
        old = lambda key, *fields: (key, struct.pack('>I', crc32c(key + b'\0'.join(fields) + b'\0')) + b'\0'.join(fields) + b'\0')
        write_cdb(path + '.cdb', [old(b'svc', dummy, b'', b'', b'', b''), old(b'eve', CRYPTED.encode(), b'games', b'1', b'/', b''), old(b'ann', CRYPTED.encode(), b'', b'', b'', b''), old(b'', b'pipit passwd 1', b'', b'ab', dummy)])
        own(path + '.cdb')
        equal([checkpass(l + b'\0x\0\0', 'true')[0] for l in (b'nobody', b'ann')], [1, 1], 'a file that was made of such lines is none of unknown logins either')
        equal(checkpass(b'ann\0geheim\0\0', 'true')[0], 0, 'and others can log in')
        equal([checkpass(b'eve\0%s\0\0' % p, 'true')[0] for p in (b'x', b'geheim')], [111, 111], 'an entry whose uid is none is trouble, whatever the password')
    write(*kept.split('\n')[:-1])
    equal(passwd(home, '-b')[0], 0, 'as before')

def checkpass(data, *args, **kw):
    r, w = os.pipe()
    os.write(w, data)
    os.close(w)
    p = as_account(['sh', '-c', 'exec 3<&%d; exec "$@"' % r, 'sh', os.path.join(BIN, 'pipit-checkpass'), *args], pass_fds=[r], stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PIPIT_HOME=home))
    os.close(r)
    out = p.communicate(timeout=60)[0].decode()
    return p.returncode, out

def test_checkpass():
    settings()
    show = ('sh', '-c', 'echo $USER,$HOME,$SHELL,$MAILDIR,$(pwd)')
    for data, code, why in ((b'ann@example.org\0other\0\0', 0, 'a login'), (b'ANN@example.org\0other\0x\0', 0, 'in any case'),
                            (b'ann@example.org\0secret\0\0', 1, 'an old password'), (b'bob\0pencil\0', 0, 'by the keys of SCRAM'), (b'bob\0pencils\0', 1, 'not so'),
                            (b'dora\0x\0\0', 1, 'no such login'), (b'\0x\0\0', 1, 'an empty one'), (b'bob\0pencil', 2, 'no NUL'), (b'', 2, 'nothing'),
                            (b'bob\0' + b'x' * 600 + b'\0', 2, 'over 512 bytes'), (b'bob\0' + b'x' * 500 + b'\0', 1, 'long'), (b'x' * 300 + b'\0x\0', 1, 'a long login')):
        equal(checkpass(data, 'true')[0], code, 'pipit-checkpass: ' + why)
    equal(checkpass(b'bob\0pencil\0\0', *show), (0, 'bob,/,/bin/sh,,/\n'), 'a login without mailbox')
    equal(checkpass(b'bob\0pencil\0\0', 'sh', '-c', 'exit 7')[0], 7, 'the exit code is that of the program')
    equal(checkpass(b'bob\0pencil\0\0', '/nonexistent')[0], 111, 'which is not there')
    equal(checkpass(b'bob\0pencil\0\0')[0], 2, 'or was not given')
    passwd(home, '-d', 'bob')
    equal(checkpass(b'bob\0pencil\0\0', 'true')[0], 1, 'a disabled login')
    passwd(home, '-e', 'bob')
    equal(checkpass(b'bob\0pencil\0\0', 'true')[0], 0, 'which is enabled again')
    path = os.path.join(home, 'users', 'passwd')
    with open(path, 'a') as f: f.write('carl:{SHA512-CRYPT}%s:%d:%d::%s:/bin/false:x=y:z\n' % (CRYPTED, ACCOUNT.pw_uid, ACCOUNT.pw_gid, SCRATCH))
    with open(path, 'a') as f: f.write('eve:%s:1:1::/\n' % CRYPTED)
    equal(passwd(home, '-b')[0], 0, 'lines as Dovecot has them')
    equal(checkpass(b'carl\0geheim\0\0', *show), (0, 'carl,%s,/bin/false,,%s\n' % (SCRATCH, SCRATCH)), 'a login with a home')
    code, out = checkpass(b'eve\0geheim\0\0', 'true')
    check(code == 111 and 'another account' in out, 'an instance of one account becomes nobody else')
    good = open(path + '.cdb', 'rb').read()
    for at in (4, 2048 + 8, len(good) // 2, len(good) - 4):
        bad = bytearray(good)
        bad[at] ^= 0x55
        with open(path + '.cdb', 'wb') as f: f.write(bad)
        codes = {checkpass(d, 'true')[0] for d in (b'carl\0geheim\0\0', b'bob\0pencil\0\0')}
        check(1 not in codes, 'a damaged users/passwd.cdb says of nobody that he is not there: %r' % codes)
    os.unlink(path + '.cdb')
    equal(checkpass(b'bob\0pencil\0\0', 'true')[0], 111, 'nor one that is missing')
    passwd(home, '-b')
CRYPTED = subprocess.run(['openssl', 'passwd', '-6', 'geheim'], capture_output=True, text=True).stdout.strip()

def test_mailbox():
    settings(locals='boxes.example', rcpthosts='boxes.example')
    boxes = os.path.join(SCRATCH, 'boxes')
    os.mkdir(boxes)
    own(boxes)
    with open(os.path.join(home, 'users', 'mailboxes'), 'w') as f: f.write('*%d:%d:%s\n=ann@boxes.example\n.\n' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid, boxes))
    p = subprocess.run([os.path.join(BIN, 'pipit-newmailboxes')], env=dict(os.environ, PIPIT_HOME=home), capture_output=True, text=True)
    if p.returncode: print(p.stderr)
    passwd(home, 'ann@boxes.example', password='x')
    code, out = checkpass(b'ann@boxes.example\0x\0\0', 'sh', '-c', 'echo $HOME,$MAILDIR,$(pwd)')
    check(code == 0 and re.match(r'%s,\./.*ann.*/,%s\n' % (boxes, boxes), out), 'a login of users/mailboxes: HOME and MAILDIR: %r' % out)
    passwd(home, '-D', 'ann@boxes.example')

def cost(login):
    """Processor seconds of a refusal: what else the machine does is not in them."""
    def spent():
        r = resource.getrusage(resource.RUSAGE_CHILDREN)
        return r.ru_utime + r.ru_stime
    before = spent()
    checkpass(login.encode() + b'\0wrong\0\0', 'true')
    return spent() - before

def test_time():
    """Hashes that take long enough for anything else not to matter; the least of several tries, one login after the other."""
    settings()
    shutil.copy(os.path.join(home, 'users', 'passwd'), os.path.join(SCRATCH, 'kept'))
    slow = subprocess.run([sys.executable, '-W', 'ignore', '-c', 'import crypt; print(crypt.crypt("x", "$6$rounds=100000$abcdefgh$"))'], capture_output=True, text=True).stdout.strip()
    with open(os.path.join(home, 'users', 'passwd'), 'w') as f: f.write('ann:%s\nbob:!%s\n' % (slow, slow))
    passwd(home, '-b')
    there, not_there, disabled = map(min, zip(*[[cost(l) for l in ('ann', 'dora', 'bob')] for n in range(5)]))
    check(1 / 3 < not_there / there < 3 and 1 / 3 < disabled / there < 3, 'a login that does not exist, or is disabled, takes as long: %.3f %.3f %.3f' % (there, not_there, disabled))
    shutil.copy(os.path.join(SCRATCH, 'kept'), os.path.join(home, 'users', 'passwd'))
    passwd(home, '-b')

def test_wire():
    settings()
    d = Authd(home)
    equal(d.ready, b'\n', 'readiness is told')
    equal(d.ask(login='bob', secret='pencil'), 'Kbob', 'a login')
    equal(d.ask(login='bob', secret='pencils'), 'N', 'a wrong password')
    equal(d.ask(kind='M'), 'K\1', 'mechanisms: SCRAM where all logins have keys for it')
    equal(scram(d, 'bob', 'pencil'), 'Kbob', 'SCRAM-SHA-256')
    equal(scram(d, 'bob', 'pencils'), 'N', 'with a wrong password')
    equal(scram(d, 'ann@example.org', 'other'), 'N', 'for a login that has no keys')
    equal(scram(d, 'dora', 'x'), 'N', 'for one that does not exist')
    def salts(*logins):
        for login in logins:
            with d.begin('S', extra=Scram(login, 'x').first(), mechanism=3) as s: yield re.search(',s=([^,]*)', s.recv(4096).decode()).group(1)
    for logins in (('dora', 'dora', 'DORA', 'doRA'), ('bob', 'Bob', 'BOB'), ('ann@example.org', 'ANN@example.ORG')):
        equal(len(set(salts(*logins))), 1, 'each has one salt, however it is written, whether it exists or not: %s' % logins[0])
    equal(len(set(salts('dora', 'bob', 'eve'))), 3, 'and of its own')
    for text in ('', 'n', 'n,,', 'y,,n=bob', 'p=tls-unique,,n=bob,r=x', 'n,a=ann,n=bob,r=x', 'n,,n=b=ob,r=x', 'n,,n=bob,r=', 'n,,m=x,n=bob,r=y', 'x,,n=bob,r=y'):
        equal(d.ask('S', extra=text, mechanism=3), 'N', 'no first message: %r' % text)
    with d.begin('S', extra='n,,n=bob,r=x', mechanism=3) as s:
        s.recv(4096)
        s.send(b'X')
        check(s.recv(4096).startswith(b'T'), 'not a conversation')
    for packet in (b'', b'C', b'x' * 2000, b'C' + b'\0' * 111, b'C' + b'\0' * 111 + b'x', b'\xff' * 112, b'Z' + b'\0' * 111):
        with d.connect() as s:
            s.send(packet) if packet else None
            if packet: check(s.recv(4096)[:1] in b'TN', 'not a question')
    equal(d.ask(login='bob', secret='pencil', ip='; rm -rf'), 'Kbob', 'what is no address is none')
    d.stop()
    text = d.text()
    check('pipit-authd: login ip=192.0.2.1 service=smtp mechanism=SCRAM-SHA-256 login=bob\n' in text, 'logins are logged')
    check('auth failed ip=192.0.2.1 service=smtp mechanism=SCRAM-SHA-256 login=dora\n' in text, 'failures too')

def children(pid): return [int(p) for p in os.listdir('/proc') if p.isdigit() and parent(p) == pid]
def parent(pid):
    try: return int(re.search(r'^PPid:\s+(\d+)', open('/proc/%s/status' % pid).read(), re.M)[1])
    except OSError: return None

def conversation(d):
    """One that waits for the client's final message: its socket, the client, what that says, pipit-checkpass and its reader."""
    c = Scram('bob', 'pencil')
    s = d.begin('S', extra=c.first(), mechanism=3)
    final = c.final(s.recv(4096).decode()[1:])
    checker, = children(d.p.pid)
    reader, = children(checker)
    return s, c, b'D' + final.encode(), checker, reader

def test_reader():
    """Who reads what the client has sent: what it is, its end, and that it cannot be had."""
    settings()
    d = Authd(home)
    s, c, final, checker, reader = conversation(d)
    status = dict(re.findall(r'^(\w+):\s+(.*)', open('/proc/%d/status' % reader).read(), re.M))
    equal(([status[k] for k in ('NoNewPrivs', 'Seccomp', 'CapEff', 'CapPrm', 'CapInh', 'CapAmb')], set(status['Uid'].split() + status['Gid'].split())),
          (['1', '2', *['0' * 16] * 4], {str(ACCOUNT.pw_uid), str(ACCOUNT.pw_gid)}), 'who reads has no rights, and seccomp')
    limits = open('/proc/%d/limits' % reader).read()
    equal({k: re.search(r'^Max %s\s+(\S+)\s+(\S+)' % k, limits, re.M).groups() for k in ('processes', 'open files', 'file size', 'data size', 'core file size', 'cpu time')},
          {**dict.fromkeys(('processes', 'open files', 'file size', 'data size', 'core file size'), ('0', '0')), 'cpu time': ('1', '1')}, 'nor processes, files, memory, time')
    if ROOT:
        links = {f: os.readlink('/proc/%d/fd/%s' % (reader, f)) for f in os.listdir('/proc/%d/fd' % reader)}
        held = [os.readlink('/proc/%d/fd/%s' % (checker, f)) for f in os.listdir('/proc/%d/fd' % checker)]
        equal((list(links), links['0'].startswith('socket:'), links['0'] in held), (['0'], True, False), 'and one descriptor, its own')
        equal(os.stat('/proc/%d/mem' % reader).st_uid, 0, 'others of its account cannot look into it')
    s.send(final)
    equal(s.recv(4096).decode()[1:], c.expected, 'it goes on')
    s.send(b'D')
    equal(s.recv(4096), b'Kbob', 'and ends with a login')
    s.close()
    failures = len(d.lines('auth failed'))
    for sig in (signal.SIGKILL, signal.SIGTERM):
        s, c, final, checker, reader = conversation(d)
        os.kill(reader, sig)
        s.send(final)
        check(s.recv(4096).startswith(b'T'), 'who reads is killed: trouble')
        s.close()
        equal(d.lines('pipit-checkpass')[-1:], ['pipit-checkpass: fatal: the reader was killed by signal %d' % sig], 'which is told')
    equal((len(d.lines('pipit-checkpass')), len(d.lines('auth failed'))), (2, failures), 'in one line each, and is no failure')
    s, c, final, checker, reader = conversation(d)
    s.close()
    check(wait_for(lambda: parent(reader) is None and parent(checker) is None), 'who gives up ends both')
    d.stop()

def speak(messages, *command, prefix=()):
    """pipit-checkpass -s with a socket on which the messages wait, and then its end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 50) # not one of the lowest, which are counted
    theirs.close()
    for m in messages: ours.send(m)
    place = 'import os, sys; os.dup2(%d, 3); os.close(%d); os.execvp(sys.argv[1], sys.argv[1:])' % (far, far)
    p = as_account([sys.executable, '-c', place, *prefix, os.path.join(BIN, 'pipit-checkpass'), '-s', *command], pass_fds=[far], stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PIPIT_HOME=home))
    os.close(far)
    return ours, p

def test_reader_trouble():
    settings()
    first = b'D' + Scram('bob', 'pencil').first().encode()
    for prefix, messages, why, line in ((('prlimit', '--nproc=0'), [first], 'no process', 'unable to start the reader: '), (('prlimit', '--nofile=6'), [first], 'no descriptor', 'unable to start the reader: '),
                                        ((), [], 'no message', 'unable to hear pipit-authd: Broken pipe'), ((), [b'Xx'], 'not a message', 'unable to hear pipit-authd: Protocol error'),
                                        ((), [b'D' + b'x' * 1025], 'one that is too long', 'unable to hear pipit-authd: Protocol error'), ((), [first], 'no answer', 'unable to ')):
        ours, p = speak(messages, 'true', prefix=prefix)
        ours.shutdown(socket.SHUT_WR)
        out = p.communicate(timeout=60)[0].decode()
        check(p.returncode == 111 and line in out and out.count('\n') == 1, '%s: %d, %r' % (why, p.returncode, out))
        ours.close()
    c = Scram('bob', 'pencil')
    ours, p = speak([first], 'sh', '-c', 'exec ps --no-headers --ppid $$')
    equal(ours.recv(4096), b'Ibob', 'whose login it is, is told first')
    ours.send(b'D' + c.final(ours.recv(4096).decode()[1:]).encode())
    equal(ours.recv(4096).decode()[1:], c.expected, 'a proof')
    ours.send(b'D')
    equal((ours.recv(4096), p.communicate(timeout=60)[0]), (b'K', b''), 'the program that follows has no child')
    ours.close()

def test_few_descriptors():
    """With fewer descriptors than there may be askers, which is what systems give: 1024."""
    settings()
    for limit in (1024, 16):
        d = Authd(home, prefix=('prlimit', '--nofile=%d:%d' % (limit, limit)))
        equal(d.ask(login='bob', secret='pencil'), 'Kbob', '%d descriptors: a login' % limit)
        idle = [d.connect() for n in range(40)]
        for s in idle[:-1]: s.close()
        equal(d.ask(login='bob', secret='pencil'), 'Kbob', '%d descriptors: and when many have come and gone' % limit)
        idle[-1].close()
        equal((d.stop(), 'unable to poll' in d.text()), (0, False), '%d descriptors: it ends when it is told to' % limit)

def test_failures():
    settings()
    passwd(home, '-s', '-i', '4096', 'ann@example.org', password='other') # quick
    d = Authd(home)
    for n in range(12): equal(d.ask(login='bob', secret='same', ip='192.0.2.7'), 'N', 'the same wrong password again')
    equal(d.ask(login='bob', secret='pencil', ip='192.0.2.7'), 'Kbob', 'harms nobody')
    for n in range(10): d.ask(login='bob', secret='x%d' % n, ip='192.0.2.7')
    check(re.fullmatch(r'W\d+', d.ask(login='bob', secret='pencil', ip='192.0.2.7')), 'after ten it has to wait')
    check(d.ask(login='bob', secret='wrong', ip='192.0.2.7').startswith('W'), 'and nobody is asked meanwhile')
    check(scram(d, 'bob', 'pencil', ip='192.0.2.7').startswith('W'), 'by SCRAM as well')
    equal(d.ask(login='bob', secret='pencil', ip='192.0.2.8'), 'Kbob', 'but not from elsewhere')
    equal(d.ask(login='ann@example.org', secret='other', ip='192.0.2.7'), 'Kann@example.org', 'nor another login from there')
    failed = len(d.lines('auth failed'))
    equal(failed, 22, 'each failure has one line, a refusal none')
    for n in range(50): d.ask(login='user%d' % n, secret='x', ip='2001:db8::%d' % n)
    check(d.ask(login='bob', secret='pencil', ip='2001:db8::ffff').startswith('W'), 'a network that has tried many logins has to wait')
    equal(d.ask(login='bob', secret='pencil', ip='2001:db8:0:1::1'), 'Kbob', 'its neighbour has not')
    equal(d.ask(login='ann@example.org', secret='other', ip='192.0.2.7'), 'Kann@example.org', 'a login that is known there')
    control(home, 'authdelay', '1')
    time.sleep(1.1)
    began = time.monotonic()
    equal(d.ask(login='bob', secret='y', ip='192.0.2.9'), 'N', 'a failure')
    check(time.monotonic() - began > 0.9, 'costs control/authdelay')
    d.stop()

def test_scram_failures():
    """Their limits hold for SCRAM as for PLAIN, and its answers tell no more."""
    settings()
    ann, bob = ('ann@example.org', 'other'), ('bob', 'pencil')
    for login, password in (ann, bob): passwd(home, '-s', '-i', '4096', login, password=password)
    d = Authd(home)
    for n in range(12): scram(d, 'bob', 'same', ip='192.0.2.7')
    refused = len(d.lines('auth failed'))
    equal(refused, 10, 'the same wrong password counts each time: it is not known')
    for how in (scram, lambda d, login, secret, ip: d.ask(login=login, secret=secret, ip=ip)):
        right, wrong = how(d, *bob, ip='192.0.2.7'), how(d, 'bob', 'x', ip='192.0.2.7')
        check(re.fullmatch(r'W\d+', right) and right == wrong, 'while a login waits the right password is told from no wrong one: %r %r' % (right, wrong))
    with d.begin('S', extra=Scram(*bob).first(), mechanism=3, ip='192.0.2.7') as s: check(s.recv(4096)[:1] == b'W', 'nor does it get a challenge')
    equal(len(d.lines('auth failed')), refused, 'which is no failure')
    equal((scram(d, *ann, ip='192.0.2.7'), scram(d, *bob, ip='192.0.2.8')), ('Kann@example.org', 'Kbob'), 'other logins, and other networks, do not wait')
    for n in range(12): equal(d.ask('S', extra='n,,', mechanism=3, ip='192.0.2.9'), 'N', 'no first message')
    equal(len(d.lines('auth failed')), refused + 12, 'each is a failure')
    equal(scram(d, *bob, ip='192.0.2.9'), 'Kbob', 'and harms no login')
    for n in range(50): d.ask('S', extra='n,,' if n % 2 else Scram('user%d' % n, 'x').first()[:-20], mechanism=3, ip='192.0.2.9')
    equal(scram(d, *bob, ip='192.0.2.9'), 'Kbob', 'not even very many, where it has succeeded before')
    check(scram(d, *ann, ip='192.0.2.9')[:1] == 'W', 'but a network that has tried so much has to wait with others')
    s, c, final, checker, reader = conversation(d)
    for n in range(12): d.ask(login='bob', secret='x%d' % n)
    s.send(final)
    check(s.recv(4096)[:1] == b'W', "the server's proof is not given either to who has to wait by now")
    s.close()
    control(home, 'authdelay', '1')
    time.sleep(1.1)
    began = time.monotonic()
    equal(d.ask('S', extra='n,,', mechanism=3, ip='192.0.2.10'), 'N', 'no first message')
    check(time.monotonic() - began > 0.9, 'costs control/authdelay')
    d.stop()

def test_checkers():
    settings()
    slow = script('slow', 'sleep 50 & echo $! >%s/slow.pid; wait\n' % SCRATCH)
    for name, text, want in (('crash', 'kill -SEGV $$', 'T'), ('odd', 'exit 99', 'T'), ('no', 'exit 1', 'N'), ('print', 'echo hello; exit 1', 'N'), ('two', 'exit 2', 'T'),
                             *(('vchkpw', 'exit %d' % n, 'N') for n in (3, 20, 21, 22, 23)), ('four', 'exit 4', 'T'), ('nineteen', 'exit 19', 'T'), ('late', 'exit 24', 'T')):
        d = Authd(home, script(name, text + '\n'))
        equal((d.ask(login='bob', secret='x')[:1], len(d.lines('auth failed'))), (want, want == 'N'), 'a checker that says %s; what it refuses is logged' % text)
        d.stop()
    d = Authd(home, '/nonexistent')
    equal(d.ask(login='bob', secret='x')[:1], 'T', 'one that is missing')
    equal(d.ask('S', extra='n,,n=a,r=b', mechanism=3)[:1], 'T', 'no SCRAM with a foreign one')
    d.stop()
    d = Authd(home, '-t', '1', slow)
    check('takes too long' in d.ask(login='bob', secret='x'), '-t: one that hangs')
    d.stop()
    os.unlink(os.path.join(SCRATCH, 'slow.pid'))
    d = Authd(home, '-C', '2', '-c', '3', slow)
    waiting = [d.begin(login='bob', secret='x') for n in range(2)]
    wait_for(lambda: os.path.exists(os.path.join(SCRATCH, 'slow.pid')))
    check('too many' in d.ask(login='bob', secret='x'), '-C: one client has only so many')
    waiting.append(d.begin(login='bob', secret='x', ip='192.0.2.2'))
    check('too many' in d.ask(login='bob', secret='x', ip='192.0.2.3'), '-c: so have all')
    equal(d.ask(kind='M'), 'K\1', 'it goes on answering meanwhile')
    pid = int(wait_for(lambda: open(os.path.join(SCRATCH, 'slow.pid')).read()))
    for s in waiting: s.close()
    check(wait_for(lambda: not os.path.exists('/proc/%d' % pid) or open('/proc/%d/stat' % pid).read().split()[2] == 'Z'), 'who gives up ends the program, and its children')
    d.stop()
    outer = script('outer', 'cat <&3 >%s/data; exec 3<&-; exec "$@"\n' % SCRATCH)
    d = Authd(home, '-k', outer)
    equal(d.ask(kind='M'), 'K\3', '-k: CRAM-MD5 is offered')
    d.ask(login='bob', secret='response', extra='<challenge>', mechanism=2)
    equal(open(os.path.join(SCRATCH, 'data')).read(), 'bob\0<challenge>\0response\0', 'the challenge comes first')
    d.stop()
    d = Authd(home, '-m', outer)
    d.ask(login='bob', secret='response', extra='<challenge>', mechanism=2)
    equal(open(os.path.join(SCRATCH, 'data')).read(), 'bob\0response\0<challenge>\0', '-m: the response does')
    d.stop()

def test_session():
    """POP3: the client's socket goes to the program that follows."""
    settings(relayopentime='100')
    bin = os.path.join(SCRATCH, 'bin')
    shutil.copytree(BIN, bin, symlinks=True)
    with open(os.path.join(bin, 'pipit-pop3d'), 'w') as f: f.write('#!/bin/sh\necho "+OK $1 $USER $TCPREMOTEIP"\nread line\necho "bye $line"\n')
    os.chmod(os.path.join(bin, 'pipit-pop3d'), 0o755)
    import authd
    authd.BIN = bin
    d = Authd(home)
    for kind in ('C', 'S'):
        a, b = socket.socketpair()
        a.settimeout(20)
        c = Scram('bob', 'pencil')
        s = d.begin(kind, *(('bob', 'pencil') if kind == 'C' else ()), extra=c.first() if kind == 'S' else '', session=1, service=2, mechanism=4 if kind == 'C' else 3, fds=[b.fileno()])
        b.close()
        if kind == 'S':
            s.send(b'D' + c.final(s.recv(4096).decode()[1:]).encode())
            s.recv(4096)
            s.send(b'D')
        equal(s.recv(4096), b'Kbob', 'a session begins (%s)' % kind)
        f = a.makefile('rw')
        equal(f.readline(), '+OK Maildir bob 192.0.2.1\n', "the program has the client's socket")
        s.settimeout(0.2)
        try: equal(s.recv(10), None, 'the connection stays')
        except TimeoutError: check(True, 'the connection stays')
        f.write('x\n')
        f.flush()
        equal(f.readline(), 'bye x\n', 'it reads from it too')
        s.settimeout(20)
        equal(s.recv(10), b'', 'and ends with the session')
        s.close()
        a.close()
    d.stop()
    d = Authd(home, '-n', '1')
    a, b = socket.socketpair()
    s = d.begin(login='bob', secret='pencil', session=1, service=2, fds=[b.fileno()])
    equal(s.recv(100), b'Kbob', '-n 1: one session')
    s.close()
    a2, b2 = socket.socketpair()
    check('too many' in d.ask(login='bob', secret='pencil', session=1, service=2, fds=[b2.fileno()]), 'counts also when nobody waits for its end')
    a.sendall(b'x\n')
    check(wait_for(lambda: d.ask(login='bob', secret='pencil', session=1, service=2, fds=[b2.fileno()])[:1] == 'K'), 'until it ends')
    d.stop()
    d = Authd(home)
    d.ask(login='bob', secret='pencil', service=2)
    a, b = socket.socketpair()
    equal(d.ask(login='bob', secret='no', session=1, service=2, fds=[b.fileno()]), 'N', 'no session for a wrong password')
    check(d.ask(login='bob', secret='pencil', session=1).startswith('T'), 'nor without a socket')
    equal(d.ask('O', ip='192.0.2.1'), 'K', "control/relayopentime: the client's address is open")
    equal(d.ask('O', ip='192.0.2.2'), 'N', 'others are not')
    d.stop()
    authd.BIN = BIN

def relayopen(*args, env={}, account=True):
    p = (as_account if account else subprocess.Popen)([os.path.join(BIN, 'pipit-relayopen'), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
         stderr=subprocess.STDOUT, env=dict(os.environ, PIPIT_HOME=home, **env))
    return p.communicate(timeout=30)[0].decode(), p.returncode

def test_relayopen():
    settings(relayopentime='1000')
    d = Authd(home)
    equal(relayopen('sh', '-c', 'echo $0', env={'TCPREMOTEIP': '192.0.2.5'}), ('sh\n', 0), 'pipit-relayopen executes its arguments')
    equal(d.ask('O', ip='192.0.2.5'), 'K', 'the address is open')
    equal(d.ask('O', ip='::ffff:192.0.2.5'), 'K', 'in its other form too')
    equal(relayopen('-i', '2001:db8::1'), ('', 0), '-i')
    for bad in ('x', '192.0.2', '1.2.3.4.5', '2001:db8::1%lo'):
        equal(relayopen('-i', bad), ('pipit-relayopen: warning: unable to open the relay for %s: that is no address\n' % bad, 100), 'no address')
    check(relayopen('-i', 'x', 'echo', 'y')[0].endswith('no address\ny\n'), 'the program is executed all the same')
    check('relay opened ip=192.0.2.5 uid=%d' % ACCOUNT.pw_uid in d.text(), 'it is logged')
    equal([d.ask('O', ip=ip) for ip in ('2001:db8::2:3:4', '2001:db8:0:1::1', '2001:db8::')], ['K', 'N', 'K'], 'of an IPv6 address its network is open, and no other one')
    s = smtpsession.Session(home, ip='192.0.2.5', program=STUB)
    s.cmd('EHLO x'); s.cmd('MAIL FROM:<a@b.example>')
    equal(s.cmd('RCPT TO:<x@elsewhere.example>')[:3], '250', 'pipit-smtpd lets it relay')
    s.end()
    s = smtpsession.Session(home, ip='192.0.2.6', program=STUB)
    s.cmd('EHLO x'); s.cmd('MAIL FROM:<a@b.example>')
    equal(s.cmd('RCPT TO:<x@elsewhere.example>')[:3], '553', 'and nobody else')
    s.end()
    control(home, 'relayopentime', '2')
    time.sleep(1.1) # settings are looked at once a second
    equal(relayopen('-i', '192.0.2.5'), ('', 0), 'again, for two seconds')
    check(wait_for(lambda: d.ask('O', ip='192.0.2.5') == 'N', 30, 0.2), 'after control/relayopentime it is closed')
    equal(d.ask('O', ip='2001:db8::1'), 'K', 'one that was opened for longer is not')
    if ROOT:
        control(home, 'relayopenusers', '65001')
        time.sleep(1.1)
        def as_uid(uid):
            return subprocess.run(['setpriv', '--reuid', str(uid), '--regid', str(uid), '--clear-groups', os.path.join(BIN, 'pipit-relayopen'), '-i', '192.0.2.%d' % (uid % 100)],
                                  env=dict(os.environ, PIPIT_HOME=home), capture_output=True, stdin=subprocess.DEVNULL)
        refused = as_uid(65002)
        equal((as_uid(65001).returncode, refused.returncode), (0, 111), 'control/relayopenusers')
        check(b'192.0.2.2: pipit-authd refuses; see control/relayopenusers' in refused.stderr, 'and it is named: %r' % refused.stderr)
    d.stop()
    equal(relayopen('true', env={'TCPREMOTEIP': '192.0.2.5'})[1], 0, 'without pipit-authd the program is executed all the same')
    settings()
    d = Authd(home)
    if os.path.exists(os.path.join(home, 'run', 'relayopen')): os.unlink(os.path.join(home, 'run', 'relayopen')) # of the one before
    text, code = relayopen('-i', '192.0.2.5')
    check(code == 111 and text.endswith('192.0.2.5: set control/relayopentime, then restart the service authd\n'), 'without control/relayopentime nothing is opened: %r' % text)
    d.stop()

def test_relayopen_full():
    """All places are taken: by many networks, not by one that has many addresses."""
    settings(relayopentime='1000')
    d = Authd(home)
    def opened(ip):
        with d.connect('relayopen') as s:
            s.send(ip.encode().ljust(48, b'\0'))
            return s.recv(100)
    for n in range(5000): last = opened('2001:db8::%x' % n)
    equal((last, opened('192.0.2.1'), d.ask('O', ip='192.0.2.1')), (b'K', b'K', 'K'), 'one network of IPv6 has one place')
    answers = {opened('10.0.%d.%d' % (n >> 8, n & 255)) for n in range(4094)}
    equal((answers, len(d.lines('warning'))), ({b'K'}, 0), 'there are 4,096')
    equal([opened('10.1.0.%d' % n) for n in range(3)], [b'N'] * 3, 'and no more')
    equal(d.ask(login='bob', secret='pencil', ip='198.51.100.7', service=2), 'Kbob', 'who logs in then')
    equal(d.ask('O', ip='198.51.100.7'), 'N', 'may not relay')
    equal(len(d.lines('warning')), 1, 'which one line tells: %r' % d.lines('warning'))
    equal((opened('2001:db8::77'), opened('10.0.0.1')), (b'K', b'K'), 'places that are taken can be taken for longer')
    d.stop()

def test_limits():
    settings(loginlimits='bob:3:5\n*::100')
    d = Authd(home)
    def send(login, n): return d.ask('L', login=login, recipients=n)
    equal([send('bob', 1), send('BOB', 3), send('bob', 1)], ['K', 'K', 'K'], 'within its limits')
    check(1 < int(send('bob', 1)[1:]) <= 3900, 'over them')
    equal(send('ann', 100), 'K', 'others have those of *')
    check(send('ann', 1).startswith('W'), 'of recipients')
    l = smtpsession.Listener(home, '-A', env={'QMAILQUEUE': STUB})
    for n in range(1, 4):
        c = smtplib.SMTP('127.0.0.1', l.port, timeout=20)
        c.login('ann@example.org', 'other')
        c.mail('ann@example.org')
        for k in range(40): c.rcpt('x%d@elsewhere.example' % k)
        code, text = c.docmd('DATA')
        c.close()
        equal((code, text[:5]), (354, b'go ah') if n < 3 else (450, b'4.7.1'), 'pipit-smtpd asks about message %d' % n)
    c = smtplib.SMTP('127.0.0.1', l.port, timeout=20)
    c.login('ann@example.org', 'other')
    c.mail('ann@example.org')
    for k in range(101): c.rcpt('x%d@elsewhere.example' % k)
    equal(c.docmd('DATA'), (550, b'5.7.1 this is more than you may send within an hour'), 'a message that is over the limit by itself is refused for good')
    c.close()
    l.stop()
    control(home, 'loginlimits', 'bob:x')
    time.sleep(1.1)
    check(send('bob', 1).startswith('W') and 'control/loginlimits' in d.text() and 'the old settings stay' in d.text(), 'a malformed line is told, and the old ones stay')
    d.stop()

def swaks(l, *args):
    p = subprocess.run(['swaks', '-s', '127.0.0.1', '-p', str(l.port), '-f', 'bob@host.example', '-t', 'x@elsewhere.example', '-au', 'bob', '-ap', 'pencil', *args],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode == 0, p.stdout

def test_clients():
    settings()
    l = smtpsession.Listener(home, '-A', env={'QMAILQUEUE': STUB})
    s = l.connect()
    s.recv(1000)
    s.send(b'EHLO x\r\n')
    check(b'AUTH' not in s.recv(1000), 'without pipit-authd AUTH is not offered')
    s.send(b'AUTH PLAIN AGEAYg==\r\n')
    check(s.recv(1000).startswith(b'454 4.7.0'), 'and temporarily refused')
    s.close()
    for login in ('ann@example.org', 'carl', 'eve'): passwd(home, '-D', login)
    d = Authd(home)
    for kind in ('PLAIN', 'LOGIN'): check(swaks(l, '--auth', kind)[0], 'swaks: ' + kind)
    p = subprocess.run(['gsasl', '--smtp', '-m', 'SCRAM-SHA-256', '-a', 'bob', '-p', 'pencil', '--connect', '127.0.0.1:%d' % l.port, '--no-starttls', '--quiet'], input='', text=True,
                       capture_output=True, timeout=60) if shutil.which('gsasl') else None
    if p: check(p.returncode == 0, 'gsasl: SCRAM-SHA-256: %r' % (p.stdout + p.stderr)[-300:])
    else: skip('gsasl is not there')
    p = subprocess.run(['curl', '-s', '-v', 'smtp://127.0.0.1:%d' % l.port, '--user', 'bob:pencil', '--mail-from', 'bob@host.example', '--mail-rcpt', 'x@elsewhere.example', '-T', '-'],
                       input=b'Subject: x\r\n\r\ny\r\n', capture_output=True) if shutil.which('curl') else None
    if p: check(p.returncode == 0, 'curl sends a message: %s' % p.stderr[-200:].decode())
    c = smtplib.SMTP('127.0.0.1', l.port, timeout=20)
    c.ehlo()
    equal(c.esmtp_features.get('auth'), ' SCRAM-SHA-256 PLAIN LOGIN', 'what is offered')
    x = Scram('bob', 'pencil')
    b64 = lambda t: base64.b64encode(t.encode()).decode()
    code, text = c.docmd('AUTH', 'SCRAM-SHA-256 ' + b64(x.first()))
    code, text = c.docmd(b64(x.final(base64.b64decode(text).decode())))
    equal((code, base64.b64decode(text).decode()), (334, x.expected), "SCRAM: the server's proof")
    equal(c.docmd('')[0], 235, 'and success')
    equal(c.sendmail('bob@host.example', ['x@elsewhere.example'], 'Subject: x\r\n\r\ny\r\n'), {}, 'a message')
    c.quit()
    d.stop()
    l.stop()

for name, test in list(globals().items()):
    if name.startswith('test_'):
        print('# ' + name)
        began = time.monotonic()
        test()
        print('# %.1f s' % (time.monotonic() - began))
done()
