"""smtpd-recipients.py - recipients that do not exist: pipit-rcptd, validrcptto.cdb, RCPTCHECK, brtlimit"""
import os, signal, socket, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import smtpsession
from deliveries import cdb, write
from pipit import *
from rcptd import *

home = make_home()
os.chdir(home) # paths of sockets are short from here
NO = '550 5.1.1 sorry, no mailbox here by that name'
TROUBLE = '451 4.3.0 unable to tell if there is such a mailbox, try again later'
YES = '250 2.1.5 ok'
queued = smtpsession.Queued(home)

def settings(**kw):
    for f in os.listdir(home + '/control'): os.unlink(os.path.join(home, 'control', f))
    for name, text in dict(dict(me='host.example', rcpthosts='host.example\nfar.example\nvirt.example', rcptcheck='rcptd'), **kw).items():
        if text is not None: control(home, name, text)

class Session(smtpsession.Session):
    """One that has said MAIL."""
    def __init__(self, env={}, sender='<a@b.example>', **kw):
        super().__init__(home, env, **kw)
        self.cmd('EHLO me.example')
        self.cmd('MAIL FROM:' + sender)

    def rcpt(self, *addresses): return [self.cmd('RCPT TO:<%s>' % a) for a in addresses]

class Fake:
    """A pipit-rcptd that does with each question what <answer> says: bytes to send, None: close, '': nothing."""
    def __init__(self, *answers):
        if os.path.exists('run/rcptd'): os.unlink('run/rcptd')
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.bind('run/rcptd')
        own('run/rcptd')
        self.s.listen(8)
        self.asked, self.connections, self.answers = [], [], list(answers)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        try:
            while True:
                c = self.s.accept()[0]
                self.connections.append(c)
                while True:
                    question = c.recv(2000)
                    if not question: break
                    self.asked.append(question.decode())
                    answer = self.answers.pop(0)
                    if answer is None: break
                    if answer: c.send(answer)
                c.close()
        except OSError: pass

    def close(self):
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()

def rcptd_says():
    settings()
    for name in ('joe', 'list-default'): write('alias/.qmail-' + name, './Maildir/\n')
    equal(Session().rcpt('joe@host.example', 'nosuch@host.example', 'x@far.example'), [TROUBLE] * 3, 'pipit-rcptd does not run: come again')
    r = Rcptd(home)
    s = Session()
    equal(s.rcpt('joe@host.example', 'nosuch@host.example', 'list-x@host.example', 'x@far.example', 'joe', '"joe"@host.example'),
          [YES, NO, YES, YES, '553 5.7.1 sorry, that domain isn\'t in my list of allowed rcpthosts', YES], 'what pipit-rcptd says')
    equal(s.cmd('VRFY nosuch'), "252 2.5.0 send some mail, i'll try my best", 'VRFY tells nothing')
    s.cmd('DATA')
    equal(s.cmd('Subject: x\r\n\r\n.')[:6], '250 2.', 'the message is taken for the others')
    r.stop()
    r = Rcptd(home)
    s.cmd('MAIL FROM:<a@b.example>')
    equal(s.rcpt('joe@host.example', 'nosuch@host.example'), [YES, NO], 'a session reaches the next pipit-rcptd')
    r.stop()
    equal(s.rcpt('joe@host.example'), [TROUBLE], 'until there is none')
    r = Rcptd(home)
    equal(s.rcpt('joe@host.example'), [YES], 'and then again')
    s.end()
    check([l for l in s.text.splitlines() if ' refused ' in l and ' rcpt=<nosuch@host.example> code=550 reply="5.1.1 sorry, no mailbox here by that name"' in l],
          'a refusal is logged as others are')
    check([l for l in s.text.splitlines() if ' deferred ' in l and ' code=451 ' in l], 'and a 451')
    equal(Session({'RELAYCLIENT': ''}).rcpt('nosuch@host.example', 'x@anywhere.example', 'postmastr'), [NO, YES, NO], 'who may relay is told, too')
    equal(Session({'RELAYCLIENT': '@far.example'}).rcpt('nosuch@host.example'), [YES], 'about the address that RELAYCLIENT makes')
    equal(Session(sender='<>').rcpt('nosuch@host.example', 'joe@host.example'), [NO, YES], 'the null sender has his one recipient')
    settings(rcptcheck=None)
    equal(Session().rcpt('nosuch@host.example'), [YES], 'without control/rcptcheck nobody is asked')
    settings(rcptcheck='/bin/true')
    s = smtpsession.Session(home)
    s.end()
    check('421' in s.greeting and 'control/rcptcheck' in s.text, 'a control/rcptcheck that means nothing is named')
    r.stop()

