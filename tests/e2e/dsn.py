"""Notices of delivery (RFC 3461): for each NOTIFY and each kind of destination exactly the reports that are due"""
import sys
sys.path.insert(0, 'tests')
from email.utils import parsedate_to_datetime
from instance import *
from notices import DSN_SINK, Notice, send
from sink import Sink

def rcpt(session, line):
    if b'<no' in line or b'<"no' in line: return '550-5.1.1 nobody here\n550 5.1.1 by that name'
    if b'<odd' in line: return '554-\x1b[31m "quoted"\n554-X-Injected: yes\n554 ' + 'long' * 120 + ' \u00e4'
    if b'<later' in line: return '450 4.2.1 come back later'
    return '250 2.1.5 ok'
knows, plain, store = Sink(rcpt=rcpt, ehlo=DSN_SINK).start(), Sink(rcpt=rcpt).start(), Sink(dot=lambda s, l: rcpt(s, l), lmtp=True).start()
i = Instance()
i.control('smtproutes', 'dsn.example:[127.0.0.1]:%d\nplain.example:[127.0.0.1]:%d\n' % (knows.port, plain.port))
i.control('lmtproutes', 'store.example:[127.0.0.1]:%d\n' % store.port)
i.control('rcpthosts', 'mail.example\ndsn.example\nplain.example\nstore.example\n')
for box in ('here', 'postmaster', 'reports'): i.mailbox(box)
i.dot_qmail('s-default', './reports/\n') # every sender of a case has an address of its own
i.dot_qmail('refuse', '|echo not here; exit 100\n')
i.dot_qmail('refuse-default', '|exit 100\n')
i.dot_qmail('fan', '&here@mail.example\n&postmaster@mail.example\n')
i.dot_qmail('one', '&here@mail.example\n')
i.start()

def reports(of=''):
    """The reports for a sender, in their order."""
    got = [Notice(raw) for raw in i.mails('reports')]
    return [n for n in got if n.to == 's-%s@mail.example' % of] if of else got

def give(case, rcpts, data=b'Subject: x\nX-Mark: here\n\nthe body\n', mail='', sender=None):
    return send(i.port, 's-%s@mail.example' % case if sender is None else sender, rcpts, data, mail)

# --- each NOTIFY, each destination ---

WISHES = (None, 'NEVER', 'SUCCESS', 'FAILURE', 'DELAY', 'SUCCESS,FAILURE', 'FAILURE,DELAY', 'SUCCESS,FAILURE,DELAY')
PLACES = {'here@mail.example': ('delivered', None), 'ok@plain.example': ('relayed', None), 'ok@dsn.example': (None, None),
          'fan@mail.example': ('expanded', None), 'one@mail.example': ('delivered', None),
          'ok@store.example': ('delivered', None), 'no@store.example': (None, 'failed'),
          'refuse@mail.example': (None, 'failed'), 'no@plain.example': (None, 'failed'), 'no@dsn.example': (None, 'failed')}
FINAL = {'one@mail.example': 'here@mail.example'} # who tells, where that is another address
expected = {}
for w, wish in enumerate(WISHES):
    for p, (place, (success, failure)) in enumerate(PLACES.items()):
        case = '%d%d' % (w, p)
        give(case, [place + (' NOTIFY=' + wish if wish else '')], mail='RET=HDRS ENVID=id-' + case)
        due = success if 'SUCCESS' in (wish or '') else None
        if wish is None or 'FAILURE' in wish: due = due or failure
        if due: expected[case] = {FINAL.get(place, place): due}
check(i.wait_queue_empty(40), 'everything comes to its end')
got = {n.to[2:4]: n for n in reports()}
for case in sorted(expected.keys() | got.keys()):
    what = 'NOTIFY=%s to %s' % (WISHES[int(case[0])], list(PLACES)[int(case[1])])
    equal(got[case].actions() if case in got else None, expected.get(case), what)
equal(len(reports()), len(expected), 'no more than one each')
check(all(n.about.get('Original-Envelope-Id') == 'id-' + c for c, n in got.items()), 'each with its ENVID')
check(all(n.message['Auto-Submitted'] == 'auto-replied' and n.raw.startswith(b'Return-Path: <>\n') and not n.defects for n in got.values()),
      'each from the null sender, for no machine to answer, and well formed')
check(all(n.types == ['text/plain', 'message/delivery-status', 'text/rfc822-headers'] for n in got.values()), 'each of three parts')
check(all(n.text.startswith('Hi. This is the ') == (set(n.actions().values()) == {'failed'}) for n in got.values()),
      'only failures begin as a bounce does')
