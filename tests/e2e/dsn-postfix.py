"""Notices of delivery as Postfix sends them: the same mail through both, to the same servers, the same fields"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from notices import DSN_SINK, Notice, send
from privatepostfix import *
from sink import Sink
import peers

try: peer = peers.postfix()
except peers.Unavailable as e:
    skip('Postfix: %s' % e)
    done()
if not private_mounts():
    skip('a private Postfix can only be run by root')
    done()

def rcpt(session, line):
    if b'<no' in line: return '550 5.1.1 nobody here'
    if b'<full' in line: return '554 mailbox full'
    return '250 2.1.5 ok'
add_account()
knows, plain = Sink(rcpt=rcpt, ehlo=DSN_SINK).start(), Sink(rcpt=rcpt).start()
routes = {'dsn.example': knows.port, 'plain.example': plain.port}
postfix = Postfix(peer, reachable(peer.root), routes)
i = Instance()
i.control('smtproutes', ''.join('%s:[127.0.0.1]:%d\n' % r for r in routes.items()))
i.control('rcpthosts', 'mail.example\ndsn.example\nplain.example\n')
i.mailbox('here')
i.mailbox('reports')
i.dot_qmail('s-default', './reports/\n')
i.start()
if not check(wait_for(postfix.ready, 20), 'a private Postfix runs'):
    print(postfix.log())
    done()

# --- the same cases through both ---

WISHES = ('', 'NOTIFY=NEVER', 'NOTIFY=SUCCESS', 'NOTIFY=FAILURE', 'NOTIFY=DELAY', 'NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;O+2Bne@old.example')
PLACES = ('here@mail.example', 'ok@plain.example', 'ok@dsn.example', 'no@plain.example', 'no@dsn.example', 'full@plain.example')
CASES = {'%d%d' % (w, p): ([(place + ' ' + wish).strip()], 'ENVID=id+2B%d%d' % (w, p)) for w, wish in enumerate(WISHES) for p, place in enumerate(PLACES)}
CASES['all'] = ([p + ' NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x' + p for p in PLACES], 'RET=FULL ENVID=all')
CASES['hdrs'] = (['no@plain.example'], 'RET=HDRS')
CASES['none'] = (['no@plain.example', 'ok@dsn.example'], '')

def told(mails):
    """{case: {recipient: (Action, class of Status, Original-Recipient, Original-Envelope-Id, whole message)}}"""
    found = {}
    for n in map(Notice, mails):
        if not n.rcpts or 's-' not in n.to: continue
        for b in n.rcpts:
            tail = lambda v: v and v.split(';', 1)[1].strip()
            found.setdefault(n.to[2:].split('@')[0], {})[tail(b['Final-Recipient'])] = (
                b['Action'], b['Status'][:1], tail(b.get('Original-Recipient')), n.about.get('Original-Envelope-Id'), n.types[2] == 'message/rfc822')
    return found

def asked(since):
    """What the server with DSN was told, by sender: {case: (MAIL's parameters, {RCPT's})}"""
    got = {}
    for t in knows.transactions[since:]:
        mail = t.mail.split(' ')
        params = {p for p in mail[2:] if p.startswith(('RET=', 'ENVID='))}
        got[mail[1][8:].split('@')[0]] = (params, {tuple(sorted(','.join(sorted(p.split(','))) for p in r.split(' ')[2:])) for r in t.rcpts})
    return got

results = []
for name, port, idle, mails in (('Postfix', postfix.port, postfix.idle, postfix.mails), ('pipit', i.port, lambda: not i.queue(), lambda: i.mails('reports'))):
    since = len(knows.transactions)
    codes = [send(port, 's-%s@mail.example' % case, rcpts, mail=mail) for case, (rcpts, mail) in CASES.items()]
    check(all(c[:1] == '2' for reply in codes for c in reply), '%s takes all of it' % name)
    check(wait_for(idle, 40, 0.1), 'and has an end with it')
    results.append((told(mails()), asked(since)))
(theirs, theirs_asked), (ours, ours_asked) = results
check(len(theirs) > 10, 'Postfix has sent reports')
equal({c: sorted(r) for c, r in ours.items()}, {c: sorted(r) for c, r in theirs.items()}, 'both report the same recipients of the same messages')
FIELDS = ('Action', 'class of Status', 'Original-Recipient', 'Original-Envelope-Id', 'whole message')
for f, field in enumerate(FIELDS):
    pairs = {(c, r): (ours[c][r][f], theirs[c][r][f]) for c in ours for r in ours[c] if r in theirs.get(c, {})}
    # One report of ours tells of failures and successes; Postfix sends two, and the message with the failures.
    differ = {k: v for k, v in pairs.items() if v[0] is not None and v[1] is not None and v[0] != v[1] and not (field == 'whole message' and k[0] == 'all')}
    equal(differ, {}, '%s: where both have it, they agree' % field)
check(all(v[0] for k, v in ours.get('all', {}).items()) and set(v[2] for v in ours['all'].values()) <= {'x' + p for p in PLACES}, 'ORCPT is kept by each recipient')
equal(ours_asked, theirs_asked, 'both tell the next server the same')
equal(i.stop(), [], 'stopping leaves no process')
postfix.stop()
knows.stop(); plain.stop()
done()
