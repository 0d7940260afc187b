"""Programs written for qmail, on an instance with qmail's names and paths

tests/standins/ make the calls of vpopmail, ezmlm and qmail-qfilter, which Debian does not have.
"""
import sys, tempfile
sys.path.insert(0, 'tests')
from instance import *
from relayhost import RelayHost

STANDINS = os.path.abspath('tests/standins')
VPOP = 64310 # vpopmail's uid and gid

if not ROOT:
    skip('vpopmail becomes other users: needs root')
    done()
if 'ACCOUNTS_ARE_THERE' not in os.environ:
    command = with_accounts('/usr/bin/python3', os.path.abspath(__file__))
    if not command:
        skip('needs a mount namespace')
        done()
    os.environ['ACCOUNTS_ARE_THERE'] = '1'
    os.execvp(command[0], command)

i = Instance(separated=True, options=('-a', '127.0.0.1'))
qmail, bin, alias = SCRATCH + '/var-qmail', SCRATCH + '/var-qmail/bin/', i.home + '/alias'
equal(i.run(i.home + '/bin/pipit-compat', '-q', qmail, i.home), (0, ''), "qmail's names and paths")
tools = shutil.copytree(STANDINS, SCRATCH + '/standins') # where every account can execute them
vpopmail, ezmlm, qfilter = ('%s/%s.py' % (tools, n) for n in ('vpopmail', 'ezmlm', 'qfilter'))
has_newu = os.path.exists(bin + 'qmail-newu')

# A server that mail for remote.example goes to; it does not know gone@.
server = RelayHost(rcpt=lambda a: '550 5.1.1 no such user' if a.startswith('gone@') else None)
i.control('smtproutes', 'remote.example:[127.0.0.1]:%d\ndead.example:[127.0.0.1]:%d' % (server.port, free_port()))
i.control('virtualdomains', 'list.example:list')
i.control('rcpthosts', 'mail.example\nlist.example')

# A filter for each message by SMTP, as a run script sets it.
filters = {'mark': '{ echo "X-Filtered: $QMAILUSER@$QMAILHOST $NUMRCPTS $(tr "\\0" , <&3)"; cat; }\n',
           'judge': '''case $(grep -m 1 ^Subject:) in
*drop*) exit 99 ;; *refuse*) exit 31 ;; *later*) exit 71 ;;
*elsewhere*) printf 'Fnew@mail.example\\0Tann@mail.example\\0\\0' >&4 ;;
*other*) printf %%s %s/otherqueue >&5 ;;
esac
''' % tools, 'otherqueue': 'cat >%s/other.message; cat <&1 >%s/other.envelope\n' % (tools, tools),
           'wrapper': 'export QQF_QMAILQUEUE=%sqmail-queue\nexec %s %s/mark -- %s/judge\n' % (bin, qfilter, tools, tools)}
for name, text in filters.items():
    with open('%s/%s' % (tools, name), 'w') as f: f.write('#!/bin/sh\n' + text)
    os.chmod(f.name, 0o755)
os.chmod(tools, 0o777) # the other queue runs as the SMTP server's account
with open(i.home + '/service/smtpd/env/QMAILQUEUE', 'w') as f: f.write(tools + '/wrapper\n')
for name in ('joe', 'ann', 'postmaster'): i.mailbox(name)
i.start()

def vadddomain(domain, *users):
    """As root would; of the processes it sees only this instance's."""
    ps = 'ps -o pid,args -p ' + ','.join(map(str, running))
    args = [vpopmail, 'vadddomain', qmail, SCRATCH + '/vpop', domain, str(VPOP), str(VPOP), *users]
    return subprocess.run(args, env=dict(os.environ, PS_COMMAND=ps, RCPTHOSTS_MAX='3')).returncode

def vmails(user, domain='v.example'):
    d = '%s/vpop/domains/%s/%s/Maildir/new/' % (SCRATCH, domain, user)
    return [open(d + n, 'rb').read() for n in os.listdir(d)]

def send(rcpt, subject, sender='joe@mail.example'):
    return i.send(sender, rcpt, b'Subject: %s\n\nhello\n' % subject.encode())

def is_taken(rcpt):
    with i.smtp() as s:
        s.ehlo()
        s.mail('x@mail.example')
        return s.rcpt(rcpt)[0] == 250

