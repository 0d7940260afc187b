"""Addresses that look like shell, like options or like files: to everybody on the way they are text

Each comes in by SMTP, as an argument of sendmail and in a header, as sender and as recipient, and
goes to a dot-qmail program, a Maildir and a server. strace's list of all executions shows that no
shell has a byte of them, and no program outside of the places where qmail's interfaces have an
address: behind "--" or behind -f.
"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from sink import Sink

MARK = 'zqxj'  # in every address of an attacker, and nowhere else
LOCALS = ['; touch PWN;' , '$(touch PWN)', '`touch PWN`', '() { :;}; touch PWN', '|touch PWN', '-oQPWN', '-XPWN', '-CPWN', '-be', '-t', '-bs', '-f', '--', '-n', '-l1', '-w', '-c',
          '/PWN', './PWN', ':include:/etc/passwd', '../../../PWN', '..', 'a/../PWN', '~root', '*', '%s%n%x', '${run{touch PWN}}', '${IFS}', '&&touch PWN', '>PWN', "'", '"', '\\',
          "'; touch PWN; '", '"; touch PWN; "', 'a b', '#', '!', '@', 'x@y', '%0atouch PWN', '\x80\xff', 'ß', 'PWN\t', 'a=b', 'default', 'owner', '-owner', 'x' * 200]
i = Instance(options=('-a', '127.0.0.1'))
sink = Sink().start()
i.control('smtproutes', 'far.example:[127.0.0.1]:%d' % sink.port)
i.control('rcpthosts', 'mail.example\nfar.example')
i.control('concurrencysmtpdclient', '1000')
seen = os.path.join(i.home, 'alias', 'seen')
os.mkdir(seen); i.give(seen)
PROGRAM = 'f=$(mktemp seen/XXXXXXXX); env -0 >"$f.env"; ls -l /proc/self/fd | grep -c -- "->" >"$f.fds"'
i.mailbox('all')
i.dot_qmail('default', '|%s\n./all/\n' % PROGRAM)
trace = os.path.join(SCRATCH, 'trace')
os.mkdir(trace); own(trace)
log = os.path.join(trace, 'exec')
command = ['strace', '-D', '-f', '-qq', '-s', '3000', '-e', 'trace=execve', '-o', log]
if not shutil.which('strace') or i.popen(*command[:-1], os.path.join(trace, 'try'), 'true', stderr=subprocess.DEVNULL).wait():
    skip('strace is not there, or may not be used')
    done()
i.start(*command, os.path.join(i.home, 'bin/pipit-run'), i.home)

def marked(local): return local.replace('PWN', os.path.join(trace, 'pwned')) + MARK
def quoted(local): return '"' + re.sub(r'(["\\])', r'\\\1', local) + '"'

# By SMTP: sender and recipients of here and of elsewhere.
taken, refused = [], []
for local in LOCALS:
    for at, domain in (('@', 'mail.example'), ('@', 'far.example')):
        with socket.create_connection(('127.0.0.1', i.port), 20) as s:
            f = s.makefile('rwb')
            def cmd(line):
                f.write(line + b'\r\n'); f.flush()
                return f.readline()
            f.readline()
            text = quoted(marked(local)).encode('latin-1', 'replace')
            cmd(b'HELO ' + marked(local).encode('latin-1', 'replace'))
            replies = [cmd(b'MAIL FROM:<' + text + b'@evil.example>'), cmd(b'RCPT TO:<' + text + at.encode() + domain.encode() + b'>')]
            if all(r[:3] == b'250' for r in replies):
                cmd(b'DATA')
                r = cmd(b'Subject: smtp\r\n\r\nx\r\n.')
                if r[:3] == b'250': taken.append((local, domain))
            else: refused.append((local, domain))
equal(sorted({l for l, d in refused}), ['PWN\t'], 'by SMTP: an address with a control character is refused, all others are taken')
for raw in (b'"a\\\r\nDATA"', b'"a\\\nb"', b'"a\\\0b"', b'a\rb', b'"\\\x1b[2J"'):
    with socket.create_connection(('127.0.0.1', i.port), 20) as s:
        s.sendall(b'HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<' + raw + b'@mail.example>\r\nQUIT\r\n')
        f = s.makefile('rb')
        replies = [l[:3] for l in f]
        check(b'354' not in replies and replies.count(b'250') <= 2, 'by SMTP: %r is refused' % raw)

# By sendmail: as argument, as -f, and in a header.
count = len([t for t in taken if t[1] == 'mail.example'])
sendmail = os.path.join(i.home, 'bin/sendmail')
traced = ['strace', '-f', '-qq', '-s', '3000', '-A', '-e', 'trace=execve', '-o', log + '.sendmail', sendmail]
codes = []
for local in LOCALS:
    text = marked(local).encode('latin-1', 'replace')
    p = i.popen(*traced, '-oi', '-f', text + b'@evil.example', '--', text + b'@mail.example', stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd='/')
    out = p.communicate(b'Subject: argument\n\nx\n', 60)[0]
    codes.append(p.returncode)
    p = i.popen(*traced, '-t', '-F', text, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd='/')
    out = p.communicate(b'To: ' + quoted(marked(local)).encode('latin-1', 'replace') + b'@mail.example\nSubject: header\n\nx\n', 60)[0]
    codes.append(p.returncode)
check(set(codes) <= {0, 100}, 'by sendmail: each is queued or refused')
count += codes.count(0)
check(codes.count(0) >= 2 * len(LOCALS) - 30, '%d of %d are queued' % (codes.count(0), len(codes)))
check(wait_for(lambda: not i.queue(), 120, 0.2), 'all of it is delivered')
# An argument with a space or a comma may be several addresses to sendmail.
mails = i.mails('all')
check(len(mails) >= count, 'each that was taken lies in the Maildir, %d for %d' % (len(mails), count))

# What the programs were given.
def strings(line):
    return [s.encode('latin-1').decode('unicode_escape') for s in re.findall(r'"((?:[^"\\]|\\.)*)"', line)]
with open(log) as f: calls = [l for l in f if 'execve("' in l]
with open(log + '.sendmail') as f: calls += [l for l in f if 'execve("' in l and not re.search(r'execve\("[^"]*", \["[^"]*/sendmail"', l)]
wrong, shells, programs, with_mark = [], 0, set(), set()
for line in calls:
    path, *argv = strings(line)
    name = os.path.basename(path)
    programs.add(name)
    if '"...' in line: wrong.append(line) # cut off: cannot be judged
    if os.path.realpath(path) == os.path.realpath('/bin/sh') and argv[1:2] == ['-c']:
        shells += 1
        if argv[2:] != [PROGRAM]: wrong.append(line)
    for n, arg in enumerate(argv):
        if MARK not in arg: continue
        with_mark.add(name)
        before = argv[:n]
        if name != 'pipit-inject' or not ('--' in before or before[-1:] == ['-f']): wrong.append(line)
equal(wrong[:2], [], 'no shell is given a byte of an address, and nobody else but behind -- and -f')
equal(shells, len(mails), 'the shell ran the dot-qmail line for each')
equal(with_mark, {'pipit-inject'}, 'only this program is given addresses at all')
print('# executed: ' + ' '.join(sorted(programs)))
left = programs & {'touch', 'bash', 'PWN'}
equal((sorted(left), os.path.exists(os.path.join(trace, 'pwned'))), ([], False), 'nothing of theirs was run, and no file made')
equal(sorted(os.listdir(trace)), ['exec', 'exec.sendmail', 'try'], 'nor any other beside it')
names, bad = set(), []
for path in glob.glob(seen + '/*.env'):
    env = dict(v.split(b'=', 1) for v in open(path, 'rb').read().split(b'\0') if v)
    names |= set(env)
    for k, v in env.items():
        v = v[:-1] if k.endswith(b'LINE') else v
        if re.search(rb'[\x00-\x1f\x7f]', v) or v.startswith(b'()'): bad.append((k, v))
equal(bad[:3], [], 'variables hold no control character, and none begins like a function of a shell')
fixed = set('SENDER NEWSENDER RECIPIENT USER HOME HOST HOST2 HOST3 HOST4 LOCAL EXT EXT2 EXT3 EXT4 DEFAULT DTLINE RPLINE UFLINE PATH PIPIT_HOME PWD OLDPWD SHLVL _ TZ ASAN_OPTIONS'.split())
equal(sorted(n.decode() for n in names if n.decode() not in fixed), [], 'the environment is a fixed list')
equal({open(f).read() for f in glob.glob(seen + '/*.fds')}, {'4\n'}, 'programs have descriptors 0 to 2 only (and that of ls)')

# What the server was told, and what was logged.
lines = [c for s in sink.sessions for c in s.commands]
far = len([t for t in taken if t[1] == 'far.example'])
sent = [l for l in lines if l.startswith('RCPT TO:')]
equal((len(sent), len(sink.transactions)), (far, far), 'each for elsewhere was sent')
check(all(re.fullmatch(r'(EHLO|MAIL FROM:|RCPT TO:|DATA|QUIT|RSET).*', l) for l in lines), 'and none of them was a command of its own')
check(all(re.fullmatch(r'RCPT TO:<("(\\["\\]|[^"\\\x00-\x1f\x7f])*"|[^"\\<> ]*)@far\.example>', l) for l in sent), 'each address is quoted where it must be')
every = [l for lines in i.logs().values() for l in lines]
equal([l for l in every if re.search(r'[^\x20-\x7e]', l) or not re.match(r'@[0-9a-f]{24} \S', l)][:3], [], 'every log line is one printable line')
check(all(m.split(b'\n\n', 1)[0].count(b'\nDelivered-To: ') == 1 and m.startswith(b'Return-Path: <') for m in mails), 'no address made a header line')
sink.stop()
left = [n for n in i.stop() if n != 'strace']
equal(left, [], 'stopping leaves no process')
done()
