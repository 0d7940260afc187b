/* fuzz-auth.c - logins: lib/base64.c, lib/sasl.c, lib/senders.c, auth/scram.c, auth/secret.c,
 * what pipit-authd is asked, and what pipit-checkpass -s hears from the process that reads for it
 *
 * Input: a byte that says which, then the text. No program is run, and pipit-authd is not asked: the
 * fuzzer stands in for both.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../auth/authd.h"
#include "../../auth/checkpass-reader.h"
#include "../../auth/checkpass.h"
#include "base64.h"
#include "fuzz.h"
#include "logline.h"
#include "sasl.h"
#include "senders.h"

void __wrap_logline_write(struct logline *l);
void __wrap_logline_write(struct logline *l)
{
  REQUIRE(l->len < LOGLINE_MAX && !memchr(l->s, '\n', l->len));
  l->len = 0;
}

/* --- base64 --- */

static void try_base64(char const *s, size_t len)
{
  char *raw = malloc(len + 1), *text = malloc(BASE64_LEN(len) + 1);
  size_t n, m;
  if (base64_decode(raw, len, s, len, &n)) {
    REQUIRE(n <= len && BASE64_LEN(n) == len);
    REQUIRE(base64_encode(text, raw, n) == len && !memcmp(text, s, len));
  }
  m = base64_encode(text, s, len);
  REQUIRE(m == BASE64_LEN(len) && base64_decode(raw, len, text, m, &n));
  REQUIRE(n == len && (!len || !memcmp(raw, s, len)));
  free(raw);
  free(text);
}

/* --- mechanisms --- */

static struct fuzz *answers; /* what is answered next, or NULL: this is not about mechanisms */

unsigned int __wrap_auth_mechanisms(struct auth const *a);
enum auth_result __wrap_auth_check(struct auth const *a, struct auth_who const *w, struct auth_try const *t, struct auth_answer *out);
enum auth_result __wrap_auth_go_on(struct auth_who const *w, struct auth_answer *out, char const *s, size_t len);
void __wrap_auth_log_failure(char const *program, char const *ip, enum authwire_service service,
                             enum authwire_mechanism mechanism, char const *login, size_t len);

unsigned int __wrap_auth_mechanisms(struct auth const *a)
{
  (void)a;
  return AUTHWIRE_HAS_PLAIN | AUTHWIRE_HAS_CRAM | AUTHWIRE_HAS_SCRAM;
}

static enum auth_result answer_any(struct auth_answer *out)
{
  out->conversation = -1;
  out->datalen = fuzz_below(answers, sizeof out->data + 1);
  memset(out->data, 'x', out->datalen);
  out->login[0] = 0;
  return (enum auth_result)fuzz_below(answers, AUTH_TROUBLE + 1);
}

enum auth_result __wrap_auth_check(struct auth const *a, struct auth_who const *w, struct auth_try const *t, struct auth_answer *out)
{
  (void)a;
  (void)w;
  REQUIRE(!memchr(t->login, 0, t->loginlen) && !memchr(t->secret, 0, t->secretlen) && !memchr(t->extra, 0, t->extralen));
  REQUIRE(t->mechanism == AUTHWIRE_SCRAM_SHA_256 ? !t->loginlen && !t->secretlen : t->loginlen && t->secretlen);
  REQUIRE(t->extralen <= AUTHWIRE_SCRAM_MAX);
  return answer_any(out);
}

enum auth_result __wrap_auth_go_on(struct auth_who const *w, struct auth_answer *out, char const *s, size_t len)
{
  (void)w;
  REQUIRE(len <= AUTHWIRE_SCRAM_MAX && !memchr(s, 0, len));
  return answer_any(out);
}

void __wrap_auth_log_failure(char const *program, char const *ip, enum authwire_service service,
                             enum authwire_mechanism mechanism, char const *login, size_t len)
{
  char copy[AUTHWIRE_LOGIN_MAX];
  (void)program;
  (void)ip;
  REQUIRE(len <= sizeof copy && service < AUTHWIRE_SERVICE_COUNT && mechanism < AUTHWIRE_MECHANISM_COUNT);
  memcpy(copy, login, len);
}

/* Lines of the client, as raw bytes that get encoded, or after a '!' as they are. */
static char *next_line(struct fuzz *f, size_t *len)
{
  struct fuzz line = fuzz_until(f, '\n');
  char *raw = fuzz_unpack(line, len);
  if (*len && raw[0] == '!') {
    char *copy = fuzz_copy(raw + 1, --*len);
    free(raw);
    return copy;
  }
  char *text = malloc(BASE64_LEN(*len) + 1);
  size_t n = base64_encode(text, raw, *len);
  free(raw);
  char *copy = fuzz_copy(text, n);
  free(text);
  *len = n;
  return copy;
}

