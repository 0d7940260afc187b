#!/usr/bin/python3
"""remote-mx.py - which servers pipit-remote finds and tries: DNS and MX, in a network of its own"""
import os, subprocess, sys
TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
sys.path.insert(0, TESTS)
from pipit import *
from dnsserver import DNSServer
from jobs import Remote, remote
from sink import Close, Raw, Sink

if sys.argv[1:] != ['inside']:
    status = subprocess.run([TESTS + '/netns.sh', '/usr/bin/python3', os.path.abspath(__file__), 'inside']).returncode
    if status == 99: skip('no network namespaces here')
    sys.exit(0 if status == 99 else status)

home = make_home(me='me.example')
control(home, 'timeoutremote', '2')
control(home, 'timeoutconnect', '1')
zone = {}
dns = DNSServer(zone).start()
control(home, 'resolvers', dns.resolver)
GONE = '10.99.9.9' # nobody listens there

def ip(n): return '10.99.0.%d' % n

def to(host, **kw): return remote(home, host, 's@a.example', 'r@' + host, **kw)

def answers(r, letter, text, why):
    if not check(r.letter == letter and text in r.text and r.status == 0, why): print(r.raw)

def domains(**kw):
    """Set the zone: a.b.c is written a_b_c."""
    zone.clear()
    zone.update({k.replace('_', '.'): v for k, v in kw.items()})
    dns.queries.clear()

def order():
    with Sink(ip(1), 25) as one, Sink(ip(2), 25) as two:
        domains(d_example=dict(MX=['20 b.d.example', '10 a.d.example']), a_d_example=dict(A=[ip(1)]), b_d_example=dict(A=[ip(2)]))
        answers(to('d.example'), 'K', ip(1), 'the best preference first')
        zone['a.d.example'] = dict(A=[GONE])
        answers(to('d.example'), 'K', ip(2), 'connection refused: the next MX')
        zone['a.d.example'] = dict(A=['10.98.0.1'])
        answers(to('d.example'), 'K', ip(2), 'no route: the next MX')
        zone['a.d.example'] = dict(A=[GONE, ip(1)])
        answers(to('d.example'), 'K', ip(1), 'the other address of a host before the next MX')
        for broken in ('nxdomain', 'nodata', 'servfail', 'refused'):
            zone['a.d.example'] = broken
            answers(to('d.example'), 'K', ip(2), 'the address of the best MX is %s: the next MX' % broken)
    seen = set()
    with Sink(ip(1), 25), Sink(ip(2), 25):
        zone.update({'d.example': dict(MX=['10 a.d.example', '10 b.d.example']), 'a.d.example': dict(A=[ip(1)])})
        for i in range(24): seen.add(to('d.example').text.split()[0])
    equal(seen, {ip(1), ip(2)}, 'equal preferences take turns')

def fallback():
    """A first server that is no use, for every reason that there is."""
    first = {'a greeting of 4yz': dict(greeting='421 busy'), 'a greeting of 5yz': dict(greeting='554 no'),
             'a malformed greeting': dict(greeting=Raw(b'hello\r\n')), 'no greeting': dict(greeting=Close()),
             'a greeting of 250': dict(greeting='250 hi'), 'EHLO refused for now': dict(ehlo='451 no'),
             'EHLO ends it': dict(ehlo=Close()), 'HELO refused for now': dict(ehlo='500 no', helo='451 no'),
             'HELO refused': dict(ehlo='500 no', helo='550 no'), 'MAIL refused for now': dict(mail='451 no'),
             'MAIL ends it': dict(mail=Close('421 bye')), 'closed at MAIL': dict(mail=Close())}
    domains(d_example=dict(MX=['10 a.d.example', '20 b.d.example']), a_d_example=dict(A=[ip(1)]), b_d_example=dict(A=[ip(2)]))
    for why, script in first.items():
        with Sink(ip(1), 25, **script) as one, Sink(ip(2), 25) as two:
            answers(to('d.example'), 'K', ip(2), why + ': the next MX')
            equal((len(one.sessions), len(two.transactions)), (1, 1), why + ': each was asked once')
    for why, script, letter in (('MAIL refused', dict(mail='550 no'), 'D'), ('DATA refused for now', dict(data='451 no'), 'Z'),
                                ('the message refused', dict(dot='554 no'), 'D'), ('no answer to the message', dict(dot=Close()), 'Z')):
        with Sink(ip(1), 25, **script), Sink(ip(2), 25) as two:
            answers(to('d.example'), letter, ip(1), why + ': that is the answer')
            equal(len(two.sessions), 0, why + ': no other server is asked')
    with Sink(ip(1), 25, greeting='554 first'), Sink(ip(2), 25, greeting='451 second'):
        answers(to('d.example'), 'Z', 'greeting failed', 'no server of any use: not now')
    for n in (1, 2):
        with Sink(ip(n), 25, ehlo='500 no', helo='550 no'):
            answers(to('d.example'), 'Z', '', 'server %d of two refuses our name, the other is away: not now' % n)
    with Sink(ip(1), 25, greeting='554 first'):
        answers(to('d.example'), 'Z', 'first', 'what a server said is told before a refused connection')
    answers(to('d.example'), 'Z', "wasn't able to establish an SMTP connection. (#4.4.1)", 'nobody listens: not now')

