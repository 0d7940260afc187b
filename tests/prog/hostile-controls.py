"""hostile-controls.py - control files that are not what they should be

A control file that cannot be understood (binary, huge, unreadable, a folder, a FIFO or a loop of
links in its place) is local trouble: the program says so in one line that names the file, mail
waits, nothing is refused for good, nothing is waited for. A cdb that is cut off anywhere gives
the right answer or none.
"""
import os, random, re, shutil, socket, stat, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from instance import *
from jobs import remote
from measure import LONG
from sender import Mail, Send
from sink import Sink
from smtpsession import Session

SECONDS = 10 # that a program may take to say what is wrong
home = make_home()

def clean():
    d = os.path.join(home, 'control')
    for name in os.listdir(d): remove(os.path.join(d, name))
    control(home, 'me', 'host.example')
    control(home, 'rcpthosts', 'example.org')

def remove(path):
    if os.path.isdir(path) and not os.path.islink(path): os.rmdir(path)
    elif os.path.lexists(path): os.unlink(path)

def write(path, data):
    with open(path, 'wb') as f: f.write(data)

def huge(path):
    write(path, b'1')
    os.truncate(path, 17 << 20)

def unreadable(path):
    write(path, b'1\n')
    own(path)
    os.chmod(path, 0)

KINDS = {'a NUL byte': lambda p: write(p, b'\0\n'), 'binary': lambda p: write(p, bytes(range(256)) * 4), 'of 17 MB': huge,
         'unreadable': unreadable, 'a folder': os.mkdir, 'a FIFO': os.mkfifo, 'a loop of links': lambda p: os.symlink(os.path.basename(p), p),
         'a link to a device': lambda p: os.symlink('/dev/zero', p)}
NUMBERS = {'a word': b'soon\n', 'negative': b'-1\n', 'too large': b'99999999999999999999999999\n', 'of a million digits': b'9' * 1000000,
           'a number and more': b'1 x\n', 'empty': b'', 'of blanks': b' \n'}

def run(program, *args, input=None, **kw):
    """(exit code, all that it said) of a program that should not get far."""
    p = as_account([os.path.join(BIN, program), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                   env=dict(os.environ, PIPIT_HOME=home), **kw)
    try: out = p.communicate(input or b'', SECONDS)[0]
    except subprocess.TimeoutExpired:
        p.kill()
        return None, 'still running after %d s: %s' % (SECONDS, p.communicate()[0].decode(errors='replace'))
    return p.returncode, out.decode(errors='replace')

def smtpd():
    s = Session(home, greeting=False)
    reply = s.reply()
    code = s.end()
    return (code if reply[:4] == '421 ' else reply), s.text

def listener(): return run('pipit-smtpd', '-l', '-a', '127.0.0.1', '-p', str(free_port()))
def queued(): return run('pipit-queued')
def inject(): return run('pipit-inject', '-n', 'a', input=b'\nx\n')
def qread(): return run('pipit-qread')
def rcptd(): return run('pipit-rcptd')
def lspawn():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    p = as_account([os.path.join(BIN, 'pipit-lspawn'), './Maildir/'], stdin=b, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PIPIT_HOME=home))
    b.close()
    try: return p.wait(SECONDS), p.stdout.read().decode()
    except subprocess.TimeoutExpired: return None, 'still running'
    finally:
        a.close()
        p.wait()
def starter():
    # It must not get as far as to start its children.
    return run('pipit-start')
def send():
    s = Send(home, patience=SECONDS)
    if s.ready: return s.stop(), 'it runs'
    return s.process.wait(5), s.log()

def deliver(host='b.example'):
    """What pipit-remote reports is temporary: as if it had exited 111."""
    with Sink() as s:
        if not os.path.lexists(os.path.join(home, 'control/smtproutes')): control(home, 'smtproutes', ':[127.0.0.1]:%d' % s.port)
        r = remote(home, host, 's@a.example', 'r@b.example')
        return (111 if r.letter == 'Z' and r.status == 0 and not s.sessions else r.letter), r.text

def lookup():
    """The same for a name that has to be looked up."""
    r = remote(home, 'b.example', 's@a.example', 'r@b.example')
    return (111 if r.letter == 'Z' and r.status == 0 else r.letter), r.text

def local(*args):
    """A delivery to a full Maildir, or to an mbox that does not get anything."""
    user = os.path.join(SCRATCH, 'user')
    if not os.path.exists(user):
        for d in ('', 'Maildir', 'Maildir/tmp', 'Maildir/new', 'Maildir/cur'):
            os.mkdir(os.path.join(user, d))
            own(os.path.join(user, d))
    code, text = run('pipit-local', '-M', *args[1:], '--', 'joe', user, 'joe', '', '', 'host.example', 's@a.example', args[0], input=b'Subject: x\n\n')
    box = user + '/box'
    return ('delivered' if os.path.exists(box) and os.path.getsize(box) else code), text
