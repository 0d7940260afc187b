"""Mail over TLS to Postfix: by STARTTLS and from connecting on, verified and not; what both logs tell"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from privatepostfix import *
from tlssink import CA
import peers

if os.environ.get('PEERS') != 'long':
    skip('Postfix as a TLS server: make check-peers')
    done()
try: peer = peers.postfix()
except peers.Unavailable as e:
    skip('Postfix: %s' % e)
    done()
if not private_mounts():
    skip('a private Postfix can only be run by root')
    done()
add_account()
ca = CA('ca')
pair = ca.issue('mail.example', '127.0.0.1')
COUNT = 200
postfix = Postfix(peer, reachable(peer.root), {'none.example': 1}, smtpd_tls_security_level='may', smtpd_tls_chain_files=pair.pem, smtpd_tls_loglevel='1',
                  smtpd_tls_received_header='yes', smtpd_tls_auth_only='yes')
wrapped = free_port()
with open(postfix.top + '/etc/master.cf', 'a') as f: f.write('127.0.0.1:%d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n' % wrapped)
i = Instance(me='sender.example')
i.control('smtproutes', 'mail.example:[127.0.0.1]:%d\n' % postfix.port)
i.control('serverca.pem', open(ca.pem).read())
i.control('tlsdestinations', ':encrypt')
i.start()
if not check(wait_for(postfix.ready, 20), 'a private Postfix runs'):
    print(postfix.log())
    done()
postfix.master.send_signal(signal.SIGHUP)

def send(count, subject, policy, port=postfix.port):
    """The lines of send's log on these."""
    i.control('smtproutes', 'mail.example:[127.0.0.1]:%d\n' % port)
    i.control('tlsdestinations', policy)
    i.hup()
    before, lines = len(postfix.mails()), len(i.log('send'))
    for n in range(count): i.sendmail('-f', 'a@sender.example', 'x@mail.example', input=b'Subject: %s %d\n\n%s' % (subject.encode(), n, b'body\n' * 3000))
    if not check(wait_for(lambda: len(postfix.mails()) == before + count, 15), '%d messages: %s' % (count, subject)):
        print('\n'.join(i.log('send')[-5:]), '\n'.join([l for l in postfix.log().splitlines() if 'warning' in l or 'fatal' in l][-8:]), sep='\n')
        done()
    equal(sum(1 for m in postfix.mails() if re.search(rb'^Subject: %s \d+$' % subject.encode(), m, re.M) and m.endswith(b'\n\n' + b'body\n' * 3000)), count, 'whole')
    return [l for l in i.log('send')[lines:] if ': success: ' in l]

lines = send(COUNT, 'encrypted', 'mail.example:encrypt')
check(lines and all(re.search(r' tls=TLSv1\.3 cipher=TLS_\S+ verified=yes$', l) for l in lines), 'the log: %r' % lines[-1:])
check(all(b'\t(using TLSv1.3 with cipher TLS_' in m for m in postfix.mails()), 'and what Postfix tells')
check(len(set(re.findall(r'postfix/smtpd\[(\d+)\]: (?:Anonymous |Untrusted )?TLS connection established', postfix.log()))) >= 1, 'Postfix logs it')
sessions = postfix.log().count('TLS connection established')
check(0 < sessions < COUNT, 'connections are used again: %d for %d' % (sessions, COUNT))
lines = send(2, 'verified', 'mail.example:verify')
check(len(lines) == 2, 'verify, by the address of the relay')
lines = send(2, 'pinned', 'mail.example:verify fingerprint=' + pair.print('key'))
check(all(' verified=fingerprint' in l for l in lines), 'verify, by fingerprint: %r' % lines)
lines = send(2, 'wrapped', 'mail.example:verify wrapper', wrapped)
check(len(lines) == 2, 'TLS from connecting on')
i.control('smtproutes', 'mail.example:[127.0.0.1]:%d\n' % postfix.port)
i.control('tlsdestinations', 'mail.example:verify match=other.example')
i.hup()
i.sendmail('-f', 'a@sender.example', 'x@mail.example', input=b'Subject: no\n\nx\n')
check(wait_for(lambda: any(': deferral: ' in l and 'certificate_is_not_for_other.example' in l and 'status=4.7.5' in l for l in i.log('send'))), 'another name: it waits')
check(wait_for(lambda: 'SSL_accept error' in postfix.log() or 'lost connection after STARTTLS' in postfix.log() or 'alert' in postfix.log()), 'Postfix hears of it')
equal(i.queue() != [], True, 'and stays in the queue')
done()