def families():
    try: six = Sink('fd99::1', 25).start()
    except OSError: return skip('no IPv6 here')
    with Sink(ip(1), 25):
        domains(d_example=dict(MX=['10 a.d.example']), a_d_example=dict(AAAA=['fd99::1']))
        answers(to('d.example'), 'K', 'fd99::1', 'AAAA alone')
        domains(d_example=dict(MX=['10 a.d.example']), a_d_example=dict(AAAA=['fd99::1'], A=[ip(1)]))
        answers(to('d.example'), 'K', 'fd99::1', 'IPv6 before IPv4')
        zone['a.d.example'] = dict(AAAA=['fd99::%d' % i for i in range(10, 16)], A=[ip(1)])
        r = to('d.example')
        answers(r, 'K', ip(1), 'IPv4 after one IPv6 that does not answer')
        zone['a.d.example'] = dict(AAAA='servfail', A=[ip(1)])
        answers(to('d.example'), 'K', ip(1), 'A when the AAAA lookup fails')
        zone['a.d.example'] = dict(A='refused', AAAA=['fd99::1'])
        answers(to('d.example'), 'K', 'fd99::1', 'AAAA when the A lookup fails')
        answers(to('[IPv6:fd99::1]'), 'K', 'fd99::1', 'an IPv6 literal')
        answers(to('[%s]' % ip(1)), 'K', ip(1), 'an IPv4 literal')
    six.stop()

def implicit():
    with Sink(ip(1), 25) as one:
        domains(a_example=dict(A=[ip(1)]), c_example=dict(CNAME=['a.example']), m_example=dict(MX=['10 c.example']),
                w_example=dict(CNAME=['x.example']), x_example=dict(MX=['5 a.example'], A=[GONE]))
        answers(to('a.example'), 'K', ip(1), 'no MX: the host itself')
        answers(to('A.Example.'), 'K', ip(1), 'with capitals and a final dot')
        answers(to('c.example'), 'K', ip(1), 'a CNAME to a host')
        answers(to('w.example'), 'K', ip(1), 'a CNAME to a domain with MX')
        answers(to('m.example'), 'K', ip(1), 'an MX that is a CNAME')
        domains(d_example=dict(MX=['10 nowhere.example'], A=[ip(1)]))
        answers(to('d.example'), 'D', '(#5.4.4)', 'an MX that does not exist: no way round it')
        zone['d.example'] = dict(MX='servfail', A=[ip(1)])
        answers(to('d.example'), 'Z', '(#4.4.3)', 'the MX lookup fails: not the host itself')
        equal(len(one.sessions), 5, 'and nobody was asked')

