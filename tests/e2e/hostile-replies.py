"""Whatever a server says: no crash, one log line, a clean bounce, and the queue as it was

Replies of a mebibyte, a million lines, control characters, changing codes and forged structure, at
every stage, through the whole system; and a server that hangs up after each byte it has to say.
"""
import sys
sys.path.insert(0, 'tests')
from email import message_from_bytes, policy
from instance import *
from jobs import remote
from sink import Close, DEFAULT, Raw, Silent, Sink

def stream(piece, total):
    def f(session, line):
        try:
            for _ in range(total // len(piece) + 1): session.conn.sendall(piece)
        except OSError: pass
        return Close()
    return f
EVIL = b'\r\n550-'
REFUSALS = { # at any stage: a permanent refusal with something in it
    'control characters': b'550 5.7.1 a\0b\x1b[2J\x07\x08\x7f\x9b31m\xff\tc\r\n',
    'a forged header and an empty line': b'550-5.7.1 x' + EVIL + EVIL + b'Bcc: victim@mail.example' + EVIL + b'\r\n550 .\r\n',
    'a forged part': b'550-5.7.1 --' + EVIL + b'Content-Type: text/html' + EVIL + b'\r\n550 <script>\r\n',
    'forged log lines': b'550 5.7.1 no\rend msg 1\r\n',
    'CRs': b'550 5.7.1 a\r\rb\r\n', 'a long text': b'550 5.7.1 ' + b'x' * 2000 + b'\r\n', 'many lines': b'550-5.7.1 x\r\n' * 99 + b'550 y\r\n',
    'format characters': b'550 5.7.1 %s%n%d%99999999s\r\n', 'another status': b'550 2.0.0 fine\r\n', 'a status of length': b'550 5.' + b'9' * 500 + b'.1 x\r\n',
    'the words of a report': b'550-5.7.1 Remote host said: 250 ok\r\n550 Final-Recipient: rfc822; root\r\n', 'nothing': b'550\r\n'}
TROUBLES = { # none of these may be believed
    'a line of a mebibyte': stream(b'550 ' + b'x' * (1 << 20) + b'\r\n', 1 << 20), 'a million lines': stream(b'550-x\r\n' * 10000, 7000000),
    'a changing code': Raw(b'550-a\r\n250 b\r\n'), 'another changing code': Raw(b'250-a\r\n550 b\r\n'), 'code 999': Raw(b'999 x\r\n'), 'code 000': Raw(b'000 x\r\n'),
    'no newline': lambda s, l: (s.conn.sendall(b'550 no'), Close())[1], 'NUL': Raw(b'\0' * 5000 + b'\r\n'), 'an escape before the code': Raw(b'\x1b[2J550 no\r\n'),
    'a LF before the code': Raw(b'\n550 no\r\n'), 'minus': Raw(b'-550 no\r\n'), 'letters': Raw(b'5O0 no\r\n'), 'a space': Raw(b' 550 no\r\n'), 'six digits': Raw(b'550550 no\r\n'),
    'HTTP': Raw(b'HTTP/1.1 550 no\r\n\r\n')}
STAGES = ('greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot')

i = Instance(options=('-a', '127.0.0.1'))
i.mailbox('ann'); i.mailbox('victim')
sinks, routes, cases = [], [], []
for stage in STAGES:
    for kind, table in (('refusal', REFUSALS), ('trouble', TROUBLES)):
        for n, (name, reply) in enumerate(table.items()):
            if kind == 'refusal' and stage in ('greeting', 'ehlo'): continue # no refusal of a recipient
            s = Sink(**{stage: Raw(reply) if isinstance(reply, bytes) else reply, **({'helo': reply} if stage == 'ehlo' else {})}).start()
            domain = '%s%d.%s.example' % (kind, n, stage)
            sinks.append(s)
            routes.append('%s:[127.0.0.1]:%d' % (domain, s.port))
            cases.append((domain, kind, name, stage))
i.control('smtproutes', '\n'.join(routes))
i.control('rcpthosts', 'mail.example\n.example')
i.control('timeoutremote', '5')
i.control('concurrencyremote', '20')
i.control('concurrencysmtpdclient', '500')
i.start()
BODY = b'Subject: original\n\nthe body\n'
ids = {}
with i.smtp() as s:
    for domain, *_ in cases:
        ids[domain] = deliver(s, 'ann@mail.example', 'rcpt@' + domain, BODY).split()[-1]
def stored():
    """The message files that are not finished, by id."""
    found = {}
    for id, path in live_files(i.home):
        try: found[str(id)] = open(path, 'rb').read()
        except FileNotFoundError: pass # it was just finished, or put elsewhere
    return found
refusals = [c for c in cases if c[1] == 'refusal']
troubles = [c for c in cases if c[1] == 'trouble']
wait_for(lambda: sum(': deferral: ' in l for l in i.log('send')) >= len(troubles) and len(i.mails('ann')) >= len(refusals), 120, 0.2)
log = [l.split(' ', 1)[1] for l in i.log('send')]
def results(domain): return [l for l in log if re.match(r'delivery \d+: ', l) and ' rcpt=rcpt@' + domain + ' ' in l + ' ']
for domain, kind, name, stage in cases:
    r = results(domain)
    want = 'failure' if kind == 'refusal' else 'deferral'
    check(len(r) == 1 and re.match(r'delivery \d+: %s: ' % want, r[0]) and len(r[0]) < 4096, '%s at %s: %s, in one line' % (name, stage, want)) or print(r)
check(not any(re.search(r'[^\x20-\x7e]', l) for l in log), 'the log is printable')
equal([l for l in log if re.fullmatch(r'end msg 1', l) or 'alert' in l], [], 'no line was forged, and nothing crashed')
waiting = {}
def settled():
    waiting.clear()
    waiting.update(stored())
    return set(waiting) == {ids[d] for d, *_ in troubles}
wait_for(settled, 60, 0.5)
wrong = set(waiting) ^ {ids[d] for d, *_ in troubles}
check(not wrong, 'what could not be understood waits in the queue, what was refused does not') or print('\n'.join(l for l in i.log('send') if any(w in l for w in list(wrong)[:3])))
ok = all(waiting[ids[d]][128:].split(b'\n', 3)[3:] and BODY + b'Fann@mail.example\0Trcpt@' + d.encode() + b'\0' in waiting[ids[d]] and
         waiting[ids[d]].count(b'\0T') == 1 for d, *_ in troubles if ids[d] in waiting)
check(ok, 'with message and envelope as they were')
before = sum(': deferral: ' in l for l in i.log('send'))
i.alrm()
check(wait_for(lambda: sum(': deferral: ' in l for l in i.log('send')) > before, 60, 0.2), 'ALRM: tried again')
again = {}
def as_before():
    again.clear()
    again.update(stored())
    return all(again.get(n) == waiting[n] for n in waiting)
wait_for(as_before, 20, 0.5) # a file may be on its way from one place to another
equal({n for n in waiting if again.get(n) != waiting[n]}, set(), 'another attempt changes no byte of them')
for path in glob.glob(i.home + '/queue/state/*/*'):
    if re.search(rb'[^\n\x20-\x7e]', open(path, 'rb').read()): check(False, 'a state file holds what a server said: ' + path)

# The bounces.
mails = i.mails('ann')
equal(len(mails), len(refusals), 'each refusal makes one bounce')
equal(i.mails('victim'), [], 'and nobody else gets anything')
bad = []
for m in mails:
    parsed = message_from_bytes(m, policy=policy.default)
    parts = list(parsed.iter_parts())
    head = m.split(b'\n\n', 1)[0]
    status = parts[1].get_payload() if len(parts) > 1 else []
    fields = m[m.index(b'message/delivery-status'):m.index(b'message/rfc822')]
    if re.search(rb'[\x00-\x08\x0b-\x1f\x7f-\xff]', m) or [p.get_content_type() for p in parts] != ['text/plain', 'message/delivery-status', 'message/rfc822']: bad.append('form')
    elif b'Bcc' in head or b'victim' in head or len(status) != 2 or status[1]['Action'] != 'failed': bad.append('fields')
    elif not status[1]['Final-Recipient'].startswith('rfc822; rcpt@refusal') or fields.count(b'Final-Recipient: ') - fields.count(b' Final-Recipient: ') != 1: bad.append('recipient')
    elif not re.fullmatch(r'5\.\d{1,3}\.\d{1,3}', status[1]['Status']): bad.append('status ' + status[1]['Status'])
    elif max(map(len, m.split(b'\n'))) > 998 or len(m) > 12000: bad.append('too long')
    elif not parts[2].as_bytes().endswith(b'\nthe body\n') and b'the body' not in parts[2].as_bytes(): bad.append('original')
    else: continue
    print(m.decode(errors='backslashreplace'))
equal(bad, [], 'all of them are well-formed reports without a control character')
equal(i.stop(), [], 'stopping leaves no process')
for s in sinks: s.stop()

# A server that hangs up after so many bytes of all that it has to say.
class Cut:
    def __init__(self, stage): self.stage = stage
    def __call__(self, session, line):
        text = b''.join(l.encode() + b'\r\n' for l in ehlo.split('\n')) if self.stage == 'ehlo' else ANSWERS[self.stage]
        said = getattr(session, 'said', 0)
        session.said = said + len(text)
        if session.said <= limit: return Raw(text)
        try: session.conn.sendall(text[:limit - said])
        except OSError: pass
        return Close()
ANSWERS = {'greeting': b'220 a b\r\n', 'mail': b'250 ok\r\n', 'rcpt': b'250 ok\r\n', 'data': b'354 go\r\n', 'dot': b'250-taken\r\n250 ok\r\n'}
i.control('timeoutremote', '10')
for ehlo in ('250-s\n250 PIPELINING', '250 s'):
    total = sum(map(len, ANSWERS.values())) + len(ehlo) + 2 + ehlo.count('\n')
    wrong = []
    with Sink(**{stage: Cut(stage) for stage in ('greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot')}, helo=Close()) as s:
        i.control('smtproutes', ':[127.0.0.1]:%d' % s.port)
        for limit in range(total + 1):
            r = remote(i.home, 'b.example', 's@a.example', 'r@b.example', message=b'x\n')
            want = 'K' if limit >= total else 'Z'
            duplicate = 'duplicate' in r.text
            asked = total - len(ANSWERS['dot']) <= limit < total # it was asked for its answer to the message
            if r.letters != 'r' + want or not r.complete or r.status or duplicate != asked: wrong.append((limit, r.raw))
    equal(wrong[:3], [], 'a server that hangs up after each of %d bytes (%s): not now, and a possible duplicate only after the message' % (total, ehlo.split()[-1]))
done()