def full(): return local('./Maildir/', '-q', '1S')
def mbox(): return local('./box')

TEXTS = {full: ['overquota'], smtpd: ['me', 'smtpgreeting', 'localiphost', 'rcpthosts', 'badmailfrom', 'normalizeclients', 'rcptcheck'], listener: ['me', 'rcpthosts', 'normalizeclients'],
         queued: ['me'], inject: ['me', 'defaulthost', 'defaultdomain', 'plusdomain', 'idhost'], qread: ['locals', 'virtualdomains', 'percenthack', 'envnoathost'],
         send: ['locals', 'virtualdomains', 'percenthack', 'envnoathost'], rcptd: ['locals', 'virtualdomains', 'percenthack', 'envnoathost', 'rcptaliases'], starter: ['defaultdelivery'], deliver: ['me', 'helohost', 'smtproutes'], lookup: ['resolvers']}
COUNTS = {smtpd: ['databytes', 'maxrcpt', 'maxline', 'maxerrors', 'brtlimit', 'timeoutsmtpd', 'timeoutsession'], listener: ['concurrencysmtpd', 'concurrencysmtpdclient'],
          queued: ['concurrencyqueue', 'concurrencyqueueuser', 'queuereserve', 'queuepool'], send: ['concurrencylocal', 'concurrencyremote', 'queuelifetime'],
          mbox: ['mboxdotlock'], lspawn: ['timeoutlocal'], deliver: ['timeoutconnect', 'timeoutremote', 'connectionidle', 'connectionmessages']}

def broken(program, name, kind, make):
    clean()
    path = os.path.join(home, 'control', name)
    remove(path)
    make(path)
    code, text = program()
    told = [l for l in text.splitlines() if 'control/' + name in l]
    ok = code == 111 and len(told) == 1 and all(c.isprintable() for c in told[0]) and len(told[0]) < 2000
    if not check(ok, '%s: control/%s is %s' % (program.__name__, name, kind)): print('  %r\n  %s' % (code, text[:500]))
    remove(path)

def files():
    for program in list(TEXTS) + [lspawn, mbox]:
        for name in TEXTS.get(program, []) + COUNTS.get(program, []):
            for kind, make in KINDS.items():
                broken(program, name, kind, make)
            if name in COUNTS.get(program, []):
                for kind, text in NUMBERS.items(): broken(program, name, kind, lambda p: write(p, text))

def strange():
    """Not broken, only strange: no newline at the end, CRLF, blanks, a long line, bytes over 127."""
    for text, why in ((b'host.example', 'no newline'), (b'host.example\r\n', 'CRLF'), (b'host.example \t \n', 'blanks'), (b'host.example\nmore\n', 'more lines')):
        clean()
        write(os.path.join(home, 'control/me'), text)
        s = Session(home)
        equal(s.greeting, '220 host.example ESMTP', 'control/me with %s' % why)
        s.end()
        equal(inject()[1].count('@host.example'), 3, 'inject, control/me with %s' % why)
    for name in ('smtpgreeting', 'me', 'localiphost'):
        clean()
        write(os.path.join(home, 'control', name), b'h' * 1000000 + b'\n')
        s = Session(home)
        check(s.greeting[:4] in ('220 ', '421 ') and len(s.greeting) < 512, 'a line of a million bytes in control/%s: what is said stays short' % name)
        if s.greeting[:3] == '220': equal(s.cmd('EHLO x')[:3], '250', 'and the session goes on')
        s.end()
    clean()
    control(home, 'rcpthosts', ''.join('h%d.example\n' % i for i in range(100000)))
    s = Session(home)
    s.cmd('MAIL FROM:<a@b>')
    equal([s.cmd('RCPT TO:<x@%s>' % h)[:3] for h in ('h99999.example', 'h0.example', 'h100000.example')], ['250', '250', '553'], '100,000 lines of rcpthosts')
    s.end()

def cuts(size):
    """Where to cut: everywhere, or every k-th place and all around the edges."""
    if LONG: return range(size)
    k = 41
    first = random.randrange(k)
    print('# cut at every %d-th byte from %d on' % (k, first))
    return sorted({*range(first, size, k), 0, 1, 2047, 2048, 2049, size - 9, size - 8, size - 1})

