"""tlsd.py - pipit-tlsd and pipit-smtpd behind it: STARTTLS, TLS on connect, certificates, what breaks, UCSPI-TLS"""
import array, glob, os, random, re, shutil, signal, socket, ssl, subprocess, sys, threading, warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from scripts import script
from smtpsession import *
from tlsserver import *
from authd import Authd

warnings.simplefilter('ignore', DeprecationWarning) # old versions of TLS are wanted here

home = make_home()
CERT = os.path.join(home, 'control/servercert.pem')
CERTS = os.path.join(home, 'control/certs')
MAIL = ('MAIL FROM:<a@b.example>', 'RCPT TO:<x@example.org>', 'DATA')

def settings(**kw):
    for f in os.listdir(home + '/control'):
        path = home + '/control/' + f
        if os.path.isdir(path): shutil.rmtree(path)
        else: os.unlink(path)
    for name, text in dict(dict(me='host.example', rcpthosts='example.org', concurrencysmtpd='400', concurrencysmtpdclient='400'), **kw).items():
        control(home, name, text)
    certificate(CERT, 'host.example')

def ends(l):
    return re.findall(r'^pipit-smtpd: end .*', l.text(), re.M)

def wait_end(l, n):
    wait_for(lambda: len(ends(l)) >= n)
    return ends(l)[-1]

def visit(l, **kw):
    """The certificate that a client gets in a whole session."""
    c = Secure(l.port, **kw)
    c.starttls()
    got = c.certificate()
    c.quit()
    return got

# --- the dialogue ---

def test_links():
    """Keys and OpenSSL are in one program."""
    def needed(name): return re.findall(r'NEEDED.*\[(lib(?:ssl|crypto))', subprocess.run(['readelf', '-d', name], capture_output=True, text=True).stdout)
    programs = [p for p in sorted(glob.glob(BIN + '/pipit-*')) if open(p, 'rb').read(4) == b'\x7fELF']
    equal({os.path.basename(p) for p in programs if 'libssl' in needed(p)}, {'pipit-tlsd'}, 'of %d programs one is linked with libssl' % len(programs))
    check('libcrypto' not in needed(BIN + '/pipit-smtpd'), 'pipit-smtpd is not with libcrypto either')

def test_starttls():
    settings()
    q, t, l = Queued(home), Tlsd(home), Listener(home)
    trusting = ssl.create_default_context(cafile=CERT)
    c = Secure(l.port, trusting, 'host.example')
    equal(c.cmd('STARTTLS now'), '501 5.5.4 STARTTLS takes no argument', 'an argument')
    c.codes('EHLO before.example', *MAIL[:2])
    equal(c.cmd('STARTTLS'), '220 2.0.0 go ahead', 'STARTTLS in a transaction')
    c.over()
    equal(c.cmd('RCPT TO:<x@example.org>')[:3], '503', 'there is no transaction any more')
    equal(c.codes(*MAIL), ['250', '250', '354'], 'mail before EHLO')
    first = c.cmd('Subject: x\r\n\r\none\r\n.').split()[-1]
    c.cmd('EHLO after.example')
    check('250-SIZE 0' in c.lines and not [x for x in c.lines if 'STARTTLS' in x], 'STARTTLS is not offered again: %r' % c.lines)
    equal(c.cmd('STARTTLS'), '503 5.5.1 TLS is on already', 'nor done')
    equal(c.codes(*MAIL), ['250', '250', '354'], 'mail after EHLO')
    big = 'x' * 70 + '\r\n'
    second = c.cmd('Subject: y\r\n\r\n' + big * 20000 + '.').split()[-1]
    cipher = '%s %s' % (c.s.version(), c.s.cipher()[0])
    equal(c.quit(), '221', 'QUIT')
    m = [q.message(i)[0].decode() for i in (first, second)]
    head = r'Received: from %s \(unknown \[127\.0\.0\.1\]\)\n\tby host\.example with %s\n\t\(' + re.escape(cipher) + r'\) id \d+; '
    check(re.match(head % ('unknown', 'SMTP'), m[0]), 'who does not say EHLO again has no name, and no ESMTP: %r' % m[0][:200])
    check(re.match(head % ('after.example', 'ESMTPS'), m[1]), 'the Received field tells version and cipher: %r' % m[1][:200])
    check(m[1].endswith('\n\n' + big.replace('\r', '') * 20000), 'a large message is whole')
    wait_end(l, 1)
    lines = [x for x in l.text().splitlines() if ' accepted ' in x or ' end ' in x]
    equal([' tls=%s ' % cipher.replace(' ', ':') in x for x in lines], [True] * 3, 'the log tells it')
    check(' sni=host.example ' in lines[-1], 'and which name the client asked for')
    check(wait_for(lambda: not t.sessions()), 'no process is left')
    c = Secure(l.port)
    c.cmd('EHLO x')
    check('250-STARTTLS' in c.lines, 'the next session has it offered')
    c.cmd('HELO x')
    equal(c.codes(*MAIL), ['250', '250', '354'], 'and can do without')
    check(' with SMTP id ' in q.message(c.cmd('x\r\n.').split()[-1])[0].decode(), 'in clear')
    c.quit()
    # Clients that just go, with and without a word of TLS.
    for how in (lambda c: c.s.unwrap(), lambda c: c.s.shutdown(socket.SHUT_WR), lambda c: None):
        c = Secure(l.port)
        c.starttls()
        n = len(ends(l))
        c.f.close()
        try: how(c)
        except OSError: pass # the server's end comes without an answer
        c.s.close()
        check(' reason="closed by client"' in wait_end(l, n + 1), 'the end of a client that only closes is seen at once')
    check(wait_for(lambda: not t.sessions()), 'its process ends')
    for x in (l, t, q): x.stop()

def test_connect():
    settings()
    q, t, l = Queued(home), Tlsd(home), Listener(home, '-t')
    c = Secure(l.port, ssl.create_default_context(cafile=CERT), 'host.example', connect=True)
    equal(c.greeting, '220 host.example ESMTP', 'TLS on connect: greeted over it')
    c.cmd('EHLO x')
    check(not [x for x in c.lines if 'STARTTLS' in x], 'STARTTLS is not offered')
    equal(c.codes(*MAIL, 'x\r\n.', 'QUIT'), ['250', '250', '354', '250', '221'], 'mail')
    c.close()
    with socket.create_connection(('127.0.0.1', l.port), 20) as s:
        s.sendall(b'EHLO x\r\nQUIT\r\n')
        got = s.recv(1000)
        check(got[:1] in (b'', b'\x15'), 'a client without TLS gets not a byte in clear: %r' % got)
    check('TLS handshake failed: ' in wait_end(l, 2), 'the log says so')
    t.stop()
    with socket.create_connection(('127.0.0.1', l.port), 20) as s: equal(s.recv(1000), b'', 'without pipit-tlsd: not a byte in clear')
    check('TLS is not available: ' in wait_end(l, 3), 'the log says so')
    l.stop()
    # As tcpserver starts it, by the environment.
    t = Tlsd(home)
    with socket.create_server(('127.0.0.1', 0)) as listening:
        port = listening.getsockname()[1]
        def serve():
            s = listening.accept()[0]
            as_account([BIN + '/pipit-smtpd'], stdin=s, stdout=s, stderr=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=home, SMTPS='1', TCPREMOTEIP='192.0.2.7'))
            s.close()
        threading.Thread(target=serve).start()
        c = Secure(port, connect=True)
        equal(c.codes('EHLO x', *MAIL), ['250', '250', '250', '354'], 'SMTPS=1: one client on 0 and 1')
        check(' [192.0.2.7])\n\tby host.example with ESMTPS\n\t(TLS' in q.message(c.cmd('x\r\n.').split()[-1])[0].decode(), 'with its address from the environment')
        equal(c.quit(), '221', 'QUIT')
    for x in (t, q): x.stop()