def vpop():
    global running
    running = i.others()
    check('qmail-send' in running.values() and 'pipit-send' not in running.values(), 'the scheduler is called qmail-send')
    equal(vadddomain('v.example', 'jim', 'full-up', 'away'), 0, 'vpopmail adds a domain')
    shutil.rmtree(SCRATCH + '/vpop/domains/v.example/away')
    check(wait_for(lambda: is_taken('Jim@v.example')), 'the SMTP server takes mail for it')
    send('Jim@v.example', 'first', 'from@mail.example')
    check(wait_for(lambda: vmails('jim')), 'and it arrives, without a restart')
    mail = (vmails('jim') or [b''])[0]
    check(mail.startswith(b'Return-Path: <from@mail.example>\nDelivered-To: v.example-Jim@v.example\n') and mail.endswith(b'\nhello\n'),
          'with Return-Path and Delivered-To: %r' % mail[:120])
    equal(os.stat(glob.glob(SCRATCH + '/vpop/domains/v.example/jim/Maildir/new/*')[0]).st_uid, VPOP, "as vpopmail's user")
    for user, text in (('nobody-here', b'no mailbox here by that name. vpopmail'), ('full-up', b'over quota')):
        have = len(i.mails('joe'))
        send(user + '@v.example', 'bounced')
        m = i.wait_mails('joe', have + 1)
        check(len(m) == have + 1 and text in m[-1] and (b'<%s@v.example>' % user.encode()) in m[-1], '%s: bounced, with what vdelivermail said' % user)
    send('away@v.example', 'put off')
    check(wait_for(lambda: any('deferral: ' in l for l in i.log('send'))), 'an exit of 111 puts mail off')
    vadddomain('w.example', 'kim')
    check(os.path.exists(qmail + '/control/morercpthosts.cdb') and wait_for(lambda: is_taken('kim@w.example')), 'a second one, in morercpthosts')
    send('kim@w.example', 'second')
    check(wait_for(lambda: vmails('kim', 'w.example')), 'mail for that arrives as well')
    equal([n for p, n in running.items() if 'qmail' in n and not os.path.exists('/proc/%d' % p)], [], 'its signals kill nothing')

def mailing_list():
    subprocess.run([ezmlm, 'make', alias + '/news', alias + '/.qmail-list-news', 'news', 'list.example', qmail,
                    'joe@mail.example', 'far@remote.example', 'gone@remote.example'], check=True)
    subprocess.run(['chown', '-hR', 'pipita:pipita', alias + '/news'] + glob.glob(alias + '/.qmail-list-news*'), check=True)
    have = len(i.mails('joe'))
    send('news@list.example', 'to all', 'ann@mail.example')
    m = i.wait_mails('joe', have + 1)
    check(len(m) == have + 1 and m[-1].startswith(b'Return-Path: <news-return-1-joe=mail.example@list.example>\n') and
          b'\nMailing-List: contact news-help@list.example\n' in m[-1], 'a message to the list, with a sender for each subscriber: %r' % m[-1][:90])
    check(wait_for(lambda: server.mails), 'and to the far one')
    equal([(s, r) for s, r, d, p in server.mails], [('news-return-1-far=remote.example@list.example', ['far@remote.example'])], 'with his sender')
    bounce = alias + '/news/bounce/gone@remote.example'
    check(wait_for(lambda: os.path.exists(bounce) and open(bounce).read().startswith('1\n')), 'a bounce says who and which message')
    check(os.path.exists(bounce) and '550 5.1.1 no such user' in open(bounce).read(), 'and why')
    i.send('', 'news-return-7-odd=remote.example@list.example', b'Subject: failed\n\nfull\n')
    check(wait_for(lambda: os.path.exists(alias + '/news/bounce/odd@remote.example')), "another host's bounce comes to a subscriber's own address")
    have = len(i.mails('ann'))
    send('news@list.example', '', 'ann@mail.example')
    m = i.wait_mails('ann', have + 1)
    check(len(m) == have + 1 and b'I need a subject' in m[-1] and int(open(alias + '/news/num').read()) == 1, 'what the list refuses goes back')
    send('news-subscribe-kim=w.example@list.example', 'please', 'ann@mail.example')
    check(wait_for(lambda: 'kim@w.example' in open(alias + '/news/subscribers').read()), 'a subscription by mail')
    have = len(i.mails('ann'))
    send('news-get.1@list.example', 'please', 'ann@mail.example')
    m = i.wait_mails('ann', have + 1)
    check(len(m) == have + 1 and m[-1].startswith(b'Return-Path: <news-return-@list.example>\n'), 'an answer by the list')
    check(not any('failure' in l and 'manage' in l for l in i.log('send')) and wait_queue_but(1), 'exit 99: the next line is not followed')
    send('news-owner@list.example', 'for the owner', 'ann@mail.example')
    check(wait_for(lambda: os.path.exists(alias + '/news/Mailbox')), 'the owner')

def wait_queue_but(count):
    return wait_for(lambda: len(i.queue()) <= count)

def filtering():
    have = len(i.mails('joe')), len(i.mails('ann'))
    send(['joe@mail.example', 'ann@mail.example'], 'marked', 'x@mail.example')
    m = i.wait_mails('joe', have[0] + 1)
    i.wait_mails('ann', have[1] + 1)
    check(b'X-Filtered: x@mail.example 2 Fx@mail.example,Tjoe@mail.example,Tann@mail.example,,\n' in m[-1], 'a filter adds a line')
    have = len(i.mails('joe')), len(i.mails('ann'))
    send('joe@mail.example', 'drop it')
    for subject, code in (('refuse it', 554), ('later', 451)):
        try: check(False, '%s: taken: %s' % (subject, send('joe@mail.example', subject)))
        except smtplib.SMTPResponseException as e: equal(e.smtp_code, code, 'a filter says %s' % subject)
    send('joe@mail.example', 'elsewhere')
    m = i.wait_mails('ann', have[1] + 1)
    check(m[-1].startswith(b'Return-Path: <new@mail.example>\n'), 'a filter writes another envelope')
    send('joe@mail.example', 'other queue')
    equal(open(tools + '/other.envelope', 'rb').read(), b'Fjoe@mail.example\0Tjoe@mail.example\0\0', 'a filter names another queue')
    wait_queue_but(1)
    equal(len(i.mails('joe')), have[0], 'what was dropped, and what went elsewhere, did not arrive')

