/* t-reader.c - SCRAM by root and a process that reads: what the one believes of the other, and what that is left able to do */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "sandbox.h"

/* Without seccomp, what else holds can be seen. */
static enum { WITH_SECCOMP, WITHOUT_SECCOMP, SECCOMP_FAILS } seccomp;
static int allow_only(int const *calls, size_t n)
{
  if (seccomp == SECCOMP_FAILS) return (errno = E2BIG, -1);
  return seccomp == WITHOUT_SECCOMP ? 1 : sandbox_allow_only(calls, n);
}
#define sandbox_allow_only allow_only
#include "../../auth/checkpass-reader.c" /* confine() */
#include "base64.h"
#include "check.h"
#include "checkpass.h"
#include "scram.h"

#define OTHER_UID 64999 /* where root needs an account */

/* --- the logins: bob and alice have keys, of keys of clients that are all 'b' and all 'a' --- */

static char secrets[2][SECRET_MAX];
static int file_trouble;
static char *looked; /* what was looked up, in which order; it is shared with other processes */

static void make_secret(char out[SECRET_MAX], char letter)
{
  unsigned char client[SCRAM_KEY], stored[SCRAM_KEY];
  char text[BASE64_LEN(SCRAM_KEY)];
  memset(client, letter, sizeof client);
  EVP_Digest(client, sizeof client, stored, 0, EVP_sha256(), 0);
  base64_encode(text, (char *)stored, sizeof stored);
  snprintf(out, SECRET_MAX, "{SCRAM-SHA-256}4096,c2FsdHNhbHQ=,%.*s,QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
           (int)sizeof text, text);
}

int passwd_find(struct passwd_entry *e, char const *login, size_t len)
{
  strcat(looked, "f");
  if (file_trouble) return (errno = EPROTO, -1);
  if (len && !strcmp(login, "bob")) e->secret = secrets[0];
  else if (len && !strcmp(login, "alice")) e->secret = secrets[1];
  else return 0;
  return 1;
}

int passwd_head(struct passwd_head *h)
{
  strcat(looked, "h");
  h->flags = "s";
  h->seed = "seed";
  h->dummy = secrets[0];
  return 1;
}

void checkpass_accounts(struct accounts *a)
{
  for (int i = 0; i < ACCOUNT_COUNT; i++) a->uid[i] = a->gid[i] = OTHER_UID;
}

/* --- what fails when it is told to --- */

static size_t random_fails; /* as many bytes */
static int digest_fails;

ssize_t getrandom(void *s, size_t len, unsigned int flags)
{
  if (len == random_fails) return (errno = ENOSYS, -1);
  return syscall(SYS_getrandom, s, len, flags);
}

int EVP_Digest(void const *s, size_t len, unsigned char *out, unsigned int *outlen, EVP_MD const *type, ENGINE *impl)
{
  int (*real)(void const *, size_t, unsigned char *, unsigned int *, EVP_MD const *, ENGINE *);
  *(void **)&real = dlsym(RTLD_NEXT, "EVP_Digest");
  return digest_fails ? 0 : real(s, len, out, outlen, type, impl);
}

/* --- root's half in a process, of which this one is the client and who reads --- */

enum { REFUSED, PROVED, TROUBLE, LOST, TOLD };

struct talk_with {
  pid_t pid;
  int sock, reader; /* our ends */
  char server[AUTHWIRE_SCRAM_MAX + 1]; /* what came last over <sock>, behind its kind */
  size_t len;
  char kind;
  char who[AUTHWIRE_LOGIN_MAX + 1]; /* whose login it is, as was told */
};

static void judge(int sock, int reader) __attribute__((noreturn));
static void judge(int sock, int reader)
{
  struct checkpass c = CHECKPASS_ZERO;
  char const *trouble = 0;
  int r = checkpass_judge(&c, sock, reader, &trouble);
  _exit(r != -1 ? r : trouble == checkpass_lost ? LOST : TROUBLE);
}