def test_quiet():
    """A session that waits gives memory back, and goes on."""
    settings()
    q, t, l = Queued(home), Tlsd(home), Listener(home)
    c = Secure(l.port)
    c.starttls()
    c.codes('EHLO x', *MAIL)
    time.sleep(0.8)
    big = 'x' * 70 + '\r\n'
    id = c.cmd('Subject: y\r\n\r\n' + big * 20000 + '.').split()[-1]
    check(q.message(id)[0].decode().endswith('\n\n' + big.replace('\r', '') * 20000), 'it takes a large message after half a second of silence')
    time.sleep(0.8)
    equal(c.quit(), '221', 'and ends well')
    for x in (l, t, q): x.stop()

def test_tools():
    settings()
    q, t, l = Queued(home), Tlsd(home), Listener(home)
    if shutil.which('swaks'):
        p = subprocess.run(['swaks', '--server', '127.0.0.1', '--port', str(l.port), '--tls', '--from', 'a@b.example', '--to', 'x@example.org'],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(p.returncode == 0 and '~> QUIT' in p.stdout, 'swaks --tls: %r' % p.stdout[-200:])
    p = subprocess.run(['openssl', 's_client', '-starttls', 'smtp', '-connect', '127.0.0.1:%d' % l.port, '-CAfile', CERT, '-crlf', '-quiet',
                        '-verify_return_error', '-ign_eof'], input='NOOP\nQUIT\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(p.returncode == 0 and '250 2.0.0 ok\n221 ' in p.stdout.replace('\r', ''), 'openssl s_client -starttls smtp: %r' % p.stdout[-200:])
    c = smtplib.SMTP('127.0.0.1', l.port)
    c.starttls(context=any_server())
    equal(c.sendmail('a@b.example', ['x@example.org'], 'Subject: x\r\n\r\nx\r\n'), {}, 'smtplib')
    c.quit()
    for x in (l, t, q): x.stop()

# --- certificates ---

def test_names():
    settings()
    os.mkdir(CERTS)
    paths = {n: certificate('%s/%s.pem' % (CERTS, n), n.replace('*', 'x')) for n in ('a.example', '*.b.example', 'default')}
    # certbot: a directory with symbolic links to the files of the last renewal.
    for d in ('archive', 'certs/c.example'): os.makedirs(home + '/control/' + d)
    def renew(n):
        pair = open(certificate(SCRATCH + '/pair', 'c.example')).read().split('-----BEGIN EC PRIVATE', 1)
        if len(pair) < 2: pair = open(SCRATCH + '/pair').read().split('-----BEGIN PRIVATE', 1)
        key = open(SCRATCH + '/pair').read()[len(pair[0]):]
        for name, text in (('fullchain', pair[0]), ('privkey', key)):
            path = '%s/control/archive/%s%d.pem' % (home, name, n)
            with open(path, 'w') as f: f.write(text)
            os.chmod(path, 0o600)
            own(path)
            os.symlink('../../archive/%s%d.pem' % (name, n), CERTS + '/c.example/new')
            os.rename(CERTS + '/c.example/new', CERTS + '/c.example/%s.pem' % name)
        return der(home + '/control/archive/fullchain%d.pem' % n)
    c1 = renew(1)
    for d in ('', '/c.example', '/../archive'): own(CERTS + d)
    t, l = Tlsd(home), Listener(home)
    for name, expected in (('a.example', 'a.example'), ('A.Example', 'a.example'), ('x.b.example', '*.b.example'), ('b.example', 'default'),
                           ('y.x.b.example', 'default'), ('other.example', 'default'), (None, 'default'), ('c.example', c1)):
        equal(visit(l, name=name), expected if name == 'c.example' else der(paths[expected]), 'the certificate for %s' % name)
    c2 = renew(2)
    check(wait_for(lambda: visit(l, name='c.example') == c2, 10, 0.1), 'certbot has renewed one')
    certificate(CERTS + '/host.example.pem', 'host.example')
    check(visit(l) == der(paths['default']), 'default.pem goes before the certificate for control/me')
    os.unlink(paths['default'])
    t.hup()
    equal(visit(l), der(CERTS + '/host.example.pem'), 'without it that is for all others')
    os.unlink(CERTS + '/host.example.pem')
    check(wait_for(lambda: visit(l) == der(CERT), 10, 0.1), 'without default.pem: control/servercert.pem')
    for x in (l, t): x.stop()

def test_renewal():
    settings()
    t, l = Tlsd(home), Listener(home)
    old = der(CERT)
    open_one = Secure(l.port)
    open_one.starttls()
    certificate(CERT, 'host.example')
    new = der(CERT)
    check(old != new and wait_for(lambda: visit(l) == new, 10, 0.1), 'a new certificate is taken while sessions run')
    equal(open_one.codes('NOOP', 'EHLO x'), ['250', '250'], 'one that was open goes on')
    for what, spoil in (('broken', lambda: open(CERT, 'w').write('-----BEGIN CERTIFICATE-----\nx\n')),
                        ('without a key', lambda: open(CERT, 'w').write(ssl.DER_cert_to_PEM_cert(old))),
                        ('with the key of another', lambda: open(CERT, 'w').write(ssl.DER_cert_to_PEM_cert(old) + text[text.index('-----END CERT') + 26:]))):
        certificate(CERT, 'host.example')
        text = open(CERT).read()
        t.hup()
        now = der(CERT)
        spoil()
        told = t.hup()
        check('/servercert.pem: ' in told and '; the old one stays' in told, 'one that is %s is told of: %r' % (what, told))
        equal(visit(l), now, 'and the one before stays')
    for i in range(5): visit(l)
    equal(t.text().count('the old one stays'), 3, 'once')
    equal(open_one.quit(), '221', 'the session that was open all the time')
    for x in (l, t): x.stop()

def test_unreachable():
    """Certificates that are not where control/certs/ says are told of; what is none is not."""
    settings()
    for d in ('', '/a.example', '/b.example', '/.hidden'): os.mkdir(CERTS + d); own(CERTS + d)
    def link(name): os.symlink('/nowhere/' + name, CERTS + '/' + name)
    for name in ('a.example/fullchain.pem', 'a.example/privkey.pem', 'c.example', 'd.example.pem'): link(name)
    with open(CERTS + '/README', 'w') as f: f.write('no certificate\n')
    t, l = Tlsd(home), Listener(home)
    def told(text): return sorted(re.findall('/control/(.*): No such file or directory; (.*)', text))
    def left_out(*files): return sorted((f, 'it is left out') for f in files)
    missing = [('certs/' + f) for f in ('a.example/fullchain.pem', 'b.example/fullchain.pem', 'c.example/fullchain.pem', 'd.example.pem')]
    for i in range(3):
        equal(visit(l), der(CERT), 'certificates that cannot be reached are in nobody\'s way')
        time.sleep(1.1)
    equal(told(t.text()), left_out(*missing), 'each is told of, once; README and hidden names are not')
    check('README' not in t.text() and 'hidden' not in t.text(), 'in no way: ' + t.text())
    pair = open(certificate(SCRATCH + '/pair', 'b.example')).read()
    for name in ('fullchain', 'privkey'):
        with open(CERTS + '/b.example/%s.pem' % name, 'w') as f: f.write(pair)
        own(f.name)
    t.hup()
    b = der(CERTS + '/b.example/fullchain.pem')
    equal(visit(l, name='b.example'), b, 'one that comes is taken')
    os.unlink(CERTS + '/b.example/fullchain.pem')
    text = t.hup()
    check(('certs/b.example/fullchain.pem', 'the old one stays') in told(text), 'one that disappears is told of: %r' % text)
    equal(visit(l, name='b.example'), b, 'and stays')
    shutil.rmtree(CERTS)
    before = der(CERT)
    os.unlink(CERT)
    os.symlink('/nowhere/servercert.pem', CERT)
    equal(told(t.hup()), [('servercert.pem', 'the old one stays')], 'the same for control/servercert.pem')
    equal(visit(l), before, 'which stays as well')
    os.unlink(CERT)
    for x in (l, t): x.stop()

def test_settings():
    settings(tlsserverciphers='ECDHE-ECDSA-AES256-GCM-SHA384', tlsservergroups='P-384')
    t, l = Tlsd(home), Listener(home)
    def attempt(low, high, **kw):
        context = any_server()
        context.minimum_version, context.maximum_version = low, high
        context.set_ciphers('ALL:@SECLEVEL=0')
        try: c = Secure(l.port, context, **kw)
        except ssl.SSLError: return 'refused'
        try: c.starttls()
        except (ssl.SSLError, ConnectionResetError): return 'refused'
        got = c.s.version(), c.s.cipher()[0]
        c.quit()
        return got
    V = ssl.TLSVersion
    equal(attempt(V.TLSv1, V.TLSv1_1), 'refused', 'TLS 1.1 is refused')
    check(' reason="TLS handshake failed: unsupported protocol"' in wait_end(l, 1), 'and the log tells why')
    equal(attempt(V.TLSv1_2, V.TLSv1_2), ('TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384'), 'TLS 1.2, with the only cipher')
    equal(attempt(V.TLSv1_3, V.TLSv1_3)[0], 'TLSv1.3', 'TLS 1.3')
    p = subprocess.run(['openssl', 's_client', '-starttls', 'smtp', '-connect', '127.0.0.1:%d' % l.port], input='', capture_output=True, text=True)
    check('ECDH, secp384r1, 384 bits' in p.stdout or 'ECDH, P-384' in p.stdout, 'the only group')
    control(home, 'tlsserverversion', '1.3')
    check(wait_for(lambda: attempt(V.TLSv1_2, V.TLSv1_2) == 'refused', 10, 0.1), 'with 1.3 as the lowest version 1.2 is refused')
    for name in ('tlsserverciphers', 'tlsservergroups', 'tlsserverversion', 'concurrencytlsd', 'clientca.pem'):
        control(home, name, 'nonsense')
        told = t.hup()
        check(re.search(r'control/%s: .*; the old settings stay\n' % name, told), 'nonsense in %s is told of: %r' % (name, told))
        equal(attempt(V.TLSv1_3, V.TLSv1_3)[0], 'TLSv1.3', 'and the old settings stay')
        control(home, name, None)
    t.hup()
    equal(attempt(V.TLSv1_2, V.TLSv1_2)[0], 'TLSv1.2', 'without control files: 1.2 and 1.3')
    context = any_server()
    context.maximum_version = V.TLSv1_2
    context.set_ciphers('ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384')
    c = Secure(l.port, context)
    c.starttls()
    equal((c.s.cipher()[0], c.quit()), ('ECDHE-ECDSA-AES256-GCM-SHA384', '221'), 'the order of ciphers is ours, not the client\'s')
    # Resumption: the tickets of one process are good in the next.
    for v in (V.TLSv1_2, V.TLSv1_3):
        context = any_server()
        context.minimum_version = context.maximum_version = v
        c = Secure(l.port, context)
        c.starttls()
        c.cmd('NOOP') # the ticket of TLS 1.3 comes with it
        session = c.s.session
        c.quit()
        c = Secure(l.port, context)
        c.starttls(session)
        check(c.s.session_reused and c.cmd('NOOP') == '250 2.0.0 ok', '%s: a session is resumed' % v.name)
        c.quit()
    # A client with a certificate that control/clientca.pem vouches for.
    own_cert = certificate(SCRATCH + '/client.pem', 'client.example')
    shutil.copy(own_cert, home + '/control/clientca.pem')
    os.chmod(home + '/control/clientca.pem', 0o644)
    t.hup()
    context = any_server()
    context.load_cert_chain(own_cert)
    def visitor():
        c = Secure(l.port, context)
        c.starttls()
        c.cmd('NOOP')
        n = len(ends(l))
        c.quit()
        return wait_end(l, n + 1)
    check(' cert="/CN=client.example" ' in visitor(), 'its subject is in the log: ' + ends(l)[-1])
    blank = SCRATCH + '/blank.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/O=A (blank) "Co" \\\\ x/CN=c', '-keyout', blank, '-out', blank + '.crt'],
                   check=True, stderr=subprocess.DEVNULL)
    with open(blank, 'a') as f: f.write(open(blank + '.crt').read())
    shutil.copy(blank + '.crt', home + '/control/clientca.pem')
    t.hup()
    context.load_cert_chain(blank)
    check(r' cert="/O=A (blank) \"Co\" \\ x/CN=c" ' in visitor(), 'and stands in quotes where that is needed: ' + ends(l)[-1])
    context.load_cert_chain(certificate(SCRATCH + '/client.pem', 'client.example'))
    check(' cert=' not in visitor(), 'that of another is not, and may send mail too')
    for x in (l, t): x.stop()

