/* fuzz-inject.c - headers as people and programs write them: lib/header.c and what pipit-inject
 * does with addresses and fields
 *
 * Input: two bytes of options, a byte that seeds the cuts, a name, an argument
 * (both end with a NUL), the header. Where inject would end, it only comes
 * back here, and what it had allocated is freed.
 */

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sanitizer/allocator_interface.h>
#include <skalibs/allreadwrite.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "../../queue/inject.h"
#include "address.h"
#include "addrlist.h"
#include "date.h"
#include "fuzz.h"

#define ALLOCATED_MAX 4096

/* --- an end that is none --- */

static struct {
  int on;
  jmp_buf back;
  int code; /* of the exit */
  void const *allocated[ALLOCATED_MAX];
  size_t count;
} run;

static void on_malloc(void const volatile *p, size_t len)
{
  (void)len;
  if (run.on && run.count < ALLOCATED_MAX) run.allocated[run.count++] = (void const *)p;
}

static void on_free(void const volatile *p)
{
  if (!run.on) return;
  for (size_t i = run.count; i--;)
    if (run.allocated[i] == (void const *)p) {
      run.allocated[i] = run.allocated[--run.count];
      return;
    }
}

static void begin(void)
{
  run.code = 0;
  run.count = 0;
  run.on = 1;
}

static void end(void)
{
  run.on = 0;
  while (run.count) free((void *)(size_t)run.allocated[--run.count]);
}

static void __attribute__((noreturn)) leave(int code)
{
  run.code = code;
  longjmp(run.back, 1);
}

void strerr_diev(int code, char const *const *what, unsigned int n)
{
  REQUIRE(run.on && code == 100 && n > 2 && what[2]);
  leave(code);
}

void strerr_dievsys(int code, char const *const *what, unsigned int n)
{
  (void)code, (void)what, (void)n;
  fuzz_fail(__FILE__, __LINE__, "no trouble of the system");
}

/* --- reading --- */

static struct {
  char const *s;
  size_t len;
  uint32_t seed;
} source;

ssize_t fd_read(int fd, char *s, size_t len)
{
  REQUIRE(fd == 0);
  size_t n = source.len ? fuzz_piece(&source.seed, source.len < len ? source.len : len) : 0;
  if (n) memcpy(s, source.s, n);
  source.s += n;
  source.len -= n;
  return (ssize_t)n;
}

/* CRLF becomes LF, and nothing else changes. */
static void test_input(char const *s, size_t len, uint32_t seed)
{
  static struct input in;
  size_t at = 0;
  in.fd = in.cr = in.ended = in.whole = 0;
  in.at = in.have = 0;
  source.s = s, source.len = len, source.seed = seed;
  for (size_t n; (n = input_read(&in));) {
    for (size_t i = 0; i < n; i++, at++) {
      if (at + 1 < len && s[at] == '\r' && s[at + 1] == '\n') at++;
      REQUIRE(at < len && in.bytes[i] == s[at]);
    }
  }
  REQUIRE(at == len && !source.len);
}

/* --- the header --- */

static size_t feed(struct header *h, char const *s, size_t len, uint32_t seed)
{
  size_t pos = 0;
  while (pos < len && !h->ended) {
    size_t n = fuzz_piece(&seed, len - pos);
    char *piece = fuzz_copy(s + pos, n);
    ssize_t used = header_feed(h, piece, n);
    REQUIRE(used >= 0 && (size_t)used <= n && ((size_t)used == n || h->ended));
    pos += (size_t)used;
    free(piece);
  }
  return pos;
}

static int is_same(stralloc const *a, stralloc const *b)
{
  return a->len == b->len && (!a->len || !memcmp(a->s, b->s, a->len));
}

/* Take the header off s[0..len), whatever the cuts, and lose no byte. */
static void take_header(struct header *h, char const *s, size_t len, uint32_t seed)
{
  struct header whole = HEADER_ZERO(INJECT_HEADER_MAX);
  struct header_field f;
  *h = (struct header)HEADER_ZERO(INJECT_HEADER_MAX);
  size_t used = feed(h, s, len, seed);
  REQUIRE(len == 0 || header_feed(&whole, s, len) == (ssize_t)used);
  REQUIRE(header_finish(h) && header_finish(&whole) && h->ended);
  REQUIRE(is_same(&h->text, &whole.text) && h->len == whole.len && h->empty == whole.empty);
  size_t given = h->text.len < used ? h->text.len : used;
  REQUIRE(used == given + (size_t)h->empty && h->text.len - given <= 1);
  REQUIRE(h->len <= h->text.len && (!given || !memcmp(h->text.s, s, given)));
  size_t pos = 0, before = 0;
  for (; header_next(h->text.s, h->len, &pos, &f); before = pos) {
    REQUIRE(f.s == h->text.s + before && f.len == pos - before && f.s[f.len - 1] == '\n');
    REQUIRE(f.value <= f.len && (f.namelen < f.value || f.name == HEADER_MBOX));
    REQUIRE(f.name == HEADER_MBOX ||
            (f.namelen && f.s[f.value - 1] == ':' && f.namelen < HEADER_NAME_MAX));
    if (before) REQUIRE(f.name != HEADER_MBOX);
  }
  REQUIRE(pos == h->len);
  stralloc_free(&whole.text);
}

/* --- inject --- */

static void append(stralloc *sa, stralloc const *more)
{
  if (more->len && !stralloc_catb(sa, more->s, more->len)) abort();
}

static void sets(stralloc *sa, char const *s)
{
  if (!stralloc_copys(sa, s)) abort();
}