static void begin(struct talk_with *t)
{
  int sock[2], reader[2];
  memset(t, 0, sizeof *t);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, reader)) exit(111);
  fflush(stdout);
  t->pid = fork();
  if (t->pid == -1) exit(111);
  if (!t->pid) {
    close(sock[1]);
    close(reader[1]);
    judge(sock[0], reader[0]);
  }
  close(sock[0]);
  close(reader[0]);
  t->sock = sock[1];
  t->reader = reader[1];
}

/* Keep a packet that came over <sock>. */
static void keep(struct talk_with *t, char const *packet, size_t len)
{
  t->kind = packet[0];
  t->len = len - 1;
  memcpy(t->server, packet + 1, t->len);
  t->server[t->len] = 0;
  if (t->kind == AUTHWIRE_WHO && t->len < sizeof t->who) memcpy(t->who, t->server, len);
}

/* Its verdict, after the last packet that it sent to the client. */
static int end(struct talk_with *t)
{
  int status;
  char packet[AUTHWIRE_SCRAM_MAX];
  shutdown(t->sock, SHUT_WR);
  shutdown(t->reader, SHUT_WR);
  if (waitpid(t->pid, &status, 0) == -1 || !WIFEXITED(status)) return -1;
  for (ssize_t n; (n = recv(t->sock, packet, sizeof packet, MSG_DONTWAIT)) > 0 || (n == -1 && errno == ECONNRESET);) {
    if (n != -1) keep(t, packet, (size_t)n); /* else: it has not read all, which is told first */
  }
  close(t->sock);
  close(t->reader);
  return WEXITSTATUS(status);
}

static void client_says(struct talk_with *t, char const *s, size_t len)
{
  char packet[AUTHWIRE_SCRAM_MAX + 100] = { AUTHWIRE_DATA };
  memcpy(packet + 1, s, len);
  send(t->sock, packet, len + 1, MSG_NOSIGNAL);
}

static void reader_says(struct talk_with *t, void const *s, size_t len)
{
  send(t->reader, s, len, MSG_NOSIGNAL);
}

/* What was asked of who reads. */
static int take_task(struct talk_with *t, struct reader_task *task)
{
  return recv(t->reader, task, sizeof *task, 0) == sizeof *task;
}

/* What pipit-authd is told next: a packet of that kind. */
static int take(struct talk_with *t, char kind)
{
  char packet[AUTHWIRE_SCRAM_MAX];
  ssize_t n = recv(t->sock, packet, sizeof packet, 0);
  if (n <= 0) return 0;
  keep(t, packet, (size_t)n);
  return t->kind == kind;
}

/* What the client is told, and before that whose login it is. */
static int take_challenge(struct talk_with *t)
{
  return take(t, AUTHWIRE_WHO) && take(t, AUTHWIRE_DATA);
}

#define NONCE "clientnonce"

static void make_first(struct reader_first *f, char const *login)
{
  memset(f, 0, sizeof *f);
  f->loginlen = (uint16_t)strlen(login);
  memcpy(f->login, login, f->loginlen);
  f->barelen = (uint16_t)snprintf(f->bare, sizeof f->bare, "n=%s,r=" NONCE, login);
  f->noncelen = (uint16_t)strlen(NONCE);
  memcpy(f->nonce, NONCE, f->noncelen);
}

/* As a client whose key is all <letter> would have it. */
static void make_final(struct reader_final *f, struct reader_first const *first, char const *server, char letter)
{
  char text[3000];
  unsigned char client[SCRAM_KEY], stored[SCRAM_KEY];
  memset(f, 0, sizeof *f);
  f->len = (uint16_t)snprintf(f->without_proof, sizeof f->without_proof, "c=biws,%.*s", (int)strcspn(server, ","), server);
  int n = snprintf(text, sizeof text, "%.*s,%s,%.*s", first->barelen, first->bare, server, f->len, f->without_proof);
  memset(client, letter, sizeof client);
  EVP_Digest(client, sizeof client, stored, 0, EVP_sha256(), 0);
  HMAC(EVP_sha256(), stored, sizeof stored, (unsigned char *)text, (size_t)n, f->proof, 0);
  for (size_t i = 0; i < SCRAM_KEY; i++) f->proof[i] ^= client[i];
}