# --- what strangers do ---

def test_injection():
    """CVE-2011-0411 and its kin: what was sent in clear is never read as if it had come over TLS."""
    settings()
    t, l = Tlsd(home), Listener(home)
    for text in (b'NOOP\r\n', b'RSET\r\nNOOP\r\n', b'x', b'\r\n', b'\x16\x03\x01'):
        c = Secure(l.port)
        c.cmd('EHLO x')
        c.s.sendall(b'STARTTLS\r\n' + text)
        equal(c.rest(), b'554 5.5.0 you went on in clear behind STARTTLS\r\n', '%r behind STARTTLS in one segment ends the session' % text)
        c.close()
    check(' reason="typed ahead of TLS"' in wait_end(l, 5) and not t.sessions(), 'nobody was asked for TLS')
    c = Secure(l.port)
    c.cmd('EHLO x')
    c.s.sendall(b'EHLO y\r\nNOOP\r\nSTARTTLS\r\n')
    got = b''.join(c.f.readline() for i in range(9))
    check(b'250 2.0.0 ok\r\n220 ' in got, 'what stands before it is answered: %r' % got)
    c.over()
    equal(c.quit(), '221', 'and TLS works')
    for text in (b'NOOP\r\n', b'EHLO x\r\nMAIL FROM:<a@b>\r\n'):
        c = Secure(l.port)
        c.cmd('EHLO x')
        c.cmd('STARTTLS')
        c.s.sendall(text)
        try: c.shake()
        except OSError as e: ok = True
        else: ok = False
        check(ok and b'250' not in c.rest(), '%r before the handshake: there is none' % text)
        c.close()
    for x in (l, t): x.stop()

