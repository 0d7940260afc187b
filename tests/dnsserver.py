#!/usr/bin/python3
"""dnsserver.py - a small DNS server for tests, over UDP and TCP on one loopback port

As a module:
    from dnsserver import DNSServer
    with DNSServer({'example.com': {'MX': ['10 mx.example.com'], 'A': ['192.0.2.1']},
                    'mx.example.com': {'A': ['127.0.0.2'], 'AAAA': ['::1']},
                    'www.example.com': {'CNAME': ['example.com']},
                    'slow.example.com': {'A': ['192.0.2.2'], 'delay': 2},
                    'big.example.com': {'TXT': ['"..."'], 'truncate': True},
                    'sick.example.com': {'MX': 'servfail', 'A': ['192.0.2.3']},
                    'dead.example.com': 'timeout'}) as dns:
        dns.resolver            "127.0.0.1:PORT", a line for control/resolvers
        dns.queries             [(name, type, 'udp' or 'tcp'), ...] in the order they came
        dns.zone                may be changed at any time

A name's value is a dict of types, or a behaviour for all of them. A type's value is a list of
records in zone file form (no TTL), or a behaviour:
    nxdomain nodata servfail refused formerr notimp   that answer
    timeout     no answer          garbage   bytes that are no DNS message
    wrongid     an answer with another id
Beside the types a dict may hold 'delay' (seconds before each answer), and 'truncate': True (over
UDP the answer is empty with TC set) or 'dead' (over TCP there is none either). A name that is not
there is NXDOMAIN, unless names exist below it; "*" as a name stands for all that are not there.
CNAMEs are followed inside the zone. An answer too large for the client's UDP buffer is truncated.

As a program: dnsserver.py [-p PORT] ZONEFILE, with lines "name type data" or "name * behaviour";
prints the port, and runs until it is killed.
"""
import socket, struct, sys, threading, time
import dns.flags, dns.message, dns.name, dns.rcode, dns.rdatatype, dns.rrset

RCODES = {'nxdomain': dns.rcode.NXDOMAIN, 'nodata': dns.rcode.NOERROR, 'servfail': dns.rcode.SERVFAIL,
          'refused': dns.rcode.REFUSED, 'formerr': dns.rcode.FORMERR, 'notimp': dns.rcode.NOTIMP}
TTL = 60

def parse_zone(text):
    """The dict for a zone given as text."""
    zone = {}
    for line in text.splitlines():
        words = line.split('#')[0].split(None, 2)
        if len(words) < 3: continue
        name, kind, data = words[0].rstrip('.').lower(), words[1], words[2].strip()
        if kind == '*': zone[name] = data
        elif kind in ('delay', 'truncate'): zone.setdefault(name, {})[kind] = float(data)
        elif data in RCODES or data in ('timeout', 'garbage', 'wrongid'): zone.setdefault(name, {})[kind] = data
        else: zone.setdefault(name, {}).setdefault(kind, []).append(data)
    return zone