def strange_answers():
    settings()
    for answer, why in ((b'x', 'an answer that is none'), (b'yy', 'two bytes'), (b'?', 'cannot tell'), (None, 'killed while it was asked')):
        f = Fake(answer, b'y')
        s = Session()
        equal(s.rcpt('a@host.example', 'b@host.example'), [TROUBLE, YES], why + ': come again; the next question is another one')
        equal(f.asked, ['a@host.example', 'b@host.example'], 'each was asked once')
        f.close()
    f = Fake(b'y', None, b'y', b'n')
    s = Session()
    equal(s.rcpt('a@host.example', 'b@host.example', 'c@host.example'), [YES, YES, NO], 'a connection that was closed while it was idle')
    equal(f.asked, ['a@host.example', 'b@host.example', 'b@host.example', 'c@host.example'], 'is replaced, once')
    f.close()
    os.unlink('run/rcptd')
    full = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    full.bind('run/rcptd')
    own('run/rcptd')
    full.listen(0)
    waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) for _ in range(4)]
    for w in waiting: w.connect_ex('run/rcptd')
    equal(Session().rcpt('joe@host.example'), [TROUBLE], 'a full socket: come again')
    for s in waiting + [full]: s.close()

def listed():
    def table(*keys):
        with open('control/new', 'wb') as f: f.write(cdb([(k.encode(), b'') for k in keys]))
        os.chmod('control/new', 0o644)
        os.rename('control/new', 'control/validrcptto.cdb')
    settings(rcptcheck=None)
    table('joe@host.example', '-joe@host.example', '-bad@virt.example', '@virt.example', 'sue-default@far.example', 'sue-x-default@far.example', '-@none.example')
    equal(Session().rcpt('Joe@HOST.example', 'nosuch@host.example', 'x@virt.example', 'bad@virt.example', 'sue-x@far.example', 'sue@far.example'),
          [YES, NO, YES, NO, YES, NO], 'validrcptto.cdb: addresses, domains, extensions, and those that do not exist')
    equal(Session({'RELAYCLIENT': ''}).rcpt('nosuch@host.example', 'x@none.example'), [YES, YES], 'who may relay is not looked for')
    settings()
    table('bad@host.example', '-joe@host.example', 'x@far.example')
    r = Rcptd(home)
    equal(Session().rcpt('bad@host.example', 'joe@host.example', 'list-y@host.example', 'nosuch@host.example', 'x@far.example', 'y@far.example'),
          [YES, NO, YES, NO, YES, NO], 'with pipit-rcptd: the list first, then it; of other hosts it knows nothing')
    r.stop()
    settings(rcptcheck=None)
    table('joe@host.example', 'other@host.example')
    data = open('control/validrcptto.cdb', 'rb').read()
    with open('control/validrcptto.cdb', 'wb') as f: f.write(data[:-8])
    equal(set(Session().rcpt('nosuch@host.example')), {TROUBLE}, 'a damaged list: come again')