/* Up to the challenge, for a login; 1 when there is one. */
static int challenge(struct talk_with *t, struct reader_first *first, char const *login)
{
  struct reader_task task;
  begin(t);
  client_says(t, "first", 5);
  make_first(first, login);
  reader_says(t, first, sizeof *first);
  return take_task(t, &task) && !memcmp(task.s, "first", 5) && take_challenge(t);
}

/* From the challenge on. */
static int finish(struct talk_with *t, struct reader_final const *final, char const *last)
{
  client_says(t, "final", 5);
  client_says(t, last, strlen(last));
  reader_says(t, final, sizeof *final);
  return end(t);
}

/* --- who is believed --- */

static void honest(void)
{
  struct talk_with t;
  struct reader_first first;
  struct reader_final final;
  check(challenge(&t, &first, "bob") && !strncmp(t.server, "r=" NONCE, 13) && strstr(t.server, ",s=c2FsdHNhbHQ=,i=4096"),
        "the challenge has the client's nonce, and the login's salt and iterations");
  make_final(&final, &first, t.server, 'b');
  check(finish(&t, &final, "") == PROVED && t.kind == AUTHWIRE_OK && !strcmp(t.who, "bob") && !t.len, "a proof; whose, was told before");
  challenge(&t, &first, "bob");
  make_final(&final, &first, t.server, 'b');
  check(finish(&t, &final, "x") == REFUSED && t.kind == AUTHWIRE_NO, "which the client does not stand by");
  challenge(&t, &first, "bob");
  make_final(&final, &first, t.server, 'x');
  check(finish(&t, &final, "") == REFUSED && t.kind == AUTHWIRE_NO && !strcmp(t.who, "bob") && !t.len, "of another key: of whom was told");
  check(challenge(&t, &first, "dora"), "a login that does not exist");
  make_final(&final, &first, t.server, 'b');
  check(finish(&t, &final, "") == REFUSED && !strcmp(t.who, "dora"), "is refused");
  begin(&t);
  make_first(&first, "bob");
  first.noncelen = 0;
  client_says(&t, "x", 1);
  reader_says(&t, &first, sizeof first);
  check(end(&t) == REFUSED && t.kind == AUTHWIRE_NO && !strcmp(t.who, "bob"), "a first message that is none");
  challenge(&t, &first, "bob");
  memset(&final, 0, sizeof final);
  check(finish(&t, &final, "") == REFUSED, "a final one that is none");
}

/* Whether a login is there, nobody can tell by what is done for it. */
static void time_taken(void)
{
  struct talk_with t;
  struct reader_first first;
  char known[8];
  *looked = 0;
  check(challenge(&t, &first, "bob") && *looked, "a login that is there");
  strcpy(known, looked);
  end(&t);
  *looked = 0;
  check(challenge(&t, &first, "dora") && !strcmp(looked, known), "one that is not has the same things looked up");
  end(&t);
}

/* It says what was said in another conversation, or of another login. */
static void replays(void)
{
  struct talk_with t;
  struct reader_first first, other;
  struct reader_final final, old;
  char before[AUTHWIRE_SCRAM_MAX];
  challenge(&t, &first, "bob");
  strcpy(before, t.server);
  make_final(&old, &first, t.server, 'b');
  check(finish(&t, &old, "") == PROVED, "a conversation");
  challenge(&t, &first, "bob");
  check(strcmp(t.server, before), "the next one has another challenge");
  check(finish(&t, &old, "") == REFUSED, "the proof of the one before is none in it");
  /* The text of before, as the last part and as the first one. */
  challenge(&t, &first, "bob");
  final = old;
  final.len = (uint16_t)snprintf(final.without_proof, sizeof final.without_proof, "%.*s,%s,%.*s", first.barelen, first.bare,
                                 before, old.len, old.without_proof);
  check(finish(&t, &final, "") == REFUSED, "nor with all of its text as the last part");
  begin(&t);
  client_says(&t, "first", 5);
  other = first;
  other.barelen = (uint16_t)snprintf(other.bare, sizeof other.bare, "%.*s,%s,%.*s", first.barelen, first.bare, before,
                                     old.len, old.without_proof);
  reader_says(&t, &other, sizeof other);
  take_challenge(&t);
  final = old;
  final.len = 1;
  check(finish(&t, &final, "") == REFUSED, "nor as the first one");
  challenge(&t, &first, "alice");
  make_final(&final, &first, t.server, 'b');
  check(finish(&t, &final, "") == REFUSED, "bob's proof is none of alice's");
  challenge(&t, &first, "alice");
  make_first(&other, "bob");
  make_final(&final, &other, t.server, 'b');
  check(finish(&t, &final, "") == REFUSED, "nor where bob stands in the text");
}