equal(len(i.mails('postmaster')), len(WISHES), 'nothing goes to the postmaster, but what is forwarded to him')

# What was passed on.
mails = list(knows.transactions)
check(all('RET=HDRS' in t.mail and 'ENVID=id-' in t.mail for t in mails), 'RET and ENVID')
equal(sorted(t.rcpts[0].split(' ', 2)[2] for t in mails),
      sorted(('NOTIFY=%s ' % w if w else '') + 'ORCPT=rfc822;ok@dsn.example' for w in WISHES), 'NOTIFY, and an ORCPT that is made')
check(not any(' RET' in c or ' NOTIFY' in c or ' ORCPT' in c for s in plain.sessions for c in s.commands), 'one without gets none of it')

# --- forwards ---

for box in ('both', 'owner'): i.mailbox(box)
i.dot_qmail('via', '&no@plain.example\n')
i.dot_qmail('chain', '&one@mail.example\n')
i.dot_qmail('plain', '&ok@plain.example\n')
i.dot_qmail('known', '&ok@dsn.example\n')
i.dot_qmail('both', './both/\n&no@plain.example\n')
i.dot_qmail('some', '&here@mail.example\n&no@plain.example\n')
i.dot_qmail('copies', '&ok1@dsn.example\n&ok2@dsn.example\n')
i.dot_qmail('list', '&ok3@dsn.example\n&no@plain.example\n')
i.dot_qmail('list-owner', './owner/\n')
WISHES = (None, 'NEVER', 'SUCCESS', 'FAILURE', 'SUCCESS,FAILURE')
FORWARDS = { # what is told of a success, and of a failure: recipient and action
    'via': (None, ('no@plain.example', 'failed')), 'chain': (('here@mail.example', 'delivered'), None),
    'plain': (('ok@plain.example', 'relayed'), None), 'known': (None, None),
    'both': (('both@mail.example', 'delivered'), ('no@plain.example', 'failed')),
    'some': (('some@mail.example', 'expanded'), ('no@plain.example', 'failed')),
    'copies': (('copies@mail.example', 'expanded'), None), 'list': (('list@mail.example', 'delivered'), None)}
before = len(knows.transactions), len(i.mails('owner'))
expected = {}
for wish in WISHES:
    for name, (success, failure) in FORWARDS.items():
        case = '%s-%d' % (name, WISHES.index(wish))
        give(case, ['%s@mail.example ORCPT=rfc822;first+2B%s@old.example%s' % (name, name, ' NOTIFY=' + wish if wish else '')], mail='RET=HDRS ENVID=id-' + case)
        due = [success] if success and 'SUCCESS' in (wish or '') else []
        if failure and (wish is None or 'FAILURE' in wish): due.append(failure)
        expected[case] = sorted(due)
check(i.wait_queue_empty(40), 'forwards come to their ends')
for case, due in expected.items():
    got = reports(case)
    what = '%s, NOTIFY=%s' % (case.partition('-')[0], WISHES[int(case[-1])])
    equal(sorted(a for n in got for a in n.actions().items()), due, what)
    about = {(n.about.get('Original-Envelope-Id'), n.types[2], b.get('Original-Recipient')) for n in got for b in n.rcpts}
    equal(about, {('id-' + case, 'text/rfc822-headers', 'rfc822; first+%s@old.example' % case.partition('-')[0])} if due else set(), 'with what the sender had said: ' + what)
passed = {}
for t in knows.transactions[before[0]:]:
    case = re.search('<(s-|list-)(.*?)@', t.mail)[2]
    passed.setdefault(case, []).append((re.findall('(?:RET|ENVID)=[^ ]*', t.mail), [r.split(' ', 2)[2] for r in t.rcpts]))
def at(name): return [passed.get('%s-%d' % (name, n)) for n in range(len(WISHES))]
def asked(name, notify, count=1): return [[(['RET=HDRS', 'ENVID=id-%s-%d' % (name, n)], [('NOTIFY=%s ' % w if w else '') + 'ORCPT=rfc822;first+2B%s@old.example' % name] * count)] for n, w in enumerate(notify)]
give('eight', ['known@mail.example NOTIFY=NEVER'], b'Subject: x\n\n\xe4\n', 'BODY=8BITMIME')
check(wait_for(lambda: [t for t in knows.transactions if 's-eight' in t.mail and 'BODY=8BITMIME' in t.mail]), 'BODY goes with a forward too')
equal(at('known'), asked('known', WISHES), 'an alias passes all on to the next server')
equal(at('copies'), asked('copies', (None, 'NEVER', 'NEVER', 'FAILURE', 'FAILURE'), 2), 'one for several addresses does so too, but for SUCCESS')
equal(passed.get('owner'), [([], ['ORCPT=rfc822;ok3@dsn.example'])] * len(WISHES), 'a mailing list passes nothing on')
equal(len(i.mails('owner')) - before[1], len(WISHES), 'and its owner hears of failures, whatever the sender had asked')