def program():
    settings(rcptcheck=None)
    write('check', '#!/bin/sh\nprintf "%s\\n" "$#" "$SENDER" "$RECIPIENT" "$HELO" "$USE_FD4" "$(ls /proc/self/fd | tr "\\n" " ")" "$PWD" '
          '>control/told\ncat >&2\n[ -z "$TEXT" ] || printf "%b" "$TEXT" >&4\necho x\ncase $CODE in kill) kill -9 $$ ;; esac\nexit ${CODE:-0}\n', 0o755)
    own(home + '/control')
    env = {'RCPTCHECK': './check'}
    def rcpt(code, text='', **more):
        s = Session(dict(env, CODE=str(code), TEXT=text, **more))
        reply = s.rcpt('joe-$(x)@host.example')[0]
        over = s.cmd('NOOP') == ''
        s.end()
        return reply, over
    equal(rcpt(0), (YES, False), 'RCPTCHECK: exit 0 takes the recipient')
    equal(open('control/told').read().splitlines(), ['0', 'a@b.example', 'joe-$(x)@host.example', 'me.example', '1', '0 1 2 3 4 ', home],
          'it knows what it is about, has no argument, and no descriptor but 4 (3 is of ls)')
    for code, text, reply, over in (
            (112, '', YES, False), (100, '', NO, False), (111, '', '451 4.3.0 unable to check that recipient, try again later', False),
            (120, '', '451 4.3.0 unable to check that recipient, try again later', False), (1, '', '451 4.3.0 unable to check that recipient, try again later', False),
            ('kill', '', '451 4.3.0 unable to check that recipient, try again later', False),
            (113, '', '421 4.7.0 you have exceeded your messaging limits', True), (100, 'not him', '550 5.1.1 not him', False),
            (100, '554 5.7.1 go away\\n250 ok', '554 5.7.1 go away', False), (100, '450 4.2.0 later', '450 4.2.0 later', False),
            (111, '550 never', '451 4.3.0 never', False), (113, '452 4.5.3 enough for today', '452 4.5.3 enough for today', False),
            (100, '421 4.7.0 bye', '421 4.7.0 bye', True), (100, 'a\\tb\\001\\377', '550 5.1.1 a?b??', False), (0, '550 5.1.1 x', YES, False),
            (100, '\\n', NO, False), (100, 'x' * 3000, '550 5.1.1 ' + 'x' * 255, False)):
        equal(rcpt(code, text), (reply, over), 'exit %s, text %.20r' % (code, text))
    env = {'RCPTCHECK': '/nonexistent'}
    equal(rcpt(0)[0][:9], '451 4.3.0', 'a program that is not there: come again')
    env = {'RCPTCHECK': './check', 'CODE': '100'}
    equal(Session(dict(env, RELAYCLIENT='')).rcpt('x@any.example'), [YES], 'who may relay is not checked')
    equal(Session(dict(env, RELAYCLIENT='', RCPTCHECKRELAYCLIENT='1')).rcpt('x@any.example'), [NO], 'but with RCPTCHECKRELAYCLIENT')
    settings()
    r = Rcptd(home)
    os.unlink('control/told') if os.path.exists('control/told') else None
    equal(Session(dict(env, CODE='0')).rcpt('nosuch@host.example'), [NO], 'who does not exist')
    check(not os.path.exists('control/told'), 'is not asked about')
    r.stop()
    settings(rcptcheck=None)
    # The listener can then execute it, and uses no process twice.
    l = smtpsession.Listener(home, env=dict(env, CODE='100'))
    told = []
    for _ in range(2):
        with l.connect() as c:
            f = c.makefile('rwb')
            f.readline()
            for line in (b'EHLO x', b'MAIL FROM:<a@b.example>', b'RCPT TO:<x@host.example>', b'QUIT'): f.write(line + b'\r\n')
            f.flush()
            told.append(NO.encode() + b'\r\n' in f.readlines())
    equal((told, l.stop()), ([True, True], 0), 'a listener runs it, too')
    check(len(set(re.findall(r'end session=\d+\.(\d+)', l.text()))) == 2, 'each session in a process of its own')
    subprocess.run(['tcprules', 'control/tcp.smtp.cdb', 'control/tmp'], input=b':allow,RCPTCHECK="./check",CODE="100"\n', check=True)
    os.chmod('control/tcp.smtp.cdb', 0o644)
    l = smtpsession.Listener(home)
    with l.connect() as c:
        f = c.makefile('rwb')
        f.readline()
        f.write(b'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@host.example>\r\nQUIT\r\n')
        f.flush()
        check(NO.encode() + b'\r\n' in f.readlines(), 'a rule can name it')
    l.stop()
    os.unlink('control/tcp.smtp.cdb')

def limit():
    settings(brtlimit='3')
    r = Rcptd(home)
    s = Session()
    s.rcpt('a@host.example', 'b@host.example', 'x@notours.example', 'c@host.example')
    equal((s.reply(), s.closed()), ('421 4.7.0 too many recipients that do not exist', True), 'three who do not exist end the session')
    s.end()
    check(' reason=brtlimit' in s.text, 'the log says why')
    s = Session({'BRTLIMIT': '1'})
    s.rcpt('a@host.example')
    equal(s.reply()[:9], '421 4.7.0', 'BRTLIMIT overrides the control file')
    settings(maxerrors='0')
    s = Session()
    for i in range(20): s.rcpt('n%d@host.example' % i)
    equal(s.reply()[:9], '421 4.7.0', 'twenty, when nothing is said')
    settings(brtlimit='0', maxerrors='0')
    equal(set(Session().rcpt(*('n%d@host.example' % i for i in range(30)))), {NO}, '0: no limit')
    s = smtpsession.Session(home, {'BRTLIMIT': 'x'})
    check('421' in s.greeting and s.end() == 111 and 'BRTLIMIT' in s.text, 'a BRTLIMIT that is no number')
    r.stop()

# A question that is never answered takes its time: meanwhile the others run.
settings()
silent = Fake('')
hung = Session()
hung.send('RCPT TO:<joe@host.example>\r\n')
wait_for(lambda: silent.asked)
silent.close()
os.unlink('run/rcptd')
rcptd_says()
strange_answers()
listed()
program()
limit()
equal((hung.reply(), hung.cmd('NOOP')), (TROUBLE, '250 2.0.0 ok'), 'no answer: come again, and the session goes on')
settings()
r = Rcptd(home)
try: silent.connections[0].send(b'n')
except OSError: pass
equal(hung.rcpt('joe@host.example'), [YES], 'an answer that comes late is not taken for that of another question')
r.stop()
queued.stop()
done()