/* --- what is not of the form --- */

/* TOLD: trouble, but the client was answered before that. */
static int with_first(void const *s, size_t len)
{
  struct talk_with t;
  begin(&t);
  client_says(&t, "first", 5);
  reader_says(&t, s, len);
  int r = end(&t);
  return r == TROUBLE && t.kind && t.kind != AUTHWIRE_WHO ? TOLD : r;
}

static int with_final(void const *s, size_t len)
{
  struct talk_with t;
  struct reader_first first;
  challenge(&t, &first, "bob");
  client_says(&t, "final", 5);
  client_says(&t, "", 0);
  reader_says(&t, s, len);
  return end(&t);
}

static void lengths(void)
{
  struct reader_first f;
  struct reader_final l;
  static uint16_t const lengths[] = { 256, 1025, 32767, 65535 };
  make_first(&f, "bob");
  memset(&l, 0, sizeof l);
  l.len = 1;
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    struct reader_first login = f, bare = f, nonce = f;
    login.loginlen = nonce.noncelen = lengths[i];
    memset(login.login, 'x', sizeof login.login);
    check(with_first(&login, sizeof login) == TROUBLE, "a login that is too long");
    if (lengths[i] > 256) check(with_first(&nonce, sizeof nonce) == TROUBLE, "a nonce that is");
    bare.barelen = l.len = lengths[i];
    if (lengths[i] <= AUTHWIRE_SCRAM_MAX) continue;
    check(with_first(&bare, sizeof bare) == TROUBLE && with_final(&l, sizeof l) == TROUBLE, "messages that are");
  }
  f.login[1] = 0;
  check(with_first(&f, sizeof f) == TROUBLE, "a login with a NUL");
  make_first(&f, "bob");
  check(with_first(&f, sizeof f - 1) == TROUBLE && with_first(&f, 1) == TROUBLE && with_final(&l, 1) == TROUBLE, "a packet that is too short");
  char large[sizeof f + sizeof l + 1] = { 0 };
  memcpy(large, &f, sizeof f);
  check(with_first(large, sizeof f + 1) == TROUBLE && with_final(large, sizeof l + 1) == TROUBLE, "one that is too long");
  file_trouble = 1;
  check(with_first(&f, sizeof f) == TROUBLE, "trouble with the logins' file is no refusal");
  file_trouble = 0;
}

/* Any packets at all. */
static void garbage(void)
{
  int proved = 0;
  srandom(1);
  for (int i = 0; i < 300; i++) {
    char s[2048];
    size_t len = (size_t)random() % 3 ? i % 2 ? sizeof(struct reader_first) : sizeof(struct reader_final) : 1 + (size_t)random() % sizeof s;
    for (size_t k = 0; k < len; k++) s[k] = (char)random();
    if (i % 4 < 2) memset(s, 0, 6); /* lengths that hold */
    proved |= with_first(s, len) == PROVED || with_final(s, len) == PROVED;
  }
  check(!proved, "garbage proves nothing");
}