def results():
    domains(null_example=dict(MX=['0 .'], A=[ip(1)]), null2_example=dict(MX=['0 .', '10 a.example']), a_example=dict(A=[ip(1)]),
            nodata_example=dict(TXT=['x']), half_example=dict(A='servfail'), bad_example='servfail', no_example='refused',
            form_example='formerr', imp_example='notimp', junk_example='garbage', late_example=dict(A='timeout'),
            mxhosts_example=dict(MX=['10 bad.example', '20 gone.example']))
    with Sink(ip(1), 25) as one:
        r = to('null.example')
        answers(r, 'D', '(#5.1.10)', 'null MX: never, at once')
        equal((len(one.sessions), dns.count('null.example', 'A'), r.took < 15), (0, 0, True), 'null MX: nothing else is asked')
        answers(to('null2.example'), 'K', ip(1), 'a null MX beside another is no null MX')
    answers(to('nx.example'), 'D', 'any host named nx.example. (#5.1.2)', 'NXDOMAIN: never')
    answers(to('nodata.example'), 'D', '(#5.4.4)', 'neither MX nor addresses: never')
    answers(to('mxhosts.example'), 'Z', '(#4.4.3)', 'one MX unknown for now, the other gone: not now')
    answers(to('half.example'), 'Z', '(#4.4.3)', 'no MX, no AAAA, the A lookup fails: not now')
    waiting = [(n, Remote(home, n + '.example', 's@a', 'r@b')) for n in ('bad', 'no', 'form', 'imp', 'junk', 'late')]
    for name, p in waiting: answers(p.result(), 'Z', '(#4.4.3)', 'DNS says %s: not now' % zone[name + '.example'])
    for host in ('a' * 64 + '.example', 'x.' * 130 + 'example', 'a..example', '', '.example', 'a b.example', 'a\nb', '[1.2.3]', '[', '[]',
                 '[IPv6:zz]', '[::1]', '127.0.0.1', 'a/b.example', 'käse.example'):
        answers(remote(home, host, 's@a', 'r@b'), 'D', '(#5.1.2)', 'no host can be named %r' % host[:30])

def resolver():
    """The resolver itself is the trouble."""
    domains(d_example=dict(MX=['10 a.d.example']), a_d_example=dict(A=[ip(1)], AAAA='nodata'))
    with Sink(ip(1), 25):
        control(home, 'resolvers', '127.0.0.1:%d' % free_port())
        r = to('d.example')
        answers(r, 'Z', '(#4.4.3)', 'nobody listens where the resolver should be: not now')
        control(home, 'resolvers', '127.0.0.1:%d\n%s' % (free_port(), dns.resolver))
        answers(to('d.example'), 'K', ip(1), 'the second resolver answers for the first')
        for bad in ('resolver.example', '127.0.0.1:99999999', '1.2.3', '[::1'):
            control(home, 'resolvers', bad)
            answers(to('d.example'), 'Z', '(#4.4.3)', 'control/resolvers with %r: not now' % bad)
        six = DNSServer(zone, address='::1')
        try: six.start()
        except OSError: skip('no IPv6 here')
        else:
            control(home, 'resolvers', six.resolver)
            answers(to('d.example'), 'K', ip(1), 'a resolver with an IPv6 address')
            six.stop()
        control(home, 'resolvers', dns.resolver)
        zone['d.example'] = dict(MX=['10 a.d.example'], truncate=True)
        answers(to('d.example'), 'K', ip(1), 'truncated over UDP: asked again over TCP')
        check(('d.example', 'MX', 'tcp') in dns.queries, 'over TCP indeed')
        zone['d.example'] = dict(MX=['10 a.d.example'], delay=1.5)
        answers(to('d.example'), 'K', ip(1), 'a slow answer')
        zone['d.example'] = dict(MX=['10 a.d.example'] + ['20 %s%d.%s.example' % ('x' * 40, i, 'y' * 50) for i in range(60)])
        answers(to('d.example'), 'K', ip(1), '61 MX in an answer of 8 KB')
    waiting = {}
    domains(silent_example='timeout', tcp_example=dict(MX=['10 a.d.example'], truncate='dead'), wrong_example='wrongid')
    for name in ('silent.example', 'tcp.example', 'wrong.example'): waiting[name] = Remote(home, name, 's@a', 'r@b')
    for name, p in waiting.items():
        r = p.result()
        answers(r, 'Z', '(#4.4.3)', 'no answer to be had for %s: not now' % name)
        check(r.took < 40, 'and that within the time for DNS')

