#!/usr/bin/python3
"""suite.py - run test programs side by side and count their cases

usage: suite.py [-j N] [-t SECONDS] [-k WORD] [-v] BUILD TEST...

A TEST is an executable, a .sh or a .py file. It runs with an empty directory
in $SCRATCH, build/bin first on PATH and in $BIN (a copy of it, where the
checkout lies in a directory that other accounts cannot enter, and root runs
the tests: they run programs as nobody), and prints one line per case:
"ok - why", "not ok - why" or "skip - why". A test that exits with another
status than 0, prints no case, or takes over SECONDS (default 300), has failed
once more. -k picks the tests whose name holds WORD. The output of each test is
kept in BUILD/tests/log/; that of a failed one is shown, and what failed in it once more at the end. -v leaves the tests their
standard error, for those that tell their progress there.
The last line is "N passed, N failed, N skipped".
"""
import argparse, concurrent.futures, os, shutil, signal, subprocess, sys, tempfile, time

GRACE = 40 # seconds that a test gets to end after SIGTERM

def command(test):
    if test.endswith('.py'): return ['/usr/bin/python3', test]
    if test.endswith('.sh'): return ['sh', test]
    return [test]

def reachable(path):
    """May every account enter this directory?"""
    while os.stat(path).st_mode & 0o001:
        if path == '/': return True
        path = os.path.dirname(path)
    return False

def run(test, build, bindir, limit, verbose):
    folder, file = os.path.split(test)
    name = '%s/%s' % (os.path.basename(folder), os.path.splitext(file)[0]) # two folders may have the same
    log = os.path.join(build, 'tests', 'log', name.replace('/', '-'))
    scratch = tempfile.mkdtemp(prefix='pipit.')
    os.chmod(scratch, 0o755)
    env = dict(os.environ, SCRATCH=scratch, BIN=bindir, BUILD=build, PYTHONDONTWRITEBYTECODE='1',
               PATH=bindir + ':/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
               LC_ALL='C.UTF-8', ASAN_OPTIONS='detect_leaks=0:abort_on_error=1')
    for v in ('PIPIT_HOME', 'QMAILQUEUE', 'MAKEFLAGS', 'MFLAGS', 'MAKELEVEL'): env.pop(v, None)
    began = time.monotonic()
    with open(log, 'wb') as out:
        p = subprocess.Popen(command(test), stdin=subprocess.DEVNULL, stdout=out,
                             stderr=None if verbose else subprocess.STDOUT, env=env, start_new_session=True)
        try: status = p.wait(limit)
        except subprocess.TimeoutExpired:
            status = 'still running after %d s' % limit
            p.terminate() # it stops what it has started
            try: p.wait(GRACE)
            except subprocess.TimeoutExpired: pass
        finally:
            try: os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError: pass
            p.wait()
    shutil.rmtree(scratch, ignore_errors=True)
    lines = open(log, errors='replace').read().splitlines()
    count = {w: sum(l.startswith(w + ' - ') for l in lines) for w in ('ok', 'not ok', 'skip')}
    trouble = ''
    if status != 0 and not (status == 1 and count['not ok']): trouble = 'exit status %s' % status
    elif not sum(count.values()): trouble = 'no case was run'
    return name, count, trouble, lines, time.monotonic() - began

def main():
    # What runs in the background may have these ignored, and a shell that a test starts could not trap them.
    for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(s) == signal.SIG_IGN: signal.signal(s, signal.SIG_DFL)
    ap = argparse.ArgumentParser()
    ap.add_argument('-j', type=int, default=os.cpu_count() + 1) # most of them wait most of the time
    ap.add_argument('-t', type=int, default=300)
    ap.add_argument('-k', default='')
    ap.add_argument('-v', action='store_true')
    ap.add_argument('build')
    ap.add_argument('tests', nargs='*')
    a = ap.parse_intermixed_args() # options may stand behind BUILD: make check-world gives some more
    build = os.path.abspath(a.build)
    os.makedirs(os.path.join(build, 'tests', 'log'), exist_ok=True)
    tests = [t for t in a.tests if a.k in t]
    bindir, copy = os.path.join(build, 'bin'), None
    if os.geteuid() == 0 and os.path.isdir(bindir) and not reachable(bindir):
        copy = tempfile.mkdtemp(prefix='pipit.bin.')
        os.chmod(copy, 0o755)
        bindir = shutil.copytree(bindir, os.path.join(copy, 'bin'), symlinks=True)
    try: failed = run_all(tests, build, bindir, a)
    finally:
        if copy: shutil.rmtree(copy, ignore_errors=True)
    return failed

def run_all(tests, build, bindir, a):
    passed = failed = skipped = 0
    bad_ones = []
    with concurrent.futures.ThreadPoolExecutor(a.j) as pool:
        todo = [pool.submit(run, t, build, bindir, a.t, a.v) for t in tests]
        for i, f in enumerate(concurrent.futures.as_completed(todo), 1):
            name, count, trouble, lines, took = f.result()
            passed += count['ok']; failed += count['not ok'] + bool(trouble); skipped += count['skip']
            bad = trouble or count['not ok']
            print('[%d/%d] %s %s: %d passed, %d failed, %d skipped, %.1f s' % (
                i, len(tests), 'FAILED' if bad else 'ok', name, count['ok'],
                count['not ok'] + bool(trouble), count['skip'], took))
            for l in lines[-60:] if bad else [l for l in lines if l.startswith('skip - ')]:
                print('    ' + l)
            if trouble: print('    ' + trouble)
            if bad: bad_ones += ['FAILED %s: %s' % (name, l) for l in
                                 [l for l in lines if l.startswith('not ok - ')] + [trouble] * bool(trouble)]
            sys.stdout.flush()
    for l in bad_ones: print(l[:300]) # once more, for whoever reads the end only
    print('%d passed, %d failed, %d skipped' % (passed, failed, skipped))
    return failed != 0 or not passed

sys.exit(main())