static void failures(void)
{
  struct talk_with t;
  struct reader_first f;
  struct reader_final l;
  make_first(&f, "bob");
  random_fails = SCRAM_KEY;
  check(with_first(&f, sizeof f) == TROUBLE, "without random bytes there are no keys to invent");
  random_fails = SCRAM_OURS / 4 * 3;
  check(with_first(&f, sizeof f) == TROUBLE, "and no nonce");
  random_fails = 0;
  digest_fails = 1;
  challenge(&t, &f, "bob");
  digest_fails = 0;
  make_final(&l, &f, t.server, 'b');
  check(finish(&t, &l, "") == TROUBLE && t.kind == AUTHWIRE_DATA, "a proof that cannot be checked is trouble");
}

static void gone(void)
{
  struct talk_with t;
  struct reader_first first;
  begin(&t);
  client_says(&t, "first", 5);
  check(end(&t) == LOST, "nobody reads");
  challenge(&t, &first, "bob");
  close(t.reader);
  client_says(&t, "final", 5);
  t.reader = -1;
  check(end(&t) == LOST, "nobody any more");
  begin(&t);
  check(end(&t) == TROUBLE, "nobody asks");
  begin(&t);
  send(t.sock, "Xx", 2, 0);
  check(end(&t) == TROUBLE, "something else than a message");
  begin(&t);
  client_says(&t, (char[AUTHWIRE_SCRAM_MAX + 1]){ 0 }, AUTHWIRE_SCRAM_MAX + 1);
  check(end(&t) == TROUBLE, "a message that is too long");
}

/* --- what it is left able to do --- */

enum { LEAK = 10, CANNOT };

/* Make a system call in a confined process: its signal, or LEAK or CANNOT. */
static int in_child(long call, long a, long b, long c)
{
  struct accounts accounts;
  int status, ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends)) return LEAK;
  checkpass_accounts(&accounts);
  fflush(stdout);
  pid_t pid = fork();
  if (!pid) {
    if (!confine(&accounts, ends[1])) syscall(SYS_exit_group, CANNOT);
    syscall(call, a, b, c, 0L, 0L, 0L);
    syscall(SYS_exit_group, LEAK);
  }
  close(ends[0]);
  close(ends[1]);
  if (pid == -1 || waitpid(pid, &status, 0) == -1) return LEAK;
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

#define addr(p) ((long)(p))

static void rights(void)
{
  static char const *const argv[] = { "/bin/true", 0 };
  static char buf[64];
  struct {
    char const *name;
    long call, a, b, c;
  } const tries[] = {
    { "open a file", SYS_openat, AT_FDCWD, addr("/etc/passwd"), O_RDONLY },
    { "see a file", SYS_statx, AT_FDCWD, addr("/etc/passwd"), 0 },
    { "execute a program", SYS_execve, addr(argv[0]), addr(argv), 0 },
    { "make a socket", SYS_socket, AF_UNIX, SOCK_STREAM, 0 },
    { "send a descriptor", SYS_sendmsg, 0, addr(buf), 0 },
    { "have another descriptor", SYS_dup, 0, 0, 0 },
    { "make a process", SYS_clone, SIGCHLD, 0, 0 },
    { "send a signal", SYS_kill, addr(getpid()), 0, 0 },
    { "look into a process", SYS_ptrace, 16, addr(getpid()), 0 },
    { "have memory", SYS_mmap, 0, 4096, 3 },
    { "become somebody", SYS_setuid, 0, 0, 0 },
    { "change its limits", SYS_prlimit64, 0, RLIMIT_NOFILE, 0 },
  };
  int cannot = in_child(SYS_exit_group, CANNOT, 0, 0) == CANNOT && in_child(SYS_getpid, 0, 0, 0) == LEAK;
  if (cannot) printf("skip - this kernel cannot confine a process\n");
  for (size_t i = 0; !cannot && i < sizeof tries / sizeof *tries; i++) {
    int r = in_child(tries[i].call, tries[i].a, tries[i].b, tries[i].c);
    if (r != SIGSYS) printf("# %s: %d\n", tries[i].name, r);
    check(r == SIGSYS, tries[i].name);
  }
  check(in_child(SYS_read, 1, addr(buf), 1) == LEAK && in_child(SYS_write, 2, addr(""), 0) == LEAK, "but not to read and write");
}