def test_aborts():
    """Handshakes that end, or go wrong, at many places."""
    settings(timeoutsmtpd='20')
    t, l = Tlsd(home), Listener(home)
    sink, source = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = any_server().wrap_bio(sink, source, server_hostname='host.example')
    try: obj.do_handshake()
    except ssl.SSLWantReadError: hello = source.read()
    places = sorted(set(range(1, len(hello) + 1, 12)) | set(range(1, 12)))
    for how in ('closed', 'reset', 'spoilt'):
        clients = []
        before = len(ends(l))
        for n in places:
            c = Secure(l.port)
            c.cmd('STARTTLS')
            c.s.sendall(hello[:n] if how != 'spoilt' else hello[:n - 1] + b'\xff' * 9 + hello[n + 8:])
            if how == 'reset': c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            if how == 'spoilt': c.s.shutdown(socket.SHUT_WR)
            else: c.close()
            clients.append(c)
        check(wait_for(lambda: len(ends(l)) == before + len(places), 20), '%d handshakes %s at as many places: each session ends' % (len(places), how))
        lines = ends(l)[before:]
        equal([x for x in lines if 'TLS handshake failed' not in x and 'closed by client' not in x], [], 'none has gone on')
        for c in clients: c.close()
    # The client's last words of the handshake, not all of them.
    before = len(ends(l))
    cuts = (0, 1, 5, 6, 7, 11, 12, 40, 70, 79)
    for n in cuts:
        c = Secure(l.port)
        c.cmd('STARTTLS')
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        obj = any_server().wrap_bio(inward, outward)
        while True:
            try: obj.do_handshake()
            except ssl.SSLWantReadError:
                c.s.sendall(outward.read())
                inward.write(c.s.recv(65536))
            else: break
        c.s.sendall(outward.read()[:n])
        c.close()
    check(wait_for(lambda: len(ends(l)) == before + len(cuts), 20), 'and at %d places of the end of one' % len(cuts))
    equal([x for x in ends(l)[before:] if 'TLS handshake failed: ' not in x], [], 'none has gone on')
    check(wait_for(lambda: not t.sessions()), 'no process is left')
    equal(t.p.poll(), None, 'pipit-tlsd runs')
    check('alert' not in t.text() and 'crashed' not in l.text(), 'nothing crashed')
    # Bytes that are spoilt later: in a record of the session.
    c = Secure(l.port)
    c.starttls()
    raw = socket.socket(fileno=os.dup(c.s.fileno()))
    raw.sendall(b'\x17\x03\x03\x00\x20' + b'x' * 32)
    raw.close()
    equal(c.rest(), b'', 'a record that is no good ends the connection')
    c.close()
    equal(visit(l), der(CERT), 'and the next session is served')
    for x in (l, t): x.stop()
    settings(timeoutsmtpd='1')
    t, l = Tlsd(home), Listener(home)
    c = Secure(l.port)
    c.cmd('STARTTLS')
    equal((c.rest(), 'TLS handshake failed: timeout' in wait_end(l, 1)), (b'', True), 'who says nothing has control/timeoutsmtpd')
    c.close()
    for x in (l, t): x.stop()

def memory(pid):
    return sum(int(x) for x in re.findall(r'^(?:Private_Dirty|Private_Clean):\s+(\d+)', open('/proc/%d/smaps_rollup' % pid).read(), re.M))

def test_many():
    """Two hundred sessions at once, then none."""
    settings()
    t, l = Tlsd(home), Listener(home)
    for i in range(20): visit(l)
    wait_for(lambda: not t.sessions())
    fds = len(os.listdir('/proc/%d/fd' % t.p.pid)) if ROOT else 0
    before = memory(t.p.pid) if ROOT else None
    context = any_server()
    held = []
    for i in range(200):
        c = Secure(l.port, context)
        c.starttls()
        held.append(c)
    equal(len(t.sessions()), 200, '200 sessions, each with its process')
    equal({c.cmd('NOOP') for c in held}, {'250 2.0.0 ok'}, 'all are answered')
    for c in held: c.s.sendall(b'QUIT\r\n')
    for c in held: c.rest(), c.close()
    check(wait_for(lambda: not t.sessions(), 20), 'they end')
    if not ROOT: skip('how much pipit-tlsd has grown: only root can read its memory')
    else: check(memory(t.p.pid) - before < 200, 'pipit-tlsd has grown by %d KB of %d' % (memory(t.p.pid) - before, before))
    if ROOT: check(wait_for(lambda: len(os.listdir('/proc/%d/fd' % t.p.pid)) == fds), 'and has the descriptors that it began with')
    control(home, 'concurrencytlsd', '1')
    t.hup()
    a, b = Secure(l.port), Secure(l.port)
    got = a.starttls(), b.starttls()
    for c in (a, b): c.quit()
    equal([g[:9] for g in got], ['220 2.0.0', '454 4.7.0'], 'control/concurrencytlsd')
    check(wait_for(lambda: 'TLS is not available now: as many sessions as control/concurrencytlsd allows' in l.text()), 'the log tells why')
    for x in (l, t): x.stop()

def places(t, l, hello, command):
    held, served, most = [], 0, 0
    for i in range(20):
        c = Secure(l.port)
        held.append(c)
        if c.greeting.startswith(hello):
            served += 1
            c.cmd(command)
            c.s.sendall(b'in clear\r\n')
            wait_for(lambda: l.text().count(': end ') >= served)
        most = max(most, len(t.sessions()))
        time.sleep(0.02)
    check(most <= 4, '%s: failed handshakes of 20 clients who stay, %d of them served: %d processes at once' % (command, served, most)) # one that ends is there a little longer
    for c in held: c.close()
    check(wait_for(lambda: not t.sessions()), 'they go')
    def is_served():
        c = Secure(l.port)
        ok = c.greeting.startswith(hello) and c.cmd(command).startswith(hello)
        c.close()
        return ok
    check(wait_for(is_served), 'and their places are free')

def test_places():
    """A client has a place as long as he has a process of pipit-tlsd."""
    settings(concurrencysmtpdclient='2', concurrencypop3client='2')
    t = Tlsd(home)
    for hello, command, name, args in (('220', 'STARTTLS', 'pipit-smtpd', ()), ('+OK', 'STLS', 'pipit-popup', ('host', '/bin/false', '/bin/false'))):
        l = Listener(home, *args, name=name)
        places(t, l, hello, command)
        l.stop()
        wait_for(lambda: not t.sessions())
    t.stop()

# --- the next session ---

def process(t, l, how=None, **kw):
    """The process of pipit-tlsd that has a session, which ends in good order or as <how>."""
    c = Secure(l.port, **kw)
    before = t.sessions()
    c.starttls()
    pids = [p for p in t.sessions() if p not in before] or before # that of the session before may be ending still
    (how or Secure.quit)(c)
    return pids[0] if len(pids) == 1 else tuple(pids)

def test_again():
    """A process serves one client's sessions, and no others."""
    settings()
    q, t, l = Queued(home), Tlsd(home), Listener(home)
    quiet = lambda: wait_for(lambda: not t.sessions())
    def one_for_both(**kw):
        """Two sessions within a moment, where the machine lets them be that; else again."""
        def attempt():
            quiet()
            start = time.monotonic()
            pair = process(t, l), process(t, l, **kw)
            return pair if time.monotonic() - start < 0.2 else None
        pair = wait_for(attempt, 20)
        return pair and pair[0] == pair[1]
    check(one_for_both(), 'two sessions of one client: one process')
    def two_clients():
        quiet()
        one, other = process(t, l), process(t, l, source='127.0.0.2')
        return isinstance(other, int) and one != other
    check(all(two_clients() for i in range(5)), 'a session of another client: another process')
    def broken(c):
        raw = c.s.detach()
        os.write(raw, b'\x17\3\3\0\x20' + b'x' * 32)
        os.close(raw)
    quiet()
    one = process(t, l, broken)
    check(wait_for(lambda: one not in t.sessions()) and process(t, l) != one, 'a session that breaks: the process ends')
    start, seen = time.monotonic(), []
    while time.monotonic() - start < 3: seen.append(process(t, l))
    check(len(seen) > 2 * len(set(seen)) and len(set(seen)) >= 3, '%d sessions within three seconds: %d processes, for none is used longer than a second' % (len(seen), len(set(seen))))
    certificate(CERT, 'host.example')
    one = process(t, l)
    t.hup()
    equal((visit(l), process(t, l) != one), (der(CERT), True), 'after HUP: another one, with the new certificate')
    # What it has when it waits.
    def waiting():
        quiet()
        c = Secure(l.port)
        c.starttls()
        c.codes('EHLO secret-helo', *MAIL)
        c.cmd('secret-text ' * 3000 + '\r\n.')
        c.cmd('NOOP secret-noop')
        pid = t.sessions()[0]
        during = secrets(pid)
        c.quit()
        try: # it waits for a quarter of a second only
            wait_for(lambda: len(os.listdir('/proc/%d/fd' % pid)) == 2, 0.2)
            return during, secrets(pid), os.listdir('/proc/%d/fd' % pid)
        except (FileNotFoundError, ProcessLookupError): return None
    if not ROOT: skip('the memory of a process can be read by root only')
    elif check((got := wait_for(waiting, 20)), 'it waits'):
        check({b'secret-text', b'secret-noop'} <= got[0], 'a session has text in memory')
        equal((got[1], sorted(got[2])), (set(), ['2', '3']), 'one that is over has none, and no socket of its peers')
    # A process that goes while it waits.
    def killed():
        quiet()
        one = process(t, l)
        try: os.kill(one, signal.SIGTERM)
        except ProcessLookupError: return False
        return visit(l) == der(CERT)
    check(wait_for(killed, 20), 'one that dies while it waits costs the next session nothing')
    l.stop()
    # Passwords.
    a, l = Authd(home), Listener(home, '-A')
    quiet()
    pids = [process(t, l) for i in range(5)]
    check(len(set(pids)) == 5, 'where clients may log in: a process for each session')
    for x in (l, a, t, q): x.stop()