static void try_sasl(struct fuzz *f)
{
  static char const *const names[] = { "PLAIN", "login", "CRAM-MD5", "SCRAM-SHA-256", "X" };
  static struct sasl s;
  struct auth const auth = { 0 };
  struct auth_who const who = { .ip = "192.0.2.1", .client = -1 };
  char const *name = names[fuzz_below(f, 5)];
  int initial = fuzz_below(f, 2) != 0;
  size_t len = 0;
  answers = f;
  char *line = initial ? next_line(f, &len) : 0;
  enum sasl_result r = sasl_begin(&s, &auth, &who, "host.example", name, strlen(name), line, len);
  free(line);
  for (int n = 0; r == SASL_CONTINUE && n < 20 && f->len; n++) {
    char raw[AUTHWIRE_SCRAM_MAX];
    REQUIRE(s.challengelen <= sizeof s.challenge && base64_decode(raw, sizeof raw, s.challenge, s.challengelen, &len));
    line = next_line(f, &len);
    r = sasl_continue(&s, line, len);
    free(line);
  }
  if (r == SASL_CONTINUE) sasl_cancel(&s);
}

/* --- SCRAM --- */

static void take_message(struct reader_task *t, struct fuzz f)
{
  size_t len;
  char *msg = fuzz_unpack(f, &len);
  t->len = (uint16_t)(len < sizeof t->s ? len : sizeof t->s);
  memcpy(t->s, msg, t->len);
  free(msg);
}

/* The process that reads: whatever it gets, its packets are of the form that they should have. */
static void try_scram(struct fuzz *f)
{
  static struct scram s;
  static struct reader_first first;
  static struct reader_final final;
  struct reader_task t = { .kind = AUTHWIRE_DATA };
  memset(&s, 0, sizeof s);
  memcpy(t.ours, "0123456789abcdef01234567", sizeof t.ours);
  take_message(&t, fuzz_until(f, '\n'));
  reader_take_first(&s, &t, &first);
  REQUIRE(first.loginlen <= sizeof first.login && !memchr(first.login, 0, first.loginlen));
  if (!first.noncelen) return;
  REQUIRE(first.loginlen && first.noncelen <= sizeof first.nonce && first.barelen < t.len);
  take_message(&t, *f);
  reader_take_final(&s, &t, &final);
  REQUIRE(!final.len || final.len < t.len);
}

#define SECRET "{SCRAM-SHA-256}4096,MDEyMzQ1Njc4OWFiY2Q=,QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=," \
               "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="

int __wrap_passwd_find(struct passwd_entry *e, char const *login, size_t len);
int __wrap_passwd_head(struct passwd_head *h);

int __wrap_passwd_find(struct passwd_entry *e, char const *login, size_t len)
{
  REQUIRE(len <= AUTHWIRE_LOGIN_MAX && strlen(login) == len);
  e->secret = len % 2 ? SECRET : "x";
  return len % 3 == 2 ? 0 : 1;
}

int __wrap_passwd_head(struct passwd_head *h)
{
  h->flags = "s";
  h->seed = "seed";
  h->dummy = SECRET;
  return 1;
}

void checkpass_accounts(struct accounts *a)
{
  (void)a;
  abort();
}

/* As much as there is room for; its length, or any number. */
static uint16_t fill(struct fuzz *f, void *to, size_t room)
{
  size_t len;
  char *s = fuzz_unpack(fuzz_until(f, '\n'), &len);
  memcpy(to, s, len < room ? len : room);
  free(s);
  return (uint16_t)(fuzz_below(f, 8) ? len : fuzz_word(f));
}

static void put(int fd, void const *s, size_t len)
{
  if (len && send(fd, s, len, MSG_DONTWAIT) == -1) abort();
}

/* What is said to root, by the client unread and by a process that was taken over: never is it a proof. */
static void try_judge(struct fuzz *f)
{
  static struct reader_first first;
  static struct reader_final final;
  struct checkpass c = CHECKPASS_ZERO;
  char const *trouble = 0;
  int sock[2], reader[2];
  unsigned int how = fuzz_byte(f);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock) == -1 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, reader) == -1) abort();
  first.loginlen = fill(f, first.login, sizeof first.login);
  first.barelen = fill(f, first.bare, sizeof first.bare);
  first.noncelen = fill(f, first.nonce, sizeof first.nonce);
  fill(f, final.proof, sizeof final.proof);
  final.len = fill(f, final.without_proof, sizeof final.without_proof);
  for (int i = 0; i < 3; i++) put(sock[1], i == 2 && how & 1 ? "Dx" : "D", i == 2 && how & 1 ? 2 : 1);
  if (!(how & 2)) put(reader[1], &first, sizeof first);
  if (!(how & 4)) put(reader[1], &final, sizeof final);
  put(how & 8 ? sock[1] : reader[1], f->s, f->len < 2048 ? f->len : 2048);
  shutdown(sock[1], SHUT_WR);
  shutdown(reader[1], SHUT_WR);
  REQUIRE(checkpass_judge(&c, sock[0], reader[0], &trouble) != 1);
  for (int i = 0; i < 2; i++) close(sock[i]), close(reader[i]);
}