# --- many recipients ---

equal(give('mixed', ['no1@plain.example NOTIFY=FAILURE ORCPT=rfc822;First+2B1@old.example', 'no2@plain.example NOTIFY=NEVER',
                     'no3@dsn.example', 'here@mail.example NOTIFY=SUCCESS,FAILURE ORCPT=x-mail;h', 'ok@plain.example NOTIFY=SUCCESS',
                     'ok1@dsn.example NOTIFY=SUCCESS ORCPT=rfc822;Kept+3D@old.example', 'ok2@dsn.example NOTIFY=NEVER'], mail='ENVID=a+2Bb+20c')[-1][:3],
      '250', 'a message with every kind of recipient')
check(i.wait_queue_empty(), 'ends')
got = reports('mixed')
equal(len(got), 1, 'one report tells all')
n = got[0] if got else Notice(b'')
equal(n.actions(), {'no1@plain.example': 'failed', 'no3@dsn.example': 'failed', 'here@mail.example': 'delivered', 'ok@plain.example': 'relayed'},
      'of those that are to be told')
equal(n.about.get('Original-Envelope-Id'), 'a+b c', 'Original-Envelope-Id, decoded')
b = n.rcpt('no1@plain.example')
equal([b.get(x) for x in ('Original-Recipient', 'Status', 'Diagnostic-Code', 'Remote-MTA')],
      ['rfc822; First+1@old.example', '5.1.1', 'smtp; 550-5.1.1 nobody here 550 5.1.1 by that name', 'dns; [127.0.0.1]'], "a failure in the server's words")
check(b.get('Last-Attempt-Date') and n.about.get('Arrival-Date') and n.about.get('Reporting-MTA') == 'dns; mail.example', 'when, and by whom')
b = n.rcpt('here@mail.example')
equal([b.get(x) for x in ('Original-Recipient', 'Status', 'Diagnostic-Code')], ['x-mail; h', '2.0.0', None], 'a delivery')
b = n.rcpt('ok@plain.example')
equal([b.get(x) for x in ('Original-Recipient', 'Status', 'Diagnostic-Code')], [None, '2.0.0', 'smtp; 250 2.0.0 taken'], 'a relayed one')
check('\n<no1@plain.example>:\n' in n.text and '\n<no3@dsn.example>:\n' in n.text, 'failures stand in the text as programs know them')
check('\n  here@mail.example: delivered\n' in n.text and '<here@' not in n.text and 'no2@' not in n.text and 'ok2@' not in n.text,
      'successes not as failures, and nothing of NEVER')
check(n.types[2:] == ['message/rfc822'] and b'the body' in n.original, 'with a failure in it the message comes back')
equal(n.message['Subject'], 'failure notice', 'its subject')
t = [t for t in knows.transactions if 's-mixed' in t.mail]
equal(t and (len(t), [r.split(' ', 1)[1] for r in t[0].rcpts]),
      (1, ['TO:<ok1@dsn.example> NOTIFY=SUCCESS ORCPT=rfc822;Kept+3D@old.example', 'TO:<ok2@dsn.example> NOTIFY=NEVER ORCPT=rfc822;ok2@dsn.example']),
      'recipients with different wishes go in one transaction')

# --- RET and size ---