def many():
    n = 50
    domains(d_example=dict(MX=['%d m%d.d.example' % (i, i) for i in range(n)]),
            **{'m%d_d_example' % i: dict(A=[ip(i + 1)]) for i in range(n)})
    with Sink(ip(1), 25): answers(to('d.example'), 'K', ip(1), '50 MX: the best one')
    with Sink(ip(20), 25): answers(to('d.example'), 'K', ip(20), '50 MX: the 20th, when those before it are away')
    with Sink(ip(50), 25) as last:
        answers(to('d.example'), 'Z', '', '50 MX: an attempt has an end')
        equal(len(last.sessions), 0, '50 MX: the last one is not reached')
    domains(d_example=dict(MX=['10 a.d.example', '20 b.d.example']), a_d_example=dict(A=['10.99.1.%d' % i for i in range(1, 200)]),
            b_d_example=dict(A=[ip(2)]))
    with Sink(ip(2), 25): answers(to('d.example'), 'K', ip(2), 'a host with 199 addresses leaves room for the next')

def self():
    log = os.path.join(SCRATCH, 'log')
    def run(host):
        with open(log, 'wb') as f: p = as_account([BIN + '/pipit-remote', host, 's@a', 'r@b'], stdin=subprocess.DEVNULL, stdout=-1, stderr=f,
                                                  env=dict(os.environ, PIPIT_HOME=home))
        return p.communicate()[0], open(log).read()
    a, b = dict(A=[ip(1)]), dict(A=[ip(2)])
    for why, best in (('its name', {'ME.example': None}), ('its address', None)):
        me = 'ME.example' if best else 'other.example'
        domains(d_example=dict(MX=['10 ' + me, '20 b.d.example']), b_d_example=b)
        zone[me.lower()] = dict(A=['127.0.0.1'])
        with Sink(ip(2), 25) as two:
            out, err = run('d.example')
            check(out[2:3] == b'Z' and b'(#4.4.6)' in out and not two.sessions, 'this host is the best MX by %s: not now' % why)
            check('host=d.example' in err and err.startswith('alert: ') and err.count('\n') == 1, 'and one line in the log says so')
            zone['d.example'] = dict(MX=['5 b.d.example', '10 ' + me, '20 gone.example'])
            answers(to('d.example'), 'K', ip(2), 'an MX better than this host (%s)' % why)
        with Sink(ip(3), 25) as three:
            zone['d.example'] = dict(MX=['5 b.d.example', '10 ' + me, '10 c.d.example', '20 c.d.example'])
            zone['c.d.example'] = dict(A=[ip(3)])
            answers(to('d.example'), 'Z', '(#4.4.1)', 'the better MX is away (%s): not now' % why)
            equal(len(three.sessions), 0, 'none that is not better than this host is asked')
    domains(d_example=dict(A=['127.0.0.1']))
    out, err = run('d.example')
    check(b'(#4.4.6)' in out, 'no MX, and the address is this host')
    out, err = run('[127.0.0.1]')
    check(b'(#4.4.6)' in out, 'a literal that is this host')
    with Sink('127.0.0.1', 25) as s:
        control(home, 'smtproutes', 'd.example:relay.example')
        zone['relay.example'] = dict(A=['127.0.0.1'], MX=['10 gone.example'])
        answers(to('d.example'), 'K', '127.0.0.1', 'a relay of smtproutes may be this host, and its MX does not matter')
        equal(dns.count(kind='MX'), 1, 'no MX is asked for a relay')
        control(home, 'smtproutes', 'd.example:norelay.example')
        answers(to('d.example'), 'Z', 'norelay.example', 'a relay that does not exist: not now, the slip is here')
        control(home, 'smtproutes', 'd.example:\n:norelay.example')
        zone['d.example'] = dict(MX=['10 a.d.example'])
        zone['a.d.example'] = a
        with Sink(ip(1), 25): answers(to('d.example'), 'K', ip(1), 'an empty relay: MX as usual')
    with Sink(ip(1), 2525) as s:
        control(home, 'smtproutes', 'd.example::2525')
        answers(to('d.example'), 'K', ip(1), 'an empty relay with a port: MX at that port')
    control(home, 'smtproutes', None)

for test in (order, fallback, families, implicit, results, resolver, many, self): test()
dns.stop()
done()