def cut_morercpthosts():
    clean()
    path = os.path.join(home, 'control/morercpthosts.cdb')
    write_cdb(path, [(b'more%d.example' % i, b'') for i in range(20)] + [(b'.parent.example', b'')])
    whole = open(path, 'rb').read()
    wrong = []
    for size in cuts(len(whole)):
        write(path, whole[:size])
        s = Session(home)
        s.send('MAIL FROM:<a@b>\r\n' + ''.join('RCPT TO:<x@%s>\r\n' % d for d in ('more3.example', 'a.parent.example', 'other.example', 'example.org')))
        s.reply()
        got = [s.reply()[:3] for _ in range(4)]
        if got[0] not in ('250', '451') or got[1] not in ('250', '451') or got[2] not in ('553', '451') or got[3] != '250': wrong.append((size, got))
        if '451' in got and s.end() == 0 and 'control/morercpthosts.cdb' not in s.text: wrong.append((size, s.text))
    equal(wrong[:3], [], 'morercpthosts.cdb cut off anywhere: the right answer or 451, and a line that names it')

def cut_rules():
    clean()
    path = os.path.join(home, 'control/tcp.smtp.cdb')
    write_cdb(path, [(b'127.0.0.2', b'D\0'), (b'127.0.0.', b'+RELAYCLIENT=\0'), (b'', b'')])
    whole = open(path, 'rb').read()
    port = free_port()
    log = os.path.join(SCRATCH, 'listener')
    def listen():
        """Start it: the process, and whether it got ready."""
        r, w = os.pipe()
        with open(log, 'w') as f:
            p = as_account([os.path.join(BIN, 'pipit-smtpd'), '-l', '-a', '127.0.0.1', '-p', str(port), '-d', str(w)], stdin=subprocess.DEVNULL, stderr=f,
                           pass_fds=[w], env=dict(os.environ, PIPIT_HOME=home))
        os.close(w)
        with open(r, 'rb') as f: return p, f.read(1) == b'\n'
    p, ready = listen()
    def ask(ip):
        with socket.create_connection(('127.0.0.1', port), 10, (ip, 0)) as s:
            f = s.makefile('rwb')
            def cmd(line):
                f.write(line + b'\r\n'); f.flush()
                return f.readline()[:3].decode()
            greeting = f.readline()[:3].decode()
            if greeting != '220': return greeting
            return [cmd(c) for c in (b'HELO x', b'MAIL FROM:<a@b>', b'RCPT TO:<x@far.example>')][-1]
    equal([ask('127.0.0.2'), ask('127.0.0.3')], ['554', '250'], 'the rules hold')
    wrong = []
    for size in cuts(len(whole)):
        write(path, whole[:size])
        got = [ask('127.0.0.2'), ask('127.0.0.3')]
        if got[0] not in ('554', '421') or got[1] not in ('250', '421'): wrong.append((size, got))
    equal(wrong[:3], [], 'tcp.smtp.cdb cut off anywhere, under a listener: the old rules, or 421')
    check('control/tcp.smtp.cdb' in open(log).read(), 'and it is told of')
    p.terminate()
    p.wait(10)
    wrong = []
    for size in list(cuts(len(whole)))[::4]:
        write(path, whole[:size])
        p, ready = listen()
        if ready:
            got = [ask('127.0.0.2'), ask('127.0.0.3')]
            if got[0] not in ('554', '421') or got[1] not in ('250', '421'): wrong.append((size, got))
            p.terminate()
        p.wait(20)
        if not ready and (p.returncode != 111 or 'control/tcp.smtp.cdb' not in open(log).read()): wrong.append((size, p.returncode))
    equal(wrong[:3], [], 'and at the start: 111, the right answer, or 421')

def bounces():
    """A file that only bounces need: the bounce waits, and the log names it."""
    for name in ('bouncefrom', 'bouncehost', 'doublebounceto', 'doublebouncehost'):
        clean()
        control(home, 'locals', 'host.example')
        write(os.path.join(home, 'control', name), b'\0\n')
        Mail(home, 'me@host.example', ['nobody@host.example'])
        s = Send(home, local=lambda j: j.all('D', 'no (#5.1.1)\n'))
        check(s.wait_log('control/' + name), 'send: control/%s is broken: a line says so, and the bounce waits' % name) or print(s.log())
        s.stop()
        for d in ('mess', 'state'):
            for n in os.listdir(os.path.join(home, 'queue', d)):
                for f in os.listdir(os.path.join(home, 'queue', d, n)): os.unlink(os.path.join(home, 'queue', d, n, f))

for test in (files, strange, cut_morercpthosts, cut_rules, bounces):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        began = time.monotonic()
        test()
        print('  %s took %.1f s' % (test.__name__, time.monotonic() - began), flush=True)
done()