class Standin(threading.Thread):
    """In the place of pipit-tlsd, one connection after the other: no TLS, and it would serve whoever comes for ever."""
    def __init__(self, home):
        super().__init__(daemon=True)
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = home + '/run/tls'
        if os.path.exists(path): os.unlink(path)
        self.listening.bind(path)
        os.chmod(path, 0o666)
        self.listening.listen(9)
        self.asked = [] # on which of the connections
        self.start()

    def run(self):
        n = 0
        while True:
            control = self.listening.accept()[0]
            n += 1
            try:
                while self.session(control, n): pass
            except ConnectionError: pass # it does not want to know that we wait
            control.close()

    def session(self, control, n):
        data, fds = socket.recv_fds(control, 2048, 2)[:2]
        if not data: return False
        self.asked.append(n)
        control.send(b'G')
        control.recv(1)
        control.send(b'KTLSv1.3\0x\0\0\0')
        net, plain = (socket.socket(fileno=fd) for fd in fds)
        net.close()
        plain.sendall(b'QUIT\r\n')
        while plain.recv(1000): pass
        plain.close()
        control.send(b'I')
        return True

def test_again_asked():
    """pipit-smtpd itself sees to whose process it asks, and for how long."""
    settings()
    s, l = Standin(home), Listener(home)
    def visit(source='127.0.0.1'):
        before = len(ends(l))
        c = Secure(l.port, source=source)
        c.codes('EHLO x', 'STARTTLS')
        c.rest()
        c.close()
        wait_end(l, before + 1)
    def once():
        """Two clients within a moment and then another one; and one for longer than a second: on which connections."""
        del s.asked[:]
        start = time.monotonic()
        for source in ('127.0.0.1', '127.0.0.1', '127.0.0.2'): visit(source)
        quick = time.monotonic() - start < 0.8
        first = s.asked[0]
        got = [n - first for n in s.asked]
        del s.asked[:]
        start = time.monotonic()
        while time.monotonic() - start < 1.5: visit(), time.sleep(0.05) # fewer than pipit-smtpd's process ends after
        return (got, s.asked[:]) if quick else None
    got = wait_for(once, 30)
    if check(got, 'sessions within a moment'):
        equal(got[0][:2], [0, 0], 'the same client: the same connection')
        check(got[0][2] > 0, 'another one: a new one')
        n, m = len(got[1]), len(set(got[1]))
        check(n > 3 * m and m > 1, 'after a second a new one, whatever the other side would do: %d sessions over %d' % (n, m))
    l.stop()
    os.unlink(home + '/run/tls')

def test_again_late():
    """A process that comes to its work late has what was there when it was made, and serves nobody with it once there is something else."""
    settings()
    if not shutil.which('strace'): return skip('strace is not there')
    certificate(CERT, 'host.example')
    t = Tlsd(home, prefix=['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=rt_sigaction', '-e', 'inject=rt_sigaction:delay_enter=200000:when=1'])
    if t.ready != b'\n':
        t.p.wait(20)
        return skip('ptrace is not allowed here')
    l, tracer, old = Listener(home), t.p, der(CERT)
    tlsd = t.children()[0]
    sessions = lambda: open('/proc/%d/task/%d/children' % (tlsd, tlsd)).read().split()[1:]
    c = Secure(l.port)
    c.cmd('EHLO x')
    c.s.sendall(b'STARTTLS\r\n')
    check(wait_for(sessions), 'its process is there')
    certificate(CERT, 'host.example')
    before = len(t.text())
    os.kill(tlsd, signal.SIGHUP)
    check(wait_for(lambda: t.text()[before:].endswith('certificates read\n')), 'then other certificates come')
    c.reply()
    c.over()
    had = c.certificate(), c.quit()
    time.sleep(0.05) # until its process waits for the next
    equal((had, visit(l) == der(CERT)), ((old, '221'), True), 'the session has what was there before, the next one what is there now')
    l.stop()
    os.kill(tlsd, signal.SIGTERM)
    tracer.wait(20)

def test_crowd():
    """Clients of three addresses come again at once and go in all ways: each message is whole, and its sender's own."""
    settings()
    q, t, l = Queued(home), Tlsd(home), Listener(home)
    context, end, told, wrong = any_server(), time.monotonic() + 4, [], []
    def one(who, n, rnd):
        c = Secure(l.port, context, source='127.0.0.%d' % (2 + who % 3))
        try:
            if rnd.random() < 0.05: return c.cmd('STARTTLS')
            if c.starttls()[:3] != '220': return wrong.append('no TLS')
            if rnd.random() < 0.05: return os.write(c.s.fileno(), b'\x17\3\3\0\x20' + b'x' * 32)
            text = 'client %d message %d %s' % (who, n, 'y' * rnd.choice((10, 3000, 40000)))
            if c.codes('EHLO c%d' % who, *MAIL) != ['250', '250', '250', '354']: return wrong.append('refused')
            r = c.cmd('\r\n' + '\r\n'.join(text[i:i + 900] for i in range(0, len(text), 900)) + '\r\n.')
            if r[:3] != '250': return wrong.append(r)
            told.append((r.split()[-1], who, text))
            if rnd.random() < 0.9 and c.quit() != '221': wrong.append('no 221')
        finally: c.close()
    def client(who):
        rnd, n = random.Random(who), 0
        while time.monotonic() < end:
            n += 1
            try: one(who, n, rnd)
            except OSError as e: wrong.append(repr(e))
    threads = [threading.Thread(target=client, args=(who,)) for who in range(6)]
    for x in threads: x.start()
    for x in threads: x.join()
    equal(wrong, [], '%d messages of a crowd are accepted' % len(told))
    there = q.messages()
    def arrived(id, who, text):
        m = there[id][0].decode()
        return m.startswith('Received: from c%d (unknown [127.0.0.%d])\n' % (who, 2 + who % 3)) and ' with ESMTPS\n' in m and m.split('\n\n', 1)[1].replace('\n', '') == text
    equal([x[:2] for x in told if not arrived(*x)], [], 'each is there, as its client wrote it')
    check(len(told) > 50 and len({x[0] for x in told}) == len(told), 'once')
    check('alert' not in t.text() and wait_for(lambda: not t.sessions()), 'no process has crashed, and none is left')
    for x in (l, t, q): x.stop()

