"""What goes in comes out, byte for byte, below the trace fields: real and malformed messages, both doors, both ways out

The messages are those of tests/data/mime-stalwart and some made here. By SMTP each
is sent with CR LF line ends: a file's CR LF and its LF are one line end each, a
missing last one is added (SMTP cannot say that there is none), a dot at a line's
start is doubled. No file of the set has a CR that is not followed by LF; the
messages made here that have one, or a NUL, are refused at the dot. pipit-queue
gets the same bytes as they are, whatever they are.
"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from sink import Sink

SET = os.path.join('tests', 'data', 'mime-stalwart')
SENDER = 'ann@sender.example'

def read(path):
    with open(path, 'rb') as f: return f.read()

messages = [(os.path.relpath(p, SET), read(p)) for p in sorted(glob.glob(SET + '/*/*.eml'))]
everything = [text for name, text in messages]
check(len(messages) == 53 and any(b'\0' in t for t in everything) and any(b'\r\n' in t for t in everything) and
      any(re.search(rb'[\x80-\xff]', t) for t in everything) and any(t[-1:] != b'\n' for t in everything),
      'the set is whole: CR LF and LF files, 8-bit bytes, a NUL, missing last line ends')
messages += [
    ('empty', b''), ('one line end', b'\n'), ('no line end', b'x'), ('a dot', b'.'), ('dots', b'.\n..\n...\n\n.\n'),
    ('no header', b'\n.\nbody only'), ('all but CR, LF, NUL', bytes(set(range(256)) - {0, 10, 13}) * 20 + b'\n'),
    ('trace fields', b'Return-Path: <x@y>\nDelivered-To: other@mail.example\nReceived: from a\n\tby b; now\nX: y\n\nz\n'),
    ('a line of 100,000 bytes', b'Subject: long\n\n' + b'0123456789' * 10000 + b'\n'),
    ('a header line of 20,000 bytes', b'Subject: ' + b'long ' * 4000 + b'\n\nx\n'),
    ('many blank lines', b'\n' * 5000), ('3 MB', b'.line %d of many\n' * 180000),
    ('a CR', b'Subject: x\n\na\rb\n'), ('CR before CR LF', b'Subject: x\r\n\r\na\r\r\nb\r\n'), ('CR at the end', b'Subject: x\n\na\r'),
    ('NUL', b'Subject: x\n\na\0b\n'), ('all bytes', bytes(range(256)) * 20), ('smuggled', b'A: b\n\nx\r.\r\n.\n\r.\rMAIL FROM:<>\n'),
]

def lines_of(text):
    """The message as SMTP knows it: CR LF line ends, the last one too."""
    text = re.sub(rb'\r?\n', b'\r\n', text)
    return text if not text or text.endswith(b'\r\n') else text + b'\r\n'

def stuffed(text):
    return re.sub(rb'(?m)^\.', b'..', text)

def is_valid(text):
    """May SMTP carry it? As CR LF lines it has neither NUL nor a CR or LF alone."""
    return not re.search(rb'\0|\r(?!\n)|(?<!\r)\n', lines_of(text))

def sent_by_remote(text):
    """What remote/output.h promises: LF, CR LF and a bare CR are one line end each."""
    text = re.sub(rb'\r\n|\r|\n', b'\r\n', text)
    return text if not text or text.endswith(b'\r\n') else text + b'\r\n'

FIELD = rb'[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*'
def after_trace(text, *names):
    """What stands below exactly these fields; None when others stand there."""
    for name in names:
        m = re.match(name + rb': ' + FIELD, text)
        if not m: return None
        text = text[m.end():]
    return text

def show(got, expected):
    """Where they differ."""
    if got is None: return '(nothing)'
    at = next((n for n in range(min(len(got), len(expected))) if got[n] != expected[n]), min(len(got), len(expected)))
    return 'at byte %d: got %r, expected %r' % (at, got[max(0, at - 20):at + 40], expected[max(0, at - 20):at + 40])

sink = Sink().start()
i = Instance()
i.control('smtproutes', 'far.example:[127.0.0.1]:%d' % sink.port)
i.control('rcpthosts', 'mail.example\nfar.example\n')
i.mailbox('box')
i.dot_qmail('in-default', './box/\n')
i.start()

def by_smtp(s, n, text):
    """The reply after the dot."""
    for verb in ('MAIL FROM:<%s> BODY=8BITMIME' % SENDER, 'RCPT TO:<in-smtp-%d@mail.example>' % n,
                 'RCPT TO:<in-smtp-%d@far.example>' % n):
        code, reply = s.docmd(verb)
        if code != 250: return code, reply
    code, reply = s.docmd('DATA')
    if code != 354: return code, reply
    s.send(stuffed(lines_of(text)) + b'.\r\n')
    return s.getreply()

def by_queue(n, text):
    """The exit code of pipit-queue."""
    env = b'F%s\0' % SENDER.encode() + b''.join(b'Tin-queue-%d@%s\0' % (n, d) for d in (b'mail.example', b'far.example')) + b'\0'
    path = os.path.join(SCRATCH, 'message')
    with open(path, 'wb') as f: f.write(text)
    r, w = os.pipe()
    os.write(w, env)
    os.close(w)
    with open(path, 'rb') as f, open(r, 'rb') as e:
        return i.popen(os.path.join(i.home, 'bin', 'pipit-queue'), stdin=f, stdout=e).wait()

# In by both doors, for a mailbox here and one elsewhere.
expected = {} # (door, n): (in the Maildir, at the next host)
wrong, refused, taken = [], [], 0
with i.smtp() as s:
    s.ehlo('client.example')
    for n, (name, text) in enumerate(messages):
        code, reply = by_smtp(s, n, text)
        if is_valid(text):
            taken += code == 250
            if code != 250: wrong.append((name, code, reply))
            expected['smtp', n] = (lf(lines_of(text)), lines_of(text))
        else:
            refused.append(name)
            if (code, reply[:5]) != (550, b'5.6.0'): wrong.append((name, code, reply))
equal(wrong, [], 'smtpd takes %d messages; the rest is refused at the dot' % taken)
equal(refused, ['thirdparty/005.eml', 'a CR', 'CR before CR LF', 'CR at the end', 'NUL', 'all bytes', 'smuggled'],
      'refused are those with a NUL or a bare CR, and no other')
codes = {}
for n, (name, text) in enumerate(messages):
    codes[name] = by_queue(n, text)
    expected['queue', n] = (text, sent_by_remote(text))
equal({n: c for n, c in codes.items() if c}, {}, 'pipit-queue takes all of them, with NULs and bare CRs')

# Out to the Maildir and to the sink.
check(i.wait_queue_empty(60), 'everything is delivered')
arrived, passed_on = {}, {}
for mail in i.wait_mails('box', len(expected)):
    m = re.match(rb'Return-Path: <ann@sender.example>\nDelivered-To: in-(\w+)-(\d+)@mail.example\n', mail)
    key = (m[1].decode(), int(m[2])) if m else mail[:80]
    arrived.setdefault(key, []).append(mail)
for t in sink.wait(len(expected)):
    m = re.search(r'<in-(\w+)-(\d+)@', t.rcpts[0])
    passed_on.setdefault((m[1], int(m[2])), []).append(t.data)
for where, got in (('the Maildir', arrived), ('the next host', passed_on)):
    equal(sorted(got), sorted(expected), '%s got each message and no other' % where)
    equal([k for k, v in got.items() if len(v) != 1], [], 'and each once')

def compare(door, why, got, part, pick):
    """Compare all that came in by this door."""
    different = []
    for (d, n), both in expected.items():
        if d != door: continue
        text = pick(got.get((d, n), [b''])[0])
        if text != both[part]: different.append('%s: %s' % (messages[n][0], show(text, both[part])))
    equal(different, [], why)

def from_maildir(mail): return after_trace(mail, b'Return-Path', b'Delivered-To', b'Received')
def from_sink(data):
    """Behind Received, with the end of data taken off and the dots single again."""
    text = after_trace(data, b'Received')
    if text is None or not (b'\r\n' + text).endswith(b'\r\n.\r\n'): return None
    return re.sub(rb'(\A|(?<=\r\n))\.', b'', text[:-3])

compare('smtp', 'by SMTP to a Maildir: the same lines, with LF', arrived, 0, from_maildir)
compare('smtp', 'by SMTP to another host: the same lines', passed_on, 1, from_sink)
compare('queue', 'by pipit-queue to a Maildir: the same bytes, whatever they are', arrived, 0, from_maildir)
compare('queue', 'by pipit-queue to another host: the same lines; a bare CR is a line end', passed_on, 1, from_sink)
stray = [k for k, v in passed_on.items() if re.search(rb'\r(?!\n)|(?<!\r)\n', v[0])]
equal(stray, [], 'the next host never sees a CR or LF alone')

equal(i.stop(), [], 'stopping leaves no process')
sink.stop()
done()
