#!/usr/bin/python3
"""report.py RESULTS.jsonl [PHYSICAL.txt] - medians as markdown tables on standard output"""
import json, os, sys, statistics as st
from collections import defaultdict

DIR = os.environ.get('BENCH_DIR', '/var/tmp/pipit-bench')
rows = [json.loads(l) for l in open(sys.argv[1])]
phys = defaultdict(list)
if len(sys.argv) > 2:
    for l in open(sys.argv[2]):
        f = l.split()
        phys[(f[0], f[1], int(f[2]))].append(float(f[6]))
med = lambda v: st.median(v) if v else None
def P(v, c, d=DIR): return med(phys.get((d, v, c), []))
order = ['postfix', 'pipit']
peers = [p for p in order if any(r.get('peer') == p for r in rows)] + sorted({r['peer'] for r in rows if r.get('peer') and r['peer'] not in order})
def num(x):
    if x is None: return '-'
    return f'{x:.0f}' if abs(x) >= 100 else f'{x:.1f}' if abs(x) >= 10 else f'{x:.2f}'
def table(head, lines):
    print('| ' + ' | '.join(head) + ' |')
    print('|' + '---|' * len(head))
    for l in lines: print('| ' + ' | '.join(str(c) for c in l) + ' |')
    print()
def sel(m, **k): return [r for r in rows if r['m'] == m and all(r.get(a) == b for a, b in k.items())]
def cellfmt(rs, bound=None):
    if not rs: return '-'
    rate = med([r['rate'] for r in rs])
    s = f"**{num(rate)}**"
    if bound: s += f" ({rate / bound:.2f})"
    s += f" {num(med([r['cpu_ms'] for r in rs]))} ms"
    lo, hi = min(r['rate'] for r in rs), max(r['rate'] for r in rs)
    s += f" [{num(lo)}-{num(hi)}]"
    bad = [r for r in rs if not r['ok']]
    if bad: s += f" !{len(bad)}/{len(rs)} incomplete"
    return s
if phys:
    for d in (DIR, '/dev/shm'):
        cs = sorted({k[2] for k in phys if k[0] == d})
        if not cs: continue
        print(f'### Physical limit, {d} (files or records per second, 4 KiB; median [min-max])\n')
        names = {'a': 'a create + fsync', 'b': 'b create, fsync, rename, fsync dir', 'c': 'c O_TMPFILE, linkat, fsync', 'd': 'd O_TMPFILE, fsync, linkat, fsync dir',
                 'u': 'u = b + unlink (whole life)', 'l': 'l fdatasync, own preallocated log', 'g': 'g fdatasync, one shared log, group commit', 'n': 'n create, write, no sync'}
        table(['variant'] + [f'C={c}' for c in cs], [[names[v]] + [f"{num(P(v, c, d))} [{num(min(phys[(d, v, c)]))}-{num(max(phys[(d, v, c)]))}]" if phys.get((d, v, c)) else '-' for c in cs] for v in names])
for m, title in (('intake', 'A. intake, smtp-source, 4 KiB, one message per connection'), ('intakeq', 'A2. intake, mailload -Q (does not wait for the reply to QUIT)'),
                 ('keepalive', 'A3. intake, 50 messages per connection'), ('intake1m', 'A4. intake, 1 MiB messages'), ('tls', 'G. intake with STARTTLS, new handshake per message'),
                 ('local', 'B. SMTP in, Maildir out')):
    for fs in ('disk', 'tmpfs'):
        rs = sel(m, fs=fs)
        if not rs: continue
        print(f'### {title}; {fs}\n')
        lines = []
        for c, resume in sorted({(r['c'], r.get('resume')) for r in rs}, key=str):
            b = P('u' if m == 'local' else 'b', c) if fs == 'disk' and m != 'intake1m' else None
            lines.append([f'C={c}' + ('' if resume is None else ', resumed' if resume else ', whole handshakes') + (f' (limit {num(b)})' if b else '')] + [cellfmt([r for r in sel(m, fs=fs, c=c, peer=p) if r.get('resume') == resume], b) for p in peers])
        table([''] + peers, lines)