# --- rights, and what dies ---

def test_confined():
    settings()
    t, l = Tlsd(home), Listener(home)
    c = Secure(l.port)
    c.starttls()
    pid = t.sessions()[0]
    status = open('/proc/%d/status' % pid).read()
    equal(re.findall(r'^(?:NoNewPrivs|Seccomp|CapEff|CapPrm):\s+(\w+)', status, re.M), ['0' * 16, '0' * 16, '1', '2'], 'a session has no rights, and seccomp')
    limits = open('/proc/%d/limits' % pid).read()
    equal(re.findall(r'^Max (?:processes|open files|core file size)\s+(\d+)\s+(\d+)', limits, re.M), [('0', '0')] * 2 + [('4', '4')], 'nor processes, files, a core')
    if ROOT:
        equal(sorted(os.listdir('/proc/%d/fd' % pid)), ['0', '1', '2', '3'], 'all the numbers for descriptors are in use')
        for p, what in ((pid, 'a session'), (t.p.pid, 'pipit-tlsd'), (t.children()[0], 'the process that reads keys')):
            p2 = as_account(['cat', '/proc/%d/environ' % p], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            check(p2.wait() != 0, '%s: its own account cannot look into it' % what)
            equal(os.stat('/proc/%d/mem' % p).st_uid, 0, '%s: not dumpable' % what)
    c.quit()
    # Who may ask.
    sock = home + '/run/tls'
    def ask(first=b'S\0\0\0\xe8\3\0\0', fd=2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            a, b = socket.socketpair()
            s.settimeout(10)
            try:
                s.connect(sock)
                try: s.sendmsg([first], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [a.fileno(), b.fileno()][:fd]))] if fd else [])
                except BrokenPipeError: pass # refused already
                return s.recv(1000)
            except OSError as e: return type(e).__name__
    def ask_as(uid, **kw):
        r, w = os.pipe()
        if not os.fork():
            if uid: os.setgroups([]), os.setgid(uid), os.setuid(uid)
            os.write(w, repr(ask(**kw)).encode())
            os._exit(0)
        os.close(w)
        os.wait()
        with os.fdopen(r) as f: return f.read()
    if ROOT:
        equal(ask_as(0), "b'G'", 'root may ask')
        equal(ask_as(65533), "'PermissionError'", 'a stranger cannot reach the socket')
        os.chmod(sock, 0o666)
        check(ask_as(65533) in ("b'Enot permitted'", "'ConnectionResetError'"), 'and where the mode is wrong, is refused')
        equal(ask_as(ACCOUNT.pw_uid), "b'G'", 'the account of the instance may ask')
        for what, kw in (('an empty request', dict(first=b'x')), ('another role', dict(first=b'C\0\0\0\xe8\3\0\0')), ('no socket', dict(fd=0)), ('one socket', dict(fd=1)),
                         ('a long request', dict(first=b'S' * 2000))):
            equal(ask_as(0, **kw), "b'Emalformed request'", what)
        equal(visit(l), der(CERT), 'all of that disturbed nobody')
    for x in (l, t): x.stop()

def test_deaths():
    settings()
    t, q = Tlsd(home), Queued(home)
    l = Listener(home)
    other, victim = Secure(l.port), Secure(l.port)
    other.starttls()
    kids = t.sessions()
    victim.starttls()
    pid = (set(t.sessions()) - set(kids)).pop()
    def layout(): return [m for m in open('/proc/%d/maps' % t.p.pid) if m.endswith('/pipit-tlsd\n')][0].split('-')[0] if ROOT else ''
    before = layout()
    name = lambda: open('/proc/%d/comm' % t.p.pid).read().strip()
    equal(name(), 'pipit-tlsd', 'it is found by its name')
    os.kill(pid, signal.SIGKILL)
    check(wait_for(lambda: 'begun anew' in t.text()), 'a session that crashes: pipit-tlsd executes itself anew')
    check('alert: session crashed pid=%d signal=9' % pid in t.text(), 'and tells of it')
    if ROOT: check(layout() != before, 'it has other addresses')
    check(wait_for(lambda: name() == 'pipit-tlsd'), 'and is still found by its name')
    equal((victim.rest(), other.codes('NOOP', 'EHLO x')), (b'', ['250', '250']), 'no other session is disturbed')
    equal(visit(l), der(CERT), 'and new ones are served')
    certificate(CERT, 'host.example')
    check(wait_for(lambda: visit(l) == der(CERT), 10, 0.1), 'also with new certificates')
    # pipit-tlsd itself is killed.
    c = Secure(l.port)
    c.cmd('EHLO x')
    check('250-STARTTLS' in c.lines, 'offered')
    t.p.kill()
    t.p.wait()
    equal(c.cmd('STARTTLS'), '454 4.7.0 TLS is not available now', 'pipit-tlsd is killed: 454')
    check(wait_for(lambda: ' deferred ' in l.text() and 'TLS is not available now: Connection refused' in l.text()), 'the log tells why')
    equal(c.codes(*MAIL, 'x\r\n.'), ['250', '250', '354', '250'], 'mail goes on in clear')
    equal(other.codes(*MAIL, 'x\r\n.'), ['250', '250', '354', '250'], 'and over TLS where that was there before')
    other.quit()
    check(wait_for(lambda: (c.cmd('EHLO x'), '250-STARTTLS' not in c.lines)[1], 10, 0.1), 'it is not offered any more')
    t = Tlsd(home)
    check(wait_for(lambda: (c.cmd('EHLO x'), '250-STARTTLS' in c.lines)[1], 10, 0.1), 'it is back: it is offered')
    equal(c.starttls()[:3], '220', 'and done')
    c.quit()
    os.kill(t.children()[0], signal.SIGKILL)
    equal(t.p.wait(10), 111, 'without the process that reads keys pipit-tlsd ends, to be started again')
    check('the process that reads keys has ended' in t.text(), 'and says why')
    # TERM while sessions run.
    t = Tlsd(home)
    c = Secure(l.port)
    wait_for(lambda: (c.cmd('EHLO x'), '250-STARTTLS' in c.lines)[1], 10, 0.1)
    c.starttls()
    equal((t.stop(), c.quit()), (0, '221'), 'TERM ends pipit-tlsd, and no session')
    for x in (l, q): x.stop()

def state(pid):
    with open('/proc/%d/stat' % pid) as f: return f.read().rsplit(')', 1)[1].split()[0]

