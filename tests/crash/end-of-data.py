"""Every string over CR, LF, dot and x as a message: one message in is one message out, for every receiver

In: behind DATA, to a real pipit-smtpd. Out: as a local message, by a real
pipit-remote, to strict and lax receivers. Then both with the queue between
them, and the sequences of tests/data/smuggling. CRASH=long leaves none of them
out where the short form takes a sample; SEED= repeats a sample.
"""
import concurrent.futures, itertools, os, random, re, subprocess, sys, tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import pipit
from instance import *
from sink import Sink

LONG = os.environ.get('CRASH') == 'long'
SANITIZED = b'__asan_init' in open(os.path.join(BIN, 'pipit-smtpd'), 'rb').read()
SEED = int(os.environ.get('SEED') or random.randrange(1 << 30))
HELPERS = reachable(os.path.join(os.environ['BUILD'], 'tests', 'helpers'))
INJECTORS = 8 # copies of pipit-queue at once
TABLE = os.path.join('tests', 'data', 'smuggling', 'end-of-data.tsv')
print('SEED=%d' % SEED)

def each(short, sanitized=0):
    """Arguments "every" and "offset": all in the long form."""
    every = 1 if LONG else sanitized or short if SANITIZED else short
    return every, SEED % every

def tell(text):
    """Progress, for whoever watches."""
    if sys.stderr.isatty(): sys.stderr.write('\r\x1b[Kend-of-data: ' + text)

# --- one program at a time

home = make_home()
control(home, 'rcpthosts', 'example.org')
control(home, 'maxerrors', '0')
control(home, 'normalizeclients', '192.0.2.2')
port = free_port()
control(home, 'smtproutes', ':[127.0.0.1]:%d' % port)

def helper(program, *args, ip='192.0.2.1'):
    """Run a C program; its cases are ours."""
    if pipit.failed: return # once is enough: replies that do not come take their time
    env = dict(os.environ, PIPIT_HOME=home, TCPREMOTEIP=ip, BIN=reachable(BIN))
    path = os.path.join(SCRATCH, 'log')
    tell('%s %s' % (program, ' '.join(map(str, args))))
    with open(path, 'wb') as log:
        p = as_account([os.path.join(HELPERS, program), *map(str, args)], env=env, stderr=log, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, text=True)
        out = p.communicate()[0]
    if p.returncode and 'not ok - ' not in out: out += '%s: exit status %d\n' % (program, p.returncode)
    why = re.search(r'^(?:not )?ok - (.*)', out, re.M)
    if not check(p.returncode == 0, why[1] if why else program):
        print(out, '\n'.join(open(path, errors='replace').read().splitlines()[-5:]), flush=True)

helper('smtpd-strings', 'ehlo', 'rn.x', 0, 8, *each(1, 6))
helper('smtpd-strings', 'ehlo', 'rn.0', 0, 6, *each(3, 6))
helper('smtpd-strings', 'split', 'rn.x', 0, 6 if LONG else 5, *each(1, 3))
helper('smtpd-strings', 'split', 'rn.0', 0, 6 if LONG else 5, *each(5, 15))
helper('smtpd-strings', 'helo', 'rn.x', 0, 8, *each(20, 50))
helper('smtpd-strings', 'mend', 'rn.x', 0, 8, *each(10, 30), ip='192.0.2.2')
helper('smtpd-strings', 'mend', 'rn.0', 0, 6, *each(5, 15), ip='192.0.2.2')
helper('remote-strings', port, 'whole', 'rn.x', 0, 8, *each(1, 6))
helper('remote-strings', port, 'whole', 'rn.0', 0, 7, *each(5, 15))
helper('remote-strings', port, 'border', 'rn.x', 0, 6 if LONG else 4, *each(1, 3))
helper('remote-strings', port, 'border', 'rn.0', 0, 6 if LONG else 4, *each(3, 9))

if pipit.failed: done() # the whole would only wait for what does not come

# --- the whole

def strings(length, every=1, offset=0):
    all = (b''.join(t) for n in range(length + 1) for t in itertools.product((b'\r', b'\n', b'.', b'x'), repeat=n))
    return itertools.islice(all, offset, None, every)

