"""A smart host, as INSTALL says: ports 587 and 465 of a provider, routes by sender, a password that is wrong and is mended

As root in an instance with an account for each part, else in one with one account.
"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from authsink import Logins
from dnsserver import DNSServer
from tlssink import CA, TlsSink

if ROOT and sys.argv[1:] != ['separated']:
    command = with_accounts('/usr/bin/python3', os.path.abspath(__file__), 'separated')
    if command: os.execvp(command[0], command)
SEPARATED = sys.argv[1:] == ['separated']

ca = CA()
def provider(name, port, users, **kw):
    """A server that has AUTH over TLS only; .logins, .sink."""
    logins = Logins(users)
    script = logins.script('PLAIN', 'LOGIN', 'SCRAM-SHA-256')
    ehlo = script.pop('ehlo')
    if not kw: script['ehlo'] = lambda session, line: ehlo if session.secure else '250-%s\n250 STARTTLS' % name
    else: script['ehlo'] = ehlo
    s = TlsSink(ca.issue(name), port=port, **script, **kw).start()
    s.logins = logins
    return s

PORTS = {587: free_port(), 465: free_port(), 588: free_port()}
submission = provider('smtp.provider.example', PORTS[587], {'joe@provider.example': 'the password'})
wrapper = provider('smtp.provider.example', PORTS[465], {'joe@provider.example': 'the password'}, wrapper=True)
club = provider('mail.club.example', PORTS[588], {'club': 'c'})
names = DNSServer({'smtp.provider.example': {'A': ['127.0.0.1']}, 'mail.club.example': {'A': ['127.0.0.1']}}).start()

i = Instance(separated=SEPARATED, options=('-a', '127.0.0.1'))
i.control('resolvers', names.resolver)
with open(i.home + '/control/serverca.pem', 'w') as f: f.write(open(ca.pem).read())
credentials = i.home + '/control/smtpcredentials'
equal(oct(os.stat(credentials).st_mode & 0o777), '0o640' if SEPARATED else '0o600', 'a new instance has a file for passwords, which is not for all')
recipes = [r.replace('/var/pipit', i.home).replace(':587', ':%d' % PORTS[587]).replace(':465', ':%d' % PORTS[465])
           for r in re.findall(r'^     ((?:cd /var/pipit/control|echo).*(?:\n     \S.*)*)', open('INSTALL').read().split('A smart host:')[1].split('\n   Mailboxes for')[0], re.M)]
equal(len(recipes), 3, 'INSTALL has three recipes')
def recipe(n): subprocess.run(['sh', '-ec', 'cd %s/control\n' % i.home + recipes[n].replace('mail.club.example:%d' % PORTS[587], 'mail.club.example:%d' % PORTS[588])], check=True, user=None if SEPARATED or not ROOT else ACCOUNT.pw_uid)
i.start()
check(wait_for(lambda: os.path.exists(i.home + '/run/authc')), 'pipit-authc is there')

def mail(sender, sink, why, n=1):
    before = len(sink.transactions)
    i.sendmail('-f', sender, 'x@far.example', input=b'Subject: x\n\nx\n')
    check(wait_for(lambda: len(sink.transactions) == before + n, 20), why)
    if len(sink.transactions) != before + n: print(i.tail())

recipe(0)
i.hup()
mail('joe@mail.example', submission, 'mail goes out by port 587')
equal(submission.logins.used, [('SCRAM-SHA-256', 'joe@provider.example', True)], 'with a login over TLS')
recipe(1)
i.hup()
mail('joe@mail.example', wrapper, 'and by port 465')
recipe(2)
i.hup()
mail('sue@club.example', club, "not with a line's credentials missing", 0)
check(wait_for(lambda: [l for l in i.log('send') if re.search(r'alert: unable to log in at a relay host=mail\.club\.example ip=127\.0\.0\.1 credentials=club reason="control/smtpcredentials: no line club:user:password" mend=control/smtpcredentials$', l)], 20),
      'the log says which')
check(wait_for(lambda: any('destination dead: mail.club.example:%d;auth=club ' % PORTS[588] in l for l in i.log('send')), 20), 'that relay is dead at once')
mail('joe@mail.example', wrapper, 'others go on')
with open(credentials, 'a') as f: f.write('club:club:wrong\n')
i.run(i.home + '/bin/pipit-flush', 'all')
check(wait_for(lambda: any('535' in l and 'alert: unable to log in' in l for l in i.log('send')), 20), 'a wrong password: so it says as well')
equal(club.logins.used, [('SCRAM-SHA-256', None, False)], 'after one try')
text = open(credentials).read().replace('club:club:wrong', 'club:club:c')
with open(credentials, 'w') as f: f.write(text)
i.run(i.home + '/bin/pipit-flush', 'all')
check(wait_for(lambda: len(club.transactions) == 1, 20), 'mended: it goes out')
check(i.wait_queue_empty(), 'nothing is left, and nothing bounced')
equal((len(submission.transactions), len(wrapper.transactions), len(club.transactions)), (1, 2, 1), 'each by its own relay')
check(not [l for lines in i.logs().values() for l in lines if 'the password' in l], 'no password is in a log')
equal(i.stop(), [], 'all ends')
for s in (submission, wrapper, club, names): s.stop()
done()