i.control('bouncemaxbytes', '2000')
for case, ret, size, whole in (('ra', '', 1000, True), ('rb', 'RET=FULL', 1000, True), ('rc', 'RET=HDRS', 1000, False), ('rd', 'RET=FULL', 3000, False)):
    give(case, ['no@plain.example'], b'Subject: x\nX-Mark: here\n\n' + b'b\n' * (size // 2), ret)
    wait_for(lambda: reports(case))
    n = (reports(case) or [Notice(b'')])[0]
    equal((n.types[2:], b'X-Mark: here' in n.original, b'\nb\nb\n' in n.original), (['message/rfc822' if whole else 'text/rfc822-headers'], True, whole),
          '%s of %d bytes: %s' % (ret or 'no RET', size, 'the message' if whole else 'the header'))
i.control('bouncemaxbytes', '0')
give('re', ['no@plain.example'], mail='RET=FULL')
wait_for(lambda: reports('re'))
equal([n.types[2] for n in reports('re')], ['text/rfc822-headers'], 'bouncemaxbytes 0: always the header')
i.control('bouncemaxbytes', None)

# --- senders that get none ---

before = len(i.mails('postmaster')), len(reports())
give('', ['here@mail.example NOTIFY=SUCCESS'], sender='')
give('', ['refuse@mail.example NOTIFY=NEVER'], sender='')
i.wait_mails('postmaster', before[0] + 1)
check(i.wait_queue_empty(), 'the null sender')
got = [Notice(m) for m in i.mails('postmaster')[before[0]:]]
equal(([n.actions() for n in got], len(reports())), ([{'refuse@mail.example': 'failed'}], before[1]),
      'gets no notice, and the postmaster his double bounce, whatever NOTIFY says')
i.control('doublebounceto', '')
give('', ['refuse@mail.example'], sender='')
check(wait_for(lambda: any('double bounce: discarding bounce/' in l for l in i.log('send'))) and i.wait_queue_empty(), 'doublebounceto empty: discarded')
equal(len(i.mails('postmaster')), before[0] + 1, 'for good')
i.control('doublebounceto', None)
for name in ('list-return', 'list-return-'): i.dot_qmail(name, './reports/\n')
code, text = i.run(os.path.join(i.home, 'bin/pipit-inject'), '-f', 'list-return-@mail.example-@[]', '-D', 'success,failure', 'no@plain.example',
                   'here@mail.example', input=b'Subject: x\n\n')
check(wait_for(lambda: [n for n in reports() if n.to == 'list-return-@mail.example']), 'a VERP sender gets his report at the address itself')
n = ([n for n in reports() if n.to == 'list-return-@mail.example'] or [Notice(b'')])[0]
equal(n.actions(), {'no@plain.example': 'failed', 'here@mail.example': 'delivered'}, 'what pipit-inject -D asked for')

# --- sendmail ---

i.sendmail('-f', 's-sm@mail.example', '-N', 'success', '-V', 'my id', '-R', 'hdrs', 'here@mail.example', input=b'Subject: x\n\n')
wait_for(lambda: reports('sm'))
equal([(n.actions(), n.about.get('Original-Envelope-Id')) for n in reports('sm')], [({'here@mail.example': 'delivered'}, 'my id')], 'sendmail -N -V -R')

# --- hostile ---

def queue(envelope, message=b'Subject: x\n\nbody\n'):
    """A foreign client of pipit-queue: message on 0, envelope on 1."""
    paths = [os.path.join(SCRATCH, n) for n in ('q.msg', 'q.env')]
    for path, data in zip(paths, (message, envelope)):
        with open(path, 'wb') as f: f.write(data)
    with open(paths[0], 'rb') as m, open(paths[1], 'rb') as e:
        p = i.popen(os.path.join(i.home, 'bin/pipit-queue'), stdin=m, stdout=e, stderr=subprocess.DEVNULL)
        return p.wait(30)
evil = [b'"\r\nBcc: <v@mail.example>\r\n\r\n"@plain.example', b'no\xff\xfe\xe4@plain.example', 'nogrün@plain.example'.encode(),
        b'no"b\\c d@plain.example', b'no' + b'x' * 880 + b'@plain.example', 'refuse-ü ü@mail.example'.encode(), b'odd@plain.example',
        b'no\n--boundary\n@dsn.example']
equal(queue(b'Fs-evil@mail.example\0XENVID=x AUTH=<y>\0XRET=HDRS SIZE=1\0' +
            b''.join(b'XNOTIFY=FAILURE BODY=8BITMIME\0XORCPT=rfc822;a b\0T' + r + b'\0' for r in evil) + b'XNOTIFY=SUCCESS>\0Tok@dsn.example\0\0'), 0,
      'a local user asks for nonsense')
check(wait_for(lambda: reports('evil')) and i.wait_queue_empty(), 'and gets a report')
n = (reports('evil') or [Notice(b'')])[0]
equal((len(n.rcpts), set(b['Action'] for b in n.rcpts), n.defects), (len(evil), {'failed'}, []), 'of all recipients that failed, well formed')
allowed = {'Final-Recipient', 'Action', 'Status', 'Remote-MTA', 'Diagnostic-Code', 'Last-Attempt-Date'}
equal((set().union(*n.rcpts) - allowed, set(n.about)), (set(), {'Reporting-MTA', 'Arrival-Date'}), 'no field is added by an address or by a value that does not hold')
check(not any(k in n.message for k in ('Bcc', 'X-Injected')) and len(n.types) == 3, 'nor a header field, nor a part')
check(all(c < 127 for b in n.rcpts for v in b.values() for c in v.encode()) and max(map(len, n.raw.split(b'\n'))) <= 998, 'fields are ASCII, lines are bounded')
b = n.rcpt('odd@plain.example')
check('?' in b.get('Diagnostic-Code', '') and 'X-Injected: yes' in b['Diagnostic-Code'] and b['Status'] == '5.0.0', "a server's odd words stay in their field")
t = [t for t in knows.transactions if 's-evil' in t.mail]
equal([(x.mail.split(' ', 1)[1].replace(' SIZE=', ' ').split(' ')[0], x.rcpts) for x in t],
      [('FROM:<s-evil@mail.example>', ['RCPT TO:<ok@dsn.example> ORCPT=rfc822;ok@dsn.example'])], 'a server is told nothing that does not hold')
check(not any('AUTH' in c for s in knows.sessions for c in s.commands), 'least of all another parameter')

# --- delays ---

i.control('delaywarn', '1')
i.hup()
LATE = {'da': ('later@plain.example', b''), 'db': ('later@plain.example NOTIFY=DELAY', b''), 'dc': ('later@plain.example NOTIFY=NEVER', b''),
        'dd': ('later@plain.example NOTIFY=SUCCESS,FAILURE', b''), 'de': ('later@plain.example', b'Precedence: bulk\n'),
        'df': ('later@plain.example', b'Auto-Submitted: auto-generated; x\n'), 'dg': ('later@dsn.example', b'auto-submitted: no\n')}
base = len(reports())
for case, (r, head) in LATE.items(): give(case, [r, 'here@mail.example'], b'Subject: x\n' + head + b'\nbody\n')
give('', ['later@plain.example'], sender='')
wait_for(lambda: sum('450_4.2.1' in l for l in i.log('send')) >= len(LATE) + 1)
def again():
    n = sum('450_4.2.1' in l for l in i.log('send'))
    i.alrm()
    return wait_for(lambda: sum('450_4.2.1' in l for l in i.log('send')) >= n + len(LATE) + 1)
equal(len(reports()), base, 'no notice of a delay before its time')
time.sleep(1.1) # they grow older than delaywarn
# One that cannot be sent at once, on a busy machine, comes after the next attempt.
check(any(again() and wait_for(lambda: len(reports()) >= base + 3, 3) for _ in range(4)), 'then there are some')
due = {'da', 'db', 'dg'}
def told(): return {c: [n.actions() for n in reports(c)] for c in LATE}
first = told()
equal(first, {c: [{LATE[c][0].split()[0]: 'delayed'}] if c in due else [] for c in LATE}, 'where NOTIFY allows it, and where a person waits')
check(again(), 'another attempt')
i.stop(); i.start()
check(again(), 'and one after a restart')
time.sleep(0.3)
equal(told(), first, 'bring no other notice')
n = (reports('da') or [Notice(b'')])[0]
b = n.rcpt('later@plain.example')
equal((b.get('Status'), b.get('Diagnostic-Code'), n.message['Subject'], n.types[2:]), ('4.2.1', 'smtp; 450 4.2.1 come back later', 'delay notice', ['text/rfc822-headers']),
      'what a notice of a delay says')
until = parsedate_to_datetime(b.get('Will-Retry-Until', 'Thu, 01 Jan 1970 00:00:00 +0000')).timestamp() - time.time()
check(604000 < until < 605000 and "I'll keep trying until " + b.get('Will-Retry-Until', '?') in n.text, 'and until when delivery is tried')
check('only a warning' in n.text and 'come back later' in n.text and '<later' not in n.text, 'it is not taken for a bounce')
for s in (knows, plain): s.script['rcpt'] = '250 2.1.5 ok'
i.alrm()
check(i.wait_queue_empty(), 'in the end all is delivered')
wait_for(lambda: reports('dd'))
after = told()
equal((after['dd'], {c: v for c, v in after.items() if c != 'dd'}), ([{'later@plain.example': 'relayed'}], {c: v for c, v in first.items() if c != 'dd'}),
      'and the sender who asked for that is told')
equal(i.stop(), [], 'stopping leaves no process')
knows.stop(); plain.stop()
done()
