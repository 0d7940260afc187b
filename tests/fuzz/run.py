#!/usr/bin/python3
"""run.py - run fuzzers side by side, each for a time or a number of executions

usage: run.py [-j N] [-k WORD] (-s SECONDS | -r RUNS) BUILD FUZZER...

FUZZER is a name, fuzz-data; its seeds lie in tests/fuzz/seeds/data, a dictionary
in tests/fuzz/seeds/data.dict. What a fuzzer finds new it keeps in
BUILD/fuzz/corpus/data, from where the next run goes on; what it says goes to
BUILD/fuzz/log/data; an input that breaks something to BUILD/fuzz/found/data-*.
Each fuzzer is a case. On a terminal its progress is shown. -k picks the
fuzzers whose name holds WORD. The last line is "N passed, N failed, N skipped".
"""
import argparse, concurrent.futures, glob, os, re, shutil, signal, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
INPUT_MAX = 4096    # bytes of an input
INPUT_SECONDS = 120 # that one input may take: the machine may be busy
GRACE = 300         # seconds that a run may last beyond its time
MEMORY_MB = 1500
ASAN = 'abort_on_error=1:quarantine_size_mb=8:allow_addr2line=1:malloc_context_size=8'

def scratch():
    """A directory for a fuzzer's files: in memory where that can be had."""
    return tempfile.mkdtemp(prefix='pipit.fuzz.', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)

def leaks_are_found(program):
    """Can the leak sanitizer look at this process? It must be allowed to trace it."""
    where = scratch()
    p = subprocess.run([program, '-runs=1'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       cwd=where, env=dict(os.environ, SCRATCH=where, ASAN_OPTIONS=ASAN))
    shutil.rmtree(where, ignore_errors=True)
    return b'LeakSanitizer has encountered a fatal error' not in p.stdout

class Fuzzer:
    def __init__(self, program, a):
        self.name = program.replace('fuzz-', '', 1)
        top = os.path.join(a.build, 'fuzz')
        self.log = os.path.join(top, 'log', self.name)
        self.found = os.path.join(top, 'found', self.name + '-')
        corpus = os.path.join(top, 'corpus', self.name)
        for d in (os.path.dirname(self.log), os.path.dirname(self.found), corpus): os.makedirs(d, exist_ok=True)
        self.command = [os.path.join(top, 'bin', program), corpus, os.path.join(HERE, 'seeds', self.name),
                        '-artifact_prefix=' + self.found, '-max_len=%d' % INPUT_MAX, '-timeout=%d' % INPUT_SECONDS,
                        '-rss_limit_mb=%d' % MEMORY_MB, '-print_final_stats=1', '-reload=0', '-use_value_profile=0']
        if a.seconds: self.command.append('-max_total_time=%d' % a.seconds)
        if a.runs: self.command.append('-runs=%d' % a.runs)
        words = os.path.join(HERE, 'seeds', self.name + '.dict')
        if os.path.exists(words): self.command.append('-dict=' + words)
        self.runs = a.runs
        self.limit = a.seconds + GRACE if a.seconds else None
        self.process, self.done, self.asan = None, False, ASAN

    def output(self):
        try: return open(self.log, errors='replace').read()
        except FileNotFoundError: return ''

    def executions(self):
        n = re.findall(r'^stat::number_of_executed_units: (\d+)|^#(\d+)\t', self.output(), re.M)
        return int(n[-1][0] or n[-1][1]) if n else 0

    def coverage(self):
        n = re.findall(r' cov: (\d+)', self.output())
        return int(n[-1]) if n else 0

    def run(self):
        where, began, trouble = scratch(), time.monotonic(), ''
        old = set(glob.glob(self.found + '*'))
        env = dict(os.environ, SCRATCH=where, ASAN_OPTIONS=self.asan, UBSAN_OPTIONS='print_stacktrace=1', LC_ALL='C.UTF-8')
        for v in ('PIPIT_HOME', 'QMAILQUEUE', 'RELAYCLIENT'): env.pop(v, None)
        with open(self.log, 'wb') as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            cwd=where, env=env, start_new_session=True)
            try: status = self.process.wait(self.limit)
            except subprocess.TimeoutExpired: status, trouble = 1, 'still running after %d s; ' % self.limit
            finally:
                if self.process.poll() is None: os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                self.done = True
        shutil.rmtree(where, ignore_errors=True)
        new = sorted(set(glob.glob(self.found + '*')) - old)
        if status: trouble += 'exit status %s%s' % (status, ''.join(', input kept in ' + p for p in new))
        elif self.executions() < max(self.runs, 1): trouble = 'only %d executions' % self.executions()
        return trouble, time.monotonic() - began

def watch(fuzzers, runs):
    """One line of progress, written over and over."""
    while not all(f.done for f in fuzzers):
        now = [f for f in fuzzers if f.process and not f.done]
        text = ', '.join('%s %d%s' % (f.name, f.executions(), '/%d' % runs if runs else '') for f in now)
        sys.stderr.write('\r\033[K' + text[:150])
        time.sleep(2)
    sys.stderr.write('\r\033[K')

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('-j', type=int, default=os.cpu_count())
    ap.add_argument('-k', default='')
    ap.add_argument('-s', dest='seconds', type=int, default=0)
    ap.add_argument('-r', dest='runs', type=int, default=0)
    ap.add_argument('build', type=os.path.abspath)
    ap.add_argument('programs', nargs='*')
    a = ap.parse_args()
    fuzzers = [Fuzzer(p, a) for p in a.programs if a.k in p]
    passed = failed = 0
    if fuzzers and not leaks_are_found(fuzzers[0].command[0]):
        print('memory that is not freed goes unnoticed: this process must not be traced')
        for f in fuzzers: f.asan += ':detect_leaks=0'
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if sys.stderr.isatty(): threading.Thread(target=watch, args=(fuzzers, a.runs), daemon=True).start()
    with concurrent.futures.ThreadPoolExecutor(a.j) as pool:
        todo = {pool.submit(f.run): f for f in fuzzers}
        try:
            for i, job in enumerate(concurrent.futures.as_completed(todo), 1):
                f, (trouble, took) = todo[job], job.result()
                passed += not trouble
                failed += bool(trouble)
                print('[%d/%d] %s fuzz-%s: %d executions in %d s, %d edges covered' % (
                    i, len(fuzzers), 'FAILED' if trouble else 'ok', f.name, f.executions(), took, f.coverage()))
                if trouble: print('    ' + '\n    '.join(f.output().splitlines()[-60:] + [trouble]))
                sys.stdout.flush()
        except BaseException: # interrupted: leave nobody running
            pool.shutdown(wait=False, cancel_futures=True)
            for f in fuzzers:
                if f.process and not f.done: os.killpg(f.process.pid, signal.SIGKILL)
            raise
    print('%d passed, %d failed, 0 skipped' % (passed, failed))
    return failed != 0 or not passed

sys.exit(main())