class DNSServer:
    def __init__(self, zone, address='127.0.0.1', port=0):
        self.zone = parse_zone(zone) if isinstance(zone, str) else zone
        self.address, self.port, self.queries = address, port, []
        self.stopping = False

    def start(self):
        family = socket.AF_INET6 if ':' in self.address else socket.AF_INET
        for attempt in range(20):
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.udp.bind((self.address, self.port))
            port = self.udp.getsockname()[1]
            self.tcp = socket.socket(family)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try: self.tcp.bind((self.address, port))
            except OSError:
                self.udp.close(); self.tcp.close()
                if self.port or attempt == 19: raise
                continue
            break
        self.port = port
        self.resolver = ('[%s]:%d' if ':' in self.address else '%s:%d') % (self.address, port)
        self.tcp.listen(16)
        for loop in (self._udp, self._tcp): threading.Thread(target=loop, daemon=True).start()
        return self

    def stop(self):
        self.stopping = True
        try: self.tcp.shutdown(socket.SHUT_RDWR) # a thread waits in accept
        except OSError: pass
        self.tcp.close()
        try: self.udp.shutdown(socket.SHUT_RDWR)
        except OSError: pass
        self.udp.close()

    def __enter__(self): return self.start()
    def __exit__(self, *exc): self.stop()

    def count(self, name=None, kind=None):
        """How many queries came for the name and type."""
        return sum(name in (None, n) and kind in (None, k) for n, k, _ in self.queries)

    def _entry(self, name):
        zone = self.zone
        if name in zone: return zone[name]
        if any(n.endswith('.' + name) for n in zone): return 'nodata'
        return zone.get('*', 'nxdomain')

    def _fill(self, reply, name, kind):
        """Add the answer for <name>; returns (behaviour, delay, truncate)."""
        for hop in range(10):
            entry = self._entry(name.to_text(omit_final_dot=True).lower())
            if isinstance(entry, str): return entry, 0, False
            extra = entry.get('delay', 0), entry.get('truncate', False)
            records = entry.get(kind)
            follow = records is None and kind != 'CNAME' and 'CNAME' in entry
            if follow: records = entry['CNAME']
            if isinstance(records, str): return (records,) + extra
            if not records: return ('nodata',) + extra
            rrset = dns.rrset.from_text_list(name, TTL, 'IN', 'CNAME' if follow else kind,
                                             [r if r.endswith('.') or kind in ('A', 'AAAA', 'TXT') and not follow else r + '.'
                                              for r in records])
            reply.answer.append(rrset)
            if not follow: return ('answer',) + extra
            name = rrset[0].target
        return 'servfail', 0, False

    def _respond(self, wire, transport, send):
        try: query = dns.message.from_wire(wire)
        except Exception: return
        if not query.question: return
        q = query.question[0]
        kind = dns.rdatatype.to_text(q.rdtype)
        self.queries.append((q.name.to_text(omit_final_dot=True).lower(), kind, transport))
        reply = dns.message.make_response(query, recursion_available=True)
        what, delay, truncate = self._fill(reply, q.name, kind)
        if delay: time.sleep(delay)
        if what == 'timeout' or transport == 'tcp' and truncate == 'dead': return
        if what == 'garbage': return send(wire[:2] + b'\xff' * 40)
        if what == 'wrongid': reply.id ^= 0x5555
        if what in RCODES: reply.set_rcode(RCODES[what])
        out = reply.to_wire(max_size=65535)
        room = query.payload if query.edns >= 0 else 512
        if transport == 'udp' and (truncate or len(out) > max(room, 512)):
            reply.answer = []
            reply.flags |= dns.flags.TC
            out = reply.to_wire()
        send(out)

    def _udp(self):
        while not self.stopping:
            try: wire, peer = self.udp.recvfrom(65535)
            except OSError: return
            def send(out, peer=peer):
                try: self.udp.sendto(out, peer)
                except OSError: pass
            threading.Thread(target=self._respond, args=(wire, 'udp', send), daemon=True).start()

    def _tcp(self):
        while not self.stopping:
            try: conn = self.tcp.accept()[0]
            except OSError: return
            threading.Thread(target=self._tcp_one, args=(conn,), daemon=True).start()

    def _tcp_one(self, conn):
        conn.settimeout(30)
        try:
            with conn, conn.makefile('rb') as f:
                while not self.stopping:
                    head = f.read(2)
                    if len(head) < 2: return
                    wire = f.read(struct.unpack('>H', head)[0])
                    self._respond(wire, 'tcp', lambda out: conn.sendall(struct.pack('>H', len(out)) + out))
        except OSError: pass

if __name__ == '__main__':
    args = sys.argv[1:]
    port = int(args[1]) if args[:1] == ['-p'] else 0
    server = DNSServer(open(args[-1]).read(), port=port).start()
    print(server.port, flush=True)
    threading.Event().wait()