static int knows_landlock(void)
{
  int status;
  pid_t pid = fork();
  if (!pid) syscall(SYS_exit_group, sandbox_no_files() == 1);
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status);
}

/* The same by the limits and Landlock alone. */
static int try_without(void)
{
  struct accounts accounts;
  int ends[2];
  seccomp = WITHOUT_SECCOMP;
  checkpass_accounts(&accounts);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) || !confine(&accounts, ends[1])) return CANNOT;
  if (open("/etc/passwd", O_RDONLY) != -1 || errno != EMFILE) return LEAK;
  if (dup(0) != -1 || errno != EMFILE) return LEAK + 2;
  pid_t pid = fork();
  if (!pid) syscall(SYS_exit_group, 0);
  if (pid != -1) return LEAK + 3;
  return !mkdir("new", 0700) ? LEAK + 4 : errno == EACCES ? 0 : LEAK + 5; /* in a directory that is open to all */
}

static void without(void)
{
  char const *scratch = getenv("SCRATCH");
  int status = 0;
  if (!scratch || chdir(scratch) || mkdir("open", 0700) || chmod("open", 0777) || chdir("open")) exit(111);
  fflush(stdout);
  pid_t pid = fork();
  if (!pid) syscall(SYS_exit_group, try_without());
  check(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "without seccomp");
  if (WEXITSTATUS(status) == LEAK + 4 && !knows_landlock()) printf("skip - this kernel has no Landlock\n");
  else check(WEXITSTATUS(status) == 0, "it has no files, descriptors and processes either");
}

/* The real one: two messages, and its end. */
static void process(void)
{
  struct reader_task t = { .kind = AUTHWIRE_DATA, .ours = "012345678901234567890123" };
  struct reader_first first;
  struct reader_final final;
  char const msg[] = "n,,n=bob,r=x", msg2[] = "c=biws,r=x012345678901234567890123,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  int fd, status;
  pid_t pid = reader_start(&fd);
  t.len = sizeof msg - 1;
  memcpy(t.s, msg, t.len);
  check(pid > 0 && send(fd, &t, sizeof t, 0) == sizeof t && recv(fd, &first, sizeof first, 0) == sizeof first &&
            first.loginlen == 3 && !memcmp(first.login, "bob", 3) && first.barelen == 9 && first.noncelen == 1,
        "it reads a first message");
  t.len = sizeof msg2 - 1;
  memcpy(t.s, msg2, t.len);
  check(send(fd, &t, sizeof t, 0) == sizeof t && recv(fd, &final, sizeof final, 0) == sizeof final && final.len == 34,
        "and a final one");
  check(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "and ends");
  close(fd);
  pid = reader_start(&fd);
  reader_end(pid);
  check(waitpid(pid, &status, 0) == -1, "or when it is told to");
  close(fd);
}

/* One that cannot be confined says so by its end, and reads nothing. */
static void unconfined(void)
{
  struct reader_task const t = { .kind = AUTHWIRE_DATA };
  char text[200] = "";
  int p[2], status, fd;
  if (pipe(p)) exit(111);
  fflush(stdout);
  pid_t pid = fork();
  if (!pid) {
    dup2(p[1], 2);
    PROG = "t-reader";
    seccomp = SECCOMP_FAILS;
    pid = reader_start(&fd);
    send(fd, &t, sizeof t, MSG_NOSIGNAL);
    if (recv(fd, text, sizeof text, 0) <= 0) reader_lost(pid);
    _exit(0);
  }
  close(p[1]);
  allread(p[0], text, sizeof text - 1);
  close(p[0]);
  check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_TEMPORARY &&
            !strcmp(text, "t-reader: fatal: the reader cannot be confined: error 7\n"),
        "a reader that cannot be confined");
}

int main(void)
{
  make_secret(secrets[0], 'b');
  make_secret(secrets[1], 'a');
  looked = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (looked == MAP_FAILED) return 111;
  honest();
  time_taken();
  replays();
  lengths();
  garbage();
  failures();
  gone();
  rights();
  without();
  process();
  unconfined();
  return check_done();
}