static void try_secret(char const *s, size_t len)
{
  struct scram_keys k;
  char const *hash;
  char *text = malloc(len + 1);
  memcpy(text, s, len);
  text[len] = 0;
  if (secret_kind(text, &hash) == SECRET_SCRAM && secret_scram(&k, hash))
    REQUIRE(k.saltlen && k.saltlen <= SCRAM_SALT_MAX && k.iterations >= SCRAM_ITERATIONS_MIN);
  free(text);
}

/* --- control/senders --- */

static int home;

static void try_senders(struct fuzz *f)
{
  struct senders s = SENDERS_ZERO;
  struct fuzz login = fuzz_until(f, '\n'), addr = fuzz_until(f, '\n');
  char name[300];
  size_t n = login.len < sizeof name - 1 ? login.len : sizeof name - 1;
  memcpy(name, login.s, n);
  name[n] = 0;
  fuzz_file(home, "control/me", "host.example\n", 13);
  fuzz_file(home, "control/senders", f->s, f->len);
  if (!senders_load(&s)) return;
  char *copy = fuzz_copy(addr.s, addr.len);
  int r = senders_may(&s, name, copy, addr.len);
  REQUIRE(addr.len ? r == 0 || r == 1 : r == 1);
  free(copy);
  senders_free(&s);
}

/* --- pipit-authd --- */

pid_t __wrap_checker_start(char *const *argv, int data, int extra, int in, int out);

/* What the program would have read is three strings, or one message of SCRAM. */
pid_t __wrap_checker_start(char *const *argv, int data, int extra, int in, int out)
{
  char got[4096];
  (void)argv;
  (void)extra;
  (void)in;
  (void)out;
  ssize_t n = read(data, got, sizeof got);
  REQUIRE(n > 0);
  if (got[0] == AUTHWIRE_DATA && n <= AUTHWIRE_SCRAM_MAX + 1) return -1;
  size_t nuls = 0;
  for (ssize_t i = 0; i < n; i++) nuls += !got[i];
  REQUIRE(n <= AUTHWIRE_DATA_MAX && nuls == 3 && !got[n - 1]);
  return -1;
}

static void try_authd(char const *s, size_t len)
{
  static struct authd d;
  static char *checker[] = { (char *)"checker", 0 };
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == -1) abort();
  d.checker = checker;
  d.own_checker = 1;
  d.checks = d.checks_per_client = d.sessions = 1;
  d.askers[0] = (struct asker){ .state = ASKER_NEW, .fd = ends[0], .scram = -1, .mark = -1, .client = -1,
                                .is_opener = len && s[0] == '!' };
  if (send(ends[1], s, len, 0) == (ssize_t)len && len) asker_hear(&d, &d.askers[0]);
  else close(ends[0]), d.askers[0].state = ASKER_FREE;
  REQUIRE(d.askers[0].state == ASKER_FREE);
  close(ends[1]);
}

static void try_request(struct fuzz *f)
{
  struct authwire_request q = { .kind = "CSMLOX"[fuzz_below(f, 6)] };
  size_t len;
  q.session = (uint8_t)fuzz_below(f, 3);
  q.mechanism = (uint8_t)fuzz_byte(f);
  q.service = (uint8_t)fuzz_byte(f);
  q.recipients = fuzz_byte(f);
  q.loginlen = (uint16_t)fuzz_word(f);
  q.secretlen = (uint16_t)fuzz_word(f);
  q.extralen = (uint16_t)fuzz_word(f);
  struct fuzz ip = fuzz_until(f, '\n');
  memcpy(q.ip, ip.s, ip.len < sizeof q.ip ? ip.len : sizeof q.ip);
  char *text = fuzz_unpack(*f, &len);
  if (fuzz_below(f, 2)) q.extralen = (uint16_t)(len - q.loginlen - q.secretlen); /* it fits */
  char *packet = malloc(sizeof q + len);
  memcpy(packet, &q, sizeof q);
  memcpy(packet + sizeof q, text, len);
  try_authd(packet, sizeof q + len);
  free(packet);
  free(text);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  home = fuzz_home();
  return 0;
}

int LLVMFuzzerTestOneInput(uint8_t const *s, size_t len)
{
  struct fuzz f = { (char const *)s, len };
  unsigned int which = fuzz_below(&f, 8);
  char *text = fuzz_copy(f.s, f.len);
  switch (which) {
    case 0: try_base64(text, f.len); break;
    case 1: try_sasl(&f); break;
    case 2: try_scram(&f); break;
    case 3: try_secret(text, f.len); break;
    case 4: try_senders(&f); break;
    case 5: try_request(&f); break;
    case 7: try_judge(&f); break;
    default: try_authd(text, f.len); break;
  }
  free(text);
  return 0;
}