def wire():
    """A connection to pipit-tlsd."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(home + '/run/tls')
    s.settimeout(20)
    return s

def ask(s):
    """Ask for a session, as pipit-smtpd does."""
    pair = socket.socketpair()
    socket.send_fds(s, [b'S\0\0\0\xe8\3\0\0'], [x.fileno() for x in pair])
    for x in pair: x.close()

def answer(s):
    try: return s.recv(100)
    except OSError as e: return e

def test_crash_waiting():
    """A session crashes while others have just asked."""
    settings()
    t, l = Tlsd(home), Listener(home)
    c = Secure(l.port)
    c.starttls()
    victim = t.sessions()[0]
    t.p.send_signal(signal.SIGSTOP)
    wait_for(lambda: state(t.p.pid) == 'T')
    asked = [wire() for i in range(5)]
    for s in asked: ask(s)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: state(victim) == 'Z')
    t.p.send_signal(signal.SIGCONT)
    equal([answer(s) for s in asked], [b'G'] * 5, 'those who have just asked when a session crashes are answered')
    check(wait_for(lambda: 'begun anew' in t.text()), 'by one that has begun anew')
    for s in (c, *asked): s.close()
    for x in (l, t): x.stop()

def test_crash_nonsense():
    """A session crashes while the settings cannot be read."""
    settings()
    t, l = Tlsd(home), Listener(home)
    victim = Secure(l.port)
    victim.starttls()
    pid = t.sessions()[0]
    control(home, 'tlsserverciphers', 'nonsense')
    t.hup()
    os.kill(pid, signal.SIGKILL)
    check(wait_for(lambda: 'session crashed' in t.text()), 'a session crashes while control/tlsserverciphers is nonsense')
    c = Secure(l.port)
    equal((c.starttls()[:3], c.quit(), t.p.poll()), ('220', '221', None), 'the service goes on')
    check('begun anew' not in t.text(), 'as it is')
    control(home, 'tlsserverciphers', None)
    if t.p.poll() is None: t.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: 'begun anew' in t.text()), 'when the file is good again it is executed anew')
    c = Secure(l.port)
    equal((c.starttls()[:3], c.quit()), ('220', '221'), 'and goes on')
    victim.close()
    for x in (l, t): x.stop()

def test_waiting():
    """More connections at once than may wait: who is only slow to ask keeps his place."""
    settings()
    t = Tlsd(home)
    t.p.send_signal(signal.SIGSTOP)
    wait_for(lambda: state(t.p.pid) == 'T')
    slow, asked = wire(), []
    for i in range(200):
        s = wire()
        if i % 10: s.close() # who only looks whether it is there
        else: ask(s), asked.append(s)
    t.p.send_signal(signal.SIGCONT)
    equal([answer(s) for s in asked], [b'G'] * 20, '200 connections at once: those who ask are answered')
    try: ask(slow)
    except OSError: pass
    equal(answer(slow), b'G', 'and so is who was there before them, and asks late')
    for s in (slow, *asked): s.close()
    t.stop()

def test_queue_program():
    """A program in the place of the queue has nothing of the session but the message."""
    settings()
    out = os.path.join(SCRATCH, 'sockets')
    open(out, 'w').close()
    os.chmod(out, 0o666)
    queue = script('sockets.sh', 'ls -l /proc/$$/fd >%s\ncat >/dev/null\ncat <&1 >/dev/null\n' % out)
    t = Tlsd(home)
    low = [os.open('/dev/null', os.O_RDONLY) for i in range(12)] # else the client's place is one where the program has its own
    l = Listener(home, env={'QMAILQUEUE': queue})
    for fd in low: os.close(fd)
    for tls in (0, 1):
        c = Secure(l.port)
        if tls: c.starttls()
        equal((c.codes('EHLO x', *MAIL)[-1], c.cmd('x\r\n.')[:3], c.quit()), ('354', '250', '221'), 'a message %s' % ('over TLS' if tls else 'in clear'))
        text = open(out).read()
        check('pipe:[' in text and 'socket:[' not in text, 'the program has no socket: %r' % text)
    for x in (l, t): x.stop()

def test_passing():
    """A file that cannot be opened for a moment is read again."""
    settings()
    if not shutil.which('strace'): return skip('strace is not there')
    t, l = Tlsd(home), Listener(home)
    loader = t.children()[0]
    p = subprocess.Popen(['strace', '-qq', '-p', str(loader), '-o', SCRATCH + '/trace', '-P', 'control/servercert.pem', '-e', 'trace=openat', '-e', 'inject=openat:error=ENFILE:when=1'],
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: p.poll() is not None or 'TracerPid:\t0' not in open('/proc/%d/status' % loader).read())
    if p.poll() is None:
        certificate(CERT, 'host.example')
        told = lambda: (visit(l), 'Too many open files in system; the old one stays' in t.text())[1]
        check(wait_for(told, 20, 0.1), 'a new certificate cannot be opened: the old one stays')
        check(wait_for(lambda: visit(l) == der(CERT), 10, 0.1), 'and the new one is read soon')
        p.send_signal(signal.SIGINT)
        p.wait(20)
    else: skip('ptrace is not allowed here')
    for x in (l, t): x.stop()

def test_faults():
    """What the kernel refuses pipit-tlsd costs a session at most its TLS."""
    settings()
    if not shutil.which('strace'): return skip('strace is not there')
    for fault, replies, says in (
            ('clone:error=EAGAIN:when=2', ['454', '220'], 'TLS is not available now: no process for this session'),
            ('accept4:error=EMFILE:when=1', ['220', '220'], ''),
            ('execve:error=ENOENT:when=1', ['220', '220'], ''), # with the allocator's usual settings, then
            ('dup2:error=EBUSY:when=2', ['454', '454'], 'TLS is not available now: Device or resource busy')):
        t = Tlsd(home, prefix=['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=' + fault.split(':')[0], '-e', 'inject=' + fault])
        if t.ready != b'\n':
            t.p.wait(20)
            return skip('ptrace is not allowed here')
        if ROOT and 'execve' in fault: check('GLIBC_TUNABLES' not in open('/proc/%d/environ' % t.children()[0]).read(), 'pipit-tlsd cannot execute itself')
        l = Listener(home)
        got = []
        for i in range(2):
            c = Secure(l.port)
            got.append(c.starttls()[:3])
            check(c.quit() == '221', 'the session goes on')
        check(got == replies and (not says or wait_for(lambda: says in l.text())), '%s: %s' % (fault, got))
        l.stop()
        tracer = t.p
        os.kill(t.children()[0], signal.SIGTERM) # strace passes no signal on
        tracer.wait(20)
    # The memory that it shares with its sessions: which call that is, a run without a fault tells.
    trace = home + '/mmap'
    open(trace, 'w').close()
    own(trace)
    t = Tlsd(home, prefix=['strace', '-qq', '-o', trace, '-e', 'trace=mmap,execve'])
    os.kill(t.children()[0], signal.SIGTERM)
    t.p.wait(20)
    calls = [l for l in open(trace) if l.startswith('mmap')]
    n = [i for i, l in enumerate(calls) if 'MAP_SHARED|MAP_ANONYMOUS' in l]
    if check(len(n) == 1, 'pipit-tlsd shares one piece of memory'):
        t = Tlsd(home, prefix=['strace', '-qq', '-o', '/dev/null', '-e', 'trace=mmap', '-e', 'inject=mmap:error=ENOMEM:when=%d' % (n[0] + 1)])
        equal((t.ready, t.p.wait(20), t.text()), (b'', 111, 'pipit-tlsd: warning: unable to get memory: Cannot allocate memory\n'), 'without it: 111, with a line')
    # What pipit-smtpd needs to ask.
    t, l = Tlsd(home), Listener(home, prefix=['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=socketpair', '-e', 'inject=socketpair:error=EMFILE'])
    c = Secure(l.port)
    equal((c.starttls(), c.quit()), ('454 4.7.0 TLS is not available now', '221'), 'no socket for the plain text: 454')
    check(wait_for(lambda: 'TLS is not available now: Too many open files' in l.text()), 'the log tells why')
    os.kill(int(open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()[0]), signal.SIGTERM)
    l.p.wait(20)
    t.stop()

def test_start():
    settings()
    def fails(says, code=111, args=(), env={}):
        p = as_account([BIN + '/pipit-tlsd', *args], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=home, **env))
        out = p.communicate(timeout=20)[1].decode()
        check(p.returncode == code and says in out and out.count('\n') == 1, '%s: %d %r' % (says, p.returncode, out))
    t = Tlsd(home)
    fails('Address already in use')
    t.stop()
    control(home, 'tlsserverversion', '1.1')
    fails('control/tlsserverversion: line 1: write 1.2 or 1.3')
    control(home, 'tlsserverversion', None)
    os.unlink(CERT)
    fails('servercert.pem: no certificate')
    fails('usage', 100, ('-q',))
    fails('usage', 100, ('x',))
    for bad in ('a b', 'a,DNS:b', '', 'x' * 256): fails('usage', 100, ('-g', bad, SCRATCH + '/never'))
    path = certificate(SCRATCH + '/there', 'a.example')
    fails('unable to create', 111, ('-g', 'a.example', path))
    long_name = '.'.join(['x' * 60] * 4)
    certificate(SCRATCH + '/long', long_name)
    check(der(SCRATCH + '/long'), 'a certificate for a long name')

def test_memory():
    settings()
    q, t, l = Queued(home), Tlsd(home), Listener(home)
    leaves_nothing(t, l)
    for x in (l, t, q): x.stop()

def secrets(pid):
    """What words like secret-text there are in a process's memory."""
    found = set()
    with open('/proc/%d/mem' % pid, 'rb', 0) as mem:
        for line in open('/proc/%d/maps' % pid):
            m = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)
            if not m or int(m[2], 16) - int(m[1], 16) > 1 << 26: continue
            try:
                mem.seek(int(m[1], 16))
                found.update(re.findall(rb'secret-\w+', mem.read(int(m[2], 16) - int(m[1], 16))))
            except OSError: pass
    return found