def received(text):
    """What a strict server makes of text + CR LF . CR LF: (code, message), and whether something stands behind its end."""
    text += b'\r\n.\r\n'
    end = 0 if text.startswith(b'.\r\n') else text.index(b'\r\n.\r\n') + 2
    message, rest = text[:end], text[end + 3:]
    if re.search(rb'\0|\r(?!\n)|(?<!\r)\n', message): return 550, None, rest
    return 250, re.sub(rb'(?m)^\.', b'', lf(message)), rest

def sent(text):
    """What remote/output.h promises for a message without NUL."""
    text = re.sub(rb'\r\n|\r|\n', b'\n', text)
    if text and not text.endswith(b'\n'): text += b'\n'
    return re.sub(rb'(?m)^\.', b'..', text).replace(b'\n', b'\r\n') + b'.\r\n'

LAX = (rb'\r\n', rb'\r\n|\n', rb'\r\n|\r', rb'\r\n|\r|\n', rb'\r*\n', rb'\r\n*')
def ends(data):
    """The most lines of one dot that a lax receiver finds, after which nothing follows."""
    seen = [re.split(ends, text) for text in (data, data.replace(b'\0', b''), re.sub(rb'\0[^\r\n]*', b'', data)) for ends in LAX]
    return max(99 if lines[-2:] != [b'.', b''] else lines.count(b'.') for lines in seen)

def below_received(data):
    m = re.match(rb'Received: [^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*', data)
    return data[m.end():] if m else None

sink = Sink().start()
i = Instance()
i.control('smtproutes', ':[127.0.0.1]:%d' % sink.port)
i.control('rcpthosts', 'mail.example')
i.control('maxerrors', '0')
i.mailbox('box')
i.dot_qmail('evil', './box/\n')
i.start()

class Client:
    """One SMTP session; every reply is read."""
    def __init__(self):
        self.s = socket.create_connection(('127.0.0.1', i.port), 60)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.f = self.s.makefile('rb')
        self.reply()
        self.say(b'EHLO c.example\r\n')
    def reply(self):
        while True:
            line = self.f.readline()
            if line[3:4] != b'-': return int(line[:3] or 0)
    def say(self, data, replies=1):
        self.s.sendall(data)
        return [self.reply() for _ in range(replies)]
    def begin(self, rcpt=b'box'):
        return self.say(b'MAIL FROM:<a@c.example>\r\nRCPT TO:<%s@mail.example>\r\nDATA\r\n' % rcpt, 3) == [250, 250, 354]
    def close(self):
        self.f.close()
        self.s.close()

def inject(text, rcpt):
    """pipit-queue with the bytes as they are: its exit code."""
    r, w = os.pipe()
    os.write(w, b'Fa@c.example\0T%s\0\0' % rcpt)
    os.close(w)
    with tempfile.TemporaryFile() as f, open(r, 'rb') as e:
        f.write(text)
        f.seek(0)
        return i.popen(os.path.join(i.home, 'bin', 'pipit-queue'), stdin=f, stdout=e).wait()

def show(wrong):
    return [repr(w)[:300] for w in wrong[:5]]

def box():
    return sorted(i.mails('box'))

def clear_box():
    for path in glob.glob(os.path.join(i.home, 'alias', 'box', 'new', '*')): os.unlink(path)

# In, one by one.
wrong, expected, c, n = [], [], Client(), 0
every, offset = each(59, 200)
for s in strings(8, every, offset):
    n += 1
    if n % 100 == 0: tell('by SMTP, %d' % n)
    code, message, rest = received(s)
    if not c.begin(): wrong.append((s, 'is not begun'))
    elif c.say(s + b'\r\n.\r\n') != [code]: wrong.append((s, 'reply'))
    if code == 250: expected.append(message)
    # What stands behind an end of data is for smtpd-strings: here it ends the session.
    if rest:
        c.close()
        c = Client()
c.close()
equal(show(wrong), [], '%d strings (each %d. from %d) by SMTP: each is taken or refused as it should be' % (n, every, offset))
check(i.wait_queue_empty(3600 if LONG else 100), 'what was taken is delivered')
wait_for(lambda: len(box()) >= len(expected), 60)
equal(sorted(below_received(m.split(b'\n', 2)[2]) for m in box()), sorted(expected), 'the Maildir holds those messages, and no other')
clear_box()