def queue_list():
    """As scripts read qmail-qread."""
    equal(i.run(bin + 'qmail-inject', '-f', 'ann@mail.example', 'joe@mail.example', 'x@dead.example', input=b'Subject: q\n\nq\n'), (0, ''), 'qmail-inject')
    def listed():
        code, text = i.run(bin + 'qmail-qread')
        found, at = {}, None
        for line in text.splitlines():
            m = re.fullmatch(r'(\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d) GMT  #(\d+)  (\d+)  <(.*)> ( bouncing)?', line)
            if m: at = found[m[2]] = {'sender': m[4], 'size': int(m[3]), 'rcpts': []}
            else: at['rcpts'].append(re.fullmatch(r'(  done)?\t(local|remote)\t(.*)', line).groups())
        return code, {m['sender']: m['rcpts'] for m in found.values()}
    want = [('  done', 'local', 'joe@mail.example'), (None, 'remote', 'x@dead.example')]
    equal(wait_for(lambda: listed()[1].get('ann@mail.example') == want) or listed(), True, 'qmail-qread: what is done, and what waits')
    count = len(i.queue())
    equal(i.run(bin + 'qmail-qstat'), (0, 'messages in queue: %d\nmessages in queue but not yet preprocessed: 0\n' % count), 'qmail-qstat counts')
    equal(i.run(bin + 'mailq'), i.run(bin + 'qmail-qread'), 'mailq')
    equal((i.run(bin + 'qmail-tcpto'), i.run(bin + 'qmail-tcpok')), ((0, ''), (0, '')), 'qmail-tcpto, qmail-tcpok')

def calls():
    """Arguments and exit codes under qmail's names."""
    def queue(envelope, message=b'Subject: x\n\n'):
        files = []
        for data in (message, envelope):
            f = tempfile.TemporaryFile()
            f.write(data); f.seek(0)
            files.append(f)
        return subprocess.run([bin + 'qmail-queue'], stdin=files[0], stdout=files[1], env={}).returncode
    equal([queue(e) for e in (b'Fa@b.example\0Tjoe@mail.example\0\0', b'Fa\0Tjoe@mail.example\0', b'Xa\0\0', b'F' + b'a' * 1003 + b'\0\0')],
          [0, 54, 91, 11], 'qmail-queue: its exit codes')
    run = lambda *a, **kw: i.run(bin + a[0], *a[1:], **kw)
    os.mkdir(SCRATCH + '/u', 0o755)
    p = subprocess.run([bin + 'qmail-local', '-n', '--', 'u', SCRATCH + '/u', 'u', '', '', 'mail.example', 's@x.example', './Mailbox'],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, user=VPOP, group=VPOP, extra_groups=[])
    equal((p.returncode, p.stdout), (0, 'mbox ./Mailbox\n'), 'qmail-local: its arguments')
    code, text = run('qmail-remote', 'dead.example', 's@mail.example', 'x@dead.example', input=b'Subject: x\n\n')
    check(code == 0 and text.startswith('r\0Z') and text.endswith('\0'), 'qmail-remote: its report: %r' % text)
    code, text = run('qmail-smtpd', input=b'MAIL FROM:<a@b.example>\r\nRCPT TO:<x@dead.example>\r\nQUIT\r\n', env={'TCPREMOTEIP': '192.0.2.9'})
    check(text.startswith('220 ') and '\r\n553 ' in text, 'qmail-smtpd: a client that may not relay')
    code, text = run('qmail-smtpd', input=b'MAIL FROM:<a@b.example>\r\nRCPT TO:<x@dead.example>\r\nQUIT\r\n', env={'TCPREMOTEIP': '192.0.2.9', 'RELAYCLIENT': ''})
    check('553' not in text and '\r\n221 ' in text, 'and one that may')
    check(run('qmail-getpw', 'joe')[1].startswith('pipita\0'), 'qmail-getpw')
    code, text = run('newaliases')
    check(code in (0, 100, 111), 'newaliases: %d %s' % (code, text))
    check(i.run(bin + 'qmail-showctl')[1].startswith('me: mail.example.'), 'qmail-showctl')

calls()
vpop() if has_newu else skip('vpopmail needs qmail-newu')
mailing_list()
filtering()
queue_list()
equal(i.stop(), [], 'stopping leaves no process')
server.stop()
done()