for m, title in (('relay', 'C. SMTP in, SMTP out'), ('relaydelay', 'C2. as C, every reply of the sink 20 ms late')):
    for fs in ('disk', 'tmpfs'):
        rs = sel(m, fs=fs)
        if not rs: continue
        print(f'### {title}; {fs}\n')
        lines = []
        for conc, dom in sorted({(str(r['conc']), r['domains']) for r in rs}, key=lambda x: (x[1], x[0])):
            l = [f'{dom} domain(s), concurrency {conc or "default"}']
            for p in peers:
                q = [r for r in rs if str(r['conc']) == conc and r['domains'] == dom and r['peer'] == p]
                b = P('u', 10) if fs == 'disk' else None
                l.append(cellfmt(q, b) + (f"; open {num(med([r['maxopen'] for r in q]))}, msgs/conn {num(med([r['n'] / max(1, r['conns']) for r in q]))}" if q else ''))
            lines.append(l)
        table([''] + peers, lines)
for fs in ('disk', 'tmpfs'):
    rs = sel('rcpts', fs=fs)
    if rs:
        print(f'### D. one message, 1000 recipients of one domain; {fs}\n')
        g = lambda p, k: num(med([r[k] for r in sel('rcpts', fs=fs, peer=p)]))
        table([''] + peers, [[t] + [g(p, k) for p in peers] for t, k in (('accepted after s', 'accept_s'), ('all delivered after s', 'secs'), ('copies sent', 'copies'), ('connections', 'conns'), ('recipients arrived', 'rcpts'), ('CPU ms in all', 'cpu_ms_total'))])
    rs = sel('backlog', fs=fs)
    if rs:
        print(f'### E. backlog; {fs}\n')
        g = lambda p, k: num(med([r[k] for r in sel('backlog', fs=fs, peer=p)]))
        table([''] + peers, [[t] + [g(p, k) for p in peers] for t, k in (('messages queued', 'queued'), ('intake/s, empty queue', 'rate_empty'), ('intake/s while filling (10 per connection)', 'rate_fill'), ('intake/s with the backlog', 'rate_backlog'),
              ('ratio backlog/empty', 'ratio'), ('PSS before, KiB', 'idle_pss_kb'), ('PSS with backlog, KiB', 'backlog_pss_kb'), ('drained in the time', 'drained'), ('drain s', 'drain_secs'), ('drain/s', 'drain_rate'), ('duplicates', 'dup'))])
rs = sel('footprint')
for tls in (0, 1):
    if any(r['tls'] == tls for r in rs):
        print(f'### F. footprint, {"with" if tls else "without"} STARTTLS\n')
        g = lambda p, k: num(med([r[k] for r in sel('footprint', tls=tls, peer=p)]))
        table([''] + peers, [[t] + [g(p, k) for p in peers] for t, k in (('PSS fresh, KiB', 'fresh_pss'), ('RSS fresh, KiB', 'fresh_rss'), ('processes fresh', 'fresh_procs'), ('PSS after 200 messages', 'warm_pss'), ('processes after', 'warm_procs'),
              ('PSS with 10 sessions', 's10_pss'), ('PSS with 100 sessions', 's100_pss'), ('processes with 100', 's100_procs'), ('PSS per further session, KiB', 'per_session_kb'))])
rs = sel('banner')
if rs:
    print('### H. milliseconds from connecting to the greeting\n')
    g = lambda p, k: num(med([r[k] for r in sel('banner', peer=p)]))
    table([''] + peers, [[t] + [g(p, k) for p in peers] for t, k in (('median', 'quiet_p50'), ('99 of 100', 'quiet_p99'), ('median, 100 clients in a handshake', 'busy_p50'),
          ('99 of 100, the same', 'busy_p99'), ('ratio of the medians', 'ratio'))])
rs = sel('syscalls')
if rs:
    for scen in ('hold', 'local', 'relay'):
        print(f'### S. system calls per message, {scen}\n')
        q = {p: (sel('syscalls', scen=scen, peer=p) or [{'calls': {}}])[-1]['calls'] for p in peers}
        keys = ['fsync', 'fdatasync', 'sync', 'clone', 'clone3', 'vfork', 'fork', 'thread', 'execve', 'execve_fail', 'open', 'openat', 'openat_fail', 'rename', 'link', 'linkat', 'unlink', 'unlinkat', 'socket', 'connect', 'read', 'write', 'writev', 'sendto', 'sendmsg', 'recvfrom', 'recvmsg']
        table(['call'] + peers, [[k] + [num(q[p].get(k, 0)) if k in q[p] else '0' for p in peers] for k in keys if any(k in q[p] for p in peers)])