# Out: all of them as parts of a few messages, and a sample as messages of their own.
every, offset = each(350, 1000)
batch, messages = 4096, {}
all = list(strings(8))
for at in range(0, len(all), batch):
    text = b'Subject: many\n\n' + b''.join(b'begin %d\n%s\nend\n' % (at + k, s) for k, s in enumerate(all[at:at + batch]))
    messages[b'many-%d' % at] = text
for k, s in enumerate(strings(8, every, offset)): messages[b'one-%d' % k] = s
codes = set()
with concurrent.futures.ThreadPoolExecutor(INJECTORS) as pool:
    for n, code in enumerate(pool.map(lambda m: inject(m[1], m[0] + b'@far.example'), messages.items())):
        if n % 100 == 0: tell('by pipit-queue, %d of %d' % (n, len(messages)))
        codes.add(code)
equal(codes, {0}, 'pipit-queue takes the %d strings in %d messages, and %d (each %d. from %d) one by one' %
      (len(all), -(-len(all) // batch), len(messages) - -(-len(all) // batch), every, offset))
check(i.wait_queue_empty(3600 if LONG else 100), 'they are handed over to another host')
got = sink.wait(len(messages), 60)
equal(len(got), len(messages), 'who has as many messages, by the letter of RFC 5321')
names = [re.search(r'<(.*)@', t.rcpts[0])[1].encode() for t in got]
equal(sorted(names), sorted(messages), 'each once')
bad = [n for n, t in zip(names, got) if below_received(t.data) != sent(messages[n])]
equal(bad, [], 'with the lines that were given')
equal([n for n, t in zip(names, got) if ends(t.data) != 1], [], 'and one end of data, whatever the receiver takes for a line end')

# The table of known sequences.
def rows():
    for line in open(TABLE, encoding='ascii'):
        if line.startswith('#'): continue
        name, bytes, source, right = line.rstrip('\n').split('\t')
        yield name, bytes.encode().decode('unicode_escape').encode('latin-1'), right

SMUGGLED = b'MAIL FROM:<evil@c.example>\r\nRCPT TO:<evil@mail.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n'
table = list(rows())
equal([right.startswith('not end of data') for name, sequence, right in table], [True] * 12, 'none of the table ends data')
for mend in (False, True):
    i.control('normalizeclients', '127.0.0.1' if mend else None)
    for pid in i.pids('pipit-smtpd'): kill(pid, signal.SIGHUP)
    clear_box()
    taken = 0
    for name, sequence, right in table:
        c = Client()
        c.begin()
        want = 250 if mend and b'\0' not in sequence else 550
        taken += want == 250
        # The smuggled commands are text, and their end is the end of the one message.
        equal(c.say(b'Subject: outer\r\n\r\nbefore' + sequence + SMUGGLED + b'NOOP\r\n', 2), [want, 250],
              'in: %s %s' % (name, 'is mended, and ends nothing' if want == 250 else 'is refused at the true end'))
        c.close()
    i.wait_queue_empty()
    mails = i.wait_mails('box', taken)
    equal(sorted(m.count(b'Delivered-To: box@') for m in mails), [1] * taken, 'one message each, none for the smuggled recipient')
before = len(sink.transactions)
for name, sequence, right in table:
    equal(inject(b'Subject: outer\n\nbefore' + sequence + SMUGGLED, b'table@far.example'), 0, 'out: %s is taken from a local program' % name)
check(i.wait_queue_empty(), 'and handed over')
got = sink.wait(before + len(table))[before:]
equal({t.mail.split(' SIZE=')[0] for t in got}, {'MAIL FROM:<a@c.example>'}, 'no smuggled sender')
equal((len(got), [t.data for t in got if ends(t.data) != 1]), (len(table), []), 'each is one message, for lax receivers too')
equal([t.data for t in got if re.search(rb'\r(?!\n)|(?<!\r)\n', t.data)], [], 'with no CR or LF alone')

tell('done\n')
equal(i.stop(), [], 'stopping leaves no process')
sink.stop()
done()