static void set_up(struct inject *j, unsigned int options, char const *name)
{
  memset(j, 0, sizeof *j);
  struct settings *set = &j->set;
  set->name_comment = options & 1;
  set->delete_sender = options >> 1 & 1;
  set->delete_from = options >> 2 & 1;
  set->delete_id = options >> 3 & 1;
  set->verp_rcpt = options >> 4 & 1;
  set->verp_message = options >> 5 & 1;
  set->user = set->suser = options & 64 ? "odd \"user\"" : "user";
  set->host = set->shost = options & 128 ? "host+" : 0;
  set->name = *name ? name : 0;
  static char const rules[] = "=:dh\0*+:.pd.example\0?:.dd.example\0*.OLD:.new\0-.one.example:one.example";
  if (!stralloc_copyb(&set->hosts.rules, rules, sizeof rules)) abort();
  if (options & 1024 && !stralloc_copyb(&set->lists, "a@dh.dd.example", sizeof "a@dh.dd.example")) abort();
  sets(&set->idhost, "id.example");
  set->now.tv_sec = 1700000000;
}

static void check_rcpts(struct rcpts const *r)
{
  for (size_t i = 0; i < r->list.len;) {
    size_t len = strlen(r->list.s + i);
    REQUIRE(len && i + len < r->list.len && address_is_clean(r->list.s + i, len));
    i += len + 1;
  }
}

/* Every byte of s[0..len) is a header's, and the next line is the body's. */
static void check_header(stralloc const *text)
{
  struct header h = HEADER_ZERO(2 * INJECT_HEADER_MAX);
  char const *s = text->len ? text->s : "";
  REQUIRE(!text->len || header_feed(&h, s, text->len) == (ssize_t)text->len);
  REQUIRE(!h.ended && header_feed(&h, "\n", 1) == 1 && h.ended && h.empty && h.len == text->len);
  stralloc_free(&h.text);
}

static int has_bcc(struct inject const *j)
{
  return j->seen[HEADER_BCC] || j->seen[HEADER_RESENT_BCC];
}

/* Each address as it stands in a field that was rewritten is the envelope's, with a comma before it
 * and nothing around it that means nothing. */
static int on_address(void *data, struct addrlist_addr const *a)
{
  struct fuzz *expected = data;
  REQUIRE(a->route == a->local && a->resume == a->end && !a->nocomma);
  if (!a->len || !expected->s) return 1;
  struct fuzz rcpt = fuzz_until(expected, 0);
  REQUIRE(rcpt.len == a->len && !memcmp(rcpt.s, a->s, a->len));
  return 1;
}

static int on_any(void *data, struct addrlist_addr const *a)
{
  (void)data, (void)a;
  return 1;
}

static void check_rewritten(struct inject const *j)
{
  struct header_field f;
  struct fuzz header = { j->header.list.s, j->header.list.len }, none = { 0, 0 };
  for (size_t pos = 0; header_next(j->saved.s, j->saved.len, &pos, &f);) {
    int rcpt = f.name == HEADER_TO || f.name == HEADER_CC || f.name == HEADER_APPARENTLY_TO;
    int other = f.name == HEADER_FROM || f.name == HEADER_REPLY_TO || f.name == HEADER_SENDER;
    if (!rcpt && !other) continue;
    int compare = rcpt && !j->seen[HEADER_BCC] && !*j->header.bad;
    size_t len = f.len - f.value;
    if (addrlist_parse(f.s + f.value, len, on_any, &none) != 1) continue; /* it was left alone */
    addrlist_parse(f.s + f.value, len, on_address, compare ? &header : &none);
  }
}

/* What was completed once is complete. */
static void run_again(struct inject const *j, unsigned int options, char const *name)
{
  struct inject again;
  set_up(&again, options, name);
  sets(&again.sender, "");
  again.sender_known = 1;
  inject_header(&again, j->saved.len ? j->saved.s : "", j->saved.len);
  REQUIRE(is_same(&again.saved, &j->saved));
  check_rewritten(j);
  if (has_bcc(j)) return;
  if (!*j->header.bad) REQUIRE(is_same(&again.header.list, &j->header.list));
  if (!*j->resent.bad) REQUIRE(is_same(&again.resent.list, &j->resent.list));
}

static void inject(unsigned int options, char const *name, char const *arg, struct header const *h)
{
  struct inject j;
  stralloc text = STRALLOC_ZERO;
  set_up(&j, options, name);
  if (options & 256) inject_argument(&j, arg);
  if (options & 512) inject_sender(&j, arg);
  check_rcpts(&j.args);
  int resent = inject_header(&j, h->len ? h->text.s : "", h->len);
  REQUIRE(resent == 0 || resent == 1);
  REQUIRE(address_is_clean(j.sender.s ? j.sender.s : "", j.sender.len));
  check_rcpts(&j.header);
  check_rcpts(&j.resent);
  append(&text, &j.added);
  append(&text, &j.saved);
  check_header(&text);
  run_again(&j, options, name);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  char date[DATE_MAX];
  (void)argc;
  (void)argv;
  setenv("TZ", "UTC", 1);
  date_rfc5322(date, 0); /* what libc allocates for that is to stay */
  return __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) == 0;
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int options = fuzz_byte(&f);
  options |= fuzz_byte(&f) << 8;
  uint32_t seed = fuzz_byte(&f);
  struct fuzz a = fuzz_until(&f, 0), b = fuzz_until(&f, 0);
  struct header h;
  size_t len;
  char *name = calloc(1, a.len + 1), *arg = calloc(1, b.len + 1), *s = fuzz_unpack(f, &len);
  memcpy(name, a.s, a.len);
  memcpy(arg, b.s, b.len);
  test_input(s, len, seed);
  take_header(&h, s, len, seed);
  begin();
  if (!setjmp(run.back)) inject(options, name, arg, &h);
  end();
  stralloc_free(&h.text);
  free(name), free(arg), free(s);
  return 0;
}