def leaves_nothing(t, l):
    """A session over TLS leaves nothing in the process of pipit-smtpd that serves the next."""
    kids = lambda: [int(p) for p in open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()]
    def whole():
        """A session; what is left of it in the process, and what should be. Nothing when the process has ended: it waits for two seconds only."""
        Secure(l.port, source='127.0.0.2').quit() # an address of its own has no connection to pipit-tlsd yet
        c = Secure(l.port, name='secret-sni.example')
        c.cmd('EHLO secret-clear')
        pid = kids()[0]
        fds = len(os.listdir('/proc/%d/fd' % pid)) if ROOT else 0
        c.starttls()
        c.codes('EHLO secret-helo', 'MAIL FROM:<secret-from@x>', 'RCPT TO:<secret-to@example.org>', 'DATA')
        c.cmd('secret-text\r\n.')
        during = secrets(pid)
        c.quit()
        left = []
        def clean(): # the client has its end before the process has cleaned up
            left[:] = secrets(pid), len(os.listdir('/proc/%d/fd' % pid)) - 1 if ROOT else 0 # pipit-tlsd may be asked again
            return left == [set(), fds]
        try:
            wait_for(clean, 1.5)
            return during, kids() == [pid], left, [set(), fds]
        except (FileNotFoundError, ProcessLookupError): return None
    try: got = wait_for(whole, 20)
    except PermissionError: return skip('the memory of a process cannot be read here')
    if not check(got, 'a process serves a session, and waits'): return
    check({b'secret-sni', b'secret-helo', b'secret-text'} <= got[0], 'while the session lasts its words are in memory')
    check(got[1], 'when it is over the process waits for the next')
    equal(got[2], got[3], 'nothing is left, no descriptor either')
    c = Secure(l.port)
    c.cmd('EHLO x')
    check('250-STARTTLS' in c.lines and c.cmd('RCPT TO:<x@example.org>')[:3] == '503', 'the next client begins in clear')
    c.quit()

# --- UCSPI-TLS ---

class Ucspi:
    """pipit-smtpd under a server that speaks TLS for it, after the first byte on SSLCTLFD. The TLS is left out."""
    def __init__(self, block, *args, **env):
        self.s, b = socket.socketpair()
        self.ctl, ctl = socket.socketpair()
        r, self.w = os.pipe()
        self.r, w = os.pipe()
        self.block = block
        fds = {'SSLCTLFD': ctl.fileno(), 'SSLREADFD': r, 'SSLWRITEFD': w}
        self.log = new_log()
        self.p = as_account([BIN + '/pipit-smtpd', *args], stdin=b, stdout=b, stderr=self.log, pass_fds=fds.values(),
                            env=dict(os.environ, PIPIT_HOME=home, TCPREMOTEIP='192.0.2.1', **{n: str(v) for n, v in fds.items()}, **env))
        for x in (b, ctl): x.close()
        for x in (r, w): os.close(x)
        self.s.settimeout(20)
        self.ctl.settimeout(20)
        self.f, self.out = self.s.makefile('rb'), self.s.sendall
        self.reply()

    def reply(self):
        self.lines = []
        while True:
            self.lines.append(self.f.readline().decode().rstrip('\r\n'))
            if self.lines[-1][3:4] != '-': return self.lines[-1]

    def cmd(self, line):
        self.out(line.encode() + b'\r\n')
        return self.reply()

    def starttls(self):
        r = self.cmd('STARTTLS')
        self.asked = self.ctl.recv(10)
        for part in self.block: self.ctl.sendall(part)
        self.ctl.close()
        self.f, self.out = os.fdopen(self.r, 'rb'), lambda data: os.write(self.w, data)
        return r

    def end(self):
        os.close(self.w)
        code = self.p.wait(20)
        self.log.seek(0)
        return code, self.log.read()

def test_ucspi():
    settings()
    q = Queued(home)
    u = Ucspi([b'SSL_PROTOCOL=TLSv1.2\0SSL_CIPH', b'ER=A-B\0SSL_LONG=' + b'x' * 5000 + b'\0SSL_TLS_SNI_SERVERNAME=a)b.example\0\0'])
    u.cmd('EHLO before')
    check('250-STARTTLS' in u.lines, 'UCSPI-TLS: STARTTLS is offered, without pipit-tlsd')
    equal((u.starttls()[:3], u.asked), ('220', b'Y'), 'and the server is asked for it')
    u.cmd('EHLO after')
    check('250-STARTTLS' not in u.lines, 'not twice')
    equal([u.cmd(x)[:3] for x in MAIL], ['250', '250', '354'], 'mail')
    m = q.message(u.cmd('x\r\n.').split()[-1])[0].decode()
    check('from after (unknown [192.0.2.1])\n\tby host.example with ESMTPS\n\t(TLSv1.2 A-B) id ' in m, 'what the server tells is in the Received field: %r' % m[:200])
    equal(u.cmd('QUIT')[:3], '221', 'QUIT')
    code, log = u.end()
    check(code == 0 and ' tls=TLSv1.2:A-B ' in log and ' sni=a?b.example ' in log, 'and in the log, made safe: %d %s' % (code, log))
    u = Ucspi([b'\0'])
    u.starttls()
    equal(u.cmd('EHLO x')[:3], '250', 'a server that tells nothing')
    u.end()
    u = Ucspi([b'\0'], 'host', 'sh', '-c', 'cat <&3 | tr "\\0" . | grep -q "^ann.secret.*$" || exit 1; exec "$0"', 'true')
    u.cmd('EHLO x')
    check(not any('AUTH' in l for l in u.lines) and u.cmd('AUTH PLAIN AGFubgBzZWNyZXQ=')[:3] == '538', 'AUTH: not in clear')
    u.starttls()
    u.cmd('EHLO x')
    check('250-AUTH PLAIN LOGIN' in u.lines, 'but over it')
    equal((u.cmd('AUTH PLAIN AGFubgB4')[:3], u.cmd('AUTH PLAIN AGFubgBzZWNyZXQ=')[:3]), ('535', '235'), 'a checkpassword program decides')
    u.end()
    u = Ucspi([])
    u.starttls()
    equal(u.f.read(), b'', 'one that fails')
    check('TLS handshake failed: the server did not do it' in u.end()[1], 'is told of')
    u = Ucspi([])
    u.out(b'STARTTLS\r\nNOOP\r\n')
    check(u.reply()[:3] == '554' and u.f.read() == b'', 'typed ahead')
    u.end()
    q.stop()

for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]): test()
done()
